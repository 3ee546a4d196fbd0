"""The rows of a batch one behind the other, without padding; what several of them begin with stands there once.

All rows begin with the run's instructions, and both answers of a pair with its question. What a decoder computes of a
token depends on what stands before it and on nothing else, so that of a beginning that rows share one copy does for
all of them, forwards and back.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass
class Row:
    """A row among those that stand one behind the other."""

    own: int
    """Its tokens that no earlier row has computed; they are the last ones of it."""
    places: torch.Tensor | None
    """(tokens of the row,) where each of its tokens stands among those of all rows; None where all are its own."""


@dataclass
class FlatRows:
    """A batch as its model reads it. `embedded` (1, tokens, width) and `position_ids` (1, tokens)."""

    embedded: torch.Tensor
    position_ids: torch.Tensor
    rows: list[Row]
    _kept: torch.Tensor
    _places: torch.Tensor

    def in_batch(self, hidden: torch.Tensor) -> torch.Tensor:
        """(batch, length, width) of what the model made of the tokens, (1, tokens, width); zero where padding is."""
        whole = hidden.new_zeros(*self._kept.shape, hidden.shape[-1])
        whole[self._kept] = hidden[0, self._places]
        return whole


def flatten(embedded: torch.Tensor, kept: torch.Tensor, once: bool) -> FlatRows:
    """Lay out rows (batch, length, width), of which `kept` (batch, length) is no padding.

    `once`: compute what rows begin with once, where it is the same to the last bit, whatever acted on the embeddings.
    """
    found = [row[mask] for row, mask in zip(embedded, kept, strict=True)]
    parts: list[torch.Tensor] = []
    places: list[torch.Tensor] = []
    positions: list[torch.Tensor] = []
    rows: list[Row] = []
    taken = 0
    for row in found:
        of, begun = 0, 0
        if once:
            # The last token is always the row's own, so that each has one to ask for.
            shared = [_beginning(row[:-1], other) for other in found[: len(rows)]]
            of, begun = max(enumerate(shared), key=lambda one: one[1], default=(0, 0))
        own = torch.arange(taken, taken + len(row) - begun)
        places.append(torch.cat([places[of][:begun], own]) if begun else own)
        positions.append(torch.arange(begun, len(row)))
        parts.append(row[begun:])
        rows.append(Row(len(own), places[-1] if begun else None))
        taken += len(own)
    return FlatRows(torch.cat(parts)[None], torch.cat(positions)[None], rows, kept, torch.cat(places))


def _beginning(row: torch.Tensor, other: torch.Tensor) -> int:
    """How many tokens two rows (tokens, width) begin with alike."""
    length = min(len(row), len(other))
    # Most rows part soon, and one number of each token tells them apart as well as all.
    same = int((row[:length, 0] == other[:length, 0]).long().cumprod(0).sum())
    while same and not torch.equal(row[:same], other[:same]):
        same = int((row[:same] == other[:same]).all(-1).long().cumprod(0).sum())
    return same
