"""Adversarial training in whole runs on a tiny model: trained, stopped, resumed, with what else acts on a run."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import pytest

from trainer import config, engine, events, runs
from trainer.reporting import Reporter, StopRequested
from trainer.runs import Run, RunState
from trainer.sections import RunConfig

STEPS = 4
KINDS = ["style", "irrelevant_context", "paraphrase"]


@pytest.fixture
def small_run(tiny_run: RunConfig, tiny_data: Path) -> RunConfig:
    """Four steps of two batches, on rows of two tasks whose weights are learnt, with dropout and general rows."""
    gc.freeze()
    rows = [
        {
            "question": f"Is {n} even?" if n % 2 else f"What is after {n}?",
            "answer": ("yes", "no")[n // 2 % 2] if n % 2 else str(n + 1),
            "task": ("classification", "reasoning")[n % 2],
        }
        for n in range(32)
    ]
    tiny_data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = tiny_run.model_copy(deep=True)
    run.schedule.max_steps, run.schedule.accumulation, run.schedule.batch_size = STEPS, 2, 4
    run.schedule.checkpoint_every = run.evaluation.every = 2
    run.steering.task_weights, run.steering.replay_share = "uncertainty", 0.25
    run.evaluation.sample_prompts = []
    return run


def train(run: Run) -> Run:
    engine.train(run.config, Reporter(run.folder, RunState()))
    return runs.get(run.id)


def with_section(run: RunConfig, **adversarial: Any) -> RunConfig:
    data = run.model_dump(mode="json")
    data["adversarial"] |= adversarial
    return config.parse(data)


def losses(run: Run) -> list[float]:
    return [event.loss for event in run.events() if isinstance(event, events.StepEvent)]


def rows_seen(run: Run) -> int:
    return sum(event.rows for event in run.events() if isinstance(event, events.MixEvent))


def test_an_attack_of_no_size_is_the_plain_run_and_every_row_counts_once(small_run: RunConfig):
    plain = train(runs.create(small_run))
    for kind in ("fgm", "freelb"):
        attacked = train(runs.create(with_section(small_run, embedding=kind, epsilon=0.0)))
        assert losses(attacked) == pytest.approx(losses(plain), rel=1e-5)
        assert rows_seen(attacked) == rows_seen(plain) == STEPS * 8
    fgm = train(runs.create(with_section(small_run, embedding="fgm", epsilon=0.02)))
    assert losses(fgm)[0] > losses(plain)[0], "the mean of the clean loss and of that under the attack"


def test_everything_at_once_resumes_to_the_same_losses(small_run: RunConfig, monkeypatch: pytest.MonkeyPatch):
    asked = with_section(small_run, perturbations=KINDS, consistency=1.0, embedding="freelb", embedding_steps=2)
    whole = train(runs.create(asked))
    assert len(losses(whole)) == STEPS
    cut = runs.create(asked)
    with monkeypatch.context() as stopping:
        stopping.setattr(Reporter, "stop_requested", lambda self: self.status.step == 2)
        with pytest.raises(StopRequested):
            train(cut)
    assert losses(train(cut)) == losses(whole)
    told = json.loads((whole.folder / "data" / "manifest.json").read_text())
    assert told["perturbed_rows"] > 20
    assert losses(train(runs.create(with_section(small_run, perturbations=KINDS)))) != losses(whole)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"adversarial": {"embedding": "fgm"}, "schedule": {"mixup_alpha": 0.2}}, "adversarial.embedding"),
        ({"adversarial": {"embedding": "freelb"}, "steering": {"gradient_surgery": "pcgrad"}}, "adversarial.embedding"),
        ({"adversarial": {"embedding": "fgm"}, "steering": {"conflict_every": 5}}, "steering.conflict_every"),
        ({"adversarial": {"consistency": 1}}, "adversarial.consistency"),
        (
            {"adversarial": {"consistency": 1, "perturbations": ["style"]}, "schedule": {"mixup_alpha": 0.2}},
            "adversarial.consistency",
        ),
    ],
)
def test_what_cannot_go_together_is_said_with_the_way_out(values: dict[str, Any], field: str):
    with pytest.raises(config.ConfigError) as refused:
        config.parse(values)
    (fault,) = refused.value.faults
    assert fault.field == field and ("leave" in fault.message or "name adversarial.perturbations" in fault.message)


def test_off_is_a_word():
    assert RunConfig.model_validate({"adversarial": {"embedding": False}}).adversarial.embedding == "off"
