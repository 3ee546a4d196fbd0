"""What a model does on rows that it is not trained on: loss and what answers are right, by task and specialty."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel

from trainer.data.tokenised import Prepared, padded
from trainer.data.tokens import IGNORED, conversation
from trainer.events import Scored
from trainer.launch import deepspeed, launch, sharing
from trainer.objectives import answer_loss
from trainer.steering.stratified_sample import stratified_sample

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

MOST_ROWS = 400
"""Rows of a measurement while training, where there are more: a share near 50 % is then known to about 5 points."""
SHOWN = 3
"""Best rows, and worst, that are shown."""
_SHOWN_CHARACTERS = 1000
_SAMPLE_SEED = "validation"
_MARK = "¤"  # stands for a question


class TaskScore(BaseModel):
    """The rows of one task or specialty: mean loss (nats) and share right of their answers' tokens; `n` rows.

    Of preferences `trainer.objectives.preference_validation` measures the loss alone.
    """

    loss: float
    token_accuracy: float | None = None
    n: int


class Validation(BaseModel):
    """One measurement on `n` of `rows` validation rows, each token after the right ones before it (teacher forcing).

    `loss` is the mean cross-entropy (nats) over all tokens of answers; `token_accuracy` is the share of them that are
    predicted right, `answer_accuracy` the share of answers without a wrong token. `general_loss` is measured on general
    rows that are not trained on. Of preferences `loss` is that of the objective, a mean over pairs or answers,
    `answer_accuracy` the share of them that are won, and `token_accuracy` None.
    """

    n: int
    rows: int
    loss: float
    token_accuracy: float | None = None
    answer_accuracy: float
    tasks: dict[str, TaskScore]
    specialties: dict[str, TaskScore]
    worst_task_loss: float
    """The loss of the task that does worst; of all rows, where no task is known."""
    general_loss: float | None = None
    best: list[Scored]
    worst: list[Scored]

    def metrics(self) -> dict[str, float]:
        """The numbers that a run can watch, by their names in `evaluation.watch`, and the general loss."""
        names = ("loss", "token_accuracy", "answer_accuracy", "worst_task_loss", "general_loss")
        found = {name: getattr(self, name) for name in names}
        return {name: value for name, value in found.items() if value is not None}


@dataclass
class _Rows:
    """Sums over each row's answer, in the rows' order: loss, tokens predicted right, tokens."""

    loss: list[float] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    def score(self, chosen: Sequence[int]) -> TaskScore:
        tokens = sum(self.tokens[row] for row in chosen)
        return TaskScore(
            loss=sum(self.loss[row] for row in chosen) / tokens,
            token_accuracy=sum(self.right[row] for row in chosen) / tokens,
            n=len(chosen),
        )


def measure(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prepared: Prepared,
    system_prompt: str,
    batch_size: int,
    all_rows: bool = True,
    activate: Callable[[int], None] | None = None,
) -> Validation:
    """Measure the validation rows (at most `MOST_ROWS` of them unless `all_rows`), and the general ones if any.

    The model has to be in evaluation mode; `system_prompt` is the run's. The sample holds every specialty and task in
    its share and is the same at every call. `activate` is told the group of the rows that come next (an index into
    `prepared.groups`), where each group has weights of its own; a batch then holds rows of one group.
    """
    chosen = sample(prepared.validation, None if all_rows else MOST_ROWS)
    rows = prepared.validation.select(chosen)
    found = _measured(model, rows, batch_size, tokenizer, activate)
    every = range(len(rows))
    overall = found.score(every)
    tasks = by_name(found.score, rows["task"], prepared.tasks)
    general = None
    if len(prepared.general_validation):
        general = _measured(model, prepared.general_validation, batch_size, tokenizer, activate)
    frame = question_frame(tokenizer, system_prompt)
    ranked = sorted(every, key=lambda row: found.loss[row] / found.tokens[row])
    shown = min(SHOWN, len(ranked))
    return Validation(
        n=len(rows),
        rows=len(prepared.validation),
        loss=overall.loss,
        token_accuracy=overall.token_accuracy,
        answer_accuracy=sum(found.right[row] == found.tokens[row] for row in every) / len(rows),
        tasks=tasks,
        specialties=by_name(found.score, rows["specialty"], prepared.specialties),
        worst_task_loss=max((task.loss for task in tasks.values()), default=overall.loss),
        general_loss=general.score(range(len(general.tokens))).loss if general else None,
        best=[as_text(rows[row], found.loss[row] / found.tokens[row], tokenizer, frame) for row in ranked[:shown]],
        worst=[
            as_text(rows[row], found.loss[row] / found.tokens[row], tokenizer, frame) for row in ranked[::-1][:shown]
        ],
    )


def sample(rows: Dataset, most: int | None) -> list[int]:
    """Indices of the rows that are measured: all, or `most` of them, stratified by specialty and task (L3.11)."""
    if most is None or len(rows) <= most:
        return list(range(len(rows)))
    strata = list(zip(rows["specialty"], rows["task"], strict=True))
    return stratified_sample(strata, most, _SAMPLE_SEED)


def _measured(
    model: Any,
    rows: Dataset,
    batch_size: int,
    tokenizer: PreTrainedTokenizerBase,
    activate: Callable[[int], None] | None,
) -> _Rows:
    n = len(rows)
    found = _Rows([0.0] * n, [0] * n, [0] * n)
    groups = rows["group"] if activate else [0] * n
    # What ZeRO-3 puts together in inference mode could not be trained any more.
    inference = torch.inference_mode(not deepspeed.is_share(next(model.parameters())))
    with torch.no_grad(), inference:
        for batch, counts in sharing.of_this_process(list(batches(list(rows["length"]), list(groups), batch_size))):
            if activate:
                activate(groups[batch[0]])
            read = padded(rows.select(batch), tokenizer, model.device)
            labels = read["labels"]
            predicted = list(_predicted(model, read, labels))
            if not counts:
                continue
            for place, row in enumerate(batch):
                found.tokens[row] = int((labels[place, 1:] != IGNORED).sum())
            for places, losses, right in predicted:
                for place, loss, good in zip(places.tolist(), losses.tolist(), right.tolist(), strict=True):
                    found.loss[batch[place]] += loss
                    found.right[batch[place]] += good
    return _Rows(
        launch.totals(found.loss), [*map(int, launch.totals(found.right))], [*map(int, launch.totals(found.tokens))]
    )


def batches(lengths: Sequence[int], groups: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Rows of similar length and of one group, so that little is padded."""
    order = sorted(range(len(lengths)), key=lambda row: (groups[row], lengths[row], row))
    batch: list[int] = []
    for row in order:
        if batch and (len(batch) == batch_size or groups[row] != groups[batch[0]]):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _predicted(
    model: Any, inputs: dict[str, torch.Tensor], labels: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """For each chunk of answer positions: the row of each, its cross-entropy (nats), and whether the token is right.

    Logits exist for `answer_loss.CHUNK` positions at a time, where the model's head allows it.
    """
    found = answer_loss.read(model, inputs)
    following = labels[:, 1:]
    kept = following != IGNORED
    plain = found.logits is None
    source = (found.hidden if found.logits is None else found.logits)[:, :-1][kept]
    parts = zip(
        source.split(answer_loss.CHUNK),
        following[kept].split(answer_loss.CHUNK),
        kept.nonzero()[:, 0].split(answer_loss.CHUNK),
        strict=True,
    )
    for part, wanted, places in parts:
        logits = (part @ found.head.T if plain else part).float()
        losses = torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
        yield places, losses, logits.argmax(-1) == wanted


def by_name(
    score: Callable[[Sequence[int]], TaskScore], indices: Sequence[int], names: Sequence[str]
) -> dict[str, TaskScore]:
    """The score of the rows of each name; `indices` are each row's, -1 where it has none."""
    members: dict[str, list[int]] = {}
    for row, index in enumerate(indices):
        if index >= 0:
            members.setdefault(names[index], []).append(row)
    return {name: score(chosen) for name, chosen in sorted(members.items())}


def question_frame(tokenizer: PreTrainedTokenizerBase, system_prompt: str) -> tuple[str, str]:
    """What the chat template puts before and after every question: words such as "user" are no special tokens."""
    asked = conversation([{"role": "user", "content": _MARK}], system_prompt)
    ids: Any = tokenizer.apply_chat_template(asked, add_generation_prompt=True)
    before, _, after = str(tokenizer.decode(ids["input_ids"], skip_special_tokens=True)).partition(_MARK)
    return before.strip(), after.strip()


def as_text(row: Any, loss: float, tokenizer: PreTrainedTokenizerBase, frame: tuple[str, str]) -> Scored:
    """A row as people read it; of plain text, which has no question, the answer is the whole."""
    ids, labels = row["input_ids"], row["labels"]
    asked = [token for token, label in zip(ids, labels, strict=True) if label == IGNORED]
    answered = [label for label in labels if label != IGNORED]
    question, answer = (str(tokenizer.decode(part, skip_special_tokens=True)).strip() for part in (asked, answered))
    question = question.removeprefix(frame[0]).removesuffix(frame[1]).strip()
    return Scored(question=question[:_SHOWN_CHARACTERS], answer=answer[:_SHOWN_CHARACTERS], loss=loss)
