"""The Review page's case: a question, two answers without names, a vote, and only then who gave which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from assistant.pages import review_view
from assistant.pages.background import said
from assistant.pages.markdown import plain
from assistant.pages.style import QUIET, html
from assistant.pages.vote_form import SIDES, VoteForm

if TYPE_CHECKING:
    from trainer.review.queue import Shown

Updates = dict[Any, Any]


class Judging:
    """The next case of a set for one reviewer: shown, voted on or skipped, then the one after it."""

    def __init__(self) -> None:
        self.progress = html(elem_id="review-progress")
        # These stay on the server. The reader is the one whom the case was shown to, whatever name is written since:
        # on which side an answer stands goes by the name.
        self.set_id, self.comparison, self.reader = gr.State(None), gr.State(None), gr.State("")
        with gr.Column(visible=False, elem_id="review-case") as self.case:
            self.question = html(elem_id="review-question")
            with gr.Row(equal_height=True, elem_id="review-answers"):
                self.answers = [self._draw_answer(side) for side in SIDES]
            self.form = VoteForm("review")
            with gr.Row(visible=False, elem_id="review-after", elem_classes=["bs-tools"]) as self.after:
                self.next = gr.Button("Next case", variant="primary", elem_id="review-next", min_width=140)
            self.skipping = gr.Accordion("Skip this case", open=False, elem_id="review-skip-fold")
            with self.skipping, gr.Row(elem_id="review-skip-row"):
                self.reason = gr.Textbox(
                    label="Why",
                    placeholder="Not my field; the question is unclear; …",
                    max_lines=2,
                    min_width=240,
                    elem_id="review-reason",
                )
                self.skip = gr.Button("Skip", elem_id="review-skip", min_width=110)
        self.said = html(visible=False, elem_id="review-said")
        answers = [part for answer in self.answers for part in answer]
        kept = [self.set_id, self.comparison, self.reader]
        parts = [self.progress, self.case, self.question, self.after, self.skipping, self.reason, self.said]
        self.outputs = [*kept, *parts, *answers, *self.form.outputs]

    def _draw_answer(self, side: str) -> tuple[Any, Any]:
        with gr.Column(min_width=280, elem_classes=["bs-answer"]):
            html(f"<h3>{SIDES[side]}</h3>")
            text = gr.Markdown(elem_id=f"review-{side}", sanitize_html=True, latex_delimiters=[], line_breaks=True)
            name = html(elem_id=f"review-{side}-name", visible=False)
        return text, name

    def connect(self) -> None:
        """Every event of the case."""
        self.form.connect(self.comparison, self.reader, self._voted, self.outputs)
        self.next.click(self.open, [self.set_id, self.reader], self.outputs, **QUIET)
        left = [self.set_id, self.comparison, self.reader, self.reason]
        gr.on([self.skip.click, self.reason.submit], self._skip, left, self.outputs, **QUIET)

    def open(self, set_id: str | None, reviewer: str, stands: str | None = None, reader: str = "") -> Updates:
        """The reviewer's next case of this set, else a sentence on why there is none.

        Nothing changes where the case `stands` already, shown to the same `reader`: what was written of it stays.
        """
        from trainer.review import queue

        if not set_id:
            return self._nothing("Choose a set, or make one under “Sets”.")
        if not reviewer:
            return self._nothing("Write your name above: your votes are kept under it.")
        try:
            shown = queue.next_case(set_id, reviewer)
            if shown is None:
                return self._nothing(review_view.no_case(queue.progress(set_id), queue.set_progress(set_id), reviewer))
        except Exception as error:  # whatever the database says becomes one sentence
            return self._nothing(review_view.fault(error))
        if (stands, reader) == (shown.comparison_id, reviewer):
            return {self.reader: reader}
        return {self.set_id: set_id, self.reader: reviewer, **self._show(shown)}

    def _show(self, shown: Shown) -> Updates:
        return {
            self.comparison: shown.comparison_id,
            self.progress: review_view.case_progress(shown),
            self.case: gr.Column(visible=True),
            self.question: review_view.question(shown.messages),
            self.after: gr.Row(visible=False),
            self.skipping: gr.Accordion(visible=True, open=False),
            self.reason: "",
            self.said: gr.HTML(visible=False),
            **{text: plain(one) for (text, _), one in zip(self.answers, (shown.left, shown.right), strict=True)},
            **self._names(shown.names),
            **self.form.show(shown.comparison_id),
        }

    def _names(self, names: Sequence[str] | None) -> Updates:
        parts = [name for _, name in self.answers]
        if names is None:
            return dict.fromkeys(parts, gr.HTML("", visible=False))
        return {
            part: gr.HTML(review_view.model_name(one), visible=True) for part, one in zip(parts, names, strict=True)
        }

    def _voted(self, comparison_id: str, reader: str) -> Updates:
        """After the vote: who gave which answer, and the way on."""
        from trainer.review import queue

        return {
            **self._names(queue.reveal(comparison_id, reader).names),
            self.after: gr.Row(visible=True),
            self.skipping: gr.Accordion(visible=False),
            self.said: gr.HTML(visible=False),
        }

    def _skip(self, set_id: str | None, comparison_id: str | None, reader: str, reason: str) -> Updates:
        from trainer.review import queue

        try:
            queue.skip(comparison_id or "", reader, reason)
        except Exception as error:
            return {self.said: gr.HTML(said(review_view.fault(error), "warn"), visible=True)}
        return self.open(set_id, reader)

    def _nothing(self, sentence: str) -> Updates:
        return {
            self.comparison: None,
            self.progress: review_view.remark(sentence),
            self.case: gr.Column(visible=False),
            self.said: gr.HTML(visible=False),
            **self.form.show(None),
        }
