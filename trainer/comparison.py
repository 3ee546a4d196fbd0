"""One trained run, ready to answer: base and tuned side by side, from one copy of the base's weights if possible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evaluators.generation import BASE, Answer, Sampling, stream, stream_alone
from evaluators.held_out import Item, with_examples
from trainer import scoring
from trainer.data.sources import STARTER_PREFIX
from trainer.data.tokens import conversation
from trainer.runs import Run
from trainer.tuned import Tuned

Sides = dict[str, Answer]


class Comparison:
    """A loaded base with what a run trained. Not safe for two questions at once: callers take turns."""

    def __init__(self, tuned: Tuned):
        self.config = tuned.run.config
        self.tuned = tuned

    @property
    def adapters(self) -> list[str]:
        """What can be chosen to answer: one name, or one for each task or specialty."""
        return self.tuned.adapters

    @property
    def together(self) -> bool:
        """Whether base and tuned share a batch; else they take turns, token by token."""
        return self.tuned.mixes

    def ask(
        self, question: str, sampling: Sampling, prompted: bool = False, adapters: Sequence[str] = ()
    ) -> Iterator[Sides]:
        """Answers so far after every token: `base`, `tuned`, and with `prompted` also `prompted base`.

        `adapters` are those that answer on the tuned side; the first where none is named. Base and tuned share a batch
        where the method allows it, and always the same sampling settings and seed. The prompted base (two worked
        examples from the training data in its prompt) has a longer prompt and takes turns with them, so that no
        side is padded. Close the iterator to stop. Raises `ModelError` for an adapter that there is not.
        """
        tokenizer = self.tuned.tokenizer
        asked = conversation([{"role": "user", "content": question}], self._system)
        self.tuned.choose(list(adapters))
        base, tuned = self.tuned.side(tuned=False), self.tuned.side(tuned=True)
        sides = Sides()
        streams: list[tuple[tuple[str, ...], Iterator[list[Answer]]]] = []
        if self.together:
            pair = stream(tuned, tokenizer, [asked] * 2, [BASE, tuned.active_adapter], sampling)
            streams.append((("base", "tuned"), pair))
        else:
            streams.append((("base",), stream_alone(base, tokenizer, asked, False, sampling)))
            streams.append((("tuned",), stream_alone(tuned, tokenizer, asked, True, sampling)))
        if prompted:
            # Of the set that comes first in the run: what somebody would paste in before they tried to tune.
            examples = scoring.worked_examples(self.config, self._first_set())
            longer = with_examples(Item(prompt=asked, reference=""), examples)
            streams.append((("prompted base",), stream_alone(base, tokenizer, longer, False, sampling)))
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
    """Load a run's base model and what was trained (a second or two for the embedded model).

    Raises `ModelError` where the run has trained nothing yet or the base cannot be had.
    """
    return Comparison(Tuned(run, both=True))
