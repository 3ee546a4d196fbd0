"""The Playground: one question, answered by any two models side by side, token by token, and judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from assistant import fault_log, zero_gpu
from assistant.pages import playground_models, playground_settings, playground_talk
from assistant.pages.background import in_a_sentence, said
from assistant.pages.loaded import loaded
from assistant.pages.playground_answers import AnswersView
from assistant.pages.playground_cases import CasesFold
from assistant.pages.playground_import import ImportFold
from assistant.pages.playground_models import Models, ref
from assistant.pages.playground_settings import Settings
from assistant.pages.playground_talk import Talk
from assistant.pages.style import QUIET, empty, html, page_title
from assistant.pages.vote_form import VoteForm
from trainer import actor, hardware
from trainer.review.prompts import Prompt

DRAW_SECONDS = 0.08  # a page that is drawn more often than this reads no better and costs the model its time
# Ctrl+Enter asks, also while the question is being written.
_ASK_BY_KEY = """
if (!window.bedsideAsks) {
  window.bedsideAsks = true;
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    const ask = document.querySelector('#play-ask');
    if (ask && ask.offsetParent !== null) { event.preventDefault(); ask.click(); }
  });
}
"""
_KEEP = "(name) => { localStorage.setItem('bedside-reader', name); }"
_RECALL = "(...given) => [...given.slice(0, -1), given.at(-1) || localStorage.getItem('bedside-reader') || '']"
Updates = dict[Any, Any]


@dataclass
class PlaygroundPage:
    """What other pages need of this one: `open(run_id, *select)` gives the updates of `outputs` that show this run.

    `run` changes to a run's id when the user chooses one of its models.
    """

    run: gr.State
    select: list[Any]
    outputs: list[Any]
    open: Callable[..., Updates]
    load: Callable[[Any], Any]


def build() -> PlaygroundPage:
    """Draw the page (within a tab) and connect it."""
    page = _Page()
    page.connect()
    return PlaygroundPage(
        run=page.models.run,
        select=page.select,
        outputs=page.outputs,
        open=page.open,
        load=lambda demo: demo.load(
            lambda *given: page.open(None, *given), page.select, page.outputs, js=_RECALL, **QUIET
        ),
    )


_stopped: set[str] = set()  # sessions whose Stop button was pressed


@zero_gpu.borrows_gpu
def answers(talk: Talk, prompted: bool, count: int) -> Iterator[tuple[Talk, str]]:
    """The conversation with the answers so far, after each token, and what has to be said of the two models; see
    `playground_talk.answers`."""
    pairing = loaded.get(talk.first, talk.second)
    if hardware.is_zero_gpu():
        pairing.move(zero_gpu.DEVICE)
    remark = " ".join(pairing.remarks)
    found = playground_talk.answers(talk, pairing, prompted, count)
    while (step := loaded.step(found)) is not None:
        yield step, remark


class _Page:
    """The page's components, and what each event does to them."""

    def __init__(self) -> None:
        page_title("Playground")
        self.talk = gr.State(None)
        self.nothing = html(
            empty(
                "Nothing to ask yet",
                "When a run has finished, its tuned model answers here beside the base model, or beside any other. An "
                "adapter that was trained elsewhere can be brought in below.",
            ),
            elem_id="play-empty",
        )
        with gr.Column(visible=False, elem_id="play-body") as self.body:
            self.models = Models()
            self.question = gr.Textbox(
                label="Question",
                placeholder="Ask both models the same question",
                lines=2,
                max_lines=8,
                elem_id="play-question",
            )
            self.cases = CasesFold(self.question)
            self._draw_actions()
            self.settings = Settings()
            self.status = html(visible=False, elem_id="play-status")
            self.answers = AnswersView()
            self.form = VoteForm("play")
        self.bring = ImportFold()
        self.select = [*self.models.chosen, self.reviewer]
        self.outputs = [
            self.nothing, self.body, self.reviewer, self.question, self.prompted,
            *self.models.outputs, *self.cases.outputs, *self.bring.outputs,
        ]  # fmt: skip

    def _draw_actions(self) -> None:
        with gr.Row(elem_id="play-who"):
            self.reviewer = gr.Textbox(
                label="Your name, to vote", info="Votes are kept under it, with the question and both answers",
                max_lines=1, min_width=260, elem_id="play-reviewer",
            )  # fmt: skip
            with gr.Column(min_width=260, elem_id="play-how"):
                self.blind = gr.Checkbox(
                    label="Blind: sides shuffled, names after the vote", container=False,
                    elem_id="play-blind", elem_classes=["bs-switch"],
                )  # fmt: skip
                self.prompted = gr.Checkbox(
                    label="Also the base with instructions and examples in its prompt", container=False,
                    elem_id="play-prompted-too", elem_classes=["bs-switch"],
                )  # fmt: skip
        with gr.Row(elem_id="play-actions"):
            self.ask = gr.Button("Ask", variant="primary", scale=0, min_width=120, elem_id="play-ask")
            self.further = gr.Button(
                "Ask as a follow-up", scale=0, min_width=120, visible=False, elem_id="play-further"
            )
            self.stop = gr.Button("Stop", variant="stop", scale=0, min_width=120, visible=False, elem_id="play-stop")
            html('<p class="bs-soft">Ctrl+Enter asks.</p>', js_on_load=_ASK_BY_KEY)

    def connect(self) -> None:
        """Every event of the page."""
        buttons = [self.ask, self.further, self.stop]
        shown = [self.status, *buttons, self.talk, self.reviewer, *self.answers.outputs, *self.form.outputs]
        chosen = [*self.models.chosen, *self.models.adapters, self.question, self.cases.prompt]
        new = [*chosen, self.blind, self.reviewer, self.prompted, *self.settings.values]
        further = [self.question, self.settings.values[-1], self.talk]
        for triggers, work, inputs in (
            ([self.ask.click, self.question.submit], self._ask, new),
            ([self.further.click], self._ask_further, further),
        ):
            # Said at once: the answer itself may have to wait for another window's.
            asked = gr.on(triggers, lambda: self._said("One moment…"), None, self.status, queue=False, **QUIET)
            asked.then(work, inputs, shown, concurrency_limit=1, concurrency_id="generation", **QUIET)
        # Not Gradio's `cancels`: after an event that is cancelled before its first answer, the page asks no more.
        self.stop.click(self._stop, None, self.status, queue=False, **QUIET)
        self.models.connect(self._of_models, [self.question, self.prompted])
        self.cases.connect()
        self.bring.connect(self._brought, self.outputs)
        self.reviewer.change(None, self.reviewer, None, js=_KEEP)
        self.answers.connect(self.talk)
        self.form.connect(self.talk, self.reviewer, self._voted, shown, playground_talk.sides, playground_talk.keep)

    def open(self, identity: str | None, first: str | None, second: str | None, reviewer: str) -> Updates:
        """The page with every model that can answer; the two that stand there stay, if one is of the run `identity`.

        Otherwise the run's base and its tuned model, or the newest run's where there is none of this id.
        """
        page, first, second = self.models.open(identity, first, second)
        person = actor.now()
        return {
            self.nothing: gr.HTML(visible=not second),
            self.body: gr.Column(visible=bool(second)),
            self.reviewer: gr.Textbox(person.name, interactive=False) if person.role else reviewer,
            **page,
            **self._of_models(first, second),
            **self.cases.open(),
        }

    def _of_models(self, first: str | None, second: str | None) -> Updates:
        """A first question as the placeholder, and whether a base could be shown examples."""
        asked = playground_models.sample_question(second)
        words = f"For example: {asked}" if asked else "Ask both models the same question"
        bases = [one for one in (first, second) if one and ref(one).is_base]
        return {
            self.question: gr.Textbox(placeholder=words),
            self.prompted: gr.Checkbox(visible=True) if len(bases) == 1 else gr.Checkbox(value=False, visible=False),
        }

    def _brought(self, run: str) -> Updates:
        """The page once an adapter was brought in: it stands against its base."""
        page = self.open(run, None, None, "")
        page.pop(self.reviewer)
        return page

    def _stop(self, request: gr.Request) -> Any:
        _stopped.add(str(request.session_hash))
        return self._said("Stopping…")

    def _said(self, sentence: str, tone: str = "quiet") -> Any:
        return gr.HTML(said(sentence, tone), visible=True)

    def _idle(self, talk: Talk | None) -> Updates:
        return {
            self.ask: gr.Button(visible=True),
            self.further: gr.Button(visible=talk is not None and bool(talk.said["first"])),
            self.stop: gr.Button(visible=False),
            self.status: gr.HTML(visible=False),
        }

    def _ask(
        self,
        first: str | None,
        second: str | None,
        first_adapters: list[str] | None,
        second_adapters: list[str] | None,
        question: str,
        prompt: Prompt | None,
        blind: bool,
        reviewer: str,
        prompted: bool,
        temperature: float,
        top_p: float,
        seed: float | None,
        longest: float | None,
        count: float | None,
        request: gr.Request,
    ) -> Iterator[Updates]:
        """A new question to both: their answers so far, again and again, until they end."""

        def begin() -> tuple[Talk, bool, int]:
            sampling = playground_settings.sampling(temperature, top_p, seed, longest)
            asked = question.strip()
            same = prompt is not None and prompt.question.strip() == asked
            new = playground_talk.begin(
                ref(first),
                ref(second),
                prompt if prompt is not None and same else Prompt(messages=[{"role": "user", "content": asked}]),
                sampling,
                {"first": first_adapters or [], "second": second_adapters or []},
                reviewer,
                blind,
            )
            drawn = playground_settings.draws(count, sampling)
            if prompted and (blind or drawn > 1):
                raise ValueError("Examples are shown beside two answers with names; take them away, or ask so.")
            return new, prompted, drawn

        yield from _whole(self._answer(question, begin, request))

    def _ask_further(self, question: str, count: float | None, talk: Talk, request: gr.Request) -> Iterator[Updates]:
        """One more question in the same conversation."""

        def begin() -> tuple[Talk, bool, int]:
            further = playground_talk.follow_up(talk, question.strip())
            return further, False, playground_settings.draws(count, talk.sampling)

        yield from _whole(self._answer(question, begin, request))

    def _answer(
        self,
        question: str,
        begin: Callable[[], tuple[Talk, bool, int]],
        request: gr.Request,
    ) -> Iterator[Updates]:
        if not question.strip():
            yield {self.status: self._said("Write a question first.")}
            return
        session = str(request.session_hash)
        _stopped.discard(session)
        try:
            talk, prompted, count = begin()
        except Exception as error:  # whatever was written that cannot be asked
            yield {self.status: self._said(in_a_sentence(error), "warn")}
            return
        try:
            yield self._waiting(talk, prompted)
            yield from self._stream(talk, answers(talk, prompted, count), session)
        except Exception as error:  # whatever a library raises becomes one sentence, never a traceback on the page
            fault_log.write("no answer", error)
            page = {self.talk: None, self.reviewer: _name_box()}
            yield self._idle(None) | page | {self.status: self._said(in_a_sentence(error), "bad")}

    def _waiting(self, talk: Talk, prompted: bool) -> Updates:
        ready = loaded.has(talk.first, talk.second)
        return {
            self.status: self._said("Reading the question…" if ready else "Loading both models…"),
            self.ask: gr.Button(visible=False),
            self.further: gr.Button(visible=False),
            self.stop: gr.Button(visible=True),
            self.talk: None,
            # The sides of a blind comparison are shuffled for whoever reads it.
            self.reviewer: _name_box(not talk.hidden),
            **self.answers.waiting(talk, prompted),
            **self.form.show(None),
        }

    def _stream(self, talk: Talk, steps: Iterator[tuple[Talk, str]], session: str) -> Iterator[Updates]:
        drawn = 0.0
        answering = gr.HTML(visible=False)
        while session not in _stopped and (step := next(steps, None)) is not None:
            talk, remark = step
            if time.perf_counter() - drawn >= DRAW_SECONDS:
                first, drawn = drawn == 0.0, time.perf_counter()
                if first and remark:
                    answering = self._said(remark)
                yield self.answers.texts(talk) | ({self.status: answering} if first else {})
        cut = "stopped" if session in _stopped else "cut at the longest answer"
        _stopped.discard(session)
        if not talk.last:  # stopped before there was a word
            yield self._idle(None) | {self.reviewer: _name_box()}
            return
        talk = playground_talk.answered(talk)
        yield self.answers.texts(talk, cut) | self._idle(talk) | {self.talk: talk, self.status: answering}
        yield self.answers.below(talk) | self.form.show(talk)

    def _voted(self, talk: Talk, reviewer: str) -> Updates:
        """After the vote: whose the answers are, and how fast and how sure each was."""
        talk = replace(talk, voted=True)
        return self.answers.revealed(talk) | {self.talk: talk, self.reviewer: _name_box()}


def _name_box(free: bool = True) -> Any:
    """The reviewer's name, to be changed or not; never by whoever is signed in under one."""
    return gr.Textbox(interactive=free and actor.now().role is None)


def _whole(pages: Iterator[Updates]) -> Iterator[Updates]:
    """Each update with all that came before it: of updates in quick succession a browser may draw the last alone."""
    page: Updates = {}
    for one in pages:
        page |= one
        yield dict(page)
