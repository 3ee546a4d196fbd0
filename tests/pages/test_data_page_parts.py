"""What the Data page is made of, without a browser."""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr
import pytest

from assistant.pages import data_labels, data_preview, data_view, plan_view
from assistant.pages.background import with_progress
from assistant.pages.data_settings import Settings
from trainer.config import ConfigError
from trainer.data import corrections, recipes
from trainer.data.records import DataError, Fault
from trainer.data_sections import DataSection, DataSource
from trainer.sections import RunConfig

EVIL = "<script>alert(1)</script>"


def settings() -> Settings:
    with gr.Blocks():
        made = Settings()
        made.draw_deidentify()
        made.draw_split()
    return made


def values(part: Settings, data: DataSection) -> list:
    shown = part.show(data)
    return [one.value if isinstance(one := shown[field], gr.Textbox) else one for field in part.fields]


def test_the_settings_show_a_data_section_and_give_the_same_back() -> None:
    part = settings()
    for data in (
        DataSection(),
        DataSection(
            contains_phi=True,
            deidentify="surrogate",
            split="time",
            test_share=0.2,
            balance="label",
            augment=["back_translation", "paraphrase"],
            translation_models=["/there", "/back"],
            paraphrase_model="/again",
        ),
    ):
        assert part.read(DataSection(), tuple(values(part, data))) == data


def test_settings_that_do_not_go_together_are_refused_with_every_fault() -> None:
    part = settings()
    told = values(part, DataSection())
    told[part.fields.index(part.action)] = "off"
    told[part.fields.index(part.augment)] = ["paraphrase"]
    with pytest.raises(ConfigError) as caught:
        part.read(DataSection(), tuple(told))
    assert [fault.field for fault in caught.value.faults] == ["data.not_deidentified_because", "data.paraphrase_model"]
    unfolded = part.unfolded(tuple(told))
    assert [unfolded[field].visible for field in part.folded] == [True, False, True]


def test_progress_comes_before_the_result_and_errors_are_raised() -> None:
    def work(report):
        report("reading", 1, 3)
        return 7

    *told, last = with_progress(work)
    assert last.done and last.result == 7 and all(one.text == "reading: 1 of 3" for one in told)

    def broken(report):
        raise DataError("a.csv is empty; it holds no rows.")

    with pytest.raises(DataError, match="holds no rows"):
        list(with_progress(broken))


def test_columns_are_read_one_a_line_and_a_wrong_one_is_named() -> None:
    assert data_preview.read_columns("Frage = question\nMRN=patient, seen = time\n") == {
        "Frage": "question",
        "MRN": "patient",
        "seen": "time",
    }
    with pytest.raises(DataError, match="'Frage': expected a column and what it is"):
        data_preview.read_columns("Frage")


def test_what_a_file_says_is_escaped() -> None:
    told = data_view.rejected([Fault(place=f"row {EVIL}", field=EVIL, message=EVIL)])
    told += data_view.rendered([(EVIL, EVIL), EVIL]) + data_view.reading(EVIL, EVIL)
    assert EVIL not in told and "&lt;script&gt;" in told


def test_corrections_of_the_table_are_kept_by_row_and_field(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"question": f"What helps against cough {n}?", "answer": "Rest."} for n in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = recipes.path_for("rows.jsonl")
    recipes.save(recipe, DataSection(sources=[DataSource(name=str(path))]))
    before = data_labels._rows(recipe)
    after = [row[:-1] for row in before]
    after[1][2], after[2][5] = "toxicology", True
    found = data_labels._changed(before, [after[2], after[0], after[1]])  # as the reader may have sorted it
    assert [(one.row, one.field, one.value) for one in found] == [
        (before[2][-1], "expert_validated", True),
        (before[1][-1], "specialty", "toxicology"),
    ]
    told = tmp_path / "told.jsonl"
    corrections.append(told, found)
    assert corrections.read(told)[before[1][-1]] == {"specialty": "toxicology"}


def test_a_source_is_shown_with_what_was_set_and_nothing_else() -> None:
    data = RunConfig(data=DataSection(sources=[DataSource(name="starter/lab", rows=5)]))
    shown = plan_view.run_file(data, None, [])
    assert "starter/lab (rows 5)" in shown
