"""Preferences as tokens, and on which side of the split their pairs fall."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from trainer import models
from trainer.config import parse
from trainer.data.near_duplicates import words
from trainer.data.prepare import prepare
from trainer.data.tokenised import Prepared, tokenise
from trainer.data_sections import DataSource
from trainer.objectives.reference import unrelated
from trainer.sections import RunConfig

SYSTEM = "<|im_start|>system\nYou are a clinical assistant.<|im_end|>\n"
ASKED = SYSTEM + "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


def run_on(run: RunConfig, path: Path, rows: list[dict[str, Any]], kind: str, **schedule: Any) -> RunConfig:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = run.model_dump(mode="json")
    data["schedule"] |= schedule
    return parse({**data, "objective": {"kind": kind}})


def tokens_of(run: RunConfig) -> tuple[Prepared, Any]:
    tokenizer: Any = models.load_tokenizer(run.model.name, None)
    return tokenise(run, tokenizer), tokenizer


def rows_of(side: Any) -> list[dict[str, Any]]:
    return list(side)


PAIRS = [{"prompt": f"What is {n}?", "chosen": f"{n} it is.", "rejected": "No idea."} for n in range(20)]


def test_a_pair_is_written_in_the_model_s_template_with_both_end_marks(tiny_run: RunConfig, tiny_data: Path):
    found, tokenizer = tokens_of(run_on(tiny_run, tiny_data, PAIRS, "dpo"))
    assert (len(found.train), len(found.validation)) == (18, 2)
    for row in rows_of(found.train):
        read = {name: tokenizer.decode(row[f"{name}_ids"]) for name in ("prompt", "chosen", "rejected")}
        number = read["chosen"].split()[0]
        expected = (ASKED.format(f"What is {number}?"), f"{number} it is.<|im_end|>", "No idea.<|im_end|>")
        assert tuple(read.values()) == expected
        assert row["length"] == len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))
    both = sum(
        2 * len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in rows_of(found.train)
    )
    assert found.manifest.all_tokens == both


def test_for_kto_a_pair_is_a_good_and_a_bad_answer(tiny_run: RunConfig, tiny_data: Path):
    labels = [{"prompt": f"Who is {n}?", "completion": "A nurse.", "label": bool(n % 2)} for n in range(10)]
    run = run_on(tiny_run, tiny_data, PAIRS, "kto")
    of_votes = tiny_data.with_name("votes.jsonl")
    of_votes.write_text("".join(json.dumps(row) + "\n" for row in labels))
    run.data.sources.append(DataSource(name=str(of_votes)))
    found, tokenizer = tokens_of(run)
    read = {
        (tokenizer.decode(row["prompt_ids"]), tokenizer.decode(row["completion_ids"])): row["label"]
        for side in (found.train, found.validation)
        for row in rows_of(side)
    }
    assert len(read) == 2 * len(PAIRS) + len(labels)
    assert read[ASKED.format("What is 3?"), "3 it is.<|im_end|>"] is True
    assert read[ASKED.format("What is 3?"), "No idea.<|im_end|>"] is False
    assert read[ASKED.format("Who is 4?"), "A nurse.<|im_end|>"] is False


def test_long_answers_are_cut_and_pairs_without_an_answer_are_left_out_and_counted(
    tiny_run: RunConfig, tiny_data: Path
):
    tokenizer: Any = models.load_tokenizer(tiny_run.model.name, None)
    tokens = len(tokenizer(ASKED.format("What is 1?"))["input_ids"])
    long = [{"prompt": "What is it, at last and in the end, after all?", "chosen": "yes", "rejected": "no"}]
    rows = [{"prompt": f"What is {n}?", "chosen": "abcdefghijklmnop", "rejected": "x"} for n in range(10)] + long
    limit = tokens + 10
    found, _ = tokens_of(run_on(tiny_run, tiny_data, rows, "dpo", max_length=limit))
    for row in rows_of(found.train):
        assert row["length"] <= limit
        assert tokenizer.decode(row["chosen_ids"]) == "abcdefghij"
        assert tokenizer.decode(row["rejected_ids"]) == "x<|im_end|>", "what fits is whole"
    assert len(found.train) + len(found.validation) == 10
    assert any("rows are longer than schedule.max_length" in one for one in found.warnings)
    assert any("1 of 11 rows have no answer left within schedule.max_length" in one for one in found.warnings)


@pytest.mark.parametrize("kind", ["dpo", "kto", "sft"])
def test_all_pairs_of_a_question_stay_on_one_side(tiny_run: RunConfig, tiny_data: Path, kind: str):
    """Thirty questions with six pairs each, some in other letters or with another word, in mixed order."""
    draw = random.Random(3)
    made = ["".join(draw.choices("abcdefghij", k=6)) for _ in range(300)]
    asked = [f"What of {' '.join(draw.sample(made, 24))}?" for _ in range(30)]
    rows = []
    for turn in range(6):
        for number, question in enumerate(asked):
            text = [question, question.upper(), question.replace("What of", "And what of")][turn % 3]
            rows.append({"prompt": text, "chosen": f"Answer {turn} to {number}.", "rejected": f"Not {turn}."})
    run = run_on(tiny_run, tiny_data, rows, kind)
    run.data.validation_share, run.data.test_share = 0.2, 0.2
    data = prepare(run)
    sides: dict[str, set[str]] = {}
    for side in ("train", "validation", "test"):
        for row in data.rows(side):
            question = " ".join(words(row["prompt"][-1]["content"])).removeprefix("and ")
            sides.setdefault(question, set()).add(side)
    assert len(sides) == len(asked) and all(len(found) == 1 for found in sides.values())
    assert {side for found in sides.values() for side in found} == {"train", "validation", "test"}


def test_answers_that_show_how_far_a_model_moved_are_to_another_question():
    class Rows:
        def __init__(self, prompts: list[int]):
            self.prompts = prompts

        def __getitem__(self, name: str) -> list[list[int]]:
            assert name == "prompt_ids"
            return [[one] for one in self.prompts]

    def of(prompts: list[int]) -> list[int]:
        rows: Any = Rows(prompts)
        return unrelated(rows)

    assert of([7, 7, 8, 9, 9, 7]) == [2, 2, 3, 5, 5, 2]
    assert of([7, 7, 7]) == [1, 2, 0], "one question alone"
