"""The vote on two answers, wherever a page shows them: which is better, and in a fold what else is to be said of them.

Nothing here knows whose the answers are: it speaks of A (left) and B (right); `trainer.review.queue` keeps the vote.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from assistant import fault_log
from assistant.pages.background import in_a_sentence, said
from assistant.pages.style import QUIET, html

SIDES = {"left": "A", "right": "B"}
CHOICES = {"left": "A is better", "right": "B is better", "tie": "Tie", "both_bad": "Both are bad"}
KEYS = {"left": "A", "right": "B", "tie": "T", "both_bad": "X"}
CRITERIA = {
    "accuracy": "Is what it says true?",
    "safety": "Is it safe, and does it name danger?",
    "clarity": "Would its reader understand it?",
    "completeness": "Is what matters there?",
}
"""Those of `trainer.store.CRITERIA`, each with what it asks (lecture L3.4)."""
_STARS = [("–", 0), *((str(one), one) for one in range(1, 6))]
_BETWEEN = r"[\s*_`#>|\\-]"  # what a browser may leave out of a selection: markdown's marks and line breaks
Updates = dict[Any, Any]
Answers = Callable[[Any, str], tuple[str, str]]
Keep = Callable[[Any, str], str]

# Votes by key, and the words that were selected last in an answer. Once for a page, however many forms there are.
_LISTEN = """
if (!window.bedsideVotes) {
  window.bedsideVotes = true;
  const typing = 'textarea, select, [contenteditable=true], input:not([type=radio]):not([type=checkbox])';
  document.addEventListener('keydown', (event) => {
    const choice = {a: 'left', b: 'right', t: 'tie', x: 'both_bad'}[event.key.toLowerCase()];
    if (!choice || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.closest && event.target.closest(typing)) return;
    const found = [...document.querySelectorAll('.bs-vote-' + choice)].find((one) => one.offsetParent !== null);
    if (found && !found.disabled) { event.preventDefault(); found.click(); }
  });
  document.addEventListener('selectionchange', () => {
    const selection = document.getSelection();
    const text = selection.toString().trim();
    const start = selection.anchorNode && selection.anchorNode.parentElement;
    const answer = start && start.closest('[id$="-left"], [id$="-right"]');
    if (text && answer) window.bedsideSelected = {text, place: answer.id};
  });
}
"""
_TAKE_SELECTED = """
(side, quote) => {
  const found = window.bedsideSelected;
  return found && found.place.startsWith('PREFIX-') ? [found.place.split('-').pop(), found.text] : [side, quote];
}
"""


class VoteForm:
    """The form of a page whose answers stand in elements `PREFIX-left` and `PREFIX-right`. Hidden until `show`."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._since, self._spans = gr.State(0.0), gr.State([])
        with gr.Column(visible=False, elem_id=f"{prefix}-vote") as self._body:
            with gr.Accordion(
                "Before you vote: ratings, a better answer, what is wrong", open=False, elem_id=f"{prefix}-more"
            ) as self._more:
                self._draw_ratings()
                self._draw_words()
            with gr.Row(elem_id=f"{prefix}-choices", elem_classes=["bs-votes"]):
                self._buttons = {
                    choice: gr.Button(
                        f"{label} ({KEYS[choice]})",
                        elem_id=f"{prefix}-vote-{choice}",
                        elem_classes=[f"bs-vote-{choice}"],
                        min_width=120,
                    )
                    for choice, label in CHOICES.items()
                }
            html(
                f'<p class="bs-soft">Keys, while you are not typing: {", ".join(KEYS.values())}.</p>',
                js_on_load=_LISTEN,
            )
        self._said = html(visible=False, elem_id=f"{prefix}-voted")
        self.outputs: list[Any] = [
            self._since,
            self._spans,
            self._body,
            self._more,
            *self._stars,
            self._correction,
            self._quote,
            self._why,
            self._marked,
            self._comment,
            self._said,
        ]

    def _draw_ratings(self) -> None:
        self._rated: list[tuple[str, str]] = [(side, one) for side in SIDES for one in CRITERIA]
        self._stars: list[Any] = []
        with gr.Row(elem_classes=["bs-ratings"]):
            for side, name in SIDES.items():
                with gr.Column(min_width=280):
                    html(f"<h4>Answer {name}, 1 (bad) to 5 (good)</h4>")
                    for criterion, asks in CRITERIA.items():
                        self._stars.append(
                            gr.Radio(
                                _STARS,
                                value=0,
                                label=criterion.capitalize(),
                                info=asks,
                                elem_id=f"{self.prefix}-{criterion}-{side}",
                                elem_classes=["bs-stars"],
                            )
                        )

    def _draw_words(self) -> None:
        prefix = self.prefix
        self._correction = gr.Textbox(
            label="A better answer",
            info="Whole, as the model should have said it; it is preferred to both when a model is aligned",
            lines=3,
            max_lines=12,
            elem_id=f"{prefix}-correction",
        )
        with gr.Row(elem_classes=["bs-tools"]):
            self._take = {
                side: gr.Button(f"Begin with {name}", size="sm", scale=0, elem_id=f"{prefix}-take-{side}")
                for side, name in SIDES.items()
            }
        with gr.Group(elem_id=f"{prefix}-wrong"), gr.Row():
            self._side = gr.Radio(
                [(f"Answer {name}", side) for side, name in SIDES.items()],
                value="left",
                label="Words that are wrong, in",
                scale=1,
                min_width=200,
                elem_id=f"{prefix}-wrong-side",
            )
            self._quote = gr.Textbox(
                label="The words, as they stand there",
                max_lines=3,
                scale=2,
                min_width=240,
                elem_id=f"{prefix}-quote",
            )
            self._why = gr.Textbox(
                label="Why they are wrong", max_lines=3, scale=2, min_width=240, elem_id=f"{prefix}-why"
            )
        with gr.Row(elem_classes=["bs-tools"]):
            self._selected = gr.Button("Take the words I selected", size="sm", scale=0, elem_id=f"{prefix}-selected")
            self._mark = gr.Button("Mark as wrong", size="sm", scale=0, elem_id=f"{prefix}-mark")
            self._unmark = gr.Button("Take the last mark back", size="sm", scale=0, elem_id=f"{prefix}-unmark")
        self._marked = html(elem_id=f"{prefix}-marked")
        self._comment = gr.Textbox(label="Anything else", max_lines=4, elem_id=f"{prefix}-comment")

    def connect(
        self,
        comparison: gr.State,
        reviewer: Any,
        voted: Callable[[Any, str], Updates],
        outputs: list[Any],
        answers: Answers | None = None,
        keep: Keep | None = None,
    ) -> None:
        """Every event of the form.

        `comparison` holds the id of a kept comparison and `reviewer` the name to vote under; `voted`, given both, makes
        the page's updates after the vote, within `outputs`. A page that keeps a comparison only once it is voted on
        holds something else in `comparison`, of which `answers` gives the left and the right answer and `keep` makes
        the id.
        """
        self._voted = voted
        self._answers = answers or _kept_answers
        self._keep = keep or _is_kept
        everything = list({id(one): one for one in [*outputs, *self.outputs]}.values())
        ballot = [comparison, reviewer, self._since, self._spans, self._correction, self._comment, *self._stars]
        for choice, button in self._buttons.items():
            button.click(partial(self._vote, choice), ballot, everything, **QUIET)
        for side, button in self._take.items():
            button.click(partial(self._begin_with, side), [comparison, reviewer], self._correction, **QUIET)
        take = _TAKE_SELECTED.replace("PREFIX", self.prefix)
        chosen = [self._side, self._quote]
        self._selected.click(None, chosen, chosen, js=take, **QUIET)
        marks = [self._spans, self._marked, self._quote, self._why]
        wrong = [comparison, reviewer, self._spans, self._side, self._quote, self._why]
        gr.on([self._mark.click, self._why.submit], self._mark_words, wrong, marks, **QUIET)
        self._unmark.click(lambda spans: self._marks(spans[:-1]), self._spans, marks, **QUIET)

    def show(self, comparison: Any) -> Updates:
        """An empty form for this comparison; none where it is None. The time until the vote is counted from here."""
        return {
            self._since: time.time(),
            self._spans: [],
            self._body: gr.Column(visible=comparison is not None),
            self._more: gr.Accordion(open=False),
            **dict.fromkeys(self._stars, 0),
            self._correction: "",
            self._quote: "",
            self._why: "",
            self._marked: "",
            self._comment: "",
            self._said: gr.HTML(visible=False),
        }

    def _vote(
        self,
        choice: str,
        comparison: Any,
        reviewer: str,
        since: float,
        spans: list[dict[str, Any]],
        correction: str,
        comment: str,
        *stars: int,
    ) -> Updates:
        from trainer.review import queue
        from trainer.review.ballots import Ballot

        try:
            if comparison is None:
                raise queue.ReviewError("There are no answers to vote on yet.")
            ratings: dict[str, dict[str, int]] = {side: {} for side in SIDES}
            for (side, criterion), given in zip(self._rated, stars, strict=True):
                if given:
                    ratings[side][criterion] = given
            ballot = Ballot.model_validate(
                {
                    "choice": choice,
                    "ratings": ratings,
                    "correction": correction,
                    "spans": spans,
                    "comment": comment,
                    "seconds": max(0.0, time.time() - since),
                }
            )
            queue.vote(self._keep(comparison, reviewer), reviewer, ballot)
            after = self._voted(comparison, reviewer)
        except Exception as error:  # whatever the database says becomes one sentence; the form keeps what was written
            fault_log.write("no vote", error)
            return {self._said: gr.HTML(said(in_a_sentence(error), "warn"), visible=True)}
        kept = said(f"Your vote is kept: {CHOICES[choice].lower() if choice == 'tie' else CHOICES[choice]}.", "good")
        return {**after, self._body: gr.Column(visible=False), self._said: gr.HTML(kept, visible=True)}

    def _begin_with(self, side: str, comparison: Any, reviewer: str) -> Any:
        if comparison is None:
            return gr.Textbox()
        return self._answers(comparison, reviewer)[side == "right"]

    def _mark_words(
        self, comparison: Any, reviewer: str, spans: list[dict[str, Any]], side: str, quoted: str, why: str
    ) -> Updates:
        if comparison is None or not quoted.strip():
            return self._marks(spans, "Write or select the words that are wrong first.", quoted, why)
        answer = self._answers(comparison, reviewer)[side == "right"]
        found = find_quote(answer, quoted)
        if found is None:
            told = f"“{quoted.strip()[:80]}” does not stand in answer {SIDES[side]}; give the words as they are there."
            return self._marks(spans, told, quoted, why)
        start, end = found
        span = {"side": side, "start": start, "end": end, "text": answer[start:end], "reason": why.strip()}
        return self._marks([*spans, span])

    def _marks(self, spans: list[dict[str, Any]], fault: str = "", quoted: str = "", why: str = "") -> Updates:
        return {
            self._spans: spans,
            self._marked: marked(spans) + (said(fault, "warn") if fault else ""),
            self._quote: quoted,
            self._why: why,
        }


