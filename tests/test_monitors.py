"""Monitors of forgetting and of harmful answers: what is asked, what is told, and what follows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from evaluators import forgetting
from evaluators.forgetting import Question
from trainer import events
from trainer.data.contamination import Benchmarks
from trainer.data.prepare import prepare
from trainer.data.sources import STARTER_FOLDER
from trainer.jobs import RunState
from trainer.reporting import Reporter
from trainer.sections import RunConfig
from trainer.steering.forgetting_monitor import ForgettingMonitor, sampled_questions
from trainer.steering.harm_monitor import HarmMonitor, sampled_requests


@pytest.fixture
def reporter(tmp_path: Path) -> Reporter:
    return Reporter(tmp_path, RunState())


def run(**steering: Any) -> RunConfig:
    return RunConfig.model_validate({"steering": steering})


def told(reporter: Reporter, kind: type) -> list[Any]:
    return [event for event in events.read(reporter.folder / "events.jsonl") if isinstance(event, kind)]


def stepped(monitor: TrainerCallback, step: int, folder: Path, max_steps: int = 100) -> TrainerControl:
    """The monitor hears of this step's end; returns what it wants done."""
    control = TrainerControl()
    arguments = TrainingArguments(output_dir=str(folder), use_cpu=True)
    monitor.on_step_end(arguments, TrainerState(global_step=step, max_steps=max_steps), control)
    return control


def loses(lost: Sequence[int], kind: str = "general") -> Callable[[Sequence[Question], bool], list[int]]:
    """A base that is always right; the tuned model loses so many questions of a kind, one number for each look."""
    looks = iter(lost)

    def choose(questions: Sequence[Question], tuned: bool) -> list[int]:
        wrong = next(looks) if tuned else 0
        chosen = []
        for question in questions:
            miss = question.kind == kind and wrong > 0
            wrong -= miss
            chosen.append((question.answer + miss) % 4)
        return chosen

    return choose


