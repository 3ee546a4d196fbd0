"""Each way of tuning on a tiny model: what moves, what stays, what is saved, and that a run can go on from there."""

import copy
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from evaluators.generation import BASE
from trainer import models
from trainer.methods import MethodError, adalora, saved
from trainer.methods.answering import untouched
from trainer.methods.apply import LECTURE_SHARES, apply, trainable_share
from trainer.sections import RunConfig

STEPS = 6
LINEAR = r"\.(q|k|v|o|gate|up|down)_proj"
METHODS: dict[str, tuple[dict[str, Any], str]] = {
    # The run file's method section, and the names of what moves.
    "LoRA": ({"kind": "lora"}, LINEAR + r"\.lora_[AB]\.default\.weight"),
    "rsLoRA": ({"kind": "lora", "scaling": "rank_stabilised"}, LINEAR + r"\.lora_[AB]\.default\.weight"),
    "DoRA": ({"kind": "lora", "dora": True}, LINEAR + r"\.lora_([AB]|magnitude_vector)\.default\.weight"),
    "PiSSA": ({"kind": "lora", "init": "pissa"}, LINEAR + r"\.lora_[AB]\.default\.weight"),
    "EVA": ({"kind": "lora", "init": "eva"}, LINEAR + r"\.lora_[AB]\.default\.weight"),
    "LoRA on two layers": (
        {"kind": "lora", "target_modules": ["q_proj", "v_proj"]},
        r"\.(q|v)_proj\.lora_[AB]\.default\.weight",
    ),
    "AdaLoRA": ({"kind": "adalora", "rank": 2, "start_rank": 4}, LINEAR + r"\.lora_[ABE]\.default"),
    "prefix": ({"kind": "prefix", "length": 5}, r"^prompt_encoder\.default\.embedding\.weight"),
    "prefix with projection": (
        {"kind": "prefix", "length": 5, "projection": True},
        r"^prompt_encoder\.default\.(embedding\.weight|transform\.[02]\.(weight|bias))",
    ),
    "prompt": ({"kind": "prompt", "length": 5}, r"^prompt_encoder\.default\.embedding\.weight"),
    "prompt from words": (
        {"kind": "prompt", "length": 5, "init_text": "Be brief."},
        r"^prompt_encoder\.default\.embedding\.weight",
    ),
    "P-tuning": (
        {"kind": "p_tuning", "length": 5, "encoder_width": 8},
        r"^prompt_encoder\.default\.(embedding\.weight|mlp_head\.[024]\.(weight|bias))",
    ),
    "IA3": ({"kind": "ia3"}, r"\.(k_proj|v_proj|down_proj)\.ia3_l\.default"),
    "layer norm": ({"kind": "layer_norm"}, r"norm\.ln_tuning_layers\.default\.weight"),
    "bottleneck": (
        {"kind": "adapter", "width": 8, "dropout": 0.0},
        r"\.(self_attn|mlp)\.bottleneck_(down|up)\.default\.(weight|bias)",
    ),
}
FULL = ({"kind": "full"}, r"\.weight")
ALL = pytest.mark.parametrize("name", METHODS)
# 64 wide, keys 32, inside 128, two layers; each line is what one layer's matrices have, or what a docstring says.
INS_AND_OUTS = (64 + 64) + 2 * (64 + 32) + (64 + 64) + 2 * (64 + 128) + (128 + 64)
TRAINED = {
    "LoRA": 2 * 4 * INS_AND_OUTS,
    "rsLoRA": 2 * 4 * INS_AND_OUTS,
    "DoRA": 2 * (4 * INS_AND_OUTS + 64 + 32 + 32 + 64 + 128 + 128 + 64),
    "PiSSA": 2 * 4 * INS_AND_OUTS,
    "EVA": 2 * 4 * INS_AND_OUTS,
    "LoRA on two layers": 2 * 4 * ((64 + 64) + (64 + 32)),
    "AdaLoRA": 2 * 4 * (INS_AND_OUTS + 7),
    "prefix": 5 * 2 * 2 * 32,
    "prefix with projection": 5 * 32 + (32 * 32 + 32) + (32 * 2 * 2 * 32 + 2 * 2 * 32),
    "prompt": 5 * 64,
    "prompt from words": 5 * 64,
    "P-tuning": 5 * 64 + (64 * 8 + 8) + (8 * 8 + 8) + (8 * 64 + 64),
    "IA3": 2 * (32 + 32 + 128),
    "layer norm": 5 * 64,
    "bottleneck": 2 * 2 * (64 * 8 + 8 + 8 * 64 + 64),
    "full": 259 * 64 + 2 * (64 * 64 * 2 + 64 * 32 * 2 + 64 * 128 * 3) + 5 * 64,
}


