"""The pages in a real Chromium: from the conversation to two answers side by side, and what is refused on the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from conftest import App

ROOT = Path(__file__).resolve().parent.parent.parent
SAY = "a test interpretation assistant, starter data, on this machine"
NOTICE = "Bedside is a research tool, not a medical device"
pytestmark = pytest.mark.timeout(300)


def say(page: Page, text: str) -> None:
    page.fill("#plan-say textarea", text)
    page.click("#plan-send")


def plan(page: Page, text: str = SAY) -> None:
    say(page, text)
    page.wait_for_selector("#plan-table")


def open_editor(page: Page) -> None:
    page.get_by_role("button", name="Edit the run file").click()
    page.wait_for_selector("#plan-yaml .cm-content")


def write_yaml(page: Page, text: str) -> None:
    page.click("#plan-yaml .cm-content")
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(text)


def saved_yaml(app: App) -> dict:
    """The newest draft's run file as the user edited it."""
    drafts = sorted((app.home / "plans").glob("*/draft.json"), key=lambda path: path.stat().st_mtime)
    return yaml.safe_load(yaml.safe_load(drafts[-1].read_text())["edited_yaml"])


def planned_yaml(text: str = SAY) -> dict:
    """The run file that the planner makes of this, as data."""
    from assistant.planner import dialogue

    _, turn = dialogue.reply(dialogue.new_draft(), text)
    assert turn.config is not None
    return turn.config.model_dump(mode="json")


def test_empty_pages_say_what_to_do_next(page: Page) -> None:
    expect(page.locator("#plan-known")).to_contain_text("Four answers make a plan")
    expect(page.locator(".bs-footer")).to_contain_text(NOTICE)
    page.get_by_role("tab", name="Playground", exact=True).click()
    expect(page.locator("#play-empty")).to_contain_text("When a run has finished")


def test_a_conversation_becomes_a_run_file_with_reasons(page: Page) -> None:
    plan(page)
    expect(page.locator("#plan-estimate")).to_contain_text("GiB")
    table = page.locator("#plan-table")
    expect(table).to_contain_text("smollm2-135m-instruct")
    expect(table).to_contain_text("Small enough to train on a CPU")
    expect(table).to_contain_text("lecture L")


def test_the_run_file_grows_answer_by_answer(page: Page) -> None:
    say(page, "a radiology report model")
    expect(page.locator("#plan-known")).to_contain_text("report generation")
    page.click("#plan-chip-0")
    expect(page.locator("#plan-known")).to_contain_text("starter")
    page.get_by_role("button", name="This machine").click()
    page.wait_for_selector("#plan-table")


def test_what_the_last_message_changed_is_marked(page: Page) -> None:
    plan(page)
    expect(page.locator("#plan-table .bs-changed")).to_have_count(0)
    say(page, "use rank 24")
    changed = page.locator("#plan-table .bs-changed .bs-name")
    expect(changed).to_have_text(["rank", "alpha"])
    expect(page.locator("#plan-table .bs-changed").first).to_contain_text("You asked for it. The planner would take 16")
    say(page, "undo")
    expect(page.locator("#plan-table .bs-changed .bs-what")).to_have_text(["16", "32"])


def test_a_what_if_shows_both_plans_and_changes_nothing(page: Page) -> None:
    plan(page)
    say(page, "what if I had an A100?")
    table = page.locator("#plan-chat table").last
    expect(table).to_contain_text("a100-40gb")
    expect(page.locator("#plan-table .bs-changed")).to_have_count(0)
    expect(page.locator("#plan-estimate")).to_contain_text("a CPU")


def test_a_saved_plan_is_opened_again_exported_and_deleted(page: Page, app: App) -> None:
    plan(page, "an assistant for interpreting ECGs, starter data, on this machine")
    page.click("#plan-new")
    expect(page.locator("#plan-known")).to_be_visible()
    page.click("#plan-saved button")
    page.click("#plan-select input")
    page.get_by_role("option", name="an assistant for interpreting ECGs").first.click()
    page.wait_for_selector("#plan-table")
    expect(page.locator("#plan-chat")).to_contain_text("interpreting ECGs")
    page.click("#plan-saved button")
    page.click("#plan-saved button")
    with page.expect_download() as download:
        page.click("#plan-export")
    assert "> an assistant for interpreting ECGs, starter data, on this machine" in download.value.path().read_text()
    kept = set((app.home / "plans").iterdir())
    page.click("#plan-delete")
    page.click("#plan-really-delete")
    expect(page.locator("#plan-known")).to_be_visible()
    assert len(kept - set((app.home / "plans").iterdir())) == 1


def test_a_refreshed_page_goes_on_where_it_was(page: Page) -> None:
    plan(page)
    page.reload()
    page.wait_for_selector("#plan-table")
    expect(page.locator("#plan-chat")).to_contain_text(SAY)
    page.click("#plan-new")
    expect(page.locator("#plan-known")).to_be_visible()
    expect(page.locator("#plan-chat")).not_to_contain_text(SAY)


def test_every_fault_of_an_edited_run_file_is_named(page: Page) -> None:
    plan(page)
    open_editor(page)
    data = planned_yaml()
    data["schedule"]["epochs"] = -1
    data["method"]["rank"] = 0
    data["model"]["nam"] = "x"
    write_yaml(page, yaml.safe_dump(data, sort_keys=False))
    faults = page.locator("#plan-faults")
    for field in ("schedule.epochs", "method.rank", "model.nam"):
        expect(faults).to_contain_text(field)
    expect(page.locator("#plan-start")).to_be_disabled()
    data["schedule"]["epochs"], data["method"]["rank"] = 1, 8
    del data["model"]["nam"]
    write_yaml(page, yaml.safe_dump(data, sort_keys=False))
    expect(faults).not_to_be_visible()
    expect(page.locator("#plan-start")).to_be_enabled()
    expect(page.locator("#plan-table")).to_contain_text("your edit")


