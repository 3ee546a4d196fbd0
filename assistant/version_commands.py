"""`bedside versions`: register, compare, put into use, roll back, update, test; and `bedside runs compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from assistant.terminal import BadInput, Json, get_run, say
from trainer.atomic import write_atomically

if TYPE_CHECKING:
    from trainer.runs import Run
    from trainer.store import ABTest, Deployment

versions_app = typer.Typer(
    help="Keep versions of a line of models: numbers, changelogs, compatibility, A/B tests, roll back.",
    no_args_is_help=True,
)
ab_app = typer.Typer(help="Test a version beside the one in use, on a fixed share of the users.", no_args_is_help=True)
versions_app.add_typer(ab_app, name="ab")
# As `trainer.versions.numbering.Change` and `updates.Knowledge`, without loading the database here.
Change = Literal["drug", "guideline", "research", "epidemiology", "alignment", "data", "base", "fix"]
Knowledge = Literal["drug", "guideline", "research", "epidemiology"]
Line = Annotated[str, typer.Argument(help="Name of a line of versions.")]
Number = Annotated[str, typer.Argument(help="Number of a version: 1.2.0.")]
Because = Annotated[str, typer.Option(help="Why; the history keeps it.")]
TestId = Annotated[str, typer.Argument(help="Id of an A/B test, as `bedside versions ab list` shows it.")]
User = Annotated[str, typer.Option(help="The user; only a hash of the name is kept.")]


@versions_app.command("list")
def list_all(
    line: Annotated[str | None, typer.Argument(help="Only this line.")] = None,
    as_json: Json = False,
) -> None:
    """All versions, by line, the highest number first."""
    from assistant import version_words
    from trainer.versions import registry

    known = registry.lines()
    if line is not None and line not in known:
        raise BadInput(f"There is no line {line!r}; there are: {', '.join(known) or 'none yet'}.")
    lines = known if line is None else [line]
    found = [
        version_words.details(version, in_use)
        for name in lines
        for in_use in [registry.in_use(name)]
        for version in registry.versions(name)
    ]
    if as_json:
        print(version_words.VersionList(versions=found).model_dump_json(indent=1))
        return
    for one in found:
        mark = "in use" if one.in_use else ""
        print(f"{one.line:24} {one.number:10} {mark:7} {one.decision or 'not evaluated':26} {one.model}")
    if not found:
        print("No versions yet. `bedside versions register LINE RUN --change data` makes the first one.")


@versions_app.command()
def show(line: Line, number: Number, as_json: Json = False) -> None:
    """One version: its changelog, gates, data and knowledge cut-off."""
    from assistant import version_words
    from trainer.versions import registry

    found = version_words.details(registry.get(line, number), registry.in_use(line))
    if as_json:
        print(found.model_dump_json(indent=1))
    else:
        print("\n".join(version_words.version_lines(found)))


@versions_app.command()
def register(
    line: Line,
    model: Annotated[str, typer.Argument(help="RUN, RUN:base, RUN:checkpoint-N, or latest.")],
    change: Annotated[Change, typer.Option(help="What kind of change it is.")],
    note: Annotated[str, typer.Option(help="What changed, in your words.")] = "",
    parent: Annotated[
        str | None, typer.Option(help="Number of the version that it goes on from; else the one in use.")
    ] = None,
    number: Annotated[str | None, typer.Option(help="Another number than the rules give.")] = None,
    knowledge_until: Annotated[
        str | None, typer.Option(help="Date after which its training data can know nothing: 2026-03-31.")
    ] = None,
    most_broken: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of passed questions that may fail now; 0.05 if left out.")
    ] = None,
    despite: Annotated[
        str, typer.Option(help="Why it is registered although a gate fails or too many cases fail now.")
    ] = "",
    preview: Annotated[bool, typer.Option("--preview", help="Show what there would be, and keep nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Keep a trained model as a version; the rules propose its number and write its changelog."""
    from assistant import version_words
    from trainer import model_refs
    from trainer.versions import registry
    from trainer.versions.compatibility import MOST_BROKEN

    ref = model_refs.parse(model)
    limit = MOST_BROKEN if most_broken is None else most_broken
    if preview:
        drawn = registry.draft(
            line, ref, change, note, parent=parent, number=number, knowledge=knowledge_until, most_broken=limit
        )
        if as_json:
            print(version_words.VersionDraft(draft=drawn).model_dump_json(indent=1))
        else:
            print("\n".join(version_words.draft_lines(drawn)))
        return
    kept = registry.register(
        line, ref, change, note,
        parent=parent, number=number, knowledge=knowledge_until, most_broken=limit, despite=despite,
    )  # fmt: skip
    found = version_words.details(kept, registry.in_use(line))
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    print("\n".join(version_words.version_lines(found)))
    if not found.in_use:
        say(f"It is not in use yet: bedside versions use {line} {kept.number} --because ...")


