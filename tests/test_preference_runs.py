"""Runs that learn from preferences, from the rows to the report, on a tiny model."""

import gc
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from trainer import config, engine, events, runs
from trainer.data.records import DataError
from trainer.data.tokenised import tokenise
from trainer.features import METHODS, Feature, switched_on
from trainer.jobs import RunState
from trainer.objectives import reference
from trainer.objectives.preference_trainer import PreferenceTrainer
from trainer.reporting import Reporter, StopRequested
from trainer.runs import Run
from trainer.sections import RunConfig
from trainer.tuned import Tuned

STEPS = 6


@pytest.fixture(scope="module", autouse=True)
def without_garbage() -> Iterator[None]:
    gc.freeze()  # each training collects garbage a few times, and would look through all libraries for it
    yield
    gc.unfreeze()


@pytest.fixture
def pairs_run(tiny_run: RunConfig, tiny_data: Path) -> RunConfig:
    """Six steps on four pairs to each of ten questions; `yes` is preferred to `no`."""
    rows = [
        {
            "prompt": f"What is {n // 4}?",
            "chosen": f"{'abcd'[n % 4]} yes",
            "rejected": f"{'abcd'[n % 4]} no",
            "task": ("classification", "reasoning")[n // 4 % 2],
        }
        for n in range(40)
    ]
    return with_rows(tiny_run, tiny_data, rows)


def with_rows(run: RunConfig, path: Path, rows: list[dict[str, Any]]) -> RunConfig:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    changed = run.model_copy(deep=True)
    changed.schedule.max_steps, changed.schedule.checkpoint_every = STEPS, 3
    changed.evaluation.every = changed.evaluation.sample_every = 3
    changed.evaluation.sample_prompts = []
    changed.steering.replay_share = 0.0
    return changed


def with_objective(run: RunConfig, kind: str, **values: Any) -> RunConfig:
    return config.parse({**run.model_dump(mode="json"), "objective": {"kind": kind, **values}})


def train(run: Run) -> Run:
    engine.train(run.config, Reporter(run.folder, RunState()))
    return runs.get(run.id)


def told(run: Run, kind: type) -> list[Any]:
    return [event for event in run.events() if isinstance(event, kind)]


def losses(run: Run) -> dict[int, float]:
    return {event.step: event.loss for event in told(run, events.StepEvent)}


@pytest.mark.parametrize(
    ("kind", "first_loss"),
    # Where the model is its reference, and for KTO as many good rows as bad ones: -log sigmoid(0), and 1 - sigmoid(0).
    [("dpo", math.log(2)), ("kto", 0.5), ("orpo", None), ("cpo", None)],
)
def test_each_objective_learns_what_is_preferred(pairs_run: RunConfig, kind: str, first_loss: float | None):
    run = train(runs.create(with_objective(pairs_run, kind)))
    steps, pairs = told(run, events.StepEvent), told(run, events.PreferenceEvent)
    assert [event.step for event in steps] == list(range(1, STEPS + 1)) and steps[-1].tokens_per_second > 0
    if first_loss is not None:
        assert steps[0].loss == pytest.approx(first_loss, abs=1e-4)
        assert pairs[0].margin == pytest.approx(0, abs=1e-4)
    assert pairs[-1].margin > pairs[0].margin and pairs[-1].accuracy > 0.5
    before, *_, after = told(run, events.EvalEvent)
    # The columns of the steps are the same weights' as those measured on the whole validation set.
    assert after.loss < before.loss and after.answer_accuracy == 1.0 and after.token_accuracy is None
    assert set(after.tasks) <= {"classification", "reasoning"} and after.worst[0].question.startswith("What is")
    report: Any = run.report()
    assert report["pairs_won"]["after"]["score"] == 1.0 and report["pairs_won"]["after"]["n"] == after.n
    assert "after (n =" in (run.folder / "README.md").read_text()
    assert not any("ref" in name for name in load_file(run.adapter / "adapter_model.safetensors")), "one adapter alone"
    assert Tuned(run).adapters == ["tuned"]


def test_a_run_that_is_stopped_goes_on_to_the_same_losses_and_asks_its_reference_once(
    pairs_run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    asked = with_objective(pairs_run, "dpo", sft_weight=0.5)
    whole = train(runs.create(asked))
    cut = runs.create(asked)
    with monkeypatch.context() as stopping:
        stopping.setattr(Reporter, "stop_requested", lambda self: self.status.step == 3)
        with pytest.raises(StopRequested):
            train(cut)
    assert max(losses(cut)) == 3
    kept = cut.folder / "checkpoints" / reference.FILE
    written, stages = kept.stat().st_mtime_ns, len(told(cut, events.ProgressEvent))
    again = train(cut)
    assert losses(again) == losses(whole)
    assert kept.stat().st_mtime_ns == written
    # Only trying the longest rows asks it about those.
    later = [event for event in told(again, events.ProgressEvent)[stages:] if event.stage == "asking the reference"]
    assert {event.total for event in later} <= {2 * (pairs_run.schedule.batch_size + 4)}


def test_the_reference_is_the_base_also_after_steps(pairs_run: RunConfig):
    before = train(runs.create(with_objective(pairs_run, "dpo")))
    each_step = train(runs.create(with_objective(pairs_run, "dpo", precompute_reference=False)))
    # Asked in each step, with the adapter that has moved switched off, it says what the base said before the first.
    assert losses(each_step) == pytest.approx(losses(before), abs=1e-4)
    assert not (each_step.folder / "checkpoints" / reference.FILE).exists()
    assert losses(before)[STEPS] < math.log(2) - 0.01, "the model has moved away from it"


@pytest.mark.parametrize("method", ["lora", "full"])
def test_where_no_switch_gives_it_back_the_reference_is_the_model_as_it_began(
    pairs_run: RunConfig, finished_run: Run, method: str
):
    if method == "full":
        pairs_run = config.with_values(pairs_run, {"method.kind": "full"})
        pairs_run.schedule.learning_rate = 1e-3
    else:
        pairs_run.method.start_from = finished_run.id
    asked = with_objective(pairs_run, "dpo")
    run = train(runs.create(asked))
    pairs = told(run, events.PreferenceEvent)
    assert pairs[0].margin == pytest.approx(0, abs=1e-4) and losses(run)[1] == pytest.approx(math.log(2), abs=1e-4)
    assert pairs[-1].margin > 0.01
    begins = Tuned(finished_run)
    model = begins.side(tuned=method == "lora").eval()
    prepared = tokenise(asked, begins.tokenizer)
    asker = reference.Asker(model, begins.tokenizer.pad_token_id, 4)
    answers = reference.Answers(prepared.train, "chosen_ids")
    if method == "full":
        with model.disable_adapter():
            expected = asker.ask(answers)
    else:
        expected = asker.ask(answers)
    with safe_open(run.folder / "checkpoints" / reference.FILE, "pt") as file:
        assert file.get_tensor("train/chosen").tolist() == pytest.approx(expected.tolist(), abs=1e-3)


def test_a_loss_that_is_no_number_and_memory_that_runs_out_are_got_over(
    pairs_run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    compute, left = PreferenceTrainer.compute_loss, ["no number", "no memory"]

    def altered(self: PreferenceTrainer, *arguments: Any, **options: Any) -> Any:
        loss, counts = compute(self, *arguments, **options), self.args.save_strategy != "no"
        if counts and self.state.global_step == 3 and left:
            if left.pop() == "no memory":
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return loss * float("nan")
        return loss

    monkeypatch.setattr(PreferenceTrainer, "compute_loss", altered)
    run = train(runs.create(with_objective(pairs_run, "dpo")))
    assert not left and run.status.state == "done" and max(losses(run)) == STEPS
    assert any("batches of 2; 4 rows a step" in one.message for one in told(run, events.WarningEvent))
    assert [one.to_step for one in told(run, events.GuardEvent)] == [0]
    # From its beginning, the reference is the same: the model does not differ from it.
    again = [event for event in told(run, events.PreferenceEvent) if event.step == 1]
    assert len(again) == 2 and [one.margin for one in again] == pytest.approx([0, 0], abs=1e-4)


def test_rows_without_pairs_are_told_and_where_there_are_none_the_run_does_not_begin(
    tiny_run: RunConfig, tiny_data: Path
):
    def tokenised(kind: str, rows: list[dict[str, Any]]) -> Any:
        asked = with_objective(with_rows(tiny_run, tiny_data, rows), kind)
        asked.steering.replay_share = 0.1
        return tokenise(asked, tokenizer_of(tiny_run))

    plain = [{"question": f"Is {n} even?", "answer": "yes"} for n in range(20)]
    with pytest.raises(DataError) as caught:
        tokenised("dpo", plain)
    assert "objective dpo needs pairs, and there are none to train on: 18 of 18 rows have no rejected answer" in str(
        caught.value
    )
    labels = [{"prompt": f"What is {n}?", "completion": "yes", "label": True} for n in range(20)]
    with pytest.raises(DataError, match="kto needs good and bad answers, and of those to train on all 18 are good"):
        tokenised("kto", labels)
    pairs = [{"prompt": f"What is {n}?", "chosen": "yes", "rejected": "no"} for n in range(20)]
    same = [{"prompt": "What else?", "chosen": "y" * 1000 + "es", "rejected": "y" * 1000 + "no"}]
    found = tokenised("orpo", pairs + same)
    assert len(found.train) + len(found.validation) == 20
    assert any(
        "1 of 21 rows have two answers that are the same within it; they are left out" in one for one in found.warnings
    )
    assert any("objective orpo passes steering.replay_share over" in one for one in found.warnings)


def tokenizer_of(run: RunConfig) -> Any:
    from trainer import models

    return models.load_tokenizer(run.model.name, None)


def _allowed() -> list[tuple[str, Feature]]:
    found = []
    for kind in ("dpo", "kto", "orpo", "cpo"):
        for method in METHODS:
            objective = Feature(kind, "objective.kind", {"objective.kind": kind}, lambda run: True)
            try:
                config.parse(switched_on(method, objective).model_dump(mode="json"))
            except config.ConfigError:
                continue
            found.append((kind, method))
    return found


@pytest.mark.soak
@pytest.mark.parametrize(("kind", "method"), _allowed(), ids=lambda one: one if isinstance(one, str) else one.name)
def test_every_method_learns_from_preferences(pairs_run: RunConfig, kind: str, method: Feature):
    data = with_objective(pairs_run, kind).model_dump(mode="json")
    data["method"] = switched_on(method).method.model_dump(mode="json")
    run = train(runs.create(config.parse(data)))
    pairs = told(run, events.PreferenceEvent)
    assert pairs[-1].margin != pairs[0].margin and run.report() is not None
    if kind == "dpo":
        begins = 0 if reference.is_base(run.config) and method.settings["method.kind"] not in _MOVED else None
        assert begins is None or pairs[0].margin == pytest.approx(0, abs=1e-3)


_MOVED = ("prefix", "prompt", "p_tuning")
"""Virtual tokens change what the model says before the first step; the reference is the base without them."""


@pytest.mark.soak
def test_qlora_learns_from_pairs_on_a_cpu(pairs_run: RunConfig):
    pairs_run.model.quantization, pairs_run.hardware.precision = "nf4", "auto"
    run = train(runs.create(with_objective(pairs_run, "dpo")))
    pairs = told(run, events.PreferenceEvent)
    assert pairs[0].margin == pytest.approx(0, abs=0.02) and pairs[-1].margin > 0.01
