"""One trained run, ready to answer: base and tuned side by side from one copy of the base's weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from evaluators.generation import BASE, Answer, Sampling, stream
from evaluators.held_out import Item, with_examples
from trainer import models, scoring
from trainer.data.sources import STARTER_PREFIX
from trainer.data.tokens import conversation
from trainer.runs import Run
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase

Sides = dict[str, Answer]


class Comparison:
    """A loaded base with a run's adapter on it. Not safe for two questions at once: callers take turns."""

    def __init__(self, config: RunConfig, model: PeftModel, tokenizer: PreTrainedTokenizerBase):
        self.config = config
        self.model = model
        self.tokenizer = tokenizer

    def ask(self, question: str, sampling: Sampling, prompted: bool = False) -> Iterator[Sides]:
        """Answers so far after every token: `base`, `tuned`, and with `prompted` also `prompted base`.

        Base and tuned share a batch, the same sampling settings and the same seed. The prompted base (two worked
        examples from the training data in its prompt) has a longer prompt and takes turns with them, so that no
        side is padded. Close the iterator to stop.
        """
        asked = conversation([{"role": "user", "content": question}], self._system)
        sides = Sides()
        pair = stream(self.model, self.tokenizer, asked, [BASE, models.TUNED], sampling)
        streams: list[tuple[tuple[str, ...], Iterator[list[Answer]]]] = [(("base", "tuned"), pair)]
        if prompted:
            # Of the set that comes first in the run: what somebody would paste in before they tried to tune.
            examples = scoring.worked_examples(self.config, self._first_set())
            longer = with_examples(Item(prompt=asked, reference=""), examples)
            streams.append((("prompted base",), stream(self.model, self.tokenizer, longer, [BASE], sampling)))
        while streams:
            for names, answers in list(streams):
                step = next(answers, None)
                if step is None:
                    streams.remove((names, answers))
                else:
                    sides |= dict(zip(names, step, strict=True))
            if streams:
                yield dict(sides)

    @property
    def _system(self) -> str:
        return self.config.task.system_prompt

    def _first_set(self) -> str:
        held_out = [one.name for one in self.config.evaluation.held_out if one.name.startswith(STARTER_PREFIX)]
        return held_out[0] if held_out else self.config.data.sources[0].name


def load_comparison(run: Run) -> Comparison:
    """Load a run's base model and adapter (a second or two for the embedded model).

    Raises `ModelError` where the run has no adapter yet or the base cannot be had.
    """
    return load_adapter(run.config, run.adapter)


def load_adapter(config: RunConfig, adapter: Path) -> Comparison:
    """The same for an adapter's folder and the run file that it was trained with."""
    model, tokenizer = models.load_with_adapter(config, adapter)
    return Comparison(config, model, tokenizer)
