"""The Release page in a real Chromium: a run is measured, and a reader sees at once what came of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from trainer.runs import Run, label

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """Twenty questions in a file, with markup in its name and its rows."""
    path = tmp_path / "asked-<b>&.jsonl"
    rows = [{"question": f"Is {n} even? <i>{n}</i>", "answer": ("yes", "no")[n % 2]} for n in range(100, 120)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def open_release(page: Page, run: Run) -> None:
    """The page with this run, whichever was looked at last."""
    page.get_by_role("tab", name="Release", exact=True).click()
    page.wait_for_selector("#release-evaluate", state="visible")
    page.click("#release-run input")
    page.get_by_role("option", name=label(run)).click()


def test_a_run_is_measured_and_the_verdict_stands_first(page: Page, trained: Run, asked: Path) -> None:
    open_release(page, trained)
    page.get_by_role("button", name="What is measured").click()
    page.fill("#release-data input, #release-data textarea", "/absent/file.csv")
    page.click("#release-evaluate")
    expect(page.locator("#release-said")).to_contain_text("/absent/file.csv: nothing in it fits a suite")
    page.fill("#release-data input, #release-data textarea", str(asked))
    page.click("#release-evaluate")
    expect(page.locator("#release-state")).to_contain_text("done", timeout=240_000)
    verdict = page.locator("#release-verdict")
    expect(verdict).to_contain_text("No difference from its base model is shown on any of 1 set")
    expect(verdict).to_contain_text("not enough evidence")
    expect(page.locator("#release-table tbody tr")).to_have_count(1)
    expect(page.locator("#release-gates li")).to_have_count(7)
    fold = page.locator("#release-suites details").first
    fold.locator("summary").first.click()
    fold.get_by_text("Cases", exact=True).click()
    expect(fold).to_contain_text("Is 100 even? <i>100</i>")
    assert page.locator("#release-suites i").count() == 0, "what a file says is shown as it is"

    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("#release-verdict")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390

    page.set_viewport_size({"width": 1280, "height": 900})
    page.reload()
    page.wait_for_selector("#plan-chip-0", state="visible")
    open_release(page, trained)
    expect(page.locator("#release-verdict")).to_contain_text("No difference")
    page.click("#release-delete")
    page.click("#release-really")
    expect(page.locator("#release-verdict")).to_be_hidden()
