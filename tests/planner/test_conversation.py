"""What is said beside the facts: requests, questions, what-ifs, choices, undo, and what Bedside does not serve."""

import pytest

from assistant.planner import dialogue, drafts
from assistant.planner.drafts import Draft
from trainer import hardware
from trainer.hardware import Machine
from trainer.method_sections import AdapterMethod, FullMethod, LoraMethod

MACHINE = Machine(cpu_name="CPU", cores=2, memory_gib=23.5, cpu_bf16=True)
PLANNED = "NER, 3k notes, on a 4090, de-identified"


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr(hardware, "detect", lambda: MACHINE)


def talk(*messages: str) -> Draft:
    draft = dialogue.new_draft()
    for message in messages:
        draft, _ = dialogue.reply(draft, message)
    return draft


def said(draft: Draft) -> str:
    return draft.messages[-1]["content"]


def config(draft: Draft):
    found = dialogue.show(draft).config
    assert found is not None
    return found


REQUESTS = [
    ("use rank 32", {"method.rank": 32}),
    ("r=8 please, alpha 16", {"method.rank": 8, "method.alpha": 16}),
    ("set the rank to sixteen", {"method.rank": 16}),
    ("no quantisation", {"model.quantization": "none"}),
    ("don't use 4-bit", {"model.quantization": "none"}),
    ("full precision, please", {"model.quantization": "none"}),
    ("use QLoRA", {"model.quantization": "nf4"}),
    ("lr 2e-4", {"schedule.learning_rate": 2e-4}),
    ("a learning rate of 0.0001", {"schedule.learning_rate": 1e-4}),
    ("5 epochs", {"schedule.epochs": 5}),
    ("train for two epochs", {"schedule.epochs": 2}),
    ("batch size 8", {"schedule.batch_size": 8}),
    ("2048 tokens", {"schedule.max_length": 2048}),
    ("max length 512", {"schedule.max_length": 512}),
    ("stop after 300 steps", {"schedule.max_steps": 300}),
    ("dropout 0.1 and weight decay 0.05", {"method.dropout": 0.1, "schedule.weight_decay": 0.05}),
    ("with gradient checkpointing", {"schedule.gradient_checkpointing": True}),
    ("without gradient checkpointing", {"schedule.gradient_checkpointing": False}),
    ("only q_proj and v_proj", {"method.target_modules": ["q_proj", "v_proj"]}),
    ("20 % replay", {"steering.replay_share": 0.2}),
    ("seed 5", {"schedule.seed": 5}),
    ("train longer", {"schedule.epochs": 6.0}),
    ("fewer epochs", {"schedule.epochs": 1.5}),
    ("use prefix tuning", {"method.kind": "prefix"}),
    ("full fine-tuning with EWC", {"method.kind": "full", "steering.ewc": 0.03}),
    ("parallel adapters of width 128", {"method.kind": "adapter", "method.placement": "parallel", "method.width": 128}),
    ("DoRA", {"method.dora": True}),
    ("find the rank", {"method.search_rank": True}),
    ("a curriculum", {"steering.curriculum": "steps"}),
    ("evaluate every 100 steps", {"evaluation.every": 100}),
    ("patience 4 and evaluate every 100 steps", {"evaluation.every": 100, "schedule.patience": 4}),
    ("log to wandb", {"output.trackers": ["wandb"]}),
    (
        "adversarial training on the embeddings, epsilon 0.1",
        {"adversarial.embedding": "freelb", "adversarial.epsilon": 0.1},
    ),
    ("with FGM", {"adversarial.embedding": "fgm"}),
]


@pytest.mark.parametrize(("text", "settings"), REQUESTS)
def test_a_request_sets_exactly_its_values(text, settings):
    before, after = talk(PLANNED), talk(PLANNED, text)
    assert after.answers == before.answers.model_copy(update={"settings": settings})
    found = config(after).model_dump(mode="json")
    for name, value in settings.items():
        section, _, field = name.partition(".")
        assert found[section][field] == value


def test_a_value_that_was_asked_for_shows_what_the_planner_would_take():
    turn = dialogue.show(talk(PLANNED, "use rank 32"))
    reasons = {reason.field: reason for reason in turn.reasons}
    assert reasons["method.rank"].why.startswith("You asked for it. The planner would take 8: ")
    assert turn.config is not None and turn.config.method == LoraMethod(rank=32, alpha=64)
    assert len(reasons) == len(turn.reasons)


def test_a_request_is_given_back_and_is_no_number_of_examples():
    draft = talk(PLANNED, "use rank 32", "forget the rank")
    assert draft.answers.settings == {} and config(draft).method == LoraMethod(rank=8, alpha=16)
    assert draft.answers.examples == 3000


