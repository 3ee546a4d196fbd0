"""`bedside eval`, `attack` and `evaluations`: measure a run's model, attack it, and look at the reports."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assistant import terminal
from assistant.terminal import BadInput, Json, Now, RunId, as_settings, follow, get_run, say

if TYPE_CHECKING:
    from trainer.evaluation.evaluations import Evaluation
    from trainer.evaluation.request import EvaluationRequest

evaluations_app = typer.Typer(help="Look at evaluations, stop, resume and delete them.", no_args_is_help=True)
EvaluationId = Annotated[str, typer.Argument(help="Id of an evaluation, its beginning, or 'latest'.")]
Data = Annotated[
    list[Path] | None,
    typer.Option(help="A file or folder to measure on; what it is for is told from its content. May be repeated."),
]
Items = Annotated[int, typer.Option(min=1, max=20_000, help="At most this many items of each set that is named.")]
Detach = Annotated[bool, typer.Option(help="Start it and return; `bedside evaluations show` follows it.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of what is drawn.")]


def evaluate(
    run_id: RunId,
    suite: Annotated[list[str] | None, typer.Option(help="Only this suite; may be repeated.")] = None,
    data: Data = None,
    items: Items = 200,
    against: Annotated[
        str | None, typer.Option(help="Compare with this run's tuned model instead of the base model.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="A chat model that judges harm too: http://127.0.0.1:8000/v1#name.")
    ] = None,
    verdicts: Annotated[
        Path | None, typer.Option(help="Clinicians' verdicts on harm: a table of id and verdict.")
    ] = None,
    latency: Annotated[bool, typer.Option(help="Measure how long answers take.")] = True,
    seed: Seed = 17,
    detach: Detach = False,
    as_json: Json = False,
) -> None:
    """Measure base and tuned model on the same items, with intervals, a paired test, and the release gates."""
    from trainer.evaluation.standard import request_for

    request = request_for(
        get_run(run_id),
        suite or [],
        data or [],
        items,
        against=get_run(against).id if against else None,
        judge=judge,
        verdicts=str(verdicts.absolute()) if verdicts else None,
        latency=latency,
        seed=seed,
    )
    _carry_out(request, detach, as_json)


def attack(
    run_id: RunId,
    data: Data = None,
    items: Items = 100,
    kind: Annotated[
        list[str] | None, typer.Option(help="Only this way of disturbing a question; may be repeated.")
    ] = None,
    variants: Annotated[int, typer.Option(min=1, max=50, help="Disturbed questions for each one.")] = 10,
    deep: Annotated[
        bool, typer.Option(help="Also by the gradient of the embeddings, and by searching for what flips an answer.")
    ] = False,
    harden: Annotated[
        bool, typer.Option(help="Then train again with such questions, and attack both models anew.")
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="adversarial.field=value of that training; may be repeated.")
    ] = None,
    seed: Seed = 17,
    detach: Detach = False,
    as_json: Json = False,
) -> None:
    """Attack a run's model: typos, other words, context, injections, gradients; --harden trains against it."""
    from trainer import config as run_config
    from trainer.evaluation import harden as hardening
    from trainer.evaluation.standard import BY_NAME, request_for

    if settings and not harden:
        raise BadInput("--set says how to train against attacks, so it needs --harden.")
    run = get_run(run_id)
    section = None
    if harden:
        wanted = hardening.usual(run.config)
        section = run_config.with_values(wanted, as_settings(settings or [])).adversarial
    suites = ["robustness", "consistency", *(BY_NAME if deep else ())]
    request = request_for(
        run, suites, data or [], items, kinds=kind or [], variants=variants, harden=section, seed=seed, latency=False
    )
    _carry_out(request, detach, as_json)


@evaluations_app.command("list")
def list_all(as_json: Json = False) -> None:
    """All evaluations, newest first."""
    from assistant.results import EvaluationList, evaluation_summary
    from trainer.evaluation.evaluations import list_evaluations

    found = [evaluation_summary(one) for one in list_evaluations()]
    if as_json:
        print(EvaluationList(evaluations=found).model_dump_json(indent=1))
        return
    for one in found:
        print(f"{one.id:50} {one.state:10} {one.decision}")
    if not found:
        print("No evaluations yet. `bedside eval latest` measures the newest run.")