def test_form_and_yaml_are_kept_in_step(page: Page, app: App) -> None:
    plan(page)
    open_editor(page)
    page.get_by_role("tab", name="Form").click()
    rank = page.locator("#form-method-rank input")
    rank.fill("24")
    expect(page.locator("#plan-table")).to_contain_text("your edit")
    page.get_by_role("tab", name="YAML").click()
    # The editor holds only the lines in sight.
    page.locator("#plan-yaml .cm-scroller").evaluate("it => it.scrollTop = it.scrollHeight / 3")
    expect(page.locator("#plan-yaml .cm-content")).to_contain_text("rank: 24")
    data = saved_yaml(app)
    assert data["method"]["rank"] == 24
    data["method"]["rank"] = 12
    write_yaml(page, yaml.safe_dump(data, sort_keys=False))
    page.get_by_role("tab", name="Form").click()
    expect(rank).to_have_value("12")


def test_another_kind_of_method_brings_its_own_fields(page: Page, app: App) -> None:
    plan(page)
    open_editor(page)
    page.get_by_role("tab", name="Form").click()
    rank, length = page.locator("#form-method-rank"), page.locator("#form-method-length")
    expect(rank).to_be_visible()
    expect(length).not_to_be_visible()
    page.locator("#form-method-kind input").click()
    page.get_by_role("option", name="prefix tuning").click()
    expect(length.locator("input")).to_have_value("30")
    expect(rank).not_to_be_visible()
    expect(page.locator("#plan-table")).to_contain_text("prefix")
    assert saved_yaml(app)["method"]["kind"] == "prefix"
    page.locator("#form-steering").get_by_role("button").first.click()
    expect(page.locator("#form-steering-replay_share input")).to_have_value("0.03")


def test_patient_data_is_masked_and_a_plan_without_data_does_not_start(page: Page, app: App) -> None:
    plan(page, "summarise notes of real patients, 3000 of them, on this machine")
    expect(page.locator("#plan-table")).to_contain_text("what identifies a person is taken out")
    page.click("#plan-start")
    refusal = page.locator("#plan-faults")
    expect(refusal).to_contain_text("This run cannot start here")
    expect(refusal).to_contain_text("No data is chosen")
    assert not list((app.home / "runs").glob("*-summar*"))
    expect(page.locator("#plan-chat")).to_contain_text("summarise notes")


def test_an_uploaded_file_becomes_the_data(page: Page, app: App, tmp_path: Path) -> None:
    file = tmp_path / "my notes (1).jsonl"
    file.write_text('{"prompt": "Sodium 129?", "completion": "Low."}\n')
    page.set_input_files("#plan-upload input, input[type=file]", str(file))
    expect(page.locator("#plan-chat")).to_contain_text("My data is in")
    assert (app.home / "data" / "my-notes-1.jsonl").read_text() == '{"prompt": "Sodium 129?", "completion": "Low."}\n'
    expect(page.locator("#plan-known")).to_contain_text("my-notes-1.jsonl")


def test_nothing_is_wider_than_the_page(page: Page) -> None:
    plan(page)
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        for tab in ("Plan", "Data", "Runs", "Playground"):
            page.get_by_role("tab", name=tab, exact=True).click()
            page.wait_for_timeout(300)
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_from_the_conversation_to_two_answers(page: Page, app: App, tiny_model: Path) -> None:
    plan(page)
    open_editor(page)
    data = planned_yaml()
    data["model"]["name"] = str(tiny_model)
    data["data"]["sources"] = [{"name": "starter/lab", "rows": 60}]
    data["schedule"] |= {"max_steps": 12, "batch_size": 2, "accumulation": 1, "max_length": 256, "checkpoint_every": 6}
    data["evaluation"] |= {
        "every": 4,
        "sample_every": 6,
        "sample_prompts": ["Sodium 129 mmol/L (reference 135-145): low, normal or high?"],
        "held_out": [{"name": "starter/lab", "metric": "label", "items": 4}],
        "forgetting": False,
        "max_new_tokens": 12,
    }
    data["output"]["name"] = "browser test"
    write_yaml(page, yaml.safe_dump(data, sort_keys=False))
    expect(page.locator("#plan-table")).to_contain_text("browser test")
    page.click("#plan-start")

    expect(page.locator("#runs-state")).to_contain_text("browser test", timeout=20_000)
    expect(page.locator("#runs-loss")).to_contain_text("Loss", timeout=120_000)
    page.reload()  # a refreshed page does not disturb the run
    page.get_by_role("tab", name="Runs", exact=True).click()
    expect(page.locator("#runs-state .bs-badge")).to_have_text("done", timeout=180_000)
    expect(page.locator("#runs-report")).to_contain_text("starter/lab")
    expect(page.locator("#runs-samples")).to_contain_text("Sodium 129")

    page.get_by_role("tab", name="Playground", exact=True).click()
    page.fill("#play-question textarea", "Potassium 6.1 mmol/L (reference 3.5-5.1): low, normal or high?")
    page.click("#play-settings button")
    page.fill("#play-max input", "8")
    page.click("#play-ask")
    for side in ("left", "right"):
        expect(page.locator(f"#play-{side}-speed")).to_contain_text("tokens/s", timeout=60_000)
    expect(page.locator("#play-ask")).to_be_visible(timeout=60_000)
    expect(page.locator("#play-status")).not_to_be_visible()


def test_a_port_in_use_is_one_clear_sentence(app: App) -> None:
    command = [sys.executable, "app.py", "--port", str(app.port)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"Port {app.port} cannot be used")
    assert len(ended.stderr.splitlines()) == 1
