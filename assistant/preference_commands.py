"""`bedside preferences` and `bedside align`: votes become preference data, and a run learns from it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from assistant.review_commands import teller
from assistant.terminal import BadInput, Json, RunId, as_settings, follow, get_run, print_report, say
from trainer.atomic import write_atomically

if TYPE_CHECKING:
    from trainer.review.preferences import PreferenceData, Rules

preferences_app = typer.Typer(
    help="Make preference data from votes and elsewhere, look at it, export, import and delete it.",
    no_args_is_help=True,
)
DataId = Annotated[str, typer.Argument(help="NAME-vN, a name for its newest version, or 'latest'.")]
Name = Annotated[str, typer.Argument(help="Name; a version is added each time.")]


@preferences_app.command()
def make(
    name: Name,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="Only this review set (name or id); may be repeated.")
    ] = None,
    rule: Annotated[
        list[str] | None, typer.Option(help="A rule, such as ties=both_good or least_readers=2; may be repeated.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="A chat model judges in the place of readers: http://127.0.0.1:8000/v1#name.")
    ] = None,
    safety: Annotated[
        str | None, typer.Option(help="Harmful requests with safe answers; --against says whose answers are worse.")
    ] = None,
    against: Annotated[str | None, typer.Option(help="With --safety: a model, RUN or RUN:base.")] = None,
    items: Annotated[int, typer.Option(min=1, max=100_000, help="With --safety: at most this many requests.")] = 200,
    max_new_tokens: Annotated[int, typer.Option(min=1, max=4096, help="With --safety: longest answer.")] = 120,
    preview: Annotated[bool, typer.Option("--preview", help="Show what there would be, and keep nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Pairs and labels from all votes, or those of some sets; from a judge model; or from safety data."""
    from trainer.review import preferences

    if (safety is None) != (against is None):
        raise BadInput("--safety and --against belong together: requests, and the model that answers them.")
    if safety is not None and (sets or judge or rule):
        raise BadInput("--safety makes pairs from a file; leave out --set, --rule and --judge.")
    if safety is not None and against is not None:
        data = _from_safety(safety, against, items, max_new_tokens)
    elif judge is not None:
        data = _from_judge(judge, sets, _rules(rule or []))
    else:
        data = preferences.from_votes(sets, _rules(rule or []))
    _keep(data, None if preview else name, as_json)


@preferences_app.command("import")
def import_files(
    name: Name,
    files: Annotated[list[Path], typer.Argument(help="Files of pairs, labels, graded answers or two responses.")],
    as_json: Json = False,
) -> None:
    """Take in preference data of any format that is known; what was exported comes back as it was."""
    from trainer.review.preference_sources import from_files

    _keep(from_files([str(path) for path in files]), name, as_json)


@preferences_app.command("list")
def list_all(as_json: Json = False) -> None:
    """All preference data, newest first."""
    from assistant import preference_words
    from trainer.review import preferences

    found = [preference_words.summary(one) for one in preferences.list_saved()]
    if as_json:
        print(preference_words.PreferenceList(saved=found).model_dump_json(indent=1))
        return
    for one in found:
        print(f"{one.id:30} {preference_words.counted(one.counts)}; {one.source}")
    if not found:
        print("No preference data yet. `bedside preferences make NAME` makes it from votes.")


@preferences_app.command()
def show(data_id: DataId, as_json: Json = False) -> None:
    """Its counts, what was left out and why, how far readers agree, and the first rows."""
    from assistant import preference_words
    from trainer.review import preferences

    found = preference_words.details(preferences.load(data_id))
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    print(f"{found.id}, in {found.folder}")
    one = found.manifest
    for line in preference_words.lines(one.source, one.counts, one.reasons, one.agreement, found.examples):
        print(line)


@preferences_app.command()
def export(
    data_id: DataId,
    file: Annotated[Path, typer.Argument(help="The new file, of JSON lines.")],
    labels: Annotated[bool, typer.Option("--labels", help="The labelled answers, and not the pairs.")] = False,
    as_json: Json = False,
) -> None:
    """Write the pairs (TRL's preference) or the labelled answers (TRL's unpaired preference) to a file."""
    from assistant.preference_words import PreferenceExported
    from trainer.review import preferences

    count = preferences.export(data_id, "unpaired_preference" if labels else "preference", file)
    done = PreferenceExported(file=str(file), rows=count)
    print(done.model_dump_json(indent=1) if as_json else f"{count:,} rows written to {file}.")


