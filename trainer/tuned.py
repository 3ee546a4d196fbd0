"""What a run trained, loaded from its folder: base and tuned model, from one copy of the weights where possible.

Adapters of all kinds are switched off for the base. Full tuning changed the weights themselves, so there the base is
loaded by itself: both at once where somebody compares them, else one after the other.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trainer import models
from trainer.data.inspection.assignment import assign
from trainer.data.rows import Row
from trainer.method_sections import Per
from trainer.methods import MethodError, full, saved
from trainer.methods.groups import adapter_names
from trainer.models import ModelError
from trainer.runs import MODEL, Run

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Tuned:
    """A run's model, ready to answer. `adapters` are the names of what was trained, one for most runs.

    `mixes` says whether base and tuned can answer in one batch (`evaluators.generation.stream`).
    """

    def __init__(self, run: Run, both: bool = False):
        """Load it; `both`: keep a fully tuned model and its base in memory at once.

        Raises `ModelError` where nothing was trained yet or the base cannot be had.
        """
        if not run.weights:
            raise ModelError(f"{run.id} has trained nothing yet; the run has to finish its training first.")
        self.run = run
        self.tokenizer: PreTrainedTokenizerBase
        self._both = both
        self._loaded: dict[bool, Any] = {}
        self.whole = run.config.method.kind == "full"
        self.adapters = [] if self.whole else saved.names(run.adapter)
        self.mixes = not self.whole and saved.can_mix(run.adapter)
        self.side(tuned=True)

    def side(self, tuned: bool) -> Any:
        """The model that answers as the base or as the tuned one; for evaluators, which switch adapters themselves."""
        side = tuned if self.whole else True
        if side not in self._loaded:
            if not self._both:
                self._loaded.clear()
                gc.collect()
            self._loaded[side] = self._load(tuned)
        return self._loaded[side]

    def choose(self, names: list[str]) -> None:
        """Which of the trained adapters answer: one, or several composed; the first where none is named.

        Raises `ModelError` for a name that there is not, and for kinds that cannot be composed.
        """
        if unknown := [name for name in names if name not in self.adapters]:
            raise ModelError(f"There is no adapter {unknown[0]!r} in this run; it has {', '.join(self.adapters)}.")
        if not self.adapters:
            return
        try:
            saved.choose(self.side(tuned=True), names or self.adapters[:1])
        except MethodError as error:
            raise ModelError(str(error)) from None

    def adapters_for(self, rows: Sequence[Row]) -> list[str]:
        """The adapter that was trained on what most of these rows are, where each task or specialty has its own.

        None named where no row's is known or trained: the first then answers, as for all others.
        """
        per: Per = getattr(self.run.config.method, "per", "run")
        if per == "run":
            return []
        for row in rows:
            assign(row)
        found = Counter(group for row in rows if (group := row["about"].get(per)))
        if not found:
            return []
        names = adapter_names(per, [str(group) for group, _ in found.most_common()])
        return [name for name in names.values() if name in self.adapters][:1]

    def _load(self, tuned: bool) -> Any:
        if self.whole and tuned:
            model, self.tokenizer = full.load(self.run.folder / MODEL, self.run.config)
            # Where somebody takes it for its own base, `evaluators.sides` refuses.
            model.is_fully_tuned = True  # pyright: ignore
        else:
            model, self.tokenizer, _ = models.load_base(self.run.config)
            if not self.whole:
                model = saved.load(model, self.run.adapter)
        return model.eval()
