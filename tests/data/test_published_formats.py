"""Real files in their publishers' formats load without configuration; each format becomes the question that it asks."""

import os
from pathlib import Path

import pytest

from trainer.data.formats import to_row
from trainer.data.reading import iob
from trainer.data.records import DataError
from trainer.data.rows import RowError
from trainer.data.sources import read_rows

CORPUS = Path(os.environ.get("BEDSIDE_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "data")


@pytest.mark.parametrize(
    ("file", "rows", "asked", "answered"),
    [
        ("medqa_us/medqa_us_4opt_test.jsonl", 1273, "\nB. Tell the attending", "B. Tell the attending"),
        ("medquad/medquad_sample.jsonl", 2008, "What causes Nephrotic Syndrome", "Nephrotic syndrome can be caused"),
        ("medsafetybench/train.jsonl", 900, "mock a patient's lack", "I'm sorry"),
        ("medsafetybench/ft_safety_gen_n900.json", 900, "set a vehicle on fire", "I'm sorry"),
        ("mts_dialog/MTS-Dialog-ValidationSet.csv", 100, "from this conversation", "26-year-old"),
        ("mts_dialog/MTS-Dialog-TrainingSet.csv", 1201, "Write the section", ""),
        ("ner_bc5cdr/devel.tsv", 4581, "suppresses secondary", "Disease: secondary hyperparathyroidism"),
        ("ner_bc5cdr/test.tsv", 4797, "List the entities", ""),
        ("presidio_research/synth_dataset_v2.json", 1500, "The address of Persint", "ORGANIZATION: Persint"),
        ("pubmedqa/ori_pqal.json", 1000, "Question: Do mitochondria play", "Answer: yes"),
    ],
)
def test_real_files_load_without_configuration(file: str, rows: int, asked: str, answered: str):
    path = CORPUS / file
    if not path.exists():
        pytest.skip(f"{path} is not on this machine (BEDSIDE_CORPUS names the folder)")
    found = read_rows(str(path))
    assert len(found) == rows
    assert asked in found[0]["prompt"][-1]["content"]
    assert answered in found[0]["completion"][0]["content"]


def test_multiple_choice_becomes_letters_with_their_texts():
    row = to_row({"question": "Which?", "options": {"b": "two", "a": "one"}, "answer": "two", "answer_idx": "b"})
    assert row["prompt"][0]["content"] == "Which?\n\nA. one\nB. two"
    assert row["completion"][0]["content"] == "B. two"
    assert to_row({"question": "Which?", "options": {"A": "one", "B": "two"}, "answer": "one"}) is not None
    with pytest.raises(RowError, match="found 'E', which is not of its format") as caught:
        to_row({"question": "Which?", "options": {"A": "one", "B": "two"}, "answer_idx": "E"})
    assert caught.value.field == "answer_idx"


def test_sharegpt_becomes_messages():
    row = to_row({"conversations": [{"from": "human", "value": "Hello?"}, {"from": "gpt", "value": "Yes."}]})
    assert (row["prompt"][0]["role"], row["completion"][0]["content"]) == ("user", "Yes.")
    with pytest.raises(RowError, match="not the assistant's answer"):
        to_row({"conversations": [{"from": "gpt", "value": "Hm."}, {"from": "human", "value": "Hello?"}]})


def test_entities_are_joined_as_they_were_written_and_an_inner_tag_alone_begins_one():
    tokens = ["22", "-", "oxacalcitriol", "helps", "(", "some", ")", "."]
    tags = ["B-Chemical", "I-Chemical", "I-Chemical", "O", "O", "I-Who", "O", "O"]
    assert iob.joined(tokens) == "22-oxacalcitriol helps (some)."
    assert iob.entities(tokens, tags) == [("Chemical", "22-oxacalcitriol"), ("Who", "some")]
    row = to_row({"tokens": ["Fine", "."], "tags": ["O", "O"]})
    assert row["completion"][0]["content"] == "none"


def test_a_line_that_is_no_token_and_tag_is_named(tmp_path: Path):
    path = tmp_path / "tags.tsv"
    path.write_text("a\tO\n" * 300 + "broken\n")
    with pytest.raises(DataError, match=r"tags\.tsv: line 301 is not a token and an IOB tag"):
        read_rows(str(path))
    path.write_text("question\tanswer\nIs it?\tYes.\n")
    assert read_rows(str(path))[0]["completion"][0]["content"] == "Yes."
