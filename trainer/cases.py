"""The ready run files in `examples/cases`, and any run file scaled down so that this machine can try it out."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from trainer import config as run_config
from trainer.data.sources import is_here
from trainer.data_sections import DataSource
from trainer.errors import UserError
from trainer.jobs import CODE_ROOT
from trainer.method_sections import AdaLoraMethod, AdapterMethod, FullMethod, LoraMethod
from trainer.models import EMBEDDED
from trainer.objective_sections import GrpoObjective, RlooObjective
from trainer.section import Task
from trainer.sections import HardwareSection, RunConfig

FOLDER = CODE_ROOT / "examples" / "cases"
STEPS = 4
"""Of the optimiser: enough for a checkpoint, a measurement, and a loss that moves."""
ROWS, HELD_OUT = 24, 4
"""Of each source and of each held-out set."""
LEFT_OUT_ROWS = 3
"""Of each source where every row is left out once, and the model trained as often."""
MAX_LENGTH, ANSWER_TOKENS = 256, 32
_STAND_INS: dict[Task, str] = {
    "classification": "starter/lab",
    "test_interpretation": "starter/lab",
    "ner": "starter/orders",
    "drug_information": "starter/brands",
}
_STAND_IN = "starter/clinical"
_LAYERS = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
"""The embedded model's linear layers, as Llama's are named."""


class CaseError(UserError):
    """There is no such case; the text names those that there are."""


def case_files() -> list[Path]:
    """The ready run files, by name."""
    return sorted(FOLDER.glob("*.yaml"))


def find(text: str) -> Path:
    """The run file that is meant: a file, or a case by its name. Raises `CaseError` for a name that is neither."""
    known = {file.stem: file for file in case_files()}
    path = run_config.path_of(text)
    if path.is_file() or text not in known:
        # What looks like a file is one: whoever reads it says what is wrong with it.
        if path.exists() or path.suffix or path.name != text:
            return path
        raise CaseError(f"There is no run file {text!r}, and no case of that name; there are {', '.join(known)}.")
    return known[text]


def absent_sources(config: RunConfig) -> list[str]:
    """The sources that a run is trained on and that are not on this machine: `tiny` takes starter rows instead."""
    return [source.name for source in config.data.sources if not is_here(source.name)]


def tiny(config: RunConfig) -> RunConfig:
    """The same run, scaled down onto the embedded model: minutes on this machine's CPU, and nothing of any use learnt.

    It keeps what the run is about (method, objective, steering, 4 bits, several processes) and changes its size: a few
    steps on a few short rows. Its own data is taken where it is on this machine, else the starter set of the same
    kind. What cannot go with another base is left out: adapters to go on from, reward models.
    """
    small = config.model_copy(deep=True)
    several = config.hardware.processes * config.hardware.machines > 1
    small.hardware = HardwareSection(processes=2 if several else 1)
    small.model.name = EMBEDDED
    _shrink_method(small)
    _shrink_data(small)
    schedule, evaluation, steering = small.schedule, small.evaluation, small.steering
    schedule.max_steps = STEPS
    # Two at a time, twice: for two processes one each, and two answers to each question that is answered for a reward.
    schedule.batch_size = schedule.accumulation = 2
    schedule.max_length = min(schedule.max_length, MAX_LENGTH)
    schedule.gradient_checkpointing = False
    schedule.checkpoint_every = evaluation.every = STEPS // 2
    evaluation.sample_every = STEPS
    evaluation.max_new_tokens = min(evaluation.max_new_tokens, ANSWER_TOKENS)
    evaluation.sample_prompts = evaluation.sample_prompts[:1]
    if evaluation.validation == "k_fold":
        evaluation.folds = 2
    evaluation.forgetting = False
    for look in ("conflict_every", "forgetting_every", "harm_every"):
        if getattr(steering, look) is not None:
            setattr(steering, look, STEPS)
    steering.reptile_steps = min(steering.reptile_steps, STEPS)
    small.output.name = f"{config.output.name[:75]} tiny"
    small.output.trackers = [name for name in config.output.trackers if find_spec(name)]
    return run_config.parse(small.model_dump(mode="json"))


def _shrink_method(small: RunConfig) -> None:
    method, objective = small.method, small.objective
    method.start_from = None
    if isinstance(method, FullMethod):
        method.offload = False
    if isinstance(method, AdapterMethod):
        method.below = []
    if isinstance(method, LoraMethod | AdaLoraMethod) and not set(method.target_modules) <= _LAYERS:
        method.target_modules = "all-linear"
    if isinstance(objective, RlooObjective | GrpoObjective):
        objective.reward_model, objective.rewards = None, objective.rewards or ["structure"]
        objective.answers, objective.longest_answer = 2, min(objective.longest_answer, ANSWER_TOKENS)


def _shrink_data(small: RunConfig) -> None:
    data = small.data
    rows = LEFT_OUT_ROWS if small.evaluation.validation == "leave_one_out" else ROWS
    stand_in = _STAND_INS.get(small.task.name, _STAND_IN)
    data.sources = _here_or(stand_in, data.sources, rows) or [DataSource(name=stand_in, rows=rows)]
    data.general_sources = _here_or("starter/general", data.general_sources, rows)
    data.augment = [way for way in data.augment if way not in ("back_translation", "paraphrase")]
    if small.adversarial.hard_cases and not is_here(small.adversarial.hard_cases):
        small.adversarial.hard_cases = None
    held_out = [one for one in small.evaluation.held_out if is_here(one.name)]
    for one in held_out:
        one.items = min(one.items, HELD_OUT)
    small.evaluation.held_out = held_out


def _here_or(stand_in: str, sources: list[DataSource], rows: int) -> list[DataSource]:
    """The sources that are on this machine, and once the stand-in for all that are not."""
    found = {}
    for source in sources:
        if not is_here(source.name):
            source = DataSource(name=stand_in)
        source = source.model_copy(update={"rows": min(source.rows or rows, rows)})
        found.setdefault(source.name, source)
    return list(found.values())