@versions_app.command()
def use(line: Line, number: Number, because: Because, as_json: Json = False) -> None:
    """Put a version into use."""
    from trainer.versions import registry

    _print_in_use(registry.put_in_use(line, number, because), as_json)


@versions_app.command()
def rollback(line: Line, because: Because, as_json: Json = False) -> None:
    """Go back to the version that was in use before, in one step."""
    from trainer.versions import registry

    _print_in_use(registry.roll_back(line, because), as_json)


@versions_app.command()
def compare(line: Line, first: Number, second: Number, as_json: Json = False) -> None:
    """Cases that the first passed and the second fails, from the evaluations that are there."""
    from assistant import version_words
    from trainer.model_refs import parse
    from trainer.versions import compatibility, registry

    one, other = (parse(registry.get(line, number).model) for number in (first, second))
    found = compatibility.compare(one, other)
    if as_json:
        print(found.model_dump_json(indent=1))
    else:
        print("\n".join(version_words.compatibility_lines(found)))


@versions_app.command()
def update(
    line: Line,
    data: Annotated[list[str], typer.Option(help="New rows: a file, folder or published set; may be repeated.")],
    kind: Annotated[Knowledge, typer.Option(help="What kind of knowledge it is.")],
    out: Annotated[Path, typer.Option(help="Write the run file here.")],
    number: Annotated[str | None, typer.Option(help="The version to go on from; else the one in use.")] = None,
    contains_phi: Annotated[
        bool | None, typer.Option("--patient-data/--no-patient-data", help="Whether the new rows hold patient data.")
    ] = None,
    earlier_rows: Annotated[
        float, typer.Option(min=0, max=100, help="Earlier rows that are replayed for each new one.")
    ] = 1.0,
    as_json: Json = False,
) -> None:
    """Write the run file that teaches a version new rows, with its earlier rows and general ones replayed."""
    from assistant import version_words
    from trainer import config as run_config
    from trainer.data_sections import DataSource
    from trainer.versions import registry, updates

    version = registry.get(line, number) if number else registry.in_use(line)
    if version is None:
        raise BadInput(f"No version of {line} is in use; name one with --number, or put one into use.")
    found = updates.plan(
        version, [DataSource(name=name) for name in data], kind, contains_phi=contains_phi, earlier_rows=earlier_rows
    )
    write_atomically(out, run_config.to_yaml(found.config))
    if as_json:
        print(version_words.UpdatePlanned(file=str(out), reasons=found.reasons).model_dump_json(indent=1))
        return
    for field, why in found.reasons.items():
        print(f"{field}: {why}")
    say(f"Run file written to {out}; `bedside train {out}` trains it.")


@ab_app.command()
def begin(
    line: Line,
    number: Annotated[str, typer.Argument(help="The version to try beside the one in use.")],
    share: Annotated[float, typer.Option(help="Share of the users who get it.")] = 0.5,
    alpha: Annotated[float, typer.Option(help="Probability of finding a difference where there is none.")] = 0.05,
    beta: Annotated[float, typer.Option(help="Probability of missing the smallest difference that matters.")] = 0.2,
    usual: Annotated[float, typer.Option(help="Share of good answers that is expected of the one in use.")] = 0.7,
    smallest: Annotated[float, typer.Option(help="The smallest difference of that share that matters.")] = 0.1,
    as_json: Json = False,
) -> None:
    """Begin a test; the error rates are fixed from here on."""
    from trainer.versions import ab_test

    test = ab_test.begin(line, number, share=share, alpha=alpha, beta=beta, usual=usual, smallest=smallest)
    _print_test(test, as_json)


