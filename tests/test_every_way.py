"""Every method, and every part that acts on a run, in whole runs on a tiny model: trained, stopped, resumed, scored."""

import gc
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from evaluators.sides import side
from trainer import config, engine, events, models, runs
from trainer.features import METHODS, OPTIONS, Feature
from trainer.jobs import RunState
from trainer.reporting import Reporter, StopRequested
from trainer.runs import Run
from trainer.sections import HeldOutSet, RunConfig
from trainer.tuned import Tuned

STEPS, STOPPED_AT = 6, 3
TASKS = ("classification", "reasoning")
LEVELS = ("facts", "concepts", "reasoning", "judgement")


@pytest.fixture
def ways_run(tiny_run: RunConfig, tiny_data: Path) -> RunConfig:
    """Six steps on rows of two tasks and four levels, with general rows, and two questions held out."""
    gc.freeze()  # each training collects garbage a few times, and would look through all libraries for it
    rows = [
        {
            "question": f"Is {n} even?" if n % 2 else f"What is after {n}?",
            "answer": ("yes", "no")[n // 2 % 2] if n % 2 else str(n + 1),
            "task": TASKS[n % 2],
            "level": LEVELS[n // 2 % 4],
        }
        for n in range(32)
    ]
    tiny_data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    held_out = tiny_data.with_name("held-out.jsonl")
    held_out.write_text('{"question": "Is 98 even?", "answer": "yes"}\n{"question": "Is 99 even?", "answer": "no"}\n')
    run = tiny_run.model_copy(deep=True)
    run.evaluation.held_out = [HeldOutSet(name=str(held_out), metric="exact_match", items=2)]
    run.evaluation.forgetting = False
    run.evaluation.every = run.evaluation.sample_every = STOPPED_AT
    run.schedule.max_steps, run.schedule.checkpoint_every = STEPS, STOPPED_AT
    run.schedule.batch_size, run.schedule.accumulation = 4, 2
    run.schedule.learning_rate = 5e-3
    run.steering.replay_share = 0.25
    return run


def switched(run: RunConfig, *features: Feature) -> RunConfig:
    """The run with these features on, checked as a run file is."""
    data = run.model_dump(mode="json")
    for feature in features:
        for name, value in feature.settings.items():
            section, _, field = name.partition(".")
            if name == "method.kind":
                data["method"] = config.of_kind("method", data["method"], value)
            data[section][field] = value
    if data["model"]["quantization"] == "nf4":
        data["hardware"]["precision"] = "auto"
    return config.parse(data)


def train(run: Run) -> Run:
    engine.train(run.config, Reporter(run.folder, RunState()))
    return runs.get(run.id)


EACH_KIND = (
    "LoRA", "AdaLoRA", "full tuning", "prefix tuning", "prompt tuning", "P-tuning", "IA3", "layer norm tuning",
    "bottleneck adapters", "PiSSA", "prefix for each task",
)  # fmt: skip
"""One of each kind, and the two that are saved in another way; the others with `make soak`."""


def losses(run: Run) -> dict[int, float]:
    return {event.step: event.loss for event in run.events() if isinstance(event, events.StepEvent)}


def stop_after(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reporter, "stop_requested", lambda self: self.status.step == step)


@pytest.mark.parametrize(
    "method",
    [one if one.name in EACH_KIND else pytest.param(one, marks=pytest.mark.soak) for one in METHODS],
    ids=lambda feature: feature.name,
)
def test_each_method_trains_resumes_to_the_same_losses_and_answers_as_it_was_saved(
    ways_run: RunConfig, method: Feature, monkeypatch: pytest.MonkeyPatch
):
    asked = switched(ways_run, method)
    whole = train(runs.create(asked))
    assert list(losses(whole)) == list(range(1, STEPS + 1))
    first = [event for event in whole.events() if isinstance(event, events.EvalEvent)]
    assert first[-1].loss != first[0].loss, "something was learnt"
    report: Any = whole.report()
    assert 0 < report["trainable_share"] <= 1 and report["table"][0]["n"] == 2

    cut = runs.create(asked)
    with monkeypatch.context() as stopping:
        stop_after(STOPPED_AT, stopping)
        with pytest.raises(StopRequested):
            train(cut)
    assert max(losses(cut)) == STOPPED_AT
    again = train(cut)
    assert losses(again) == losses(whole), "stopped in the middle, it goes on as if it had not been"

    tuned, other = Tuned(whole), Tuned(again)
    plain = logits(models.load_base(asked)[0].eval(), tuned)
    for name in tuned.adapters or [""]:
        for one in (tuned, other):
            one.choose([name] if name else [])
        assert bool((logits(tuned, tuned) == logits(other, other)).all())
        assert bool((logits(tuned, tuned) != plain).any()), "it says something else than the base"
        assert bool((logits(tuned, tuned, base=True) == plain).all()), "and its base is the base, to the bit"


def logits(model: Any, tuned: Tuned, base: bool = False) -> Any:
    ids = tuned.tokenizer("Is 7 even?", return_tensors="pt")["input_ids"]
    chosen = model.side(tuned=not base) if isinstance(model, Tuned) else model
    with torch.inference_mode(), side(chosen, tuned=not base) as answering:
        return answering.core(input_ids=ids, past_key_values=answering.cache).logits


@pytest.mark.soak  # each option has tests of its own elsewhere; together they take minutes
@pytest.mark.parametrize("option", OPTIONS, ids=lambda feature: feature.name)
def test_each_option_acts_and_goes_on_after_a_stop(
    ways_run: RunConfig, option: Feature, monkeypatch: pytest.MonkeyPatch
):
    plain = train(runs.create(ways_run))
    if option.name == "start from an adapter":
        option = Feature(option.name, option.field, {option.field: plain.id}, option.on)
    asked = switched(ways_run, option)
    whole = train(runs.create(asked))
    if option.name not in ("several folds", "gradient checkpointing"):
        assert losses(whole) != losses(plain), "it makes a difference"
    cut = runs.create(asked)
    with monkeypatch.context() as stopping:
        stop_after(STOPPED_AT, stopping)
        with pytest.raises(StopRequested):
            train(cut)
    assert losses(train(cut)) == losses(whole)


def _pairs() -> list[tuple[Feature, Feature]]:
    found = []
    for index, option in enumerate(OPTIONS):
        for other in (*METHODS, *OPTIONS[:index]):
            if not _faulty(option, other):
                found.append((other, option))
    return found


def _faulty(one: Feature, other: Feature) -> bool:
    try:
        switched(RunConfig(), other, one)
    except config.ConfigError:
        return True
    return False


@pytest.mark.soak
@pytest.mark.parametrize(("one", "other"), _pairs(), ids=lambda feature: feature.name)
def test_every_pair_that_is_allowed_trains(ways_run: RunConfig, one: Feature, other: Feature):
    ways_run.schedule.max_steps = ways_run.schedule.checkpoint_every = ways_run.evaluation.every = 2
    if "start from an adapter" in (one.name, other.name):
        base = [feature for feature in (one, other) if feature.name != "start from an adapter"]
        start = train(runs.create(switched(ways_run, *[one for one in base if one.field.startswith("method")])))
        asked = switched(ways_run, *base)
        asked.method.start_from = start.id
    else:
        asked = switched(ways_run, one, other)
    run = train(runs.create(asked))
    assert run.status.state == "done" and run.report() is not None
