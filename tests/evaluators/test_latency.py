"""Latency by a clock that ticks once a step, so that every number can be computed by hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.latency import LatencyReport, Load, measure_latency, percentile

ASKED = [[{"role": "user", "content": text}] for text in ("Is 4 even?", "And what of 5?", "Six, then?")]


@pytest.fixture(scope="module")
def model_and_tokenizer(tiny_model: Path) -> tuple[Any, Any]:
    """A tiny model whose answers never end by themselves; with larger weights it does not repeat one token."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    with torch.no_grad():
        for weights in model.model.layers.parameters():
            if weights.dim() > 1:
                weights *= 10
    return model.eval(), AutoTokenizer.from_pretrained(tiny_model)


def ticking(seconds: float = 1.0) -> Iterator[float]:
    return (seconds * number for number in itertools.count())


def measured(pair: tuple[Any, Any], tick: float = 1.0, **options: Any) -> LatencyReport:
    ticks = ticking(tick)
    wanted = {"users": (1, 4), "max_new_tokens": 3, "rounds": 1, "seconds": 1e9} | options
    return measure_latency(*pair, ASKED, tuned=True, memory=lambda: 1.5, clock=lambda: next(ticks), **wanted)


def load(report: LatencyReport, users: int, way: str) -> Load:
    return next(one for one in report.loads if (one.users, one.way) == (users, way))


def test_one_user_waits_for_his_own_tokens(model_and_tokenizer: tuple[Any, Any]) -> None:
    report = measured(model_and_tokenizer, rounds=2)
    assert [(one.users, one.way) for one in report.loads] == [(1, "queue"), (4, "queue"), (4, "batch")]
    alone = load(report, 1, "queue")
    assert (alone.first_token_p50, alone.complete_p95, alone.tokens_per_answer) == (1, 3, 3)
    assert (alone.tokens_per_second, alone.tokens_per_second_user, alone.seconds_per_answer) == (1, 1, 3)
    assert (alone.rounds, alone.answers, alone.cut, alone.slowest) == (2, 2, 2, [3, 3])
    assert alone.tokens_within_limit == 2, "two steps of a second"
    assert report.peak_gib == 1.5


def test_in_a_queue_the_last_waits_for_all(model_and_tokenizer: tuple[Any, Any]) -> None:
    queue = load(measured(model_and_tokenizer), 4, "queue")
    assert (queue.first_token_p50, queue.first_token_p95) == (4, 10), "first tokens at 1, 4, 7 and 10"
    assert (queue.complete_p50, queue.complete_p95, queue.slowest) == (6, 12, [12])
    assert (queue.tokens_per_second, queue.seconds_per_answer) == (1, 3)
    assert queue.tokens_per_second_user == pytest.approx(3 / 9), "of 3/3, 3/6, 3/9 and 3/12, the lower middle one"
    assert queue.tokens_within_limit == 0, "four first tokens take four seconds"


def test_in_a_batch_all_are_served_at_once(model_and_tokenizer: tuple[Any, Any]) -> None:
    batch = load(measured(model_and_tokenizer), 4, "batch")
    assert (batch.first_token_p50, batch.first_token_p95) == (1, 1)
    assert (batch.complete_p50, batch.complete_p95, batch.slowest) == (3, 3, [3])
    assert (batch.tokens_per_second, batch.seconds_per_answer, batch.tokens_per_answer) == (4, 0.75, 3)
    assert batch.tokens_within_limit == 2


def test_how_long_answers_may_be(model_and_tokenizer: tuple[Any, Any]) -> None:
    report = measured(model_and_tokenizer, tick=0.125)
    assert [load(report, *one).tokens_within_limit for one in ((1, "queue"), (4, "queue"), (4, "batch"))] == [16, 4, 16]


def test_an_answer_ends_at_its_own_last_token(model_and_tokenizer: tuple[Any, Any], monkeypatch: Any) -> None:
    """The second token of one of the answers is declared an end mark."""
    model, tokenizer = model_and_tokenizer
    answers = []
    for asked in ASKED:
        prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt")["input_ids"]
        answers.append(model.generate(prompt, max_new_tokens=6, do_sample=False)[0, prompt.shape[1] :].tolist())
    end = answers[1][1]
    lengths = [1 + answer.index(end) if end in answer else 6 for answer in answers]
    assert len(set(lengths)) > 1, "else this says nothing of rows that end apart"
    monkeypatch.setattr(model.generation_config, "eos_token_id", end)
    report = measured(model_and_tokenizer, users=(3,), max_new_tokens=6, rounds=1)
    for way in ("queue", "batch"):
        assert load(report, 3, way).tokens_per_answer == pytest.approx(sum(lengths) / 3)
        assert load(report, 3, way).cut == sum(end not in answer for answer in answers)
    assert load(report, 3, "batch").complete_p50 == sorted(lengths)[1]
    assert load(report, 3, "queue").slowest == [sum(lengths)]


def test_a_slow_model_is_measured_twice_and_a_fast_one_as_often_as_asked(model_and_tokenizer: tuple[Any, Any]) -> None:
    slow = measured(model_and_tokenizer, rounds=60, seconds=10)
    assert [one.rounds for one in slow.loads] == [3, 2, 3]
    fast = measured(model_and_tokenizer, rounds=3, seconds=10, tick=0.0625)
    assert [one.rounds for one in fast.loads] == [3, 3, 3]


def test_progress_and_a_call_without_questions(model_and_tokenizer: tuple[Any, Any]) -> None:
    heard: list[tuple[int, int]] = []
    measured(model_and_tokenizer, rounds=1, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(ValueError, match="at least one"):
        measure_latency(*model_and_tokenizer, [], tuned=True, memory=lambda: 0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1), st.sampled_from([0.5, 0.95]))
def test_a_percentile_is_the_smallest_that_so_many_do_not_exceed(values: list[int], share: float) -> None:
    found = percentile(values, share)
    assert sum(one <= found for one in values) >= share * len(values) > sum(one < found for one in values)
