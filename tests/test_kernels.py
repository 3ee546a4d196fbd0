"""Kernels for GPUs: planned by the device, left out with a sentence, and the same numbers without padding."""

from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import PrefixTuningConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from assistant.planner.advice import advise
from assistant.planner.answers import Answers
from trainer import kernels
from trainer.combinations import faults
from trainer.hardware import detect
from trainer.method_sections import LoraMethod
from trainer.methods import MethodError, lora
from trainer.objectives import answer_loss
from trainer.sections import RunConfig

LONG = {"schedule.max_steps": 100_000, "model.name": "qwen2.5-1.5b-instruct"}
SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 50, "pad_token_id": 0}


def tiny(model_type: str = "llama", adapter: bool = True) -> Any:
    torch.manual_seed(0)
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    base: Any = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **SHAPE, **heads))
    model = lora.apply(base, LoraMethod(rank=4, alpha=8)) if adapter else base
    for name, part in model.named_parameters():
        if "lora_B" in name:
            part.data = 0.1 * torch.randn_like(part)
    return model


def run_with(*names: str, **hardware: Any) -> RunConfig:
    return RunConfig.model_validate({"hardware": {"device": "cuda", "kernels": list(names), **hardware}})


@pytest.mark.parametrize(
    ("gpu", "settings", "expected"),
    [
        ("rtx-4090", {}, ["flash_attention", "liger"]),
        ("rtx-4090", LONG | {"model.quantization": "none"}, ["flash_attention", "liger", "compile"]),
        ("rtx-4090", LONG | {"model.quantization": "nf4"}, ["flash_attention", "liger"]),
        ("rtx-4090", {"method.kind": "prefix"}, ["liger"]),
        ("rtx-4090", {"hardware.kernels": []}, []),
        ("t4", {}, []),
        ("cpu", {}, []),
    ],
)
def test_the_planner_names_what_the_device_can_use(gpu: str, settings: dict[str, Any], expected: list[str]):
    plan = advise(Answers(task="question_answering", dataset="starter", gpu=gpu, settings=settings), detect())
    assert plan.config.hardware.kernels == expected
    assert not expected or any(one.field == "hardware.kernels" and one.value == expected for one in plan.reasons)
    assert not faults(plan.config)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (run_with("liger", device="cpu"), "liger is for a GPU, and hardware.device is cpu; leave it out."),
        (
            run_with("flash_attention", precision="fp32"),
            "flash_attention computes in 16 bits, and hardware.precision is fp32; leave it out, or take auto.",
        ),
        (
            RunConfig.model_validate(
                {"model": {"quantization": "nf4"}, "hardware": {"device": "cuda", "kernels": ["compile"]}}
            ),
            "compile does not see into 4-bit layers (model.quantization is nf4); leave it out.",
        ),
    ],
)
def test_what_does_not_go_together_is_said(run: RunConfig, expected: str):
    assert [fault.message for fault in faults(run) if fault.field == "hardware.kernels"] == [expected]


def test_what_the_machine_lacks_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch):
    run = run_with("flash_attention", "liger", "compile")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "flash_attn" else object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    assert kernels.lacking(run) == {
        "flash_attention": "hardware.kernels: flash_attention is left out, since the package flash-attn is not "
        "installed (`pip install flash-attn` in Bedside's environment). The run computes the same without it."
    }
    assert kernels.attention(run) == {}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert "compute capability is 7.5, and flash_attention needs 8.0" in kernels.lacking(run)["flash_attention"]
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 9))
    assert kernels.lacking(run) == {}
    assert kernels.attention(run) == {"attn_implementation": "flash_attention_2"}
    assert kernels.attention(run_with("liger")) == {}


def test_rows_without_padding_give_the_same_losses_and_gradients(monkeypatch: pytest.MonkeyPatch):
    """As FlashAttention reads them; here PyTorch's own attention, which tells rows apart by their positions too."""
    lengths = [11, 4, 7]
    mask = torch.tensor([[int(place < length) for place in range(11)] for length in lengths])
    inputs = {"input_ids": torch.randint(1, 50, mask.shape) * mask, "attention_mask": mask}
    labels = inputs["input_ids"].masked_fill(mask == 0, -100)
    found = []
    for padded in (True, False):
        model = tiny().train()
        read = model.get_base_model().base_model
        seen: list[Any] = []
        read.register_forward_pre_hook(lambda part, args, kwargs, seen=seen: seen.append(kwargs), with_kwargs=True)
        monkeypatch.setattr(kernels, "reads_without_padding", lambda model, core, padded=padded: not padded)
        losses, _ = answer_loss.read(model, inputs).losses(labels)
        losses.mean().backward()
        assert (seen[0].get("inputs_embeds") is None) == padded
        assert padded or seen[0]["inputs_embeds"].shape[1] == sum(lengths)
        found.append((losses.detach(), [part.grad for part in model.parameters() if part.requires_grad]))
    (expected, gradients), (losses, others) = found
    assert torch.allclose(losses, expected, atol=1e-5)
    for one, other in zip(gradients, others, strict=True):
        assert one is not None and other is not None and torch.allclose(one, other, atol=1e-5)


