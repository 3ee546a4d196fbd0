"""The `bedside` command: the same verbs as the pages.

`--json` prints one JSON object to stdout and nothing else there. Exit status: 0 done, 1 failed run, 2 bad input (one
sentence on stderr). Heavy imports stand inside the verbs that need them, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assistant import terminal
from assistant.data_commands import data_app
from assistant.dossier_commands import dossier, reproduce
from assistant.eval_commands import attack, evaluate, evaluations_app
from assistant.export_commands import export, exports_app
from assistant.launch_commands import launch
from assistant.people_commands import audit, people_app
from assistant.plan_commands import plans_app
from assistant.preference_commands import align, preferences_app
from assistant.queue_commands import move, show_queue
from assistant.review_commands import review_app
from assistant.search_commands import search_app
from assistant.serve_commands import serve
from assistant.storage_commands import storage_app
from assistant.terminal import (
    BadInput,
    Json,
    Now,
    RunId,
    as_settings,
    follow,
    get_run,
    print_only_text,
    print_report,
    say,
)
from assistant.version_commands import compare_runs, versions_app
from trainer.atomic import write_atomically
from trainer.errors import ModelError, UserError, of_the_disk

if TYPE_CHECKING:
    from trainer import config as run_config
    from trainer.model_refs import ModelRef
    from trainer.runs import Run

app = typer.Typer(
    help="Tune a clinical language model by talking to it. Research software, not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
runs_app = typer.Typer(help="Look at runs, stop, resume, clone and delete them.", no_args_is_help=True)
app.add_typer(runs_app, name="runs")
app.add_typer(plans_app, name="plans")
app.add_typer(data_app, name="data")
app.add_typer(evaluations_app, name="evaluations")
app.add_typer(exports_app, name="exports")
app.add_typer(review_app, name="review")
app.add_typer(preferences_app, name="preferences")
app.add_typer(versions_app, name="versions")
app.add_typer(search_app, name="search")
app.add_typer(people_app, name="people")
app.add_typer(storage_app, name="storage")
runs_app.command("compare")(compare_runs)
runs_app.command("queue")(show_queue)
runs_app.command("move")(move)
app.command("eval")(evaluate)
app.command("attack")(attack)
app.command("align")(align)
app.command("export")(export)
app.command("dossier")(dossier)
app.command("reproduce")(reproduce)
app.command("launch")(launch)
app.command("serve")(serve)
app.command("audit")(audit)

Settings = Annotated[
    list[str] | None, typer.Option("--set", help="section.field=value, as in the run file; may be repeated.")
]


@app.command()
def plan(
    said: Annotated[
        list[str] | None, typer.Option("--say", help="What you would tell the planner; may be repeated.")
    ] = None,
    opened: Annotated[str | None, typer.Option("--open", help="Go on with this saved plan.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the run file here.")] = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Say what the model is for, what data and what GPU you have; get a run file with a reason for each value."""
    from assistant.planner import dialogue, drafts
    from trainer import config as run_config

    wanted = as_settings(settings or [])
    draft = drafts.load(opened) if opened else dialogue.new_draft()
    if not said and not sys.stdin.isatty():
        said = [line.strip() for line in sys.stdin if line.strip()]
    if said:
        turn = None
        for text in said:
            draft, turn = dialogue.reply(draft, text)
        if opened:
            drafts.save(draft)
    else:
        turn = _talk(draft)
    if turn is None:
        raise BadInput(
            'Nothing was said; for example: bedside plan --say "a radiology report model, 3k reports, 4090".'
        )
    if turn.config is not None:
        turn.config = run_config.with_values(turn.config, wanted)
    if as_json:
        print(turn.model_dump_json(indent=1))
    elif said:
        print(turn.reply)
        for reason in turn.reasons:
            print(f"  {reason.field} = {reason.value}: {reason.why} [{reason.source}]")
    if out is not None:
        if turn.config is None:
            raise BadInput(f"No run file was written: still to be said: {', '.join(turn.missing)}.")
        write_atomically(out, run_config.to_yaml(turn.config))
        say(f"Run file written to {out}.")


