"""Answers → run file: exact values, each with its reason, and a plan that fits its machine."""

import json
from typing import Any

import pytest

from assistant.planner import starter_run
from assistant.planner.advice import Plan, advise
from assistant.planner.answers import Answers
from evaluators.attacks.cases import PRESERVING
from trainer import catalogue
from trainer import config as run_config
from trainer.hardware import GpuDevice, Machine
from trainer.method_sections import METHOD_KINDS, FullMethod, LoraMethod
from trainer.sections import RunConfig
from trainer.steering_sections import SteeringSection

MACHINE = Machine(cpu_name="CPU", cores=2, memory_gib=23.5, cpu_bf16=True)


def plan(**answers: Any) -> Plan:
    known: dict[str, Any] = {"task": "report_generation", "examples": 3000, "gpu": "rtx-4090", "contains_phi": False}
    return advise(Answers(**(known | answers)), MACHINE)


def reason(made: Plan, field: str):
    return next(reason for reason in made.reasons if reason.field == field)


def lora(made: Plan) -> LoraMethod:
    assert isinstance(made.config.method, LoraMethod)
    return made.config.method


SITUATIONS = [
    {"gpu": "cpu", "dataset": "starter", "examples": None, "contains_phi": None},
    {"gpu": "cpu"},
    {"gpu": "t4", "task": "ner", "examples": 300},
    {"gpu": "rtx-3060-12gb", "task": "diagnosis"},
    {"gpu": "rtx-4080", "task": "dialogue"},
    {"gpu": "rtx-4090"},
    {"gpu": "a100-40gb", "task": "summarization", "examples": 50_000},
    {"gpu": "a100-80gb", "task": "reasoning", "priority": "quality"},
    {"gpu": "h100-80gb", "priority": "speed"},
    {"gpu": None, "vram_gib": 8.0},
    {"gpu": "rtx-4090", "base_model": "biomistral-7b", "adaptation": "high"},
    {"gpu": "l4", "other_tasks": ["summarization", "ner"]},
    {"gpu": "cpu", "base_model": "qwen2.5-0.5b-instruct"},
    {"examples": 60},
    {"gpu": "cpu", "examples": 12, "task": "question_answering", "other_tasks": ["ner"]},
    *({"settings": {"method.kind": kind}} for kind in METHOD_KINDS),
    *({"settings": {"method.kind": kind}, "gpu": "cpu", "examples": 60} for kind in METHOD_KINDS),
    {"gpu": "a100-80gb", "base_model": "qwen2.5-7b-instruct", "settings": {"method.kind": "full"}},
    {"settings": {"method.kind": "adapter", "method.per": "task"}, "other_tasks": ["ner"], "examples": 80},
    {"settings": {"method.init": "pissa"}},
    {"settings": {"method.kind": "adalora", "method.rank": 4}, "priority": "quality"},
]


@pytest.mark.parametrize("answers", SITUATIONS, ids=str)
def test_a_plan_is_valid_fits_and_gives_a_reason_for_every_value_it_sets(answers):
    made = plan(**answers)
    content = made.config.model_dump(mode="json")
    assert run_config.parse(content) == made.config
    assert made.estimate is not None and made.estimate.fits == "fits"
    default = RunConfig(format_version=1).model_dump(mode="json")
    default["method"] = run_config.of_kind("method", default["method"], made.config.method.kind)
    changed = {
        f"{section}.{field}"
        for section, fields in content.items()
        if isinstance(fields, dict)
        for field, value in fields.items()
        if value != default[section].get(field)
    }
    explained = {reason.field: reason for reason in made.reasons}
    assert changed <= set(explained)
    assert len(explained) == len(made.reasons)
    assert all(reason.why and reason.source for reason in made.reasons)
    for field, because in explained.items():
        section, _, name = field.partition(".")
        if field not in ("data.sources", "evaluation.held_out", "evaluation.sample_prompts"):
            assert because.value == content[section][name], field