def run_with(tiny_model: Path, method: dict[str, Any], **model: Any) -> RunConfig:
    if method["kind"] == "lora":
        method = {"rank": 4, "alpha": 8} | method
    return RunConfig.model_validate({"model": {"name": str(tiny_model)} | model, "method": method})


def fresh_base(tiny_model: Path, dtype: torch.dtype = torch.float32) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=dtype)


def rows(seed: int, length: int = 24) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, 259, (4, length), generator=draw)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def untrained(run: RunConfig, base: Any, **more: Any) -> Any:
    torch.manual_seed(run.schedule.seed)
    return apply(base, run, [], STEPS, lambda: [rows(seed) for seed in range(4)], **more)


def optimiser(model: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=0.02, weight_decay=0.0)


def train(model: Any, steps: Any, optimizer: torch.optim.Optimizer | None = None) -> float:
    optimizer = optimizer or optimiser(model)
    loss = torch.zeros(())
    model.train()
    for step in steps:
        batch = rows(100 + step)
        loss = model(**batch, labels=batch["input_ids"]).loss
        loss.backward()
        optimizer.step()
        if hasattr(model.base_model, "rankallocator"):
            adalora.allocate(model, step)
        optimizer.zero_grad()
    model.eval()
    return float(loss.detach())


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    """Of the rows' own tokens: virtual ones in front are left out."""
    return model(**rows(7)).logits[:, -24:]


@pytest.mark.parametrize("name", [*METHODS, "full"])
def test_exactly_what_it_names_is_trained(tiny_model: Path, name: str):
    method, moves = (METHODS | {"full": FULL})[name]
    model = untrained(run_with(tiny_model, method), fresh_base(tiny_model))
    before = {one: value.detach().clone() for one, value in model.named_parameters()}
    assert trainable_share(model) == TRAINED[name] / sum(value.numel() for value in before.values())
    optimizer, moved = optimiser(model), set()
    for step in range(1, STEPS + 1):
        train(model, [step], optimizer)
        moved |= {one for one, value in model.named_parameters() if not torch.equal(value, before[one])}
    assert moved and moved == {one for one in before if re.search(moves + "$", one)}


@ALL
def test_switched_off_it_is_the_base(tiny_model: Path, name: str):
    base = fresh_base(tiny_model).eval()
    expected = logits(base)
    model = untrained(run_with(tiny_model, METHODS[name][0]), base).eval()
    if name in {"LoRA", "rsLoRA", "EVA", "AdaLoRA", "IA3", "layer norm", "bottleneck"}:
        assert torch.equal(logits(model), expected), "an untrained adapter changes nothing"
    if name in {"DoRA", "PiSSA"}:
        assert torch.allclose(logits(model), expected, atol=1e-5)
    train(model, range(1, STEPS + 1))
    assert not torch.allclose(logits(model), expected, atol=1e-3)
    with untouched(model):
        assert torch.equal(logits(model), expected) == (name != "PiSSA"), "PiSSA's base has lost its largest directions"