@app.command()
def train(
    file: Annotated[
        str,
        typer.Argument(
            help="Run file (YAML), from the Plan page or `bedside plan --out`; or a case of examples/cases by name."
        ),
    ],
    settings: Settings = None,
    tiny: Annotated[
        bool, typer.Option("--tiny", help="Try it out: scaled down to a few steps of the embedded model on this CPU.")
    ] = False,
    detach: Annotated[bool, typer.Option(help="Start it and return; `bedside runs show` follows it.")] = False,
    as_json: Json = False,
) -> None:
    """Train a run file in a process of its own, and show how it goes."""
    from trainer import cases, runs
    from trainer import config as run_config
    from trainer.hardware import detect
    from trainer.readiness import faults

    config = run_config.load(cases.find(file))
    if tiny:
        config = _scaled_down(config)
    if settings:
        config = run_config.with_values(config, as_settings(settings))
    against = faults(config, detect())
    if against:
        raise BadInput(" ".join(against))
    run = runs.start(runs.create(config))
    say(f"Run {run.id} started; it goes on if this terminal closes.")
    if not detach:
        run = follow(run, runs.get)
    _finish(run, as_json)


@runs_app.command("list")
def list_all(as_json: Json = False) -> None:
    """All runs, newest first."""
    from assistant.results import RunList, summary
    from trainer import queue, runs

    found, unreadable = runs.list_runs()
    if as_json:
        print(RunList(runs=[summary(run) for run in found], unreadable=unreadable).model_dump_json(indent=1))
        return
    for run in found:
        print(f"{run.id:50} {run.status.state:10} step {run.status.step} of {run.status.total_steps}")
        if remark := queue.remark(run):
            print(f"  {remark}")
    for sentence in unreadable:
        say(sentence)
    if not found and not unreadable:
        print("No runs yet. Plan one with `bedside plan`, or open the pages with `bedside app`.")


@runs_app.command()
def show(run_id: RunId, as_json: Json = False) -> None:
    """One run: its state, its losses, and its report once it is done."""
    from assistant.results import RunDetails, summary
    from trainer import events, queue

    run = get_run(run_id)
    if as_json:
        told = [event.model_dump() for event in run.events()]
        print(RunDetails(run=summary(run), config=run.config, events=told).model_dump_json(indent=1))
        return
    print(f"{run.id}: {run.status.state}, step {run.status.step} of {run.status.total_steps}, in {run.folder}")
    for sentence in filter(None, (run.status.error, queue.remark(run))):
        print(sentence)
    for event, _ in events.each_new(run.folder / "events.jsonl"):
        if isinstance(event, events.EvalEvent):
            print(f"  step {event.step}: validation loss {event.loss:.4f}")
    print_report(run)


@runs_app.command()
def stop(run_id: RunId, now: Now = False, as_json: Json = False) -> None:
    """Ask a run to end after its current step, with a checkpoint to resume from; one that waits ends at once."""
    from trainer import runs

    _finish(terminal.stop(get_run(run_id), runs.get, now), as_json)


@runs_app.command()
def resume(run_id: RunId, detach: bool = False, as_json: Json = False) -> None:
    """Go on with a stopped or failed run from its last checkpoint."""
    from trainer import runs

    run = get_run(run_id)
    told = (run.folder / "events.jsonl").stat().st_size  # what happened before was told before
    run = runs.start(run)
    if not detach:
        run = follow(run, runs.get, told)
    _finish(run, as_json)


@runs_app.command()
def clone(run_id: RunId, as_json: Json = False) -> None:
    """Start a new run from the same run file."""
    from trainer import runs

    _finish(runs.start(runs.clone(get_run(run_id))), as_json)


