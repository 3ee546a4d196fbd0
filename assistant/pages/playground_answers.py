"""Two answers beside each other, and what stands under them: what differs, what they name, every draw."""

from __future__ import annotations

from typing import Any

import gradio as gr

from assistant.pages import playground_talk, playground_view
from assistant.pages.attribution_view import WordsFold
from assistant.pages.difference import difference
from assistant.pages.markdown import plain
from assistant.pages.playground_talk import SIDES, Talk
from assistant.pages.style import html
from evaluators.generation import PROMPTED
from trainer import model_refs

Updates = dict[Any, Any]


class AnswersView:
    """A box for each side and one for the prompted base, with folds under them. Whose they are is told once it may."""

    def __init__(self) -> None:
        self._words: list[WordsFold] = []
        with gr.Row(equal_height=True, visible=False, elem_id="play-answers") as self._row:
            self._boxes = {
                side: self._draw_side(side, letter)
                for side, letter in {**playground_view.LETTERS, PROMPTED: "Base, prompted"}.items()
            }
        with gr.Accordion("What differs, word by word", open=False, visible=False, elem_id="play-words") as words:
            self._difference = html(elem_id="play-difference")
        with gr.Accordion("Drugs, conditions, numbers", open=False, visible=False, elem_id="play-named") as named:
            self._named = html(elem_id="play-named-table")
        with gr.Accordion("All answers drawn", open=False, visible=False, elem_id="play-drawn") as drawn:
            self._drawn = html(elem_id="play-drawn-table")
        self._folds = (words, named, drawn)
        self.outputs = [
            self._row, *self._folds, self._difference, self._named, self._drawn,
            *(part for box in self._boxes.values() for part in box),
            *(part for words in self._words for part in (words.fold, words.map)),
        ]  # fmt: skip

    def _draw_side(self, side: str, letter: str) -> tuple[Any, ...]:
        name = side.split(maxsplit=1)[0]
        with gr.Column(min_width=280, elem_classes=["bs-answer"], visible=side != PROMPTED) as column:
            heading = html(playground_view.heading(letter), elem_id=f"play-{name}-name")
            before = html(visible=False, elem_id=f"play-{name}-before")
            text = gr.Markdown(elem_id=f"play-{name}", sanitize_html=True, latex_delimiters=[], line_breaks=True)
            facts = html(elem_id=f"play-{name}-speed")
            if side != PROMPTED:  # its prompt holds worked examples too, and it is there to compare
                self._words.append(WordsFold(side))
        return column, heading, before, text, facts

    def connect(self, talk: gr.State) -> None:
        """The folds' events."""
        for words in self._words:
            words.connect(talk)

    def waiting(self, talk: Talk, prompted: bool) -> Updates:
        """Empty boxes for a question that is being asked."""
        page: Updates = {
            self._row: gr.Row(visible=True),
            **self._names(talk),
            **{fold: gr.Accordion(visible=False, open=False) for fold in self._folds},
        }
        for side, (column, _, before, text, facts) in self._boxes.items():
            page |= {text: "", facts: ""}
            if side == PROMPTED:
                page[column] = gr.Column(visible=prompted)
            else:
                page[before] = gr.HTML(playground_view.before(talk, side), visible=len(talk.messages(side)) > 1)
        for words in self._words:
            page |= words.when(None)
        return page

    def texts(self, talk: Talk, cut: str = "") -> Updates:
        """The answers so far; `cut`: why one ended that did not end by itself."""
        page: Updates = {}
        for side, (*_, text, facts) in self._boxes.items():
            if side in talk.last:
                page[text] = plain(talk.last[side].text)
                # How fast and how sure a model is could tell which one it is.
                page[facts] = "" if talk.hidden else playground_view.facts(talk.last[side], cut)
        return page

    def below(self, talk: Talk) -> Updates:
        """What stands under whole answers."""
        left, right = playground_talk.sides(talk)
        words, named, drawn = self._folds
        page: Updates = {
            words: gr.Accordion(visible=True),
            named: gr.Accordion(visible=True),
            drawn: gr.Accordion(visible=bool(talk.draws)),
            self._difference: difference(left, right),
            self._named: playground_view.named(left, right),
            self._drawn: playground_view.draws(talk.draws, talk.sampling.seed),
        }
        for one in self._words:
            page |= one.when(talk)
        return page

    def revealed(self, talk: Talk) -> Updates:
        """After the vote: whose the answers are, and how fast and how sure each was."""
        page = self._names(talk) | self.texts(talk)
        for one in self._words:
            page |= one.when(talk)
        return page

    def _names(self, talk: Talk) -> Updates:
        page: Updates = {}
        for side in SIDES:
            name = "" if talk.hidden else model_refs.label(talk.models[side])
            page[self._boxes[side][1]] = playground_view.heading(playground_view.LETTERS[side], name)
        return page
