"""Specialty, task and level of the first rows in a table, where people correct them and mark what an expert checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from assistant.pages import data_preview
from assistant.pages.background import in_a_sentence
from assistant.pages.style import QUIET, notice
from trainer.data import corrections, recipes
from trainer.data.corrections import Correction
from trainer.data.inspection.assignment import assign
from trainer.data.records import DataError
from trainer.data.rows import question

SHOWN = 50
_COLUMNS = ["place", "question", "specialty", "task", "level", "expert validated"]
_FIELDS: dict[str, corrections.Field] = {
    "specialty": "specialty",
    "task": "task",
    "level": "level",
    "expert validated": "expert_validated",
}
_KINDS: Any = ["str", "str", "str", "str", "str", "bool"]
_WIDTHS: Any = ["90px", "380px", "190px", "180px", "130px", "150px"]


@dataclass
class Labels:
    """The part's components."""

    fold: gr.Accordion
    table: gr.Dataframe
    save: gr.Button
    before: gr.State
    """The table as it was shown, with each row's id behind its cells."""


def draw() -> Labels:
    """Draw the table, folded away."""
    with gr.Accordion("Correct specialty, task and level; mark what an expert checked", open=False) as fold:
        table = gr.Dataframe(
            headers=_COLUMNS,
            datatype=_KINDS,
            interactive=True,
            static_columns=[0, 1],
            column_widths=_WIDTHS,
            buttons=[],
            wrap=True,
            max_height=420,
            show_label=False,
            elem_id="data-labels",
        )
        save = gr.Button("Save corrections", elem_id="data-save-labels")
    return Labels(fold, table, save, gr.State([]))


def connect(part: Labels, recipe: Any, fault: Any, seen: Any, see_again: Callable[[str], dict[Any, Any]]) -> None:
    """Fill the table when it is unfolded; keep what was changed, and show the See tab anew."""

    def fill(name: str | None) -> dict[Any, Any]:
        if not name:
            return {part.before: []}
        try:
            rows = _rows(recipes.at(name))
        except (DataError, OSError) as error:
            return {fault: gr.HTML(notice("This data cannot be read", [in_a_sentence(error)]), visible=True)}
        return {part.table: [row[:-1] for row in rows], part.before: rows}

    def keep(name: str | None, before: list[list[Any]], table: Any) -> dict[Any, Any]:
        if not name:
            return {part.before: before}
        path = recipes.at(name)
        changed = _changed(before, table.values.tolist())
        if changed:
            data = recipes.load(path)
            source = data.sources[0]
            target = Path(source.corrections or path.with_name(f"{path.name}.corrections.jsonl"))
            corrections.append(target, changed)
            source.corrections = str(target)
            recipes.save(path, data)
        gr.Info(f"{len(changed)} corrections kept." if changed else "Nothing was changed.", duration=4)
        return fill(name) | see_again(name)

    part.fold.expand(fill, recipe, [part.table, part.before, fault], **QUIET)
    part.save.click(keep, [recipe, part.before, part.table], [part.table, part.before, fault, seen], **QUIET)


def _rows(path: Path) -> list[list[Any]]:
    source = recipes.load(path).sources[0]
    corrected = corrections.read(Path(source.corrections)) if source.corrections else {}
    table = []
    for row in data_preview.first_rows(source, SHOWN):
        corrections.apply(row, corrected)
        assign(row)
        about = row.get("about", {})
        labels = [about.get("specialty", ""), about.get("task", ""), about.get("level", "")]
        shown = question(row)[:200]
        table.append([about.get("place"), shown, *labels, bool(about.get("expert_validated")), about.get("id")])
    return table


def _changed(before: list[list[Any]], after: list[list[Any]]) -> list[Correction]:
    """What differs between the table that was shown and the one that came back, row by row."""
    was = {row[0]: row for row in before}
    found = []
    for row in after:
        if row[0] not in was:
            continue
        for place, name in enumerate(_COLUMNS):
            if name in _FIELDS and row[place] != was[row[0]][place] and row[place] not in (None, ""):
                value = row[place] if isinstance(row[place], bool) else str(row[place]).strip()
                found.append(Correction(row=was[row[0]][-1], field=_FIELDS[name], value=value))
    return found
