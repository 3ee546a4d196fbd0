"""The Review page's results: who wins and how sure that is, whether readers agree, and what is still to be decided."""

from __future__ import annotations

from typing import Any

import gradio as gr

from assistant.pages import review_view
from assistant.pages.background import said
from assistant.pages.style import QUIET, html

_NAMED = {"left": "A is better", "right": "B is better", "tie": "Tie", "both_bad": "Both bad"}
Updates = dict[Any, Any]


class Results:
    """What the votes of a set say, and the cases on which its readers disagree, decided one by one."""

    def __init__(self) -> None:
        self.report = html(elem_id="review-report")
        self.set_id, self.comparison, self.decider = gr.State(None), gr.State(None), gr.State("")
        with gr.Column(visible=False, elem_id="review-disagreement") as self.column:
            self.case = html(elem_id="review-disputed")
            self.comment = gr.Textbox(
                label="Why", info="Kept with your decision", max_lines=3, elem_id="review-decision-comment"
            )
            with gr.Row(elem_id="review-decide", elem_classes=["bs-tools"]):
                self.buttons = {
                    choice: gr.Button(words, elem_id=f"review-decide-{choice}", min_width=110)
                    for choice, words in _NAMED.items()
                }
        self.said = html(visible=False, elem_id="review-decision-said")
        kept = [self.set_id, self.comparison, self.decider]
        self.outputs = [self.report, *kept, self.column, self.case, self.comment, self.said]

    def connect(self) -> None:
        """Every event of this part."""
        for choice, button in self.buttons.items():
            decided = gr.State(choice)
            inputs = [self.set_id, self.comparison, self.decider, decided, self.comment]
            button.click(self._decide, inputs, self.outputs, **QUIET)

    def open(self, set_id: str | None, reviewer: str) -> Updates:
        """All that the votes of this set say now."""
        from trainer.review import results

        if not set_id:
            return {self.report: review_view.remark("Choose a set to see its results."), self.column: _hidden()}
        try:
            report = review_view.results(results.results(set_id))
        except Exception as error:  # whatever the database says becomes one sentence
            return {self.report: said(review_view.fault(error), "bad"), self.column: _hidden()}
        return {self.report: report, **self._next(set_id, reviewer)}

    def _next(self, set_id: str, reviewer: str) -> Updates:
        """The first disagreement that nobody has decided, and that is between others."""
        from trainer.review import queue

        page: Updates = {self.set_id: set_id, self.decider: reviewer, self.comment: "", self.column: _hidden()}
        try:
            found = queue.disagreements(set_id, reviewer or "adjudicator")
        except Exception as error:
            return page | {self.said: gr.HTML(said(review_view.fault(error), "bad"), visible=True)}
        if not found:
            return page | {self.said: gr.HTML(visible=False)}
        undecided = [one for one in found if one.decision is None]
        if not undecided:
            told = f"All {len(found)} cases that readers judged differently are decided."
            return page | {self.said: gr.HTML(said(told, "good"), visible=True)}
        if not reviewer:
            told = f"Readers judged {len(undecided)} cases differently. Write your name above to decide them."
            return page | {self.said: gr.HTML(said(told), visible=True)}
        others = [one for one in undecided if reviewer not in one.votes]
        if not others:
            told = (
                f"{len(undecided)} cases are still to be decided. You read them yourself; somebody else decides them."
            )
            return page | {self.said: gr.HTML(said(told), visible=True)}
        one = others[0]
        return page | {
            self.comparison: one.shown.comparison_id,
            self.column: gr.Column(visible=True),
            self.case: review_view.disagreement(one, len(found) - len(undecided) + 1, len(found)),
            self.said: gr.HTML(visible=False),
        }

    def _decide(
        self, set_id: str | None, comparison_id: str | None, decider: str, choice: Any, comment: str
    ) -> Updates:
        from trainer.review import queue
        from trainer.review.ballots import Ballot

        try:
            queue.vote(comparison_id or "", decider, Ballot(choice=choice, comment=comment), role="adjudicator")
        except Exception as error:
            return {self.said: gr.HTML(said(review_view.fault(error), "bad"), visible=True)}
        return self.open(set_id, decider)


def _hidden() -> Any:
    return gr.Column(visible=False)
