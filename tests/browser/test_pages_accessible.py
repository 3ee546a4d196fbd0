"""Every page in a real Chromium for whoever sees little or uses no mouse: axe-core finds nothing serious, light and
dark, empty and full; each page's main action is done by keyboard alone; whatever has the focus shows it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import full_home
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, expect

from trainer import jobs, people, runs
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from conftest import App

pytestmark = pytest.mark.timeout(600)
Scheme = Literal["light", "dark"]
WHO, SECRET = "Clara Diaz", "three blue herons"
SAY = "a test interpretation assistant with the starter data, on this machine"
ALL_DRAWN = """() => new Promise((done) => {
  let waiting;
  const ends = () => { watch.disconnect(); requestAnimationFrame(() => requestAnimationFrame(done)); };
  const again = () => { clearTimeout(waiting); waiting = setTimeout(ends, 250); };
  const watch = new MutationObserver(again);
  watch.observe(document.body, {childList: true, subtree: true});
  again();
})"""
"""Ends when nothing was put into the page for a quarter of a second, and the page's own script has seen it."""
# The tabs that lead to each part of the pages, by their ids, and what stands there once it is drawn.
EMPTY = {
    ("plan",): "#plan-known",
    ("data",): "#data-empty",
    ("runs", "training"): "#runs-empty",
    ("runs", "search"): "#search-nothing",
    ("playground",): "#play-empty",
    ("review",): "#review-empty",
    ("release", "evaluation"): "#release-empty",
    ("release", "versions"): "#versions-empty",
}
FULL = {
    ("plan",): "#plan-table",
    ("data", "source"): "#data-found .bs-card",
    ("data", "see"): "#data-see .bs-card",
    ("data", "deidentify"): "#data-phi",
    ("data", "shape"): "#data-template",
    ("data", "split"): "#data-prepare",
    ("runs", "training"): "#runs-state",
    ("runs", "search"): "#search-trials",
    ("playground",): "#play-question",
    ("review", "judge"): "#review-question .bs-card",
    ("review", "results"): "#review-report .bs-card",
    ("review", "preferences"): "#review-preview .bs-card",
    ("review", "sets"): "#review-set .bs-card",
    ("release", "evaluation"): "#release-verdict",
    ("release", "versions"): "#versions-line",
    ("people",): "#people-list table",
}
UNFOLD = """
() => {
  for (const one of document.querySelectorAll('details:not([open])')) if (one.offsetParent) one.open = true;
  for (const one of document.querySelectorAll('button.label-wrap:not(.open)')) if (one.offsetParent) one.click();
}
"""
# Each finding that counts (by axe-core's own words for its impact): rule, place, and what is wrong. Of all rules only
# that of contrast depends on the colours.
FIND = """
async (rules) => {
  const found = await axe.run(document, {resultTypes: ['violations'], ...(rules && {runOnly: rules})});
  const grave = found.violations.filter((one) => ['serious', 'critical'].includes(one.impact));
  return grave.flatMap((one) => one.nodes.map((node) => `${one.id} at ${node.target}: ${node.failureSummary}`));
}
"""
# Whether the eye sees where the focus is: a ring around what has it, or around the label that it stands in.
SHOWS_FOCUS = """
() => {
  const it = document.activeElement;
  return [it, it.closest('label')].some((one) => one && getComputedStyle(one).outlineStyle !== 'none');
}
"""
HERE = "() => { const it = document.activeElement; return `${it.closest('[id]')?.id} ${it.outerHTML}`; }"


def go(page: Page, *tabs: str) -> None:
    for tab in tabs:
        page.locator(f"[role=tab][data-tab-id={tab}]").click()


def findings(page: Page, name: str, first: Scheme = "light") -> list[str]:
    """Serious and critical findings of what is shown once all is drawn, in its colours and in the others."""
    page.evaluate(ALL_DRAWN)
    found = [f"{name}: {one}" for one in page.evaluate(FIND, None)]
    other: Scheme = "dark" if first == "light" else "light"
    passes: list[tuple[Scheme, list[str] | None]] = [(other, ["color-contrast"]), (first, None)]
    for scheme, rules in passes:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.wait_for_function("dark => document.body.classList.contains('dark') === dark", arg=scheme == "dark")
        if rules:
            page.wait_for_timeout(200)
            found += [f"{name}, {other}: {one}" for one in page.evaluate(FIND, rules)]
    return found


