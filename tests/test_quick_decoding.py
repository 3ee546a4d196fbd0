"""Answers by the quick way on a CPU are what the model's own calls give, for every row, adapter and family."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PromptTuningConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, DynamicCache

from evaluators import quick_decoding
from evaluators.generation import BASE, Answer, Sampling, stream, stream_alone
from trainer.method_sections import AdapterMethod, Ia3Method, LoraMethod
from trainer.methods import bottleneck, ia3, layer_norm, lora

SHORT = [{"role": "user", "content": "Is 4 even?"}]
LONGER = [{"role": "user", "content": "Which whole number comes after 5?"}]
PLENTY = 2**30
FAMILIES = ["llama", "qwen2", "qwen3"]


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture
def bare(tokenizer: Any) -> Callable[..., Any]:
    """A random model of two layers; biases and norms are random too, where a new model has zeros and ones."""

    def make(family: str = "llama", dtype: torch.dtype = torch.float32, **settings: Any) -> Any:
        config = AutoConfig.for_model(
            family, vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, head_dim=16, max_position_embeddings=512,
            eos_token_id=2, pad_token_id=0, tie_word_embeddings=False, **settings,
        )  # fmt: skip
        model = AutoModelForCausalLM.from_config(config)
        for name, one in model.named_parameters():
            if "norm" in name or name.endswith("bias"):
                torch.nn.init.normal_(one, mean=float("norm" in name), std=0.3)
            else:
                torch.nn.init.normal_(one, std=0.15)
        return model.to(dtype).eval()

    return make


def with_adapters(model: Any) -> Any:
    """Two LoRA adapters of another rank, on other layers, that say something else than the base."""
    from peft import LoraConfig

    tuned = lora.apply(model, LoraMethod(rank=4, alpha=8))
    tuned.add_adapter("second", LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"]))
    for name, one in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(one, std=0.3)
    return tuned.eval()


def quick(model: Any) -> quick_decoding.QuickWeights:
    found = quick_decoding.prepare(model, PLENTY)
    assert found, "the quick way does not know this model"
    return found


def same(one: list[list[Answer]], two: list[list[Answer]]) -> None:
    assert len(one) == len(two)
    for left, right in zip(one, two, strict=True):
        assert [(a.text, a.tokens, a.finished) for a in left] == [(a.text, a.tokens, a.finished) for a in right]
        assert [a.confidence for a in left] == pytest.approx([a.confidence for a in right], abs=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_every_row_says_what_the_model_s_own_calls_say(bare: Any, tokenizer: Any, family: str, temperature: float):
    model = with_adapters(bare(family))
    sampling = Sampling(max_new_tokens=16, temperature=temperature, top_p=0.95)
    for asked in ([SHORT] * 5, [SHORT, LONGER, SHORT, LONGER, LONGER]):  # without padding, and with
        rows, seeds = ["default", BASE, "second", "default", BASE], [1, 1, 1, 2, 3]
        plain = list(stream(model, tokenizer, asked, rows, sampling, seeds))
        assert len({one.text for one in plain[-1]}) > 2, "answers that are all the same would show nothing"
        calls: list[None] = []
        hook = model.get_base_model().register_forward_hook(lambda *_: calls.append(None))  # noqa: B023
        same(list(stream(model, tokenizer, asked, rows, sampling, seeds, quick(model))), plain)
        hook.remove()
        assert len(calls) == 1, "the model itself reads the prompts and nothing more"


def test_rows_that_end_leave_the_others_as_they_were(bare: Any, tokenizer: Any):
    model = with_adapters(bare())
    rows, asked, sampling = ["default", BASE, "second"], [SHORT, LONGER, LONGER], Sampling(max_new_tokens=20)
    texts = [[one.text for one in answers] for answers in stream(model, tokenizer, asked, rows, sampling)]
    said = [[later[len(one) :] for one, later in zip(*both, strict=True)] for both in pairwise(texts)]
    # What one row says in the middle of its answer, and no row before it, is made the end.
    ends = next(
        word for at, words in enumerate(said) if at > 2 for word in words
        if len(word) == 1 and word.isascii() and all(word not in one for one in texts[at])
    )  # fmt: skip
    model.generation_config.eos_token_id = tokenizer(ends, add_special_tokens=False)["input_ids"][0]
    plain = list(stream(model, tokenizer, asked, rows, sampling))
    assert len({one.tokens for one in plain[-1]}) > 1, "all rows end together"
    same(list(stream(model, tokenizer, asked, rows, sampling, quick=quick(model))), plain)


def test_one_side_alone_and_behind_virtual_tokens(bare: Any, tokenizer: Any):
    sampling, seeds = Sampling(max_new_tokens=12, temperature=1.0), [1, 2, 3]
    settings = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=6)
    for model in (bare(), with_adapters(bare()), get_peft_model(bare(), settings).eval()):
        for tuned in (True, False):
            plain = list(stream_alone(model, tokenizer, LONGER, tuned, sampling, seeds))
            same(list(stream_alone(model, tokenizer, LONGER, tuned, sampling, seeds, quick(model))), plain)


@pytest.mark.parametrize("family", FAMILIES)
def test_in_bf16_it_differs_by_rounding_and_no_row_by_its_neighbours(bare: Any, family: str):
    model = with_adapters(bare(family, torch.bfloat16))
    exact = with_adapters(bare(family)).to(torch.float32)
    exact.load_state_dict(model.state_dict())
    prompt, said = torch.tensor([[5, 9, 11, 40]]), torch.tensor([[7, 30, 12, 99, 3]])

    def logits(rows: list[str]) -> torch.Tensor:
        cache = DynamicCache()
        with torch.inference_mode():
            model(prompt.repeat(len(rows), 1), past_key_values=cache, adapter_names=rows)
            going = quick(model).after(cache, rows, None, said.shape[1])
            return torch.cat([going.read(token.repeat(len(rows), 1)) for token in said.T], 1).float()

    with torch.inference_mode():
        whole = torch.cat([prompt, said], 1).repeat(2, 1)
        wanted, plain = (
            one(whole, adapter_names=[BASE, "default"]).logits[:, prompt.shape[1] :].float() for one in (exact, model)
        )
    found = logits([BASE, "default"])
    assert (found - wanted).abs().mean() < 1.2 * (plain - wanted).abs().mean(), "no farther off than the model itself"
    assert (wanted[0] - wanted[1]).abs().mean() > 0.1, "the adapter has to do something"
    # Beside an adapter the base is still the base, to the bit.
    assert torch.equal(logits([BASE, "second"])[0], found[0])
    assert torch.equal(logits([BASE, BASE])[0], found[0])


def test_what_it_does_not_know_is_left_to_the_model_itself(bare: Any):
    others = {
        "DoRA": lora.apply(bare(), LoraMethod(dora=True)),
        "IA3": ia3.apply(bare(), Ia3Method()),
        "norms": layer_norm.apply(bare(), ["tuned"]),
        "bottlenecks": bottleneck.apply(bare(), AdapterMethod(width=4), ["tuned"], []),
        "fp16": bare(dtype=torch.float16),
        "a window": bare("qwen2", use_sliding_window=True, sliding_window=8, max_window_layers=0),
        "another activation": bare(hidden_act="gelu"),
    }
    assert [name for name, model in others.items() if quick_decoding.prepare(model, PLENTY)] == []
    model = bare()
    size = sum(one.weight.nbytes for one in model.modules() if type(one) is torch.nn.Linear)
    assert quick_decoding.prepare(model, size - 1) is None, "no room for a copy"
    assert quick_decoding.prepare(model, size)
