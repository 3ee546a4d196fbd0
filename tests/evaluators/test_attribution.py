"""Words that carried an answer, on a tiny model: by hand for the gradient, by completeness for integrated gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evaluators.attribution import attribute, by_word
from evaluators.input_embeddings import locate
from evaluators.likelihood import reply_likelihoods
from trainer import models
from trainer.method_sections import LoraMethod, PrefixMethod
from trainer.methods import lora, soft_prompts
from trainer.sections import RunConfig

CHAT = [
    {"role": "system", "content": "You answer."},
    {"role": "user", "content": "  Is potassium 6.1 mmol/L (3.5-5.1) high?\n"},
]
ANSWER = "High, très."


def load(tiny_model: Path, precision: str = "fp32", kind: str = "lora") -> tuple[Any, Any]:
    import torch

    config = {"model": {"name": str(tiny_model)}, "hardware": {"precision": precision}}
    base, tokenizer, _ = models.load_base(RunConfig.model_validate(config))
    torch.manual_seed(4)
    if kind == "lora":
        model, part, spread = lora.apply(base, LoraMethod(rank=4, alpha=8)), "lora_B", 0.1
    else:
        model, part, spread = soft_prompts.prefix(base, PrefixMethod(length=4), ["default"]), "prompt_encoder", 1.0
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if part in name:
            parameter.data.normal_(std=spread)
    return model.eval(), tokenizer


@pytest.fixture
def pair(tiny_model: Path) -> tuple[Any, Any]:
    return load(tiny_model)


def whole(model: Any, tokenizer: Any, blank: bool = False) -> tuple[Any, Any, list[int]]:
    """The answer's log-likelihood, read in one piece; the embeddings that it is of; which tokens are the question's."""
    import torch

    prompt = locate(tokenizer, CHAT, CHAT[-1]["content"])
    said = tokenizer(ANSWER, add_special_tokens=False)["input_ids"]
    own = [at for at, place in enumerate(prompt.places) if place]
    ids = torch.tensor([prompt.ids + said])
    if blank:
        ids[0, own] = tokenizer("_", add_special_tokens=False)["input_ids"][0]
    embeds = model.get_input_embeddings()(ids).detach().requires_grad_()
    logits = model(inputs_embeds=embeds).logits[0].log_softmax(-1)
    total = sum(logits[len(prompt.ids) - 1 + at, token] for at, token in enumerate(said))
    return total, embeds, own


def test_gradient_times_input_is_what_one_computes_by_hand(pair: tuple[Any, Any]) -> None:
    import torch

    model, tokenizer = pair
    found = attribute(model, tokenizer, CHAT, ANSWER, tuned=True)
    total, embeds, own = whole(model, tokenizer)
    (gradient,) = torch.autograd.grad(total, embeds)
    by_hand = (gradient * embeds).sum(-1)[0, own].tolist()
    question = CHAT[-1]["content"]
    assert [word.text for word in found.words] == ["Is", "potassium", "6.1", "mmol/L", "(", "3.5-5.1", ")", "high", "?"]
    assert all(question[word.start : word.end] == word.text for word in found.words)
    # In the tiny model a byte is a token; "potassium" is its own nine, and the space before it is the word's before it.
    at = question.strip().index("potassium")
    assert found.words[1].value == pytest.approx(sum(by_hand[at : at + 10]), rel=1e-3)
    assert sum(word.value for word in found.words) == pytest.approx(sum(by_hand), rel=1e-3)
    assert found.log_likelihood == pytest.approx(total.item(), rel=1e-5) and found.delta is None
    expected = reply_likelihoods(model, tokenizer, [CHAT], [[ANSWER]], True)[0][0].total
    assert found.log_likelihood == pytest.approx(expected, rel=1e-5)


def test_integrated_gradients_add_up_to_the_difference_that_the_question_makes(pair: tuple[Any, Any]) -> None:
    model, tokenizer = pair
    told: list[tuple[int, int]] = []
    found = attribute(
        model, tokenizer, CHAT, ANSWER, True, "integrated_gradients", 64, lambda done, of: told.append((done, of)), 16
    )
    difference = whole(model, tokenizer)[0].item() - whole(model, tokenizer, blank=True)[0].item()
    total = sum(word.value for word in found.words)
    assert abs(difference) > 0.2, "a question that changes nothing would show nothing"
    assert found.delta is not None and total - found.delta == pytest.approx(difference, abs=1e-3)
    assert abs(found.delta) < 0.05 * abs(difference)
    rough = attribute(model, tokenizer, CHAT, ANSWER, True, "integrated_gradients", 2)
    assert rough.delta is not None and abs(rough.delta) > abs(found.delta), "two steps are fewer than the path needs"
    assert told[-1] == (64, 64) and [done for done, _ in told] == [16, 32, 48, 64]


def test_each_side_is_asked_by_itself_and_nothing_moves(pair: tuple[Any, Any]) -> None:
    import torch

    model, tokenizer = pair
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    base, tuned = (attribute(model, tokenizer, CHAT, ANSWER, tuned=tuned) for tuned in (False, True))
    with model.disable_adapter():
        assert base.log_likelihood == pytest.approx(whole(model, tokenizer)[0].item(), rel=1e-5)
    assert abs(base.log_likelihood - tuned.log_likelihood) > 0.1
    assert [word.value for word in base.words] != [word.value for word in tuned.words]
    for name, one in model.named_parameters():
        assert one.grad is None and torch.equal(one, before[name]), name


@pytest.mark.parametrize("kind", ["lora in bf16", "prefix"])
def test_other_precisions_and_virtual_tokens(tiny_model: Path, kind: str) -> None:
    model, tokenizer = load(tiny_model, *(("bf16", "lora") if "bf16" in kind else ("fp32", "prefix")))
    for tuned in (True, False):
        found = attribute(model, tokenizer, CHAT, ANSWER, tuned, "integrated_gradients", 8)
        expected = reply_likelihoods(model, tokenizer, [CHAT], [[ANSWER]], tuned)[0][0].total
        assert found.log_likelihood == pytest.approx(expected, rel=1e-2 if "bf16" in kind else 1e-4)
        assert any(word.value for word in found.words)


def test_tokens_become_words_and_lose_nothing() -> None:
    places = [(0, 3), (3, 5), (5, 10), (10, 11), (11, 16), (16, 17)]
    words = by_word("feverish, hot  day?", [*places, (18, 19)], [1.0, 2.0, 4.0, 8.0, 16.0, -1.0, -0.5], shift=2)
    assert [(word.text, word.start) for word in words] == [
        ("feverish", 2),
        (",", 10),
        ("hot", 12),
        ("day", 17),
        ("?", 20),
    ]
    # The third token reaches over "ish", the comma and a space; the fourth is "h"; the fifth "ot", spaces and "d".
    assert [word.value for word in words] == pytest.approx([6.0, 1.0, 8.0 + 32 / 3, 16 / 3 - 1.0, -0.5])
    chinese = by_word("血钾高吗", [(0, 2), (2, 4), (2, 4)], [1.0, 2.0, 4.0])
    assert [(word.text, word.value) for word in chinese] == [("血", 0.5), ("钾", 0.5), ("高", 3.0), ("吗", 3.0)]


def test_what_cannot_be_attributed_says_why(pair: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match="the answer is empty"):
        attribute(*pair, CHAT, "", True)
    with pytest.raises(ValueError, match="at least two steps"):
        attribute(*pair, CHAT, ANSWER, True, "integrated_gradients", 1)
    with pytest.raises(ValueError, match="unknown method 'shap'"):
        attribute(*pair, CHAT, ANSWER, True, "shap")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="does not contain"):
        attribute(*pair, [{"role": "user", "content": " \n"}], ANSWER, True)