@evaluations_app.command()
def show(evaluation_id: EvaluationId, as_json: Json = False) -> None:
    """One evaluation: its state, and its report as far as it has come."""
    evaluation = _get(evaluation_id)
    _print(evaluation, as_json)


@evaluations_app.command()
def stop(evaluation_id: EvaluationId, now: Now = False, as_json: Json = False) -> None:
    """Ask an evaluation to stop after the answers that it is at; resume goes on from there."""
    from assistant.results import evaluation_summary
    from trainer.evaluation import evaluations

    evaluation = terminal.stop(_get(evaluation_id), evaluations.get, now)
    if as_json:
        print(evaluation_summary(evaluation).model_dump_json(indent=1))
    else:
        print(f"Evaluation {evaluation.id} is {evaluation.status.state}.")


@evaluations_app.command()
def resume(evaluation_id: EvaluationId, detach: Detach = False, as_json: Json = False) -> None:
    """Go on with a stopped or failed evaluation; what was answered is not asked again."""
    from trainer.evaluation import evaluations

    _finish(evaluations.start(_get(evaluation_id)), detach, as_json)


@evaluations_app.command()
def delete(
    evaluation_id: EvaluationId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove an evaluation and its cases, for good."""
    from assistant.results import Deleted
    from trainer.evaluation import evaluations

    evaluation = _get(evaluation_id)
    if not yes and not (sys.stdin.isatty() and typer.confirm(f"Delete {evaluation.id} for good?", err=True)):
        raise BadInput(f"Nothing was deleted; add --yes to delete {evaluation.id} for good.")
    evaluations.delete(evaluation)
    print(Deleted(deleted=evaluation.id).model_dump_json(indent=1) if as_json else f"Deleted {evaluation.id}.")


@evaluations_app.command()
def forget(as_json: Json = False) -> None:
    """Remove the kept answers of base models, for good; a tuned model's go with its run."""
    from assistant.results import Forgotten
    from trainer.evaluation.respondent import forget_base_answers

    files = forget_base_answers()
    print(Forgotten(files=files).model_dump_json(indent=1) if as_json else f"{files} files with answers removed.")


def _get(identity: str) -> Evaluation:
    from trainer.evaluation import evaluations

    if identity == "latest":
        found = evaluations.list_evaluations()
        if not found:
            raise BadInput("There are no evaluations yet; `bedside eval latest` measures the newest run.")
        return found[0]
    return evaluations.get(identity)


def _carry_out(request: EvaluationRequest, detach: bool, as_json: bool) -> None:
    from trainer.evaluation import evaluations

    evaluation = evaluations.start(evaluations.create(request))
    say(f"Evaluation {evaluation.id} started; it goes on if this terminal closes.")
    _finish(evaluation, detach, as_json)


def _finish(evaluation: Evaluation, detach: bool, as_json: bool) -> None:
    from trainer.evaluation import evaluations, harden

    if not detach:
        evaluation = follow(evaluation, evaluations.get)
        after = harden.followed(evaluation.folder)
        if after and after.evaluation:
            say(f"Trained again as run {after.run}; evaluation {after.evaluation} compares the two.")
            evaluation = follow(evaluations.get(after.evaluation), evaluations.get)
    _print(evaluation, as_json)
    raise typer.Exit(1 if evaluation.status.state == "failed" else 0)


def _print(evaluation: Evaluation, as_json: bool) -> None:
    from assistant.evaluation_words import EvaluationDetails, report_lines

    report = evaluation.report()
    if as_json:
        status, request = evaluation.status, evaluation.request
        details = EvaluationDetails(
            id=evaluation.id, state=status.state, error=status.error, request=request, report=report
        )
        print(details.model_dump_json(indent=1))
        return
    print(f"Evaluation {evaluation.id} of run {evaluation.request.run} is {evaluation.status.state}.")
    if evaluation.status.error:
        say(evaluation.status.error)
    for line in report_lines(report) if report else []:
        print(line)