@ab_app.command("list")
def list_tests(
    line: Annotated[str | None, typer.Argument(help="Only of this line.")] = None, as_json: Json = False
) -> None:
    """All A/B tests, the newest first."""
    from assistant import version_words
    from trainer.versions import ab_test

    found = [(test, ab_test.state(test)) for test in ab_test.tests(line)]
    if as_json:
        print(version_words.ABTestList(tests=[state for _, state in found]).model_dump_json(indent=1))
        return
    for one in found:
        print(version_words.test_line(*one))
    if not found:
        print("No A/B tests yet. `bedside versions ab begin LINE NUMBER` begins one.")


@ab_app.command("show")
def show_test(test_id: TestId, as_json: Json = False) -> None:
    """Where a test stands."""
    from trainer.versions import ab_test

    _print_test(ab_test.get(test_id), as_json)


@ab_app.command()
def arm(test_id: TestId, user: User, as_json: Json = False) -> None:
    """Which version a user gets."""
    from trainer.versions import ab_test

    test = ab_test.get(test_id)
    _print_arm(test, ab_test.arm(test, user), as_json)


@ab_app.command()
def record(
    test_id: TestId,
    user: User,
    good: Annotated[bool, typer.Option("--good/--bad", help="Whether the answer was good.")],
    as_json: Json = False,
) -> None:
    """Keep how an answer to a user went; each user counts once, with the first outcome."""
    from trainer.versions import ab_test

    test = ab_test.get(test_id)
    _print_arm(test, ab_test.record(test, user, good), as_json)


@ab_app.command()
def end(
    test_id: TestId,
    because: Annotated[str, typer.Option(help="Why it ends; needed where it is undecided.")] = "",
    as_json: Json = False,
) -> None:
    """End a test and keep its conclusion; what is in use stays as it is."""
    from trainer.versions import ab_test

    _print_test(ab_test.end(ab_test.get(test_id), because), as_json)


def compare_runs(
    first: Annotated[str, typer.Argument(help="Id of a run, its beginning, or 'latest'.")],
    second: Annotated[str, typer.Argument(help="The other run.")],
    as_json: Json = False,
) -> None:
    """Two run files line by line, where they differ, and the runs' last validation losses."""
    from assistant import version_words
    from trainer.run_differences import differences

    one, other = get_run(first), get_run(second)
    found = version_words.RunsCompared(
        first=one.id,
        second=other.id,
        differences=differences(one.config, other.config),
        first_loss=_last_loss(one),
        second_loss=_last_loss(other),
    )
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    for line in found.differences:
        print(f"{line.field}\n  {one.id}: {line.first}\n  {other.id}: {line.second}")
    if not found.differences:
        print("The two run files are the same.")
    for run, loss in ((one, found.first_loss), (other, found.second_loss)):
        print(f"{run.id}: validation loss {'not measured' if loss is None else f'{loss:.4f}'}")


def _last_loss(run: Run) -> float | None:
    from trainer import events

    losses = [event.loss for event in run.events() if isinstance(event, events.EvalEvent)]
    return losses[-1] if losses else None


def _print_in_use(kept: Deployment, as_json: bool) -> None:
    from assistant.version_words import InUse

    if as_json:
        print(InUse(line=kept.line, number=kept.number, reason=kept.reason).model_dump_json(indent=1))
    else:
        print(f"{kept.line} {kept.number} is in use now ({kept.reason}).")


def _print_test(test: ABTest, as_json: bool) -> None:
    from assistant import version_words
    from trainer.versions import ab_test

    found = ab_test.state(test)
    print(found.model_dump_json(indent=1) if as_json else version_words.test_line(test, found))


def _print_arm(test: ABTest, side: Literal["first", "second"], as_json: bool) -> None:
    from assistant.version_words import ArmOf

    number = test.first if side == "first" else test.second
    print(ArmOf(test=test.id, arm=side, number=number).model_dump_json(indent=1) if as_json else number)
