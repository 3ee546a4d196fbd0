"""The dossier on the Release page, without a browser: make, download, checklist, signing by name and taking back."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from versions_made import evaluated

from assistant.pages import dossier, release
from evaluators.cases import Case
from trainer.dossier import evidence, pdf, signoffs
from trainer.dossier.signoffs import LOOKED_AT
from trainer.model_refs import ModelRef
from trainer.runs import Run

EVIL = '<img src=x onerror="alert(1)">'
CASES = [Case(id=str(n), source=str(n), question="q", answer="a", right=True) for n in range(5)]


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dossier._Part:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    # Tested where it is written; here it would be made again and again.
    monkeypatch.setattr(pdf, "write", lambda text, title: b"%PDF" * 500)
    with gr.Blocks():
        return dossier._Part(gr.Dropdown([]))


def shown(updates: dossier.Updates, one: Any) -> tuple[str, bool]:
    """What a component says, and whether it is visible."""
    found = updates[one]
    if isinstance(found, dict):
        return str(found.get("value", "")), found.get("visible", True)
    return str(getattr(found, "value", "")), found.visible


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def test_make_download_sign_and_take_back(part: dossier._Part, finished_run: Run):
    run = finished_run.id
    assert shown(part.open(run), part.fold)[1] and not shown(part.open(None), part.fold)[1]
    before = part._look(run)
    assert "No dossier of this model yet" in shown(before, part.state)[0]
    assert not shown(before, part.form)[1], "nobody signs what was not made"
    assert "3 medical professionals have signed not met" in words(shown(before, part.points)[0])

    *_, made = part._make(run)
    assert words(shown(made, part.told)[0]) == "Made." and shown(made, part.form)[1]
    for button, name in zip(part.files, ("dossier.pdf", "dossier.html", "dossier.md"), strict=True):
        path = Path(made[button].value["path"] if isinstance(made[button].value, dict) else made[button].value)
        assert path.name == f"{run}-{name}" and path.stat().st_size > 1000
    seen = made[part.seen]
    refused = part._sign(run, seen, "Ann", "physician", list(LOOKED_AT), "I read it.")
    assert list(refused) == [part.told], "what was filled in stays"
    assert "first and your last name" in shown(refused, part.told)[0]
    signed = part._sign(run, seen, f"Ann {EVIL}", "physician", list(LOOKED_AT), EVIL)
    text = shown(signed, part.signed)[0]
    assert "<img" not in text and "&lt;img" in text and "1 of 3 people" in text and "stands" in text
    found = evidence.gather(ModelRef(run=run))
    [one] = signoffs.of(found)
    assert f"Ann {EVIL}".replace("<", "&lt;").replace(">", "&gt;") in (
        Path(signed[part.files[2]].value["path"] if isinstance(signed[part.files[2]].value, dict) else
             signed[part.files[2]].value).read_text()
    )  # fmt: skip
    back = part._take_back(run, one.id, f"Ann {EVIL}", "Not sure any more.")
    assert "withdrawn" in shown(back, part.signed)[0] and "0 of 3 people" in shown(back, part.signed)[0]
    assert not shown(back, part.back_fold)[1], "nothing is left to take back"


def test_a_changed_evidence_is_said_and_not_signed(part: dossier._Part, finished_run: Run):
    run = finished_run.id
    *_, made = part._make(run)
    seen = made[part.seen]
    evaluated(finished_run, CASES)
    refused = part._sign(run, seen, "Ann Ames", "physician", list(LOOKED_AT), "I read it.")
    assert "The evidence has changed since you opened this dossier" in shown(refused, part.told)[0]
    looked = part._look(run)
    assert "make it again" in shown(looked, part.state)[0] and not shown(looked, part.form)[1]


def test_a_run_that_cannot_have_one_says_why(part: dossier._Part, finished_run: Run):
    (finished_run.folder / "report.json").write_text("{")
    found = part._look(finished_run.id)
    assert "report.json cannot be read" in shown(found, part.told)[0] and not shown(found, part.form)[1]
    *_, made = part._make(finished_run.id)
    assert "report.json cannot be read" in shown(made, part.told)[0]


def test_the_release_page_has_both_parts(finished_run: Run):
    with gr.Blocks():
        page = release._Page()
        page.connect()
    found = page.open(finished_run.id)
    assert set(found) <= set(page.outputs)
    for part in (page.dossier, page.export):
        assert set(part.outputs) <= set(page.outputs) and set(part.open(finished_run.id)) <= set(found)
