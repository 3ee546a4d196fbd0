"""The tour in a real Chromium: by keyboard alone, beside what it speaks of, and forgotten when it is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from assistant.pages.tour import STEPS

if TYPE_CHECKING:
    from conftest import App

pytestmark = pytest.mark.timeout(300)
# One of these is marked, and stands in the window above the card.
BESIDE = """
(marks) => {
  const toured = document.querySelectorAll('.bs-toured');
  if (toured.length !== 1 || !marks.includes('#' + toured[0].id)) return false;
  const [marked, card] = [toured[0], document.querySelector('#tour')].map((one) => one.getBoundingClientRect());
  return marked.top >= 0 && marked.bottom <= card.top && card.top < card.bottom && card.bottom <= innerHeight;
}
"""


def test_each_card_stands_beside_what_it_speaks_of_on_its_own_page(page: Page) -> None:
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        _take_the_tour(page, width)


def _take_the_tour(page: Page, width: int) -> None:
    page.click("#tour-begin")
    for number, step in enumerate(STEPS, 1):
        expect(page.locator("#tour-place")).to_have_text(f"{number} of {len(STEPS)}")
        expect(page.locator("#tour-title")).to_have_text(step.title)
        expect(page.locator(f"[role=tab][data-tab-id={step.tabs[-1]}]")).to_have_attribute("aria-selected", "true")
        # What is marked may be drawn anew by the server, and is then marked again.
        page.wait_for_function(BESIDE, arg=step.marks)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.click("#tour-next")
    expect(page.locator("#tour")).not_to_be_visible()
    expect(page.locator(".bs-toured")).to_have_count(0)


def test_it_is_led_by_keyboard_and_forgotten_when_it_is_left(page: Page, app: App) -> None:
    before = sorted(app.home.rglob("*.json"))
    page.focus("#tour-begin")
    page.keyboard.press("Enter")
    expect(page.locator("#tour-next")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator("#tour-title")).to_have_text(STEPS[2].title)
    page.keyboard.press("Tab")
    expect(page.locator("#tour-back")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#tour-title")).to_have_text(STEPS[1].title)
    page.keyboard.press("Escape")
    expect(page.locator("#tour")).not_to_be_visible()
    expect(page.locator("#tour-begin")).to_be_focused()
    page.reload()
    page.wait_for_selector("#plan-chip-0", state="visible")
    expect(page.locator("#tour")).not_to_be_visible()
    assert sorted(app.home.rglob("*.json")) == before


def test_a_page_that_is_not_shown_is_left_out(page: Page) -> None:
    # As where somebody is signed in who may not use them.
    page.evaluate("for (const id of ['plan', 'data']) document.querySelector(`[data-tab-id=${id}]`).remove()")
    page.click("#tour-begin")
    expect(page.locator("#tour-place")).to_have_text(f"1 of {len(STEPS) - 3}")
    expect(page.locator("#tour-title")).to_have_text(STEPS[3].title)
