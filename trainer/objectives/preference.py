"""DPO, KTO, ORPO, CPO and SimPO, set up from a run file; `preference_trainer` says how, `preference_losses` what of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.objective_sections import DpoObjective, KtoObjective

if TYPE_CHECKING:
    from trainer.objectives.preference_trainer import PreferenceTrainer
    from trainer.objectives.settings import Parts


def build(parts: Parts) -> PreferenceTrainer:
    """A trainer for the run. The model has to be as the run begins: the reference may be asked now."""
    from transformers import TrainingArguments

    from trainer.objectives import reference
    from trainer.objectives.preference_losses import PAIR
    from trainer.objectives.preference_trainer import PreferenceTrainer
    from trainer.objectives.reference import Answers, Asker

    config, prepared = parts.config, parts.prepared
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
    asker = Asker(parts.model, parts.tokenizer.pad_token_id, config.schedule.batch_size, parts.steering.activate)
    progress = parts.steering.reporter.progress
    return PreferenceTrainer(
        config,
        known=reference.asked_before(asker, config, wanted, parts.checkpoints, progress) if wanted else {},
        unrelated=unrelated,
        weights=weights,
        args=TrainingArguments(**parts.arguments()),
        **parts.options(),
    )