def unfold(page: Page) -> None:
    """Open all folds that are shown."""
    page.evaluate(UNFOLD)
    page.wait_for_timeout(300)  # what unfolds moves, and colours in between are no colours of ours


def press_until(page: Page, selector: str, key: str = "Tab") -> None:
    """Press the key until this has the focus, and can be seen to have it."""
    for _ in range(90):
        if page.evaluate("one => document.activeElement.matches(one)", selector):
            assert page.evaluate(SHOWS_FOCUS), f"nothing shows that {selector} has the focus"
            return
        page.keyboard.press(key)
    raise AssertionError(f"90 times {key} do not lead to {selector}")


def open_by_keyboard(page: Page, *tabs: str) -> None:
    """From the head of the page to these tabs, one within the other."""
    page.focus("#tour-begin")
    for tab in tabs:
        press_until(page, f"[role=tab][data-tab-id={tab}]")
        page.keyboard.press("Enter")
        page.wait_for_selector(f"[role=tab][data-tab-id={tab}][aria-selected=true]")


def test_a_plan_and_a_failed_run_are_used_by_keyboard_alone_and_nothing_serious_is_found_there(
    page: Page, app: App, tiny_run: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(app.home))
    run = full_home.failed(tiny_run)
    page.reload()  # or another run that the page knows already would be shown
    page.wait_for_selector("#plan-chip-0", state="visible")
    page.evaluate(AXE_SCRIPT)
    press_until(page, "#plan-say textarea")
    page.keyboard.type("summarise notes of real patients, 3000 of them, on this machine")
    page.keyboard.press("Enter")
    page.wait_for_selector("#plan-table")
    press_until(page, "#plan-start")
    page.keyboard.press("Enter")
    expect(page.locator("#plan-faults")).to_contain_text("No data is chosen")
    press_until(page, "#plan-edit > button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#plan-yaml .cm-content[tabindex]")
    press_until(page, "#plan-yaml .cm-content")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert not page.evaluate("document.activeElement.matches('.cm-content')"), "the editor does not keep the focus"
    found = findings(page, "plan")

    open_by_keyboard(page, "runs")
    expect(page.locator("#runs-state")).to_contain_text("failed")
    found += findings(page, "runs")
    press_until(page, "#runs-delete")
    expect(page.locator("ul[role=listbox]")).to_have_count(0)  # the list of runs is closed behind us
    page.keyboard.press("Enter")
    page.wait_for_selector("#runs-really", state="visible")
    press_until(page, "#runs-really")
    page.keyboard.press("Space")
    expect(page.locator("#runs-really")).not_to_be_visible()
    assert found == []
    with pytest.raises(jobs.RunError, match="There is no run"):
        runs.get(run.id)


@pytest.fixture(scope="module")
def full(
    serve: Callable[..., AbstractContextManager[App]],
    trained_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[App]:
    """A home with everything in it, served to an administrator who signs in; a run fails, and one trains."""
    home = tmp_path_factory.mktemp("full") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEDSIDE_HOME", str(home))
        shutil.copytree(trained_folder, runs.runs_folder() / trained_folder.name)
        run = runs.get(trained_folder.name)
        full_home.fill(run)
        people.add(WHO, "administrator", SECRET)
        for state in ("failed", "training"):
            run.config.output.name = state
            if state == "failed":
                full_home.failed(run.config)
        with full_home.training(run.config), serve(home, "--sign-in") as one:
            yield one


def _signed_in(browser: Browser, app: App, width: int, scheme: Scheme) -> Page:
    page = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce"
    ).new_page()
    page.goto(app.url)
    page.evaluate(AXE_SCRIPT)
    assert page.evaluate(FIND, None) == [], "to sign in"
    page.fill("input[name=name]", WHO)
    page.fill("input[name=password]", SECRET)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector("#plan-chip-0", state="visible")
    page.evaluate(AXE_SCRIPT)
    return page


def _prepared(page: Page) -> None:
    """Data is read, a plan is made, and a reviewer has a name."""
    go(page, "data")
    page.fill("#data-source input", "starter/lab")
    page.keyboard.press("Enter")
    page.click("#data-read")
    page.wait_for_selector("#data-found .bs-card", state="attached")
    go(page, "plan")
    page.fill("#plan-say textarea", SAY)
    page.click("#plan-send")
    page.wait_for_selector("#plan-table")


