"""Rows: every text of one, `about`, dropping, order, and the same result on any number of processes."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from trainer.data.deidentify import parallel
from trainer.data.deidentify.parallel import CHUNK, deidentify_row, deidentify_rows, find_in_rows
from trainer.data.deidentify.replace import Replacer
from trainer.data.records import DataError
from trainer.data.rows import Row, texts

ROOT = Path(__file__).resolve().parents[2]
SECRET = b"a secret of this test"
PREFERENCE: Row = {
    "prompt": [
        {"role": "system", "content": "You write for Dr. Okafor."},
        {"role": "user", "content": "Mr. Quillfeather was seen on March 9, 2017."},
    ],
    "chosen": [{"role": "assistant", "content": "Quillfeather is well."}],
    "rejected": [{"role": "assistant", "content": "Call 701-555-0148."}],
    "about": {"patient": "QF-17", "time": "2017-03-09", "place": "quillfeather.docx, row 3", "specialty": "surgery"},
}


def cleaned(row: Row, action: Any, **options: Any) -> tuple[Row | None, Counter[Any]]:
    return next(iter(deidentify_rows([row], action, SECRET, processes=1, **options)))


def about_of(row: Row) -> dict[str, Any]:
    return dict(row.get("about", {}))


def test_every_text_of_a_row_and_what_is_known_about_it():
    before = copy.deepcopy(PREFERENCE)
    row, counts = cleaned(PREFERENCE, "mask")
    assert row is not None and before == PREFERENCE
    assert texts(row) == [
        "You write for Dr. [NAME].",
        "Mr. [NAME] was seen on [DATE 2017].",
        "[NAME] is well.",  # the question makes sure of the name
        "Call [PHONE].",
    ]
    assert counts == {"name": 3, "date": 1, "phone": 1}
    about = about_of(row)
    assert about["patient"] == Replacer("mask", SECRET).pseudonym("QF-17") and about["specialty"] == "surgery"
    assert about["time"] == "2017"
    assert about["place"].startswith("document ") and about["place"].endswith(".docx, row 3")


def test_the_time_moves_with_the_dates_in_the_text():
    row, _ = cleaned(PREFERENCE, "surrogate")
    offset = Replacer("surrogate", SECRET).offset("QF-17")
    new = date(2017, 3, 9) + timedelta(offset)
    assert row is not None and about_of(row)["time"] == new.isoformat()
    assert f"seen on {new:%B} {new.day}, {new.year}." in texts(row)[1]


def test_plain_text_and_a_place_without_a_file_stay_as_they_are():
    row: Row = {"text": "Aspirin thins the blood.", "about": {"place": "row 12", "id": "abc"}}
    assert cleaned(row, "mask") == (row, Counter())


def test_drop_leaves_only_rows_without_identifiers():
    clean: Row = {"text": "Aspirin thins the blood."}
    named: Row = {"text": "Mrs. Halloran bleeds."}
    outcomes = list(deidentify_rows([clean, named, clean], "drop", SECRET, processes=1))
    assert [row for row, _ in outcomes] == [clean, None, clean]
    assert [dict(counts) for _, counts in outcomes] == [{}, {"name": 1}, {}]


def test_rows_without_a_patient_are_not_linked():
    one: Row = {"text": "Mr. Halloran coughs."}
    two: Row = {"text": "Mr. Halloran coughs at night."}
    (first, _), (second, _) = deidentify_rows([one, two], "surrogate", SECRET, processes=1)
    assert first is not None and second is not None
    assert texts(first)[0].split()[1] != texts(second)[0].split()[1]


def test_spanish_rows_pass():
    row: Row = {"text": "Ingresó el 3 de marzo de 2019.", "about": {"language": "es"}}
    new, counts = cleaned(row, "mask")
    assert new is not None and texts(new)[0] == "Ingresó el [DATE 2019]." and counts == {"date": 1}


def test_an_identifier_at_the_edge_of_a_message_stays_in_it():
    row: Row = {
        "prompt": [{"role": "user", "content": "Who is it? MRN:"}],
        "completion": [{"role": "assistant", "content": "4482913 is the chart of Mr. Halloran"}],
    }
    spans = find_in_rows([row])[0]
    assert [[text[s.start : s.end] for s in own] for text, own in zip(texts(row), spans, strict=True)] == [
        [],
        ["4482913", "Halloran"],
    ]
    assert texts(deidentify_row(row, spans, Replacer("mask", SECRET)))[0] == "Who is it? MRN:"


@pytest.mark.soak
def test_the_same_rows_in_order_on_one_process_and_on_two():
    rows: list[Row] = [
        {"text": f"Mr. Halloran, room {n}, seen 3/{n % 28 + 1}/2017.", "about": {"patient": f"p{n % 7}"}}
        for n in range(CHUNK + 9)
    ]
    seen: list[int] = []
    alone = list(deidentify_rows(iter(rows), "surrogate", SECRET, processes=1))
    together = list(deidentify_rows(iter(rows), "surrogate", SECRET, processes=2, progress=seen.append))
    assert alone == together and len(alone) == CHUNK + 9
    assert seen == [CHUNK, CHUNK + 9]


def test_a_process_that_dies_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise BrokenProcessPool

    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor.submit", broken)
    rows: list[Row] = [{"text": "Rest."}] * (CHUNK + 1)
    with pytest.raises(DataError, match="A process of de-identification died"):
        list(parallel.deidentify_rows(rows, "mask", SECRET, processes=2))


PARENT = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from trainer.data.deidentify.parallel import end_with_parent
if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=end_with_parent)
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(60)
"""


def test_a_killed_preparation_leaves_no_process_behind(tmp_path: Path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    started = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert started.stdout is not None
    worker = int(started.stdout.readline())
    started.kill()
    started.wait()
    deadline = time.monotonic() + 10
    while _lives(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    lives = _lives(worker)
    if lives:
        os.kill(worker, 9)
    assert not lives


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False
