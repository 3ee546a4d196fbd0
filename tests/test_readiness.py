"""What keeps a run from being started on this machine."""

import pytest

from trainer.hardware import GpuDevice, Machine
from trainer.readiness import checkpoints_gib, faults, refusals
from trainer.sections import RunConfig

MACHINE = Machine(cpu_name="CPU", cores=2, memory_gib=23.5, cpu_bf16=True)
READY = {"data": {"sources": [{"name": "starter/lab"}], "contains_phi": False}}


def config(**changes) -> RunConfig:
    return RunConfig.model_validate(READY | changes)


def test_a_ready_run_is_not_refused():
    assert refusals(config(), MACHINE) == []


@pytest.mark.parametrize("contains_phi", [True, None])
def test_patient_data_may_be_trained_on_because_it_is_masked(contains_phi):
    assert refusals(config(data={"sources": [{"name": "x.csv"}], "contains_phi": contains_phi}), MACHINE) == []


def test_every_reason_is_given_at_once_with_its_way_out():
    refused = config(data={"sources": [], "contains_phi": None}, hardware={"device": "cuda", "gpu": "rtx-4090"})
    found = refusals(refused, MACHINE)
    assert len(found) == 2
    assert "starter data" in found[0]
    assert "rtx-4090" in found[1] and "`bedside train run.yaml`" in found[1]


def test_a_machine_with_a_gpu_takes_a_plan_for_one():
    workstation = MACHINE.model_copy(update={"gpus": [GpuDevice(name="NVIDIA L4", memory_gib=22.5, row="l4")]})
    assert refusals(config(hardware={"device": "cuda"}), workstation) == []


def test_data_and_disk_are_looked_at_before_a_start(monkeypatch):
    import shutil

    assert faults(config(), MACHINE) == []
    unreadable = config(data={"sources": [{"name": "nowhere.csv"}], "contains_phi": False})
    assert "There is no file 'nowhere.csv'" in faults(unreadable, MACHINE)[0]
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**29))
    (said,) = faults(config(), MACHINE)
    assert "has 0.5 GiB free and the run needs about 1." in said and "BEDSIDE_HOME" in said
    assert 0.1 < checkpoints_gib(config()) < 0.3


def test_full_tuning_is_refused_where_the_computer_cannot_hold_what_it_takes_off_the_card():
    workstation = MACHINE.model_copy(update={"gpus": [GpuDevice(name="NVIDIA L4", memory_gib=22.5, row="l4")]})
    whole = config(
        hardware={"device": "cuda"},
        model={"name": "qwen2.5-7b-instruct"},
        method={"kind": "full", "offload": True},
    )
    (said,) = refusals(whole, workstation)
    assert "method.offload keeps about 113 GiB" in said and "has 24" in said
    assert refusals(whole, workstation.model_copy(update={"memory_gib": 128.0})) == []


def test_what_a_run_builds_on_has_to_be_there():
    for field, method in (
        ("start_from", {"kind": "lora", "start_from": "gone"}),
        ("below", {"kind": "adapter", "below": ["gone"]}),
    ):
        (said,) = faults(config(method=method), MACHINE)
        assert said.startswith(f"method.{field}: There is no run 'gone'")