def test_a_value_out_of_bounds_is_left_with_the_fault():
    draft = talk(PLANNED, "lr 5")
    assert draft.answers.settings == {}
    assert "I left schedule.learning_rate as it was: found 5" in said(draft)


def test_another_kind_of_method_drops_the_settings_that_it_does_not_have():
    draft = talk(PLANNED, "rank 64 and dropout 0.2", "bottleneck adapters")
    assert draft.answers.settings == {"method.kind": "adapter", "method.dropout": 0.2}
    assert config(draft).method == AdapterMethod(dropout=0.2)
    assert "adapters has no rank" in said(talk(PLANNED, "bottleneck adapters", "rank 8")).replace(", parallel", "")
    back = talk(PLANNED, "bottleneck adapters of width 128", "forget the method")
    assert back.answers.settings == {} and config(back).method == LoraMethod(rank=8, alpha=16)


def test_a_variant_of_lora_leads_back_to_lora():
    draft = talk(PLANNED, "prefix tuning of length 20", "actually DoRA")
    assert draft.answers.settings == {"method.kind": "lora", "method.dora": True}


def test_a_pair_that_cannot_go_together_names_both_and_the_nearest_that_can():
    draft = talk(PLANNED, "prefix tuning", "with EWC")
    assert draft.answers.settings == {"method.kind": "prefix"}
    words = said(draft)
    assert "I left steering.ewc as it was: EWC cannot go with prefix tuning (method.kind)" in words
    assert "use steering.replay_share or steering.distillation" in words


def test_what_the_planner_chose_gives_way_to_a_request_that_it_cannot_go_with():
    # The base stands in 4 bits and checkpointing is on, which neither full tuning nor a prefix bears.
    assert config(talk(PLANNED)).model.quantization == "nf4" and config(talk(PLANNED)).schedule.gradient_checkpointing
    full = talk(PLANNED, "full fine-tuning")
    assert config(full).model.quantization == "none" and "I left" not in said(full)
    assert config(talk(PLANNED, "prefix tuning")).schedule.gradient_checkpointing is False


def test_a_request_that_another_machine_does_not_bear_is_left_and_said():
    draft = talk(PLANNED, "full fine-tuning with offload", "no GPU, only the CPU")
    reasons = {reason.field: reason.why for reason in dialogue.show(draft).reasons}
    method = config(draft).method
    assert isinstance(method, FullMethod) and method.offload is False
    assert "You asked for True, but it does not go with the rest: there is no GPU" in reasons["method.offload"]


def test_out_of_memory_turns_one_lever_after_the_other_and_never_needs_more():
    draft = talk(PLANNED)
    peaks = []
    for _ in range(4):
        estimate = dialogue.show(draft).estimate
        assert estimate is not None
        peaks.append(estimate.peak_gib.high)
        rows = config(draft).schedule.batch_size * config(draft).schedule.accumulation
        assert rows == 16, "the effective batch stays"
        draft, _ = dialogue.reply(draft, "I ran out of memory")
    assert peaks == sorted(peaks, reverse=True) and len(set(peaks)) == 4
    for _ in range(3):
        draft, _ = dialogue.reply(draft, "OOM")
    assert "a smaller base model is what is left" in said(draft)


def test_longer_without_a_plan_is_said_and_sets_nothing():
    draft = talk("NER", "train longer")
    assert draft.answers.settings == {} and "There is no plan yet" in said(draft)


QUESTIONS = [
    ("what is LoRA?", "two small matrices"),
    ("What's QLoRA", "4-bit numbers"),
    ("what does the 20 % buffer do?", "kept free because"),
    ("explain gradient checkpointing", "computes them again"),
    ("what are epochs?", "one pass over all training rows"),
    ("how does replay work?", "general, non-medical rows"),
    ("what does alpha mean?", "alpha / rank"),
    ("why r=8?", "method.rank is 8: Rank by task"),
    ("why this learning rate", "schedule.learning_rate is 0.0003"),
    ("why qwen2.5-7b-instruct?", "model.name is qwen2.5-7b-instruct"),
    ("why lora?", "method.kind is lora"),
    ("what is DoRA?", "length of each of a layer's columns"),
    ("what is prefix tuning?", "keys and values that stand before"),
    ("what is (IA)^3?", "trains factors"),
    ("what does EWC do?", "Fisher information"),
    ("how does the rank search work?", "doubles on an early plateau"),
    ("what is a curriculum?", "begins with facts"),
    ("what is PCGrad?", "takes the conflicting part out"),
    ("why this forgetting limit?", "steering.forgetting_limit is 5"),
    ("what is FreeLB?", "moved in the direction that raises the loss most"),
    ("what does the consistency loss do?", "what is said to the clean one"),
    ("what are hard cases?", "never they themselves"),
    ("what is adversarial training?", "typos, paraphrases and traps"),
]


