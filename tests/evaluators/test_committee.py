"""A committee's disagreement by hand; readings that are the model's own; dropout that makes one model several."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluators import committee
from evaluators.committee import disagreement, dropout_on, read_answers
from evaluators.uncertainty import read_answers as read_own
from trainer import models
from trainer.method_sections import LoraMethod
from trainer.methods import lora
from trainer.sections import RunConfig


def test_vote_entropy_and_divergence_by_hand():
    # Two of three for one class: the entropy of (2/3, 1/3), and so is the divergence where each is certain.
    certain = np.array([[[1.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]]])
    found = disagreement(certain, np.array([[7], [7], [9]]))
    expected = -(2 / 3) * math.log(2 / 3) - (1 / 3) * math.log(1 / 3)
    assert (found.vote_entropy, found.kl) == (pytest.approx(expected), pytest.approx(expected))


def test_divergence_sees_what_votes_do_not():
    # KL((0.9, 0.1) | (0.75, 0.25)) and KL((0.6, 0.4) | (0.75, 0.25)), and their mean.
    shares = np.array([[[0.9, 0.1]], [[0.6, 0.4]]])
    first = 0.9 * math.log(0.9 / 0.75) + 0.1 * math.log(0.1 / 0.25)
    second = 0.6 * math.log(0.6 / 0.75) + 0.4 * math.log(0.4 / 0.25)
    found = disagreement(shares, np.array([[0], [0]]))
    assert (found.vote_entropy, found.kl) == (0.0, pytest.approx((first + second) / 2))


def test_tokens_count_alike():
    # Of two tokens, all agree on the first and are two against two on the second: half of log 2.
    shares = np.array([[[1.0, 0.0], [1.0, 0.0]]] * 2 + [[[1.0, 0.0], [0.0, 1.0]]] * 2)
    found = disagreement(shares, shares.argmax(-1))
    assert (found.vote_entropy, found.kl) == (pytest.approx(math.log(2) / 2), pytest.approx(math.log(2) / 2))
    with pytest.raises(ValueError, match="two members"):
        disagreement(shares[:1], shares[:1].argmax(-1))


@pytest.fixture(scope="module")
def pair(tiny_model: Path):
    base, tokenizer, _ = models.load_base(
        RunConfig.model_validate({"model": {"name": str(tiny_model)}, "hardware": {"precision": "fp32"}})
    )
    torch.manual_seed(1)
    model = lora.apply(base, LoraMethod(rank=4, alpha=64, dropout=0.3))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.5)
    return model.eval(), tokenizer


CHATS = [[{"role": "user", "content": text}] for text in ("Is 4 even?", "Is it?", "Which number is even, 3 or 4?")]
ANSWERS = [[70, 71, 72, 2], [80], [90, 91]]


@pytest.mark.parametrize("tuned", [True, False])
def test_a_reading_in_a_batch_is_that_of_the_model_alone(pair, tuned: bool):
    model, tokenizer = pair
    found = read_answers(model, tokenizer, CHATS, ANSWERS, tuned)
    for chat, answer, one in zip(CHATS, ANSWERS, found, strict=True):
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
        ids = torch.tensor([prompt + answer])
        with torch.inference_mode():
            if tuned:
                logits = model(input_ids=ids).logits
            else:
                with model.disable_adapter():
                    logits = model(input_ids=ids).logits
        shares = logits[0, len(prompt) - 1 : -1].double().softmax(-1).numpy()
        assert one.votes.tolist() == shares.argmax(-1).tolist()
        own = np.take_along_axis(shares, one.outcomes, -1)
        assert one.shares[:, :-1] == pytest.approx(own, abs=1e-4)
        assert one.shares[:, -1] == pytest.approx(1 - own.sum(-1), abs=1e-4)


def test_what_is_not_told_apart_can_only_hide_disagreement(pair, monkeypatch: pytest.MonkeyPatch):
    model, tokenizer = pair
    found = {}
    for outcomes in (4, 259):  # 259: the whole vocabulary
        monkeypatch.setattr(committee, "OUTCOMES", outcomes)
        first = read_answers(model, tokenizer, CHATS, ANSWERS, True)
        second = read_answers(model, tokenizer, CHATS, ANSWERS, False, [one.outcomes for one in first])
        found[outcomes] = [
            disagreement(np.stack([one.shares, other.shares]), np.stack([one.votes, other.votes]))
            for one, other in zip(first, second, strict=True)
        ]
    for some, every in zip(found[4], found[259], strict=True):
        assert 0 < some.kl < every.kl
        assert some.vote_entropy == every.vote_entropy


def test_dropout_makes_members_that_their_seed_repeats(pair):
    model, tokenizer = pair
    asked = [one.ids for one in read_own(model, tokenizer, CHATS, 4, True)]

    def read(seed: int) -> np.ndarray:
        with dropout_on(model, seed):
            return np.concatenate([one.shares[:, -1] for one in read_answers(model, tokenizer, CHATS, asked, True)])

    assert read(1) == pytest.approx(read(1), abs=0)
    assert np.abs(read(1) - read(2)).max() > 1e-3
    plain = np.concatenate([one.shares[:, -1] for one in read_answers(model, tokenizer, CHATS, asked, True)])
    again = np.concatenate([one.shares[:, -1] for one in read_answers(model, tokenizer, CHATS, asked, True)])
    assert plain == pytest.approx(again, abs=0), "dropout stayed on"


def test_a_model_without_dropout_is_no_committee(tiny_model: Path):
    model, _, _ = models.load_base(
        RunConfig.model_validate({"model": {"name": str(tiny_model)}, "hardware": {"precision": "fp32"}})
    )
    with pytest.raises(ValueError, match="without dropout"), dropout_on(model, 1):
        pass
