"""Several GPUs in a plan: how many train, what each holds, and why."""

from typing import Any

import pytest

from assistant.planner.advice import Plan, advise
from assistant.planner.answers import Answers
from trainer import config
from trainer.hardware import Machine

MACHINE = Machine(cpu_name="CPU", cores=2, memory_gib=23.5, cpu_bf16=True)


def planned(**said: Any) -> Plan:
    told = {"task": "report_generation", "examples": 20_000, "contains_phi": False} | said
    plan = advise(Answers.model_validate(told), MACHINE)
    config.parse(plan.config.model_dump(mode="json"))  # without a fault
    return plan


def why(plan: Plan, field: str) -> str:
    return next(reason.why for reason in plan.reasons if reason.field == field)


def test_gpus_that_hold_the_model_each_train_together_on_as_many_rows_a_step():
    alone, plan = planned(gpu="rtx-4090", gpu_count=1), planned(gpu="rtx-4090", gpu_count=2)
    assert plan.config.hardware.model_dump(include={"processes", "machines", "strategy", "offload"}) == {
        "processes": 2,
        "machines": 1,
        "strategy": "ddp",
        "offload": False,
    }
    assert plan.config.model.name == alone.config.model.name
    for made in (alone, plan):
        assert made.config.schedule.batch_size * made.config.schedule.accumulation == 16
    assert "A process for each GPU" in why(plan, "hardware.processes")
    assert "planned for 2 rtx-4090 with 24 GiB each" in why(plan, "hardware.device")
    assert alone.estimate and alone.estimate.hours and plan.estimate and plan.estimate.hours
    assert plan.estimate.hours.low == pytest.approx(alone.estimate.hours.low / 2, rel=0.02)


def test_three_gpus_learn_from_a_few_rows_more_rather_than_unevenly():
    schedule = planned(gpu="rtx-4090", gpu_count=3).config.schedule
    assert schedule.accumulation % 3 == 0 and schedule.batch_size * schedule.accumulation == 18


def test_a_model_whose_weights_one_gpu_cannot_hold_is_shared_out_as_the_lecture_says_for_70b():
    plan = planned(gpu="a100-80gb", gpu_count=8, base_model="llama-3.3-70b-instruct")
    hardware = plan.config.hardware
    assert (hardware.processes, hardware.strategy, plan.config.model.quantization) == (8, "fsdp", "none")
    assert plan.estimate is not None and plan.estimate.fits == "fits"
    reason = next(reason for reason in plan.reasons if reason.field == "hardware.strategy")
    assert reason.source == "lecture L1.12" and "each of the 8 holds its share" in reason.why
    # No process could answer meanwhile.
    assert plan.config.steering.forgetting_every is None and plan.config.evaluation.sample_prompts == []
    assert "none can answer meanwhile" in why(plan, "steering.forgetting_every")


def test_full_tuning_on_several_gpus_is_shared_out_by_zero_3():
    plan = planned(gpu="a100-80gb", gpu_count=8, base_model="qwen2.5-7b-instruct", settings={"method.kind": "full"})
    assert plan.config.hardware.strategy == "zero3" and plan.config.method.offload is False  # pyright: ignore
    assert plan.estimate is not None and plan.estimate.fits == "fits"


def test_many_gpus_are_machines_of_eight():
    plan = planned(gpu="a100-80gb", gpu_count=32)
    assert (plan.config.hardware.processes, plan.config.hardware.machines) == (8, 4)
    assert "bedside launch" in why(plan, "hardware.machines")


def test_what_only_one_process_can_do_is_said():
    plan = planned(gpu="rtx-4090", gpu_count=2, settings={"method.kind": "prefix", "method.per": "task"})
    plan = plan if plan.config.hardware.processes == 1 else planned(gpu="rtx-4090", gpu_count=2, examples=60)
    assert plan.config.hardware.processes == 1
    told = why(plan, "hardware.processes")
    assert told.startswith("You have 2 GPUs, and one of them trains: ") and "hardware.processes" in told
