"""The ready run files of examples/cases: valid, as large as they say, and each can be tried out on this machine."""

import json
import re
import time
from pathlib import Path

import pytest

from assistant import cli
from assistant.terminal import BadInput
from trainer import cases, config, hardware, runs, sizing
from trainer.combinations import faults
from trainer.data.sources import STARTER_PREFIX, is_here
from trainer.hardware import Machine
from trainer.readiness import refusals
from trainer.sections import RunConfig

CASES = {file.stem: file for file in cases.case_files()}
CPU = Machine(cpu_name="", cores=2, memory_gib=16, cpu_bf16=True)
SAID = re.compile(r"^# Memory: (fits|tight|does not fit) on (\S+)$", re.MULTILINE)


def test_every_case_that_the_lecture_names_is_there():
    set_ups = {"7b-qlora-24gb", "13b-qlora-40gb", "30b-lora-80gb", "70b-zero3"}  # L1.12
    others = {"radiology-reports", "dialogue-notes", "hands-on", "few-shot-rare-disease", "multi-task-clinic"}
    assert set(CASES) == set_ups | others | {"red-teamed-safety", "continual-update"}


@pytest.mark.parametrize("name", CASES)
def test_a_case_is_valid_and_takes_the_memory_that_it_says(name: str):
    run = config.load(CASES[name])
    assert faults(run) == []
    verdict, card = SAID.findall(CASES[name].read_text())[0]
    estimate = sizing.estimate(run, CPU)
    assert run.hardware.gpu == card
    assert estimate is not None and estimate.fits == verdict.replace(" ", "_")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("radiology-reports", ("llama-7b", "none", 16, 32, ["q_proj", "v_proj"], 3e-4, 16)),
        ("hands-on", ("mistral-7b-instruct-v0.3", "none", 8, 16, "all-linear", 3e-4, 16)),
        ("7b-qlora-24gb", ("mistral-7b-instruct-v0.3", "nf4", 8, 16, "all-linear", 3e-4, 16)),
    ],
)
def test_the_lectures_values(name: str, values: tuple[object, ...]):
    run = config.load(CASES[name])
    assert run.method.kind == "lora"
    batch = run.schedule.batch_size * run.schedule.accumulation
    found = (run.model.name, run.model.quantization, run.method.rank, run.method.alpha, run.method.target_modules)
    assert (*found, run.schedule.learning_rate, batch) == values


@pytest.mark.parametrize("name", CASES)
def test_a_case_scaled_down_can_start_here(name: str):
    whole = config.load(CASES[name])
    small = cases.tiny(whole)
    assert faults(small) == [] and refusals(small, CPU) == []
    assert small.model.name == "smollm2-135m-instruct" and small.hardware.device == "cpu"
    assert all(is_here(source.name) for source in [*small.data.sources, *small.data.general_sources])
    assert small.schedule.max_steps == cases.STEPS
    # What it is about is still there.
    assert small.method.kind == whole.method.kind and small.model.quantization == whole.model.quantization
    assert small.steering.ewc == whole.steering.ewc and small.steering.task_weights == whole.steering.task_weights
    assert small.adversarial.embedding == whole.adversarial.embedding
    assert small.evaluation.validation == whole.evaluation.validation
    assert small.hardware.processes == (2 if name == "70b-zero3" else 1)
    assert whole == config.load(CASES[name]), "the run file itself was changed"


def test_own_data_is_taken_where_it_is_there(tiny_data: Path):
    run = RunConfig.model_validate({"data": {"sources": [{"name": str(tiny_data)}, {"name": "/nowhere/rows.jsonl"}]}})
    run.task.name = "ner"
    assert cases.absent_sources(run) == ["/nowhere/rows.jsonl"]
    assert [source.name for source in cases.tiny(run).data.sources] == [str(tiny_data), f"{STARTER_PREFIX}orders"]


def test_what_belongs_to_another_base_is_left_out(tmp_path: Path):
    data = {"data": {"sources": [{"name": "starter/clinical"}]}, "hardware": {"device": "cuda"}}
    run = config.parse(data | {"method": {"kind": "full", "offload": True, "start_from": "20260101-000000-old"}})
    small = cases.tiny(run)
    assert small.method.kind == "full" and not small.method.offload and small.method.start_from is None
    run = config.parse(data | {"method": {"target_modules": ["qkv_proj"]}})
    assert cases.tiny(run).method.target_modules == "all-linear"  # pyright: ignore


def test_a_case_is_named_and_what_changed_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hardware, "detect", lambda: CPU)
    with pytest.raises(cases.CaseError, match="no case of that name; there are 13b-qlora-40gb, "):
        cli.train("no-such-case")
    with pytest.raises(BadInput, match=r"This plan needs a GPU \(a100-80gb\)"):
        cli.train("radiology-reports")
    # It goes no further than the data, so that nothing is trained here.
    with pytest.raises(BadInput, match=r"There is no file '/nowhere\.jsonl'"):
        cli.train("radiology-reports", settings=["data.sources=[{name: /nowhere.jsonl}]"], tiny=True)
    said = capsys.readouterr().err
    assert "  schedule.batch_size: 2 instead of 4\n" in said
    assert "Not on this machine: ~/bedside-data/mimic-cxr.jsonl. Trained on instead: starter/clinical." in said


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", CASES)
def test_a_case_scaled_down_trains(name: str, embedded_cache: Path):
    small = config.with_values(cases.tiny(config.load(CASES[name])), {"schedule.max_steps": "2"})
    run = runs.start(runs.create(small))
    while run.status.state in ("queued", "preparing", "training", "evaluating"):
        time.sleep(0.5)
        run = runs.get(run.id)
    assert run.status.state == "done", run.status.error
    assert run.status.step == 2 and run.weights
    assert json.loads((run.folder / "report.json").read_text())["training_minutes"] > 0