@runs_app.command("import")
def import_run(
    folder: Annotated[Path, typer.Argument(help="Folder with adapter_config.json and adapter_model.safetensors.")],
    base: Annotated[str, typer.Option(help="Base model that it was trained on: catalogue name, folder or Hub id.")],
    name: Annotated[str, typer.Option(help="What the run is called.")] = "imported",
    as_json: Json = False,
) -> None:
    """Take in an adapter that was trained elsewhere; it is then asked, compared and measured as any run's."""
    from assistant.results import summary
    from trainer.imported import import_adapter

    run = import_adapter(folder, base, name)
    print(summary(run).model_dump_json(indent=1) if as_json else f"Imported as {run.id}.")


@runs_app.command()
def delete(
    run_id: RunId, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, as_json: Json = False
) -> None:
    """Remove a run and everything in it, for good."""
    from assistant.results import Deleted
    from trainer import runs

    run = get_run(run_id)
    if not yes and not (sys.stdin.isatty() and typer.confirm(f"Delete {run.id} for good?", err=True)):
        raise BadInput(f"Nothing was deleted; add --yes to delete {run.id} for good.")
    runs.delete(run)
    print(Deleted(deleted=run.id).model_dump_json(indent=1) if as_json else f"Deleted {run.id}.")


@app.command()
def ask(
    model: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's id, its beginning, or 'latest'; RUN:checkpoint-120 for one.")
    ],
    question: Annotated[str, typer.Argument(help="What to ask both models.")],
    against: Annotated[
        str | None, typer.Option(help="The other model, written likewise; the run's base if left out.")
    ] = None,
    prompted: Annotated[bool, typer.Option(help="Also the base with two worked examples in its prompt.")] = False,
    temperature: Annotated[float, typer.Option(min=0.0, max=2.0)] = 0.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    max_new_tokens: Annotated[int, typer.Option(min=1, max=4096)] = 220,
    adapter: Annotated[
        list[str] | None,
        typer.Option(help="Which adapter answers, where each task or specialty has its own; several are put together."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask two models the same question, side by side: a run's base and its tuned model, or any other two."""
    from assistant.results import AskResult, SideAnswer
    from evaluators.generation import Sampling
    from trainer import model_refs, pairing

    if not question.strip():
        raise BadInput("The question is empty; write what to ask.")
    second = _model(model)
    first = _model(against) if against else model_refs.ModelRef(run=second.run, part=model_refs.BASE)
    if first == second:
        raise BadInput(f"Both are {first}; name another model, or another one with --against.")
    pair = pairing.load(first, second)
    sampling = Sampling(temperature=temperature, seed=seed, max_new_tokens=max_new_tokens)
    messages = [{"role": "user", "content": question}]
    *_, sides = pair.ask(messages, sampling, prompted=prompted, adapters={"second": adapter or []})
    names = {"first": str(first), "second": str(second)} if against else {"first": first.part, "second": second.part}
    answers = {
        names.get(side, side): SideAnswer(
            text=answer.text, tokens=answer.tokens, tokens_per_second=answer.tokens_per_second
        )
        for side, answer in sides.items()
    }
    if as_json:
        print(AskResult(run=second.run, question=question, answers=answers).model_dump_json(indent=1))
        return
    print(f"Question: {question}")
    for name, answer in answers.items():
        print(f"--- {name} ({answer.tokens_per_second:.0f} tokens/s)\n{answer.text.strip()}")
    for remark in pair.remarks:
        say(remark)
    say("Research software: a clinician checks every answer.")


def _model(text: str) -> ModelRef:
    from trainer import model_refs

    run, _, part = text.partition(":")
    return model_refs.parse(f"{get_run(run).id}:{part}")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check what Bedside needs on this machine."""
    import shutil

    from assistant.results import Check, DoctorResult
    from trainer import config as run_config
    from trainer import models
    from trainer.hardware import detect

    home = run_config.home()
    free = shutil.disk_usage(home).free / 2**30
    checks = [
        Check(name="Python", ok=sys.version_info >= (3, 11), found=sys.version.split()[0]),
        Check(name="device", ok=True, found=detect().describe()),
        Check(name="home", ok=os.access(home, os.W_OK), found=str(home)),
        Check(name="disk", ok=free > 2, found=f"{free:.0f} GiB free (2 GiB are needed)"),
    ]
    try:
        found = models.find(models.EMBEDDED, lambda stage, done, total: say(f"{stage} ({done}/{total})"))
        checks.append(Check(name="embedded model", ok=True, found=f"{found.origin}, in {found.folder}"))
    except ModelError as error:
        checks.append(Check(name="embedded model", ok=False, found=str(error)))
    result = DoctorResult(ok=all(check.ok for check in checks), checks=checks)
    if as_json:
        print(result.model_dump_json(indent=1))
    else:
        for check in checks:
            print(f"{'ok ' if check.ok else 'NOT'} {check.name}: {check.found}")
    raise typer.Exit(0 if result.ok else 1)


@app.command()
def schema(
    verb: Annotated[str, typer.Argument(help="A verb's --json object; the run file if left out.")] = "run",
) -> None:
    """Print the JSON Schema of the run file, or of what a verb prints with --json."""
    import json

    from assistant.schemas import schema_of

    print(json.dumps(schema_of(verb), indent=1))


@app.command("app")
def open_app(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 7860,
    host: Annotated[
        str | None, typer.Option(help="Address to listen at; people sign in at any but this machine's own (127.0.0.1).")
    ] = None,
    sign_in: Annotated[
        bool, typer.Option("--sign-in", help="People sign in here too: for a proxy that serves the pages to others.")
    ] = False,
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
) -> None:
    """Open the pages in a browser: http://127.0.0.1:7860."""
    from trainer import jobs

    named = {"--host": host, "--certificate": certificate, "--key": key}
    options = [text for name, value in named.items() if value is not None for text in (name, str(value))]
    options += ["--sign-in"] if sign_in else []
    os.execv(sys.executable, [sys.executable, str(jobs.CODE_ROOT / "app.py"), "--port", str(port), *options])


def main() -> None:
    """Entry point: known errors become one sentence on stderr and exit status 2."""
    print_only_text()
    try:
        app()
    except UserError as error:
        say(str(error))
        sys.exit(2)
    except OSError as error:
        if told := of_the_disk(error):
            say(told)
        elif error.filename:
            say(f"{error.filename} cannot be used ({error.strerror}); see that it is there and that you may use it.")
        else:
            raise
        sys.exit(2)
    except KeyboardInterrupt:
        say("Interrupted. A run that was started goes on; `bedside runs list` shows it.")
        sys.exit(130)


def _scaled_down(config: run_config.RunConfig) -> run_config.RunConfig:
    from trainer import cases
    from trainer.run_differences import differences

    small = cases.tiny(config)
    say("Scaled down, to see that it runs; what it learns is of no use:")
    for one in differences(config, small):
        say(f"  {one.field}: {one.second} instead of {one.first}")
    if absent := cases.absent_sources(config):
        named = ", ".join(source.name for source in small.data.sources)
        say(f"Not on this machine: {', '.join(absent)}. Trained on instead: {named}.")
    return small


def _finish(run: Run, as_json: bool) -> None:
    from assistant.results import summary

    if as_json:
        print(summary(run).model_dump_json(indent=1))
    elif run.status.error:
        say(run.status.error)
    else:
        print(f"Run {run.id} is {run.status.state}.")
        print_report(run)
    raise typer.Exit(1 if run.status.state == "failed" else 0)


def _talk(draft: Any) -> Any:
    from assistant.planner import dialogue, drafts

    turn = None
    print(draft.messages[-1]["content"])
    _offer(draft.offered)
    say("An empty line ends, and so does “quit”.")
    while (text := _line()) and text.lower() not in ("quit", "exit", "bye"):
        draft, turn = dialogue.reply(draft, text)
        drafts.save(draft)
        print(turn.reply)
        _offer(draft.offered)
    if turn is not None:
        say(f"Kept; go on with: bedside plan --open {draft.id}")
    return turn


def _line() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        return ""


def _offer(offered: list[str]) -> None:
    for number, text in zip(("first", "second", "third", "fourth"), offered, strict=False):
        say(f"  the {number}: {text}")


if __name__ == "__main__":
    main()
