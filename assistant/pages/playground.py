"""The Playground: one question, answered by the base and the tuned model side by side, token by token."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from assistant.pages.markdown import plain
from assistant.pages.runs import label
from assistant.pages.style import empty, html
from evaluators.generation import Answer, Sampling
from trainer import runs
from trainer.runs import Run, RunError

if TYPE_CHECKING:
    from trainer.comparison import Comparison

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
DRAW_SECONDS = 0.08  # a page that is drawn more often than this reads no better and costs the model its time
SIDES = {"base": "Base", "tuned": "Tuned", "prompted base": "Base, prompted"}
Updates = dict[Any, Any]


@dataclass
class PlaygroundPage:
    """What other pages need of this one: `open(run_id)` gives the updates of `outputs` that show this run."""

    select: Any
    outputs: list[Any]
    open: Callable[[str | None], Updates]


def build() -> PlaygroundPage:
    """Draw the page (within a tab) and connect it."""
    page = _Page()
    page.connect()
    return PlaygroundPage(select=page.select, outputs=page.outputs, open=page.open)


class _Loaded:
    """The one comparison that the app keeps in memory; loading another run's drops it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.key: tuple[str, float] | None = None
        self.comparison: Comparison | None = None

    def has(self, run: Run) -> bool:
        """Is this run, as it is trained now, the one in memory?"""
        return self.comparison is not None and self.key == _key(run)

    def get(self, run: Run) -> Comparison:
        """The run's comparison, loaded where it is not the one in memory; the caller holds `lock`."""
        if self.comparison is None or self.key != _key(run):
            from trainer.comparison import load_comparison

            self.comparison = None  # two models at once may not fit
            self.comparison = load_comparison(run)
            self.key = _key(run)
        return self.comparison


def _key(run: Run) -> tuple[str, float]:
    # A run that was resumed has a new adapter under the same id.
    return run.id, (run.adapter / "adapter_model.safetensors").stat().st_mtime


_loaded = _Loaded()


