"""The charts of the Release page: where things stand in them, what they say in words, and that names are escaped."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from assistant.pages import release_charts as charts
from evaluators.attacks.gradient import GradientCurve, GradientPoint
from evaluators.calibration import Bin
from evaluators.metrics import proportion
from evaluators.scores import Difference, Measure
from evaluators.selection import Candidate, Criterion

NASTY = '<script>alert("x")</script>'
QUALITY, SECONDS = Criterion(name="quality", better="higher"), Criterion(name="seconds", better="lower")


def measured(value: float | None = 0.5, low: float | None = 0.4, high: float | None = 0.6, **more: Any) -> Measure:
    wanted = {"name": "accuracy", "n": 200, "units": 100, "interval": "exact"} | more
    return Measure(value=value, low=low, high=high, **wanted)


def changed(value: float | None, low: float | None, high: float | None, verdict: Any = "unknown") -> Difference:
    return Difference(name="d", value=value, low=low, high=high, p=None, test="", verdict=verdict, n=200, units=100)


def drawings(page: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(one) for one in re.findall(r"<svg.*?</svg>", page)]


def said(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_right_of_the_middle_is_better_whatever_the_metric() -> None:
    rows = [
        ("MedQA", measured(), changed(0.10, 0.05, 0.15, "better")),
        ("Safety", measured(higher_is_better=False), changed(0.10, 0.05, 0.15, "worse")),
    ]
    page = charts.forest_plot(rows)
    better, worse = ([path.get("d") for path in drawing] for drawing in drawings(page))
    assert better == ["M50,0 V20", "M62.50,10 H87.50", "M75.00,10.00 h0"]
    assert worse == ["M50,0 V20", "M12.50,10 H37.50", "M25.00,10.00 h0"]
    assert "20 points worse" in page and "lower is better" in page


def test_verdicts_are_told_in_words_at_the_top() -> None:
    rows = [
        ("MedQA", measured(), changed(0.10, 0.05, 0.15, "better")),
        ("Grade", measured(scale="number"), changed(-1.5, -2.0, -1.0, "worse")),
        ("General", measured(None, None, None), changed(None, None, None)),
    ]
    words = said(charts.forest_plot(rows))
    assert "better: 1 MedQA worse: 1 Grade unknown: 1 General" in words
    assert "+10.0 points (+5.0 to +15.0)" in words
    assert "−1.5 (−2 to −1)" in words, "a measure in its own unit is told, not drawn"
    assert "not measured" in words
    assert len(drawings(charts.forest_plot(rows))) == 1
    assert charts.forest_plot([]) == ""


def bins(*known: tuple[float, float, int]) -> list[Bin]:
    found = [Bin(low=0, high=0.5, n=0, confidence=None, accuracy=None)]
    return found + [Bin(low=0.5, high=1, n=n, confidence=sure, accuracy=right) for sure, right, n in known]


def test_calibration_stands_at_its_confidence_and_its_share() -> None:
    page = charts.reliability_plot(bins((0.75, 0.5, 20)), bins((0.75, 1.0, 5)))
    (drawing,) = drawings(page)
    dots = [path.get("d") for path in drawing if str(path.get("d")).endswith("h0")]
    assert dots == ["M74.60,50.00 h0", "M75.40,0.00 h0"], "base and tuned a little apart"
    assert "base, 20 answers with confidence 0.75: 50% (30% to 70%) right" in str(drawing.get("aria-label"))
    assert charts.reliability_plot(bins(), bins()) == ""


def test_accuracy_against_epsilon_begins_unchanged() -> None:
    points = [
        GradientPoint(epsilon=size, fgsm=proportion(fgsm, 20), multi_step=proportion(2, 20), noise=proportion(9, 20))
        for size, fgsm in ((0.1, 8), (0.3, 4))
    ]
    curve = GradientCurve(clean=proportion(10, 20), points=points, embedding_norm=1, steps=5, draws=3)
    page = charts.gradient_plot(curve)
    (drawing,) = drawings(page)
    lines = [line.get("points") for line in drawing if line.tag == "polyline"]
    assert lines == [
        "0.00,50.00 50.00,60.00 100.00,80.00",
        "0.00,50.00 50.00,90.00 100.00,90.00",
        "0.00,50.00 50.00,55.00 100.00,55.00",
    ]
    assert "0 0.1 0.3 FGSM, one step 5 steps random noise, equal norm" in said(page)
    assert charts.gradient_plot(curve.model_copy(update={"points": []})) == ""


def candidate(name: str, quality: float | None, seconds: float | None) -> Candidate:
    return Candidate(name=name, values={"quality": quality, "seconds": seconds})


def test_the_front_is_joined_and_what_lacks_a_number_is_told() -> None:
    found = [candidate("fast", 0.3, 1), candidate("good", 0.5, 3), candidate("poor", 0.2, 2), candidate("new", None, 1)]
    page = charts.pareto_plot(found, SECONDS, QUALITY, chosen="good")
    (drawing,) = drawings(page)
    (joined,) = [str(path.get("d")) for path in drawing if " L" in str(path.get("d"))]
    places = [tuple(map(float, place.split(","))) for place in joined[1:].split(" L")]
    assert len(places) == 2 and places[0][0] < places[1][0] and places[0][1] > places[1][1], "better is up"
    words = said(page)
    assert "good chosen seconds: 3; quality: 0.5; on the front" in words
    assert "poor seconds: 2; quality: 0.2; no better than another in either" in words
    assert "new seconds: 1; quality: not measured; not drawn" in words
    assert "quality, higher is better" in words and "seconds, lower is better" in words


@pytest.mark.parametrize("found", [[], [candidate("new", None, 1)], [candidate("only", 0.0, 0.0)]])
def test_few_candidates_draw_what_there_is(found: list[Candidate]) -> None:
    page = charts.pareto_plot(found, SECONDS, QUALITY)
    assert len(drawings(page)) == (found[:1] == [candidate("only", 0.0, 0.0)])
    assert bool(page) == bool(found)


def test_bars_under_attack_are_as_long_as_their_share() -> None:
    nothing = measured(None, None, None)
    page = charts.attack_bars(
        [("typos", measured(0.6, 0.5, 0.7), measured(0.25, 0.2, 0.3)), ("none", measured(), nothing)]
    )
    first, second = drawings(page)
    assert [bar.get("width") for bar in first if bar.tag == "rect"] == ["60.00", "25.00"]
    assert len([bar for bar in second if bar.tag == "rect"]) == 1
    words = said(page)
    assert "60% (50% to 70%) as asked, 25% (20% to 30%) changed, 100 questions" in words
    assert "50% (40% to 60%) as asked, not measured changed" in words
    assert charts.attack_bars([]) == ""


def test_names_are_escaped_everywhere() -> None:
    metric = measured(name=NASTY)
    named = Candidate(name=NASTY, values={NASTY: 0.1, "seconds": 1})
    pages = [
        charts.forest_plot([(NASTY, metric, changed(0.1, 0.0, 0.2))]),
        charts.attack_bars([(NASTY, metric, metric)]),
        charts.pareto_plot([named, candidate("b", 0.2, 2)], SECONDS, Criterion(name=NASTY, better="higher"), NASTY),
    ]
    for page in pages:
        assert page and "<script" not in page
        assert drawings(page), "well-formed, whatever the name"
