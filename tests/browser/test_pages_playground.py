"""The Playground in a real Chromium: any two models, blind or not, several turns, votes by key, adapters brought in."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect
from sqlmodel import select

from trainer import runs, store
from trainer.runs import Run
from trainer.store import Comparison, Vote

if TYPE_CHECKING:
    from conftest import App

pytestmark = pytest.mark.timeout(300)
QUESTION = "Is 104 even, or is it <b>odd</b>?"


def open_playground(page: Page, app: App, run: Run) -> None:
    page.goto(app.url)  # again: with the run that has come since
    page.wait_for_selector("#plan-chip-0", state="visible")
    page.get_by_role("tab", name="Playground", exact=True).click()
    page.wait_for_selector("#play-question", state="visible")
    choose(page, "second", f"tuned · {runs.label(run)}")
    choose(page, "first", f"base · {runs.label(run)}")
    page.click("#play-settings > button")
    page.fill("#play-max input", "6")
    page.click("#play-settings > button")


def choose(page: Page, place: str, label: str) -> None:
    page.click(f"#play-{place} input")
    page.get_by_role("option", name=label, exact=True).click()
    expect(page.locator(f"#play-{place} input")).to_have_value(label)
    expect(page.get_by_role("option")).to_have_count(0)  # the list takes a moment to go


def name(page: Page, reader: str) -> None:
    page.fill("#play-reviewer input, #play-reviewer textarea", reader)


def ask(page: Page, question: str = QUESTION) -> None:
    page.fill("#play-question textarea", question)
    page.press("#play-question textarea", "Control+Enter")
    expect(page.locator("#play-vote")).to_be_visible(timeout=90_000)


def kept(reader: str) -> list[tuple[Vote, Comparison]]:
    with store.session() as session:
        found = session.exec(select(Vote, Comparison).join(Comparison).where(Vote.reviewer == reader))
        return [(vote, comparison) for vote, comparison in found]


def test_blind_until_the_vote_and_what_the_vote_keeps(page: Page, app: App, trained: Run, hear: str) -> None:
    page.add_init_script(hear)
    open_playground(page, app, trained)
    page.check("#play-blind input")
    page.fill("#play-question textarea", QUESTION)
    page.click("#play-ask")
    expect(page.locator("#play-status")).to_contain_text("Votes need a reviewer's name")
    name(page, "Blind reader")
    page.evaluate("window.heard = ''")
    ask(page)
    page.wait_for_timeout(500)
    heard = page.evaluate("window.heard")
    assert "process_completed" in heard, "nothing was overheard"
    for told in (trained.id, trained.config.output.name + " ·", "tuned", '"base', "tokens/s"):
        assert told not in heard, f"{told!r} reached the page before the vote"
    assert page.locator("#play-left-name").inner_text().strip() == "A"
    expect(page.locator("#play-left-words")).not_to_be_visible()
    expect(page.locator("#play-reviewer input, #play-reviewer textarea")).to_be_disabled()

    page.click("#play-more > button")
    page.locator("#play-safety-left label").nth(2).click()
    page.fill("#play-correction textarea", "It is even.")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("b")
    expect(page.locator("#play-voted")).to_contain_text("Your vote is kept: B is better.")
    names = [page.locator(f"#play-{side}-name").inner_text() for side in ("left", "right")]
    assert sorted(one.split()[1] for one in names) == ["base", "tuned"], "A base · tiny · 30 Nov 2026, 11:30:00"
    expect(page.locator("#play-right-speed")).to_contain_text("tokens/s")

    ((vote, comparison),) = kept("Blind reader")
    right = "first" if names[1].split()[1] == "base" else "second"
    assert (comparison.first, comparison.second) == (f"{trained.id}:base", trained.id)
    assert vote.choice == right and vote.swapped == (right == "first") and comparison.blind
    other = {"first": "second", "second": "first"}[right]
    assert vote.ratings == {other: {"safety": 2}} and vote.correction == "It is even."
    assert comparison.prompt == [{"role": "user", "content": QUESTION}]


def test_a_checkpoint_several_turns_and_several_draws(page: Page, app: App, trained: Run) -> None:
    open_playground(page, app, trained)
    choose(page, "first", f"checkpoint 4 · {runs.label(trained)}")
    expect(page.locator("#play-prompted-too")).not_to_be_visible()
    name(page, "Open reader")
    ask(page)
    expect(page.locator("#play-left-name")).to_contain_text("checkpoint 4")
    expect(page.locator("#play-left-speed")).to_contain_text("sure of each token")
    expect(page.locator("#play-status")).not_to_be_visible()
    page.click("#play-words > button")
    # Four steps end where the last checkpoint is.
    expect(page.locator("#play-difference")).to_contain_text("Both say the same, word for word.")
    page.fill("#play-question textarea", "And 105?")
    page.click("#play-further")
    expect(page.locator("#play-right-before")).to_contain_text("Is 104 even, or is it <b>odd</b>?", timeout=60_000)
    expect(page.locator("#play-vote")).to_be_visible(timeout=60_000)
    page.locator("#play-question textarea").press("t")
    assert kept("Open reader") == [], "a letter that is typed is no vote"
    page.click("#play-vote-both_bad")
    expect(page.locator("#play-voted")).to_contain_text("Both are bad")
    ((vote, comparison),) = kept("Open reader")
    assert vote.choice == "both_bad" and not comparison.blind
    assert [one["content"] for one in comparison.prompt] == [QUESTION, "And 105?"]

    page.click("#play-settings > button")
    page.fill("#play-draws input", "3")
    page.fill("#play-question textarea", QUESTION)
    page.click("#play-ask")
    expect(page.locator("#play-status")).to_contain_text("At temperature 0 every answer drawn is the same")
    page.fill("#play-temperature input[type=number]", "1")
    page.press("#play-temperature input[type=number]", "Tab")
    ask(page)
    page.click("#play-drawn > button")
    expect(page.locator("#play-drawn tbody tr")).to_have_count(3)


def test_an_adapter_from_elsewhere_and_questions_of_a_file(
    page: Page, app: App, trained: Run, tiny_model: Path, tmp_path: Path
) -> None:
    open_playground(page, app, trained)
    packed = tmp_path / "theirs.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in trained.adapter.iterdir():
            if file.name.startswith("adapter_"):
                archive.write(file, file.name)
    page.click("#play-bring > button")
    page.set_input_files("#play-bring-file input[type=file]", packed)
    page.fill("#play-bring-base input, #play-bring-base textarea", str(tiny_model))
    page.click("#play-bring-take")
    expect(page.locator("#play-bring-said")).to_contain_text("The adapter has no name", timeout=60_000)
    page.fill("#play-bring-name input, #play-bring-name textarea", "Theirs")
    page.click("#play-bring-take")
    expect(page.locator("#play-bring-said")).to_contain_text("Theirs is a run now", timeout=60_000)
    expect(page.locator("#play-second input")).to_have_value(re.compile(r"^tuned · Theirs · "))

    questions = tmp_path / "questions.txt"
    questions.write_text("Is 1 even?\nIs 2 even?\n")
    page.click("#play-cases > button")
    page.set_input_files("#play-cases-file input[type=file]", questions)
    expect(page.locator("#play-question textarea")).to_have_value("Is 1 even?")
    page.click("#play-cases-next")
    expect(page.locator("#play-question textarea")).to_have_value("Is 2 even?")
    expect(page.locator("#play-cases-where")).to_contain_text("2 of 2 · questions.txt, line 2")
    page.click("#play-cases > button")
    name(page, "File reader")
    ask(page, "Is 2 even?")
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("#play-vote-tie")
    expect(page.locator("#play-voted")).to_contain_text("Your vote is kept: tie.")
    ((_, comparison),) = kept("File reader")
    assert comparison.source == "questions.txt, line 2"
    shutil.rmtree(runs.get(comparison.second).folder)
