"""From votes to a better version in a real Chromium, on the embedded model: forty blind votes by three readers with a
known preference, an alignment in one press, a blind comparison on questions that nobody has seen, and a new version.

About half an hour on two cores, so `make soak` runs it. The same without a browser, with more figures:
`bench/review_loop.py`, whose preference and runs these are.
"""

from __future__ import annotations

import importlib
import json
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from trainer import jobs, runs
from trainer.review import preferences, queue
from trainer.runs import Run, label
from trainer.versions import registry

if TYPE_CHECKING:
    from conftest import App

ROOT = Path(__file__).resolve().parent.parent.parent
SEED, CASES = 17, 32
READERS = ("Anna", "Ben", "Cleo")
pytestmark = [pytest.mark.soak, pytest.mark.timeout(5400)]


def test_forty_votes_in_the_browser_become_a_version_that_is_preferred(
    embedded_cache: Path, page: Page, app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(app.home))
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    loop = importlib.import_module("review_loop")

    rows = loop.clinical("train")
    random.Random(SEED).shuffle(rows)
    few, many = (_written(tmp_path / f"{count}.jsonl", rows[:count]) for count in (loop.FEW, loop.MANY))
    first = loop.train(loop.supervised("first", [{"name": "starter/lab", "rows": 150}, {"name": few}], SEED))
    other = loop.train(loop.supervised("clinical", [{"name": many}], SEED))
    begun = registry.register("clinic", first, "data", "Reads lab values.")
    registry.put_in_use("clinic", begun.number, "the first version")

    page.reload()
    page.wait_for_selector("#plan-chip-0", state="visible")
    asked = rows[loop.MANY : loop.MANY + CASES]
    _make_set(page, "votes", [row["prompt"] for row in asked], first, other, ", ".join(READERS))
    answers = {_line(row["prompt"]): row["answer"] for row in asked}
    votes = sum(_judge_all(page, reader, loop.better, answers, loop.ERRORS) for reader in READERS)
    assert votes == 40

    page.get_by_role("tab", name="Preferences", exact=True).click()
    _choose(page, "#review-align-run", label(first))
    page.click("#review-align")
    expect(page.locator("#runs-state")).to_contain_text("dpo", timeout=60_000)
    aligned = _ended(runs.list_runs()[0][0])
    assert aligned.config.method.start_from == first.id
    lost = (aligned.report() or {})["forgetting"]["points_lost"]
    assert lost <= aligned.config.steering.forgetting_limit

    page.get_by_role("tab", name="Review", exact=True).click()
    _make_set(page, "unseen", [row["prompt"] for row in loop.clinical("heldout")], first, aligned, "")
    _judge_all(page, "Dora", loop.better, {}, 0.0)
    page.get_by_role("tab", name="Results", exact=True).click()
    expect(page.locator("#review-report")).to_contain_text("is preferred")
    _, given, _ = preferences.judged([queue.get_set("unseen").id])
    won = [vote.choice for vote in given].count("second")
    assert won >= 0.7 * len(given), f"{won} of {len(given)}"

    page.get_by_role("tab", name="Release", exact=True).click()
    page.get_by_role("tab", name="Versions", exact=True).click()
    page.click("#versions-register .label-wrap")
    _choose(page, "#versions-change", "alignment")
    page.fill("#versions-note input, #versions-note textarea", "Keeps to the taught structure.")
    page.click("#versions-keep")
    expect(page.locator("#versions-shown")).to_contain_text("Keeps to the taught structure.", timeout=60_000)
    kept = registry.versions("clinic")[0]
    assert kept.model.startswith(aligned.id) and kept.parent == "1.0.0" and kept.number == "1.1.0"


def _written(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def _unfold(page: Page, fold: str, within: str) -> None:
    """Open a fold that may be open, or is about to be opened by the page itself."""
    page.wait_for_timeout(1000)
    if not page.locator(within).is_visible():
        page.click(f"{fold} .label-wrap")
    expect(page.locator(within)).to_be_visible()


def _line(question: str) -> str:
    return " ".join(question.split())


def _choose(page: Page, place: str, shown: str) -> None:
    page.click(f"{place} input")
    page.get_by_role("option").filter(has_text=shown).first.click()
    expect(page.get_by_role("option")).to_have_count(0)


def _make_set(page: Page, name: str, questions: list[str], first: Run, second: Run, readers: str) -> None:
    page.get_by_role("tab", name="Review", exact=True).click()
    page.wait_for_selector("#review-tabs", state="visible")
    page.get_by_role("tab", name="Sets", exact=True).click()
    _unfold(page, "#review-new", "#review-name")
    page.fill("#review-name input, #review-name textarea", name)
    page.fill("#review-lines textarea", "\n".join(map(_line, questions)))
    for place, run in (("first", first), ("second", second)):
        _choose(page, f"#review-{place}", label(run))
    page.fill("#review-reviewers input, #review-reviewers textarea", readers)
    page.fill("#review-twice input[type=number]", "0.25")
    page.click("#review-make")
    expect(page.locator("#review-set-said")).to_contain_text(f"{len(questions)} cases answered", timeout=1_800_000)


def _judge_all(page: Page, reader: str, better, answers: dict[str, str], errors: float) -> int:
    """Judge all that is dealt to a reader, by what the page shows; returns the votes."""
    page.get_by_role("tab", name="Judge", exact=True).click()
    page.fill("#review-reviewer input, #review-reviewer textarea", reader)
    page.keyboard.press("Enter")
    progress = page.locator("#review-progress")
    chance, given = random.Random(f"{SEED}/{reader}"), 0
    expect(progress).to_contain_text("Case 1 of")
    while "All done" not in progress.inner_text():
        question = _line(page.locator("#review-question p").inner_text())
        left, right = (page.locator(f"#review-{side}").inner_text() for side in ("left", "right"))
        choice = better(question, left, right)
        if chance.random() < errors:
            choice = {"left": "right", "right": "left"}.get(choice, "left")
        if choice == "both_bad" and question in answers:
            _unfold(page, "#review-more", "#review-correction")
            page.fill("#review-correction textarea", answers[question])
        page.click(f"#review-vote-{choice}")
        given += 1
        page.click("#review-next")
        expect(progress).to_contain_text(f"Case {given + 1} of" if _more(page, given) else "All done")
    return given


def _more(page: Page, given: int) -> bool:
    """Whether the page shows, or soon shows, another case."""
    end = time.monotonic() + 20
    progress = page.locator("#review-progress")
    while time.monotonic() < end:
        told = progress.inner_text()
        if "All done" in told:
            return False
        if f"Case {given + 1} of" in told:
            return True
        time.sleep(0.1)
    return False


def _ended(run: Run) -> Run:
    while run.status.state in jobs.ACTIVE:
        time.sleep(1)
        run = runs.get(run.id)
    assert run.status.state == "done", run.status.error
    return run