@pytest.mark.soak
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_is_found_on_any_full_page(browser: Browser, full: App, width: int, scheme: Scheme) -> None:
    page = _signed_in(browser, full, width, scheme)
    _prepared(page)
    found = []
    for tabs, drawn in FULL.items():
        go(page, *tabs)
        expect(page.locator(drawn).first).to_be_visible()
        for shown in ("training", "failed", "tiny") if tabs == ("runs", "training") else ("",):
            if shown:
                page.click("#runs-select input")
                page.get_by_role("option", name=re.compile(f"^{shown} ")).first.click()
                expect(page.locator("#runs-state .bs-big")).to_have_text(shown)
            unfold(page)
            found += findings(page, "/".join((*tabs, shown)), scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, tabs
    page.context.close()
    assert found == []


@pytest.mark.soak
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_is_found_on_any_empty_page(
    browser: Browser, serve: Callable[..., AbstractContextManager[App]], tmp_path: Path, width: int, scheme: Scheme
) -> None:
    with serve(tmp_path / "home") as app:
        context = browser.new_context(
            viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce"
        )
        page = context.new_page()
        page.goto(app.url)
        page.wait_for_selector("#plan-chip-0", state="visible")
        page.evaluate(AXE_SCRIPT)
        page.click("#tour-begin")
        found = []
        for tabs, drawn in EMPTY.items():
            go(page, *tabs)
            expect(page.locator(drawn).first).to_be_visible()
            unfold(page)
            found += findings(page, "/".join(tabs), scheme)
        context.close()
    assert found == []


@pytest.mark.soak
def test_every_other_page_is_used_by_keyboard_alone(browser: Browser, full: App) -> None:
    page = _signed_in(browser, full, 1280, "light")
    open_by_keyboard(page, "data")
    press_until(page, "#data-source input")
    page.keyboard.type("starter/lab")
    page.keyboard.press("Enter")
    press_until(page, "#data-read")
    page.keyboard.press("Space")
    expect(page.locator("#data-head")).to_contain_text("rows that can be used")
    open_by_keyboard(page, "split")
    press_until(page, "#data-prepare")
    page.keyboard.press("Enter")
    expect(page.locator("#data-prepared-card")).to_contain_text("nothing leaks", timeout=120_000)

    open_by_keyboard(page, "playground")
    press_until(page, "#play-question textarea")
    page.keyboard.type("Is 4 even?")
    press_until(page, "#play-ask")
    page.keyboard.press("Enter")
    expect(page.locator("#play-right-speed")).to_contain_text("tokens/s", timeout=60_000)

    open_by_keyboard(page, "review", "judge")
    expect(page.locator("#review-question .bs-card")).to_be_visible()
    press_until(page, "#review-vote-left")
    page.keyboard.press("Space")
    expect(page.locator("#review-voted")).to_contain_text("Your vote is kept")

    open_by_keyboard(page, "release", "evaluation")
    expect(page.locator("#release-verdict")).to_be_visible()
    press_until(page, "#release-evaluate")
    open_by_keyboard(page, "release", "versions")
    press_until(page, "#versions-register > button")
    page.keyboard.press("Enter")
    press_until(page, "#versions-model input")
    for key in ("ArrowDown", "ArrowDown", "Enter"):  # a checkpoint: tuned model and base are versions already
        page.keyboard.press(key)
    press_until(page, "#versions-preview")
    page.keyboard.press("Space")
    expect(page.locator("#versions-drafted")).to_be_visible()

    open_by_keyboard(page, "people")
    press_until(page, "#people-name :is(input, textarea)")
    page.keyboard.type("Dora")
    press_until(page, "#people-add")
    page.keyboard.press("Enter")
    expect(page.locator("#people-said")).to_contain_text("Dora may sign in now")
    page.context.close()


@pytest.mark.soak
def test_whatever_the_tab_key_reaches_shows_that_it_has_the_focus(browser: Browser, full: App) -> None:
    page = _signed_in(browser, full, 1280, "light")
    _prepared(page)
    unseen, reached = set(), 0
    for tabs in FULL:
        go(page, *tabs)
        page.wait_for_selector(FULL[tabs], state="visible")
        unfold(page)
        page.focus("#tour-begin")
        for _ in range(120):
            page.keyboard.press("Tab")
            reached += 1
            if page.evaluate("document.activeElement.matches('body, #tour-begin')"):
                break
            if page.evaluate("document.activeElement.matches('.cm-content')"):
                page.keyboard.press("Escape")
            if not page.evaluate(SHOWS_FOCUS):
                unseen.add(f"{'/'.join(tabs)}: {page.evaluate(HERE)[:200]}")
    page.context.close()
    assert reached > 200 and unseen == set()
