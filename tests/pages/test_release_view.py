"""What the Release page and the terminal say of a report: headline, chance, changes, cases; nothing unescaped."""

from __future__ import annotations

import pytest

from assistant.evaluation_words import report_lines
from assistant.pages import release_view
from evaluators.cases import Case
from evaluators.scores import Difference, Measure, Verdict
from trainer.evaluation import conclusions
from trainer.evaluation.report import Compared, EvaluationReport, SuiteReport
from trainer.evaluation.words import chance_note, change, headline, setbacks


def compared(base: float, tuned: float, verdict: Verdict, p: float, name: str = "Accuracy") -> Compared:
    def measure(value: float) -> Measure:
        return Measure(name=name, value=value, low=value - 0.1, high=value + 0.1, n=50, units=50, interval="exact")

    moved = tuned - base
    difference = Difference(
        name=name, value=moved, low=moved - 0.05, high=moved + 0.05, p=p, test="", verdict=verdict, n=50, units=50
    )
    return Compared(base=measure(base), tuned=measure(tuned), difference=difference)


def suite(source: str, main: Compared, chance: float | None = None) -> SuiteReport:
    return SuiteReport(
        suite="multiple_choice",
        title="Multiple choice",
        source=source,
        items=50,
        metrics=[main],
        verdict=main.difference.verdict,
        chance=chance,
        cases="01-multiple_choice",
    )


def report(*suites: SuiteReport) -> EvaluationReport:
    return EvaluationReport(run="r", base_model="m", suites=list(suites))


def test_the_headline_names_what_is_better_worse_and_open():
    better = suite("/data/a.csv", compared(0.3, 0.6, "better", 0.001))
    worse = suite("/data/b.csv", compared(0.6, 0.3, "worse", 0.001))
    open_ = suite("/data/c.csv", compared(0.5, 0.5, "unknown", 0.9))
    assert headline(report(better, worse, open_)) == (
        "The tuned model is better on multiple choice (a), and worse on multiple choice (b) than its base model. "
        "On multiple choice (c) no difference is shown."
    )
    assert headline(report(open_)) == "No difference from its base model is shown on any of 1 set."
    against = report(better).model_copy(update={"against": "20260101-older"})
    assert headline(against).endswith("than the tuned model of 20260101-older.")
    assert headline(report()) == "Nothing has been compared yet."


def test_of_many_sets_one_is_not_better_by_chance():
    lucky = suite("a", compared(0.5, 0.6, "better", 0.03))
    found = report(lucky, *(suite(name, compared(0.5, 0.5, "unknown", 0.5)) for name in "bcd"))
    conclusions.conclude(found)
    assert [one.verdict for one in found.suites] == ["unknown"] * 4, "0.03 x 4 sets is above 5 %"
    found.suites[0].main.difference.p = 0.01
    conclusions.conclude(found)
    assert found.suites[0].verdict == "better"


@pytest.mark.parametrize(
    ("base", "tuned", "said"),
    [
        (0.3, 0.32, "Neither model does better than guessing, 25 %"),
        (0.3, 0.6, "The base model does not do better than guessing, 25 %"),
        (0.5, 0.6, ""),
    ],
)
def test_near_chance_it_is_said(base: float, tuned: float, said: str):
    note = chance_note(suite("a", compared(base, tuned, "unknown", 0.5), chance=0.25))
    assert note.startswith(said) and bool(note) == bool(said)


def test_changes_are_in_points_with_their_interval():
    main = compared(0.3, 0.6, "better", 0.001)
    assert change(main.difference, main.tuned) == "+30 points (+25 to +35)"
    nothing = main.difference.model_copy(update={"value": None})
    assert change(nothing, main.tuned) == "-"


def test_a_better_main_metric_does_not_hide_what_got_worse():
    found = suite("a", compared(0.3, 0.6, "better", 0.001))
    found.metrics.append(compared(0.1, 0.6, "worse", 0.001, "Unsupported notes"))
    found.metrics.append(compared(0.1, 0.2, "unknown", 0.4, "Length"))
    assert setbacks(found) == ["Unsupported notes +50 points (+45 to +55)"]
    shown = release_view.verdict(report(found))
    assert "but worse: Unsupported notes +50 points" in shown
    assert any(line.startswith("But worse in multiple choice (a): Unsupported") for line in report_lines(report(found)))


def test_cases_show_what_was_lost_and_what_a_file_says_is_text():
    main = compared(0.5, 0.5, "unknown", 0.9)
    base = [Case(id="1", source="1", question="<script>q</script>", reference="<b>", answer="yes", right=True)]
    tuned = [base[0].model_copy(update={"answer": "<img src=x>", "right": False, "remarks": ["<i>why</i>"]})]
    shown = release_view.suite(suite("<u>.csv", main), "", base, tuned)
    assert "Right before, wrong now: 1" in shown and "&lt;script&gt;q&lt;/script&gt;" in shown
    for tag in ("<script>", "<img", "<i>", "<u>", "<b>"):
        assert tag not in shown


def test_the_terminal_says_what_the_page_says():
    found = report(suite("/data/a.csv", compared(0.3, 0.6, "better", 0.001), chance=0.25))
    conclusions.conclude(found)
    lines = report_lines(found)
    assert lines[0] == headline(found)
    assert any("multiple choice (a): Accuracy" in line and "30 % (20 to 40)" in line for line in lines)
    assert any(line.startswith("Release gates: not enough evidence") for line in lines)
    assert sum("NOT ENOUGH EVIDENCE" in line for line in lines) == 7, "nothing of them was measured"
