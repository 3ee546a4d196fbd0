"""The map of the words that carried an answer: escaped, told in words, and right in its numbers."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from assistant.pages import attribution_view
from assistant.pages.attribution_view import WordsFold, heat_map
from assistant.pages.playground_talk import Talk
from evaluators.attribution import Attribution, WordShare
from evaluators.generation import Sampling
from trainer import models
from trainer.method_sections import LoraMethod
from trainer.methods import lora
from trainer.model_refs import ModelRef
from trainer.review.prompts import Prompt
from trainer.runs import RunError
from trainer.sections import RunConfig

QUESTION = "Is <b>K</b> 6.1\nor low & slow?"


def found(values: dict[str, float], delta: float | None = None) -> Attribution:
    words = []
    for text, value in values.items():
        start = QUESTION.index(text)
        words.append(WordShare(text=text, start=start, end=start + len(text), value=value))
    return Attribution(words=words, log_likelihood=-3.0, delta=delta)


def text(page: str) -> str:
    return re.sub("<[^>]*>", "", page)


def test_the_question_stands_there_whole_and_escaped() -> None:
    page = heat_map(QUESTION, found({"<": 1.0, "K": 5.0, "6.1": 3.0, "&": -1.0, "slow": -2.0}))
    shown = page.split("</p>")[0]
    assert text(shown) == "Is &lt;b&gt;K&lt;/b&gt; 6.1\nor low &amp; slow?"
    assert "<b>" not in page.lower()


def test_each_word_has_its_share_as_a_number_and_its_sign_as_a_class() -> None:
    page = heat_map(QUESTION, found({"K": 5.0, "6.1": 2.5, "low": 0.02, "slow": -2.5}))
    marks = re.findall(r'<mark class="bs-(\w+)" style="--bs-strength: (\d+)%" title="[^"]*">([\w.]+)</mark>', page)
    assert marks == [("up", "40", "K"), ("up", "20", "6.1"), ("down", "20", "slow")], "no weight, no colour"
    assert 'title="+49.9% (+5.00 nats)"' in page and 'title="-25.0% (-2.50 nats)"' in page
    assert 'title="+0.2% (+0.02 nats)"' in page, "it can be pointed at all the same"


def test_what_it_means_is_told_in_words() -> None:
    page = text(heat_map(QUESTION, found({"K": 5.0, "6.1": 2.5, "slow": -2.5, "&": -9.0}, delta=-0.25)))
    assert "Likelier by K (+26%), 6.1 (+13%). Less likely by slow (-13%)." in page, "signs are not named"
    assert "made this answer likelier" in page and "made it less likely" in page
    assert "what does not add up is 0.25 of 19.00 nats" in page
    quick = text(heat_map(QUESTION, found({"K": -5.0})))
    assert "No word made this answer likelier." in quick and "rough" in quick


def test_words_without_any_weight() -> None:
    page = heat_map(QUESTION, found({"K": 0.0, "6.1": 0.0}))
    assert "+0.0%" in page and page.count("<mark") == 2, "the legend's two alone"


@pytest.fixture
def fold() -> WordsFold:
    with gr.Blocks():
        return WordsFold("right")


def talked(first: str = "no", second: str = "yes", **more: Any) -> Talk:
    return Talk(
        first=ModelRef(run="the-run", part="base"),
        second=ModelRef(run="the-run"),
        identity="1",
        turned=False,
        sampling=Sampling(),
        adapters={"second": ["other"]},
        prompt=Prompt(messages=[{"role": "user", "content": "Is <b> even?"}]),
        questions=("Is <b> even?",),
        said={"first": (first,), "second": (second,)},
        **more,
    )


def test_the_fold_reads_the_side_that_answered_and_tells_how_far_it_is(
    tiny_model: Path, fold: WordsFold, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RunConfig.model_validate({"model": {"name": str(tiny_model)}, "hardware": {"precision": "fp32"}})
    base, tokenizer, _ = models.load_base(config)
    model = lora.apply(base, LoraMethod(rank=4)).eval()
    seen: list[Any] = []
    half = SimpleNamespace(model=model, tokenizer=tokenizer, tuned=True, switch=seen.append)
    pairing = SimpleNamespace(halves={"second": half}, system="S")
    monkeypatch.setattr(
        attribution_view.loaded, "use", lambda first, second, work: seen.append(second) or work(pairing)
    )
    talk = talked()
    first, *steps, last = list(fold._show(talk, "integrated_gradients"))
    assert seen == [talk.second, ["other"]]
    assert "One moment" in first[fold.map] and all("bs-notice" in step[fold.map] for step in steps)
    assert "&lt;" in last[fold.map] and "integrated gradients" in last[fold.map]
    assert first[fold.button].interactive is False and last[fold.button].interactive is True


def test_what_goes_wrong_is_one_sentence_and_the_button_is_there_again(
    fold: WordsFold, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*refs_and_work: Any) -> Any:
        raise RunError("There is no run <gone>.")

    monkeypatch.setattr(attribution_view.loaded, "use", gone)
    *_, last = list(fold._show(talked(), "gradient_x_input"))
    assert "There is no run &lt;gone&gt;.</div>" in last[fold.map] and last[fold.button].interactive is True


def test_a_fold_is_seen_only_under_an_answer_whose_model_may_be_known(fold: WordsFold) -> None:
    for talk, seen in (
        (None, False),
        (talked(second=""), False),
        (talked(), True),
        (talked(blind=True), False),
        (talked(blind=True, voted=True), True),
    ):
        page = fold.when(talk)
        assert page[fold.fold].visible is seen and page[fold.map] == ""
