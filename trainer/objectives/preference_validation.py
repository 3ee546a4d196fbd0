"""What a model does on pairs, or on good and bad answers, that it is not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from trainer.data import pairs
from trainer.data.tokenised import Prepared
from trainer.objective_sections import DpoObjective, KtoObjective
from trainer.objectives.preference_losses import PAIR, Judged, Paired, judge_answers, judge_pairs
from trainer.objectives.reference import Answers, Asker, asking
from trainer.sections import RunConfig
from trainer.steering.validation import (
    MOST_ROWS,
    SHOWN,
    TaskScore,
    Validation,
    as_text,
    by_name,
    question_frame,
    sample,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def measure(
    asker: Asker,
    run: RunConfig,
    prepared: Prepared,
    tokenizer: PreTrainedTokenizerBase,
    known: Mapping[str, torch.Tensor],
    unrelated: Sequence[int],
    weights: tuple[float, float],
    all_rows: bool = True,
) -> Validation:
    """Measure the validation rows, or at most `MOST_ROWS` of them; see `Validation` for what the numbers are.

    `known`, `unrelated` and `weights` are those of `preference_trainer.PreferenceTrainer`. Best and worst are the rows
    with the lowest and the highest loss, each with its good answer, or in KTO with the answer that it judges.
    """
    rows = sample(prepared.validation, None if all_rows else MOST_ROWS)
    judged = _judged(asker, run, prepared, known, unrelated, weights, rows)
    losses = judged.losses.tolist()
    shown = prepared.validation.select(rows)

    def score(chosen: Sequence[int]) -> TaskScore:
        return TaskScore(loss=sum(losses[row] for row in chosen) / len(chosen), n=len(chosen))

    tasks = by_name(score, shown["task"], prepared.tasks)
    ranked = sorted(range(len(rows)), key=losses.__getitem__)
    frame, count = question_frame(tokenizer, run.task.system_prompt), min(SHOWN, len(rows))
    texts = {
        place: as_text(pairs.whole(shown.select([place]))[0], losses[place], tokenizer, frame)
        for place in {*ranked[:count], *ranked[-count:]}
    }
    overall = score(range(len(rows)))
    return Validation(
        n=len(rows),
        rows=len(prepared.validation),
        loss=overall.loss,
        answer_accuracy=judged.won.mean().item(),
        tasks=tasks,
        specialties=by_name(score, shown["specialty"], prepared.specialties),
        worst_task_loss=max((task.loss for task in tasks.values()), default=overall.loss),
        best=[texts[place] for place in ranked[:count]],
        worst=[texts[place] for place in ranked[::-1][:count]],
    )


def _judged(
    asker: Asker,
    run: RunConfig,
    prepared: Prepared,
    known: Mapping[str, torch.Tensor],
    unrelated: Sequence[int],
    weights: tuple[float, float],
    rows: Sequence[int],
) -> Judged:
    objective, held_back = run.objective, prepared.validation
    judged = held_back.select(rows)
    if isinstance(objective, KtoObjective):
        said = asker.ask(Answers(held_back, "completion_ids"), rows)
        elsewhere = asker.ask(Answers(held_back, "completion_ids", unrelated), rows)
        drift = (elsewhere - known["validation/unrelated"][rows]).mean().clamp(min=0)
        good, tokens = torch.tensor(judged["label"][:]), torch.tensor([len(one) for one in judged["completion_ids"]])
        return judge_answers(objective, said, tokens, good, known["validation/completion"][rows], drift, weights)
    assert isinstance(objective, Paired)
    answers = [Answers(held_back, f"{side}_ids") for side in PAIR]
    likely = [asker.ask(one, rows) for one in answers]
    tokens = [torch.tensor([len(one) for one in judged[f"{side}_ids"]]) for side in PAIR]
    if not isinstance(objective, DpoObjective):
        return judge_pairs(objective, *likely, *tokens)
    if known:
        reference = [known[f"validation/{side}"][rows] for side in PAIR]
    else:
        base = Asker(asker.model, asker.pad_token_id, asker.batch_size)
        with asking(asker.model, run):
            reference = [base.ask(one, rows) for one in answers]
    return judge_pairs(objective, *likely, *tokens, *reference)
