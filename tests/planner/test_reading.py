"""What people write, and what it must be read as. Exactly: nothing missed, and nothing read that was not said."""

import pytest

from assistant.planner.answers import Answers, merge
from assistant.planner.reading import read
from trainer.hardware import GpuDevice, Machine

LAPTOP = Machine(cpu_name="CPU", cores=2, memory_gib=23.5, cpu_bf16=True)
WORKSTATION = LAPTOP.model_copy(
    update={"gpus": [GpuDevice(name="NVIDIA GeForce RTX 4090", memory_gib=24.0, row="rtx-4090")]}
)
CPU = {"gpu": "cpu", "gpu_count": 0}


def one(gpu: str, count: int = 1) -> dict:
    return {"gpu": gpu, "gpu_count": count}


FIRST_MESSAGES = [
    # Several facts at once.
    (
        "a radiology report model, about 3k reports, on a 4090",
        {"task": "report_generation", "specialty": "radiology", "examples": 3000, **one("rtx-4090")},
    ),
    (
        "Summarise discharge notes, 1.2M rows, A100 80GB, de-identified",
        {"task": "summarization", "examples": 1_200_000, "contains_phi": False, **one("a100-80gb")},
    ),
    (
        "NER with DPO, 2x 3090, 1200 rows, straight from our EHR",
        {"task": "ner", "objective": "preference", "examples": 1200, "contains_phi": True, **one("rtx-3090", 2)},
    ),
    (
        "qwen 7b for oncology, 2,000 notes and 1,000 letters, no patient data",
        {"base_model": "qwen2.5-7b-instruct", "specialty": "oncology", "examples": 3000, "contains_phi": False},
    ),
    (
        "use the starter data on this machine, to answer clinical questions",
        {"task": "question_answering", "dataset": "starter", **CPU},
    ),
    # Sizes.
    ("5,000 examples", {"examples": 5000}),
    ("12 000 notes", {"examples": 12_000}),
    ("about twelve hundred notes", {"examples": 1200}),
    ("a couple of hundred cases", {"examples": 200}),
    ("a few hundred", {"examples": 300}),
    ("two and a half thousand", {"examples": 2500}),
    ("half a million rows", {"examples": 500_000}),
    ("a hundred and fifty notes", {"examples": 150}),
    ("~1500", {"examples": 1500}),
    ("3k, no wait, 8k", {"examples": 8000}),
    ("8k, not 3k", {"examples": 8000}),
    ("between 2000 and 3000 notes", {"examples": 2000}),
    ("3-4k notes", {"examples": 3000}),
    ("50 per class, 6 classes", {"examples": 300}),
    ("3000 training and 500 test rows", {"examples": 3000}),
    ("2 GB of notes", {}),
    ("about 200 reports a day", {}),
    ("from 2019 to 2023, for 65-year-olds, 400 reports", {"examples": 400}),
    ("use rank 32 and 2048 tokens, 3 epochs", {}),
    ("we are 12 doctors in 3 hospitals", {}),
    ("type 2 diabetes, 500 records", {"specialty": "endocrinology", "examples": 500}),
    # Cards, and numbers that are theirs.
    ("A100 40 gigs", one("a100-40gb")),
    ("80GB A100", one("a100-80gb")),
    ("an A100", one("a100-40gb")),
    ("8xH100", one("h100-80gb", 8)),
    ("two 3090s", one("rtx-3090", 2)),
    ("two of those A6000 cards", one("rtx-a6000", 2)),
    ("3090 x2", one("rtx-3090", 2)),
    ("RTX4090", one("rtx-4090")),
    ("an RTX 3060", one("rtx-3060-12gb")),
    ("Tesla T4 on Colab", one("t4")),
    ("on a T4", one("t4")),
    ("24 GB card", {"vram_gib": 24.0, "gpu_count": 1}),
    ("a GPU with 16 GB", {"vram_gib": 16.0, "gpu_count": 1}),
    ("my laptop", CPU),
    ("I don't have a GPU", CPU),
    ("no gpu, just the cpu", CPU),
    ("not a 4090 but a 3090", one("rtx-3090")),
    ("actually a 3090, not a 4090", one("rtx-3090")),
    ("I don't have an A100, only a T4", one("t4")),
    ("4090 examples", {"examples": 4090}),
    ("classify TSH and T4 values, 500 rows", {"task": "classification", "examples": 500}),
    ("L4-L5 disc findings, 300 cases", {"examples": 300}),
    # Models, and numbers that are theirs.
    ("a 7B model", {"model_params_b": 7.0}),
    ("a 135M model", {"model_params_b": 0.135}),
    ("llama-3.1-8b", {"base_model": "llama-3.1-8b-instruct"}),
    ("mistralai/Mistral-7B-Instruct-v0.3", {"base_model": "mistral-7b-instruct-v0.3"}),
    ("biomistral, please", {"base_model": "biomistral-7b"}),
    ("not mistral, qwen2.5 3b", {"base_model": "qwen2.5-3b-instruct"}),
    # Tasks in clinicians' words.
    ("draft impressions", {"task": "report_generation"}),
    ("pull out drug names", {"task": "ner"}),
    ("extract drug names and doses from discharge summaries", {"task": "ner"}),
    ("answer patients' messages", {"task": "dialogue"}),
    ("triage", {"task": "classification"}),
    ("explain lab results to patients", {"task": "patient_education"}),
    ("interpret blood tests", {"task": "test_interpretation"}),
    ("help with differential diagnosis", {"task": "diagnosis"}),
    ("suggest treatment plans", {"task": "treatment"}),
    ("drug interactions", {"task": "drug_information"}),
    ("clinical reasoning, step by step", {"task": "reasoning"}),
    ("USMLE style questions", {"task": "question_answering"}),
    ("patient leaflets in plain language", {"task": "patient_education"}),
    ("simplify reports for patients", {"task": "patient_education"}),
    ("sumarise clinic letters", {"task": "summarization"}),
    (
        "classify radiology reports by urgency and summarise them",
        {"task": "classification", "other_tasks": ["summarization"], "specialty": "radiology"},
    ),
    ("I have 3k radiology reports", {"examples": 3000, "specialty": "radiology"}),
    # Privacy.
    ("no patient data", {"contains_phi": False}),
    ("no real patients in it", {"contains_phi": False}),
    ("it is all de-identified", {"contains_phi": False}),
    ("real patients, but anonymised", {"contains_phi": False}),
    ("synthetic, made up by us", {"contains_phi": False}),
    ("real patients, not anonymised", {"contains_phi": True}),
    ("not yet de-identified", {"contains_phi": True}),
    ("can you de-identify it for us?", {"contains_phi": True}),
    ("it will be anonymised before training", {"contains_phi": True}),
    ("straight from our EHR", {"contains_phi": True}),
    ("it includes names and dates of birth", {"contains_phi": True}),
    ("de-identified, but names are still in", {"contains_phi": True}),
    ("we don't know whether there is patient data", {"contains_phi": None, "unknown": ["contains_phi"]}),
    ("all identifiers have been removed", {"contains_phi": False}),
    ("there are patient names in the notes", {"contains_phi": True}),
    ("it might contain patient names", {"contains_phi": None, "unknown": ["contains_phi"]}),
    ("to explain results to our patients", {"task": "patient_education"}),
    ("it will be used in our hospital", {}),
    # Data.
    ("notes.jsonl", {"dataset": "notes.jsonl"}),
    ("my file is /data/x.csv", {"dataset": "/data/x.csv"}),
    ('it is in "my notes 2023.json"', {"dataset": "my notes 2023.json"}),
    ("my file is called /home/me/data/qa pairs.csv", {"dataset": "/home/me/data/qa pairs.csv"}),
    ("the demo data", {"dataset": "starter"}),
    ("starter/lab only", {"dataset": "starter/lab"}),
    ("we don't want the starter data, ours is in ./data/notes.csv", {"dataset": "./data/notes.csv"}),
    # Objective, priority, adaptation.
    ("make it robust to typos", {"objective": "adversarial"}),
    ("doctors ranked pairs of answers", {"objective": "preference"}),
    ("make it refuse dangerous requests", {"objective": "adversarial"}),
    ("data on heart attacks", {"specialty": "cardiology"}),
    ("I need it by tomorrow", {"priority": "speed"}),
    ("quality above all", {"priority": "quality"}),
    ("keep its general abilities", {"adaptation": "low"}),
    ("highly specialised", {"adaptation": "high"}),
    # Nothing for the plan.
    ("hello", {}),
    ("what is LoRA?", {}),
    ("what if I had an A100?", {}),
    ("what does the 20 % buffer do?", {}),
    ("", {}),
]

