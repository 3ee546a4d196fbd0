"""How sure a model is of its answer: by hand on made-up logits, and the same in a batch as alone."""

import math
from pathlib import Path

import pytest
import torch

from evaluators.cases import Likelihood
from evaluators.uncertainty import Uncertainty, of_logits, of_options, read_answers
from trainer import models
from trainer.method_sections import LoraMethod
from trainer.methods import lora
from trainer.sections import RunConfig

LOG2 = math.log(2)


def test_entropy_margin_and_likelihood_of_distributions_by_hand():
    shares = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.25, 0.25, 0.25, 0.25], [0.0, 0.0, 1.0, 0.0]])
    found = of_logits((shares.log() + 3.0)[None])  # logits are only known up to a constant
    expected = [[1.5 * LOG2, 0.25, -LOG2], [2 * LOG2, 0.0, -2 * LOG2], [0.0, 1.0, 0.0]]
    assert found.shape == (1, 3, 3)
    torch.testing.assert_close(found[0], torch.tensor(expected, dtype=torch.float64))
    with pytest.raises(ValueError, match="two outcomes"):
        of_logits(torch.zeros(3, 1))


def test_options_are_all_that_can_be_answered():
    # 0.06 and 0.02 of all that could be said are 0.75 and 0.25 of what can be chosen.
    found = of_options([Likelihood(math.log(0.02), 1), Likelihood(math.log(0.06), 1)])
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert found.entropy == pytest.approx(entropy)
    assert (found.margin, found.likelihood, found.tokens) == (pytest.approx(0.5), pytest.approx(math.log(0.75)), 1)


@pytest.fixture(scope="module")
def pair(tiny_model: Path):
    base, tokenizer, _ = models.load_base(
        RunConfig.model_validate({"model": {"name": str(tiny_model)}, "hardware": {"precision": "fp32"}})
    )
    torch.manual_seed(1)
    model = lora.apply(base, LoraMethod(rank=4, alpha=64))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.5)
    return model.eval(), tokenizer


CHATS = [[{"role": "user", "content": text}] for text in ("Is 4 even?", "Is it?", "Which number is even, 3 or 4?")]


def alone(model, tokenizer, chat, count: int) -> tuple[list[int], list[torch.Tensor]]:
    """Greedy tokens and their logits, each from a reading of everything before it."""
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
    tokens, logits = [], []
    with torch.inference_mode():
        for _ in range(count):
            logits.append(model(input_ids=torch.tensor([ids + tokens])).logits[0, -1])
            tokens.append(int(logits[-1].argmax()))
            if tokens[-1] == tokenizer.eos_token_id:
                break
    return tokens, logits


@pytest.mark.parametrize("tuned", [True, False])
def test_an_answer_in_a_batch_is_read_as_it_is_alone(pair, tuned: bool):
    model, tokenizer = pair
    found = read_answers(model, tokenizer, CHATS, 6, tuned)
    with torch.inference_mode():
        for chat, one in zip(CHATS, found, strict=True):
            if tuned:
                tokens, logits = alone(model, tokenizer, chat, 6)
            else:
                with model.disable_adapter():
                    tokens, logits = alone(model, tokenizer, chat, 6)
            assert list(one.ids) == tokens
            shares = torch.stack(logits).double().softmax(-1)
            best = shares.topk(2).values
            expected = Uncertainty(
                entropy=float(torch.special.entr(shares).sum(-1).mean()),
                margin=float((best[:, 0] - best[:, 1]).mean()),
                likelihood=float(best[:, 0].log().mean()),
                tokens=len(tokens),
            )
            assert one.uncertainty.tokens == expected.tokens
            for name in ("entropy", "margin", "likelihood"):
                assert getattr(one.uncertainty, name) == pytest.approx(getattr(expected, name), abs=1e-4)


def test_what_follows_an_end_mark_does_not_count(pair, monkeypatch: pytest.MonkeyPatch):
    model, tokenizer = pair
    ids = [one.ids for one in read_answers(model, tokenizer, CHATS, 6, True)]
    # The token that the first answer says third is made the end; not all others have it there.
    end = ids[0][2]
    assert end not in ids[0][:2]
    monkeypatch.setattr(model.generation_config, "eos_token_id", end)
    for whole, one in zip(ids, read_answers(model, tokenizer, CHATS, 6, True), strict=True):
        cut = whole.index(end) + 1 if end in whole else len(whole)
        assert one.ids == whole[:cut]
        assert one.uncertainty.tokens == cut
