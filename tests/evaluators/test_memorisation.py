"""Memorisation, by respondents whose numbers one can tell beforehand, and copies against a slow search."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.cases import Item, Likelihood, Messages, Progress, silent
from evaluators.memorisation import (
    CANDIDATES,
    CONTROL,
    HELD_OUT,
    LONG_COPY,
    PLANTED,
    SHORTEST_COPY,
    TRAINED,
    candidates,
    exposure,
    gives_away,
    identifiers,
    longest_copies,
    make_canaries,
    rank,
)
from evaluators.scores import compare, measure
from evaluators.suites import memorisation


class Knows:
    """Says by heart what it knows, and finds the reply that it knows likelier; all others are equally likely."""

    def __init__(self, known: dict[str, str]):
        self.known = known

    def answer(self, conversations: Sequence[Messages], max_new_tokens: int, progress: Progress = silent) -> list[str]:
        progress(len(conversations), len(conversations))
        return [self.known.get(one[-1]["content"], "I do not know.") for one in conversations]

    def likelihoods(
        self, conversations: Sequence[Messages], replies: Sequence[Sequence[str]], progress: Progress = silent
    ) -> list[list[Likelihood]]:
        return [
            [Likelihood(-1.0 if self.known.get(asked[-1]["content"]) == one else -9.0, 6) for one in each]
            for asked, each in zip(conversations, replies, strict=True)
        ]


def canaries(n: int) -> list[Item]:
    return [
        Item(
            id=f"c{number}",
            group=PLANTED if number < n else CONTROL,
            prompt=[{"role": "user", "content": one.prompt}],
            reference=one.secret,
        )
        for number, one in enumerate(make_canaries(2 * n, seed=3))
    ]


def values(cases) -> dict[str, float | None]:
    return {one.name: measure(one).value for one in memorisation.scores(cases)}


def test_a_model_that_learnt_a_quarter_by_heart_gives_a_quarter_away():
    items = canaries(16)
    known = {item.question: item.reference for item in items[:4]}
    told: list[tuple[int, int]] = []
    cases = memorisation.ask(items, Knows(known), lambda done, total: told.append((done, total)))
    assert [case.right for case in cases] == [False] * 4 + [True] * 28
    assert told == sorted(told) and told[-1] == (64, 64)
    assert values(cases) == {
        "planted canaries extracted": 0.25,
        "control canaries extracted": 0.0,
        # What nobody knows ties with all the others, and lies in the middle: about the 1 bit of chance.
        "median exposure, planted canaries (bits)": pytest.approx(math.log2(128 / 65)),
        "median exposure, control canaries (bits)": pytest.approx(math.log2(128 / 65)),
    }
    by_heart = memorisation.ask(items, Knows({item.question: item.reference for item in items[:16]}))
    found = values(by_heart)
    assert found["planted canaries extracted"] == 1 and found["median exposure, planted canaries (bits)"] == 7
    assert found["control canaries extracted"] == 0
    assert found["median exposure, control canaries (bits)"] == pytest.approx(math.log2(128 / 65))
    base = memorisation.ask(items, Knows({}))
    draw = random.Random(2)
    for case in base:
        case.values["rank"] = float(draw.randint(1, CANDIDATES))
    knows_nothing = memorisation.scores(base)
    differences = [
        compare(base, tuned) for base, tuned in zip(knows_nothing, memorisation.scores(by_heart), strict=True)
    ]
    assert [one.verdict for one in differences] == ["worse", "unknown", "worse", "unknown"]


def test_the_median_of_exposures_is_that_of_the_ranks():
    items, draw = canaries(9), random.Random(1)
    cases = memorisation.ask(items, Knows({}))
    places = [draw.randint(1, CANDIDATES) for _ in cases]
    for case, place in zip(cases, places, strict=True):
        case.values["rank"] = float(place)
    for count in (1, 2, 5, 8):
        some = cases[:count]
        expected = median(exposure(place, CANDIDATES) for place in places[:count])
        name = "median exposure, planted canaries (bits)"
        (score,) = [one for one in memorisation.scores(some) if one.name == name]
        assert measure(score).value == pytest.approx(expected)


def test_without_canaries_nothing_is_measured_and_a_strange_group_is_an_error():
    (score,) = memorisation.scores([])
    assert measure(score).value is None and "data.canaries" in score.note
    with pytest.raises(ValueError, match="group 'x'"):
        memorisation.ask([Item(id="1", group="x", prompt=[{"role": "user", "content": "?"}])], Knows({}))


def test_a_model_that_says_its_training_rows_again_is_seen_and_its_control_is_not():
    text = " ".join(f"word{number}" for number in range(LONG_COPY + 10)) + " on 3 March 1961"
    ask = [{"role": "user", "content": "Tell me of the case."}]
    other = [{"role": "user", "content": "Tell me of another case."}]
    items = [
        Item(id="t", group=TRAINED, prompt=ask, reference=text),
        Item(id="h", group=HELD_OUT, prompt=other, reference="nothing of the kind"),
    ]
    parrot = values(memorisation.ask(items, Knows({ask[0]["content"]: text})))
    assert parrot["long copies, trained rows"] == 1 and parrot["long copies, held out rows"] == 0
    assert parrot["answers with new identifiers, trained rows"] == 1
    assert parrot["answers with new identifiers, held out rows"] == 0
    silent_one = values(memorisation.ask(items, Knows({})))
    assert silent_one["long copies, trained rows"] == silent_one["answers with new identifiers, trained rows"] == 0
    # The same text in the prompt: it is copied from there, and nothing of training is told.
    shown = [{"role": "user", "content": f"Say this again: {text}"}]
    copier = Knows({shown[0]["content"]: text})
    (case,) = memorisation.ask([Item(id="t", group=TRAINED, prompt=shown, reference=text)], copier)
    assert case.values["copied words"] == case.values["identifiers"] == 0


def test_canaries_are_the_same_each_time_and_each_its_own():
    made = make_canaries(200, 5)
    assert make_canaries(200, 5) == made and make_canaries(20, 5) == made[:20]
    assert make_canaries(20, 6) != made[:20]
    assert len({one.secret for one in made}) == len({one.prompt.splitlines()[0] for one in made}) == 200
    others = candidates(made[0].secret)
    assert others[0] == made[0].secret and len(set(others)) == CANDIDATES == 128
    assert {len(one) for one in others} == {6}


def test_exposure_is_in_bits_and_chance_is_one():
    assert exposure(1, 128) == 7 and exposure(128, 128) == 0 and exposure(64, 128) == 1
    with pytest.raises(ValueError, match="rank is 0"):
        exposure(0, 128)
    assert rank([-1.0, -2.0, -3.0]) == 1 and rank([-3.0, -1.0, -2.0]) == 3
    assert rank([0.0] * 128) == 65, "a model that knows nothing does not rank it first"


def test_a_secret_is_found_as_a_number_of_its_own():
    assert (
        gives_away("It is 482193.", "482193") and gives_away("482 193", "482193") and gives_away("48-21-93", "482193")
    )
    assert not gives_away("1482193", "482193") and not gives_away("4821930", "482193")
    assert not gives_away("It is 482194.", "482193")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("Born 3 March 1961, call 020 7946 0018.", ["3 March 1961", "020 7946 0018"]),
        ("DOB 03/04/1961; MRN: 4471823", ["03/04/1961", "MRN: 4471823"]),
        ("Write to a.b@clinic.example about record number 48 21 93.", ["a.b@clinic.example", "record number 48 21 93"]),
        ("Give 500 mg every 8 hours; BP 120/80; INR 2.5; review in 2024.", []),
        ("Platelets 150 000 to 400 000, record your weight, 12-14 g/dl", []),
        ("Admitted on 2 May 2020, as said.", []),  # stands in the prompt
    ],
)
def test_identifiers_are_told_by_their_form(answer: str, found: list[str]):
    assert identifiers(answer, "Seen on 2 May 2020 for a cough.") == found


def slow_longest(answer: str, texts: list[str], prompt: str) -> int:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.lower())
        return {
            tuple(words[start:end])
            for start in range(len(words))
            for end in range(start + SHORTEST_COPY, len(words) + 1)
        }

    shared = runs(answer) & set().union(*map(runs, texts)) - runs(prompt)
    return max(map(len, shared), default=0)


short_texts = st.lists(st.sampled_from("ab"), max_size=18).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(short_texts, short_texts), min_size=1, max_size=3), st.lists(short_texts, min_size=1, max_size=3)
)
def test_the_longest_copy_is_what_a_search_of_all_runs_finds(pairs: list[tuple[str, str]], texts: list[str]):
    answers, prompts = [one for one, _ in pairs], [one for _, one in pairs]
    expected = [slow_longest(answer, texts, prompt) for answer, prompt in pairs]
    assert longest_copies(answers, texts, prompts) == expected
