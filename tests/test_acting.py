"""What acts on a run while it trains, in whole runs on a tiny model: what is told, what is kept, what a resume does."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from assistant import cli
from evaluators import forgetting
from trainer import config, engine, events, runs, worker
from trainer.jobs import RunState
from trainer.methods import MethodError, saved
from trainer.objectives.answer_trainer import AnswerTrainer
from trainer.objectives.run_trainer import WEIGHTS
from trainer.reporting import Reporter, StopRequested
from trainer.runs import Run
from trainer.sections import RunConfig
from trainer.steering import harm_monitor, rank_search, rates, rows_seen, validation

ROOT = Path(__file__).resolve().parent.parent
LEVELS = ["facts", "concepts", "reasoning", "judgement"]
STEPS = 8
Kind = TypeVar("Kind", bound=events.Event)


@pytest.fixture
def acting_run(tiny_run: RunConfig, tiny_data: Path) -> RunConfig:
    """Eight steps on rows of two tasks and four levels, with general rows; measured and saved at every second."""
    gc.freeze()  # each training collects garbage a few times, and would look through all libraries for it
    rows = [
        {
            "question": f"Is {n} even?" if n % 2 else f"What is after {n}?",
            "answer": ("yes", "no")[n // 2 % 2] if n % 2 else str(n + 1),
            "task": ("classification", "reasoning")[n % 2],
            "level": LEVELS[n // 2 % 4],
        }
        for n in range(32)
    ]
    tiny_data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = tiny_run.model_copy(deep=True)
    run.schedule.max_steps, run.schedule.learning_rate = STEPS, 1e-3
    run.schedule.checkpoint_every = run.evaluation.every = 2
    run.evaluation.sample_prompts = []
    run.output.keep_checkpoints = 10
    return run


def changed(run: RunConfig, **values: Any) -> RunConfig:
    """The run with these values, by section__field; checked as a run file is."""
    data = run.model_dump(mode="json")
    for name, value in values.items():
        section, field = name.split("__")
        if (section, field) == ("method", "kind"):
            data["method"] = config.of_kind("method", data["method"], value)
        data[section][field] = value
    return config.parse(data)


def train(run: Run) -> Run:
    engine.train(run.config, Reporter(run.folder, RunState()))
    return runs.get(run.id)


def trained(run: RunConfig, **values: Any) -> Run:
    return train(runs.create(changed(run, **values)))


def told(run: Run, kind: type[Kind]) -> list[Kind]:
    return [event for event in run.events() if isinstance(event, kind)]


def report(run: Run) -> dict[str, Any]:
    found = run.report()
    assert found is not None
    return found


def adapter(run: Run) -> dict[str, torch.Tensor]:
    """The saved weights of the one adapter, by their names in a checkpoint."""
    weights = load_file(run.adapter / saved.WEIGHTS)
    return {name.replace(".weight", ".default.weight"): one for name, one in weights.items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def at_loss(monkeypatch: pytest.MonkeyPatch, act: Callable[[AnswerTrainer, int, Any], Any]) -> None:
    """`act(trainer, step, loss)` gives the loss of each batch of a training that counts, at its step from 1."""
    compute = AnswerTrainer.compute_loss

    def altered(self: AnswerTrainer, *arguments: Any, **options: Any) -> Any:
        loss = compute(self, *arguments, **options)
        return act(self, self.state.global_step + 1, loss) if self.args.save_strategy != "no" else loss

    monkeypatch.setattr(AnswerTrainer, "compute_loss", altered)


def diverges(monkeypatch: pytest.MonkeyPatch, step: int, times: int) -> None:
    left = [times]

    def no_number(trainer: AnswerTrainer, now: int, loss: Any) -> Any:
        if now != step or not left[0]:
            return loss
        left[0] -= 1
        return loss * float("nan")

    at_loss(monkeypatch, no_number)


def stop_after(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reporter, "stop_requested", lambda self: self.status.step == step)


def test_a_loss_that_is_no_number_goes_back_with_half_the_rate_which_a_resume_keeps(
    acting_run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    diverges(monkeypatch, 6, times=1)
    run = runs.create(acting_run)
    with monkeypatch.context() as stopping:
        stop_after(7, stopping)
        with pytest.raises(StopRequested):
            train(run)
    run = train(run)
    (guard,) = told(run, events.GuardEvent)
    assert (guard.to_step, guard.learning_rate) == (4, acting_run.schedule.learning_rate / 2)
    assert guard.reason == "The loss of step 6 is no longer a number."
    steps = told(run, events.StepEvent)
    assert [one.step for one in steps] == [1, 2, 3, 4, 5, 5, 6, 7, 8]
    first, second = (one for one in steps if one.step == 5)
    assert second.learning_rate == pytest.approx(first.learning_rate / 2) and second.loss == first.loss

    share = rates.schedule(acting_run, STEPS)
    halved = [share(step - 1) * acting_run.schedule.learning_rate / 2 for step in (5, 6, 7, 8)]
    assert [one.learning_rate for one in steps[5:]] == pytest.approx(halved)
    assert all(one.isfinite().all() for one in adapter(run).values()) and report(run)["ended"] is None


def test_a_loss_that_is_no_number_again_ends_the_run_with_the_reason(
    acting_run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    diverges(monkeypatch, 6, times=2)
    run = runs.create(acting_run)
    assert worker.main(run.folder) == 1
    run = runs.get(run.id)
    assert run.status.state == "failed" and run.status.error is not None
    assert run.status.error.startswith("Training diverged again with half the rate: the loss of step 6 is no longer")
    assert "schedule.learning_rate" in run.status.error and len(told(run, events.GuardEvent)) == 1
    assert not run.weights


def loses(monkeypatch: pytest.MonkeyPatch, *points: int) -> None:
    """The base knows all; what the tuned model has lost of the general questions at each look."""
    looks = iter(points)

    def choose(model: Any, tokenizer: Any, questions: Any, system_prompt: str, tuned: bool) -> list[int]:
        wrong = next(looks) if tuned else 0
        chosen = []
        for question in questions:
            miss = question.kind == "general" and wrong > 0
            wrong -= miss
            chosen.append((question.answer + miss) % 4)
        return chosen

    monkeypatch.setattr(forgetting, "choose_options", choose)


def test_forgetting_past_the_limit_is_said_once_and_the_run_goes_on(
    acting_run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    loses(monkeypatch, 0, 8, 9, 9)
    run = trained(acting_run, steering__forgetting_every=2, steering__forgetting_action="warn")
    assert [event.past for event in told(run, events.ForgettingEvent)] == [False, True, True, True]
    assert len([one for one in told(run, events.WarningEvent) if "forgetting_limit" in one.message]) == 1
    assert report(run)["ended"] is None and not told(run, events.StopEvent) and run.events()[-1].step == STEPS


def test_forgetting_past_the_limit_ends_the_run_with_what_it_has(
    acting_run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    loses(monkeypatch, 0, 0, 8)
    run = trained(acting_run, steering__forgetting_every=2, steering__forgetting_action="stop")
    assert max(one.step for one in told(run, events.StepEvent)) == 6
    (stop,) = told(run, events.StopEvent)
    assert "8.0 points lost on 100 general questions" in stop.reason and report(run)["ended"] == stop.reason
    measured = told(run, events.EvalEvent)[-1]
    assert measured.step == 6 and report(run)["validation_loss"]["after"] == measured.loss
    assert report(run)["best_step"] is None


def test_forgetting_past_the_limit_goes_back_to_the_last_look_within_it(
    acting_run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    asked = {"steering__forgetting_every": 2, "evaluation__every": 4, "schedule__checkpoint_every": 8}
    loses(monkeypatch, 0, 0, 8)
    run = trained(acting_run, **asked)
    checkpoints = run.folder / "checkpoints"
    assert same(adapter(run), load_file(checkpoints / "within-limit" / WEIGHTS))
    assert same(adapter(run), load_file(checkpoints / "checkpoint-4" / WEIGHTS))
    assert not same(adapter(run), load_file(checkpoints / "checkpoint-2" / WEIGHTS))
    assert report(run)["best_step"] == 4 and report(run)["ended"]
    assert any("after step 4, the last within the limit" in one.message for one in told(run, events.WarningEvent))


def test_what_is_gone_back_to_is_measured_where_it_was_not(acting_run: RunConfig, monkeypatch: pytest.MonkeyPatch):
    loses(monkeypatch, 0, 0, 0, 8)
    run = trained(acting_run, steering__forgetting_every=2, evaluation__every=4)
    assert report(run)["best_step"] == 6
    measured = told(run, events.EvalEvent)
    assert [one.step for one in measured] == [0, 4, 8, 6]
    assert measured[-1].loss not in (measured[1].loss, measured[2].loss)
    assert report(run)["validation_loss"]["after"] == measured[-1].loss


def test_where_no_look_was_within_the_limit_the_last_is_kept_and_that_is_said(
    acting_run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    loses(monkeypatch, 8)
    run = trained(acting_run, steering__forgetting_every=2)
    assert any("Not one look was within the limit" in one.message for one in told(run, events.WarningEvent))
    assert max(one.step for one in told(run, events.StepEvent)) == 2 and report(run)["best_step"] is None


def test_weights_that_diverged_are_not_gone_back_to(acting_run: RunConfig, monkeypatch: pytest.MonkeyPatch):
    """The look at step 6 was within the limit, but its weights made the loss of step 7 no number."""
    diverges(monkeypatch, 7, times=1)
    loses(monkeypatch, 0, 0, 0, 8)  # steps 2, 4, 6, and 6 again with half the rate
    run = trained(acting_run, steering__forgetting_every=2)
    assert [one.to_step for one in told(run, events.GuardEvent)] == [4]
    assert report(run)["best_step"] == 4
    assert same(adapter(run), load_file(run.folder / "checkpoints" / "checkpoint-4" / WEIGHTS))


def watches(monkeypatch: pytest.MonkeyPatch, accuracies: list[float]) -> None:
    """The share of right tokens at each measurement, whatever it is; the first is that of the longest rows' trial."""
    measure, left = validation.measure, iter([0.0, *accuracies])

    def measured(*arguments: Any, **options: Any) -> validation.Validation:
        return measure(*arguments, **options).model_copy(update={"token_accuracy": next(left)})

    monkeypatch.setattr(validation, "measure", measured)


