"""The Review page's sets: how far the chosen one is, and a new one of questions, two models and reviewers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from assistant.pages import review_view, uploads
from assistant.pages.background import in_a_sentence, said, with_progress
from assistant.pages.style import QUIET, html
from trainer import model_refs, runs
from trainer.data.sources import Progress

if TYPE_CHECKING:
    from trainer.review.prompts import Prompt

IN_ORDER = "in order"
STRATEGIES = {
    "Their order": IN_ORDER,
    "Least sure and unlike": "mixed",
    "Least sure: entropy": "uncertainty",
    "Least sure: margin": "margin",
    "Least sure: likelihood": "likelihood",
    "Unlike what is judged": "diversity",
    "The two models disagree": "committee",
    "Chance": "random",
}
"""What `trainer.review.selection` calls them; its own import takes seconds."""
READ_TWICE = 0.2  # of the cases by default: enough to say how far two readers agree
LONGEST = 220
Updates = dict[Any, Any]


class Sets:
    """One set's state, with what can be done to it; and the form of a new one."""

    def __init__(self, chosen: Any, changed: Callable[[str | None], Updates]):
        """`chosen` holds the set's id; `changed(set_id)` gives the page's updates once sets were made or deleted."""
        self.chosen, self.changed = chosen, changed
        self.state = html(visible=False, elem_id="review-set")
        with gr.Row(elem_id="review-set-actions", elem_classes=["bs-tools"]):
            self.answer = gr.Button(
                "Let the models answer the rest", visible=False, elem_id="review-answer", min_width=200
            )
            self.delete = gr.Button("Delete this set", visible=False, elem_id="review-delete", min_width=140)
        with gr.Row(visible=False, elem_id="review-confirm", elem_classes=["bs-tools"]) as self.confirm:
            html('<p class="bs-ask">Delete this set, its answers and all votes on them for good?</p>')
            self.really = gr.Button("Delete for good", variant="stop", elem_id="review-really", min_width=150)
            self.keep = gr.Button("Keep it", elem_id="review-keep", min_width=110)
        with gr.Accordion("A new set", open=False, elem_id="review-new") as self.new:
            self._draw_questions()
            self._draw_models()
            self._draw_readers()
            with gr.Row(elem_id="review-new-actions", elem_classes=["bs-tools"]):
                self.make = gr.Button("Make the set", variant="primary", elem_id="review-make", min_width=140)
        self.said = html(visible=False, elem_id="review-set-said")
        self.outputs = [
            self.state,
            self.answer,
            self.delete,
            self.confirm,
            self.new,
            self.cases,
            self.first,
            self.second,
        ]

    def _draw_questions(self) -> None:
        with gr.Row():
            self.name = gr.Textbox(label="Name", max_lines=1, elem_id="review-name", min_width=240)
            self.cases = gr.Dropdown(
                [], label="Questions of an evaluation", info="Those that it asked", elem_id="review-cases",
                filterable=False, min_width=240,
            )  # fmt: skip
        self.lines = gr.Textbox(
            label="Questions", info="One a line", lines=3, max_lines=12, elem_id="review-lines"
        )  # fmt: skip
        with gr.Row(elem_id="review-bring"):
            self.path = gr.Textbox(
                label="Questions of a file",
                info="Text, one a line; or rows as the Data page reads them. Reviewers see it as it is: take out what "
                "identifies patients on the Data page first",
                placeholder="/path/to/questions",
                min_width=240,
                elem_id="review-path",
            )
            self.upload = gr.UploadButton(
                "Upload", file_types=list(uploads.ACCEPTED), scale=0, min_width=110, elem_id="review-upload"
            )
        with gr.Row():
            self.count = gr.Number(
                40, label="At most", info="Cases of this set", precision=0, minimum=1, elem_id="review-count",
                min_width=160,
            )  # fmt: skip
            self.strategy = gr.Dropdown(
                list(STRATEGIES.items()), value=IN_ORDER, label="Chosen by", filterable=False, min_width=240,
                info="Which of them, where there are more", elem_id="review-strategy",
            )  # fmt: skip

    def _draw_models(self) -> None:
        with gr.Row():
            self.first = gr.Dropdown([], label="One model", elem_id="review-first", filterable=False, min_width=240)
            self.second = gr.Dropdown(
                [], label="The other model", elem_id="review-second", filterable=False, min_width=240
            )
        with gr.Row():
            self.longest = gr.Number(
                LONGEST, label="Longest answer", info="In tokens; the likeliest are taken", precision=0,
                minimum=1, elem_id="review-longest", min_width=160,
            )  # fmt: skip
            self.blind = gr.Checkbox(
                label="Blind: no names before the vote", value=True, container=False, elem_id="review-blind",
                min_width=240,
            )  # fmt: skip

    def _draw_readers(self) -> None:
        with gr.Row():
            self.reviewers = gr.Textbox(
                label="Reviewers", info="Names, with commas; empty: whoever comes reads all of it", max_lines=2,
                elem_id="review-reviewers", min_width=240,
            )  # fmt: skip
            self.twice = gr.Slider(
                0, 1, value=READ_TWICE, step=0.05, label="Read twice", elem_id="review-twice", min_width=240,
                info="Share of the cases that two of them read, to see how far they agree",
            )  # fmt: skip

    def connect(self, outputs: Sequence[Any]) -> None:
        """Every event; `outputs` are what `changed` updates, beside this part's own."""
        everything = [*self.outputs, self.said, self.name, *outputs]
        self.upload.upload(self._take, self.upload, [self.path, self.said], **QUIET)
        asked = [
            self.name, self.lines, self.path, self.cases, self.count, self.strategy, self.first, self.second,
            self.longest, self.blind, self.reviewers, self.twice,
        ]  # fmt: skip
        for button, work, inputs in ((self.make, self._make, asked), (self.answer, self._answer, [self.chosen])):
            # Said at once: the work itself may have to wait for another window's.
            begun = button.click(lambda: _said("One moment…", "quiet"), None, self.said, queue=False, **QUIET)
            begun.then(work, inputs, everything, concurrency_limit=1, concurrency_id="review-answers", **QUIET)
        self.delete.click(lambda: gr.Row(visible=True), None, self.confirm, **QUIET)
        self.keep.click(lambda: gr.Row(visible=False), None, self.confirm, **QUIET)
        self.really.click(self._delete, self.chosen, everything, **QUIET)

    def open(self, set_id: str | None) -> Updates:
        """The set's state, and what a new one can be made of."""
        models = [(model_refs.label(ref), str(ref)) for ref in model_refs.known()]
        values = [value for _, value in models]
        page: Updates = {
            self.cases: gr.Dropdown([("None", ""), *_cases()], value=""),
            # The newest run's tuned model, and its base.
            self.first: gr.Dropdown(models, value=next(iter(values), None)),
            self.second: gr.Dropdown(models, value=next(iter(values[1:]), None)),
            self.confirm: gr.Row(visible=False),
            self.new: gr.Accordion(open=not set_id),
        }
        return page | self._of_set(set_id)

    def _of_set(self, set_id: str | None) -> Updates:
        from trainer.review import queue

        hidden = {part: gr.update(visible=False) for part in (self.state, self.answer, self.delete)}
        if not set_id:
            return hidden
        try:
            found, whole, readers = queue.get_set(set_id), queue.set_progress(set_id), queue.progress(set_id)
        except Exception as error:
            return hidden | {self.state: _said(review_view.fault(error))}
        return {
            self.state: gr.HTML(review_view.set_state(found, whole, readers), visible=True),
            self.answer: gr.Button(visible=whole.answered < whole.cases),
            self.delete: gr.Button(visible=True),
        }

    def _take(self, file: str) -> Updates:
        try:
            return {self.path: str(uploads.keep(Path(file))), self.said: gr.HTML(visible=False)}
        except (uploads.UploadError, OSError) as error:
            return {self.said: _said(in_a_sentence(error))}

    def _make(
        self,
        name: str,
        lines: str,
        path: str,
        cases: str,
        count: float | None,
        strategy: str,
        first: str,
        second: str,
        longest: float | None,
        blind: bool,
        reviewers: str,
        twice: float,
    ) -> Iterator[Updates]:
        """Make the set, then let both models answer it; what is wrong is said, and what was written stays."""
        from evaluators.generation import Sampling
        from trainer.review import queue

        def work(report: Progress) -> str:
            models = [model_refs.parse(one or "") for one in (first, second)]
            names = [one.strip() for one in reviewers.split(",") if one.strip()]
            found = _questions(lines, path, cases)
            chosen = _choose(found, int(count or 1), strategy, models, partial(report, "Questions read"))
            sampling = Sampling(max_new_tokens=int(longest or 0))
            made = queue.create_set(name, chosen, models[0], models[1], blind=blind, sampling=sampling)
            if names:
                queue.assign(made.id, names, twice if len(names) > 1 else 0.0)
            return made.id

        made = None
        try:
            for told in with_progress(work):
                made = told.result
                yield {self.said: _said(told.text or "Made.", "quiet")}
        except Exception as error:  # whatever a reader of files or a library raises becomes one sentence
            yield {self.said: _said(review_view.fault(error))}
            return
        # The set is there from here on, whatever comes of its answers.
        yield {**self.changed(made), **self.open(made), self.name: ""}
        yield from self._answer(made)

    def _answer(self, set_id: str | None) -> Iterator[Updates]:
        from trainer.review import queue

        try:
            yield {self.said: _said("Loading the models…", "quiet")}
            answered = 0
            for told in with_progress(lambda report: queue.answer_set(set_id or "", partial(report, "Cases answered"))):
                answered = told.result if told.done else answered
                if not told.done:
                    yield {self.said: _said(told.text, "quiet")}
        except Exception as error:
            yield {self.said: _said(review_view.fault(error)), **self._of_set(set_id)}
            return
        ready = f"{answered} case{'' if answered == 1 else 's'} answered: ready to be judged."
        yield {**self.changed(set_id), **self._of_set(set_id), self.said: _said(ready, "good")}

    def _delete(self, set_id: str | None) -> Updates:
        from trainer.review import queue

        try:
            gone = queue.delete_set(set_id or "")
        except Exception as error:
            return {self.said: _said(review_view.fault(error))}
        return {**self.changed(None), **self.open(None), self.said: _said(f"{gone.name} is deleted.", "quiet")}