@pytest.mark.parametrize(
    ("task", "rank"),
    [
        ("classification", 4),
        ("ner", 8),
        ("question_answering", 8),
        ("report_generation", 16),
        ("diagnosis", 16),
        ("reasoning", 32),
    ],
)
def test_the_rank_follows_the_task_and_alpha_is_twice_that(task, rank):
    made = plan(task=task)
    assert (lora(made).rank, lora(made).alpha) == (rank, 2 * rank)
    assert reason(made, "method.rank").source == "lecture L1.9"


def test_several_tasks_take_rank_32():
    assert lora(plan(other_tasks=["summarization"])).rank == 32


@pytest.mark.parametrize(
    ("gpu", "model", "batch"),
    [
        ("rtx-4090", "qwen2.5-7b-instruct", 4),
        ("a100-40gb", "qwen2.5-14b-instruct", 8),
        ("a100-80gb", "qwen2.5-32b-instruct", 16),
    ],
)
def test_the_recommended_set_ups_of_the_lecture(gpu, model, batch):
    made = plan(gpu=gpu)
    schedule = made.config.schedule
    assert (made.config.model.name, schedule.batch_size) == (model, batch)
    assert schedule.batch_size * schedule.accumulation == 16
    assert made.config.model.quantization == "nf4"
    assert reason(made, "model.name").source == "lecture L1.12"
    assert reason(made, "model.quantization").source == "lecture L1.3"
    assert (made.config.hardware.device, made.config.hardware.gpu) == ("cuda", gpu)


def test_where_the_lecture_s_80_gb_set_up_leaves_no_buffer_the_reason_says_so():
    assert "L1.12" in reason(plan(gpu="a100-80gb"), "model.quantization").why


@pytest.mark.parametrize(
    ("model", "rate"),
    [
        ("smollm2-135m-instruct", 1e-3),
        ("qwen2.5-0.5b-instruct", 5e-4),
        ("qwen2.5-7b-instruct", 3e-4),
        ("qwen2.5-14b-instruct", 2e-4),
    ],
)
def test_the_rate_follows_the_size_and_shows_the_contradiction(model, rate):
    made = plan(base_model=model)
    assert made.config.schedule.learning_rate == rate
    why = reason(made, "schedule.learning_rate").why
    assert all(found in why for found in ("1e-3 to 5e-3", "L1.6", "3e-4", "L3.18"))


@pytest.mark.parametrize(("examples", "epochs"), [(100, 20), (101, 5), (3000, 3), (50_000, 2), (500_000, 1)])
def test_smaller_sets_are_passed_over_more_often(examples, epochs):
    assert plan(examples=examples).config.schedule.epochs == epochs


@pytest.mark.parametrize(("adaptation", "replay"), [("high", 0.05), ("moderate", 0.2), ("low", 0.4), (None, 0.1)])
def test_replay_follows_the_level_of_adaptation(adaptation, replay):
    assert plan(adaptation=adaptation).config.steering.replay_share == replay


def test_few_examples_take_the_few_shot_rate_and_show_the_contradiction():
    made = plan(examples=60)
    assert (made.config.schedule.learning_rate, made.config.schedule.epochs) == (1e-3, 20)
    why = reason(made, "schedule.learning_rate")
    assert why.source == "lecture L3.3" and "5e-3 to 1e-2" in why.why and "1e-3 to 5e-3" in why.why


def test_few_examples_take_their_own_regime_by_themselves():
    made = plan(task="diagnosis", examples=60)
    config, sources = made.config, {one.field: one.source for one in made.reasons}
    assert (config.schedule.weight_decay, config.schedule.neftune_alpha, lora(made).dropout) == (0.1, 5.0, 0.1)
    assert (config.evaluation.validation, config.evaluation.folds) == ("k_fold", 5)
    assert config.data.augment == ["synonyms", "abbreviations"]
    assert sources["evaluation.validation"] == "lecture L3.3" and sources["data.augment"] == "lecture L3.9"
    more = plan(task="diagnosis", examples=101).config
    assert (more.schedule.neftune_alpha, more.evaluation.validation, more.data.augment) == (0.0, "split", [])
    # An answer that cites its question is not helped by another wording of it.
    assert plan(task="ner", examples=60).config.data.augment == []