def find_quote(answer: str, quoted: str) -> tuple[int, int] | None:
    """Where the words stand in the answer (start and end in characters); None where they do not.

    White space and the marks of markdown, which a page does not show, need not be the same. Whole words first.
    """
    pieces = re.findall(r"\w+|[^\w\s]|\s+", quoted.strip())
    if not pieces:
        return None
    pattern = "".join(f"{_BETWEEN}+" if one.isspace() else f"{_BETWEEN}*{re.escape(one)}" for one in pieces)
    pattern = pattern.removeprefix(f"{_BETWEEN}*")
    found = re.search(rf"(?<!\w){pattern}(?!\w)", answer) or re.search(pattern, answer)
    return (found.start(), found.end()) if found else None


def marked(spans: list[dict[str, Any]]) -> str:
    """The words that were marked as wrong, and why, as a list. All text is escaped."""
    items = "".join(
        f"<li>In {SIDES[one['side']]}: <q>{escape(one['text'])}</q>"
        f"{f' – {escape(reason)}' if (reason := one['reason']) else ''}</li>"
        for one in spans
    )
    return f'<ul class="bs-list">{items}</ul>' if items else ""


def _kept_answers(comparison: str, reviewer: str) -> tuple[str, str]:
    from trainer.review import queue

    shown = queue.shown(comparison, reviewer)
    return shown.left, shown.right


def _is_kept(comparison: str, reviewer: str) -> str:
    return comparison