def test_virtual_tokens_need_a_batch():
    model = tiny()
    core = model.get_base_model()
    assert not kernels.reads_without_padding(model, core), "PyTorch's own attention reads a batch"
    core.config._attn_implementation = kernels.FLASH
    assert kernels.reads_without_padding(model, core)
    prefixed: Any = get_peft_model(tiny(adapter=False), PrefixTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"))
    prefixed.get_base_model().config._attn_implementation = kernels.FLASH
    assert not kernels.reads_without_padding(prefixed, prefixed.get_base_model())


def test_a_model_takes_them_on_and_one_that_liger_does_not_know_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kernels, "lacking", lambda run: {})
    given: list[Any] = []
    patch = SimpleNamespace(
        MODEL_TYPE_TO_APPLY_LIGER_FN={"llama": None},
        _apply_liger_kernel_to_instance=lambda core, **options: given.append((core, options)),
    )
    monkeypatch.setitem(sys.modules, "liger_kernel", SimpleNamespace(transformers=None))
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers", SimpleNamespace(monkey_patch=patch))
    compiled: list[Any] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda part, **options: compiled.append((part, options)))
    model = tiny()
    core = model.get_base_model()
    kernels.take(core, run_with("liger", "compile"))
    assert given == [(core, {"cross_entropy": False, "fused_linear_cross_entropy": False})]
    assert [part for part, _ in compiled] == list(core.model.layers)
    assert all(options == {"dynamic": True} for _, options in compiled)
    with pytest.raises(MethodError, match=r"liger has no kernels for models of the type qwen2; take it out\."):
        kernels.take(tiny("qwen2").get_base_model(), run_with("liger"))


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_compiled_layers_compute_the_same_for_rows_of_any_length(monkeypatch: pytest.MonkeyPatch):
    """On a CPU, where compiling does not pay, it is the same code; minutes, most of them the compiler's."""
    monkeypatch.setattr(kernels, "lacking", lambda run: {})
    plain, compiled = tiny().train(), tiny().train()
    kernels.take(compiled.get_base_model(), run_with("compile"))
    ids = torch.randint(1, 50, (2, 11))
    for length in (11, 8):
        inputs = {"input_ids": ids[:, :length], "attention_mask": torch.ones(2, length, dtype=torch.long)}
        found = []
        for model in (plain, compiled):
            losses, _ = answer_loss.read(model, inputs).losses(inputs["input_ids"])
            losses.mean().backward()
            found.append(losses.detach())
        assert torch.allclose(*found, atol=1e-5)
    for one, other in zip(plain.parameters(), compiled.parameters(), strict=True):
        assert one.grad is None or torch.allclose(one.grad, other.grad, atol=1e-5)


@pytest.mark.gpu
def test_on_a_gpu_the_kernels_compute_what_pytorch_does():
    """Every kernel that this machine has, on one batch, beside the model without them."""
    run = run_with("flash_attention", "liger", "compile")
    mask = torch.tensor([[1] * 11, [1] * 7 + [0] * 4], device="cuda")
    inputs = {"input_ids": torch.randint(1, 50, mask.shape, device="cuda") * mask, "attention_mask": mask}
    labels = inputs["input_ids"].masked_fill(mask == 0, -100)
    found = []
    for with_kernels in (False, True):
        model = tiny().to("cuda", torch.bfloat16).train()
        if with_kernels:
            if chosen := kernels.attention(run):
                model.get_base_model().set_attn_implementation(chosen["attn_implementation"])
            kernels.take(model.get_base_model(), run)
        losses, _ = answer_loss.read(model, inputs).losses(labels)
        losses.mean().backward()
        found.append(losses.detach().float())
    assert torch.allclose(*found, atol=0.05)