class _Page:
    """The page's components, and what each event does to them."""

    def __init__(self) -> None:
        self.nothing = html(
            empty("Nothing to ask yet", "When a run has finished, its tuned model answers here beside the base model."),
            elem_id="play-empty",
        )
        with gr.Column(visible=False, elem_id="play-body") as self.body:
            self.select = gr.Dropdown([], label="Run", elem_id="play-select", filterable=False)
            self.question = gr.Textbox(
                label="Question",
                placeholder="Ask both models the same question",
                lines=2,
                max_lines=8,
                elem_id="play-question",
            )
            with gr.Row(elem_id="play-actions"):
                self.ask = gr.Button("Ask", variant="primary", scale=0, min_width=120, elem_id="play-ask")
                self.stop = gr.Button(
                    "Stop", variant="stop", scale=0, min_width=120, visible=False, elem_id="play-stop"
                )
                self.prompted = gr.Checkbox(
                    label="Also the base with instructions and examples in its prompt",
                    container=False,
                    scale=1,
                    min_width=260,
                    elem_id="play-prompted-too",
                )
            self._draw_settings()
            self.status = html(visible=False, elem_id="play-status")
            with gr.Row(equal_height=True, visible=False, elem_id="play-answers") as self.answers:
                self.boxes = [self._draw_side(side) for side in SIDES]
        self.outputs = [self.nothing, self.body, self.select, self.question]

    def _draw_settings(self) -> None:
        fields = Sampling.model_fields
        with gr.Accordion("Settings, the same for every side", open=False, elem_id="play-settings"), gr.Row():
            self.settings = [
                gr.Slider(
                    0.0,
                    2.0,
                    value=fields["temperature"].default,
                    step=0.1,
                    label="Temperature",
                    info="0 takes the likeliest token",
                    elem_id="play-temperature",
                ),
                gr.Slider(
                    0.05,
                    1.0,
                    value=fields["top_p"].default,
                    step=0.05,
                    label="Top-p",
                    info="Of no effect at temperature 0",
                    elem_id="play-top-p",
                ),
                gr.Number(
                    fields["seed"].default, label="Seed", info="Same seed, same draw", precision=0, elem_id="play-seed"
                ),
                gr.Number(
                    fields["max_new_tokens"].default,
                    label="Longest answer",
                    info="In tokens",
                    precision=0,
                    elem_id="play-max",
                ),
            ]

    def _draw_side(self, side: str) -> tuple[Any, Any, Any]:
        name = side.split(maxsplit=1)[0]
        classes = ["bs-answer", f"bs-answer-{name}"]
        with gr.Column(min_width=280, elem_classes=classes, visible=side != "prompted base") as column:
            html(f"<h3>{SIDES[side]}</h3>")
            text = gr.Markdown(elem_id=f"play-{name}", sanitize_html=True, latex_delimiters=[], line_breaks=True)
            speed = html(elem_id=f"play-{name}-speed")
        return column, text, speed

    def connect(self) -> None:
        """Every event of the page."""
        parts = [one for box in self.boxes for one in box]
        shown = [self.status, self.answers, self.ask, self.stop, *parts]
        inputs = [self.select, self.question, self.prompted, *self.settings]
        asking = gr.on(
            [self.ask.click, self.question.submit],
            self._ask,
            inputs,
            shown,
            concurrency_limit=1,
            concurrency_id="generation",
            **QUIET,
        )
        self.stop.click(self._idle, None, [self.ask, self.stop, self.status], cancels=[asking], queue=False, **QUIET)
        self.select.input(self._questions, self.select, self.question, **QUIET)

    def open(self, identity: str | None) -> Updates:
        """The page with every run that has an adapter; the newest is chosen where there is none of this id."""
        found = [run for run in runs.list_runs()[0] if (run.adapter / "adapter_model.safetensors").exists()]
        choices = [(label(run), run.id) for run in found]
        known = [run.id for run in found]
        chosen = identity if identity in known else next(iter(known), None)
        return {
            self.nothing: gr.HTML(visible=not found),
            self.body: gr.Column(visible=bool(found)),
            self.select: gr.Dropdown(choices, value=chosen),
            self.question: self._questions(chosen),
        }

    def _questions(self, identity: str | None) -> Any:
        """A first question of the run's own as the placeholder."""
        try:
            asked = runs.get(identity or "").config.evaluation.sample_prompts
        except RunError:
            asked = []
        return gr.Textbox(placeholder=f"For example: {asked[0]}" if asked else "Ask both models the same question")

    def _idle(self) -> Updates:
        return {self.ask: gr.Button(visible=True), self.stop: gr.Button(visible=False), self.status: gr.HTML("")}

    def _said(self, sentence: str, tone: str = "quiet") -> Any:
        return gr.HTML(f'<div class="bs-notice bs-{tone}" role="status">{escape(sentence)}</div>', visible=True)

    def _ask(
        self,
        identity: str | None,
        question: str,
        prompted: bool,
        temperature: float,
        top_p: float,
        seed: float | None,
        longest: float | None,
    ) -> Iterator[Updates]:
        """Both answers so far, again and again, until they end."""
        if not question.strip():
            yield {self.status: self._said("Write a question first.")}
            return
        try:
            sampling = Sampling(
                temperature=temperature, top_p=top_p, seed=int(seed or 0), max_new_tokens=int(longest or 0)
            )
        except ValueError:
            most = "The seed is 0 or more, and the longest answer 1 to 4096 tokens."
            yield {self.status: self._said(most, "warn")}
            return
        try:
            run = runs.get(identity or "")
            yield self._waiting(run, prompted)
            with _loaded.lock:
                yield from self._stream(_loaded.get(run).ask(question.strip(), sampling, prompted))
        except Exception as error:  # whatever a library raises becomes one sentence, never a traceback on the page
            sentence = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            yield self._idle() | {self.status: self._said(sentence, "bad")}

    def _waiting(self, run: Run, prompted: bool) -> Updates:
        sentence = "Reading the question…" if _loaded.has(run) else f"Loading {run.config.model.name} and the adapter…"
        page: Updates = {
            self.status: self._said(sentence),
            self.answers: gr.Row(visible=True),
            self.ask: gr.Button(visible=False),
            self.stop: gr.Button(visible=True),
        }
        for side, (column, text, speed) in zip(SIDES, self.boxes, strict=True):
            page |= {column: gr.Column(visible=prompted or side != "prompted base"), text: "", speed: ""}
        return page

    def _stream(self, answers: Iterator[dict[str, Answer]]) -> Iterator[Updates]:
        drawn, last = 0.0, {}
        for last in answers:
            if time.perf_counter() - drawn >= DRAW_SECONDS:
                first, drawn = drawn == 0.0, time.perf_counter()
                yield self._sides(last) | ({self.status: gr.HTML(visible=False)} if first else {})
        yield self._sides(last) | self._idle()

    def _sides(self, answers: dict[str, Answer]) -> Updates:
        page: Updates = {}
        for side, (_, text, speed) in zip(SIDES, self.boxes, strict=True):
            if side in answers:
                answer = answers[side]
                page |= {text: plain(answer.text), speed: _speed(answer)}
        return page


def _speed(answer: Answer) -> str:
    end = "" if answer.finished else ", not ended"
    words = f"{answer.tokens} tokens{end} · {answer.tokens_per_second:.1f} tokens/s"
    return f'<p class="bs-soft">{words}</p>'
