"""How likely answers are to a model, and to the reference that preferences are measured against.

The reference is the model as the run begins. With a fresh adapter it is the base, which is the model with its adapter
off. Where the run goes on from an adapter, changes the weights themselves, or begins as PiSSA does, no switch gives it
back: there it is asked before the first step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from trainer.data.tokens import IGNORED
from trainer.launch import launch, sharing
from trainer.methods.answering import evaluating, untouched
from trainer.objectives import answer_loss
from trainer.sections import RunConfig
from trainer.steering.validation import batches

if TYPE_CHECKING:
    from datasets import Dataset

FILE = "reference.safetensors"
Line = tuple[Sequence[int], Sequence[int]]
"""A prompt's tokens and an answer's."""


@dataclass
class Answers:
    """One answer to the question of each row: a column of tokens (`trainer.data.pairs`), or that of other rows."""

    rows: Dataset
    column: str
    of: Sequence[int] | None = None
    """For each row, the row whose answer it is; its own where this is None."""

    def lines(self, chosen: Sequence[int]) -> list[Line]:
        """Prompts and answers of these rows."""
        said = chosen if self.of is None else [self.of[row] for row in chosen]
        return list(zip(self.rows[list(chosen)]["prompt_ids"], self.rows[list(said)][self.column], strict=True))


@dataclass
class Asker:
    """Asks a model how likely answers are; `activate` is told the group of each batch, where the rows have groups."""

    model: Any
    pad_token_id: Any
    batch_size: int
    activate: Callable[[int], None] | None = None

    def ask(
        self, answers: Answers, chosen: Sequence[int] | None = None, told: Callable[[int], None] | None = None
    ) -> torch.Tensor:
        """Log-likelihoods (nats) of the `chosen` rows' answers, or of all, in their order and on the CPU.

        The model has to be in evaluation mode. `told` hears how many are done (of several processes, each its own).
        """
        rows = answers.rows
        chosen = range(len(rows)) if chosen is None else chosen
        found, done = torch.zeros(len(chosen)), 0
        lengths = rows["length"][:]
        groups = rows["group"][:] if self.activate else [0] * len(rows)
        parts = batches([lengths[row] for row in chosen], [groups[row] for row in chosen], self.batch_size)
        for batch, counts in sharing.of_this_process(list(parts)):
            if self.activate:
                self.activate(groups[chosen[batch[0]]])
            inputs = padded(answers.lines([chosen[place] for place in batch]), self.pad_token_id)
            scores = score(self.model, {name: one.to(self.model.device) for name, one in inputs.items()}).cpu()
            if counts:
                found[batch] = scores
                done += len(batch)
            if told:
                told(done)
        return torch.tensor(launch.totals(found.tolist())) if launch.size() > 1 else found


def unrelated(rows: Dataset) -> list[int]:
    """For each row the next one that answers another question; the next of all, where there is no other question."""
    asked = [tuple(one) for one in rows["prompt_ids"][:]]
    n = len(asked)
    found = [0] * n
    following = 1  # steps from a row to the next one with another prompt
    for row in reversed(range(2 * n)):
        here, after = row % n, (row + 1) % n
        following = 1 if asked[here] != asked[after] else following + 1
        found[here] = (here + following) % n if following < n else after
    return found


def padded(lines: Sequence[Line], pad_token_id: Any) -> dict[str, torch.Tensor]:
    """`input_ids`, `attention_mask` and `labels` (lines, longest of them), padded on the right; answers have labels."""
    ids = [torch.tensor([*asked, *said]) for asked, said in lines]
    labels = [torch.tensor([IGNORED] * len(asked) + list(said)) for asked, said in lines]
    mask = [torch.ones(len(one), dtype=torch.long) for one in ids]
    columns = {"input_ids": (ids, pad_token_id), "attention_mask": (mask, 0), "labels": (labels, IGNORED)}
    return {
        name: torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=filled)
        for name, (tensors, filled) in columns.items()
    }


def likelihoods(losses: torch.Tensor, rows: torch.Tensor, count: int) -> torch.Tensor:
    """(count,) log-likelihood of each answer (nats), from its tokens' cross-entropy as `answer_loss` gives it."""
    return -torch.zeros(count, device=losses.device).index_add(0, rows, losses.float())


def score(model: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """(rows,) log-likelihood of each row's answer (nats), without gradient; by the model as it is switched now."""
    with torch.no_grad():
        losses, rows = answer_loss.read(model, dict(inputs)).losses(inputs["labels"])
        return likelihoods(losses, rows, len(inputs["labels"]))


def is_base(run: RunConfig) -> bool:
    """Whether the reference is the base, as the model answers with the run's adapter off."""
    pissa = getattr(run.method, "init", "zero") == "pissa"
    return run.method.kind != "full" and not run.method.start_from and not pissa


def asking(model: Any, run: RunConfig) -> AbstractContextManager[None]:
    """Within it the model answers as the reference, without dropout; where that is not the base, before the first step
    alone."""
    return untouched(model) if is_base(run) else evaluating(model)


def asked_before(
    asker: Asker, run: RunConfig, wanted: Mapping[str, Answers], folder: Path, progress: Callable[[str, int, int], None]
) -> dict[str, torch.Tensor]:
    """What the reference makes of each of the `wanted`: asked once, and kept in `folder` through a resume.

    The model has to be as the run begins; in a process that resumes it is, until the checkpoint is read.
    """
    path = folder / FILE
    of = {name: f"{len(one.rows)} rows, {sum(one.rows['length'][:])} tokens" for name, one in wanted.items()}
    # One may see the file and another not, where the main process has just written it.
    if launch.from_main(path.exists()):
        with safe_open(path, "pt") as file:
            if file.metadata() == of:
                return {name: file.get_tensor(name) for name in wanted}
    if is_base(run):
        asker = Asker(asker.model, asker.pad_token_id, asker.batch_size)  # with all adapters off, none is chosen
    total, done = sum(len(one.rows) for one in wanted.values()), 0
    found = {}
    with asking(asker.model, run):
        for name, answers in wanted.items():
            found[name] = asker.ask(
                answers, told=lambda n, before=done: progress("asking the reference", before + n, total)
            )
            done += len(answers.rows)
    if launch.is_main():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        save_file(found, partial, metadata=of)
        partial.replace(path)
    return found
