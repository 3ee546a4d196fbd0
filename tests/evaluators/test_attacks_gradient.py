"""Gradient attacks on a tiny model: the gradient itself, the norms that are compared, and what must stay untouched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evaluators.attacks import gradient
from evaluators.attacks.gradient import attack
from evaluators.cases import Item
from evaluators.input_embeddings import locate
from evaluators.likelihood import reply_likelihoods
from evaluators.suites.multiple_choice import lettered
from trainer import models
from trainer.method_sections import LoraMethod, PrefixMethod, PromptMethod
from trainer.methods import lora, soft_prompts
from trainer.sections import RunConfig

SYSTEM = "You answer."
TEXTS = ["Is it hot?", "Which organ pumps the blood?", "Is the whole number after forty-one even?", "Cold or warm?"]


def load(tiny_model: Path, precision: str = "fp32") -> tuple[Any, Any]:
    config = {"model": {"name": str(tiny_model)}, "hardware": {"precision": precision}}
    base, tokenizer, _ = models.load_base(RunConfig.model_validate(config))
    return base, tokenizer


def shaken(model: Any, part: str, spread: float) -> Any:
    """The model with what its adapter holds far from nothing."""
    import torch

    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if part in name:
            parameter.data.normal_(std=spread)
    return model.eval()


@pytest.fixture
def pair(tiny_model: Path) -> tuple[Any, Any]:
    import torch

    base, tokenizer = load(tiny_model)
    torch.manual_seed(0)  # of the adapter's other half, which begins at random
    return shaken(lora.apply(base, LoraMethod(rank=4, alpha=64)), "lora_B", 0.1), tokenizer


def asked(model: Any, tokenizer: Any, tuned: bool, count: int = 4) -> tuple[list[Item], list[int]]:
    """Items and what the model chooses, read as the multiple-choice suite reads it."""
    items = [
        Item(
            id=str(at),
            prompt=[{"role": "user", "content": text}],
            options=["yes", "no", "both", "none"][: count - at % 2],
            answer=0,
        )
        for at, text in enumerate(TEXTS)
    ]
    chats = [[{"role": "system", "content": SYSTEM}, *lettered(item)] for item in items]
    found = reply_likelihoods(model, tokenizer, chats, ["ABCD"[: len(item.options)] for item in items], tuned)
    return items, [max(range(len(each)), key=lambda at: each[at].total) for each in found]


def all_right(model: Any, tokenizer: Any, tuned: bool) -> list[Item]:
    """Items whose right answer is what the model says, so that there is something to lose."""
    items, chosen = asked(model, tokenizer, tuned)
    return [item.model_copy(update={"answer": choice}) for item, choice in zip(items, chosen, strict=True)]


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any, Any]]:
    """Every change that is tried: (words, change, loss of each item)."""
    import torch

    seen = []
    scores = gradient._Batch.scores

    def read(batch: Any, which: list[int], change: torch.Tensor) -> torch.Tensor:
        found = scores(batch, which, change)
        loss = torch.nn.functional.cross_entropy(found, batch.answers[which], reduction="none")
        seen.append((batch.words[which][..., 0].bool(), change.detach(), loss.detach()))
        return found

    monkeypatch.setattr(gradient._Batch, "scores", read)
    return seen


def test_changes_have_the_norm_asked_for_and_leave_all_but_the_question_alone(pair: tuple[Any, Any], readings) -> None:
    items = all_right(*pair, tuned=True)
    curve = attack(*pair, items, SYSTEM, tuned=True, epsilons=(0.01,), steps=3, draws=2)
    _, (words, nothing, clean), (_, fgsm, hurt), *steps, (_, noise, spared), (_, other, _) = readings
    radius = 0.01 * curve.embedding_norm * words.sum(1).sqrt()
    for change in (fgsm, noise, other):
        assert change.flatten(1).norm(dim=-1).tolist() == pytest.approx(radius.tolist(), rel=1e-5)
    assert nothing.abs().max() == 0 and (noise - other).abs().max() > 1e-4, "each draw is another"
    sizes = fgsm[words].abs()
    assert sizes.min().item() == pytest.approx(sizes.max().item(), rel=1e-4), (
        "a sign step is as long in every direction"
    )
    reached = [
        size.item() / (0.01 * curve.embedding_norm * own.sum().sqrt().item())
        for each, change, _ in steps
        for own, size in zip(each, change.flatten(1).norm(dim=-1), strict=True)
    ]
    assert max(reached) == pytest.approx(1.0, rel=1e-5), (
        "the steps walk to the surface of the ball, and never out of it"
    )
    for own, change, _ in readings:
        assert change[~own].abs().max() == 0, "padding, template and options stay as they are"
    tokens = [place is not None for place in locate(pair[1], lettered(items[1]), TEXTS[1]).places]
    assert sum(tokens) == len(TEXTS[1]) and len(TEXTS[1]) in words.sum(1).tolist(), (
        "a byte is a token in the tiny model"
    )
    assert (hurt - clean > (spared - clean).abs()).all(), "noise hurts less"


def test_accuracy_falls_with_epsilon_and_hardly_under_noise(pair: tuple[Any, Any]) -> None:
    items = all_right(*pair, tuned=True)
    curve = attack(*pair, items, SYSTEM, tuned=True, epsilons=(0.0, 0.05, 1.0))
    nothing, _, strong = curve.points
    assert curve.clean.score == 1.0 and curve.clean.n == 4
    assert nothing.fgsm == nothing.multi_step == nothing.noise == curve.clean
    assert strong.multi_step.score <= strong.fgsm.score < strong.noise.score
    assert [point.epsilon for point in curve.points] == [0.0, 0.05, 1.0]


def test_clean_accuracy_is_the_suites_own_for_base_and_tuned(pair: tuple[Any, Any]) -> None:
    for tuned in (False, True):
        items, chosen = asked(*pair, tuned=tuned)
        curve = attack(*pair, items, SYSTEM, tuned=tuned, epsilons=(0.2,), steps=1, draws=1)
        assert curve.clean.score == sum(choice == 0 for choice in chosen) / 4
        point = curve.points[0]
        assert max(point.fgsm.score, point.multi_step.score, point.noise.score) <= curve.clean.score, "wrong stays so"
    assert asked(*pair, tuned=True)[1] != asked(*pair, tuned=False)[1], "sides that agree would show nothing"


def test_the_gradient_is_that_of_reading_each_question_whole_by_finite_differences(pair: tuple[Any, Any]) -> None:
    import torch

    from evaluators.input_embeddings import read_before
    from evaluators.sides import side

    model, tokenizer = pair
    items = all_right(model, tokenizer, tuned=True)
    prompts = [
        locate(tokenizer, [{"role": "system", "content": SYSTEM}, *lettered(item)], item.question) for item in items
    ]
    letters = gradient._letter_tokens(tokenizer, 4)
    with side(model, True) as answering:
        prefix, read = read_before(answering, prompts)
        assert read > 10, "the system prompt is read once"
        rows = [prompt.ids[read:] for prompt in prompts]
        words = [[place is not None for place in prompt.places[read:]] for prompt in prompts]
        batch = gradient._Batch.of(answering, prefix, rows, words, letters, items)
        _, found = batch.gradient([0, 1, 2, 3], torch.zeros_like(batch.embeds))
    exact = model.double()
    torch.manual_seed(2)
    for row, (prompt, item) in enumerate(zip(prompts, items, strict=True)):
        own = torch.tensor([place is not None for place in prompt.places])
        embeds = exact.get_input_embeddings()(torch.tensor([prompt.ids])).detach()

        def loss(change: torch.Tensor, own=own, embeds=embeds, item=item) -> float:
            moved = embeds.clone()
            moved[0, own] += change
            with torch.no_grad():
                options = exact(inputs_embeds=moved).logits[0, -1, letters[: len(item.options)]]
            return torch.nn.functional.cross_entropy(options, torch.tensor(item.answer)).item()

        for _ in range(3):
            direction = torch.randn(int(own.sum()), 64, dtype=torch.float64)
            slope = (loss(1e-5 * direction) - loss(-1e-5 * direction)) / 2e-5
            predicted = (found[row][batch.words[row, :, 0].bool()] * direction).sum().item()
            assert predicted == pytest.approx(slope, rel=1e-2, abs=5e-3)


def test_batches_and_seeds(pair: tuple[Any, Any]) -> None:
    items = all_right(*pair, tuned=True)
    settings: dict[str, Any] = {"epsilons": (0.1, 0.6), "steps": 2, "draws": 3}
    told: list[tuple[int, int]] = []
    alone = attack(*pair, items, SYSTEM, True, **settings, batch_size=1)
    together = attack(*pair, items, SYSTEM, True, **settings, progress=lambda done, total: told.append((done, total)))
    assert alone.points == together.points, "padding changes nothing"
    assert told[-1] == (8, 8) and told == sorted(told)


def test_no_parameter_moves_or_gets_a_gradient(pair: tuple[Any, Any]) -> None:
    import torch

    model, tokenizer = pair
    items = all_right(model, tokenizer, tuned=True)
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    trained = [name for name, one in model.named_parameters() if one.requires_grad]
    attack(model, tokenizer, items, SYSTEM, True, epsilons=(0.5,), steps=2, draws=1)
    assert trained, "an adapter that is still trained is the harder case"
    for name, one in model.named_parameters():
        assert one.grad is None and torch.equal(one, before[name]), name
    assert [name for name, one in model.named_parameters() if one.requires_grad] == trained


@pytest.mark.parametrize("kind", ["prefix", "prompt"])
def test_virtual_tokens_are_before_the_question_and_stay(tiny_model: Path, kind: str) -> None:
    base, tokenizer = load(tiny_model)
    if kind == "prefix":
        model = soft_prompts.prefix(base, PrefixMethod(length=4), ["default"])
    else:
        model = soft_prompts.prompt(base, PromptMethod(length=4))
    model = shaken(model, "prompt_encoder", 1.0)
    for tuned in (True, False):
        items = all_right(model, tokenizer, tuned)
        curve = attack(model, tokenizer, items, SYSTEM, tuned, epsilons=(1.0,), steps=2, draws=1)
        assert curve.clean.score == 1.0, "the side that is attacked is the side that was asked"
        assert curve.points[0].multi_step.score < 1.0


def test_a_base_in_bf16_with_adapters_in_fp32(tiny_model: Path) -> None:
    import torch

    base, tokenizer = load(tiny_model, "bf16")
    model = shaken(lora.apply(base, LoraMethod(rank=4, alpha=64)), "lora_B", 0.5)
    assert {one.dtype for one in model.parameters()} == {torch.bfloat16, torch.float32}
    items = all_right(model, tokenizer, tuned=True)
    curve = attack(model, tokenizer, items, SYSTEM, True, epsilons=(1.0,), steps=2, draws=1)
    assert curve.points[0].fgsm.score < 1.0


def test_what_cannot_be_attacked_says_why(pair: tuple[Any, Any]) -> None:
    items = all_right(*pair, tuned=True)
    with pytest.raises(ValueError, match="at least one multiple-choice item"):
        attack(*pair, [], SYSTEM, True)
    with pytest.raises(ValueError, match="0: a gradient attack needs two options"):
        attack(*pair, [items[0].model_copy(update={"answer": 7})], SYSTEM, True)
    with pytest.raises(ValueError, match="ε is 0 or more"):
        attack(*pair, items, SYSTEM, True, epsilons=(-0.1,))
    with pytest.raises(ValueError, match="does not contain the text 'Cold'"):
        locate(pair[1], lettered(items[0]), "Cold")
    with pytest.raises(ValueError, match="does not contain"):
        locate(pair[1], [{"role": "user", "content": "  "}], "  ")