def _cases() -> list[tuple[str, str]]:
    """The kept cases of every evaluation, with the file of what was asked."""
    from trainer.evaluation import evaluations

    found = []
    for evaluation in evaluations.list_evaluations():
        report = evaluation.report()
        for suite in report.suites if report else []:
            file = evaluation.folder / evaluations.CASES / f"{suite.cases}.tuned.jsonl"
            if file.exists():
                found.append(
                    (f"{suite.title} ({Path(suite.source).name}) · {_run_name(evaluation.request.run)}", str(file))
                )
    return found


def _run_name(identity: str) -> str:
    try:
        return runs.label(runs.get(identity))
    except runs.RunError:
        return identity


def _questions(lines: str, path: str, cases: str) -> list[Prompt]:
    """The questions that were written, those of the file, and those of the evaluation; equal ones are taken once."""
    from trainer.review import prompts

    written = [
        prompts.Prompt(messages=[{"role": "user", "content": line.strip()}], source="written on the page")
        for line in lines.splitlines()
        if line.strip()
    ]
    files = [one for one in (path.strip(), cases) if one]
    read = [prompt for one in files for prompt in prompts.read(Path(one).expanduser())]
    return list({repr(one.messages): one for one in [*written, *read]}.values())


def _choose(
    found: list[Prompt],
    count: int,
    strategy: Any,
    models: list[model_refs.ModelRef],
    progress: Callable[[int, int], None],
) -> list[Prompt]:
    if strategy == IN_ORDER:
        return found[:count]
    from trainer.review import preferences, selection
    from trainer.review.prompts import Prompt

    comparisons, votes, _ = preferences.judged(None)
    judged = {one.comparison_id for one in votes}
    labelled = [Prompt(messages=one.prompt) for one in comparisons if one.id in judged]
    return selection.choose(found, count, strategy, models=models, labelled=labelled, progress=progress)


def _said(sentence: str, tone: str = "bad") -> Any:
    return gr.HTML(said(sentence, tone), visible=True)
