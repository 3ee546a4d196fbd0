"""What people write, and what it must be read as. Exactly: nothing missed, and nothing read that was not said."""

from pathlib import Path

import pytest
import yaml

from assistant.planner.answers import Answers, merge
from assistant.planner.reading import read
from assistant.planner.reading_text import Message
from assistant.planner.requests import read_requests
from trainer.hardware import GpuDevice, Machine

LAPTOP = Machine(cpu_name="CPU", cores=2, memory_gib=23.5, cpu_bf16=True)
WORKSTATION = LAPTOP.model_copy(
    update={"gpus": [GpuDevice(name="NVIDIA GeForce RTX 4090", memory_gib=24.0, row="rtx-4090")]}
)
CPU = {"gpu": "cpu", "gpu_count": 0}


def one(gpu: str, count: int = 1) -> dict:
    return {"gpu": gpu, "gpu_count": count}


UTTERANCES = yaml.safe_load((Path(__file__).parent / "utterances.yaml").read_text(encoding="utf-8"))


def _read(row: dict) -> tuple[dict, list[str]]:
    reading = read(row["say"], LAPTOP, known=Answers(**row.get("known", {})), asked=row.get("asked"))
    return reading.changes.model_dump(exclude_unset=True), reading.remarks


@pytest.mark.parametrize("row", [row for row in UTTERANCES if "settings" in row], ids=lambda row: row["say"])
def test_a_request_is_read_exactly_and_taken_out_of_the_message(row):
    message = Message(row["say"])
    settings, remarks = read_requests(message, None, {})
    assert settings == row["settings"]
    left = read(message.rest.replace("\x1f", " "), LAPTOP, known=Answers())
    assert left.changes.model_dump(exclude_unset=True) == row["expect"]
    if "asks" in row:
        assert any(row["asks"] in remark for remark in remarks)


@pytest.mark.parametrize("row", [row for row in UTTERANCES if "settings" not in row], ids=lambda row: row["say"])
def test_a_message_is_read_exactly(row):
    changes, remarks = _read(row)
    assert changes == row["expect"]
    if "asks" in row:
        assert any(row["asks"] in remark for remark in remarks)


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
    assert reading.remarks[0].startswith("You name two cards") and reading.remarks[0].endswith(
        "Which of the two will the run use?"
    )


def test_a_card_that_is_not_in_the_catalogue_is_named_and_not_guessed():
    reading = read("a GTX 1080 Ti", LAPTOP)
    assert reading.changes.gpu is None
    assert "GTX 1080 Ti" in reading.remarks[0]
    assert read("a GTX 1080 Ti 11GB", LAPTOP).changes.vram_gib == 11.0