@ALL
def test_saved_and_loaded_it_answers_the_same_on_the_original_base(tiny_model: Path, tmp_path: Path, name: str):
    run = run_with(tiny_model, METHODS[name][0])
    base = fresh_base(tiny_model).eval()
    without = logits(base)
    model = untrained(run, base)
    train(model, range(1, STEPS + 1))
    saved.save(model, run, tmp_path / "adapter")
    saved.save(model, run, tmp_path / "adapter")  # over an older one
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
    assert not list(tmp_path.rglob("*.bin"))
    assert saved.names(tmp_path / "adapter") == [models.TUNED]
    again = saved.load(fresh_base(tiny_model), tmp_path / "adapter")
    assert torch.allclose(logits(again), logits(model), atol=2e-5)
    with untouched(again):
        assert torch.equal(logits(again), without)
    assert not any(one.requires_grad for one in again.parameters())


@ALL
def test_a_run_goes_on_in_the_middle(tiny_model: Path, tmp_path: Path, name: str):
    run = run_with(tiny_model, METHODS[name][0])
    model = untrained(run, fresh_base(tiny_model))
    optimizer = optimiser(model)
    train(model, range(1, 4), optimizer)
    save_file(saved.training_state(model), tmp_path / "trained.safetensors")
    remembered = copy.deepcopy(optimizer.state_dict())
    train(model, range(4, STEPS + 1), optimizer)

    again = untrained(run, fresh_base(tiny_model))
    saved.set_training_state(again, load_file(tmp_path / "trained.safetensors"))
    optimizer = optimiser(again)
    optimizer.load_state_dict(remembered)
    train(again, range(4, STEPS + 1), optimizer)
    assert torch.allclose(logits(again), logits(model), atol=1e-6)


@ALL
def test_what_is_trained_is_fp32_on_a_bf16_base(tiny_model: Path, tmp_path: Path, name: str):
    run = run_with(tiny_model, METHODS[name][0])
    model = untrained(run, fresh_base(tiny_model, torch.bfloat16))
    assert {one.dtype for one in model.parameters() if one.requires_grad} == {torch.float32}
    assert {one.dtype for one in model.parameters() if not one.requires_grad} <= {torch.bfloat16, torch.float32}
    train(model, range(1, 4))
    saved.save(model, run, tmp_path / "adapter")
    again = saved.load(fresh_base(tiny_model, torch.bfloat16), tmp_path / "adapter")
    # PiSSA's base was rounded once more when its largest directions were taken out; what AdaLoRA saves has fewer sums.
    assert (logits(again) - logits(model)).abs().max() <= (0.05 if name in {"PiSSA", "AdaLoRA"} else 0)


@pytest.mark.parametrize("name", ["LoRA", "EVA", "AdaLoRA", "prefix", "IA3", "layer norm", "bottleneck"])
def test_on_a_4_bit_base(tiny_model: Path, tmp_path: Path, name: str):
    run = run_with(tiny_model, METHODS[name][0], quantization="nf4")
    base, _, _ = models.load_base(run)
    packed = {one: value.detach().clone() for one, value in base.named_parameters()}
    assert sum(value.dtype == torch.uint8 for value in packed.values()) == 14
    without = logits(base.eval())
    model = untrained(run, base)
    assert {one.dtype for one in model.parameters() if one.requires_grad} == {torch.float32}
    first, last = train(model, [1]), train(model, [1] * 6)
    assert last < first
    with untouched(model):
        assert torch.equal(logits(model), without)
    kept = {one.replace(".base_layer", "").rpartition("model.model.")[2]: one for one, _ in model.named_parameters()}
    values = dict(model.named_parameters())
    for one, value in packed.items():
        assert torch.equal(values[kept[one.removeprefix("model.")]], value), f"{one} is frozen"
    saved.save(model, run, tmp_path / "adapter")
    again = saved.load(models.load_base(run)[0], tmp_path / "adapter")
    assert (logits(again) - logits(model)).abs().max() <= (0.05 if name == "AdaLoRA" else 0)


def test_a_layer_that_is_not_there_is_named(tiny_model: Path):
    for kind in ("lora", "adalora"):
        run = run_with(tiny_model, {"kind": kind, "target_modules": ["nothing_proj"]})
        with pytest.raises(MethodError, match=r"method\.target_modules.*nothing_proj.*it has down_proj, gate_proj"):
            untrained(run, fresh_base(tiny_model))


