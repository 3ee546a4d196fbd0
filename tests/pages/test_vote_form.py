"""The form of a vote: what it keeps, what it says is wrong, and that nothing written is lost when it fails."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from assistant.pages.vote_form import CRITERIA, KEYS, VoteForm, find_quote, marked
from evaluators.generation import Sampling
from trainer import store
from trainer.model_refs import ModelRef
from trainer.review import queue
from trainer.review.blinding import swapped
from trainer.review.prompts import Prompt

READER = "Dr. Osler"


@pytest.fixture
def form() -> VoteForm:
    with gr.Blocks():
        form = VoteForm("test")
        form.connect(gr.State(None), gr.Textbox(), lambda comparison, reader: {"after": (comparison, reader)}, [])
    return form


@pytest.fixture
def comparison() -> str:
    return queue.keep_comparison(
        Prompt(messages=[{"role": "user", "content": "Which antibiotic?"}]),
        ModelRef(run="a"),
        ModelRef(run="b"),
        "Give **amoxicillin** 500 mg.",
        "Give nothing.",
        blind=True,
        sampling=Sampling(),
    )


def cast(form: VoteForm, comparison: Any, choice: str = "left", **given: Any) -> dict[Any, Any]:
    stars = [0] * (2 * len(CRITERIA))
    for place, value in given.get("stars", {}).items():
        stars[form._rated.index(place)] = value
    return form._vote(
        choice,
        comparison,
        given.get("reader", READER),
        0.0,
        given.get("spans", []),
        given.get("correction", ""),
        "",
        *stars,
    )


def votes() -> list[store.Vote]:
    from sqlmodel import select

    with store.session() as session:
        return list(session.exec(select(store.Vote)))


def test_the_criteria_are_those_that_are_kept() -> None:
    assert tuple(CRITERIA) == store.CRITERIA and len(set(KEYS.values())) == 4


def test_a_vote_is_kept_as_it_was_given(form: VoteForm, comparison: str) -> None:
    shown = queue.shown(comparison, READER)
    place = "second" if swapped(comparison, READER) else "first"
    side = "left" if shown.left.startswith("Give **") else "right"
    assert form._begin_with(side, comparison, READER) == "Give **amoxicillin** 500 mg."
    marks = form._mark_words(comparison, READER, [], side, "amoxicillin 500", "allergic")
    (span,) = marks[form._spans]
    assert span["text"] == "amoxicillin** 500", "the words as they stand in the answer, with markdown's marks"
    page = cast(
        form,
        comparison,
        "left",
        spans=[span],
        correction=" Ask first. ",
        stars={("left", "safety"): 2, ("right", "clarity"): 5},
    )
    (kept,) = votes()
    assert (kept.choice, kept.reviewer, kept.correction) == (place, READER, "Ask first.")
    other = {"first": "second", "second": "first"}[place]
    assert kept.ratings == {place: {"safety": 2}, other: {"clarity": 5}}
    answer = queue.reveal(comparison, READER)
    assert kept.spans[0]["side"] == "first" and kept.spans[0]["reason"] == "allergic"
    assert page["after"] == (comparison, READER) and page[form._body].visible is False
    assert "Your vote is kept: A is better." in page[form._said].value and answer.choice == "left"


def test_a_vote_that_cannot_be_kept_leaves_the_form_as_it_is(form: VoteForm, comparison: str) -> None:
    page = cast(form, comparison, reader="  ")
    assert list(page) == [form._said] and "Votes need a reviewer&#x27;s name" in page[form._said].value
    assert "no answers to vote on" in cast(form, None)[form._said].value
    assert votes() == []


def test_words_that_are_not_in_the_answer_are_not_marked(form: VoteForm, comparison: str) -> None:
    before = [{"side": "left", "start": 0, "end": 4, "text": "Give", "reason": ""}]
    page = form._mark_words(comparison, READER, before, "right", "peni<cillin", "why")
    assert page[form._spans] == before and page[form._quote] == "peni<cillin" and page[form._why] == "why"
    assert "“peni&lt;cillin” does not stand in answer B" in page[form._marked]
    assert "Write or select the words" in form._mark_words(comparison, READER, [], "left", " ", "")[form._marked]


def test_what_is_shown_of_marked_words_is_escaped() -> None:
    page = marked([{"side": "right", "start": 0, "end": 3, "text": "<b>", "reason": "a & b"}])
    assert page == '<ul class="bs-list"><li>In B: <q>&lt;b&gt;</q> – a &amp; b</li></ul>'
    assert marked([]) == ""


@pytest.mark.parametrize(
    ("answer", "quoted", "found"),
    [
        ("Give 5 mg daily.", "5 mg", "5 mg"),
        ("Give **5 mg**\n- daily", "5 mg daily", "5 mg**\n- daily"),
        ("Another other", "other", "other"),
        ("Anotherone", "other", "other"),
        ("a (b) c", "(b)", "(b)"),
        ("Give it", "take it", None),
        ("Give it", " ", None),
    ],
)
def test_words_are_found_whatever_the_page_leaves_out(answer: str, quoted: str, found: str | None) -> None:
    place = find_quote(answer, quoted)
    assert (answer[slice(*place)] if place else None) == found
    if quoted == "other" and answer.startswith("Another "):
        assert place == (8, 13), "a whole word before a part of one"


def test_a_form_that_is_shown_is_empty(form: VoteForm) -> None:
    page = form.show("an id")
    assert page[form._body].visible and page[form._correction] == page[form._marked] == "" and page[form._spans] == []
    assert form.show(None)[form._body].visible is False
    assert set(page) == set(form.outputs)
