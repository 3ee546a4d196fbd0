"""Several processes that train one run: the same losses as one, one of them killed, and what goes with them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from trainer import combinations, config, engine, events, jobs, runs
from trainer.combinations import faults
from trainer.features import DEVICES, METHODS, OPTIONS, Feature, switched_on
from trainer.reporting import Reporter
from trainer.runs import Run
from trainer.sections import RunConfig
from trainer.tuned import Tuned

STEPS = 14


@pytest.fixture
def shared_run(tiny_run: RunConfig, tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    """A run whose epochs end in a step of one batch where the others have two; no dropout, which no two share."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run = tiny_run.model_copy(deep=True)
    run.method.dropout = 0.0  # pyright: ignore[reportAttributeAccessIssue]
    run.schedule.max_steps, run.schedule.batch_size, run.schedule.accumulation = STEPS, 4, 2
    run.schedule.checkpoint_every = run.evaluation.every = 3
    run.steering.replay_share = 0.0
    return run


def alone(run: RunConfig) -> Run:
    made = runs.create(run)
    engine.train(run, Reporter(made.folder, made.status))
    return runs.get(made.id)


def together(run: RunConfig, processes: int = 2, strategy: str = "ddp") -> RunConfig:
    both = run.model_copy(deep=True)
    both.hardware.processes = processes
    both.hardware.strategy = strategy  # pyright: ignore[reportAttributeAccessIssue]
    return config.parse(both.model_dump(mode="json"))


def ended(run: Run, seconds: float = 90) -> Run:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        run = runs.get(run.id)
        if run.status.state not in jobs.ACTIVE:
            return run
        time.sleep(0.2)
    raise AssertionError(f"still {run.status.state}: {(run.folder / 'log.txt').read_text()[-2000:]}")


def losses(run: Run) -> dict[int, float]:
    return {event.step: event.loss for event in run.events() if isinstance(event, events.StepEvent)}


def measured(run: Run) -> dict[int, float]:
    return {event.step: event.loss for event in run.events() if isinstance(event, events.EvalEvent)}


def process_of_rank(run: Run, rank: int) -> int:
    assert run.status.pid is not None
    for child in psutil.Process(run.status.pid).children():
        if child.environ().get("RANK") == str(rank):
            return child.pid
    raise AssertionError(f"no process of rank {rank}")


def test_two_processes_learn_as_one_and_a_killed_one_ends_the_run_which_goes_on(shared_run: RunConfig):
    one = alone(shared_run)
    two = runs.start(runs.create(together(shared_run)))
    while not list(two.folder.glob("checkpoints/checkpoint-*/complete")):
        assert runs.get(two.id).status.state in jobs.ACTIVE, (two.folder / "log.txt").read_text()[-3000:]
        time.sleep(0.02)
    os.kill(process_of_rank(runs.get(two.id), 1), signal.SIGKILL)
    killed = ended(two)
    assert killed.status.state == "failed"
    assert "rank 1 of 2) was killed (SIGKILL)" in str(killed.status.error), (two.folder / "log.txt").read_text()
    assert "Resume goes on from the last checkpoint" in str(killed.status.error)
    reached = killed.status.step
    assert 3 <= reached < STEPS

    done = ended(runs.start(killed))
    assert done.status.state == "done", (done.folder / "log.txt").read_text()
    details = [event.detail for event in done.events() if isinstance(event, events.StateEvent)]
    assert details.count("2 processes train together (ddp).") == 2
    assert losses(done) == pytest.approx(losses(one), abs=2e-5)
    assert measured(done) == pytest.approx(measured(one), abs=2e-5)
    report = done.report()
    assert report is not None and report["tokens_per_second"] > 0


def changed(run: RunConfig, **values: object) -> RunConfig:
    """`section__field=value`; the run as its file is read."""
    data = run.model_dump(mode="json")
    for name, value in values.items():
        section, _, field = name.partition("__")
        if field == "kind":
            data[section] = config.of_kind(section, data[section], str(value))
        data[section][field] = value
    return config.parse(data)


