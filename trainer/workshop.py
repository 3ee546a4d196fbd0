"""The model on the bench of a run: a base, what is put on it, and a new one where the last was used up."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from evaluators import generation
from trainer import earlier_runs, kernels, models, preflight
from trainer.data.tokenised import Prepared, padded
from trainer.data.tokens import conversation
from trainer.methods import quick_layers
from trainer.methods.answering import evaluating
from trainer.methods.apply import apply
from trainer.objectives import settings
from trainer.objectives.answer_loss import bare
from trainer.reporting import Reporter
from trainer.sections import RunConfig

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


class Workshop:
    """Holds the one model in memory. `model` is the base at first, and what `fresh` made of it afterwards."""

    def __init__(self, base: Any, tokenizer: PreTrainedTokenizerBase, prepared: Prepared, reporter: Reporter):
        self.model: Any = base
        self.tokenizer = tokenizer
        self.prepared = prepared
        self.reporter = reporter
        self._untouched = True

    def fresh(self, config: RunConfig) -> Any:
        """The base with an untrained adapter of the run's method on it; loaded anew where the last one was used.

        It begins with the same weights each time, by the run's seed, whatever this process did before. Raises
        `MethodError` and `ModelError`.
        """
        from transformers import set_seed

        if not self._untouched:
            self.clear()
            self.model, _, _ = models.load_base(config)
        self._untouched = False
        set_seed(config.schedule.seed)
        rows = len(self.prepared.train)
        self.model = apply(
            self.model,
            config,
            self.prepared.groups,
            settings.total_steps(config, rows),
            batches=lambda: self._batches(config),
            start=earlier_runs.start(config),
            below=earlier_runs.below(config),
        )
        if quick_layers.fits(config, self.model.config):
            quick_layers.quicken(self.model)
        kernels.take(bare(self.model), config)
        return self.model

    def clear(self) -> None:
        """Give the model's memory back."""
        self.model = None
        preflight.give_memory_back()

    @contextmanager
    def answering(self) -> Iterator[Any]:
        """The model as it is now, ready to answer; it goes on training afterwards."""
        with evaluating(self.model):
            yield self.model

    def answers(self, questions: Sequence[str], system_prompt: str, tokens: int, tuned: bool) -> list[str]:
        """Greedy answers of at most so many tokens, by the model as it is now or (`tuned` False) by its base."""
        chats = [conversation([{"role": "user", "content": text}], system_prompt) for text in questions]
        with self.answering() as model:
            return generation.answer_all(model, self.tokenizer, chats, tokens, tuned)

    def _batches(self, config: RunConfig) -> Iterable[Mapping[str, Any]]:
        """Training rows as tensors, in an order of their own, for methods that look at them before they begin."""
        rows = list(range(len(self.prepared.train)))
        random.Random(f"{config.schedule.seed}/looked at").shuffle(rows)
        size = config.schedule.batch_size
        for start in range(0, len(rows), size):
            yield self.padded(rows[start : start + size])

    def padded(self, rows: list[int]) -> dict[str, torch.Tensor]:
        """Training rows by number, as the model reads them (`tokenised.padded`)."""
        return padded(self.prepared.train.select(rows), self.tokenizer, self.model.device)
