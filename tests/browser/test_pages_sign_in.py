"""Signing in with a real Chromium: a reviewer votes under their own name, a trainer plans, an administrator lets in."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlmodel import select

import app
from trainer import audit, model_refs, people, store
from trainer.actor import Role
from trainer.review import queue
from trainer.review.prompts import Prompt
from trainer.runs import Run
from trainer.store import Comparison, Vote

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]
PEOPLE: dict[Role, str] = {"reviewer": "Anna Berg", "trainer": "Ben Carter", "administrator": "Clara Diaz"}
PAGES = ["Plan", "Data", "Runs", "Playground", "Review", "Release", "People"]
SECRET = "three blue herons"


@pytest.fixture
def address(home: Path, finished_run: Run) -> Iterator[str]:
    """An app that people sign in to, with a set to be judged, and one of each role."""
    for role, name in PEOPLE.items():
        people.add(name, role, SECRET)
    first, second, *_ = model_refs.of_run(finished_run)
    made = queue.create_set("ward", [Prompt(messages=[{"role": "user", "content": "Is 4 even?"}])], first, second)
    with store.session() as session:
        for one in session.exec(select(Comparison).where(Comparison.set_id == made.id)):
            one.first_answer, one.second_answer = "yes", "It may be"
            session.add(one)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    built = app.build("password")
    app.serve(built, "127.0.0.1", port, wait=False)
    yield f"http://127.0.0.1:{port}"
    built.close()


def signed_in(page: Page, address: str, role: Role) -> None:
    page.goto(address)
    page.fill("input[name=name]", PEOPLE[role])
    page.fill("input[name=password]", SECRET)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#who")).to_contain_text(f"{PEOPLE[role]}, {role}", timeout=120_000)


def tabs(page: Page, within: str = "#pages") -> list[str]:
    """The pages that somebody sees; on a phone some of them are behind the three dots."""
    more = page.get_by_role("button", name="More tabs").locator("visible=true")
    if more.count():
        more.first.click()
    found = page.locator(f"{within} button").locator("visible=true").all_inner_texts()
    return [one.strip() for one in found]


@pytest.mark.parametrize("width", [1280, 390])
def test_each_role_sees_what_it_may_use_and_acts_under_its_name(browser: Browser, address: str, width: int) -> None:
    for role in PEOPLE:
        context = browser.new_context(viewport={"width": width, "height": 900})
        page, told, foreign = context.new_page(), [], []
        page.on("console", lambda one, told=told: told.append(one.text) if one.type == "error" else None)
        page.on("request", lambda one, foreign=foreign: foreign.append(one.url) if address not in one.url else None)
        page.goto(address)
        page.fill("input[name=name]", PEOPLE[role])
        page.fill("input[name=password]", "three blue geese")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_have_text("This name and this password do not fit.")
        told.clear()  # the browser's own word on the 401
        signed_in(page, address, role)
        if role == "reviewer":
            box = page.locator("#review-reviewer input, #review-reviewer textarea")
            expect(box).to_have_value("Anna Berg")
            expect(box).to_be_disabled()
            assert not {"Sets", "Preferences"} & set(tabs(page, "#review-tabs"))
            page.locator("#review-vote-tie").click()
            expect(page.locator("#review-voted")).to_contain_text("Your vote is kept")
            with store.session() as session:
                assert [(one.reviewer, one.choice) for one in session.exec(select(Vote))] == [("Anna Berg", "tie")]
        elif role == "trainer":
            page.wait_for_selector("#plan-chip-0", state="visible")
        else:
            tabs(page)
            page.locator("#pages button", has_text="People").locator("visible=true").first.click()
            page.fill("#people-name input, #people-name textarea", f"Dora <b>{width}</b>")
            page.click("#people-add")
            expect(page.locator("#people-said")).to_contain_text(f"Dora <b>{width}</b> may sign in now. The password")
            expect(page.locator("#people-list")).to_contain_text(f"Dora <b>{width}</b>")
        expected = {"reviewer": PAGES[3:6], "trainer": PAGES[:6], "administrator": PAGES}[role]
        assert sorted({*tabs(page)} & {*PAGES}) == sorted(expected)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Password")).to_be_visible()
        page.goto(f"{address}/config")
        assert "You are not signed in" in page.content()
        told = [one for one in told if "401" not in one]
        assert (told, [one for one in foreign if not one.startswith(("data:", "blob:"))]) == ([], [])
        context.close()
    added = [one.who for one in audit.entries() if one.action == "added a person"]
    assert added[len(PEOPLE) :] == ["Clara Diaz"]