def finished(run: RunConfig) -> Run:
    done = ended(runs.start(runs.create(run)), 600)
    assert done.status.state == "done", (done.folder / "log.txt").read_text()[-3000:]
    return done


@pytest.mark.soak  # each start of two processes takes ten seconds
def test_shared_out_by_fsdp2_a_run_learns_and_answers_as_one_process_does(shared_run: RunConfig):
    shared_run.evaluation.sample_prompts = []
    shared_run.schedule.gradient_checkpointing = True  # as a model that is too large for one device is trained
    one = alone(shared_run)
    two = runs.start(runs.create(together(shared_run, strategy="fsdp")))
    while runs.get(two.id).status.step < 4:
        assert runs.get(two.id).status.state in jobs.ACTIVE, (two.folder / "log.txt").read_text()[-3000:]
        time.sleep(0.02)
    runs.stop(runs.get(two.id))
    stopped = ended(two)
    assert stopped.status.state == "stopped" and stopped.weights, (two.folder / "log.txt").read_text()[-3000:]
    done = ended(runs.start(stopped))
    assert done.status.state == "done", (done.folder / "log.txt").read_text()[-3000:]
    details = [event.detail for event in done.events() if isinstance(event, events.StateEvent)]
    assert "2 processes train together (fsdp)." in details
    assert losses(done) == pytest.approx(losses(one), abs=2e-5)
    assert measured(done) == pytest.approx(measured(one), abs=2e-5)
    trained, other = (load_file(run.adapter / "adapter_model.safetensors") for run in (one, done))
    assert trained.keys() == other.keys()
    for name, numbers in trained.items():
        assert torch.allclose(numbers, other[name], atol=1e-4), name
    said = [logits(Tuned(run)) for run in (one, done)]
    assert torch.allclose(said[0], said[1], atol=1e-3)


def logits(tuned: Tuned) -> torch.Tensor:
    ids = tuned.tokenizer("Is 7 even?", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        return tuned.side(tuned=True)(input_ids=ids).logits


@pytest.mark.soak
def test_processes_do_not_outlive_the_one_that_started_them(shared_run: RunConfig):
    shared_run.schedule.max_steps = 10_000
    run = runs.start(runs.create(together(shared_run)))
    while runs.get(run.id).status.step < 1:
        assert runs.get(run.id).status.state in jobs.ACTIVE, (run.folder / "log.txt").read_text()[-3000:]
        time.sleep(0.02)
    supervisor = runs.get(run.id).status.pid
    assert supervisor is not None
    ranks = [psutil.Process(process_of_rank(runs.get(run.id), rank)) for rank in (0, 1)]
    os.kill(supervisor, signal.SIGKILL)
    gone, alive = psutil.wait_procs(ranks, timeout=30)
    assert len(gone) == 2 and not alive, "or two sets of processes would write to a run that is resumed"
    died = ended(run)
    assert died.status.state == "failed" and "The process ended at step" in str(died.status.error)


@pytest.mark.soak
def test_a_run_goes_on_with_another_number_of_processes(shared_run: RunConfig):
    one = alone(shared_run)
    run = runs.start(runs.create(together(shared_run)))
    while not list(run.folder.glob("checkpoints/checkpoint-*/complete")):
        assert runs.get(run.id).status.state in jobs.ACTIVE, (run.folder / "log.txt").read_text()[-3000:]
        time.sleep(0.02)
    runs.stop(runs.get(run.id))
    assert ended(run).status.state == "stopped"
    (run.folder / "run.yaml").write_text(config.to_yaml(shared_run))
    done = ended(runs.start(runs.get(run.id)))
    assert done.status.state == "done", (done.folder / "log.txt").read_text()[-3000:]
    assert losses(done) == pytest.approx(losses(one), abs=2e-5)


@pytest.mark.soak
def test_what_acts_on_a_run_acts_the_same_in_two_processes(shared_run: RunConfig):
    acting = changed(
        shared_run,
        steering__replay_share=0.25,
        steering__distillation=0.5,
        steering__ewc=0.1,
        steering__l2_sp=0.01,
        steering__curriculum="steps",
        steering__forgetting_every=6,
        steering__forgetting_limit=100.0,
        schedule__patience=3,
        schedule__checkpoint_every=6,
        schedule__unfreezing_share=0.3,
    )
    one, two = alone(acting), finished(together(acting))
    # Distillation begins with gradients that are nothing but rounding, which AdamW takes for a direction.
    assert losses(two) == pytest.approx(losses(one), abs=1e-3)
    looks = [[event for event in run.events() if isinstance(event, events.ForgettingEvent)] for run in (one, two)]
    assert [look.step for look in looks[0]] == [look.step for look in looks[1]] != []
    mixed = [[event for event in run.events() if isinstance(event, events.MixEvent)] for run in (one, two)]
    assert [(event.rows, event.general, event.levels) for event in mixed[0]] == [
        (event.rows, event.general, event.levels) for event in mixed[1]
    ], "counted over both"


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["dpo", "kto"])
def test_preferences_are_learnt_by_two_processes_as_by_one(shared_run: RunConfig, tiny_data: Path, kind: str):
    rows = [
        {"prompt": f"Is {number} even?", "chosen": ("yes", "no")[number % 2], "rejected": ("no", "yes")[number % 2]}
        for number in range(40)
    ]
    tiny_data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = changed(shared_run, objective__kind=kind)
    one, two = alone(asked), finished(together(asked))
    assert losses(two) == pytest.approx(losses(one), abs=1e-4)
    assert measured(two) == pytest.approx(measured(one), abs=1e-4)


