"""Which of many texts cover them best: k-center greedy over embeddings (Sener and Savarese 2018; lecture L3.8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from evaluators.cases import Messages
from evaluators.generation import Model, Tokenizer
from evaluators.prefix import read_shared
from evaluators.sides import last_position, side

if TYPE_CHECKING:
    import numpy as np


class Centre(NamedTuple):
    """A point that was chosen: its place in the list, and how far it was from all that were chosen before it."""

    place: int
    distance: float


def k_center(points: np.ndarray, count: int, centres: np.ndarray | None = None) -> list[Centre]:
    """Choose `count` of `points` (n, d), each time the one that is furthest from its nearest centre (Euclidean).

    `centres` (m, d) are there already: what is labelled. Without any, the point nearest to the mean comes first, at
    the distance 0. The largest distance that is left is at most twice the least possible one (Gonzalez 1985). Of equal
    distances the first point counts. Fewer are chosen where there are fewer points.
    """
    import numpy as np

    points = np.asarray(points, dtype=float)
    count = min(count, len(points))
    if count == 0:
        return []
    chosen: list[Centre] = []
    if centres is None or not len(centres):
        first = int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin())
        chosen.append(Centre(first, 0.0))
        nearest = ((points - points[first]) ** 2).sum(axis=1)
    else:
        nearest = np.full(len(points), np.inf)
        for centre in np.asarray(centres, dtype=float):
            nearest = np.minimum(nearest, ((points - centre) ** 2).sum(axis=1))
    # What is chosen is nobody's furthest again, also where all that is left stands on a centre.
    nearest[[one.place for one in chosen]] = -1.0
    while len(chosen) < count:
        index = int(nearest.argmax())
        chosen.append(Centre(index, float(nearest[index] ** 0.5)))
        nearest = np.minimum(nearest, ((points - points[index]) ** 2).sum(axis=1))
        nearest[[one.place for one in chosen]] = -1.0
    return chosen


def own_embeddings(
    model: Model,
    tokenizer: Tokenizer,
    conversations: Sequence[Messages],
    tuned: bool,
    progress: Callable[[int], None] = lambda done: None,
    batch_size: int = 32,
) -> np.ndarray:
    """(n, d) embeddings of length 1 from a model's own last layer, for where there is no model of sentence embeddings.

    The mean over the tokens in which the conversations differ, less the mean of all conversations: a language model's
    states share one large direction (Ethayarajh 2019), beside which no difference would show.
    """
    import numpy as np
    import torch

    if not conversations:
        return np.zeros((0, 0))
    asked = [tokenizer.apply_chat_template(one, add_generation_prompt=True)["input_ids"] for one in conversations]
    order = sorted(range(len(asked)), key=lambda index: len(asked[index]))
    found: dict[int, np.ndarray] = {}
    with torch.inference_mode(), side(model, tuned) as answering:
        core = answering.core
        prefix, own = read_shared(answering, asked)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            batch = prefix.to_read([own[index] for index in chosen], tokenizer.pad_token_id)
            read = core(**batch, output_hidden_states=True, logits_to_keep=last_position(core))
            present = batch["attention_mask"][:, len(prefix.tokens) :, None]
            means = (read.hidden_states[-1].float() * present).sum(1) / present.sum(1)
            found |= dict(zip(chosen, means.cpu().numpy(), strict=True))
            progress(start + len(chosen))
    vectors = np.stack([found[index] for index in range(len(asked))])
    vectors -= vectors.mean(axis=0)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)