def test_each_row_is_held_out_once_where_that_is_a_matter_of_minutes():
    assert plan(task="ner", examples=15).config.evaluation.validation == "leave_one_out"
    # On two cores twenty trainings would take hours, so there are five.
    slow = plan(task="question_answering", examples=20, gpu="cpu").config.evaluation
    assert (slow.validation, slow.folds) == ("k_fold", 5)
    hours = plan(task="summarization", examples=100, gpu="cpu")
    assert hours.config.evaluation.validation == "split"
    assert "one training takes up to" in reason(hours, "evaluation.validation").why
    # What was asked for is done, however long it takes.
    asked = plan(task="summarization", examples=100, gpu="cpu", settings={"evaluation.validation": "leave_one_out"})
    assert asked.config.evaluation.validation == "leave_one_out"
    assert asked.estimate is not None and asked.estimate.hours is not None and hours.estimate is not None
    assert hours.estimate.hours is not None
    assert asked.estimate.hours.high == pytest.approx(101 * hours.estimate.hours.high, rel=0.01)


def test_few_rows_whose_columns_fit_a_task_template_take_it(tmp_path):
    file = tmp_path / "cases.jsonl"
    rows = [{"symptoms": f"cough {n}", "diagnosis": "cold", "question": "?", "answer": "cold"} for n in range(30)]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    made = plan(task="diagnosis", dataset=str(file), examples=None)
    assert [source.template for source in made.config.data.sources] == ["diagnosis"]
    assert "diagnosis" in reason(made, "data.sources").why
    assert plan(task="ner", dataset=str(file), examples=None).config.data.sources[0].template is None


def test_several_tasks_count_the_same_and_their_conflict_is_measured():
    config = plan(other_tasks=["summarization"]).config
    assert (config.steering.task_weights, config.steering.conflict_every) == ("uniform", config.evaluation.every)
    one = plan().config.steering
    assert (one.task_weights, one.conflict_every) == ("rows", None)
    apart = plan(other_tasks=["summarization"], settings={"method.kind": "adapter", "method.per": "task"}).config
    assert (apart.steering.task_weights, apart.steering.conflict_every) == ("rows", None)


def test_few_rows_of_several_tasks_begin_with_meta_learning_where_it_can_be():
    assert plan(examples=60, other_tasks=["ner"]).config.steering.reptile_steps > 0
    apart = {"method.kind": "prefix", "method.per": "task"}
    assert plan(examples=60, other_tasks=["ner"], settings=apart).config.steering.reptile_steps == 0


def test_a_curriculum_needs_levels_enough_rows_and_a_task_that_reasons(tmp_path):
    file, rows = tmp_path / "cases.jsonl", []
    for number in range(600):
        level = ("facts", "concepts", "reasoning", "judgement")[number % 4]
        rows.append(json.dumps({"question": f"{number}?", "answer": "yes", "level": level}))
    file.write_text("\n".join(rows))
    made = plan(task="diagnosis", dataset=str(file), examples=None)
    assert made.config.steering.curriculum == "steps"
    assert reason(made, "steering.curriculum").source == "lecture L2.7"
    assert plan(task="ner", dataset=str(file), examples=None).config.steering.curriculum == "off"
    assert plan(task="diagnosis", dataset=str(file), examples=300).config.steering.curriculum == "off"