def _allowed() -> list[Feature]:
    several = next(feature for feature in DEVICES if feature.name == "several processes")
    return [one for one in (*METHODS, *OPTIONS) if not faults(switched_on(one, several))]


@pytest.mark.soak
@pytest.mark.parametrize("feature", _allowed(), ids=lambda feature: feature.name)
def test_everything_that_is_allowed_trains_in_two_processes(shared_run: RunConfig, tiny_data: Path, feature: Feature):
    start = {"method.start_from": alone(shared_run).id} if feature.name == "start from an adapter" else {}
    values = {name.replace(".", "__"): value for name, value in {**feature.settings, **start}.items()}
    if feature.name == "4-bit base":
        values["hardware__precision"] = "auto"
    shared_run.schedule.max_steps, shared_run.steering.replay_share = 3, 0.25
    done = finished(together(changed(shared_run, **values)))
    assert list(losses(done)) == [1, 2, 3] and done.report() is not None


@pytest.mark.soak
@pytest.mark.parametrize("strategy", ["zero2", "zero3"])
def test_zero_learns_as_one_process_does(shared_run: RunConfig, strategy: str, monkeypatch: pytest.MonkeyPatch):
    if not (Path(sys.prefix) / "deepspeed" / "deepspeed").is_dir():
        pytest.skip("DeepSpeed is not there; `make install` puts it beside the environment")
    shared_run.evaluation.sample_prompts = []
    one = alone(shared_run)
    monkeypatch.setattr(combinations, "_of_devices", lambda config: [])  # which ask for a GPU
    two = runs.create(together(shared_run, strategy=strategy))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [str(Path(__file__).with_name("zero_rank.py")), str(two.folder)]

    def train() -> Run:
        done = subprocess.run(command, capture_output=True, text=True)
        run = runs.get(two.id)
        assert run.status.state in ("done", "stopped"), done.stderr[-4000:]
        return run

    done = train()
    details = [event.detail for event in done.events() if isinstance(event, events.StateEvent)]
    assert f"2 processes train together ({strategy})." in details
    assert losses(done) == pytest.approx(losses(one), abs=5e-5)
    assert measured(done) == pytest.approx(measured(one), abs=5e-5)
    assert torch.allclose(logits(Tuned(one)), logits(Tuned(done)), atol=1e-3)
