"""The guide's pictures: a home is filled by real work, served, and each page taken in a browser, into docs/images.

    python docs/screenshots.py [HOME]

HOME (.cache/screenshots by default) is kept: what is in it already is not made again. Made anew it takes about half an
hour on two cores: a run of the starter data, its evaluation, a set that two invented reviewers judge, and a version.
Needs Chromium, and the embedded model, which comes with Bedside.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 800}
COLOURS = 96  # of a picture: the pages are flat, and nobody sees the difference
WAIT_MS = 600_000  # for what a page computes: a model is loaded, or a data set read
SAY = "a test interpretation assistant with the starter data, on this machine"
QUESTIONS = {
    "Potassium 6.1 mmol/L (reference 3.5-5.1): low, normal or high?": "high",
    "Phosphate 1.4 mg/dL (reference 2.5-4.5): low, normal or high?": "low",
    "Sodium 138 mmol/L (reference 135-145): low, normal or high?": "normal",
    "Calcium 2.9 mmol/L (reference 2.2-2.6): low, normal or high?": "high",
    "TSH 0.1 mIU/L (reference 0.4-4.0): low, normal or high?": "low",
    "Haemoglobin 9.8 g/dL (reference 12-16): low, normal or high?": "low",
}
"""Each with the word in which a right answer ends."""
NOTES = """question,answer
"Mr Alfred Winter, born 3 May 1951, MRN 4471902, seen on 12 February 2024. What is the next step?",Repeat the potassium.
"Call Ms Rosa Lindner at 555-013-2290 about her INR of 4.1 on warfarin. What do you say?",Hold the next dose.
"Dr Petra Hale of Elm Street Clinic asks about gout and an eGFR of 28. What do you avoid?",NSAIDs.
"""
"""Invented, with invented people, for the picture of what is taken out."""
REVIEWERS = ("Ana", "Ben")  # invented, and so are their votes


def fill() -> None:
    """Do in the home of the environment what is not there yet, by the commands that the guide names."""
    from trainer import runs
    from trainer.evaluation import evaluations
    from trainer.review import queue
    from trainer.versions import registry

    if not any(run.weights for run in runs.list_runs()[0]):
        _bedside("plan", "--say", SAY, "--out", "run.yaml")
        _bedside("train", "run.yaml")
    run = next(run for run in runs.list_runs()[0] if run.weights)
    if not any(evaluations.list_evaluations(one.id) for one in runs.list_runs()[0]):
        _bedside("eval", run.id, "--items", "60", "--no-latency")
    if not queue.list_sets():
        asked = runs.runs_folder().parent / "questions.txt"
        asked.write_text("\n".join(QUESTIONS) + "\n")
        _bedside("review", "create", "ward-1", "--data", str(asked), "--first", run.id)
        _bedside("review", "answer", "ward-1")
        _vote("ward-1")
    if not registry.lines():
        said = ["--note", "Reads lab values.", "--despite", "Shown in the guide; not for use."]
        _bedside("versions", "register", "clinic", run.id, "--change", "data", *said)


def take(page: Page, pictures: dict[str, Callable[[Page], None]], ending: str = "") -> None:
    """Bring the page where each picture wants it, and keep what the window shows."""
    IMAGES.mkdir(exist_ok=True)
    for name, bring in pictures.items():
        page.evaluate("scrollTo(0, 0)")
        bring(page)
        page.wait_for_timeout(1500)  # charts draw themselves
        path = IMAGES / f"{name}{ending}.png"
        page.screenshot(path=path)
        with Image.open(path) as shot:
            small = shot.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        small.save(path, optimize=True)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB", flush=True)


def _go(page: Page, *tabs: str) -> None:
    for tab in tabs:
        page.locator(f"[role=tab][data-tab-id={tab}]").click()


def _top(page: Page, selector: str) -> None:
    """Scroll until this stands at the top of the window."""
    page.wait_for_selector(selector, state="visible")
    page.locator(selector).first.evaluate("it => scrollBy(0, it.getBoundingClientRect().top - 16)")


def _plan(page: Page) -> None:
    _go(page, "plan")
    if page.locator("#plan-table").count() == 0:
        page.fill("#plan-say textarea", SAY)
        page.click("#plan-send")
    page.wait_for_selector("#plan-table", state="visible")


def _read(page: Page, source: str) -> None:
    _go(page, "data")
    page.fill("#data-source input", source)
    page.keyboard.press("Enter")
    page.click("#data-read")
    page.locator("#data-head", has_text=Path(source).name).wait_for()


def _data(page: Page) -> None:
    _read(page, "starter/clinical")
    _go(page, "see")
    _top(page, "#data-head")


def _deidentify(page: Page) -> None:
    notes = Path(os.environ["BEDSIDE_HOME"]) / "notes.csv"
    notes.write_text(NOTES)
    _read(page, str(notes))
    _go(page, "deidentify")
    page.click("#data-preview")
    page.wait_for_selector("#data-span-card", state="visible")
    _top(page, "#data-tabs")


def _run(page: Page) -> None:
    _go(page, "runs", "training")
    _first_run(page, "#runs-select")
    page.wait_for_selector("#runs-report-card", state="visible")


def _curves(page: Page) -> None:
    _run(page)
    _top(page, "#runs-curves")


def _report(page: Page) -> None:
    _run(page)
    _top(page, "#runs-report")


def _search(page: Page) -> None:
    _go(page, "runs", "search")
    page.locator("#search-proposal summary").first.click()


def _ask(page: Page) -> None:
    _go(page, "playground")
    page.wait_for_selector("#play-question", state="visible")
    if page.locator("#play-left .prose").count() == 0 or not page.locator("#play-left").inner_text().strip():
        page.fill("#play-question textarea", list(QUESTIONS)[1])
        page.click("#play-ask")
    page.wait_for_selector("#play-vote", state="visible")
    _top(page, "#play-question")


def _judge(page: Page) -> None:
    _go(page, "review", "judge")
    page.fill("#review-reviewer input, #review-reviewer textarea", "Cleo")
    page.keyboard.press("Enter")
    page.wait_for_selector("#review-question .bs-card", state="visible")


def _results(page: Page) -> None:
    _go(page, "review", "results")
    _top(page, "#review-report")


def _preferences(page: Page) -> None:
    _go(page, "review", "preferences")
    _top(page, "#review-tabs")


def _release(page: Page) -> None:
    _go(page, "release", "evaluation")
    _first_run(page, "#release-run")
    _top(page, "#release-state")


def _gates(page: Page) -> None:
    _top(page, "#release-gates")


def _versions(page: Page) -> None:
    _go(page, "release", "versions")
    _top(page, "#versions-line")


def _tour(page: Page) -> None:
    page.click("#tour-begin")
    page.click("#tour-next")


def _first_run(page: Page, selector: str) -> None:
    """Choose the run of the starter data, whichever is the newest."""
    page.click(f"{selector} input")
    page.get_by_role("option", name="test-interpretation").first.click()


PICTURES = {
    "plan": _plan,
    "data": _data,
    "deidentify": _deidentify,
    "runs": _run,
    "curves": _curves,
    "report": _report,
    "search": _search,
    "playground": _ask,
    "review": _judge,
    "results": _results,
    "preferences": _preferences,
    "release": _release,
    "gates": _gates,
    "versions": _versions,
    "tour": _tour,
}
ON_A_TELEPHONE = {"plan": _plan, "runs": _run, "review": _judge}


def main() -> None:
    """Fill, serve, and take the pictures."""
    home = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".cache" / "screenshots").resolve()
    home.mkdir(parents=True, exist_ok=True)
    os.environ |= {"BEDSIDE_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    os.environ.pop("SPACE_ID", None)
    fill()
    with _served() as url, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for size, pictures, ending in ((WIDE, PICTURES, ""), (NARROW, ON_A_TELEPHONE, "-telephone")):
            page = chromium.new_page(viewport=size, color_scheme="light", reduced_motion="reduce")
            page.set_default_timeout(WAIT_MS)
            page.goto(url)
            page.wait_for_selector("#plan-chip-0", state="visible")
            take(page, pictures, ending)
        chromium.close()


def _bedside(*words: str) -> None:
    print("bedside", *words, flush=True)
    subprocess.run([Path(sys.executable).parent / "bedside", *words], check=True, cwd=os.environ["BEDSIDE_HOME"])


def _vote(name: str) -> None:
    """Two invented reviewers judge the set, and differ on its last case."""
    from trainer.review import queue
    from trainer.review.queue import Ballot

    found = queue.get_set(name)
    for reviewer in REVIEWERS:
        while (shown := queue.next_case(found.id, reviewer)) is not None:
            right = QUESTIONS[shown.messages[-1]["content"]]
            good = [side for side in ("left", "right") if getattr(shown, side).lower().rstrip(".").endswith(right)]
            choice = good[0] if len(good) == 1 else "tie" if good else "both_bad"
            if reviewer == REVIEWERS[1] and shown.done == shown.total - 1:
                choice = "both_bad"
            queue.vote(shown.comparison_id, reviewer, Ballot.model_validate({"choice": choice}))


@contextmanager
def _served() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([sys.executable, "app.py", "--port", str(port)], cwd=ROOT)
    try:
        while True:
            try:
                with urllib.request.urlopen(url, timeout=5):
                    break
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError(f"app.py ended with {process.returncode}") from None
                time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    main()