@preferences_app.command()
def delete(
    data_id: Annotated[str, typer.Argument(help="NAME-vN.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a version of preference data, for good; the votes stay."""
    from assistant.results import Deleted
    from trainer.review import preferences

    found = preferences.load(data_id)
    if not yes and not (sys.stdin.isatty() and typer.confirm(f"Delete {found.id} for good?", err=True)):
        raise BadInput(f"Nothing was deleted; add --yes to delete {found.id} for good.")
    preferences.delete(data_id)
    print(Deleted(deleted=data_id).model_dump_json(indent=1) if as_json else f"Deleted {data_id}.")


def align(
    run_id: RunId,
    data: Annotated[str, typer.Option(help="Preference data: NAME-vN, a name, or 'latest'.")] = "latest",
    by_rules: Annotated[
        bool, typer.Option("--by-rules", help="Without votes: rules rate the answers that the model draws itself.")
    ] = False,
    as_labels: Annotated[
        bool, typer.Option("--as-labels", help="Learn from single answers that are good or bad, not from pairs (KTO).")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the run file here, and start nothing.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="section.field=value, as in the run file; may be repeated.")
    ] = None,
    detach: Annotated[bool, typer.Option(help="Start it and return; `bedside runs show` follows it.")] = False,
    as_json: Json = False,
) -> None:
    """Align a run's model with preference data: how is chosen by what data there is, and said with reasons."""
    from assistant.planner import advice_alignment
    from assistant.planner.advice_models import said
    from assistant.preference_words import Aligned
    from assistant.results import summary
    from trainer import config as run_config
    from trainer import runs
    from trainer.hardware import detect
    from trainer.readiness import faults
    from trainer.review import preferences

    if by_rules and as_labels:
        raise BadInput("--by-rules takes no votes and --as-labels does; leave one of them out.")
    saved = None if by_rules else preferences.load(data)
    config, reasons = advice_alignment.align(saved, get_run(run_id), as_labels)
    if settings:
        wanted = as_settings(settings)
        config = run_config.with_values(config, wanted)
        reasons = [one for one in reasons if one.field not in wanted]
        reasons += [said(name, value, "You asked for it.") for name, value in wanted.items()]
    done = Aligned(data=saved.id if saved else None, config=config, reasons=reasons)
    if not as_json:
        for reason in reasons:
            print(f"{reason.field} = {reason.value}: {reason.why} [{reason.source}]")
    if out is not None:
        write_atomically(out, run_config.to_yaml(config))
        say(f"Run file written to {out}; `bedside train {out}` starts it.")
    else:
        if against := faults(config, detect()):
            raise BadInput(" ".join(against))
        run = runs.start(runs.create(config))
        say(f"Run {run.id} started; it goes on if this terminal closes.")
        if not detach:
            run = follow(run, runs.get)
        done.run = summary(run)
        if not as_json:
            print(run.status.error or f"Run {run.id} is {run.status.state}.")
            print_report(run)
    if as_json:
        print(done.model_dump_json(indent=1))
    raise typer.Exit(1 if done.run and done.run.state == "failed" else 0)


def _keep(data: PreferenceData, name: str | None, as_json: bool) -> None:
    from assistant import preference_words
    from trainer.review import preferences

    saved = preferences.save(data, name) if name else None
    found = preference_words.made(data, saved)
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    for line in preference_words.lines(found.source, found.counts, found.reasons, found.agreement, found.examples):
        print(line)
    print(f"Saved as {saved.id}." if saved else "Nothing was saved; leave out --preview to keep it.")


def _rules(pairs: list[str]) -> Rules:
    from trainer.review.preferences import Rules

    if wrong := [pair for pair in pairs if "=" not in pair]:
        raise BadInput(f"--rule {wrong[0]}: expected RULE=VALUE; the rules are {', '.join(Rules.model_fields)}.")
    try:
        return Rules.model_validate(dict(pair.split("=", 1) for pair in pairs))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if name not in Rules.model_fields:
            raise BadInput(f"There is no rule {name!r}; the rules are {', '.join(Rules.model_fields)}.") from None
        said = Rules.model_fields[name].description
        raise BadInput(f"--rule {name}: found {first['input']!r}; {first['msg'].lower()}. {said}") from None


def _from_judge(address: str, sets: list[str] | None, rules: Rules) -> PreferenceData:
    from evaluators import chat_client
    from evaluators.judge import TIMEOUT_SECONDS, JudgeError, warning
    from trainer.review.preference_sources import from_judge

    if note := warning(address, None):
        say(note)
    model = chat_client.connect(address, TIMEOUT_SECONDS)
    name = address.rpartition("#")[2] or address
    try:
        return from_judge(model, name, sets, rules, teller("judging"))
    except JudgeError as error:
        raise BadInput(str(error)) from None


def _from_safety(name: str, against: str, items: int, max_new_tokens: int) -> PreferenceData:
    from trainer import model_refs, runs
    from trainer.data_sections import DataSource
    from trainer.evaluation.respondent import KeptRespondent
    from trainer.review.preference_sources import from_safety
    from trainer.tuned import Tuned

    ref = model_refs.parse(against)
    if ref.part not in (model_refs.TUNED, model_refs.BASE):
        raise BadInput(f"--against {against}: name the run, or RUN:base; a checkpoint does not answer here.")
    respondent = KeptRespondent(Tuned(runs.get(ref.run)), side=not ref.is_base)
    return from_safety(DataSource(name=name, rows=items), respondent, max_new_tokens, teller("answering"))
