"""The Playground: one question, answered by the base and the tuned model side by side, token by token."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from assistant.pages.markdown import plain
from assistant.pages.runs import label
from assistant.pages.style import QUIET, empty, html
from evaluators.generation import Answer, Sampling
from trainer import runs
from trainer.methods import saved
from trainer.runs import Run, RunError

if TYPE_CHECKING:
    from trainer.comparison import Comparison

DRAW_SECONDS = 0.08  # a page that is drawn more often than this reads no better and costs the model its time
SIDES = {"base": "Base", "tuned": "Tuned", "prompted base": "Base, prompted"}
TURNS = "This method cannot put both sides into one batch: they take turns, token by token."
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
    """The one comparison that the app keeps in memory; loading another run's drops it.

    The lock is held for a load or a single token, never while a page is drawn: an answer that is stopped is simply
    not asked for its next token, and would otherwise keep the lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[str, float] | None = None
        self._comparison: Comparison | None = None

    def has(self, run: Run) -> bool:
        """Is this run, as it is trained now, the one in memory?"""
        return self._comparison is not None and self._key == _key(run)

    def get(self, run: Run) -> Comparison:
        """The run's comparison, loaded where it is not the one in memory."""
        with self._lock:
            if self._comparison is None or self._key != _key(run):
                from trainer.comparison import load_comparison

                self._comparison = None  # two models at once may not fit
                self._comparison = load_comparison(run)
                self._key = _key(run)
            return self._comparison

    def step(self, answers: Iterator[dict[str, Answer]]) -> dict[str, Answer] | None:
        """The answers after one more token; None at their end."""
        with self._lock:
            return next(answers, None)


def _key(run: Run) -> tuple[str, float]:
    # A run that was resumed has a new adapter under the same id.
    return run.id, run.weights[0].stat().st_mtime


_loaded = _Loaded()
_stopped: set[str] = set()  # sessions whose Stop button was pressed