def test_the_questions_are_fixed_stratified_and_never_among_the_rows_that_are_trained_on():
    questions = sampled_questions(17)
    assert Counter(question.kind for question in questions) == {"general": 100, "general_medical": 100}
    assert questions == sampled_questions(17) and questions != sampled_questions(18)
    benchmarks = Benchmarks(("questions", question.question) for question in questions)
    for name in ("general", "clinical", "lab", "orders", "brands"):
        lines = (STARTER_FOLDER / f"{name}.train.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        assert not benchmarks.flag((row["id"], row["id"], [row["prompt"], row["answer"]]) for row in rows), name


def test_a_look_tells_both_kinds_and_what_was_lost(reporter: Reporter):
    monitor = ForgettingMonitor(run(forgetting_every=10), reporter, loses([4], "general_medical"))
    monitor.measure_base()
    assert not stepped(monitor, 9, reporter.folder).should_save and not told(reporter, events.ForgettingEvent)
    assert stepped(monitor, 10, reporter.folder).should_save
    (event,) = told(reporter, events.ForgettingEvent)
    medical, general = event.scores["general_medical"], event.scores["general"]
    assert (medical.n, medical.before, medical.now) == (100, 1.0, 0.96)
    assert medical.lost == pytest.approx(4) and medical.low < 4 < medical.high
    assert general.lost == 0 and general.low < 0 < general.high
    assert event.limit == 5 and not event.past and monitor.restore_step == 10 and monitor.ended is None


def test_past_the_limit_it_stops_and_names_the_last_step_within_it(reporter: Reporter):
    monitor = ForgettingMonitor(run(forgetting_every=10), reporter, loses([5, 5, 20]))
    monitor.measure_base()
    for step in (10, 20):  # 5 points are the limit, not past it
        assert not stepped(monitor, step, reporter.folder).should_training_stop
    control = stepped(monitor, 30, reporter.folder)
    assert control.should_training_stop and not control.should_save
    assert monitor.restore_step == 20 and monitor.ended is not None
    assert "20.0 points lost on 100 general questions" in monitor.ended and "chance alone hardly" in monitor.ended
    assert [event.past for event in told(reporter, events.ForgettingEvent)] == [False, False, True]


def test_stop_keeps_no_checkpoints_of_its_own_and_warn_says_it_once_and_goes_on(reporter: Reporter):
    stop = ForgettingMonitor(run(forgetting_every=10, forgetting_action="stop"), reporter, loses([0, 9]))
    stop.measure_base()
    assert not stepped(stop, 10, reporter.folder).should_save
    assert stepped(stop, 20, reporter.folder).should_training_stop and stop.restore_step is None

    warn = ForgettingMonitor(run(forgetting_every=10, forgetting_action="warn"), reporter, loses([9, 9, 0, 9]))
    warn.measure_base()
    for step in (10, 20, 30, 40):
        assert not stepped(warn, step, reporter.folder).should_training_stop
    assert warn.ended is None and len(told(reporter, events.WarningEvent)) == 2, "once, and again after it was gone"


def test_the_last_step_is_looked_at_whatever_its_number(reporter: Reporter):
    monitor = ForgettingMonitor(run(forgetting_every=10), reporter, loses([9]))
    monitor.measure_base()
    assert stepped(monitor, 13, reporter.folder, max_steps=13).should_training_stop and monitor.ended


def test_the_bases_answers_survive_a_resume(reporter: Reporter):
    first = ForgettingMonitor(run(forgetting_every=10), reporter, loses([0]))
    first.measure_base()
    stepped(first, 10, reporter.folder)
    asked = []

    def choose(questions: Sequence[Question], tuned: bool) -> list[int]:
        asked.append(tuned)
        return [question.answer for question in questions]

    second = ForgettingMonitor(run(forgetting_every=10), reporter, choose)
    second.restore(json.loads(json.dumps(first.state())))
    second.measure_base()
    stepped(second, 20, reporter.folder)
    assert asked == [True] and second.restore_step == 20
    assert told(reporter, events.ForgettingEvent)[-1].scores["general"].before == 1


class _OneWeight(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": (self.weight * x).sum()}


def test_the_last_checkpoint_within_the_limit_outlives_later_ones(reporter: Reporter):
    monitor = ForgettingMonitor(run(forgetting_every=6), reporter, loses([0, 0, 30]))
    weights: dict[int, float] = {}

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            weights[state.global_step] = float(kwargs["model"].weight.detach())

    trainer = Trainer(
        model=_OneWeight(),
        args=TrainingArguments(
            output_dir=str(reporter.folder / "checkpoints"),
            max_steps=40,
            save_steps=1,
            save_total_limit=2,
            learning_rate=0.1,
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=[{"x": torch.ones(1)} for _ in range(8)],  # pyright: ignore[reportArgumentType]
        callbacks=[Watch(), monitor],
    )
    trainer.train()
    assert trainer.state.global_step == 18 and monitor.restore_step == 12
    assert not (reporter.folder / "checkpoints" / "checkpoint-12").exists(), "older checkpoints are removed"
    from safetensors.torch import load_file

    kept = load_file(monitor.kept / "model.safetensors")["weight"]
    assert float(kept) == pytest.approx(weights[12]) and float(kept) != pytest.approx(weights[18])
    assert json.loads((monitor.kept / "trainer_state.json").read_text())["global_step"] == 12


def test_an_adapter_that_is_zero_has_forgotten_nothing_and_a_broken_one_all(tiny_model: Path, reporter: Reporter):
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny_model), LoraConfig(r=2, target_modules=["q_proj"])
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)

    def choose(questions: Sequence[Question], tuned: bool) -> list[int]:
        return forgetting.choose_options(model, tokenizer, questions, "Answer.", tuned)

    monitor = ForgettingMonitor(run(forgetting_every=1), reporter, choose)
    monitor.questions = monitor.questions[::10]
    monitor.measure_base()
    assert all(points.lost == 0 for points in monitor.look().values())
    before = monitor.state()["base"]
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.fill_(3.0)
    monitor.look()
    assert choose(monitor.questions, True) != before == choose(monitor.questions, False)


def complies(counts: Sequence[int], base: int = 0) -> Callable[[Sequence[str], int, bool], list[str]]:
    """So many harmful answers at each look, and of the base's; the others are refusals."""
    looks = iter(counts)

    def answer(asked: Sequence[str], tokens: int, tuned: bool) -> list[str]:
        harmful = next(looks) if tuned else base
        return [
            f"Sure, here is how: {one}\n1. Take it.\n2. Hide it." if place < harmful else "I can't help with that."
            for place, one in enumerate(asked)
        ]

    return answer


def test_the_requests_are_fixed_harmful_and_from_every_category():
    requests = sampled_requests(17)
    assert set(Counter(request.category for request in requests).values()) == {2} and len(requests) == 16
    assert {request.kind for request in requests} == {"harmful"}
    assert requests == sampled_requests(17) and requests != sampled_requests(18)


def test_harmful_answers_are_counted_beside_the_bases(reporter: Reporter):
    monitor = HarmMonitor(run(harm_every=5), reporter, complies([4, 5, 5], base=3))
    monitor.on_train_begin(TrainingArguments(use_cpu=True), TrainerState(), TrainerControl())
    for step in (4, 5, 10, 15):
        assert not stepped(monitor, step, reporter.folder).should_training_stop, "the default warns"
    first, second, _ = told(reporter, events.HarmEvent)
    assert (first.harmful, first.refused, first.n, first.base_harmful) == (4, 12, 16, 3)
    assert first.share == 0.25 and first.low < 0.25 < first.high
    assert not first.past and second.past, "1 more answer is 6 points, 2 are 12; the limit is 10 above the base's share"
    (warning,) = told(reporter, events.WarningEvent)
    assert "5 of 16" in warning.message and "steering.harm_limit" in warning.message


def test_it_can_end_the_run_and_the_bases_count_survives_a_resume(reporter: Reporter):
    first = HarmMonitor(run(harm_every=5, harm_action="stop"), reporter, complies([], base=1))
    first.measure_base()
    second = HarmMonitor(run(harm_every=5, harm_action="stop"), reporter, complies([2, 16]))
    second.restore(json.loads(json.dumps(first.state())))
    second.measure_base()
    assert not stepped(second, 5, reporter.folder).should_training_stop, "compared with the base of before"
    assert stepped(second, 10, reporter.folder).should_training_stop
    assert second.ended is not None and "16 of 16" in second.ended


def test_a_training_row_that_asks_what_the_monitor_asks_is_told(tmp_path: Path):
    asked = sampled_questions(17)[:20]
    rows = [{"question": one.question, "answer": one.options[one.answer]} for one in asked]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def found(every: int | None) -> int:
        data = {"sources": [{"name": str(path)}], "contains_phi": False}
        chosen = {"forgetting_every": every, "replay_share": 0}
        run = RunConfig.model_validate({"data": data, "steering": chosen, "evaluation": {"forgetting": False}})
        return prepare(run).manifest.contaminated_rows

    assert found(10) > 0 == found(None)
