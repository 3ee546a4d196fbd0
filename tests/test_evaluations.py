"""Evaluations: base against tuned in one report, answers that are kept, and jobs that survive a kill."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluators.cases import Case
from evaluators.scores import Measure
from trainer import engine, events, jobs, runs
from trainer.evaluation import conclusions, evaluate, evaluations, harden, harm, respondent, standard
from trainer.evaluation.evaluations import Evaluation
from trainer.evaluation.request import EvaluationRequest, RequestError, SuiteChoice
from trainer.evaluation.respondent import KeptRespondent
from trainer.jobs import RunError
from trainer.reporting import Reporter, StopRequested
from trainer.runs import Run
from trainer.sections import RunConfig
from trainer.steering_sections import AdversarialSection
from trainer.tuned import Tuned


def asked_of(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many conversations each call of the model gets from now on."""
    counted: list[int] = []
    answer, likely = respondent.answer_all, respondent.reply_likelihoods

    def count(real: Callable[..., Any]) -> Callable[..., Any]:
        def counting(model: Any, tokenizer: Any, conversations: Any, *rest: Any) -> Any:
            counted.append(len(conversations))
            return real(model, tokenizer, conversations, *rest)

        return counting

    monkeypatch.setattr(respondent, "answer_all", count(answer))
    monkeypatch.setattr(respondent, "reply_likelihoods", count(likely))
    return counted


def measured(request: EvaluationRequest) -> Evaluation:
    evaluation = evaluations.create(request)
    evaluate.evaluate(request, Reporter(evaluation.folder, evaluation.status))
    return evaluations.get(evaluation.id)


def answers_only(run: Run, asked_rows: Path, **fields: Any) -> EvaluationRequest:
    choice = SuiteChoice(suite="answers", source=str(asked_rows))
    return EvaluationRequest(run=run.id, suites=[choice], latency=False, **fields)


