"""What the pages are made of, without a browser: histories, safe text, the form, kept uploads, a damaged report."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.pages import form as run_form
from assistant.pages import run_view, uploads
from assistant.pages.history import POINTS, History, thinned
from assistant.pages.markdown import plain
from trainer import config, events
from trainer.config import ConfigError
from trainer.sections import RunConfig


def step(number: int, loss: float = 1.0) -> events.StepEvent:
    return events.StepEvent(
        step=number,
        loss=loss,
        learning_rate=1e-3,
        gradient_norm=1,
        tokens_per_second=100,
        memory_gib=2,
        eta_seconds=5,
        total_steps=99,
    )


def test_a_history_reads_only_what_is_new_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    history = History(path).update()
    events.append(path, step(1))
    assert [one.step for one in history.update().steps] == [1]
    line = step(2).model_dump_json()
    with path.open("a") as file:
        file.write(line[:20])
    assert [one.step for one in history.update().steps] == [1]
    with path.open("a") as file:
        file.write(line[20:] + "\n")
    assert [one.step for one in history.update().steps] == [1, 2]


def test_steps_repeated_after_a_resume_replace_the_lost_ones(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for number in (1, 2, 3, 4):
        events.append(path, step(number, loss=9))
    for number in (3, 4):
        events.append(path, step(number, loss=1))
    history = History(path).update()
    assert [(one.step, one.loss) for one in history.steps] == [(1, 9), (2, 9), (3, 1), (4, 1)]


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    points = thinned(range(100_000))
    assert (len(points), points[0], points[-1]) == (POINTS, 0, 99_999)


@pytest.mark.parametrize(
    "text", ["<img src=x>", "![a](http://x/y.png)", "[a](http://x)", "![a][b]\n\n[b]: http://x", "www.x.org", "a@x.org"]
)
def test_safe_text_holds_nothing_that_a_browser_follows(text: str) -> None:
    safe = plain(text)
    assert not any(part in safe for part in ("<", "[", "://", "www.", "@"))


def test_safe_text_keeps_emphasis_and_lists() -> None:
    assert plain("**Assessment:** low\n- a") == "**Assessment:** low\n- a"


def test_the_form_shows_a_run_file_and_gives_the_same_back() -> None:
    before = RunConfig.model_validate(
        {
            "data": {"sources": [{"name": "starter/lab", "rows": 9}], "contains_phi": False},
            "method": {"target_modules": ["q_proj", "v_proj"]},
            "evaluation": {"sample_prompts": ["one?", "two?"]},
            "task": {"other_tasks": ["ner"]},
        }
    )
    form = run_form.entries()
    for entry in form:
        entry.component = f"{entry.section}.{entry.name}"
    shown = run_form.to_form(form, before)
    assert run_form.from_form(form, list(shown.values())) == before


def test_every_fault_of_the_form_is_named() -> None:
    form = run_form.entries()
    for entry in form:
        entry.component = f"{entry.section}.{entry.name}"
    shown = run_form.to_form(form, RunConfig())
    shown |= {"schedule.epochs": -1, "method.rank": None, "data.sources": "- ["}
    with pytest.raises(ConfigError) as error:
        run_form.from_form(form, list(shown.values()))
    assert {fault.field for fault in error.value.faults} == {"schedule.epochs", "method.rank", "data.sources"}


def test_an_upload_is_moved_under_a_safe_name_and_never_over_another(tmp_path: Path) -> None:
    names = []
    for number in range(2):
        file = tmp_path / "..notes of ward 3!.JSONL"
        file.write_text(str(number))
        names.append(uploads.keep(file).name)
        assert not file.exists()
    assert names == ["notes-of-ward-3.jsonl", "notes-of-ward-3-2.jsonl"]
    assert (config.home() / "data" / names[0]).read_text() == "0"


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_text("x")
    with pytest.raises(uploads.UploadError, match=r"a\.pkl is not a"):
        uploads.keep(tmp_path / "a.pkl")


def test_a_report_with_parts_missing_is_still_shown() -> None:
    shown = run_view.report({"table": [{"name": "<b>", "metric": "structure", "n": 3, "tuned": {"score": 0.5}}]})
    assert "&lt;b&gt;" in shown and "50%" in shown and "not measured" in shown
    assert run_view.report(None) == ""


def test_a_report_shows_what_was_predicted_beside_what_was_measured() -> None:
    predicted = {"predicted_gib": {"low": 1.5, "high": 3.5}, "predicted_hours": {"low": 0.1, "high": 0.2}}
    shown = run_view.report({"peak_gib": 2.52, "training_minutes": 5.9} | predicted)
    for words in ("2.5 GiB", "1.5 to 3.5 GiB", ">6 min<", "6 min to 12 min"):
        assert words in shown, shown