def test_own_data_is_watched_for_forgetting_and_patients_answers_for_harm():
    config = plan(task="dialogue").config
    assert config.steering.forgetting_every == 2 * config.evaluation.every
    assert (config.steering.forgetting_limit, config.steering.forgetting_action) == (5.0, "roll_back")
    assert config.steering.harm_every is not None and plan().config.steering.harm_every is None
    starter = plan(task="dialogue", dataset="starter", examples=None, contains_phi=None, gpu="cpu").config
    assert starter.steering == SteeringSection(replay_share=starter_run.REPLAY_SHARE)


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        ("full", 1e-5, 5e-5),
        ("prefix", 1e-3, 5e-3),
        ("prompt", 1e-3, 5e-3),
        ("p_tuning", 1e-3, 5e-3),
        ("ia3", 1e-3, 5e-3),
        ("layer_norm", 1e-3, 5e-3),
        ("adapter", 1e-3, 5e-3),
    ],
)
@pytest.mark.parametrize("model", ["smollm2-135m-instruct", "qwen2.5-14b-instruct"])
def test_the_rates_of_the_other_methods_are_within_the_lecture_s(kind, low, high, model):
    made = plan(base_model=model, settings={"method.kind": kind})
    assert low <= made.config.schedule.learning_rate <= high
    assert made.config.method.kind == kind


def test_full_tuning_takes_a_model_that_fits_whole_and_small_sets_move_the_top_layers_first():
    made = plan(settings={"method.kind": "full"}, examples=800)
    assert made.estimate is not None and made.estimate.fits == "fits"
    assert made.config.method == FullMethod()
    assert (made.config.schedule.layer_rate_ratio, made.config.schedule.unfreezing_share) == (10.0, 0.3)
    large = plan(settings={"method.kind": "full"}, examples=5000).config.schedule
    assert (large.layer_rate_ratio, large.unfreezing_share) == (1.0, 0.0)


def test_a_named_model_that_cannot_be_tuned_in_full_on_the_card_is_offloaded():
    made = plan(gpu="a100-80gb", base_model="qwen2.5-7b-instruct", settings={"method.kind": "full"})
    assert made.config.method == FullMethod(offload=True)
    assert "GiB of the computer's own memory" in reason(made, "model.quantization").why


def test_a_prefix_takes_a_smaller_model_rather_than_one_that_does_not_fit():
    made = plan(settings={"method.kind": "prefix"})
    assert made.estimate is not None and made.estimate.fits == "fits"
    assert "with this method the usual one would not fit" in reason(made, "model.name").why


def test_fixed_choices_of_the_lecture():
    schedule = plan().config.schedule
    assert (schedule.warmup_share, schedule.final_rate_share) == (0.05, 0.1)
    assert (schedule.weight_decay, schedule.max_grad_norm) == (0.01, 1.0)
    assert plan().config.data.validation_share == 0.1


def test_the_cpu_gets_the_embedded_model_without_checkpointing_or_a_gpu():
    config = plan(gpu="cpu").config
    assert config.model.name == "smollm2-135m-instruct"
    assert config.model.quantization == "none"
    assert config.schedule.gradient_checkpointing is False
    assert (config.hardware.device, config.hardware.gpu) == ("cpu", None)


def test_an_unknown_gpu_plans_for_this_machine():
    assert plan(gpu=None, unknown=["gpu"]).config.hardware.device == "cpu"
    workstation = MACHINE.model_copy(update={"gpus": [GpuDevice(name="x", memory_gib=24, row="rtx-4090")]})
    made = advise(Answers(task="ner", examples=500, contains_phi=False, unknown=["gpu"]), workstation)
    assert made.config.hardware.gpu == "rtx-4090"


def test_the_starter_run():
    made = plan(task="question_answering", dataset="starter", examples=None, contains_phi=None, gpu="cpu")
    config = made.config
    assert [source.name for source in config.data.sources] == [source.name for source in starter_run.SOURCES]
    assert config.evaluation.held_out == starter_run.HELD_OUT
    assert config.evaluation.sample_prompts == starter_run.SAMPLE_PROMPTS
    assert config.data.contains_phi is False
    assert config.schedule.learning_rate == starter_run.LEARNING_RATE
    assert config.schedule.epochs == starter_run.EPOCHS
    assert made.estimate is not None and made.estimate.hours is not None


