"""What the Runs page tells of the parts that acted on a run, and the small charts, without a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from assistant.pages import run_steering
from assistant.pages.history import History
from assistant.pages.line_chart import line_chart
from trainer import events
from trainer.events import Points, Scored

ROW = '<img src=x onerror="alert(1)">'


def cards(tmp_path: Path, *happened: events.Event) -> str:
    """The cards of a run in which this happened."""
    path = tmp_path / "events.jsonl"
    for event in happened:
        events.append(path, event)
    return run_steering.cards(History(path).update())


def titles(page: str) -> list[str]:
    return re.findall(r"<h3>([^<]+)</h3>", page)


def words(chart: str) -> list[str]:
    """The numbers at the vertical axis, from the top."""
    return re.findall(r"<span>([^<]+)</span>", chart.split("<svg")[0])


def forgetting(step: int, lost: float, past: bool) -> events.ForgettingEvent:
    points = Points(n=40, before=0.6, now=0.6 - lost / 100, lost=lost, low=lost - 4, high=lost + 4)
    return events.ForgettingEvent(step=step, scores={"general": points}, limit=5, past=past)


def evaluated(step: int, ner: float) -> events.EvalEvent:
    tasks = {"ner": ner, "report_generation": 2.0}
    return events.EvalEvent(step=step, loss=1.0, n=8, token_accuracy=0.5, answer_accuracy=0.25, tasks=tasks)


def test_nothing_is_shown_where_nothing_acted(tmp_path: Path) -> None:
    assert cards(tmp_path) == ""
    mixed = events.MixEvent(step=5, rows=20, general=1, share=0.05)
    assert cards(tmp_path, mixed, events.EvalEvent(step=5, loss=1.0)) == "", "no empty card of a part that was off"


def test_text_of_rows_and_names_is_shown_and_never_run(tmp_path: Path) -> None:
    row = Scored(question=ROW, answer=ROW, loss=4.0)
    names = {ROW: 1.0, "ner": 2.0}
    page = cards(
        tmp_path,
        events.EvalEvent(step=5, loss=1.0, tasks=names, specialties=names, worst=[row], best=[row]),
        events.EvalEvent(step=9, loss=1.0, tasks=names, specialties=names, worst=[row], best=[row]),
        events.CurriculumEvent(step=5, level=ROW, reason=ROW),
        events.MixEvent(step=5, rows=4, general=0, share=0, levels={ROW: 4}),
        events.TaskWeightsEvent(step=5, weights=names),
        events.ConflictEvent(step=5, cosines={}, mean={ROW: {"ner": -0.3}, "ner": {ROW: -0.3}}, suggestion=ROW),
        events.RankEvent(rank=8, train_loss=1, validation_loss=1, gap=0, decision="keep", reason=ROW),
    )
    assert "<img" not in page
    assert page.count("&lt;img") >= 12


def test_past_the_limit_is_said_at_once_and_stands_first(tmp_path: Path) -> None:
    page = cards(tmp_path, evaluated(5, 1.0), forgetting(5, 2.0, past=False))
    assert "within the limit" in page and "past the limit" not in page
    page = cards(tmp_path, forgetting(9, 7.5, past=True))
    assert "past the limit" in page and "within the limit" not in page
    assert titles(page)[0] == "Forgetting monitor"
    assert "<strong>+7.5</strong>" in page and "+3.5 to +11.5" in page
    assert "stroke-dasharray" in page and "var(--bs-bad)" in page, "the limit is drawn"


def test_harmful_answers_are_told_beside_the_bases(tmp_path: Path) -> None:
    page = cards(
        tmp_path,
        events.HarmEvent(
            step=5, harmful=6, refused=12, n=20, share=0.3, low=0.15, high=0.52, base_harmful=2, past=True
        ),
    )
    assert "past the limit" in page
    assert "6 of 20 (15% to 52%)" in page and "<dt>harmful from the base</dt><dd>2 of 20</dd>" in page


def test_the_first_measurement_is_told_in_numbers_and_the_second_drawn(tmp_path: Path) -> None:
    page = cards(tmp_path, evaluated(5, 1.25))
    assert titles(page) == ["Right on validation rows", "Validation loss by task"]
    assert "<dt>ner</dt><dd>1.250</dd>" in page and "<dt>answer tokens right</dt><dd>0.500</dd>" in page
    assert "<svg" not in page
    page = cards(tmp_path, evaluated(9, 1.0))
    assert page.count("<svg") == 2 and "<dt>ner</dt>" not in page
    assert "report generation ends at 2" in page


def test_conflicts_are_marked_and_a_pair_that_never_met_is_not_a_number(tmp_path: Path) -> None:
    mean = {"a": {"a": 1.0, "b": -0.2}, "b": {"a": -0.2, "b": 1.0}, "c": {"c": 1.0}}
    page = cards(tmp_path, events.ConflictEvent(step=5, cosines=mean, mean=mean, suggestion="Take it out."))
    assert page.count('<span class="bs-badge bs-bad">-0.20</span>') == 2
    assert "not yet" in page and "+1.00" not in page, "a task does not pull against itself"
    assert "Take it out." in page


def test_folds_and_ranks_are_summed_up(tmp_path: Path) -> None:
    folds = [events.FoldEvent(fold=n, folds=5, rows=4, loss=1.0 + n) for n in (1, 2, 3)]
    rank = events.RankEvent(rank=8, train_loss=1.2, validation_loss=1.5, gap=0.3, decision="double", reason="Flat.")
    page = cards(tmp_path, *folds, rank)
    assert titles(page) == ["Search for the rank", "Every row held back once"]
    assert "3 of 5" in page and "3.000" in page and "2.000 to 4.000" in page
    assert "double it" in page and "Flat." in page


def test_a_chart_needs_two_points() -> None:
    assert line_chart({}, "step", "loss") == ""
    assert line_chart({"a": [(1, 2.0)], "b": []}, "step", "loss") == ""
    assert "<polyline" in line_chart({"a": [(1, 2.0), (2, 1.0)]}, "step", "loss")


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.8641, 2.8413], ["3", "2.5", "2", "1.5", "1", "0.5"]),
        ([-2.69, 7.36], ["10", "5", "0", "-5"]),
        ([0.0931, 0.2079], ["0.25", "0.2", "0.15", "0.1", "0.05"]),
        ([1.0, 1.0], ["1.2", "1", "0.8"]),
        ([0.0, 0.0], ["0.2", "0"]),
        ([12_000.0, 30_000.0], ["30000", "25000", "20000", "15000", "10000"]),
    ],
)
def test_the_axis_has_round_numbers_in_even_steps(values: list[float], shown: list[str]) -> None:
    chart = line_chart({"a": list(enumerate(values))}, "step", "loss")
    assert words(chart) == shown
    heights = [float(up) for up in re.findall(r"M0,([\d.]+) h100", chart)]
    assert heights == pytest.approx([100 * n / (len(shown) - 1) for n in range(len(shown))], abs=0.01)


def test_points_stand_where_their_numbers_say() -> None:
    chart = line_chart({"a": [(0, 0.0), (5, 0.5), (10, 1.0)]}, "step", "share", top=1.0, limit=0.25)
    assert 'points="0.00,100.00 50.00,50.00 100.00,0.00"' in chart
    assert 'M0,75.00 h100" stroke="var(--bs-bad)"' in chart
