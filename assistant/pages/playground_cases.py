"""Questions that are there already: the cases of an evaluation, or an uploaded set, gone through one by one."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from assistant import fault_log
from assistant.pages.background import in_a_sentence, said
from assistant.pages.style import QUIET, html
from assistant.pages.uploads import ACCEPTED
from trainer.review.prompts import Prompt

MOST = 2000  # questions of a set that are gone through
Updates = dict[Any, Any]


class CasesFold:
    """The fold that puts a question of a set into the page's question box, one after the other."""

    def __init__(self, question: Any) -> None:
        self._question = question
        self._prompts, self._place = gr.State([]), gr.State(0)
        self.prompt = gr.State(None)
        """The `Prompt` that stands in the question box; None for a question that somebody wrote."""
        with gr.Accordion("Questions from a set", open=False, elem_id="play-cases"):
            with gr.Row(elem_id="play-cases-from"):
                self._set = gr.Dropdown(
                    [], label="Cases of an evaluation", filterable=False, min_width=260, elem_id="play-cases-set"
                )
                self._file = gr.File(
                    label="or a file with questions",
                    file_types=list(ACCEPTED),
                    height=180,
                    min_width=260,
                    elem_id="play-cases-file",
                )
            with gr.Row(visible=False, elem_id="play-cases-move", elem_classes=["bs-tools"]) as self._move:
                self._back = gr.Button("Previous", size="sm", scale=0, elem_id="play-cases-back")
                self._next = gr.Button("Next", size="sm", scale=0, elem_id="play-cases-next")
                self._where = html(elem_id="play-cases-where")
            self._said = html(visible=False, elem_id="play-cases-said")
        self.outputs = [self._set]
        self._changed = [self._prompts, self._place, self.prompt, question, self._move, self._where, self._said]

    def connect(self) -> None:
        """Every event of the fold."""
        self._set.input(self._of_evaluation, self._set, self._changed, **QUIET)
        self._file.upload(self._of_file, self._file, self._changed, **QUIET)
        self._file.clear(lambda: self._at([], 0), None, self._changed, **QUIET)
        moved = [self._prompts, self._place]
        self._back.click(lambda prompts, place: self._at(prompts, place - 1), moved, self._changed, **QUIET)
        self._next.click(lambda prompts, place: self._at(prompts, place + 1), moved, self._changed, **QUIET)

    def open(self) -> Updates:
        """The fold with the evaluations that there are now."""
        from trainer.evaluation import evaluations

        choices = [
            (f"{file.name.partition('.')[0].replace('_', ' ')} · {one.id}", f"{one.id}/{file.name}")
            for one in evaluations.list_evaluations()
            for file in sorted((one.folder / evaluations.CASES).glob("*.tuned.jsonl"))
        ]
        return {self._set: gr.Dropdown(choices, value=None, visible=bool(choices))}

    def _of_evaluation(self, chosen: str | None) -> Updates:
        from trainer.evaluation import evaluations

        def file() -> Path:
            identity, _, name = (chosen or "").partition("/")
            folder = evaluations.get(identity).folder / evaluations.CASES
            return next(one for one in folder.iterdir() if one.name == name)

        return self._read(file) if chosen else self._at([], 0)

    def _of_file(self, upload: str | None) -> Updates:
        return self._read(lambda: Path(upload)) if upload else self._at([], 0)

    def _read(self, where: Callable[[], Path]) -> Updates:
        from trainer.review import prompts

        try:
            return self._at(prompts.read(where(), MOST), 0)
        except Exception as error:  # of whatever a file may hold: one sentence, never a traceback on the page
            fault_log.write("no questions", error)
            return self._at([], 0) | {self._said: gr.HTML(said(in_a_sentence(error), "bad"), visible=True)}

    def _at(self, prompts: list[Prompt], place: int) -> Updates:
        place = max(0, min(place, len(prompts) - 1))
        prompt = prompts[place] if prompts else None
        page: Updates = {
            self._prompts: prompts,
            self._place: place,
            self.prompt: prompt,
            self._move: gr.Row(visible=bool(prompts)),
            self._said: gr.HTML(visible=False),
        }
        if prompt is not None:
            about = " · ".join(one for one in (f"{place + 1} of {len(prompts)}", prompt.group, prompt.source) if one)
            turns = len(prompt.messages) - 1
            asked_before = f" · with {turns} messages before it" if turns else ""
            page |= {
                self._question: prompt.question,
                self._where: f'<p class="bs-soft">Question {escape(about + asked_before)}</p>',
            }
        return page
