"""The versions on the Release page and two runs beside each other, without a browser."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import gradio as gr
import pytest
from versions_made import evaluated, run_like

from assistant.pages import compare_runs, versions, versions_view
from assistant.pages.runs import build as build_runs
from evaluators import gates
from evaluators.cases import Case
from trainer.runs import Run
from trainer.store import Version
from trainer.versions import ab_test, registry

EVIL = '<img src=x onerror="alert(1)">'


@pytest.fixture
def page() -> versions._Page:
    with gr.Blocks():
        return versions._Page()


def shown(updates: versions.Updates, part: Any) -> tuple[str, bool]:
    """What a part of the page says, and whether it is visible."""
    one = updates[part]
    if isinstance(one, dict):
        return str(one.get("value", "")), one.get("visible", True)
    return str(getattr(one, "value", "")), one.visible


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def test_an_empty_page_says_what_to_do(page: versions._Page):
    found = page.open(None)
    assert shown(found, page.nothing)[1] and not shown(found, page.body)[1] and not shown(found, page.form)[1]


def test_register_put_into_use_and_roll_back(page: versions._Page, finished_run: Run):
    found = page.open(finished_run.id)
    assert shown(found, page.model)[0] == finished_run.id, "the run that is looked at"
    assert shown(found, page.to)[0] == "tiny" and not shown(found, page.body)[1]
    draft = page._preview(finished_run.id, "labs", "data", "The first.", "2026-03-31", "")
    assert "labs 1.0.0" in words(shown(draft, page.draft)[0]) and registry.lines() == []
    kept = page._register(finished_run.id, "labs", "data", "The first.", "2026-03-31", "")
    assert words(shown(kept, page.told)[0]) == "labs 1.0.0 is registered; it is not in use yet."
    assert "None of them is in use yet." in shown(kept, page.all)[0] and "2026-03-31" in shown(kept, page.one)[0]
    assert shown(kept, page.use) == ("Put 1.0.0 into use", True) and not shown(kept, page.back)[1]

    refused = page._do("labs", "1.0.0", "use", " ")
    assert words(shown(refused, page.told)[0]) == "Say why labs 1.0.0 is put into use."
    page._do("labs", "1.0.0", "use", "the first")
    second = run_like(finished_run, "second")
    page._register(second.id, "labs", "fix", "", "", "")
    used = page._do("labs", "1.0.1", "use", "calmer")
    assert not shown(used, page.use)[1] and shown(used, page.back) == ("Roll back to 1.0.0", True)
    asked = page._ask_back("labs")
    assert words(shown(asked, page.ask)[0]) == "Roll labs back to 1.0.0, which was in use before?"
    back = page._do("labs", "1.0.1", asked[page.asked], "wrong doses")
    assert shown(back, page.number)[0] == "1.0.0" and not shown(back, page.back)[1]
    assert "rolled back: wrong doses" in shown(back, page.all)[0]
    version = registry.in_use("labs")
    assert version is not None and version.number == "1.0.0"


def test_a_version_is_tried_on_users_and_the_test_ended(page: versions._Page, finished_run: Run):
    registry.register("labs", finished_run, "data")
    kept = page._register(run_like(finished_run, "second").id, "labs", "fix", "", "", "")
    assert not shown(kept, page.beside)[1], "nothing is in use that it could be tried beside"
    registry.put_in_use("labs", "1.0.0", "the first")
    found = page._line("labs")
    assert not shown(found, page.beside)[1] and not shown(found, page.end)[1]
    assert shown(page._one("labs", "1.0.1"), page.beside) == ("Try 1.0.1 on half of the users", True)

    asked = page._ask_try("labs", "1.0.1")
    assert "Half of the users get 1.0.1, the others keep 1.0.0" in words(shown(asked, page.ask)[0])
    assert asked[page.why].visible is False, "no reason is kept of it"
    begun = page._do("labs", "1.0.1", asked[page.asked], "")
    test = ab_test.running("labs")
    assert test is not None and test.second == "1.0.1"
    assert "Undecided after 0 pairs" in shown(begun, page.test)[0] and shown(begun, page.end)[1]
    assert not shown(page._one("labs", "1.0.1"), page.beside)[1], "one test at a time"

    asked = page._ask_end("labs")
    ending = asked[page.asked]
    assert asked[page.why].visible is True
    refused = page._do("labs", "1.0.1", ending, "")
    assert "Say why it is to end now" in words(shown(refused, page.told)[0]) and ab_test.running("labs")
    ended = page._do("labs", "1.0.1", ending, "too few users")
    assert ab_test.running("labs") is None and not shown(ended, page.end)[1]
    assert "too few users" in (ab_test.get(test.id).conclusion or "")
    in_use = registry.in_use("labs")
    assert in_use is not None and in_use.number == "1.0.0"


def test_what_cannot_be_done_is_said(page: versions._Page, finished_run: Run):
    wanted: list[tuple[Any, str]] = [
        ((finished_run.id, "a b", "data", "", "", ""), "'a b' cannot name a line"),
        ((finished_run.id, "labs", "data", "", "soon", ""), "'soon' is no date"),
        ((None, "labs", "data", "", "", ""), "There is no run"),
    ]
    for asked, said in wanted:
        assert said in words(shown(page._register(*asked), page.told)[0])
        assert said in words(shown(page._preview(*asked), page.told)[0])
    evaluated(
        finished_run,
        [Case(id="a", source="a", question="a", answer="", right=True)],
        gates=[gates.harmful(3, 40, "the screen")],
    )
    assert "was not registered" in shown(page._register(finished_run.id, "labs", "data", "", "", ""), page.told)[0]
    kept = page._register(finished_run.id, "labs", "data", "", "", "for the bench alone")
    assert "for the bench alone" in shown(kept, page.one)[0] and "beyond a limit" in shown(kept, page.all)[0]


def test_broken_cases_and_the_ab_test_stand_below_and_a_run_that_is_gone_is_said(
    page: versions._Page, finished_run: Run
):
    second = run_like(finished_run, "second")
    was = [Case(id=f"{at}", source=f"{at}", question=f"Q{at}", answer="", right=True) for at in range(40)]
    evaluated(finished_run, was)
    evaluated(second, [one.model_copy(update={"right": one.id != "7", "answer": EVIL}) for one in was])
    registry.register("labs", finished_run, "data")
    registry.register("labs", second, "fix")
    registry.put_in_use("labs", "1.0.0", "the first")
    ab_test.begin("labs", "1.0.1")
    found = page.open(second.id)
    assert not shown(found, page.compared)[1], "the version in use is shown, the first of its line"
    assert "Undecided after 0 pairs" in shown(found, page.test)[0]
    one, visible = shown(page._one("labs", "1.0.1"), page.compared)
    assert visible and "Of 40 questions that were passed 1 fail now" in one
    assert "Q7" in one and "<img" not in one and "&lt;img" in one
    from trainer import runs

    runs.delete(finished_run)
    told, visible = shown(page._one("labs", "1.0.1"), page.compared)
    assert visible and "What 1.0.1 can no longer do cannot be said: There is no run" in words(told)


def test_what_people_and_files_say_is_never_run(finished_run: Run):
    source = {"name": EVIL, "role": EVIL, "licence": EVIL, "rows_used": 1, "sha256": EVIL}
    made = Version(
        line=EVIL, number="1.0.0", model=EVIL, change=EVIL, changelog=EVIL, despite=EVIL, knowledge_until=EVIL,
        parent=EVIL, data_manifest={"sources": [source]},
    )  # fmt: skip
    pages = versions_view.version(made, made) + versions_view.line([made], made, [])
    pages += versions_view.draft(
        registry.draft("labs", finished_run, "data", EVIL).model_copy(update={"objections": [EVIL], "reasons": [EVIL]})
    )
    assert "<img" not in pages and pages.count("&lt;img") >= 12


def test_two_runs_beside_each_other(finished_run: Run):
    config = finished_run.config.model_copy(deep=True)
    config.schedule.epochs = 7.0
    config.task.system_prompt = EVIL
    other = run_like(finished_run, "other", config)
    path = other.folder / "events.jsonl"
    raised = [json.loads(line) for line in path.read_text().splitlines()]
    for event in raised:
        if event["kind"] == "eval":
            event["loss"] = 9.0
    path.write_text("".join(json.dumps(event) + "\n" for event in raised))
    drawn = compare_runs.comparison(finished_run, other)
    assert "<td>schedule.epochs</td><td>3.0</td><td>7.0</td>" in drawn and "<img" not in drawn
    assert re.search(r'aria-label="validation loss by step: tiny ends at [\d.]+; other ends at 9"', drawn)
    assert "training loss by step: tiny ends at" in drawn
    assert "schedule.batch_size" not in drawn, "only what differs"
    same = compare_runs.comparison(finished_run, finished_run)
    assert "The two run files are the same." in same


def test_the_runs_page_offers_the_other_runs(finished_run: Run):
    with gr.Blocks():
        runs_page = build_runs()
    beside = next(part for part in runs_page.outputs if getattr(part, "elem_id", "") == "runs-beside")
    assert runs_page.open(finished_run.id)[beside].visible is False, "there is no other"
    other = run_like(finished_run, "other")
    updated = runs_page.open(finished_run.id)[beside]
    assert updated.visible and [value for _, value in updated.choices] == ["", other.id]
