"""What a run took in energy and emitted, as ranges: from the machine's own sensors where they could be read.

kWh = hours x watts x what else the machine and the building take; kg CO2e = kWh x the grid's intensity. What is not
measured is assumed, and each assumption stands beside the result with its source; the true value depends on where and
when the machine ran, which Bedside does not know.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pydantic import BaseModel

from trainer import catalogue, environment, hardware
from trainer.duration import Range
from trainer.environment import Environment
from trainer.events import Event, ReadingEvent, StateEvent
from trainer.runs import Run

FEWEST_READINGS = 3
"""Of power, for their mean to stand for the whole run: they are taken every 10 s."""


class Assumption(BaseModel):
    """One factor that was not measured."""

    name: str
    low: float
    high: float
    unit: str
    source: str


CORE = Assumption(
    name="processor, each core in use",
    low=3.0,
    high=15.0,
    unit="W",
    source="design power of server and laptop processors over their cores; Green Algorithms takes 12 W where the "
    "processor is not known (Lannelongue et al. 2021)",
)
MEMORY = Assumption(
    name="memory, each GiB of the machine", low=0.3725, high=0.3725, unit="W", source="Lannelongue et al. 2021"
)
CARD = Assumption(
    name="GPU, unknown card", low=70.0, high=700.0, unit="W", source="board powers from an NVIDIA T4 to an H100"
)
CARD_USE = Assumption(
    name="share of the board power that a GPU draws while it trains",
    low=0.4,
    high=1.0,
    unit="",
    source="ours: from a card that often waits for the processor to one that never does",
)
REST = Assumption(
    name="whole machine over its GPUs",
    low=1.1,
    high=1.5,
    unit="times",
    source="GPUs were 74 % of a server's power in Dodge et al. 2022 (table 1), which is 1.35 times",
)
BOARD = Assumption(
    name="whole machine over processor and memory",
    low=1.1,
    high=1.5,
    unit="times",
    source="ours: fans, drives and the loss of the power supply",
)
BUILDING = Assumption(
    name="whole building over the machine (PUE)",
    low=1.0,
    high=1.6,
    unit="times",
    source="1 on a desk; data centres 1.56 on average (Uptime Institute survey 2024)",
)
GRID = Assumption(
    name="emissions of the grid",
    low=30.0,
    high=713.0,
    unit="g CO2e/kWh",
    source="Ember 2024, for 2023: Norway 30, the world 481, India 713",
)


class Energy(BaseModel):
    """Energy and emissions of a run's own work (training and scoring, not its evaluations), with what they rest on."""

    hours: float
    kwh: Range
    kg_co2e: Range
    measured: list[str]
    """What was read from sensors, in sentences."""
    assumed: list[Assumption]
    notes: list[str] = []


def estimate(run: Run) -> Energy:
    """A run's energy (kWh) and emissions (kg CO2e), each a range with its assumptions; for one not done, so far."""
    told = run.events()
    hours = working_hours(told)
    watts = [one.power_w for one in told if isinstance(one, ReadingEvent) and one.power_w is not None]
    mean = sum(watts) / len(watts) if len(watts) >= FEWEST_READINGS else None
    recorded = environment.of(run.folder)
    devices, machines = _devices(run)
    assumed: list[Assumption] = []
    measured, notes = [f"hours at work, from the run's events: {hours:.3g}"], []
    if run.status.device == "cuda":
        low, high = _gpu_watts(run, mean, len(watts), measured, assumed)
        low, high = low * devices, high * devices
        assumed.append(REST)
        low, high = low * REST.low, high * REST.high
    else:
        low, high = _cpu_watts(recorded, mean, len(watts), measured, assumed, notes)
        assumed.append(BOARD)
        low, high = low * machines * BOARD.low, high * machines * BOARD.high
    assumed += [BUILDING, GRID]
    kwh = Range(low=hours * low * BUILDING.low / 1000, high=hours * high * BUILDING.high / 1000)
    return Energy(
        hours=hours,
        kwh=kwh,
        kg_co2e=Range(low=kwh.low * GRID.low / 1000, high=kwh.high * GRID.high / 1000),
        measured=measured,
        assumed=assumed,
        notes=[*notes, "Not counted: making the machine, the base model's own training, evaluations, and use."],
    )


def working_hours(told: Sequence[Event]) -> float:
    """Hours in which a job worked: between its events, without the time that it waited, was stopped, or was gone.

    What ends in `queued`, `preparing` or `failed` is waiting or a process that died unseen, and says nothing.
    """
    seconds = 0.0
    working = False
    for before, after in itertools.pairwise(told):
        if isinstance(before, StateEvent):
            working = before.state in ("preparing", "training", "evaluating")
        entered = after.state if isinstance(after, StateEvent) else ""
        if working and entered not in ("queued", "preparing", "failed"):
            seconds += max(0.0, after.time - before.time)
    return seconds / 3600


def words(found: Energy) -> str:
    """The estimate in one line: "3.2 to 18 Wh, 0.097 to 13 g CO2e"; from 0.1 on in kWh and kg."""
    return f"{_range(found.kwh, 'kWh', 'Wh')}, {_range(found.kg_co2e, 'kg', 'g')} CO2e"


def _range(found: Range, large: str, small: str) -> str:
    unit, factor = (large, 1) if found.high >= 0.1 else (small, 1000)
    return f"{found.low * factor:.2g} to {found.high * factor:.2g} {unit}"


def _devices(run: Run) -> tuple[int, int]:
    """GPUs and machines that the run used."""
    section = run.config.hardware
    return section.processes * section.machines, section.machines


def _gpu_watts(
    run: Run, mean: float | None, readings: int, measured: list[str], assumed: list[Assumption]
) -> tuple[float, float]:
    """Of one card."""
    if mean is not None:
        devices = _devices(run)[0]
        which = f"the first of {devices} GPUs, taken for each" if devices > 1 else "the GPU"
        measured.append(f"power of {which} (NVML), mean of {readings} readings: {mean:.0f} W")
        return mean, mean
    row = catalogue.gpu(run.config.hardware.gpu) if run.config.hardware.gpu else None
    if row is None or row.board_w is None:
        assumed.append(CARD)
        low, high = CARD.low, CARD.high
    else:
        low = high = float(row.board_w)
        assumed.append(
            Assumption(name=f"board power of the {row.name}", low=low, high=high, unit="W", source=row.source)
        )
    assumed.append(CARD_USE)
    return low * CARD_USE.low, high * CARD_USE.high


def _cpu_watts(
    recorded: Environment | None,
    mean: float | None,
    readings: int,
    measured: list[str],
    assumed: list[Assumption],
    notes: list[str],
) -> tuple[float, float]:
    """Processor and memory of one machine."""
    if recorded is None:
        machine = hardware.detect()
        cores, memory = machine.cores, machine.memory_gib
        notes.append("The run did not record its machine: the cores and memory of this one are taken.")
    else:
        cores, memory = min(recorded.cores, recorded.threads), recorded.memory_gib
    assumed.append(MEMORY)
    memory_w = memory * MEMORY.low
    if mean is not None:
        measured.append(f"power of the processor (RAPL), mean of {readings} readings: {mean:.0f} W")
        return mean + memory_w, mean + memory_w
    measured.append(f"cores in use: {cores}; memory of the machine: {memory:.0f} GiB")
    assumed.append(CORE)
    return cores * CORE.low + memory_w, cores * CORE.high + memory_w
