"""The Data page in a real Chromium: a real file is brought in, seen, de-identified, split, and a run starts from it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from conftest import App

ROOT = Path(__file__).resolve().parent.parent.parent
CORPUS = Path(os.environ.get("BEDSIDE_CORPUS") or ROOT.parent / "shared" / "data")
REAL = CORPUS / "mts_dialog" / "MTS-Dialog-ValidationSet.csv"
pytestmark = pytest.mark.timeout(300)
COMPLAINTS = ["fever", "cough", "rash", "nausea", "thirst", "pain", "fatigue", "swelling"]
NOTES = [
    {
        "Frage": f"Mr. Alan Whitcombe, MRN 44719{number}0, seen on 03/1{number}/2021 for {what}. INR 2.{number}. Next?",
        "Antwort": f"Examine, and look for a cause of {what}.",
        "Akte": f"44719{number}0",
    }
    for number, what in enumerate(COMPLAINTS)
]


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def bring(page: Page, file: Path) -> None:
    tab(page, "Data")
    page.set_input_files("#data-bring input[type=file]", str(file))
    expect(page.locator("#data-head")).to_contain_text("rows that can be used", timeout=60_000)


def choose(page: Page, field: str, option: str) -> None:
    page.click(f"{field} input")
    page.get_by_role("option", name=option).first.click()


def newest_recipe(app: App) -> dict:
    recipes = sorted((app.home / "data").glob("*.data.yaml"), key=lambda path: path.stat().st_mtime)
    return yaml.safe_load(recipes[-1].read_text())


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_an_empty_page_says_what_to_do(page: Page) -> None:
    tab(page, "Data")
    expect(page.locator("#data-empty")).to_contain_text("Upload a file")
    page.click("#data-read")
    expect(page.locator("#data-fault")).to_contain_text("Nothing was named")


def test_what_a_published_set_allows_is_said_before_it_is_used(page: Page) -> None:
    tab(page, "Data")
    choose(page, "#data-source", "medinstruct")
    expect(page.locator("#data-licence")).to_contain_text("forbids commercial use")
    expect(page.locator("#data-licence")).to_contain_text("CC BY-NC 4.0")


def test_from_a_real_file_to_a_run(page: Page, app: App, tiny_model: Path) -> None:
    if not REAL.exists():
        pytest.skip(f"{REAL} is not on this machine (BEDSIDE_CORPUS names the folder)")
    bring(page, REAL)
    expect(page.locator("#data-found")).to_contain_text("dialogue and section_text stand in 100 of the 100 rows")
    tab(page, "See")
    expect(page.locator("#data-see")).to_contain_text("Beside the lecture (L2.2)")
    trained = page.locator("#data-see mark.bs-trained")
    expect(trained.nth(1)).to_contain_text("26-year-old female")

    tab(page, "De-identify")
    page.click("#data-preview")
    found = page.locator("#data-spans mark.bs-found")
    expect(found.filter(has_text="01/10/09").first).to_contain_text("date", timeout=60_000)

    tab(page, "Split")
    page.click("#data-prepare")
    prepared = page.locator("#data-prepared-card")
    expect(prepared).to_contain_text("nothing leaks", timeout=120_000)
    expect(page.locator("#data-prepared")).to_contain_text("[DATE 2008]")
    expect(page.locator("#data-prepared")).not_to_contain_text("01/10/09")
    page.reload()
    tab(page, "Data")
    expect(page.locator("#data-head")).to_contain_text("MTS-Dialog-ValidationSet", timeout=60_000)

    tab(page, "Split")
    page.click("#data-use")
    expect(page.locator("#plan-known")).to_contain_text("as set up on the Data page")
    page.fill("#plan-say textarea", "write notes from conversations, on this machine")
    page.click("#plan-send")
    page.wait_for_selector("#plan-table")
    expect(page.locator("#plan-table")).to_contain_text("treated as if it did")
    page.get_by_role("button", name="Edit the run file").click()
    page.wait_for_selector("#plan-yaml .cm-content")
    data = newest_run_file(app)
    data["model"]["name"] = str(tiny_model)
    data["schedule"] |= {"max_steps": 4, "batch_size": 2, "accumulation": 1, "max_length": 512, "checkpoint_every": 4}
    data["evaluation"] |= {"every": 4, "sample_every": 4, "sample_prompts": [], "forgetting": False}
    data["output"]["name"] = "from the data page"
    page.click("#plan-yaml .cm-content")
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(yaml.safe_dump(data, sort_keys=False))
    expect(page.locator("#plan-table")).to_contain_text("from the data page")
    page.click("#plan-start")
    expect(page.locator("#runs-state")).to_contain_text("from the data page", timeout=20_000)
    expect(page.locator("#runs-state .bs-badge")).to_have_text("done", timeout=180_000)
    (run,) = (app.home / "runs").glob("*-from-the-data-page")
    manifest = json.loads((run / "data" / "manifest.json").read_text())
    assert manifest["deidentification"]["action"] == "mask" and manifest["deidentification"]["found"]["date"] > 5
    assert manifest["leakage"]["near_duplicate_groups_across"] == 0 and manifest["test_rows"] == 10


def newest_run_file(app: App) -> dict:
    """The run file that the planner makes of the newest draft."""
    from assistant.planner import dialogue
    from assistant.planner.drafts import Draft

    drafts = sorted((app.home / "plans").glob("*/draft.json"), key=lambda path: path.stat().st_mtime)
    turn = dialogue.show(Draft.model_validate_json(drafts[-1].read_text()))
    assert turn.config is not None
    return turn.config.model_dump(mode="json")


def test_columns_by_hand_surrogates_corrections_and_a_template(page: Page, app: App, tmp_path: Path) -> None:
    rows = [*NOTES, {"Frage": "And this?", "Antwort": "", "Akte": "9"}]
    bring(page, write(tmp_path / "notizen.jsonl", rows))
    expect(page.locator("#data-found")).to_contain_text("question")
    expect(page.locator("#data-bad")).to_contain_text("row 9, field Antwort")
    with page.expect_download() as download:
        page.click("#data-rejected")
    rejected = json.loads(download.value.path().read_text())
    assert rejected["record"] == rows[-1]
    rejected["record"]["Antwort"] = "Mended."
    page.set_input_files("#data-mend input[type=file]", str(write(tmp_path / "mended.jsonl", [rejected])))
    expect(page.locator("#data-head")).to_contain_text("and 1 more")

    page.fill("#data-columns textarea", "Akte = patient")
    page.click("#data-again")
    expect(page.locator("#data-found")).to_contain_text("patient")
    assert newest_recipe(app)["sources"][0]["columns"] == {"Akte": "patient"}

    tab(page, "De-identify")
    choose(page, "#data-action", "off, for a stated reason")
    expect(page.locator("#data-fault")).to_contain_text("only trained on as they are for a stated reason")
    assert newest_recipe(app)["deidentify"] == "mask"
    choose(page, "#data-action", "surrogate")
    expect(page.locator("#data-fault")).not_to_be_visible()

    tab(page, "See")
    page.get_by_text("Correct specialty, task and level").click()
    cell = page.locator("#data-labels [data-row='0'][data-col='2']")
    cell.dblclick()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text("toxicology")
    page.keyboard.press("Enter")
    page.click("#data-save-labels")
    expect(page.locator("#data-see")).to_contain_text("toxicology")

    tab(page, "Split")
    page.click("#data-prepare")
    expect(page.locator("#data-prepared-card")).to_contain_text("9 → 9", timeout=120_000)
    train = newest_prepared(app) / "train.jsonl"
    text = train.read_text()
    assert "Whitcombe" not in text and "44719" not in text and "INR 2." in text and "Mended." in text
    assert "toxicology" in "".join(file.read_text() for file in train.parent.glob("*.jsonl"))


def newest_prepared(app: App) -> Path:
    return max((app.home / "prepared").glob("*/manifest.json"), key=lambda path: path.stat().st_mtime).parent


@pytest.mark.parametrize("name", ["page.html.csv", "a.exe"])
def test_a_file_that_is_no_data_is_one_sentence(page: Page, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"<html><script>alert(1)</script></html>" if name.endswith("csv") else b"MZ\x90\x00")
    tab(page, "Data")
    page.set_input_files("#data-bring input[type=file]", str(file))
    said = "it is HTML or XML" if name.endswith("csv") else "Invalid file type: a.exe"
    expect(page.locator("#data-fault, .toast-body").filter(has_text=said).first).to_be_visible()


def test_what_a_file_says_is_never_html(page: Page, tmp_path: Path) -> None:
    evil = "<img src=x onerror=document.title='owned'>"
    rows = [{"question": f"{evil} {number}?", "answer": f"{evil} {number}", evil: evil} for number in range(3)]
    bring(page, write(tmp_path / "evil.jsonl", rows))
    tab(page, "See")
    expect(page.locator("#data-see")).to_contain_text(evil)
    tab(page, "De-identify")
    page.click("#data-preview")
    expect(page.locator("#data-span-card")).to_contain_text(evil, timeout=60_000)
    assert page.title() == "Bedside" and page.locator("img[src=x]").count() == 0


def test_nothing_is_wider_than_the_data_page(page: Page, tmp_path: Path) -> None:
    bring(page, write(tmp_path / "notizen.jsonl", NOTES))
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        for name in ("Source", "See", "De-identify", "Shape", "Split"):
            tab(page, name)
            page.wait_for_timeout(200)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