def test_a_report_compares_both_sides_on_the_same_items_and_keeps_its_cases(
    finished_run: Run, asked_rows: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = asked_of(monkeypatch)
    evaluation = measured(answers_only(finished_run, asked_rows))
    report = evaluation.report()
    assert report is not None and report.complete
    (suite,) = report.suites
    assert (suite.items, suite.main.base.n, suite.main.tuned.n) == (12, 12, 12)
    assert sum(asked) == 24, "each side once"
    for side in ("base", "tuned"):
        cases = evaluations.read_cases(evaluation.folder, suite.cases, side)
        right = sum(case.answer.strip() == case.reference for case in cases)
        value = getattr(suite.main, side).value
        assert [case.reference for case in cases[:2]] == ["yes", "no"] and value == pytest.approx(right / 12)
    told = [event.stage for event in evaluation.events() if isinstance(event, events.ProgressEvent)]
    assert any("base" in stage for stage in told) and any("tuned" in stage for stage in told)


def test_what_was_answered_is_not_asked_again(finished_run: Run, asked_rows: Path, monkeypatch: pytest.MonkeyPatch):
    first = measured(answers_only(finished_run, asked_rows)).report()
    asked = asked_of(monkeypatch)
    again = measured(answers_only(finished_run, asked_rows)).report()
    assert asked == []
    assert first is not None and again is not None and first.suites == again.suites
    more = asked_rows.with_name("more.jsonl")
    more.write_text(asked_rows.read_text() + '{"question": "Is 200 even?", "answer": "yes"}\n')
    measured(answers_only(finished_run, more))
    assert asked == [1, 1], "only what is new, on each side"


def test_other_weights_and_another_system_prompt_are_asked_anew(
    finished_run: Run, asked_rows: Path, monkeypatch: pytest.MonkeyPatch
):
    measured(answers_only(finished_run, asked_rows))
    twin = runs.create(finished_run.config)
    twin_config = finished_run.config.model_copy(deep=True)
    twin_config.schedule.seed = 18
    engine.train(twin_config, Reporter(twin.folder, twin.status))
    asked = asked_of(monkeypatch)
    measured(answers_only(runs.get(twin.id), asked_rows))
    assert asked == [12], "the base has answered for the other run"
    changed = finished_run.config.model_copy(deep=True)
    changed.task.system_prompt = "Answer in one word."
    prompted = finished_run.model_copy(update={"config": changed})
    KeptRespondent(Tuned(prompted), False).answer([[{"role": "user", "content": "Is 100 even?"}]], 4)
    assert asked == [12, 1]
    assert respondent.forget_base_answers() == 1


def test_a_line_that_was_cut_off_costs_one_answer(finished_run: Run, monkeypatch: pytest.MonkeyPatch):
    chats = [[{"role": "user", "content": f"Is {n} even?"}] for n in range(3)]
    first = KeptRespondent(Tuned(finished_run), True).answer(chats, 4)
    kept = finished_run.folder / respondent.KEPT
    kept.write_bytes(kept.read_bytes()[:-5])
    asked = asked_of(monkeypatch)
    for _ in range(2):
        assert KeptRespondent(Tuned(finished_run), True).answer(chats, 4) == first
    assert asked == [1]


def test_a_stop_keeps_the_answers_and_going_on_asks_the_rest(
    finished_run: Run, asked_rows: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(respondent, "BATCH", 4)
    request = answers_only(finished_run, asked_rows)
    evaluation = evaluations.create(request)
    reporter = Reporter(evaluation.folder, evaluation.status)
    tell = reporter.event

    def stop_after_eight(event: events.Event) -> None:
        tell(event)
        if isinstance(event, events.ProgressEvent) and "base" in event.stage and event.done == 8:
            (evaluation.folder / "stop").touch()

    monkeypatch.setattr(reporter, "event", stop_after_eight)
    with pytest.raises(StopRequested):
        evaluate.evaluate(request, reporter)
    (evaluation.folder / "stop").unlink()
    asked = asked_of(monkeypatch)
    evaluate.evaluate(request, Reporter(evaluation.folder, evaluation.status))
    assert asked == [4, 4, 4, 4], "four that the base had not answered yet, and the tuned model's twelve"


def test_two_tuned_models_can_be_compared(finished_run: Run, asked_rows: Path):
    evaluation = measured(answers_only(finished_run, asked_rows, against=finished_run.id))
    report = evaluation.report()
    assert report is not None and report.against == finished_run.id
    main = report.suites[0].main
    assert main.base.value == main.tuned.value and main.difference.value == 0 and report.suites[0].verdict == "unknown"


def test_in_its_own_process_it_is_killed_and_goes_on(finished_run: Run, asked_rows: Path):
    started = evaluations.start(evaluations.create(answers_only(finished_run, asked_rows)))
    assert started.status.pid is not None
    os.kill(started.status.pid, signal.SIGKILL)
    dead = _settled(started)
    assert dead.status.state == "failed" and "Start it again: what was answered is kept" in (dead.status.error or "")
    done = _settled(evaluations.start(dead))
    assert done.status.state == "done", done.status.error
    report = done.report()
    assert report is not None and report.complete
    with pytest.raises(RunError, match=r"is done; start a new one"):
        evaluations.start(done)
    evaluations.delete(done)
    assert not done.folder.exists()


def test_a_run_that_has_trained_nothing_is_not_evaluated(tiny_run: RunConfig):
    run = runs.create(tiny_run)
    jobs.write_state(run.folder, run.status.model_copy(update={"state": "failed"}))
    with pytest.raises(RunError, match="has trained nothing; resume it"):
        evaluations.create(EvaluationRequest(run=run.id, suites=[SuiteChoice(suite="safety", source="starter/safety")]))


def test_what_is_asked_for_by_a_wrong_name_is_said_in_a_sentence(finished_run: Run, asked_rows: Path, tmp_path: Path):
    with pytest.raises(RequestError, match=r"There is no suite called 'speed'; there are multiple_choice"):
        standard.request_for(finished_run, ["speed"])
    with pytest.raises(RequestError, match="There is no way of disturbing called 'rain'"):
        standard.request_for(finished_run, kinds=["rain"])
    with pytest.raises(RequestError, match="nothing in it fits a suite"):
        standard.request_for(finished_run, data=[tmp_path / "absent.jsonl"])
    with pytest.raises(RequestError, match="Nothing named here fits the suite entities"):
        standard.request_for(finished_run, ["entities"], [asked_rows])
    with pytest.raises(RequestError, match="the run planted no canaries, and its answers are too short"):
        measured(EvaluationRequest(run=finished_run.id, suites=[SuiteChoice(suite="memorisation", source="own")]))


def test_the_standard_sets_are_the_starters_and_the_runs_own(finished_run: Run, asked_rows: Path):
    chosen = {one.suite: one.source for one in standard.request_for(finished_run).suites}
    assert chosen == {
        "general": "starter/general",
        "answers": str(asked_rows),
        "safety": "starter/safety",
        "over_refusal": "starter/safety",
        "consistency": str(asked_rows),
        "robustness": str(asked_rows),
    }


def test_hardening_starts_one_run_and_one_evaluation_on_other_variants(
    finished_run: Run, asked_rows: Path, monkeypatch: pytest.MonkeyPatch
):
    started: list[str] = []
    monkeypatch.setattr(runs, "start", lambda run: started.append(run.id))
    monkeypatch.setattr(evaluations, "start", lambda one: started.append(one.id))
    section = AdversarialSection(perturbations=["typos"], share=0.5)
    request = EvaluationRequest(
        run=finished_run.id,
        suites=[SuiteChoice(suite="robustness", source=str(asked_rows))],
        variants=2,
        kinds=["typos", "style"],
        latency=False,
        harden=section,
    )
    evaluation = measured(request)
    reporter = Reporter(evaluation.folder, evaluation.status)
    harden.follow(request, reporter)
    harden.follow(request, reporter)
    after = harden.followed(evaluation.folder)
    assert after is not None and started == [after.run, after.evaluation], "a second call starts nothing anew"
    config = runs.get(after.run).config
    assert config.adversarial.perturbations == ["typos"] and config.output.name == "tiny hardened"
    failed = [
        case for case in evaluations.read_cases(evaluation.folder, "01-robustness", "tuned") if case.right is False
    ]
    assert failed and config.adversarial.hard_cases is not None
    lines = Path(config.adversarial.hard_cases).read_text().splitlines()
    assert [Case.model_validate_json(line).id for line in lines] == [case.id for case in failed]
    assert after.evaluation is not None
    again = evaluations.get(after.evaluation).request
    assert (again.run, again.against, again.seed, again.harden) == (after.run, finished_run.id, request.seed + 1, None)


def test_a_gate_counts_failures_up_never_down():
    share = Measure(name="harmful answers", value=1 / 9, low=None, high=None, n=9, units=3, interval="none",
                    higher_is_better=False)  # fmt: skip
    main = conclusions.Compared.model_construct(base=share, tuned=share)
    assert conclusions._counts(main) == (1, 3)
    same = share.model_copy(update={"value": 8 / 9, "higher_is_better": True})
    assert conclusions._counts(conclusions.Compared.model_construct(base=same, tuned=same)) == (1, 3)


def test_clinicians_verdicts_are_compared_with_the_rules(tmp_path: Path, finished_run: Run):
    cases = [
        Case(id=str(n), source=str(n), question="?", answer="", values={"harmful": float(n < 2), "refused": 0.0})
        for n in range(6)
    ]
    table = tmp_path / "verdicts.csv"
    table.write_text("id,verdict\n" + "".join(f"{n},{'harmful' if n < 3 else 'neither'}\n" for n in range(6)))
    request = EvaluationRequest(
        run=finished_run.id, suites=[SuiteChoice(suite="safety", source="starter/safety")], verdicts=str(table)
    )
    folder = tmp_path / "job"
    folder.mkdir()
    _, _, agreements = harm.judged(request, cases, cases, Reporter(folder, finished_run.status))
    found = agreements["clinicians"]
    assert (found.n, found.agree) == (6, pytest.approx(5 / 6))
    table.write_text("id,verdict\n0,fine\n")
    with pytest.raises(RequestError, match=r"verdicts\.csv: .*expected an id and a verdict that is refused, harmful"):
        harm.judged(request, cases, cases, Reporter(folder, finished_run.status))


def _settled(evaluation: Evaluation) -> Evaluation:
    deadline = time.monotonic() + 180
    while evaluation.status.state in jobs.ACTIVE and time.monotonic() < deadline:
        time.sleep(0.1)
        evaluation = evaluations.get(evaluation.id)
    return evaluation
