"""The Playground: one question, answered by the base and the tuned model side by side, token by token."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from assistant.pages.attribution_view import Asked, WordsFold
from assistant.pages.background import in_a_sentence, said
from assistant.pages.loaded import loaded
from assistant.pages.markdown import plain
from assistant.pages.style import QUIET, empty, html
from evaluators.generation import Answer, Sampling
from trainer import runs
from trainer.methods import saved
from trainer.runs import Run, RunError

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
            self.asked = gr.State(None)
            self.words: list[WordsFold] = []
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
            if side != "prompted base":  # its prompt holds worked examples too, and it is there to compare
                self.words.append(WordsFold(side))
        return column, text, speed

    def connect(self) -> None:
        """Every event of the page."""
        parts = [one for box in self.boxes for one in box]
        folds = [one for words in self.words for one in (words.fold, words.map)]
        shown = [self.status, self.answers, self.ask, self.stop, self.asked, *parts, *folds]
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
        for words in self.words:
            words.connect(self.asked)

    def open(self, identity: str | None) -> Updates:
        """The page with every run that has trained something; the newest is chosen where there is none of this id."""
        found = [run for run in runs.list_runs()[0] if run.weights]
        choices = [(runs.label(run), run.id) for run in found]
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
        return gr.HTML(said(sentence, tone), visible=True)

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
            comparison = loaded.get(run)
            asked = Asked(run.id, question.strip(), adapters or [])
            answers = comparison.ask(asked.question, sampling, prompted, asked.adapters)
            yield from self._stream(asked, answers, session, "" if comparison.together else TURNS)
        except Exception as error:  # whatever a library raises becomes one sentence, never a traceback on the page
            logging.getLogger(__name__).exception("no answer")
            yield self._idle() | {self.status: self._said(in_a_sentence(error), "bad")}

    def _waiting(self, run: Run, prompted: bool) -> Updates:
        loading = f"Loading {run.config.model.name} and what was trained…"
        sentence = "Reading the question…" if loaded.has(run) else loading
        page: Updates = {
            self.status: self._said(sentence),
            self.answers: gr.Row(visible=True),
            self.ask: gr.Button(visible=False),
            self.stop: gr.Button(visible=True),
        }
        for side, (column, text, speed) in zip(SIDES, self.boxes, strict=True):
            page |= {column: gr.Column(visible=prompted or side != "prompted base"), text: "", speed: ""}
        return page | self._answered(None)

    def _stream(
        self, asked: Asked, answers: Iterator[dict[str, Answer]], session: str, remark: str
    ) -> Iterator[Updates]:
        drawn, last = 0.0, {}
        answering = self._said(remark) if remark else gr.HTML(visible=False)
        while session not in _stopped and (sides := loaded.step(answers)) is not None:
            last = sides
            if time.perf_counter() - drawn >= DRAW_SECONDS:
                first, drawn = drawn == 0.0, time.perf_counter()
                yield self._sides(last) | ({self.status: answering} if first else {})
        cut = "stopped" if session in _stopped else "cut at the longest answer"
        _stopped.discard(session)
        answered = replace(asked, answers={side: answer.text for side, answer in last.items()})
        yield self._sides(last, cut) | self._idle() | self._answered(answered) | {self.status: answering}

    def _answered(self, asked: Asked | None) -> Updates:
        """What the folds under the answers go by; None while there is no whole answer."""
        page: Updates = {self.asked: asked}
        for words in self.words:
            page |= words.when(asked)
        return page

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
