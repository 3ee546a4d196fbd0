"""Comparison that cannot lie: the base's side is the base, to the bit."""

from itertools import pairwise
from pathlib import Path

import pytest

from evaluators import forgetting
from evaluators.generation import BASE, Sampling, answer_all, choose, stream
from trainer import models
from trainer.method_sections import LoraMethod
from trainer.methods import lora
from trainer.sections import RunConfig


@pytest.fixture
def pair(tiny_model: Path):
    """A tiny model with an adapter whose weights are far from nothing, and its tokenizer."""
    import torch

    base, tokenizer, _ = models.load_base(
        RunConfig.model_validate({"model": {"name": str(tiny_model)}, "hardware": {"precision": "fp32"}})
    )
    model = lora.apply(base, LoraMethod(rank=4, alpha=64))
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.5)
    return model.eval(), tokenizer


CHAT = [{"role": "user", "content": "Is 4 even?"}]


def test_adapter_off_equals_the_embedded_base_exactly(embedded_cache: Path):
    import torch

    config = RunConfig()
    plain, tokenizer, _ = models.load_base(config)
    ids = tokenizer("Which organ pumps blood?", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        expected = plain(input_ids=ids).logits
    base, _, _ = models.load_base(config)
    model = lora.apply(base, LoraMethod()).eval()
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.05)
    with torch.inference_mode():
        with model.disable_adapter():
            off = model(input_ids=ids).logits
        on = model(input_ids=ids).logits
        mixed = model(input_ids=ids.repeat(2, 1), adapter_names=[BASE, "default"]).logits
        alone = plain(input_ids=ids.repeat(2, 1)).logits
    assert (off - expected).abs().max() == 0.0
    assert (mixed[0] - alone[0]).abs().max() == 0.0
    assert (on - expected).abs().max() > 0.1, "the adapter must do something for this to mean anything"
    assert (mixed[1] - alone[1]).abs().max() > 0.1, "the tuned row of a mixed batch is not the base"


def test_streamed_sides_are_what_each_alone_would_answer(pair):
    model, tokenizer = pair
    sampling = Sampling(max_new_tokens=12)
    last = list(stream(model, tokenizer, [CHAT] * 2, [BASE, "default"], sampling))[-1]
    assert last[0].text.strip() == answer_all(model, tokenizer, [CHAT], 12, tuned=False)[0]
    assert last[1].text.strip() == answer_all(model, tokenizer, [CHAT], 12, tuned=True)[0]
    assert last[0].text != last[1].text


def test_equal_sides_draw_equal_text_with_one_seed(pair):
    model, tokenizer = pair
    hot = Sampling(temperature=1.0, top_p=0.9, seed=3, max_new_tokens=20)
    first, second = list(stream(model, tokenizer, [CHAT] * 2, [BASE, BASE], hot))[-1]
    assert first.text == second.text
    other = list(stream(model, tokenizer, [CHAT] * 2, [BASE, BASE], hot.model_copy(update={"seed": 4})))[-1][0]
    assert other.text != first.text


def test_one_side_may_end_before_the_other(pair):
    model, tokenizer = pair
    # An untrained model seldom ends by itself; a token that its tuned side says once it has begun is made the end. One
    # that is a whole character, since bytes of one are only seen together.
    texts = list(stream(model, tokenizer, [CHAT] * 2, [BASE, "default"], Sampling(max_new_tokens=20)))
    said = [
        tokenizer(later[1].text[len(one[1].text) :], add_special_tokens=False)["input_ids"]
        for one, later in pairwise(texts)
    ]
    at = next(
        at
        for at, new in enumerate(said)
        if at and len(new) == 1 and new[0] not in [one for old in said[:at] for one in old]
    )
    model.generation_config.eos_token_id = said[at][0]
    ended = list(stream(model, tokenizer, [CHAT] * 2, [BASE, "default"], Sampling(max_new_tokens=20)))
    assert ended[-1][1].finished and ended[-1][1].text == texts[at][1].text
    assert ended[-1][0].text.startswith(texts[-1][0].text[:2])


def test_nucleus_keeps_the_likeliest_only():
    import torch

    logits = torch.tensor([5.0, 1.0, 0.0])
    draws = {
        choose(logits, Sampling(temperature=1.0, top_p=0.5, seed=1), torch.Generator().manual_seed(seed))
        for seed in range(30)
    }
    assert draws == {0}
    assert choose(logits, Sampling(), torch.Generator()) == 0


def test_answers_of_a_batch_are_what_each_alone_would_be(pair):
    model, tokenizer = pair
    system = {"role": "system", "content": "You answer short questions."}
    texts = ["Is 4 even?", "Is the whole number that follows forty-one an even number?", "Is 4 large?"]
    chats = [[system, {"role": "user", "content": text}] for text in texts]
    alone = [answer_all(model, tokenizer, [chat], 12, tuned=True)[0] for chat in chats]
    assert len(set(alone)) > 1, "answers that are all the same would show nothing"
    assert answer_all(model, tokenizer, chats, 12, tuned=True) == alone
    assert answer_all(model, tokenizer, [], 12, tuned=True) == []
    assert answer_all(model, tokenizer, chats, 12, tuned=True, batch_size=2) == alone


def test_option_likelihood_equals_reading_each_option_by_itself(pair):
    import torch

    model, tokenizer = pair
    questions = [
        forgetting.Question(
            id="1", kind="general", question="Is it?", options=["yes", "no", "maybe so", "x"], answer=0
        ),
        forgetting.Question(
            id="2", kind="general", question="A longer question?", options=["a", "bcd", "e", "ff"], answer=1
        ),
    ]
    expected = []
    for question in questions:
        chat = [{"role": "system", "content": "S"}, {"role": "user", "content": question.question}]
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
        means = []
        for option in question.options:
            ids = tokenizer(option, add_special_tokens=False)["input_ids"]
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([prompt + ids])).logits[0].log_softmax(-1)
            means.append(sum(logits[len(prompt) - 1 + at, token].item() for at, token in enumerate(ids)) / len(ids))
        expected.append(max(range(4), key=means.__getitem__))
    assert forgetting.choose_options(model, tokenizer, questions, "S", tuned=True, batch_size=2) == expected


@pytest.mark.soak
def test_embedded_model_knows_more_than_chance(embedded_cache: Path):
    from trainer.scoring import _starter

    model, tokenizer, _ = models.load_base(RunConfig())
    questions = [forgetting.Question.model_validate(row) for row in _starter("questions")]
    choices = forgetting.choose_options(model, tokenizer, questions, "You are a clinical assistant.", tuned=False)
    for kind in ("general", "general_medical"):
        asked = [index for index, question in enumerate(questions) if question.kind == kind]
        right = forgetting.accuracy([questions[index] for index in asked], [choices[index] for index in asked])
        assert right.low > 0.25, f"{kind}: {right}"
