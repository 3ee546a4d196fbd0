"""Rows as tokens: only the answer is trained, in the model's own template."""

from pathlib import Path

import pytest

from trainer.data.formats import to_row
from trainer.data.tokens import IGNORED, encode

ASKED = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is it?<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture
def tokenizer(tiny_model: Path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def test_only_the_answer_is_trained(tokenizer):
    row = to_row({"question": "What is it?", "answer": "A benign mole."})
    encoded = encode(row, tokenizer, "Be brief.")
    pairs = list(zip(encoded["input_ids"], encoded["labels"], strict=True))
    trained = [token for token, label in pairs if label != IGNORED]
    assert tokenizer.decode(trained) == "A benign mole.<|im_end|>"
    assert tokenizer.decode([token for token, label in pairs if label == IGNORED]) == ASKED
    assert [label for _, label in pairs if label != IGNORED] == trained


def test_of_a_pair_the_chosen_answer_is_trained(tokenizer):
    row = to_row({"prompt": "What is it?", "chosen": "A mole.", "rejected": "Cancer."})
    encoded = encode(row, tokenizer, "Be brief.")
    assert tokenizer.decode([label for label in encoded["labels"] if label != IGNORED]) == "A mole.<|im_end|>"


def test_text_is_trained_as_a_whole_and_ends(tokenizer):
    encoded = encode({"text": "Fever for 3 days."}, tokenizer, "Be brief.")
    assert encoded["labels"] == encoded["input_ids"]
    assert tokenizer.decode(encoded["labels"]) == "Fever for 3 days.<|im_end|>"
