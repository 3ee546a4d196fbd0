"""The Search tab in a real browser: what would be searched, a search's trials, and what was found as a plan."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from trainer import jobs, runs
from trainer.runs import Run
from trainer.search import searches
from trainer.search.outcome import Result
from trainer.search.request import SearchRequest
from trainer.search.study import SharedStudy

SPACE = {"schedule.learning_rate": {"low": 1e-4, "high": 0.05, "log": True}, "method.rank": {"choices": [4, 8]}}


def test_a_search_is_looked_at_and_what_it_found_becomes_a_plan(page: Page, trained: Run):
    request = SearchRequest.model_validate({"run": trained.config, "space": SPACE, "trials": 3})
    search = searches.create(request)
    study = SharedStudy(search.folder, request)
    for loss in (1.25, 0.75, 1.5):
        number, _ = study.ask() or (0, {})
        study.complete(number, Result(measured={"quality": loss}, curve=[(50, 2.0), (100, loss)], steps=4, seconds=2.0))
    study.close()
    jobs.write_state(search.folder, search.status.model_copy(update={"state": "done", "step": 3, "total_steps": 3}))
    try:
        page.get_by_role("tab", name="Runs", exact=True).click()
        page.click("#runs-select input")
        page.get_by_role("option", name=runs.label(trained), exact=True).click()
        expect(page.locator("#runs-state")).to_contain_text("done")
        page.get_by_role("tab", name="Search", exact=True).click()
        expect(page.locator("#search-head")).to_contain_text("3 of 3 trials")
        expect(page.locator("#search-head")).to_contain_text("0.750")
        expect(page.locator("#search-trials tbody tr")).to_have_count(3)
        expect(page.locator("#search-trials tbody tr").nth(1)).to_contain_text("1 · taken")
        expect(page.locator("#search-found svg")).to_have_count(2)
        # The run that is looked at is what a new search would start from.
        expect(page.locator("#search-source input")).to_have_value(f"Run: {runs.label(trained)}")
        page.locator("#search-proposal summary").click()
        expect(page.locator("#search-proposal")).to_contain_text("lecture L1.9")
        page.get_by_role("button", name="Open on the Plan page").click()
        expect(page.locator("#plan-config")).to_be_visible()
        expect(page.locator("#plan-chat")).to_contain_text("These were chosen by short trainings")
        rate = search.trials()[1].values["schedule.learning_rate"]
        expect(page.locator("#plan-rates")).to_contain_text(f"up to {rate:.2g}")
    finally:
        searches.delete(searches.get(search.id))
