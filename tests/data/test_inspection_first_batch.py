"""The first batch shows what the trainer takes, character by character; a row that trains nothing is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from trainer.data.inspection.first_batch import TokenRun, token_view
from trainer.data.records import DataError
from trainer.data.rows import Row
from trainer.data.tokens import IGNORED, Encoded, encode

SYSTEM = "Be brief."


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(tiny_model)


def row(question: str, answer: str, place: str = "row 7") -> Row:
    return Row(
        prompt=[{"role": "user", "content": question}],
        completion=[{"role": "assistant", "content": answer}],
        about={"source": "/data/visits.csv", "place": place},
    )


def view(rows: list[Row], tokenizer: PreTrainedTokenizerBase, max_length: int | None = None):
    return token_view(rows, tokenizer, lambda one: encode(one, tokenizer, SYSTEM), max_length)


def test_the_answer_and_its_end_are_trained_and_nothing_else(tokenizer: PreTrainedTokenizerBase):
    seen = view([row("Safe?", "Yes.")], tokenizer)[0]
    asked = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nSafe?<|im_end|>\n<|im_start|>assistant\n"
    # One token a byte, and one for each mark.
    assert seen.runs == [
        TokenRun(
            text=asked, trained=False, tokens=5 + len(asked.replace("<|im_start|>", "").replace("<|im_end|>", ""))
        ),
        TokenRun(text="Yes.<|im_end|>", trained=True, tokens=5),
    ]
    assert (seen.place, seen.trained_tokens, seen.cut_tokens) == ("visits.csv, row 7", 5, 0)
    assert seen.all_tokens == sum(run.tokens for run in seen.runs)


@pytest.mark.parametrize(
    ("question", "answer"),
    [("¿Qué es la anemia?", "Menos hemoglobina."), ("什么是贫血？", "血红蛋白减少。"), ("Fièvre 🤒 ?", "Ça va ✅")],
)
def test_joined_runs_are_the_decoded_row(tokenizer: PreTrainedTokenizerBase, question: str, answer: str):
    one = row(question, answer)
    ids = encode(one, tokenizer, SYSTEM)["input_ids"]
    for limit in (None, *range(len(ids) - 8, len(ids))):
        seen = view([one], tokenizer, limit)[0]
        decoded = tokenizer.decode(ids[:limit], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        assert "".join(run.text for run in seen.runs) == decoded
        assert seen.cut_tokens == len(ids) - (limit or len(ids))
        assert question in seen.runs[0].text and not seen.runs[0].trained


def test_a_character_in_two_runs_goes_to_the_later_one(tokenizer: PreTrainedTokenizerBase):
    ids = tokenizer("a血b", add_special_tokens=False)["input_ids"]
    assert isinstance(ids, list) and len(ids) == 5
    labels = [IGNORED, IGNORED, ids[2], ids[3], IGNORED]
    seen = token_view([Row()], tokenizer, lambda _: Encoded(input_ids=ids, labels=labels))[0]
    assert seen.place == "row 1"
    assert seen.runs == [
        TokenRun(text="a", trained=False, tokens=2),
        TokenRun(text="血", trained=True, tokens=2),
        TokenRun(text="b", trained=False, tokens=1),
    ]


def test_a_row_without_a_trained_token_is_refused_by_name(tokenizer: PreTrainedTokenizerBase):
    good, long = row("Safe?", "Yes."), row("Is it " * 40, "Yes.", "row 9")
    asked = sum(label == IGNORED for label in encode(long, tokenizer, SYSTEM)["labels"])
    with pytest.raises(DataError) as caught:
        view([good, long], tokenizer, asked)
    assert str(caught.value) == (
        f"visits.csv, row 9: the question alone has {asked} tokens and fills schedule.max_length ({asked}), so that no "
        "token of the answer is trained. Raise it, or shorten the question."
    )
    assert view([good, long], tokenizer, asked + 1)[1].trained_tokens == 1
    with pytest.raises(DataError) as caught:
        token_view([row("a", "b")], tokenizer, lambda _: Encoded(input_ids=[5, 6], labels=[IGNORED, IGNORED]))
    assert str(caught.value) == (
        "visits.csv, row 7: none of its 2 tokens is trained. Fill in the answer or remove the row."
    )