ANSWERS_TO_A_QUESTION = [
    ("task", "summaries", {"task": "summarization"}),
    ("task", "discharge summaries", {"task": "summarization"}),
    ("task", "reports and patient education", {"task": "report_generation", "other_tasks": ["patient_education"]}),
    ("task", "not sure", {"unknown": ["task"]}),
    ("examples", "3000", {"examples": 3000}),
    ("examples", "12", {"examples": 12}),
    ("examples", "0", {}),
    ("examples", "no idea", {"unknown": ["examples"]}),
    ("gpu", "cpu", CPU),
    ("gpu", "none", CPU),
    ("gpu", "no", CPU),
    ("gpu", "yes", CPU),
    ("gpu", "this machine", CPU),
    ("gpu", "t4", one("t4")),
    ("gpu", "24", {"vram_gib": 24.0, "gpu_count": 1}),
    ("gpu", "4090", one("rtx-4090")),
    ("gpu", "don't know", {"unknown": ["gpu"]}),
    ("contains_phi", "yes", {"contains_phi": True}),
    ("contains_phi", "Yes.", {"contains_phi": True}),
    ("contains_phi", "no", {"contains_phi": False}),
    ("contains_phi", "nope", {"contains_phi": False}),
    ("contains_phi", "no idea", {"contains_phi": None, "unknown": ["contains_phi"]}),
    ("contains_phi", "I don't think so", {"contains_phi": None, "unknown": ["contains_phi"]}),
    ("contains_phi", "I think so", {"contains_phi": True}),
    ("contains_phi", "no, it's real patients", {"contains_phi": True}),
    ("contains_phi", "yes, but anonymised", {"contains_phi": False}),
    ("contains_phi", "No, it hasn't been anonymised", {"contains_phi": True}),
    ("contains_phi", "the reports are from real patients", {"contains_phi": True}),
]


