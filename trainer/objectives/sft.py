"""Supervised fine-tuning through TRL's SFTTrainer, set up from a run file.

Rows come to it tokenised and labelled (`trainer.data.tokens`), and it leaves them as they are. The loss is ours for
the common decoders: see `trainer.objectives.answer_loss`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.objectives.answer_trainer import AnswerTrainer
    from trainer.objectives.settings import Parts


def build(parts: Parts) -> AnswerTrainer:
    """A trainer for the run."""
    from trl.trainer.sft_config import SFTConfig

    from trainer.objectives.answer_trainer import AnswerTrainer

    return AnswerTrainer(
        parts.config,
        args=SFTConfig(**parts.arguments(), max_length=None),  # rows were cut, and counted, when they were prepared
        train_dataset=parts.prepared.train,
        **parts.options(),
    )
