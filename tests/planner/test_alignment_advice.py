"""Which alignment is chosen by what data there is; its values go together, and go on from the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assistant.planner.advice import advise
from assistant.planner.advice_alignment import align, choose
from assistant.planner.advice_models import Reason
from assistant.planner.answers import Answers
from trainer import runs
from trainer.combinations import faults
from trainer.data.rows import Message, Row
from trainer.hardware import Machine
from trainer.jobs import RunError
from trainer.method_sections import AdapterMethod, FullMethod, LoraMethod, PrefixMethod, PTuningMethod
from trainer.objective_sections import DpoObjective, GrpoObjective, KtoObjective, RewardObjective
from trainer.review import preferences
from trainer.review.preference_data import PreferenceData, ReaderAgreement
from trainer.review.preferences import Saved
from trainer.runs import Run
from trainer.sections import RunConfig

CPU = Machine(cpu_name="two cores", cores=2, memory_gib=16, cpu_bf16=True)


def said(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]


def data(pairs: int = 40, labels: int = 0, differ: int = 0, doubly_read: int = 0, wrong: float | None = None) -> Saved:
    asked = [[{"role": "user", "content": f"Question {number}?"}] for number in range(max(pairs, labels))]
    made = PreferenceData(
        source="votes of ward",
        pairs=[Row(prompt=one, chosen=said("Rest."), rejected=said("Run.")) for one in asked[:pairs]],
        labels=[Row(prompt=one, completion=said("Rest."), label=n % 3 > 0) for n, one in enumerate(asked[:labels])],
        left_out=[],
        agreement=ReaderAgreement(doubly_read=doubly_read, differ=differ, wrong_pairs=wrong),
    )
    return preferences.save(made, "ward")


def run(method: Any = None, **settings: Any) -> Run:
    """A run with something trained in it, as far as a plan looks."""
    config = RunConfig()
    config.method = method or LoraMethod(rank=8, alpha=16)
    for name, value in settings.items():
        section, _, field = name.partition("__")
        setattr(getattr(config, section), field, value)
    made = runs.create(config)
    folder = made.folder / ("model" if config.method.kind == "full" else "adapter")
    folder.mkdir()
    (folder / "adapter.safetensors").write_bytes(b"")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 16, "lora_alpha": 32}))
    return runs.get(made.id)


def why(reasons: list[Reason], field: str) -> Reason:
    (found,) = [one for one in reasons if one.field == field]
    return found


def test_pairs_and_a_run_to_start_from_are_dpo_on_its_adapter():
    ward, tuned = data(40), run()
    config, reasons = align(ward, tuned)
    assert config.objective == DpoObjective(sft_weight=1.0) and config.method.start_from == tuned.id
    assert config.data.sources[0].name == str(ward.pairs)
    assert "40 pairs of a better and a worse answer" in why(reasons, "objective.kind").why
    assert why(reasons, "objective.kind").source == "Rafailov et al. 2023; lecture L3.4"
    assert why(reasons, "data.sources").why == "ward-v1: 40 pairs, from votes of ward."
    assert config.output.name == "run dpo" and faults(config) == []
    # Every reason tells the value that stands in the file.
    for one in reasons:
        section, _, field = one.field.partition(".")
        value = getattr(getattr(config, section), field)
        assert one.value == ([source.name for source in value] if field == "sources" else value), one.field


def test_the_rate_is_a_tenth_of_the_usual_and_a_batch_half():
    embedded, _ = align(data(), run())
    assert embedded.schedule.learning_rate == pytest.approx(5e-4)
    large, _ = align(data(), run(model__name="qwen2.5-7b-instruct"))
    assert large.schedule.learning_rate == pytest.approx(3e-5)
    full, _ = align(data(), run(FullMethod()))
    assert full.schedule.learning_rate == pytest.approx(5e-6)
    assert (embedded.schedule.batch_size, embedded.schedule.accumulation) == (2, 2)
    assert align(data(300), run())[0].schedule.accumulation == 4
    assert [align(data(pairs), run())[0].schedule.epochs for pairs in (40, 300, 1000)] == [6, 3, 1]


@pytest.mark.parametrize(
    ("known", "loss", "source"),
    [
        ({"pairs": 19}, "ipo", "Azar et al. 2023"),
        ({"pairs": 20}, "sigmoid", "Rafailov et al. 2023; lecture L3.4"),
        ({"differ": 9, "doubly_read": 50, "wrong": 0.12}, "robust", "Chowdhury et al. 2024"),
        ({"differ": 9, "doubly_read": 50, "wrong": 0.09}, "sigmoid", "Rafailov et al. 2023; lecture L3.4"),
        ({"differ": 3, "doubly_read": 9, "wrong": 0.3}, "sigmoid", "Rafailov et al. 2023; lecture L3.4"),
    ],
)
def test_the_loss_follows_from_how_many_pairs_there_are_and_how_far_readers_agree(
    known: dict[str, Any], loss: str, source: str
):
    objective, reasons = choose(data(**known), started=True)
    assert isinstance(objective, DpoObjective) and objective.loss == loss
    assert why(reasons, "objective.kind").source == source
    assert objective.beta == (0.02 if loss == "ipo" else 0.1)
    if loss == "robust":
        assert objective.wrong_votes == 0.12
        assert "differed 9 of 50 times: by that, about 12% of the pairs" in why(reasons, "objective.wrong_votes").why


def test_readers_who_decide_by_chance_leave_a_loss_that_is_defined():
    objective, _ = choose(data(differ=25, doubly_read=50, wrong=0.5), started=True)
    assert isinstance(objective, DpoObjective) and objective.wrong_votes == 0.4


def test_labels_alone_are_kto_nothing_trained_is_orpo_and_no_votes_are_rules():
    labels, reasons = align(data(0, 30), run())
    assert labels.objective == KtoObjective(sft_weight=1.0) and labels.data.sources[0].name.endswith("labels.jsonl")
    assert "only single answers (20 good and 10 bad answers)" in why(reasons, "objective.kind").why
    wanted, reasons = align(data(40, 30), run(), as_labels=True)
    assert wanted.objective.kind == "kto" and wanted.data.sources[0].name.endswith("labels.jsonl")
    assert "You asked for single answers (20 good and 10 bad answers)" in why(reasons, "objective.kind").why
    assert "20 good and 10 bad answers, from votes" in why(reasons, "data.sources").why
    new, reasons = align(data(), runs.create(RunConfig()))
    assert new.objective.kind == "orpo" and new.method.start_from is None
    assert "it has trained nothing yet" in why(reasons, "method.start_from").why
    assert new.schedule.learning_rate == pytest.approx(5e-4)
    tuned = run(data__sources=[{"name": "starter/clinical"}])
    ruled, reasons = align(None, tuned)
    assert isinstance(ruled.objective, GrpoObjective) and ruled.objective.rewards == ["structure", "safety", "length"]
    assert [one.name for one in ruled.data.sources] == ["starter/clinical"]
    assert ruled.schedule.batch_size % ruled.objective.answers == 0 and faults(ruled) == []


@pytest.mark.parametrize(
    "method",
    [
        LoraMethod(init="pissa", rank=8, alpha=16),
        LoraMethod(search_rank=True),
        LoraMethod(dora=True),
        PrefixMethod(projection=True),
        AdapterMethod(),
        FullMethod(),
        PTuningMethod(),
    ],
    ids=lambda method: method.kind,
)
def test_every_method_goes_on_as_it_was_saved_or_says_why_not(method: Any):
    config, reasons = align(data(), run(method))
    assert faults(config) == [] and config.method.kind == method.kind
    if method.kind == "p_tuning":
        assert config.method.start_from is None and config.objective.kind == "orpo"
        assert "kept without the network" in why(reasons, "method.start_from").why
        return
    assert config.method.start_from is not None
    if isinstance(config.method, LoraMethod):
        # As the saved adapter is, which need not be what was asked for.
        assert (config.method.rank, config.method.alpha) == (16, 32)
        assert (config.method.init, config.method.search_rank) == ("zero", False)
        assert config.method.dora == method.dora
    assert not getattr(config.method, "projection", False)


def test_what_belongs_to_supervised_rows_stays_behind_and_the_monitors_are_on():
    tuned = run(
        data__canaries=3, data__augment=["synonyms"], data__contains_phi=True, schedule__mixup_alpha=0.4,
        schedule__max_steps=7, steering__curriculum="steps", steering__forgetting_limit=3.0,
        adversarial__perturbations=["typos"], evaluation__validation="k_fold", schedule__seed=5,
    )  # fmt: skip
    config, _ = align(data(), tuned)
    assert (config.data.canaries, config.data.augment, config.schedule.mixup_alpha) == (0, [], 0.0)
    assert (config.schedule.max_steps, config.steering.curriculum, config.evaluation.validation) == (
        None,
        "off",
        "split",
    )
    assert config.adversarial.perturbations == [] and config.steering.replay_share == 0
    # What says who the data is about, and how far a run may go, stays.
    assert (config.data.contains_phi, config.steering.forgetting_limit, config.schedule.seed) == (True, 3.0, 5)
    assert config.steering.forgetting_every == config.steering.harm_every == 2 * config.evaluation.every


def test_a_reward_model_cannot_be_aligned():
    config = RunConfig()
    config.objective = RewardObjective()
    with pytest.raises(RunError, match="holds a reward model, which answers nothing"):
        align(data(), runs.create(config))


def planned(path: Path, rows: list[dict[str, Any]], **answers: Any) -> tuple[RunConfig, list[Reason]]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {"task": "question_answering", "gpu": "cpu", "contains_phi": False, "dataset": str(path)}
    plan = advise(Answers.model_validate(values | answers), CPU)
    return plan.config, plan.reasons


PAIRS = [{"prompt": f"Question {n}?", "chosen": "Rest. " * 20, "rejected": "Run. " * 200} for n in range(60)]


def test_a_file_of_pairs_is_planned_for_orpo_also_where_nobody_said_so(tmp_path: Path):
    for answers in ({"objective": "preference"}, {}):
        config, reasons = planned(tmp_path / "pairs.jsonl", PAIRS, **answers)
        assert config.objective.kind == "orpo" and faults(config) == []
        assert "There are 60 pairs, and no run to start from" in why(reasons, "objective.kind").why
        # The file is small, and the regime of few supervised rows does not apply.
        assert (config.schedule.neftune_alpha, config.evaluation.validation, config.data.augment) == (0, "split", [])
        assert config.steering.replay_share == 0 and why(reasons, "steering.replay_share").value == 0
        assert config.schedule.learning_rate == pytest.approx(5e-4)
        assert config.steering.forgetting_every and config.steering.harm_every
    # Of a pair the longer side counts: 1000 characters, and not both.
    assert config.schedule.max_length == 384
    assert planned(tmp_path / "pairs.jsonl", PAIRS, objective="sft")[0].objective.kind == "sft"


def test_a_run_to_start_from_makes_it_dpo_and_labels_make_it_kto(tmp_path: Path):
    start = {"method.start_from": "20260101-000000-x"}
    config, reasons = planned(tmp_path / "pairs.jsonl", PAIRS, settings=start)
    assert config.objective.kind == "dpo" and config.method.start_from == "20260101-000000-x"
    assert why(reasons, "objective.beta").value == 0.1
    labels = [{"prompt": f"Question {n}?", "completion": "Rest.", "label": n % 2 == 0} for n in range(60)]
    assert planned(tmp_path / "labels.jsonl", labels)[0].objective.kind == "kto"


def test_graded_answers_are_pairs_too_and_plain_answers_are_not(tmp_path: Path):
    graded = [{"question": f"Fever {n}?", "answer": f"Answer {g}.", "grade": g} for n in range(30) for g in (1, 5)]
    assert planned(tmp_path / "graded.jsonl", graded)[0].objective.kind == "orpo"
    plain = [{"question": f"Fever {n}?", "answer": "Rest."} for n in range(60)]
    config, reasons = planned(tmp_path / "plain.jsonl", plain, objective="preference")
    assert config.objective.kind == "sft"
    assert "Nothing is preferred among these examples" in why(reasons, "objective.kind").why