@pytest.mark.parametrize(("text", "expected"), FIRST_MESSAGES)
def test_a_first_message_is_read_exactly(text, expected):
    assert read(text, LAPTOP).changes.model_dump(exclude_unset=True) == expected


@pytest.mark.parametrize(("asked", "text", "expected"), ANSWERS_TO_A_QUESTION)
def test_a_bare_answer_is_read_in_the_light_of_its_question(asked, text, expected):
    assert read(text, LAPTOP, asked=asked).changes.model_dump(exclude_unset=True) == expected


@pytest.mark.parametrize("text", ["yes", "no", "not sure", "12"])
def test_a_bare_answer_without_a_question_says_nothing(text):
    assert not read(text, LAPTOP).understood


def test_this_machine_is_the_gpu_that_it_has():
    assert read("this machine", WORKSTATION).changes.model_dump(exclude_unset=True) == one("rtx-4090")
    assert read("yes", WORKSTATION, asked="gpu").changes.gpu == "rtx-4090"


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("actually 8k, not 3k", "examples", 8000),
        ("sorry, 8000", "examples", 8000),
        ("we'll use an A100 instead", "gpu", "a100-40gb"),
        ("make it a summariser", "task", "summarization"),
        ("use notes.csv now", "dataset", "notes.csv"),
        ("in fact it is not de-identified", "contains_phi", True),
    ],
)
def test_a_later_value_replaces_an_earlier_one(text, field, value):
    before = Answers(task="ner", examples=3000, gpu="rtx-4090", gpu_count=1, contains_phi=False, dataset="starter")
    after = merge(before, read(text, LAPTOP, known=before).changes)
    assert after == before.model_copy(update={field: value})


def test_another_task_is_added_when_it_is_said_to_be_one_more():
    before = Answers(task="report_generation")
    after = merge(before, read("also summarise the history", LAPTOP, known=before).changes)
    assert (after.task, after.other_tasks) == ("report_generation", ["summarization"])


def test_a_new_card_takes_the_memory_and_number_of_the_old_one_with_it():
    before = Answers(vram_gib=24, gpu_count=2)
    after = merge(before, read("on an A100", LAPTOP, known=before).changes)
    assert (after.gpu, after.gpu_count, after.vram_gib) == ("a100-40gb", 1, None)


def test_made_up_and_real_at_once_is_asked_about_and_not_guessed():
    reading = read("synthetic notes and some real patient records", LAPTOP)
    assert reading.changes.contains_phi is None
    assert reading.changes.unknown == ["contains_phi"]
    assert reading.remarks == [
        "You say that the data is made up and that it is from real patients. Which of the two is it?"
    ]


@pytest.mark.parametrize("text", ["an A100 or a 4090", "on a 4090, with my A100", "RTX 3090 / V100, 3k notes"])
def test_two_cards_are_asked_about_and_not_guessed(text):
    reading = read(text, LAPTOP)
    assert reading.changes.gpu is None
    assert reading.remarks[0].startswith("You name ") and reading.remarks[0].endswith(
        "Which of the two will the run use?"
    )


def test_a_card_that_is_not_in_the_catalogue_is_named_and_not_guessed():
    reading = read("a GTX 1080 Ti", LAPTOP)
    assert reading.changes.gpu is None
    assert "GTX 1080 Ti" in reading.remarks[0]
    assert read("a GTX 1080 Ti 11GB", LAPTOP).changes.vram_gib == 11.0