def test_scale_of_rank_stabilised_lora(tiny_model: Path):
    for name, scale in (("LoRA", 8 / 4), ("rsLoRA", 8 / 4**0.5)):
        model = untrained(run_with(tiny_model, METHODS[name][0]), fresh_base(tiny_model))
        assert model.base_model.model.model.layers[0].mlp.up_proj.scaling["default"] == scale


def test_pissa_begins_as_the_largest_directions(tiny_model: Path):
    base = fresh_base(tiny_model)
    weight = base.model.layers[0].mlp.up_proj.weight.detach().clone()
    model = untrained(run_with(tiny_model, METHODS["PiSSA"][0]), base)
    layer = model.base_model.model.model.layers[0].mlp.up_proj
    sizes = torch.linalg.svdvals(weight)
    # All directions of random weights are nearly as large, so that the four found are not quite the four largest.
    assert layer.get_delta_weight("default").norm() > 0.99 * sizes[:4].norm()
    assert torch.allclose(layer.get_base_layer().weight + layer.get_delta_weight("default"), weight, atol=1e-6)


def test_eva_begins_as_the_directions_of_the_rows_activations(tiny_model: Path):
    base = fresh_base(tiny_model).eval()
    seen: list[torch.Tensor] = []
    hook = base.model.layers[1].mlp.up_proj.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    for seed in range(4):
        base(**rows(seed))
    hook.remove()
    activations = torch.cat(seen).flatten(0, 1)
    model = untrained(run_with(tiny_model, METHODS["EVA"][0]), base)
    found = model.base_model.model.model.layers[1].mlp.up_proj.lora_A["default"].weight.detach()
    centred = activations - activations.mean(0)
    best = torch.linalg.svd(centred, full_matrices=False)[2][:4]
    caught = ((centred @ found.T) ** 2).sum() / ((centred @ best.T) ** 2).sum()
    assert caught > 0.95, "of what the best four directions hold"
    with pytest.raises(MethodError, match=r"method.init: eva starts from the training rows"):
        apply(fresh_base(tiny_model), run_with(tiny_model, METHODS["EVA"][0]), [], STEPS)


def test_eva_ends_where_there_are_too_few_tokens(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    from trainer.methods import lora

    monkeypatch.setattr(lora, "EVA_PASSES", 5)
    one_token = {name: one[:1, :1] for name, one in rows(0).items()}
    with pytest.raises(MethodError, match=r"method.init: eva found no stable directions in 5 batches"):
        apply(fresh_base(tiny_model), run_with(tiny_model, METHODS["EVA"][0]), [], STEPS, lambda: [one_token])


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20])
def test_adalora_comes_down_to_its_rank_also_in_a_short_run(tiny_model: Path, tmp_path: Path, steps: int):
    run = run_with(tiny_model, METHODS["AdaLoRA"][0])
    model = apply(fresh_base(tiny_model), run, [], steps)
    train(model, range(1, steps + 1))
    values = torch.cat([one.detach().flatten() for one_name, one in model.named_parameters() if ".lora_E." in one_name])
    assert len(values) == 14 * 4 and int((values != 0).sum()) == 14 * 2, "start_rank 4, rank 2 on average"
    saved.save(model, run, tmp_path / "adapter")
    again = saved.load(fresh_base(tiny_model), tmp_path / "adapter")
    kept = sum(len(one) for one_name, one in again.named_parameters() if ".lora_E." in one_name)
    assert kept == 14 * 2, "only what is left is saved"
    assert torch.allclose(logits(again), logits(model), atol=1e-5)


def test_adalora_that_begins_with_its_rank_keeps_it(tiny_model: Path):
    model = untrained(run_with(tiny_model, {"kind": "adalora", "rank": 4, "start_rank": 4}), fresh_base(tiny_model))
    train(model, range(1, STEPS + 1))
    assert all((one != 0).all() for name, one in model.named_parameters() if ".lora_E." in name)


