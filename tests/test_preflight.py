"""Memory that runs out: the batch is halved, the rows a step stay, and the run ends as it should."""

import pytest
import torch

from trainer import config, engine, events, preflight, runs
from trainer.jobs import RunState
from trainer.objectives.answer_trainer import AnswerTrainer
from trainer.reporting import Reporter
from trainer.runs import Run
from trainer.sections import RunConfig


def train(run_config: RunConfig) -> Run:
    """The engine in this process, so that a test can take its memory away."""
    run = runs.create(run_config)
    engine.train(run_config, Reporter(run.folder, RunState()))
    return runs.get(run.id)


def small_memory(monkeypatch: pytest.MonkeyPatch, most_rows: int, from_call: int = 0) -> list[tuple[int, int]]:
    """Training steps of more rows than this fail as on a full GPU; returns (rows, tokens) of each call."""
    calls: list[tuple[int, int]] = []
    step = AnswerTrainer.training_step

    def limited(self, model, inputs, *rest):
        rows, tokens = inputs["input_ids"].shape
        calls.append((rows, tokens))
        if rows > most_rows and len(calls) > from_call:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return step(self, model, inputs, *rest)

    monkeypatch.setattr(AnswerTrainer, "training_step", limited)
    return calls


def told(run: Run) -> list[str]:
    return [event.message for event in run.events() if isinstance(event, events.WarningEvent)]


def steps(run: Run) -> list[int]:
    return [event.step for event in run.events() if isinstance(event, events.StepEvent)]


def test_the_longest_rows_are_tried_first_and_leave_no_trace(tiny_run: RunConfig, monkeypatch):
    calls = small_memory(monkeypatch, most_rows=10**6)
    run = train(tiny_run)
    assert run.status.state == "done"
    longest = max(tokens for _, tokens in calls)
    assert [tokens for _, tokens in calls[:2]] == [longest, longest]
    stages = [event.stage for event in run.events() if isinstance(event, events.ProgressEvent)]
    assert any("trying the longest rows: " in stage and "GiB at the peak" in stage for stage in stages)
    monkeypatch.setattr(preflight, "try_longest_rows", lambda *_: None)
    without = train(tiny_run)
    losses = [[e.loss for e in one.events() if isinstance(e, events.StepEvent)] for one in (run, without)]
    assert losses[0] == losses[1]
    assert {path.name for path in run.folder.iterdir()} == {path.name for path in without.folder.iterdir()}


def test_out_of_memory_at_the_start_halves_the_batch_until_it_fits(tiny_run: RunConfig, monkeypatch):
    tiny_run.schedule.batch_size, tiny_run.schedule.accumulation = 4, 1
    calls = small_memory(monkeypatch, most_rows=1)
    run = train(tiny_run)
    assert run.status.state == "done" and steps(run) == list(range(1, 13))
    assert told(run)[-2:] == [
        "Memory ran out: going on from the start with batches of 2; 4 rows a step as before.",
        "Memory ran out: going on from the start with batches of 1; 4 rows a step as before.",
    ]
    assert len([rows for rows, _ in calls if rows == 1]) == preflight.STEPS + 12 * 4


def test_out_of_memory_in_the_middle_goes_on_from_the_last_checkpoint(tiny_run: RunConfig, monkeypatch):
    tiny_run.schedule.batch_size, tiny_run.schedule.accumulation = 2, 1
    tiny_run.schedule.checkpoint_every = 4
    small_memory(monkeypatch, most_rows=1, from_call=preflight.STEPS + 6)
    run = train(tiny_run)
    assert run.status.state == "done"
    assert steps(run) == [1, 2, 3, 4, 5, 6, *range(5, 13)]
    assert told(run)[-1].startswith("Memory ran out: going on from the last checkpoint with batches of 1; 2 rows")


def test_with_single_rows_there_is_nothing_left_to_halve(tiny_run: RunConfig, monkeypatch):
    tiny_run.schedule.batch_size, tiny_run.schedule.accumulation = 1, 2
    small_memory(monkeypatch, most_rows=0)
    with pytest.raises(torch.OutOfMemoryError):
        train(tiny_run)


@pytest.mark.parametrize(("batch", "accumulation", "smaller"), [(8, 2, (4, 4)), (3, 1, (1, 3)), (5, 2, (2, 5))])
def test_the_effective_batch_stays(batch, accumulation, smaller):
    changed = preflight.with_smaller_batch(
        config.with_values(RunConfig(), {"schedule.batch_size": str(batch), "schedule.accumulation": str(accumulation)})
    )
    assert changed is not None and (changed.schedule.batch_size, changed.schedule.accumulation) == smaller
