"""Rows from files: every accepted format, every bad row named, and only the answer trained."""

import json
from pathlib import Path

import pytest

from trainer.config import RunConfig
from trainer.data.formats import to_row
from trainer.data.prepare import prepare, split_rows
from trainer.data.records import DataError
from trainer.data.rows import row_id
from trainer.data.sources import read_rows
from trainer.data.tokens import IGNORED, encode


def test_rows_without_an_answer_are_named(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "a", "answer": "b"}\n\n{"question": "c"}\n{"question": "d", "answer": ""}\n')
    with pytest.raises(DataError) as caught:
        read_rows(str(path))
    assert str(caught.value).startswith("rows.jsonl: 2 of 3 rows cannot be used. row 3, field answer:")
    assert "row 4, field answer: is empty" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"question": "a"', "row 1 is not valid JSON"),
        ("a.jsonl", b"[1]", "row 1 is a list"),
        ("a.jsonl", b"\xff\xfe", "not UTF-8"),
        ("a.jsonl", b"", "holds no rows"),
        ("a.json", b'{"a": 1}', "expected a list of objects"),
        ("a.json", b"[" * 100_000, "nested too deeply"),
        ("a.csv", b"question,answer\na,b,c\n", "row 1 has more cells"),
        ("a.exe", b"x", "files of type .exe are not read"),
    ],
)
def test_unreadable_files_are_one_sentence(tmp_path: Path, name: str, content: bytes, said: str):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_rows(str(path))


def test_names_that_are_not_there():
    with pytest.raises(DataError, match=r"There is no file 'nowhere\.csv'"):
        read_rows("nowhere.csv")
    for name in ("starter/nothing", "starter/../../pyproject"):
        with pytest.raises(DataError, match="there are starter/"):
            read_rows(name)


def test_csv_cells_may_hold_lines(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text('\ufeffquestion,answer\n"a\nb","c, d"\n', encoding="utf-8")
    (row,) = read_rows(str(path))
    assert row["prompt"][0]["content"] == "a\nb" and row["completion"][0]["content"] == "c, d"


def test_only_the_answer_is_trained(tiny_model: Path):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    row = to_row({"question": "What is it?", "answer": "A benign mole."})
    encoded = encode(row, tokenizer, "Be brief.")
    trained = [token for token, label in zip(encoded["input_ids"], encoded["labels"], strict=True) if label != IGNORED]
    assert tokenizer.decode(trained) == "A benign mole.<|im_end|>"
    untrained = [
        token for token, label in zip(encoded["input_ids"], encoded["labels"], strict=True) if label == IGNORED
    ]
    asked = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is it?<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(untrained) == asked
    assert [label for label in encoded["labels"] if label != IGNORED] == trained


def test_equal_rows_never_stand_on_both_sides(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    rows = [{"question": f"q{number % 20}", "answer": "a"} for number in range(100)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = RunConfig.model_validate({"data": {"sources": [{"name": str(path)}]}, "steering": {"replay_share": 0.1}})
    train, validation, replay, _ = split_rows(config)
    assert not {row_id(row) for row in train} & {row_id(row) for row in validation}
    assert (len(train), len(validation), len(replay)) == (18, 2, 2)


def test_cut_rows_and_thin_replay_are_told(tiny_run: RunConfig, tiny_model: Path):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tiny_run.steering.replay_share = 0.5
    tiny_run.data.sources[0].name = "starter/lab"
    tiny_run.schedule.max_length = 300
    prepared = prepare(tiny_run, tokenizer)
    assert any("Replay of 50% was asked for" in warning for warning in prepared.warnings)
    assert any("longer than schedule.max_length" in warning for warning in prepared.warnings)
    assert prepared.manifest.longest_row > 300 and max(len(row["input_ids"]) for row in prepared.train) == 300
    again = prepare(tiny_run, tokenizer)
    assert again.manifest == prepared.manifest and again.train == prepared.train
    tiny_run.schedule.max_length = 16
    with pytest.raises(DataError, match="nothing would be trained"):
        prepare(tiny_run, tokenizer)