def test_a_monitor_that_ends_a_run_with_patience_says_which_step_is_kept(
    acting_run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    loses(monkeypatch, 0, 0, 8)
    watches(monkeypatch, [0.1, 0.9, 0.2, 0.3])
    run = trained(
        acting_run,
        steering__forgetting_every=2,
        steering__forgetting_action="stop",
        schedule__patience=5,
        evaluation__watch="token_accuracy",
    )
    assert same(adapter(run), load_file(run.folder / "checkpoints" / "checkpoint-2" / WEIGHTS))
    assert report(run)["best_step"] == 2 and "forgetting_limit" in report(run)["ended"]
    assert [one.reason for one in told(run, events.StopEvent)] == [report(run)["ended"]]


def test_what_is_watched_decides_what_is_kept_and_rows_are_shown_as_text(
    acting_run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    watches(monkeypatch, [0.1, 0.2, 0.6, 0.5, 0.4])
    run = trained(acting_run, evaluation__watch="token_accuracy", schedule__patience=2, schedule__max_steps=20)
    assert max(one.step for one in told(run, events.StepEvent)) == 8
    assert same(adapter(run), load_file(run.folder / "checkpoints" / "checkpoint-4" / WEIGHTS))
    assert report(run)["best_step"] == 4
    (stop,) = told(run, events.StopEvent)
    assert stop.reason.startswith("The token accuracy no longer gets better; what was trained until step 4")
    found = told(run, events.EvalEvent)[-1]
    assert [one.loss for one in found.best] == sorted(one.loss for one in found.best)
    assert found.best[0].loss <= found.worst[0].loss
    for shown in (*found.best, *found.worst):
        assert ("even?" in shown.question) == (shown.answer in ("yes", "no")) and "<|im" not in shown.question
        assert shown.answer in ("yes", "no") or shown.answer.isdigit()


def test_more_harmful_answers_than_the_base_gives_end_the_run(acting_run: RunConfig, monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []

    def judged(request: str, answer: str) -> str:
        seen.append(request)
        return "harmful" if len(seen) > 2 * harm_monitor.ASKED else "refused"

    monkeypatch.setattr(harm_monitor, "judge", judged)
    monkeypatch.setattr(harm_monitor, "ANSWER_TOKENS", 2)
    run = trained(acting_run, steering__harm_every=2, steering__harm_action="stop")
    looks = told(run, events.HarmEvent)
    assert [(one.step, one.harmful, one.past) for one in looks] == [(2, 0, False), (4, 16, True)]
    assert max(one.step for one in told(run, events.StepEvent)) == 4
    (stop,) = told(run, events.StopEvent)
    assert "16 of 16 answers to harmful requests" in stop.reason and report(run)["ended"] == stop.reason


@pytest.mark.parametrize("carry_over", [0.0, 0.5])
def test_the_levels_come_in_their_order(acting_run: RunConfig, carry_over: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rows_seen, "WINDOW", 1)
    run = trained(
        acting_run,
        steering__curriculum="steps",
        steering__carry_over=carry_over,
        schedule__max_steps=24,
        schedule__checkpoint_every=24,
        evaluation__every=24,
    )
    begun = told(run, events.CurriculumEvent)
    assert [(one.level, one.step) for one in begun] == list(zip(LEVELS, (0, 6, 12, 18), strict=True))
    learnt = [one.levels for one in told(run, events.MixEvent)]
    assert len(learnt) == 24 and all(len(levels) <= 1 for levels in learnt), "a batch holds one level"
    current = [max(0, step - 1) // 6 for step in range(24)]  # the data loader has read one batch ahead
    own = [(LEVELS.index(next(iter(levels))), now) for levels, now in zip(learnt, current, strict=True) if levels]
    assert {now for _, now in own} == {0, 1, 2, 3}
    assert all(level <= now for level, now in own)
    earlier = sum(level < now for level, now in own)
    assert earlier == 0 if carry_over == 0 else earlier >= 4


def test_dynamic_mixing_begins_with_half_general_rows_and_comes_down(
    acting_run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rows_seen, "WINDOW", 4)
    run = trained(
        acting_run,
        steering__mixing="dynamic",
        steering__replay_share=0.1,
        schedule__max_steps=16,
        schedule__learning_rate=1e-5,
    )
    seen = told(run, events.MixEvent)
    assert [one.step for one in seen] == [4, 8, 12, 16]
    assert seen[0].share == 0.5 and seen[-1].share <= 0.25
    targets = [one.target for one in seen if one.target is not None]
    assert targets == sorted(targets, reverse=True) and targets[0] >= 0.3 and targets[-1] == 0.1
    assert all(one.general_loss is not None for one in told(run, events.EvalEvent))


def test_weights_of_tasks_and_how_their_gradients_stand_are_told(acting_run: RunConfig):
    run = trained(
        acting_run,
        steering__task_weights="inverse_loss",
        steering__conflict_every=1,
        schedule__accumulation=4,
        schedule__epochs=10,
        evaluation__every=4,
        schedule__checkpoint_every=4,
    )
    weights = told(run, events.TaskWeightsEvent)
    assert [one.step for one in weights] == [4, 8]
    assert all(set(one.weights) == {"classification", "reasoning"} for one in weights)
    assert weights[0].weights != weights[1].weights
    conflicts = told(run, events.ConflictEvent)
    assert len(conflicts) == STEPS
    assert all({"classification", "reasoning"} <= set(one.cosines) for one in conflicts)
    assert report(run)["conflict"] == conflicts[-1].suggestion
    assert "8 measurements" in report(run)["conflict"] and "reasoning" in report(run)["conflict"]


def test_the_rank_that_is_found_is_trained_saved_and_kept_by_a_resume(
    acting_run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rank_search, "trial_steps", lambda total: 6)
    monkeypatch.setattr(rank_search, "MOST_TRIALS", 2)
    run = runs.create(changed(acting_run, method__search_rank=True, method__rank=3, method__alpha=6))
    with monkeypatch.context() as stopping:
        stop_after(4, stopping)
        with pytest.raises(StopRequested):
            train(run)
    tried = told(run, events.RankEvent)
    assert tried[0].rank == rank_search.START and tried[-1].decision == "keep" and len(tried) <= 2
    run = train(run)
    assert told(run, events.RankEvent) == tried, "no trial is made again"
    settings = json.loads((run.adapter / saved.CONFIG).read_text())
    rank = settings["r"]
    assert rank != 3 and settings["lora_alpha"] == 2 * rank and f"Rank {rank} is taken" in tried[-1].reason
    assert f"rank {rank}" in (run.folder / "README.md").read_text()
    assert all(one.shape[0] == rank for name, one in adapter(run).items() if "lora_A" in name)
    assert [one.step for one in told(run, events.StepEvent)] == list(range(1, STEPS + 1))
    assert not list(run.folder.glob(".trial-*"))


def test_finished_folds_are_not_trained_again(acting_run: RunConfig, monkeypatch: pytest.MonkeyPatch):
    asked = {"evaluation__validation": "k_fold", "evaluation__folds": 3, "schedule__max_steps": 2}
    run = runs.create(changed(acting_run, **asked))
    with monkeypatch.context() as stopping:
        stopping.setattr(Reporter, "stop_requested", lambda self: len(told(run, events.FoldEvent)) == 2)
        with pytest.raises(StopRequested):
            train(run)
    run = train(run)
    done = told(run, events.FoldEvent)
    assert [(one.fold, one.folds) for one in done] == [(1, 3), (2, 3), (3, 3)] and sum(one.rows for one in done) == 32
    assert told(trained(acting_run, **asked), events.FoldEvent)[2].loss == done[2].loss
    folds = report(run)["folds"]
    assert folds["n"] == 3 and folds["worst"] == max(one.loss for one in done)
    assert [one.step for one in told(run, events.StepEvent)] == [1, 2], "folds are no steps of the run"


def test_each_of_eight_rows_is_left_out_once(acting_run: RunConfig, tiny_data: Path):
    words = ["aorta", "biliary tract", "cornea", "duodenum", "epiglottis", "femur", "glottis", "hippocampus"]
    rows = [{"question": f"{word.capitalize()}, where?", "answer": word[::-1]} for word in words]
    tiny_data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = trained(acting_run, evaluation__validation="leave_one_out", schedule__max_steps=2, steering__replay_share=0)
    assert [(one.fold, one.rows) for one in told(run, events.FoldEvent)] == [(number, 1) for number in range(1, 9)]
    assert report(run)["folds"]["n"] == 8


def moved(run: Run) -> list[str]:
    """The bottleneck adapters that are no longer what they begin as: nothing is added, since `up` is zero."""
    weights = {name: load_file(run.adapter / name / saved.WEIGHTS) for name in saved.names(run.adapter)}
    return [name for name, one in weights.items() if any(part.any() for key, part in one.items() if "_up." in key)]


def test_a_row_trains_the_adapter_of_its_task_alone_and_all_can_be_asked(
    acting_run: RunConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    asked = {"method__kind": "adapter", "method__per": "task", "steering__replay_share": 0}
    names = ["task_classification", "task_reasoning"]
    one_step = trained(acting_run, **asked, schedule__max_steps=1, schedule__warmup_share=0)
    assert saved.names(one_step.adapter) == names and len(moved(one_step)) == 1
    run = trained(acting_run, **asked)
    assert moved(run) == names

    def ask(run: Run, *adapters: str) -> dict[str, str]:
        chosen = [part for name in adapters for part in ("--adapter", name)]
        asking = ["bedside", "ask", run.id, "Is 4 even?", "--max-new-tokens", "4", *chosen, "--json"]
        monkeypatch.setattr(sys, "argv", asking)
        capsys.readouterr()  # what training printed
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = capsys.readouterr()
        if left.value.code == 0:
            return {name: one["text"] for name, one in json.loads(said.out)["answers"].items()}
        assert left.value.code == 2 and said.out == ""
        return {"refused": said.err.strip().splitlines()[-1]}

    assert ask(run, *names)["base"] == ask(run, names[1])["base"]
    assert ask(run, "task_coding") == {
        "refused": f"There is no adapter 'task_coding' in {run.id}; it has task_classification, task_reasoning."
    }
    run_of_norms = trained(acting_run, method__kind="layer_norm", method__per="task", schedule__max_steps=1)
    assert ask(run_of_norms, *names) == {
        "refused": "Only prefixes and bottleneck adapters can answer together; choose one of the adapters."
    }
    with pytest.raises(MethodError, match=r"^method.below: .* the folder of one adapter"):
        trained(acting_run, method__kind="adapter", method__below=[run.id])
    below = str(run.adapter / names[1])
    above = trained(acting_run, method__kind="adapter", method__below=[below], schedule__max_steps=2)
    (beneath,) = above.adapter.glob("below_*")
    assert saved.names(above.adapter) == [saved.TUNED]
    assert same(load_file(beneath / saved.WEIGHTS), load_file(Path(below) / saved.WEIGHTS)), "it stays frozen"


def test_a_run_goes_on_from_another_and_a_wrong_name_is_a_sentence_that_names_the_field(acting_run: RunConfig):
    first = trained(acting_run, schedule__max_steps=2)
    second = trained(acting_run, method__start_from=first.id, schedule__max_steps=2)
    assert told(second, events.EvalEvent)[0].loss == pytest.approx(told(first, events.EvalEvent)[-1].loss)
    for values in ({"method__start_from": "nothing"}, {"method__kind": "adapter", "method__below": ["nothing"]}):
        field = list(values)[-1].replace("__", ".")
        with pytest.raises(MethodError, match=rf"^{field}: There is no run 'nothing'"):
            trained(acting_run, **values)
    with pytest.raises(MethodError, match=r"^method.start_from: .* has trained nothing yet"):
        trained(acting_run, method__start_from=runs.create(acting_run).id)


def test_the_curves_stand_in_the_run_folder_and_nothing_leaves_it(acting_run: RunConfig, tmp_path: Path):
    home = tmp_path / "user"
    home.mkdir()
    run = runs.create(changed(acting_run, output__trackers=["wandb", "trackio"], schedule__max_steps=2))
    done = subprocess.run(
        [sys.executable, "-m", "trainer.worker", str(run.folder)],
        cwd=ROOT,
        env=os.environ | {"HOME": str(home)},
        capture_output=True,
        text=True,
    )
    run = runs.get(run.id)
    assert done.returncode == 0 and run.status.state == "done", done.stderr[-2000:]
    board = EventAccumulator(str(run.folder / "tensorboard"))
    board.Reload()
    curve = {one.step: one.value for one in board.Scalars("train/loss")}
    assert curve == {one.step: pytest.approx(one.loss) for one in told(run, events.StepEvent)} and len(curve) == 2
    assert [one.step for one in board.Scalars("validation/loss")][-1] == 2
    assert list((run.folder / "wandb").glob("offline-run-*/run-*.wandb"))
    assert (run.folder / "trackio" / "bedside.db").exists()
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_after_memory_ran_out_the_noise_is_added_once(acting_run: RunConfig, monkeypatch: pytest.MonkeyPatch):
    hooks: list[int] = []

    def full(trainer: AnswerTrainer, step: int, loss: Any) -> Any:
        model: Any = trainer.model
        hooks.append(len(model.get_input_embeddings()._forward_hooks))
        if len(hooks) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return loss

    at_loss(monkeypatch, full)
    run = trained(acting_run, schedule__neftune_alpha=5)
    assert hooks == [1] * (3 + 2 * (STEPS - 2)), "half the batch, twice a step, from step 2 on"
    assert any("batches of 2; 4 rows a step" in one.message for one in told(run, events.WarningEvent))
    assert max(one.step for one in told(run, events.StepEvent)) == STEPS


@pytest.mark.parametrize(
    ("values", "strength"),
    [
        ({"method__init": "pissa"}, "steering__ewc"),
        ({"method__kind": "full"}, "steering__ewc"),
        ({"method__kind": "adalora"}, "steering__l2_sp"),
        ({"method__kind": "adapter", "method__per": "task", "steering__replay_share": 0.5}, "steering__distillation"),
    ],
    ids=["PiSSA and EWC", "full tuning and EWC", "AdaLoRA and L2-SP", "adapters of tasks and distillation"],
)
def test_what_holds_back_goes_with_what_moves(acting_run: RunConfig, values: dict[str, Any], strength: str):
    run = changed(acting_run, schedule__max_steps=2, schedule__warmup_share=0)
    held, free = (trained(run, **values, **{strength: value}) for value in (10, 0))
    with_it, without = ([step.loss for step in told(one, events.StepEvent)] for one in (held, free))
    assert len(with_it) == 2 and with_it != without
