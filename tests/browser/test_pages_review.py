"""The Review page in a real Chromium: judged blind by two at once, decided, and aligned with in one press."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlmodel import select

from trainer import jobs, model_refs, runs, store
from trainer.review import queue
from trainer.review.prompts import Prompt
from trainer.review.queue import Ballot
from trainer.runs import Run, label
from trainer.store import Comparison, ReviewSet

if TYPE_CHECKING:
    from conftest import App

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def windows(browser: Browser, app: App, hear: str) -> Iterator[tuple[Page, Page]]:
    """Two windows of one browser, which share what it remembers."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_init_script(hear)
    pages = (context.new_page(), context.new_page())
    for one in pages:
        one.goto(app.url)
        one.wait_for_selector("#plan-chip-0", state="visible")
    yield pages
    context.close()


def open_review(page: Page, reviewer: str = "") -> None:
    page.get_by_role("tab", name="Review", exact=True).click()
    page.wait_for_selector("#review-tabs", state="visible")
    if reviewer:
        page.fill("#review-reviewer input, #review-reviewer textarea", reviewer)
        page.keyboard.press("Enter")


def answered_set(run: Run, name: str, questions: int) -> ReviewSet:
    """A set that both models have answered: the first with structure, the second without."""
    first, second, *_ = model_refs.of_run(run)
    prompts = [Prompt(messages=[{"role": "user", "content": f"Question {n}: <i>high</i>?"}]) for n in range(questions)]
    made = queue.create_set(name, prompts, first, second)
    with store.session() as session:
        for one in session.exec(select(Comparison).where(Comparison.set_id == made.id)):
            one.first_answer, one.second_answer = (
                f"Assessment {one.place}: high",
                f"It may be [so](http://x.y) {one.place}",
            )
            session.add(one)
    return made


def better(comparison: str, reviewer: str) -> str:
    """On which side this reviewer sees the answer with structure."""
    return "left" if queue.shown(comparison, reviewer).left.startswith("Assessment") else "right"


def test_a_set_is_made_and_judged_by_two_at_once_who_do_not_see_whose_the_answers_are(
    page: Page, windows: tuple[Page, Page], trained: Run, app: App
) -> None:
    open_review(page)
    expect(page.locator("#review-empty")).to_contain_text("Make a set under “Sets”")
    page.get_by_role("tab", name="Sets", exact=True).click()
    page.fill("#review-name input, #review-name textarea", "ward <b>1</b>")
    page.fill("#review-lines textarea", "Is 3 even?\nIs 4 even?\nIs 5 even?")
    page.fill("#review-longest input", "8")
    page.click("#review-make")
    expect(page.locator("#review-set-said")).to_contain_text("3 cases answered", timeout=120_000)
    expect(page.locator("#review-set")).to_contain_text("ward <b>1</b>")

    log = (app.home.parent / "stderr.txt").stat().st_size
    for window, name in zip(windows, ("Anna", "Ben"), strict=True):
        window.evaluate("window.heard = ''")
        open_review(window, name)
        expect(window.locator("#review-progress")).to_contain_text("Case 1 of 3")
        expect(window.locator("#review-question")).to_contain_text("Is 3 even?")
    told = "".join(window.evaluate("window.heard") for window in windows)
    assert "Is 3 even?" in told, "the answers of the API are among what was heard"
    shown = "".join(window.inner_html("#page-review") for window in windows)
    kept = json.dumps([window.evaluate("[{...localStorage}, {...sessionStorage}]") for window in windows])
    logged = (app.home.parent / "stderr.txt").read_text()[log:]
    for place in (told, shown, kept, logged):
        assert trained.id not in place and label(trained) not in place, "no name before the vote"

    anna, ben = windows
    anna.keyboard.press("Escape")
    anna.locator("#review-question").click()
    anna.keyboard.press("a")
    expect(anna.locator("#review-left-name")).to_contain_text(label(trained))
    expect(ben.locator("#review-left-name")).to_be_hidden()
    anna.click("#review-next")
    expect(anna.locator("#review-progress")).to_contain_text("Case 2 of 3")
    expect(anna.locator("#review-left-name")).to_be_hidden()
    anna.reload()
    anna.wait_for_selector("#plan-chip-0", state="visible")
    open_review(anna)
    expect(anna.locator("#review-progress")).to_contain_text("Case 2 of 3")
    expect(anna.locator("#review-reviewer input, #review-reviewer textarea")).to_have_value("Anna")

    ben.get_by_role("button", name="Skip this case").click()
    ben.click("#review-skip")
    expect(ben.locator("#review-said")).to_contain_text("skipped with a reason")
    ben.fill("#review-reason input, #review-reason textarea", "not my field")
    ben.click("#review-skip")
    expect(ben.locator("#review-question")).to_contain_text("Is 4 even?")
    made = queue.get_set("ward <b>1</b>")
    assert {one.reviewer: (one.done, one.skipped) for one in queue.progress(made.id)} == {"Anna": (1, 0), "Ben": (0, 1)}

    page.click("#review-delete")
    page.click("#review-really")
    expect(page.locator("#review-set-said")).to_contain_text("is deleted")
    assert queue.list_sets() == []


def test_disagreements_are_decided_and_the_votes_become_a_run(page: Page, trained: Run) -> None:
    made = answered_set(trained, "ward 2", 8)
    for reviewer in ("Anna", "Ben"):
        while (shown := queue.next_case(made.id, reviewer)) is not None:
            choice = "tie" if (reviewer, shown.done) == ("Ben", 0) else better(shown.comparison_id, reviewer)
            queue.vote(shown.comparison_id, reviewer, Ballot.model_validate({"choice": choice}))
    open_review(page, "Cleo")
    page.get_by_role("tab", name="Results", exact=True).click()
    report = page.locator("#review-report")
    expect(report).to_contain_text("tuned is preferred")
    expect(report).to_contain_text("7 of 8 were judged the same by all")
    expect(page.locator("#review-disputed")).to_contain_text("Ben: a tie")
    assert page.locator("#review-disputed i").count() == 0, "what a question says is shown as it is"
    disputed = queue.disagreements(made.id, "Cleo")[0].shown.comparison_id
    page.click(f"#review-decide-{better(disputed, 'Cleo')}")
    expect(page.locator("#review-decision-said")).to_contain_text("are decided")

    page.get_by_role("tab", name="Preferences", exact=True).click()
    facts = page.locator("#review-preview .bs-facts")
    expect(facts).to_contain_text("pairs8")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.set_viewport_size({"width": 1280, "height": 900})
    page.click("#review-align")
    expect(page.locator("#runs-state")).to_contain_text("dpo", timeout=60_000)
    aligned = runs.list_runs()[0][0]
    assert aligned.config.objective.kind == "dpo"
    assert aligned.config.data.sources[0].name.endswith("ward-2-v1/pairs.jsonl")
    page.get_by_role("tab", name="Review", exact=True).click()
    expect(page.locator("#review-reasons")).to_be_visible()
    expect(page.locator("#review-reasons")).to_contain_text("8 pairs are very few")
    _ended(aligned)
    queue.delete_set(made.id)


def _ended(run: Run) -> None:
    """Stop the run and remove it."""
    runs.stop(run)
    end = time.monotonic() + 60
    while runs.get(run.id).status.state in jobs.ACTIVE and time.monotonic() < end:
        time.sleep(0.2)
    runs.delete(run)