def test_adalora_allocates_from_the_trainers_callback_and_past_frozen_layers(tiny_model: Path):
    model = untrained(run_with(tiny_model, METHODS["AdaLoRA"][0]), fresh_base(tiny_model))
    for name, one in model.named_parameters():
        if ".layers.0." in name:
            one.requires_grad_(False)
    model(**rows(1), labels=rows(1)["input_ids"]).loss.backward()
    optimiser(model).step()
    final = SimpleNamespace(global_step=STEPS - 2 - 1)
    adalora.AllocateRanks(model).on_optimizer_step(cast(Any, None), cast(Any, final), cast(Any, None))
    assert sum(map(sum, model.peft_config["default"].rank_pattern.values())) == 14 * 2


def test_adaloras_orthogonality_is_pefts_own_term_once_a_step(tiny_model: Path):
    model = untrained(run_with(tiny_model, METHODS["AdaLoRA"][0]), fresh_base(tiny_model))
    batch = rows(1)
    joined = model(**batch, labels=batch["input_ids"]).loss
    alone = model.base_model.model(**batch, labels=batch["input_ids"]).loss
    term = adalora.Orthogonality(model)
    value = term(cast(Any, SimpleNamespace(last=True)))
    assert value is not None and value.item() == pytest.approx((joined - alone).item(), rel=1e-4)
    assert term(cast(Any, SimpleNamespace(last=False))) is None
    value.backward()
    assert model.base_model.model.model.layers[0].mlp.up_proj.lora_A["default"].grad.abs().sum() > 0


def test_a_prompt_begins_as_its_words(tiny_model: Path):
    from transformers import AutoTokenizer

    base = fresh_base(tiny_model)
    ids = AutoTokenizer.from_pretrained(tiny_model)("Be brief.")["input_ids"]
    expected = base.get_input_embeddings().weight[ids[:5]]
    model = untrained(run_with(tiny_model, METHODS["prompt from words"][0]), base)
    assert torch.equal(model.prompt_encoder["default"].embedding.weight, expected)


def test_a_prefix_begins_as_keys_and_values_of_words(tiny_model: Path):
    base = fresh_base(tiny_model)
    model = untrained(run_with(tiny_model, METHODS["prefix"][0]), base)
    torch.manual_seed(17)
    words = torch.randint(0, base.config.vocab_size, (1, 5))
    with torch.no_grad():
        read = base(torch.cat([words.repeat(4, 1), rows(7)["input_ids"]], 1)).logits[:, -24:]
    assert torch.allclose(logits(model), read, atol=1e-5)


def test_base_and_tuned_in_one_batch_answer_as_each_alone(tiny_model: Path, tmp_path: Path):
    for name in ("LoRA", "rsLoRA", "PiSSA", "EVA", "bottleneck"):
        run = run_with(tiny_model, METHODS[name][0])
        base = fresh_base(tiny_model).eval()
        without = logits(base)
        model = untrained(run, base)
        train(model, range(1, 4))
        saved.save(model, run, tmp_path / name)
        assert saved.can_mix(tmp_path / name)
        again = saved.load(fresh_base(tiny_model), tmp_path / name)
        alone = logits(again)
        with torch.no_grad():
            mixed = again(**rows(7), adapter_names=[BASE, models.TUNED, BASE, models.TUNED]).logits
        assert torch.allclose(mixed[0::2], without[0::2], atol=1e-5)
        assert torch.allclose(mixed[1::2], alone[1::2], atol=1e-5)
    for name in ("DoRA", "AdaLoRA", "prefix", "IA3", "layer norm"):
        run = run_with(tiny_model, METHODS[name][0])
        saved.save(untrained(run, fresh_base(tiny_model)), run, tmp_path / name)
        assert not saved.can_mix(tmp_path / name)
    assert not saved.can_mix(tmp_path)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in {"P-tuning", "prefix with projection"}])
