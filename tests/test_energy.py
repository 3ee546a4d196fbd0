"""Energy of a run by hand: hours from its events, watts from its sensors or as assumed, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from trainer import catalogue, energy, environment, readings, runs
from trainer.energy import BOARD, BUILDING, CARD, CARD_USE, CORE, GRID, MEMORY, REST
from trainer.environment import Environment
from trainer.events import Event, ReadingEvent, StateEvent, StepEvent, append
from trainer.runs import Run
from trainer.sections import RunConfig

HERE = Environment(
    python="3.11.0", system="Linux", cpu="a", cores=8, memory_gib=20, gpus=[], threads=4, blas="", code_sha256="",
    packages={},
)  # fmt: skip


def state(time: float, name: str) -> StateEvent:
    return StateEvent(time=time, state=name)


def step(time: float) -> StepEvent:
    return StepEvent(
        time=time, loss=1, learning_rate=1, gradient_norm=1, tokens_per_second=1, memory_gib=1, eta_seconds=1,
        total_steps=9,
    )  # fmt: skip


def made(told: list[Event], recorded: Environment | None = HERE, **hardware: object) -> Run:
    config = RunConfig.model_validate({"hardware": hardware})
    run = runs.create(config)
    (run.folder / "events.jsonl").unlink()
    for one in told:
        append(run.folder / "events.jsonl", one)
    if recorded:
        (run.folder / environment.FILE).write_text(recorded.model_dump_json())
    return runs.get(run.id)


def test_hours_are_those_at_work():
    told: list[Event] = [
        state(0, "queued"), state(100, "preparing"), state(160, "training"), step(460), state(1000, "stopped"),
        # a day later
        state(90_000, "queued"), state(90_100, "preparing"), state(90_160, "training"), step(90_400),
        # killed, and found dead hours later
        state(99_000, "failed"), state(99_500, "preparing"), state(99_600, "training"), step(99_900),
        state(100_000, "evaluating"), state(100_800, "done"),
    ]  # fmt: skip
    seconds = (60 + 300 + 540) + (60 + 240) + (100 + 300 + 100 + 800)
    assert energy.working_hours(told) == pytest.approx(seconds / 3600)


HOUR: list[Event] = [state(0, "preparing"), state(600, "training"), state(3600, "done")]


def test_a_processor_by_its_cores_and_memory():
    found = energy.estimate(made(HOUR))
    low, high = 4 * 3.0 + 20 * 0.3725, 4 * 15.0 + 20 * 0.3725  # the threads, not all cores
    assert found.hours == 1
    assert (found.kwh.low, found.kwh.high) == pytest.approx((low * 1.1 * 1.0 / 1000, high * 1.5 * 1.6 / 1000))
    assert found.kg_co2e.low == pytest.approx(found.kwh.low * 0.030)
    assert found.kg_co2e.high == pytest.approx(found.kwh.high * 0.713)
    assert found.assumed == [MEMORY, CORE, BOARD, BUILDING, GRID]
    assert all(one.source and (one.low <= one.high) for one in found.assumed)
    assert energy.words(found) == "0.021 to 0.16 kWh, 0.00064 to 0.12 kg CO2e"
    found.kwh.high, found.kg_co2e.high = 0.05, 0.0123
    assert energy.words(found) == "21 to 50 Wh, 0.64 to 12 g CO2e"


def test_a_processor_by_its_own_readings():
    read: list[Event] = [
        ReadingEvent(time=700 + n, process_gib=1, power_w=watts) for n, watts in enumerate((30, 50, 40))
    ]
    found = energy.estimate(made([*HOUR[:2], *read, *HOUR[2:]]))
    assert found.kwh.low == pytest.approx((40 + 7.45) * 1.1 / 1000) and CORE not in found.assumed
    assert "power of the processor (RAPL), mean of 3 readings: 40 W" in found.measured
    few = energy.estimate(made([*HOUR[:2], *read[:2], *HOUR[2:]]))
    assert CORE in few.assumed, "two readings do not stand for a run"


def test_a_run_that_recorded_no_machine_says_whose_is_taken():
    found = energy.estimate(made(HOUR, recorded=None))
    assert found.notes[0] == "The run did not record its machine: the cores and memory of this one are taken."


def test_gpus_by_readings_else_by_the_card_else_by_any_card():
    read: list[Event] = [ReadingEvent(time=700 + n, process_gib=1, power_w=200.0) for n in range(3)]
    measured = energy.estimate(
        made([*HOUR[:2], *read, *HOUR[2:]], device="cuda", gpu="rtx-4090", processes=2, machines=2)
    )
    assert measured.kwh.low == pytest.approx(200 * 4 * 1.1 / 1000)
    assert measured.kwh.high == pytest.approx(200 * 4 * 1.5 * 1.6 / 1000)
    assert measured.assumed == [REST, BUILDING, GRID]
    assert "power of the first of 4 GPUs, taken for each (NVML), mean of 3 readings: 200 W" in measured.measured
    card = energy.estimate(made(HOUR, device="cuda", gpu="rtx-4090"))
    assert card.kwh.low == pytest.approx(450 * 0.4 * 1.1 / 1000) and CARD_USE in card.assumed
    assert card.kwh.high == pytest.approx(450 * 1.5 * 1.6 / 1000)
    assert energy.estimate(made(HOUR, device="cuda")).assumed[0] == CARD


def test_every_card_that_can_be_planned_has_its_power():
    lacking = [row.name for row in catalogue.gpus() if row.cuda and row.board_w is None]
    assert lacking == []
    assert {row.name: row.board_w for row in catalogue.gpus()}["h100-80gb"] == 700
    assert catalogue.gpu("24gb").board_w is not None  # pyright: ignore[reportOptionalMemberAccess]


def test_a_processor_s_power_is_the_mean_since_the_last_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, counted in (("intel-rapl:0", 1_000_000), ("intel-rapl:1", 99_000_000), ("intel-rapl:0:0", 7)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(f"{counted}\n")
        (tmp_path / name / "max_energy_range_uj").write_text("100000000\n")
    clock = iter([10.0, 10.0, 20.0, 20.0, 30.0])
    monkeypatch.setattr(readings, "_RAPL", tmp_path)
    monkeypatch.setattr(readings, "_counted", {})
    monkeypatch.setattr(readings, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert readings.read("cpu").power_w is None
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("301000000")  # 300 J in 10 s
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("49000000")  # full, and began again: 50 J
    assert readings.read("cpu").power_w == pytest.approx(30 + 5)
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    assert readings.read("cpu").power_w is None, "half of the machine is not its power"
