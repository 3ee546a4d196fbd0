"""What the commands share: options, runs by name, a job's events as they come, a report as a table."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeVar

import typer

from trainer.errors import UserError

if TYPE_CHECKING:
    from trainer import events
    from trainer.jobs import Job
    from trainer.runs import Run

STOP_SECONDS = 60.0
J = TypeVar("J", bound="Job")
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Now = Annotated[bool, typer.Option("--now", help="End it at once, not after what it is at.")]
RunId = Annotated[str, typer.Argument(help="Id of a run, its beginning, or 'latest'.")]


# Control characters but the ends of lines and tabs, and those that turn the direction of what follows.
_COMMANDS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class OnlyText:
    """A terminal on which nothing that is printed is a command to it: what a model or a file says may hold some, which
    clear the screen, hide words or set the clipboard. They are shown as they would be written in Python.
    """

    def __init__(self, terminal: TextIO):
        self._terminal = terminal

    def write(self, text: str) -> int:
        """Print it."""
        return self._terminal.write(_COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text))

    def isatty(self) -> bool:
        """Not one for libraries that would write in colours."""
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._terminal, name)


def print_only_text() -> None:
    """From now on, whatever is printed to a terminal is text alone; a file or a pipe gets what there is."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream.isatty():
            setattr(sys, name, OnlyText(stream))


class BadInput(UserError):
    """The call cannot be carried out as it is; the text says why in one sentence."""


def as_settings(pairs: list[str]) -> dict[str, str]:
    """`--set` pairs by field; raises `BadInput` for one that is none."""
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise BadInput(f"--set {wrong[0]}: expected section.field=value, such as schedule.epochs=2.")
    return dict(pair.split("=", 1) for pair in pairs)


def say(text: str) -> None:
    """A sentence for the reader, on stderr: stdout is for what was asked for."""
    print(text, file=sys.stderr, flush=True)


def get_run(identity: str) -> Run:
    """The run of this id or its beginning, or the newest for 'latest'; raises `BadInput` and `RunError`."""
    from trainer import runs

    if identity == "latest":
        found, _ = runs.list_runs()
        if not found:
            raise BadInput("There are no runs yet; `bedside train` starts one.")
        return found[0]
    return runs.get(identity)


def stop(job: J, reread: Callable[[str], J], at_once: bool) -> J:
    """Ask a job to stop and wait for its end, `STOP_SECONDS` at most; returns it as it is then.

    `at_once`, and where its process does not react, it is ended without waiting for what it is at.
    """
    from trainer import jobs, pulse
    from trainer.jobs import ACTIVE

    if at_once or not pulse.reacts(job.folder):
        jobs.end(job)
    else:
        jobs.stop(job)
    deadline = time.monotonic() + STOP_SECONDS
    while (job := reread(job.id)).status.state in ACTIVE and time.monotonic() < deadline:
        time.sleep(0.5)
    if job.status.state not in ACTIVE:
        return job
    if not pulse.reacts(job.folder):
        say("Its process does not react; it is ended.")
        jobs.end(job)
        return reread(job.id)
    say(
        "It has not stopped yet, and does after what it is at. With --now it is ended at once; what was done since its "
        "last checkpoint is lost then."
    )
    return job


def follow(job: J, reread: Callable[[str], J], told: int = 0) -> J:
    """Tell a job's events as they come, until it is no longer active; returns it as it is then.

    `told`: the bytes of its events that need not be told again.
    """
    from trainer import events
    from trainer.jobs import ACTIVE

    while True:
        job = reread(job.id)
        happened, told = events.read_new(job.folder / "events.jsonl", told)
        for event in happened:
            tell(event)
        if job.status.state not in ACTIVE:
            return job
        time.sleep(0.5)


def tell(event: events.Event) -> None:
    """One event of a run, on stderr."""
    from trainer import events

    if isinstance(event, events.StateEvent):
        say(f"[{event.state}] {event.detail}".rstrip())
    elif isinstance(event, events.ProgressEvent):
        if event.total <= 20 or event.done % 10 == 0 or event.done == event.total:
            say(f"  {event.stage}: {event.done}{f' of {event.total}' if event.total else ''}")
    elif isinstance(event, events.TrialEvent):
        found = ", ".join(f"{name} {value:.4g}" for name, value in event.measured.items())
        say(f"  trial {event.trial}: {event.state}{f', {found}' if found else ''}. {event.detail}".rstrip(". "))
    elif isinstance(event, events.StepEvent) and (event.step % 10 == 0 or event.step in {1, event.total_steps}):
        say(
            f"  step {event.step} of {event.total_steps}: loss {event.loss:.3f}, "
            f"{event.tokens_per_second:.0f} tokens/s, {event.memory_gib:.1f} GiB, {event.eta_seconds / 60:.1f} min left"
        )
    elif isinstance(event, events.EvalEvent):
        say(f"  step {event.step}: validation loss {event.loss:.3f}")
    elif isinstance(event, events.WarningEvent):
        say(f"  note: {event.message}")
    elif isinstance(event, events.StopEvent):
        say(f"  stopped: {event.reason}")


def print_report(run: Run) -> None:
    """The comparison and the figures of a run that is done, on stdout; nothing for another."""
    if not (run.folder / "report.json").exists():
        return
    from trainer import card
    from trainer.report import Report

    report = Report.model_validate_json((run.folder / "report.json").read_text())
    if report.table:
        rows = [card.COMPARISON_HEADER, *card.comparison_rows(report)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        print("(shares with their 95 % interval)")
    if report.forgetting:
        lost = report.forgetting
        print(
            f"General questions right: {card.percent(lost.questions_before)} before, "
            f"{card.percent(lost.questions_after)} after, n = {lost.questions_before.n}; perplexity of general text "
            f"{lost.perplexity.before:.1f} before, {lost.perplexity.after:.1f} after."
        )
    print(
        f"Trained {report.training_minutes:.1f} min at {report.tokens_per_second:.0f} tokens/s, scored in "
        f"{report.evaluating_minutes:.1f} min; peak memory {report.peak_gib:.1f} GiB; "
        f"{100 * report.trainable_share:.2f} % of the parameters trained."
    )
