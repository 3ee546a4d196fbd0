"""Supervised fine-tuning through TRL's SFTTrainer, set up from a run file.

Rows come to it tokenised and labelled (`trainer.data.tokens`), and it leaves them as they are. The loss is ours for
the common decoders: see `trainer.objectives.answer_loss`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.data.tokenised import Prepared
from trainer.objectives import settings
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, TrainerCallback

    from trainer.objectives.answer_trainer import AnswerTrainer
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
) -> AnswerTrainer:
    """A trainer for the run; for `evaluate_first` and `saves` see `settings.arguments`."""
    from trl.trainer.sft_config import SFTConfig

    from trainer.objectives.answer_trainer import AnswerTrainer

    arguments = settings.arguments(config, model, len(prepared.train), checkpoints, evaluate_first, saves)
    return AnswerTrainer(
        config,
        model=model,
        args=SFTConfig(**arguments, max_length=None),  # rows were cut, and counted, when they were prepared
        train_dataset=prepared.train,
        eval_dataset=prepared.validation,
        processing_class=tokenizer,
        # Those of the run come first: they say which step it is.
        callbacks=[*settings.with_early_stop(config, callbacks, saves), *steering.callbacks],
        prepared=prepared,
        steering=steering,
    )
