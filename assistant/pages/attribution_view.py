"""Which words carried an answer: a fold under each answer of the Playground, and the map of the question in it."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from assistant import fault_log
from assistant.pages.background import in_a_sentence, said, with_progress
from assistant.pages.loaded import loaded
from assistant.pages.playground_talk import Talk, sides
from assistant.pages.style import QUIET, html
from trainer.data.sources import Progress
from trainer.data.tokens import conversation

if TYPE_CHECKING:
    from evaluators.attribution import Attribution, Method
    from trainer.pairing import Pairing

METHODS: list[tuple[str, Method]] = [
    ("Careful: many readings that add up", "integrated_gradients"),
    ("Quick: one reading, rough", "gradient_x_input"),
]
_STRONGEST = 40  # percent of the colour behind the heaviest word: text stays readable on it, light and dark
_SHOWN = 0.02  # a share below this has no colour
_NAMED = 3  # words that are named in a sentence, each way
Updates = dict[Any, Any]


class WordsFold:
    """The fold under one side's answer (left or right): a button, how to read, and the map."""

    def __init__(self, side: str) -> None:
        self.side = side
        name = f"play-{side}-words"
        with gr.Accordion("Which words carried this answer", open=False, visible=False, elem_id=name) as self.fold:
            self.method = gr.Radio(
                METHODS, value=METHODS[0][1], label="How to weigh them", container=False, elem_id=f"{name}-method"
            )
            self.button = gr.Button("Weigh the words", size="sm", scale=0, elem_id=f"{name}-show")
            self.map = html(elem_id=f"{name}-map")

    def connect(self, talk: gr.State) -> None:
        """The button's event; it waits for its turn with the answers, since all ask the one model in memory."""
        self.button.click(
            self._show,
            [talk, self.method],
            [self.button, self.map],
            concurrency_limit=1,
            concurrency_id="generation",
            **QUIET,
        )

    def when(self, talk: Talk | None) -> Updates:
        """The fold without a map: to be seen where this side has an answer, and may show what its model is like."""
        visible = talk is not None and not talk.hidden and bool(sides(talk)[self.side == "right"])
        return {self.fold: gr.Accordion(visible=visible), self.map: ""}

    def _show(self, talk: Talk, method: Method) -> Iterator[Updates]:
        yield {self.button: gr.Button(interactive=False), self.map: said("One moment…")}
        page = ""
        try:
            for told in with_progress(lambda report: _explain(talk, self.side, method, report)):
                if told.done:
                    page = heat_map(talk.questions[-1], told.result)
                else:
                    yield {self.map: said(told.text)}
        except Exception as error:  # whatever a library raises becomes one sentence, never a traceback on the page
            fault_log.write("no words", error)
            page = said(in_a_sentence(error), "bad")
        yield {self.button: gr.Button(interactive=True), self.map: page}


def heat_map(question: str, found: Attribution) -> str:
    """The question with each word coloured and underlined by its share of all words' weight, and what that means.

    A share is the word's value over the sum of all values' sizes. All text is escaped.
    """
    weight = sum(abs(word.value) for word in found.words)
    shares = [word.value / weight if weight else 0.0 for word in found.words]
    strongest = max(abs(share) for share in shares)
    parts, end = [], 0
    for word, share in zip(found.words, shares, strict=True):
        title = f"{share:+.1%} ({word.value:+.2f} nats)"
        parts.append(escape(question[end : word.start]))
        parts.append(_mark(escape(word.text), title, share, strongest))
        end = word.end
    named = {way: _named(found, shares, way) for way in (1, -1)}
    sentences = [
        f"Likelier by {named[1]}." if named[1] else "No word made this answer likelier.",
        f"Less likely by {named[-1]}." if named[-1] else "",
    ]
    told = escape(" ".join(one for one in sentences if one))
    return (
        f'<p class="bs-text">{"".join(parts)}{escape(question[end:])}</p><p>{told}</p>'
        f'<p class="bs-legend"><span>{_mark("line", "", 1.0, 1.0)} made this answer likelier</span>'
        f"<span>{_mark('dashes', '', -1.0, 1.0)} made it less likely</span></p>"
        f"<p class=\"bs-soft\">The stronger the colour, the larger the word's share of all words' weight; point at a "
        f"word for its number. {escape(_reading(found, weight))} It says what the model leaned on, not whether the "
        f"answer is right.</p>"
    )


def _mark(text: str, title: str, share: float, strongest: float) -> str:
    named = f' title="{title}"' if title else ""
    if abs(share) < _SHOWN:
        return f"<span{named}>{text}</span>"
    way, strength = "up" if share > 0 else "down", max(6, round(_STRONGEST * abs(share) / strongest))
    return f'<mark class="bs-{way}" style="--bs-strength: {strength}%"{named}>{text}</mark>'


def _named(found: Attribution, shares: list[float], way: int) -> str:
    """The heaviest words in one direction, each with its share: "potassium (+31%), 6.1 (+14%)"."""
    pairs = sorted(zip(shares, found.words, strict=True), key=lambda pair: -way * pair[0])
    chosen = [(share, word) for share, word in pairs if way * share >= _SHOWN and any(map(str.isalnum, word.text))]
    return ", ".join(f"{word.text} ({share:+.0%})" for share, word in chosen[:_NAMED])


def _reading(found: Attribution, weight: float) -> str:
    if found.delta is None:
        return "One reading, by gradient x input: rough."
    off = f"{abs(found.delta):.2f} of {weight:.2f} nats"
    return f"By integrated gradients from a question of blanks; what does not add up is {off}."


def _explain(talk: Talk, side: str, method: Method, report: Progress) -> Attribution:
    from evaluators.attribution import attribute

    place = talk.places[side]
    report(f"Reading the question for answer {'AB'[side == 'right']}", 0, 0)

    def work(pairing: Pairing) -> Attribution:
        half = pairing.halves[place]
        half.switch(talk.adapters.get(place, ()))
        return attribute(
            half.model,
            half.tokenizer,
            conversation(talk.messages(side), pairing.system),
            sides(talk)[side == "right"],
            tuned=half.tuned,
            method=method,
            progress=lambda done, total: report("Readings", done, total),
        )

    return loaded.use(talk.first, talk.second, work)
