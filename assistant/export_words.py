"""An export in words and as the object that `--json` prints."""

from __future__ import annotations

from pydantic import BaseModel

from trainer.card import METRICS, percent
from trainer.export.hub import Push
from trainer.export.quantisation import Loss
from trainer.export.record import Export


class ExportDetails(Export):
    """`export --json` and `exports show --json`: what was exported, where it is, and how it was checked."""

    place: str

    @classmethod
    def of(cls, export: Export) -> ExportDetails:
        return cls(**dict(export), place=str(export.folder))


class ExportList(BaseModel):
    """`exports list --json`: the exports, newest first."""

    exports: list[ExportDetails]


LOSS_HEADER = ["file", "size", "perplexity", "answers as merged", "right"]


def loss_rows(losses: list[Loss]) -> list[list[str]]:
    """What quantising loses, as text cells; the first row is the merged model."""
    return [
        [
            one.kind,
            f"{one.bytes / 1e6:,.0f} MB",
            f"{one.perplexity:.3f}",
            percent(one.equal_answers) if one.equal_answers else "-",
            percent(one.right),
        ]
        for one in losses
    ]


def loss_caption(losses: list[Loss]) -> str:
    """What the table is of, in a sentence."""
    first = losses[0]
    return (
        f"Measured on {first.right.n} held-out questions of {first.set}: perplexity of their reference "
        f"answers, and answers that count as right ({METRICS[first.metric]}). merged: the plain model in transformers, "
        "fp32; the others as llama.cpp computes them. Shares with their 95 % interval."
    )


def export_lines(made: Export) -> list[str]:
    """An export for a terminal."""
    lines = [f"{made.what} of {made.model}, in {made.folder}"]
    lines += [f"  {file.name}: {file.bytes / 1e6:,.1f} MB" for file in made.files]
    if made.parity:
        lines.append(f"Checked against the run: {made.parity.sentence()}")
    if made.losses:
        rows = [LOSS_HEADER, *loss_rows(made.losses)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(LOSS_HEADER))]
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        lines.append(f"({loss_caption(made.losses)})")
    lines += made.notes
    lines.append(made.gates)
    lines += [f"Warning: fails: {one}" for one in made.failing]
    return lines


def push_lines(done: Push) -> list[str]:
    """A push for a terminal."""
    kind = "private" if done.private else "public"
    begin = f"Would push to {done.repo} ({kind})" if done.dry_run else f"Pushed to {done.repo} ({kind}): {done.url}"
    lines = [begin, *[f"  {file.name}: {file.bytes / 1e6:,.1f} MB" for file in done.files]]
    return [*lines, "", done.card] if done.dry_run else lines