class _Page:
    """The page's components, and what each event does to them."""

    def __init__(self) -> None:
        self.nothing = html(
            empty("Nothing to ask yet", "When a run has finished, its tuned model answers here beside the base model."),
            elem_id="play-empty",
        )
        with gr.Column(visible=False, elem_id="play-body") as self.body:
            self.select = gr.Dropdown([], label="Run", elem_id="play-select", filterable=False)
            self.adapters = gr.Dropdown(
                [],
                label="Adapter that answers",
                info="Each was trained on its own rows; prefixes and bottleneck adapters can be put together",
                multiselect=True,
                visible=False,
                filterable=False,
                elem_id="play-adapters",
            )
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
        self.outputs = [self.nothing, self.body, self.select, self.adapters, self.question]

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
        inputs = [self.select, self.adapters, self.question, self.prompted, *self.settings]
        # Said at once: the answer itself may have to wait for another window's.
        asked = gr.on(
            [self.ask.click, self.question.submit],
            lambda: self._said("One moment…"),
            None,
            self.status,
            queue=False,
            **QUIET,
        )
        asked.then(
            self._ask,
            inputs,
            shown,
            concurrency_limit=1,
            concurrency_id="generation",
            **QUIET,
        )
        # Not Gradio's `cancels`: after an event that is cancelled before its first answer, the page asks no more.
        self.stop.click(self._stop, None, self.status, queue=False, **QUIET)
        self.select.input(self._of_run, self.select, [self.adapters, self.question], **QUIET)

    def open(self, identity: str | None) -> Updates:
        """The page with every run that has trained something; the newest is chosen where there is none of this id."""
        found = [run for run in runs.list_runs()[0] if run.weights]
        choices = [(label(run), run.id) for run in found]
        known = [run.id for run in found]
        chosen = identity if identity in known else next(iter(known), None)
        return {
            self.nothing: gr.HTML(visible=not found),
            self.body: gr.Column(visible=bool(found)),
            self.select: gr.Dropdown(choices, value=chosen),
            **self._of_run(chosen),
        }

    def _of_run(self, identity: str | None) -> Updates:
        """The run's adapters where it has several, and a first question of its own as the placeholder."""
        try:
            run = runs.get(identity or "")
            asked, names = run.config.evaluation.sample_prompts, saved.names(run.adapter)
        except RunError:
            asked, names = [], []
        words = f"For example: {asked[0]}" if asked else "Ask both models the same question"
        choices = [(name.partition("_")[2].replace("_", " "), name) for name in names]
        return {
            self.adapters: gr.Dropdown(choices, value=names[:1], visible=len(names) > 1),
            self.question: gr.Textbox(placeholder=words),
        }

    def _stop(self, request: gr.Request) -> Any:
        _stopped.add(str(request.session_hash))
        return self._said("Stopping…")

    def _idle(self) -> Updates:
        return {
            self.ask: gr.Button(visible=True),
            self.stop: gr.Button(visible=False),
            self.status: gr.HTML(visible=False),
        }

    def _said(self, sentence: str, tone: str = "quiet") -> Any:
        return gr.HTML(f'<div class="bs-notice bs-{tone}" role="status">{escape(sentence)}</div>', visible=True)

    def _ask(
        self,
        identity: str | None,
        adapters: list[str] | None,
        question: str,
        prompted: bool,
        temperature: float,
        top_p: float,
        seed: float | None,
        longest: float | None,
        request: gr.Request,
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
            session = str(request.session_hash)
            _stopped.discard(session)
            yield self._waiting(run, prompted)
            comparison = _loaded.get(run)
            answers = comparison.ask(question.strip(), sampling, prompted, adapters or [])
            yield from self._stream(answers, session, "" if comparison.together else TURNS)
        except Exception as error:  # whatever a library raises becomes one sentence, never a traceback on the page
            logging.getLogger(__name__).exception("no answer")
            sentence = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            yield self._idle() | {self.status: self._said(sentence, "bad")}

    def _waiting(self, run: Run, prompted: bool) -> Updates:
        loading = f"Loading {run.config.model.name} and what was trained…"
        sentence = "Reading the question…" if _loaded.has(run) else loading
        page: Updates = {
            self.status: self._said(sentence),
            self.answers: gr.Row(visible=True),
            self.ask: gr.Button(visible=False),
            self.stop: gr.Button(visible=True),
        }
        for side, (column, text, speed) in zip(SIDES, self.boxes, strict=True):
            page |= {column: gr.Column(visible=prompted or side != "prompted base"), text: "", speed: ""}
        return page

    def _stream(self, answers: Iterator[dict[str, Answer]], session: str, said: str) -> Iterator[Updates]:
        drawn, last = 0.0, {}
        answering = self._said(said) if said else gr.HTML(visible=False)
        while session not in _stopped and (sides := _loaded.step(answers)) is not None:
            last = sides
            if time.perf_counter() - drawn >= DRAW_SECONDS:
                first, drawn = drawn == 0.0, time.perf_counter()
                yield self._sides(last) | ({self.status: answering} if first else {})
        cut = "stopped" if session in _stopped else "cut at the longest answer"
        _stopped.discard(session)
        yield self._sides(last, cut) | self._idle() | {self.status: answering}

    def _sides(self, answers: dict[str, Answer], cut: str = "") -> Updates:
        page: Updates = {}
        for side, (_, text, speed) in zip(SIDES, self.boxes, strict=True):
            if side in answers:
                answer = answers[side]
                page |= {text: plain(answer.text), speed: _speed(answer, cut)}
        return page


def _speed(answer: Answer, cut: str) -> str:
    end = f", {cut}" if cut and not answer.finished else ""
    return f'<p class="bs-soft">{answer.tokens} tokens{end} · {answer.tokens_per_second:.1f} tokens/s</p>'
