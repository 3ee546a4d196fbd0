"""What the pages are made of, without a browser: histories, safe text, the form, kept uploads, a damaged report."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assistant.pages import form as run_form
from assistant.pages import plan_view, run_view, uploads
from assistant.pages.history import MOST_KEPT, POINTS, History, thinned
from assistant.pages.markdown import plain
from assistant.planner.advice_models import Reason
from trainer import config, events
from trainer.config import ConfigError
from trainer.method_sections import METHOD_KINDS, AdaLoraMethod
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


def test_a_day_of_events_is_read_once_and_kept_thinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(f"{step(number).model_dump_json()}\n" for number in range(1, 20_001)))
    history = History(path).update()
    steps = [one.step for one in history.steps]
    assert (steps[0], steps[-1]) == (1, 20_000) and len(steps) <= 2 * MOST_KEPT
    assert max(after - before for before, after in pairwise(steps)) <= 2 * 20_000 / MOST_KEPT, "evenly"

    read: list[Any] = []
    parse = events._ADAPTER.validate_json
    monkeypatch.setattr(events, "_ADAPTER", SimpleNamespace(validate_json=lambda line: read.append(1) or parse(line)))
    before = history.update().counts()
    assert read == []
    events.append(path, step(20_001))
    assert history.update().counts() != before and history.steps[-1].step == 20_001 and read == [1]


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


def shown(form: list[run_form.Entry], config: RunConfig) -> dict[str, Any]:
    """What the form's components hold; a hidden one nothing."""
    return {name: update.get("value") for name, update in run_form.to_form(form, config).items()}


def test_the_form_shows_a_run_file_and_gives_the_same_back() -> None:
    before = RunConfig.model_validate(
        {
            "data": {"sources": [{"name": "starter/lab", "rows": 9}], "contains_phi": False},
            "method": {"kind": "lora", "target_modules": ["q_proj", "v_proj"]},
            "evaluation": {"sample_prompts": ["one?", "two?"]},
            "task": {"other_tasks": ["ner"]},
        }
    )
    form = run_form.entries()
    for entry in form:
        entry.component = f"{entry.section}.{entry.name}"
    assert run_form.from_form(form, list(shown(form, before).values())) == before


@pytest.mark.parametrize("kind", METHOD_KINDS)
def test_the_form_holds_the_fields_of_every_kind_of_method_and_shows_the_chosen_one_s(kind: str) -> None:
    form = run_form.entries()
    for entry in form:
        entry.component = f"{entry.section}.{entry.name}"
    updates = run_form.to_form(form, RunConfig(method=METHOD_KINDS[kind]()))  # pyright: ignore[reportArgumentType]
    visible = {name for name, update in updates.items() if name.startswith("method.") and update["visible"]}
    assert visible == {f"method.{name}" for name in METHOD_KINDS[kind].model_fields}


def test_another_kind_of_method_begins_with_its_own_defaults() -> None:
    form = run_form.entries()
    for entry in form:
        entry.component = f"{entry.section}.{entry.name}"
    before = RunConfig.model_validate({"method": {"kind": "lora", "rank": 64, "alpha": 128}, "schedule": {"epochs": 2}})
    values = shown(form, before) | {"method.kind": "adalora"}
    after = run_form.from_form(form, list(values.values()), another_kind="method")
    # A rank of 64 would be above AdaLoRA's default start.
    assert after.method == AdaLoraMethod() and after.schedule.epochs == 2


def test_a_kind_chosen_by_hand_is_the_only_edit_that_the_plan_shows() -> None:
    planned = RunConfig.model_validate({"method": {"kind": "lora", "rank": 64, "alpha": 128}})
    edited = planned.model_copy(update={"method": AdaLoraMethod()})
    reasons = [Reason(field="method.rank", value=64, why="by task", source="x")]
    table = plan_view.run_file(edited, planned, reasons)
    assert table.count("You set this.") == 1 and "by task" not in table
    assert "Mean rank that is left at the end." in table


def test_every_fault_of_the_form_is_named() -> None:
    form = run_form.entries()
    for entry in form:
        entry.component = f"{entry.section}.{entry.name}"
    values = shown(form, RunConfig()) | {"schedule.epochs": -1, "method.rank": None, "data.sources": "- ["}
    with pytest.raises(ConfigError) as error:
        run_form.from_form(form, list(values.values()))
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
