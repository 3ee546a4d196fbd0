"""What a run trained, loaded from its folder: base and tuned model, from one copy of the weights where possible.

Adapters of all kinds are switched off for the base. Full tuning changed the weights themselves, so there the base is
loaded by itself: both at once where somebody compares them, else one after the other. A checkpoint holds what was
trained as the trainer had it: it is put on an untrained model of the same run file, and saved as a run's end is.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer import config as run_config
from trainer import models
from trainer.data.inspection.assignment import assign
from trainer.data.rows import Row
from trainer.errors import ModelError
from trainer.method_sections import LoraMethod, Per
from trainer.methods import MethodError, saved
from trainer.methods.groups import BENEATH, adapter_names
from trainer.model_refs import TUNED
from trainer.runs import ADAPTER, CHECKPOINTS, MODEL, Run

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Tuned:
    """A run's model, ready to answer. `adapters` are the names of what was trained, one for most runs.

    `mixes` says whether base and tuned can answer in one batch (`evaluators.generation.stream`).
    """

    def __init__(self, run: Run, both: bool = False, part: str = TUNED):
        """Load it; `both`: keep a fully tuned model and its base in memory at once; `part`: a checkpoint's name.

        Raises `ModelError` where nothing was trained yet or the base cannot be had.
        """
        if run.config.objective.kind == "reward":
            raise ModelError(
                f"{run.id} is a reward model: it rates answers and gives none. Name it in a run's objective."
            )
        if not run.weights:
            raise ModelError(f"{run.id} has trained nothing yet; the run has to finish its training first.")
        self.run = run
        self.part = part
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
        config = self.run.config
        if self.whole and tuned and self.part == TUNED:
            from trainer.methods import full

            model, self.tokenizer = full.load(self.run.folder / MODEL, config)
        else:
            model, self.tokenizer, _ = models.load_base(config)
        if self.whole and tuned:
            if self.part != TUNED:
                saved.set_training_state(model, _state(self.run, self.part))
            # Where somebody takes it for its own base, `evaluators.sides` refuses.
            model.is_fully_tuned = True  # pyright: ignore
        elif not self.whole:
            with adapter_folder(self.run, self.part) as folder:
                model = saved.load(model, folder)
        return model.eval()


@contextmanager
def adapter_folder(run: Run, part: str) -> Iterator[Path]:
    """Where a run's adapters stand, as `saved.load` reads them: its own folder, or of a checkpoint one that is made.

    Raises `ModelError` where the checkpoint is no longer there, and `MethodError` where it is not of this run file.
    """
    if part == TUNED:
        yield run.adapter
        return
    with run_config.temporary() as place:
        folder = Path(place) / ADAPTER
        _save_checkpoint(run, part, folder)
        yield folder


def _save_checkpoint(run: Run, part: str, folder: Path) -> None:
    from trainer.methods.apply import apply

    state = _state(run, part)
    config = run.config.model_copy(deep=True)
    if isinstance(config.method, LoraMethod):
        config.method = _as_trained(config.method, state)
    per: Per = getattr(config.method, "per", "run")
    groups = [name.removeprefix(f"{per}_") for name in saved.names(run.adapter)] if per != "run" else []
    below = sorted(run.adapter.glob(f"{BENEATH}*"), key=lambda one: int(one.name.removeprefix(BENEATH)))
    base, _, _ = models.load_base(config)
    model = apply(base, config, groups, run.status.total_steps, below=below)
    saved.set_training_state(model, state)
    saved.save(model, config, folder)


def _as_trained(method: LoraMethod, state: dict[str, Any]) -> LoraMethod:
    """The method that makes an adapter of the checkpoint's shape: with the rank that was found, where it was searched,
    and without looking at rows for a start that the checkpoint replaces.
    """
    from trainer.steering.rank_search import with_rank

    if method.search_rank:
        method = with_rank(method, next(len(one) for name, one in state.items() if ".lora_A." in name))
    return method.model_copy(update={"init": "zero"}) if method.init == "eva" else method


def _state(run: Run, part: str) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from trainer.objectives.run_trainer import WEIGHTS

    path = run.folder / CHECKPOINTS / part / WEIGHTS
    try:
        return load_file(path)
    except OSError:
        raise ModelError(
            f"{part} of the run {run.id} is not there any more; a run keeps its last checkpoints alone. Choose another."
        ) from None
    except SafetensorError as error:
        raise ModelError(f"{part} of the run {run.id} is damaged ({error}). Choose another.") from None