def test_one_starter_set_is_scored_with_its_own_held_out_split():
    config = plan(dataset="starter/lab", examples=None, contains_phi=None).config
    assert [source.name for source in config.data.sources] == ["starter/lab"]
    assert [held_out.name for held_out in config.evaluation.held_out] == ["starter/lab"]


def test_a_file_is_the_source_and_its_lines_give_the_hours(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text('{"question": "a", "answer": "b"}\n' * 200)
    made = plan(dataset=str(path), examples=None)
    assert [source.name for source in made.config.data.sources] == [str(path)]
    assert made.estimate is not None and made.estimate.hours is not None
    unseen = plan(dataset=str(tmp_path / "gone.jsonl"), examples=None)
    assert unseen.estimate is not None and unseen.estimate.hours is None


def test_patient_data_is_never_assumed_to_be_absent():
    assert plan(contains_phi=None, unknown=["contains_phi"]).config.data.contains_phi is None
    assert plan(contains_phi=True, dataset="starter").config.data.contains_phi is True


def test_robustness_is_a_supervised_run_with_the_adversarial_section():
    made = plan(task="diagnosis", objective="adversarial")
    section, plain = made.config.adversarial, plan(task="diagnosis").config.adversarial
    assert made.config.objective.kind == "sft" and (plain.perturbations, section.share) == ([], 0.5)
    assert tuple(section.perturbations) == PRESERVING and (section.consistency, section.embedding) == (0, "off")
    why = reason(made, "adversarial.perturbations")
    assert "NEFTune) is no defence" in why.why and why.source == "lecture L3.5, L3.7, L3.9"
    assert "rows that refuse" in reason(made, "objective.kind").why
    hours = [one.estimate.hours for one in (made, plan(task="diagnosis")) if one.estimate]
    assert hours[0] and hours[1] and hours[0].high == pytest.approx(2 * hours[1].high, rel=0.05)
    # Answers that cite the question: no word of it is exchanged.
    citing = plan(task="ner", objective="adversarial").config.adversarial.perturbations
    assert "typos" in citing and not {"synonyms", "abbreviations", "brand_generic", "paraphrase"} & set(citing)
    asked = {"adversarial.perturbations": ["typos"], "adversarial.share": 0.3}
    own = plan(objective="adversarial", settings=asked).config.adversarial
    assert (own.perturbations, own.share) == (["typos"], 0.3)


def test_the_default_run_can_be_hardened():
    made = plan(gpu="cpu", dataset="starter", examples=None, contains_phi=None, objective="adversarial")
    assert made.config.adversarial.perturbations and made.config.schedule.learning_rate == starter_run.LEARNING_RATE


def test_attacks_on_embeddings_take_as_long_as_their_passes():
    once, attacked = (plan(settings=one).estimate for one in ({}, {"adversarial.embedding": "freelb"}))
    assert once and attacked and once.hours and attacked.hours
    assert attacked.hours.high == pytest.approx(3 * once.hours.high, rel=0.2)


def test_preferences_without_a_file_are_planned_as_pairs_and_the_starter_s_answers_are_not():
    made = plan(objective="preference")
    assert made.config.objective.kind == "orpo"
    assert "no run to start from: ORPO" in reason(made, "objective.kind").why
    starter = plan(gpu="cpu", dataset="starter", examples=None, contains_phi=None, objective="preference")
    assert starter.config.objective.kind == "sft"
    assert "Nothing is preferred among these examples" in reason(starter, "objective.kind").why


def test_a_named_model_wins_and_the_nearest_that_fits_is_offered():
    made = plan(gpu="rtx-3060-12gb", base_model="qwen2.5-32b-instruct")
    assert made.config.model.name == "qwen2.5-32b-instruct"
    assert made.estimate is not None and made.estimate.fits == "does_not_fit"
    assert (made.config.schedule.batch_size, made.config.schedule.gradient_checkpointing) == (1, True)
    nearest, card = made.alternatives
    assert {one.label for one in made.alternatives} == {"nearest that fits"}
    assert nearest.changes["model.name"] == "qwen2.5-7b-instruct" and nearest.say == "Use qwen2.5-7b-instruct"
    assert "model.name" not in card.changes and card.say == f"On one {card.changes['hardware.gpu']}"
    assert nearest.estimate.fits == card.estimate.fits == "fits"


def test_a_value_that_was_asked_for_and_keeps_it_from_fitting_can_be_given_back():
    made = plan(gpu="rtx-4090", settings={"model.quantization": "none", "schedule.max_length": 8192})
    assert made.estimate is not None and made.estimate.fits == "tight"
    ways = {one.say: one for one in made.alternatives}
    kernels = {"hardware.kernels": ["flash_attention", "liger"]}  # neither short runs nor 4-bit layers are compiled
    assert ways["forget the max length"].changes == {"schedule.max_length": 1024, **kernels}
    assert ways["forget the quantization"].changes == {"model.quantization": "nf4", **kernels}


def test_an_apple_machine_is_planned_for_its_cpu_and_says_why():
    made = plan(gpu="m3-max-64gb")
    assert (made.config.hardware.device, made.config.hardware.gpu) == ("cpu", None)
    assert reason(made, "hardware.device").why.endswith("for the processor of m3-max-64gb: 16 cores and 64 GiB.")
    assert made.estimate is not None and made.estimate.limit_gib == 64


def test_the_free_space_is_planned_with_its_own_memory():
    made = plan(gpu="space-cpu-basic", task="summarization")
    assert (made.config.hardware.device, made.config.hardware.gpu) == ("cpu", None)
    assert made.estimate is not None and made.estimate.limit_gib == 15
    assert "its disk is emptied" in reason(made, "hardware.device").why


def test_the_length_comes_from_the_file_where_there_is_one(tmp_path):
    file = tmp_path / "notes.jsonl"
    short = [{"question": "Is it short?", "answer": "Yes. " * 20} for _ in range(97)]
    long = [{"question": "Is it long?", "answer": "No. " * 900} for _ in range(3)]
    file.write_text("\n".join(json.dumps(row) for row in short + long))
    made = plan(gpu="rtx-4090", dataset=str(file), examples=None)
    # 3,600 characters are about 1,200 tokens, and 3 % of the rows may not be cut.
    assert made.config.schedule.max_length == 1536
    assert reason(made, "schedule.max_length").source == "measured on the data"
    file.write_text("\n".join(json.dumps(row) for row in short))
    assert plan(gpu="rtx-4090", dataset=str(file), examples=None).config.schedule.max_length == 256


def test_a_published_set_brings_its_rows_its_licence_and_that_it_holds_no_patients():
    made = plan(gpu="rtx-4090", dataset="medqa", examples=None, contains_phi=None)
    assert made.config.data.contains_phi is False
    assert "10,178 examples" in reason(made, "schedule.epochs").why
    research = plan(gpu="rtx-4090", dataset="healthcaremagic", examples=None, contains_phi=None)
    assert research.config.data.contains_phi is None
    assert "research only" in reason(research, "data.sources").why


def test_what_must_be_known_of_a_machine_stands_with_it():
    row = catalogue.gpu("space-zerogpu")
    assert row is not None and row.note
    assert row.note in reason(plan(gpu="space-zerogpu"), "hardware.device").why


def test_a_rented_machine_comes_with_its_price():
    made = plan(gpu="a100-80gb")
    assert made.estimate is not None and made.estimate.hours is not None and made.estimate.usd is not None
    row = catalogue.gpu("a100-80gb")
    assert row is not None and row.usd_per_hour is not None
    assert made.estimate.usd.high == pytest.approx(made.estimate.hours.high * row.usd_per_hour[1], abs=0.01)
    at_home = plan(gpu="cpu").estimate
    assert at_home is not None and at_home.usd is None


def test_a_model_in_a_folder_is_estimated_by_its_config(tmp_path):
    config = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9}
    config |= {"num_key_value_heads": 3, "vocab_size": 49152, "max_position_embeddings": 8192}
    (tmp_path / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    own = plan(base_model=str(tmp_path), gpu="cpu").estimate
    known = plan(base_model="smollm2-135m-instruct", gpu="cpu").estimate
    assert own is not None and known is not None
    assert own.peak_gib.high == pytest.approx(known.peak_gib.high, rel=0.01)
    (tmp_path / "config.json").write_text("{}")
    assert plan(base_model=str(tmp_path), gpu="cpu").estimate is None


def test_a_gated_or_medical_model_comes_with_what_must_be_known():
    assert "accept its licence (llama3.1)" in reason(plan(base_model="llama-3.1-8b-instruct"), "model.name").why
    assert "58.97" in reason(plan(base_model="biomistral-7b"), "model.name").why


def test_a_model_outside_the_catalogue_is_planned_without_an_estimate():
    made = plan(base_model="someone/else-9b")
    assert made.config.model.name == "someone/else-9b"
    assert made.estimate is None
    assert made.alternatives == []


def test_a_size_leads_to_the_nearest_open_model():
    assert plan(model_params_b=7.0).config.model.name == "qwen2.5-7b-instruct"
    assert plan(model_params_b=0.135, gpu="cpu").config.model.name == "smollm2-135m-instruct"


@pytest.mark.parametrize("gpu", ["cpu", "rtx-4090", "a100-40gb"])
@pytest.mark.parametrize("priority", [None, "speed", "quality"])
@pytest.mark.parametrize("base_model", [None, "qwen2.5-1.5b-instruct"])
def test_fastest_balanced_and_best_stand_beside_every_plan_that_fits(gpu, priority, base_model):
    made = plan(gpu=gpu, priority=priority, base_model=base_model)
    assert [other.label for other in made.alternatives] == ["fastest", "balanced", "best"]
    hours = [other.estimate.hours.high for other in made.alternatives if other.estimate.hours]
    assert len(hours) == 3 and hours == sorted(hours) and len(set(hours)) == 3
    (stands,) = [other for other in made.alternatives if not other.changes]
    assert stands.label == {None: "balanced", "speed": "fastest", "quality": "best"}[priority]
    assert stands.estimate == made.estimate
    assert all(other.gives_up and other.estimate.fits == "fits" for other in made.alternatives)
    # The changes are those that lead from this plan to the other, as the form and --set take them.
    for other in made.alternatives:
        settings = {name: str(value) for name, value in other.changes.items()}
        changed = run_config.with_values(made.config, settings)
        wanted = {"fastest": "speed", "balanced": "balanced", "best": "quality"}[other.label]
        same = plan(gpu=gpu, priority=wanted, base_model=base_model).config
        assert changed == same.model_copy(update={"output": changed.output})


def test_a_named_model_stays_whatever_the_priority():
    fast = plan(base_model="qwen2.5-1.5b-instruct", priority="speed").config
    best = plan(base_model="qwen2.5-1.5b-instruct", priority="quality")
    assert fast.model.name == best.config.model.name == "qwen2.5-1.5b-instruct"
    assert (fast.schedule.epochs, best.config.schedule.epochs, lora(best).rank) == (1.5, 4.5, 32)


def test_speed_takes_a_smaller_model():
    assert plan(gpu="h100-80gb", priority="speed").config.model.name == "qwen2.5-14b-instruct"


def test_the_same_answers_give_the_same_plan():
    assert plan() == plan()
