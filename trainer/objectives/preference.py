"""DPO, KTO, ORPO, CPO and SimPO, set up from a run file; `preference_trainer` says how, `preference_losses` what of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.data.tokenised import Prepared
from trainer.objective_sections import DpoObjective, KtoObjective
from trainer.objectives import settings
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, TrainerCallback

    from trainer.objectives.preference_trainer import PreferenceTrainer
    from trainer.steering.steering import Steering


def build(
    config: RunConfig,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prepared: Prepared,
    steering: Steering,
    checkpoints: Path,
    callbacks: list[TrainerCallback],
    evaluate_first: bool,
    saves: bool = True,
) -> PreferenceTrainer:
    """A trainer for the run; for `evaluate_first` and `saves` see `settings.arguments`.

    The model has to be as the run begins: the reference may be asked now.
    """
    from transformers import TrainingArguments

    from trainer.objectives import reference
    from trainer.objectives.preference_losses import PAIR
    from trainer.objectives.preference_trainer import PreferenceTrainer
    from trainer.objectives.reference import Answers, Asker

    objective, sides = config.objective, {"train": prepared.train, "validation": prepared.validation}
    wanted: dict[str, Answers] = {}
    unrelated: dict[str, list[int]] = {}
    weights = (1.0, 1.0)
    if isinstance(objective, KtoObjective):
        unrelated = {side: reference.unrelated(rows) for side, rows in sides.items()}
        for side, rows in sides.items():
            wanted[f"{side}/completion"] = Answers(rows, "completion_ids")
            wanted[f"{side}/unrelated"] = Answers(rows, "completion_ids", unrelated[side])
        good, rows = sum(prepared.train["label"][:]), len(prepared.train)
        # Both kinds weigh the same in sum (Ethayarajh et al. 2024, eq. 9 with a ratio of 1).
        weights = rows / (2 * max(good, 1)), rows / (2 * max(rows - good, 1))
    elif isinstance(objective, DpoObjective) and objective.precompute_reference:
        wanted = {f"{side}/{one}": Answers(rows, f"{one}_ids") for side, rows in sides.items() for one in PAIR}
    asker = Asker(model, tokenizer.pad_token_id, config.schedule.batch_size, steering.activate)
    progress = steering.reporter.progress
    return PreferenceTrainer(
        config,
        prepared=prepared,
        steering=steering,
        known=reference.asked_before(asker, config, wanted, checkpoints, progress) if wanted else {},
        unrelated=unrelated,
        weights=weights,
        model=model,
        args=TrainingArguments(
            **settings.arguments(config, model, len(prepared.train), checkpoints, evaluate_first, saves)
        ),
        eval_dataset=prepared.validation,
        processing_class=tokenizer,
        callbacks=[*settings.with_early_stop(config, callbacks, saves), *steering.callbacks],
    )
