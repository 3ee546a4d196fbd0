"""Memory and hours of several devices, against Rajbhandari et al. 2020 and hand calculations."""

import pytest

from trainer import catalogue, sizing
from trainer.duration import communicated
from trainer.hardware import Machine
from trainer.launch.deepspeed import BUCKET
from trainer.sections import RunConfig
from trainer.sizing import Estimate

MACHINE = Machine(cpu_name="CPU", cores=2, memory_gib=24.0, cpu_bf16=True)
GIB = 2**30
SEVENTY = catalogue.base_model("llama-3.3-70b-instruct")
assert SEVENTY is not None


def planned(
    strategy: str, kind: str = "lora", processes: int = 8, machines: int = 1, offload: bool = False
) -> RunConfig:
    return RunConfig.model_validate(
        {
            "model": {"name": "llama-3.3-70b-instruct"},
            "method": {"kind": kind},
            "hardware": {
                "device": "cuda",
                "gpu": "a100-80gb",
                "processes": processes,
                "machines": machines,
                "strategy": strategy,
                "offload": offload,
            },
            "schedule": {"batch_size": 1, "accumulation": 16, "gradient_checkpointing": True},
        }
    )


def estimate(config: RunConfig, rows: int | None = None) -> Estimate:
    found = sizing.estimate(config, MACHINE, rows)
    assert found is not None
    return found


def test_a_70b_model_trains_on_eight_cards_of_80_gb_with_zero_3_and_not_without():
    alone = estimate(planned("ddp", processes=1))
    assert alone.fits == "does_not_fit" and alone.parts["weights"] > alone.limit_gib
    assert estimate(planned("ddp")).fits == estimate(planned("zero2")).fits == "does_not_fit", "each has all weights"
    shared = estimate(planned("zero3"))
    assert shared.fits == "fits"
    # 70.55e9 weights of 2 bytes, 207e6 trained numbers of 16, over 8 devices.
    assert shared.parts["weights"] == pytest.approx(2 * 70.55e9 / 8 / GIB, rel=0.01)
    assert shared.parts["adapter"] == pytest.approx(alone.parts["adapter"] / 8, abs=0.001)
    assert shared.parts["optimiser"] == pytest.approx(2 * shared.parts["adapter"], abs=0.002)
    assert list(shared.parts) == [
        "weights",
        "adapter",
        "gradients",
        "optimiser",
        "whole layers",
        "communication",
        "activations",
        "logits",
        "overhead",
    ]
    assert sum(shared.parts.values()) == pytest.approx(shared.peak_gib.high, abs=0.01)


def test_full_tuning_of_70b_takes_16_bytes_a_weight_over_all_devices_and_waits_in_the_computers_memory():
    assert SEVENTY is not None
    parts = estimate(planned("zero3", kind="full")).parts
    # At the high end the 16-bit copies of all weights stand beside the 16 bytes of Rajbhandari et al.
    standing = parts["weights"] + parts["gradients"] + parts["optimiser"]
    assert standing == pytest.approx((16 + sizing.WORKING_COPY_BYTES) * SEVENTY.params_b * 1e9 / 8 / GIB, rel=0.001)
    waiting = planned("zero3", kind="full", offload=True)
    assert estimate(planned("zero3", kind="full")).fits == "does_not_fit"
    assert estimate(waiting).fits == "fits" and "weights" not in estimate(waiting).parts
    assert sizing.host_gib(waiting, SEVENTY) == pytest.approx(standing * 8, rel=0.001)
    over_two = planned("zero3", kind="full", offload=True, processes=4, machines=2)
    assert sizing.host_gib(over_two, SEVENTY) == pytest.approx(standing * 4, rel=0.001), "of each machine"


def test_zero_2_keeps_the_weights_whole_and_shares_gradients_and_moments_out():
    alone, shared = (estimate(planned(*one)).parts for one in (("ddp", "full", 1), ("zero2", "full", 8)))
    assert shared["weights"] == alone["weights"]
    assert shared["gradients"] == pytest.approx(alone["gradients"] / 8, abs=0.001)
    assert shared["optimiser"] == pytest.approx(alone["optimiser"] / 8, abs=0.001)
    assert shared["communication"] == pytest.approx(4 * BUCKET / GIB, abs=0.001)


def test_ddp_costs_a_copy_of_the_gradients_and_saves_nothing():
    alone, together = (estimate(planned("ddp", processes=count)).parts for count in (1, 8))
    assert together["communication"] == together["gradients"]
    assert {name: together[name] for name in ("weights", "adapter", "optimiser")} == {
        name: alone[name] for name in ("weights", "adapter", "optimiser")
    }


def test_what_is_sent_in_a_step_by_hand():
    assert SEVENTY is not None
    trained = sizing.trained_in_run(planned("ddp"), SEVENTY)
    # A ring sends 2 x 7/8 of the gradients, 4 bytes each.
    assert communicated(planned("ddp"), SEVENTY) == pytest.approx(2 * 4 * trained * 7 / 8)
    # And the weights, in 16 bits: forward, again for the backward pass, and backward, in 2 passes a process.
    weights = 3 * 2 * 2 * SEVENTY.params_b * 1e9 * 7 / 8
    assert communicated(planned("zero3"), SEVENTY) == pytest.approx(2 * 4 * trained * 7 / 8 + weights)


def test_hours_fall_with_devices_less_what_sending_takes_and_slower_links_show_at_the_high_end():
    assert SEVENTY is not None
    one, eight = (estimate(planned("ddp", processes=count), rows=10_000).hours for count in (1, 8))
    shared, far = (
        estimate(planned("zero3", processes=count, machines=machines), rows=10_000).hours
        for count, machines in ((8, 1), (4, 2))
    )
    assert one and eight and shared and far
    assert eight.low == pytest.approx(one.low / 8, rel=0.01)
    assert one.high / 8 < eight.high < 1.1 * one.high / 8
    assert eight.high < shared.high < far.high
    # 741 GB of weights a step over NVLink take longer than the two rows that each process computes meanwhile.
    sent = communicated(planned("zero3"), SEVENTY) / 300e9
    assert shared.low == pytest.approx(1875 * sent / 3600, rel=0.01)


def test_processes_of_one_cpu_share_its_memory_and_its_time():
    one = estimate(RunConfig(), rows=1000)
    two = estimate(RunConfig.model_validate({"hardware": {"processes": 2}}), rows=1000)
    assert two.limit_gib == one.limit_gib / 2 and two.hours == one.hours