@pytest.mark.parametrize(("text", "words"), QUESTIONS)
def test_a_question_is_answered_with_its_source_and_changes_nothing(text, words):
    before, after = talk(PLANNED), talk(PLANNED, text)
    assert words in said(after)
    assert (after.answers, after.history) == (before.answers, before.history)


def test_a_consistency_loss_brings_the_disturbed_rows_that_it_needs():
    settings = talk(PLANNED, "with a consistency loss of strength 2").answers.settings
    assert settings["adversarial.consistency"] == 2 and "typos" in settings["adversarial.perturbations"]
    section = config(talk(PLANNED, "perturb 30 % of the training rows", "no perturbed rows")).adversarial
    assert (section.perturbations, section.share) == ([], 0.3)
    draft = talk(PLANNED, "with mixup", "FreeLB please")
    assert "FreeLB cannot go with mixup" in said(draft) and "adversarial.embedding" not in draft.answers.settings


def test_robustness_is_planned_and_told():
    draft = talk(PLANNED, "make it robust to typos")
    assert config(draft).adversarial.perturbations
    assert "Of the training rows 50% ask with typos" in said(draft)


def test_a_question_and_a_fact_in_one_message_are_both_served():
    draft = talk("what is LoRA? I have 3k notes")
    assert "two small matrices" in said(draft) and draft.answers.examples == 3000


def test_explaining_to_patients_is_a_task_and_no_question():
    assert talk("explain lab results to patients").answers.task == "patient_education"


def test_a_what_if_puts_both_plans_beside_each_other_and_changes_nothing():
    before, after = talk(PLANNED), talk(PLANNED, "what if I had an A100?")
    assert after.answers == before.answers and config(after) == config(before)
    table = said(after).partition("|")[2]
    assert "| device | rtx-4090 | a100-40gb |" in table
    assert "of 24 GiB" in table and "of 40 GiB" in table
    assert "| rank | 8 | 64 |" in said(talk(PLANNED, "what if we used rank 64?"))
    assert "nothing was changed" in said(talk("what if I had an A100?"))


def test_undo_takes_back_one_message_and_brings_the_edits_with_it():
    draft = talk(PLANNED)
    draft = draft.model_copy(update={"edited_yaml": "edited"})
    draft, _ = dialogue.reply(draft, "use rank 32")
    assert draft.edited_yaml is None
    draft, _ = dialogue.reply(draft, "undo")
    assert draft.answers.settings == {} and draft.edited_yaml == "edited"
    assert "nothing to take back" in said(talk("undo"))


def test_starting_over_forgets_all_and_can_be_undone():
    draft = talk(PLANNED, "start over")
    assert draft.answers.model_dump(exclude_defaults=True) == {} and draft.asked == "task"
    draft, _ = dialogue.reply(draft, "undo")
    assert draft.answers.examples == 3000


def test_the_second_one_is_what_was_offered_second():
    draft = talk("NER", "the first one", "the second one")
    assert (draft.answers.dataset, draft.answers.gpu) == ("starter", "rtx-4090")
    assert talk("NER", "the fourth one").answers.examples is None


@pytest.mark.parametrize(
    "text",
    [
        "help me poison a patient",
        "what is a lethal dose of digoxin?",
        "re-identify the patients in this set",
        "a model that gives dangerous advice",
        "remove the safety guardrails",
    ],
)
def test_unsafe_requests_are_declined_and_change_nothing(text):
    draft = talk(PLANNED, text)
    assert said(draft).startswith("I will not help with that.")
    assert draft.answers == talk(PLANNED).answers


def test_somebody_in_danger_is_told_where_help_is():
    assert "emergency number" in said(talk("I want to kill myself"))


@pytest.mark.parametrize(
    "text",
    [
        "make it refuse to give dangerous advice",
        "detect patients at risk of harm",
        "stop if it gives harmful answers",
    ],
)
def test_work_against_harm_is_not_declined(text):
    assert "I will not help" not in said(talk(text))


def test_saved_plans_are_listed_newest_first_and_a_damaged_one_is_named():
    first, second = talk("NER"), talk("summaries of letters")
    first = first.model_copy(update={"id": "20260101-000000-abcdef"})
    for draft in (first, second):
        drafts.save(draft)
    found, unreadable = drafts.saved()
    assert [one.title for one in found] == ["summaries of letters", "NER"] and unreadable == []
    drafts.save(first).write_text("{half")
    found, unreadable = drafts.saved()
    assert len(found) == 1 and "20260101-000000-abcdef cannot be read" in unreadable[0]
    drafts.delete(second.id)
    assert drafts.saved()[0] == []


def test_a_conversation_is_exported_word_for_word():
    text = drafts.as_markdown(talk("NER,\n3k *notes*"))
    assert "## You\n\n> NER,\n> 3k *notes*\n" in text and text.count("## Bedside") == 2
