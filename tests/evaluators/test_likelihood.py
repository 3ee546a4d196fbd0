"""Likelihoods of replies are those of a plain reading, one reply at a time, and nothing is computed twice for them."""

import copy
from pathlib import Path
from typing import Any

import pytest

from evaluators.likelihood import reply_likelihoods
from trainer.methods import quick_layers

CHATS = [
    [{"role": "system", "content": "You are a clinical assistant."}, {"role": "user", "content": text}]
    for text in ("Is it?", "Which drug is it that thins blood and wants its INR looked at?", "Which one comes first?")
]
REPLIES = [["yes", "no"], ["warfarin sodium", "insulin", "a tablet of aspirin with each meal"], ["the second of them"]]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> tuple[Any, Any]:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    tuned = get_peft_model(base, LoraConfig(r=4, init_lora_weights=False, target_modules="all-linear"))
    return tuned.eval(), AutoTokenizer.from_pretrained(tiny_model)


def tokens_of(tokenizer: Any) -> list[tuple[list[int], list[list[int]]]]:
    return [
        (
            tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"],
            [tokenizer(reply, add_special_tokens=False)["input_ids"] for reply in own],
        )
        for chat, own in zip(CHATS, REPLIES, strict=True)
    ]


def plainly(model: Any, tokenizer: Any) -> list[list[float]]:
    """Each reply after its prompt by itself, without a cache, a mask or padding."""
    import torch

    found = []
    for prompt, own in tokens_of(tokenizer):
        row = []
        for reply in own:
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([prompt + reply])).logits[0]
            likely = logits.log_softmax(-1)[len(prompt) - 1 : -1]
            row.append(float(likely.gather(-1, torch.tensor(reply)[:, None]).sum()))
        found.append(row)
    return found


def totals(model: Any, tokenizer: Any, tuned: bool, **options: Any) -> list[list[float]]:
    found = reply_likelihoods(model, tokenizer, CHATS, REPLIES, tuned, **options)
    lengths = [[len(reply) for reply in own] for _, own in tokens_of(tokenizer)]
    assert [[one.tokens for one in own] for own in found] == lengths
    return [[one.total for one in own] for own in found]


def close(found: list[list[float]], expected: list[list[float]]) -> bool:
    return all(own == pytest.approx(other, abs=1e-4) for own, other in zip(found, expected, strict=True))


def test_they_are_those_of_a_plain_reading(model: tuple[Any, Any]):
    tuned, tokenizer = model
    expected = plainly(tuned, tokenizer)
    for most in (1, 60, 1000):  # each conversation by itself, some together, all in one call
        assert close(totals(tuned, tokenizer, True, most_tokens=most), expected)
    with tuned.disable_adapter():
        base = plainly(tuned, tokenizer)
    assert close(totals(tuned, tokenizer, False), base)
    assert not close(base, expected)
    # The model is as it was.
    assert tuned.config._attn_implementation == "sdpa"
    assert close(plainly(tuned, tokenizer), expected)


def test_what_is_shared_is_computed_once(model: tuple[Any, Any]):
    tuned, tokenizer = model
    read: list[int] = []
    layer = tuned.get_base_model().model.layers[0]
    hook = layer.register_forward_hook(lambda _, given, out: read.append(out.shape[0] * out.shape[1]))
    try:
        totals(tuned, tokenizer, True)
    finally:
        hook.remove()
    asked = tokens_of(tokenizer)
    prompts = [prompt for prompt, _ in asked]
    shared = next(at for at in range(len(prompts[0])) if len({prompt[at] for prompt in prompts}) > 1)
    # Nothing is foretold after a reply's last token.
    own = sum(len(prompt) - shared + sum(len(reply) - 1 for reply in replies) for prompt, replies in asked)
    assert read == [shared, own]


def test_a_window_of_attention_holds_within_branches(tmp_path: Path, model: tuple[Any, Any]):
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    _, tokenizer = model
    settings = MistralConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, sliding_window=9, initializer_range=0.3,
    )  # fmt: skip
    windowed = MistralForCausalLM(settings).eval()
    expected = plainly(windowed, tokenizer)
    assert close(totals(windowed, tokenizer, True), expected)
    settings.sliding_window = None
    whole = MistralForCausalLM(settings).eval()
    whole.load_state_dict(windowed.state_dict())
    assert not close(plainly(whole, tokenizer), expected)


def test_attention_of_another_kind_reads_reply_by_reply(model: tuple[Any, Any]):
    tuned, tokenizer = model
    expected = plainly(tuned, tokenizer)
    tuned.get_base_model().set_attn_implementation("eager")
    try:
        assert close(totals(tuned, tokenizer, True), expected)
    finally:
        tuned.get_base_model().set_attn_implementation("sdpa")


def test_layers_for_training_read_the_same(model: tuple[Any, Any]):
    tuned, tokenizer = model
    expected = plainly(tuned, tokenizer)
    quick = copy.deepcopy(tuned)
    quick_layers.quicken(quick)
    assert close(totals(quick, tokenizer, True), expected)
    assert quick_layers.is_quick(quick.get_base_model())  # as before