def test_a_new_run_starts_as_the_earlier_one_ended(tiny_model: Path, tmp_path: Path, name: str):
    run = run_with(tiny_model, METHODS[name][0])
    model = untrained(run, fresh_base(tiny_model))
    train(model, range(1, STEPS + 1))
    saved.save(model, run, tmp_path / "adapter")
    method = METHODS[name][0]
    if method.get("init"):
        # As a plain LoRA; PiSSA's is of twice the rank.
        method = {"kind": "lora"} | ({"rank": 8, "alpha": 16} if name == "PiSSA" else {})
    again = untrained(run_with(tiny_model, method), fresh_base(tiny_model), start=tmp_path / "adapter").eval()
    assert torch.allclose(logits(again), logits(model), atol=2e-5)
    before = {one: value.detach().clone() for one, value in again.named_parameters() if value.requires_grad}
    train(again, range(1, 4))
    assert any(not torch.equal(value, before[one]) for one, value in again.named_parameters() if one in before)


def test_full_tuning_starts_from_a_tuned_model(tiny_model: Path, tmp_path: Path):
    run = run_with(tiny_model, {"kind": "full"})
    model = untrained(run, fresh_base(tiny_model))
    train(model, range(1, 4))
    model.save_pretrained(tmp_path / "model")
    again = untrained(run, fresh_base(tiny_model), start=tmp_path / "model").eval()
    assert torch.equal(logits(again), logits(model))
    with pytest.raises(MethodError, match=r"method.start_from: .* holds no fully tuned model"):
        untrained(run, fresh_base(tiny_model), start=tmp_path)


def test_what_does_not_fit_as_a_start_is_said(tiny_model: Path, tmp_path: Path):
    def attempt(method: dict[str, Any]) -> None:
        untrained(run_with(tiny_model, method), fresh_base(tiny_model), start=tmp_path / "adapter")

    with pytest.raises(MethodError, match=r"method.start_from: .* holds no trained adapter"):
        attempt({"kind": "lora"})
    run = run_with(tiny_model, METHODS["LoRA on two layers"][0])
    saved.save(untrained(run, fresh_base(tiny_model)), run, tmp_path / "adapter")
    with pytest.raises(MethodError, match=r"method.rank is 4 there and 8 here"):
        attempt({"kind": "lora", "rank": 8, "target_modules": ["q_proj", "v_proj"]})
    with pytest.raises(MethodError, match=r"it is on q_proj, v_proj, and this run's on q_proj. Set method.target"):
        attempt({"kind": "lora", "target_modules": ["q_proj"]})
    with pytest.raises(MethodError, match=r"it is of kind lora, and this run's method of kind ia3"):
        attempt({"kind": "ia3"})
    run = run_with(tiny_model, METHODS["P-tuning"][0])
    saved.save(untrained(run, fresh_base(tiny_model)), run, tmp_path / "adapter")
    with pytest.raises(MethodError, match=r"kept without the network that made it"):
        attempt(METHODS["P-tuning"][0])


def test_a_checkpoint_of_another_shape_is_refused(tiny_model: Path, tmp_path: Path):
    file = tmp_path / "trained.safetensors"
    save_file(saved.training_state(untrained(run_with(tiny_model, {"kind": "lora"}), fresh_base(tiny_model))), file)
    other = untrained(run_with(tiny_model, {"kind": "lora", "rank": 2}), fresh_base(tiny_model))
    with pytest.raises(MethodError, match=r"written by a run with another method, rank or set of tasks"):
        saved.set_training_state(other, load_file(file))


def test_no_adapter_is_an_error_that_says_so(tiny_model: Path, tmp_path: Path):
    assert saved.names(tmp_path) == []
    with pytest.raises(MethodError, match=r"holds no trained adapter"):
        saved.load(fresh_base(tiny_model), tmp_path)


def test_the_lectures_shares_are_of_kinds_that_there_are():
    from trainer.method_sections import METHOD_KINDS

    assert set(LECTURE_SHARES) <= set(METHOD_KINDS)
