"""What the parts of the Review page say and do: charts, blind cases, decisions, sets, and the alignment run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, get_args

import gradio as gr
import pytest
from gradio.components import Component
from sqlmodel import select

from assistant.pages import review_charts, review_sets, review_view, uploads
from assistant.pages.review_judging import Judging
from assistant.pages.review_preferences import Preferences
from assistant.pages.review_results import Results
from assistant.pages.review_sets import Sets
from evaluators.metrics import proportion
from evaluators.scores import Measure
from trainer import model_refs, readiness, runs, store
from trainer.data.records import DataError
from trainer.review import queue
from trainer.review.ballots import Ballot, Disagreement, Shown
from trainer.review.preference_data import LeftOut, PreferenceData
from trainer.review.preferences import load
from trainer.review.prompts import Prompt
from trainer.review.queue import ReviewerProgress, SetProgress
from trainer.review.selection import Strategy
from trainer.runs import Run, label
from trainer.store import Comparison, ReviewSet

EVIL = "<script>x</script><img src=y>"
DEFAULTS = (False, 1, "leave_out", 0.95, 1.0, True)  # every vote, and the rules as the page draws them


@pytest.fixture
def answered(finished_run: Run) -> ReviewSet:
    """Six cases that both models of the run have answered, the tuned one with structure."""
    tuned, base, *_ = model_refs.of_run(finished_run)
    prompts = [Prompt(messages=[{"role": "user", "content": f"Question {n}?"}]) for n in range(6)]
    made = queue.create_set("ward", prompts, tuned, base)
    with store.session() as session:
        for one in session.exec(select(Comparison).where(Comparison.set_id == made.id)):
            one.first_answer, one.second_answer = f"Assessment {one.place}: high", f"It may be so, {one.place}"
            session.add(one)
    return made


def drawn(part: Any, *arguments: Any) -> Any:
    """A part of the page, as it is drawn within one."""
    with gr.Blocks():
        return part(*arguments)


def text(updates: dict[Any, Any]) -> str:
    """All that a page is sent, as text."""
    return repr([one.get_config() if isinstance(one, Component) else one for one in updates.values()])


def better(shown: Shown) -> str:
    return "left" if shown.left.startswith("Assessment") else "right"


def judge(made: ReviewSet, reviewer: str, **other: str) -> None:
    """Vote for the answer with structure in every case, but for the cases (by place) that `other` says."""
    while (shown := queue.next_case(made.id, reviewer)) is not None:
        choice = other.get(f"at_{shown.done}", better(shown))
        queue.vote(shown.comparison_id, reviewer, Ballot.model_validate({"choice": choice}))


def measure(value: float | None, low: float | None = None, high: float | None = None, n: int = 10) -> Measure:
    kind = "none" if low is None else "bootstrap"
    return Measure(name="m", value=value, low=low, high=high, n=n, units=n, interval=kind, scale="number")


# Words and charts


def test_wins_stand_in_their_share_of_the_bar_and_in_numbers():
    drawing = review_charts.wins_bar("a<b>", "c", {"first": 5, "tie": 2, "both bad": 1, "second": 2})
    assert [part.split('"')[0] for part in drawing.split('<rect x="')[1:]] == ["0.00", "50.00", "70.00", "80.00"]
    assert "a&lt;b&gt; preferred: 5" in drawing and "both bad: 1" in drawing and "<b>" not in drawing
    assert review_charts.wins_bar("a", "c", {"first": 0, "tie": 0, "both bad": 0, "second": 0}) == ""


def test_intervals_share_one_axis_and_say_where_there_is_none():
    drawing = review_charts.intervals([("a", measure(3.0, 2.0, 4.0)), ("b", measure(5.0))], "Stars", (1.0, 5.0))
    assert "M25.00,10 H75.00" in drawing, "2 to 4 on an axis from 1 to 5"
    assert "M50.00,10.00 h0" in drawing and "M100.00,10.00 h0" in drawing
    assert "3.00 (2.00 to 4.00), n = 10" in drawing and "5.00, n = 10" in drawing
    assert review_charts.intervals([("a", measure(None))], "Stars") == ""
    ratings = review_charts.intervals([("a", measure(1100.4, 1050.0, 1150.0)), ("b", measure(900.0, 850.0, 950.0))], "")
    assert "1100 (1050 to 1150)" in ratings
    assert "<span>826</span><span>1174</span>" in ratings, "8 % of 300 points on each side"


def test_the_left_share_is_drawn_against_one_half():
    drawing = review_charts.left_share(proportion(15, 20))
    assert "75% (53% to 89%), n = 20" in drawing and "M75.00,10.00 h0" in drawing and "M50,0 V20" in drawing


def test_models_are_called_by_as_little_as_tells_them_apart(finished_run: Run):
    one = finished_run.id
    assert review_view.names([one, f"{one}:base", f"{one}:checkpoint-4"]) == {
        one: "tuned",
        f"{one}:base": "base",
        f"{one}:checkpoint-4": "checkpoint 4",
    }
    other = "20200101-000000-tiny"
    shutil.copytree(finished_run.folder, runs.runs_folder() / other)
    called = review_view.names([one, other, f"{other}:base", "gone"])
    assert called[one] == f"{label(finished_run)} · tuned", "two runs of one name are told apart by their dates"
    assert called[f"{other}:base"] == "tiny · base" and called["gone"] == "gone"


def test_what_people_and_models_write_is_text():
    messages = [{"role": "user", "content": EVIL}, {"role": "assistant", "content": EVIL}]
    shown = Shown(comparison_id="c", messages=[*messages, messages[0]], left=EVIL, right=EVIL, blind=True, group=EVIL)
    given = Ballot.model_validate(
        {
            "choice": "right",
            "ratings": {"right": {"safety": 2}, "left": {"safety": 5}},
            "spans": [{"side": "left", "start": 0, "end": 3, "text": EVIL, "reason": EVIL}],
            "comment": EVIL,
            "correction": EVIL,
        }
    )
    found = Disagreement(shown=shown, votes={EVIL: given}, opposite=True, decision=None)
    pair = {"prompt": messages[:1], "chosen": messages[1:], "rejected": messages[1:]}
    left_out = [LeftOut(where="c", question=EVIL, reason="a tie", labels=1)]
    data = PreferenceData(source=EVIL, pairs=[pair], labels=[], left_out=left_out, comparisons=2)  # pyright: ignore
    page = review_view.disagreement(found, 1, 2) + review_view.case_progress(shown) + review_view.model_name(EVIL)
    page += review_view.preference_data(data) + review_view.remark(EVIL) + review_view.question(messages)
    assert "&lt;script&gt;" in page and "<script" not in page and "<img" not in page
    assert "<strong>B is better</strong>; A: safety 5; B: safety 2; wrong in A" in page


def test_why_there_is_no_case():
    reader = ReviewerProgress(reviewer="Anna", done=3, skipped=1, total=4)
    whole = SetProgress(cases=8, answered=8, judged=4, votes=4)
    assert "All done: 4 cases, 1 of them skipped." in review_view.no_case([reader], whole, "Anna")
    assert review_view.no_case([reader], whole, "Ben") == "No case of this set is dealt to you."
    waiting = whole.model_copy(update={"answered": 5})
    assert "answered 5 of 8 cases" in review_view.no_case([reader], waiting, "Anna")


# Cases, decisions, sets


def test_a_case_names_nobody_before_the_vote_and_both_after_it(answered: ReviewSet, finished_run: Run):
    part = drawn(Judging)
    page = part.open(answered.id, "Anna")
    assert page[part.reader] == "Anna", "the vote is that of whom the case was shown to"
    assert "Assessment 0: high" in text(page)
    for name in (finished_run.id, label(finished_run), "tuned", "base model"):
        assert name not in text(page)
    shown = queue.next_case(answered.id, "Anna")
    assert shown is not None and shown.comparison_id == page[part.comparison]
    again = part.open(answered.id, "Anna", shown.comparison_id, "Anna")
    assert list(again) == [part.reader], "what was written of a case that stands there stays"
    assert part.open(answered.id, "Ben", shown.comparison_id, "Anna")[part.reader] == "Ben"
    queue.vote(shown.comparison_id, "Anna", Ballot(choice="tie"))
    after = part._voted(shown.comparison_id, "Anna")
    names = [after[name].value for _, name in part.answers]
    first, second = ("tuned", "base") if better(shown) == "left" else ("base", "tuned")
    assert first in names[0] and second in names[1]
    assert part.open(answered.id, "Anna")[part.comparison] != shown.comparison_id


def test_a_case_is_skipped_with_a_reason_alone(answered: ReviewSet):
    part = drawn(Judging)
    first = part.open(answered.id, "Anna")[part.comparison]
    assert "reason" in text(part._skip(answered.id, first, "Anna", " "))
    page = part._skip(answered.id, first, "Anna", "not my field")
    assert page[part.comparison] not in (None, first)
    assert queue.progress(answered.id)[0].skipped == 1


def test_who_read_a_case_does_not_decide_it(answered: ReviewSet):
    judge(answered, "Anna")
    judge(answered, "Ben", at_2="both_bad", at_4="tie")
    part = drawn(Results)
    assert "2 cases are still to be decided. You read them yourself" in text(part.open(answered.id, "Ben"))
    assert "Write your name above" in text(part.open(answered.id, ""))
    page = part.open(answered.id, "Cleo")
    assert "To be decided: 1 of 2" in page[part.case]
    shown = queue.shown(page[part.comparison], "Cleo")
    page = part._decide(answered.id, page[part.comparison], "Cleo", better(shown), "guideline")
    assert "To be decided: 2 of 2" in page[part.case]
    decided = [one.decision for one in queue.disagreements(answered.id, "Cleo") if one.decision]
    assert [(one.choice, one.comment) for one in decided] == [(better(shown), "guideline")]


def test_questions_come_from_lines_and_files_each_once(tmp_path: Path):
    path = tmp_path / "asked.txt"
    path.write_text("What is gout?\nIs TSH high?\n")
    found = review_sets._questions(" Is TSH high? \n\nAnd now?", str(path), "")
    assert [one.question for one in found] == ["Is TSH high?", "And now?", "What is gout?"]
    with pytest.raises(DataError, match=r"absent\.txt"):
        review_sets._questions("", str(tmp_path / "absent.txt"), "")


def test_every_way_of_choosing_can_be_taken():
    assert set(review_sets.STRATEGIES.values()) == {review_sets.IN_ORDER, *get_args(Strategy)}


def test_a_set_is_made_dealt_and_answered_and_a_fault_leaves_nothing(
    finished_run: Run, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []
    monkeypatch.setattr(queue, "answer_set", lambda set_id, progress: asked.append(set_id) or 2)
    part = drawn(Sets, gr.State(None), lambda set_id: {"changed": set_id})
    tuned, base = finished_run.id, f"{finished_run.id}:base"
    said = list(part._make("ward", "One?\nTwo?\nThree?", "", "", 2, "in order", tuned, tuned, 8, True, "", 0.2))
    assert "choose two different ones" in text(said[-1]) and queue.list_sets() == []
    said = list(
        part._make("ward", "One?\nTwo?\nThree?", "", "", 2, "in order", tuned, base, 8, True, "Anna, Ben,", 0.5)
    )
    made = queue.get_set("ward")
    assert asked == [made.id] and "2 cases answered" in text(said[-1]) and said[-1]["changed"] == made.id
    assert (made.reviewers, made.double_share, made.sampling["max_new_tokens"]) == (["Anna", "Ben"], 0.5, 8)
    assert queue.set_progress(made.id).cases == 2
    assert finished_run.id not in text(part._of_set(made.id)), "a reviewer may read a set's state"


# Preferences


@pytest.fixture
def preferences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Preferences:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return drawn(Preferences, gr.State(None), gr.State(None))


def test_the_rules_of_the_page_are_those_of_the_data(answered: ReviewSet, preferences: Preferences):
    judge(answered, "Anna", at_0="tie", at_1="both_bad")
    page = preferences._preview(answered.id, *DEFAULTS)
    assert "pairs</dt><dd>4</dd>" in page[preferences.preview]
    assert "1 × a tie" in page[preferences.preview] and "both answers are bad" in page[preferences.preview]
    asked = (False, 2, *DEFAULTS[2:])
    page = preferences._preview(answered.id, *asked)
    assert "6 × fewer readers than the rules ask for" in page[preferences.preview]
    assert page[preferences.align].interactive is False


def test_votes_become_saved_data_and_a_run_with_its_reasons(
    answered: ReviewSet, preferences: Preferences, finished_run: Run, monkeypatch: pytest.MonkeyPatch
):
    judge(answered, "Anna")
    started: list[Run] = []
    monkeypatch.setattr(runs, "start", lambda run: started.append(run) or run)
    page = preferences._align(finished_run.id, "ward", answered.id, *DEFAULTS)
    (run,) = started
    assert page[preferences.started] == run.id and run.id in text({1: page[preferences.said]})
    assert run.config.objective.kind == "dpo" and run.config.method.start_from is not None
    saved = load("ward-v1")
    assert run.config.data.sources[0].name == str(saved.pairs)
    assert "objective.kind" in page[preferences.reasons].value and "Azar et al. 2023" in page[preferences.reasons].value
    file = uploads.given_out("ward-v1-pairs.jsonl")
    assert file.read_bytes() == saved.pairs.read_bytes() and page[preferences.downloads[0]].visible


def test_a_run_that_cannot_start_is_not_made_and_its_data_is_kept(
    answered: ReviewSet, preferences: Preferences, finished_run: Run, monkeypatch: pytest.MonkeyPatch
):
    judge(answered, "Anna")
    monkeypatch.setattr(readiness, "faults", lambda run, machine: ["The disk is full."])
    page = preferences._align(finished_run.id, "ward", answered.id, *DEFAULTS)
    assert "The disk is full." in page[preferences.said].value and preferences.started not in page
    assert [run.id for run in runs.list_runs()[0]] == [finished_run.id]
    assert load("ward-v1").manifest.counts["pairs"] == 6
    page = preferences._align("gone", "ward", answered.id, *DEFAULTS)
    assert "gone" in page[preferences.said].value
    with pytest.raises(DataError):
        load("ward-v2")
