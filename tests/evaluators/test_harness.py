"""lm-evaluation-harness and the multiple-choice suite find the same number on the same items, base and tuned."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evaluators.cases import Item, Likelihood, Messages, Progress, silent
from evaluators.harness import HarnessMissing, harness_accuracy
from evaluators.likelihood import reply_likelihoods
from evaluators.scores import measure
from evaluators.suites import multiple_choice

SYSTEM = "You are a clinical assistant."


class Answering:
    """One side of a model as a respondent that writes nothing."""

    def __init__(self, model: Any, tokenizer: Any, tuned: bool):
        self.model, self.tokenizer, self.tuned = model, tokenizer, tuned

    def answer(self, conversations: Sequence[Messages], max_new_tokens: int, progress: Progress = silent) -> list[str]:
        return [""] * len(conversations)

    def likelihoods(
        self, conversations: Sequence[Messages], replies: Sequence[Sequence[str]], progress: Progress = silent
    ) -> list[list[Likelihood]]:
        asked = [[{"role": "system", "content": SYSTEM}, *one] for one in conversations]
        return reply_likelihoods(self.model, self.tokenizer, asked, replies, self.tuned)


def questions(count: int) -> list[Item]:
    words = ["aspirin", "warfarin", "insulin", "heparin", "codeine"]
    return [
        Item(
            id=str(number),
            prompt=[{"role": "user", "content": f"{'Well, ' * (number % 4)}which drug comes at place {number}?"}],
            options=[words[(number + step) % 5] for step in range(3 + number % 3)],
            answer=number % 3,
        )
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> tuple[Any, Any]:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    tuned = get_peft_model(base, LoraConfig(r=4, init_lora_weights=False, target_modules="all-linear"))
    for name, weights in tuned.named_parameters():
        if "lora_B" in name:
            weights.data *= 20  # so that it chooses otherwise than the base
    return tuned.eval(), AutoTokenizer.from_pretrained(tiny_model)


def test_both_find_the_same_number(model: tuple[Any, Any]):
    pytest.importorskip("lm_eval")
    items = questions(60)
    found = []
    for tuned in (False, True):
        cases = multiple_choice.ask(items, Answering(*model, tuned))
        ours = measure(multiple_choice.scores(cases)[0]).value
        assert harness_accuracy(*model, items, SYSTEM, tuned) == pytest.approx(ours, abs=1e-12)
        found.append([case.right for case in cases])
    assert found[0] != found[1]  # the adapter really was off for one of them
    assert 0 < sum(found[0]) < 60


def test_without_the_harness_it_says_what_to_install(model: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "lm_eval.evaluator", None)
    with pytest.raises(HarnessMissing, match=r"pip install 'bedside\[harness\]'"):
        harness_accuracy(*model, questions(3), SYSTEM, True)


def test_items_without_a_key_are_refused(model: tuple[Any, Any]):
    pytest.importorskip("lm_eval")
    with pytest.raises(ValueError, match="index of the right one"):
        harness_accuracy(*model, [questions(1)[0].model_copy(update={"answer": None})], SYSTEM, True)
