"""What a run was computed with is recorded as it begins; another environment is told, and compared in full."""

from __future__ import annotations

from pathlib import Path

from assistant.pages import run_view
from trainer import energy, environment
from trainer.environment import Environment
from trainer.report import Report
from trainer.runs import Run


def test_a_run_records_what_it_was_computed_with(finished_run: Run):
    kept = environment.of(finished_run.folder)
    assert kept is not None
    import torch

    assert kept.packages["torch"] == torch.__version__ and "playwright" not in kept.packages
    assert {"trl", "numpy", "safetensors"} <= set(kept.packages), "also what only others need"
    report = Report.model_validate(finished_run.report())
    assert report.energy is not None and 0 < report.energy.kwh.low < report.energy.kwh.high
    assert f"<dd>{energy.words(report.energy)}</dd>" in run_view.report(finished_run.report())
    assert kept.threads > 0 and len(kept.code_sha256) == 64


def test_every_difference_is_listed_with_both_values():
    here = environment.here()
    other = here.model_copy(deep=True)
    other.packages["torch"] = "1.0"
    other.packages.pop("trl")
    other.threads += 1
    found = {one.field: (one.first, one.second) for one in environment.differences(other, here)}
    assert found == {
        "threads": (str(here.threads + 1), str(here.threads)),
        "packages.torch": ("1.0", here.packages["torch"]),
        "packages.trl": ("-", here.packages["trl"]),
    }
    assert environment.differences(here, here) == []


def test_a_run_that_goes_on_elsewhere_says_so_and_keeps_where_it_began(tmp_path: Path):
    told: list[str] = []
    environment.record(tmp_path, told.append)
    began = environment.of(tmp_path)
    assert began is not None and told == []
    environment.record(tmp_path, told.append)
    assert told == []
    changed = began.model_copy(update={"python": "3.9.1", "threads": began.threads + 3})
    (tmp_path / environment.FILE).write_text(changed.model_dump_json())
    environment.record(tmp_path, told.append)
    assert told == [
        "The run goes on in another environment than it began in: python "
        f"{began.python} instead of 3.9.1; threads {began.threads} instead of {began.threads + 3}."
    ]
    assert environment.of(tmp_path) == changed


def test_a_damaged_record_is_none(tmp_path: Path):
    assert environment.of(tmp_path) is None
    (tmp_path / environment.FILE).write_text("{")
    assert environment.of(tmp_path) is None
    assert Environment.model_fields
