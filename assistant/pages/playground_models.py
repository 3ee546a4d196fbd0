"""Which two models answer: any run's tuned model, base or checkpoint, and which of a run's adapters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from assistant.pages.style import QUIET
from trainer import model_refs, runs
from trainer.methods import saved
from trainer.model_refs import BASE, TUNED, ModelRef
from trainer.runs import RunError

Updates = dict[Any, Any]


def ref(text: str | None) -> ModelRef:
    """The model of a choice in the lists. Raises `RunError` where none is chosen."""
    if not text:
        raise RunError("Choose two models first.")
    run, _, part = text.partition(":")
    return ModelRef(run=run, part=part or TUNED)


class Models:
    """Two lists of models, each with a list of adapters where the run has several."""

    def __init__(self) -> None:
        self.run = gr.State(None)
        """Id of the run whose model the user chose last."""
        self.chosen, self.adapters = [], []
        with gr.Row(elem_id="play-models"):
            for place, label in (("first", "One model"), ("second", "Another model")):
                with gr.Column(min_width=280):
                    self.chosen.append(gr.Dropdown([], label=label, elem_id=f"play-{place}", filterable=False))
                    self.adapters.append(
                        gr.Dropdown(
                            [],
                            label="Adapter that answers",
                            info="Each was trained on its own rows; prefixes and bottleneck adapters go together",
                            multiselect=True,
                            visible=False,
                            filterable=False,
                            elem_id=f"play-{place}-adapters",
                        )
                    )
        self.outputs = [*self.chosen, *self.adapters]

    def connect(self, changed: Callable[[str | None, str | None], Updates], outputs: list[Any]) -> None:
        """The lists' events; `changed` gives the page's updates, within `outputs`, for the two that are chosen."""
        for place, (model, adapters) in enumerate(zip(self.chosen, self.adapters, strict=True)):

            def choose(first: str | None, second: str | None, place: int = place, adapters: Any = adapters) -> Updates:
                text = (first, second)[place]
                return {self.run: ref(text).run, adapters: _adapters(text), **changed(first, second)}

            model.input(choose, self.chosen, [self.run, adapters, *outputs], **QUIET)

    def open(
        self, identity: str | None, first: str | None, second: str | None
    ) -> tuple[Updates, str | None, str | None]:
        """The lists with all that can answer now, and the two that are chosen; None of each where nothing can.

        Those that stand there stay if one is of the run `identity`; else it is that run's base and its tuned model, or
        the newest run's where there is none of this id.
        """
        choices: list[tuple[str, str]] = []
        for run in runs.list_runs()[0]:
            choices += [(model_refs.part_label(one.part, run), str(one)) for one in model_refs.of_run(run)]
        known = [value for _, value in choices]
        stays = first in known and second in known
        if not stays or (identity in known and identity not in (ref(first).run, ref(second).run)):
            second = identity if identity in known else next(iter(known), None)
            first = str(ModelRef(run=second, part=BASE)) if second else None
        page: Updates = {}
        for model, adapters, text in zip(self.chosen, self.adapters, (first, second), strict=True):
            page |= {model: gr.Dropdown(choices, value=text), adapters: _adapters(text)}
        return page, first, second


def sample_question(text: str | None) -> str:
    """A question that the model's run asks while it trains; empty where it has none."""
    try:
        return next(iter(runs.get(ref(text).run).config.evaluation.sample_prompts), "")
    except RunError:
        return ""


def _adapters(text: str | None) -> Any:
    try:
        found = ref(text)
        names = [] if found.is_base else saved.names(runs.get(found.run).adapter)
    except RunError:
        names = []
    choices = [(name.partition("_")[2].replace("_", " "), name) for name in names]
    return gr.Dropdown(choices, value=names[:1], multiselect=True, visible=len(names) > 1)
