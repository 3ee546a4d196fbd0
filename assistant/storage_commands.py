"""`bedside storage`: what is kept on this machine, and its removal."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from assistant.terminal import BadInput, Json, say

storage_app = typer.Typer(help="See what is kept on this machine, and delete it.", no_args_is_help=True)


@storage_app.command("list")
def list_all(as_json: Json = False) -> None:
    """All that is kept, by kind: how much, since when, and whether patients' text may be in it."""
    from assistant.results import StorageList
    from trainer import config, storage

    found = StorageList(home=str(config.home()), stored=storage.stored(), by_itself=storage.by_itself())
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    for one in found.stored:
        patients = "may hold patients' text" if one.patient_text else ""
        print(
            f"{one.kind:12} {one.entries:>7,} {one.megabytes:>11,.1f} MB  since {one.oldest:%Y-%m-%d}  "
            f"{one.what:70} {patients}".rstrip()
        )
    print(f"All of it is in {found.home}. {found.by_itself}")


@storage_app.command()
def delete(
    kinds: Annotated[list[str] | None, typer.Argument(help="What `bedside storage list` names.")] = None,
    older_than: Annotated[
        float | None, typer.Option("--older-than", min=0, help="Only what was last changed so many days ago.")
    ] = None,
    everything: Annotated[bool, typer.Option("--everything", help="All kinds.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what is kept, for good: some kinds, or everything."""
    from trainer import storage

    if bool(kinds) == everything:
        raise BadInput("Name the kinds that `bedside storage list` shows, or say --everything.")
    if unknown := [kind for kind in kinds or [] if kind not in storage.KINDS]:
        raise BadInput(f"Nothing is kept as {unknown[0]!r}; there are: {', '.join(storage.KINDS)}.")
    named = set(kinds or [])
    chosen: list[storage.Kind] = [kind for kind in storage.KINDS if everything or named & {kind}]
    days = older_than or 0
    number = storage.count(chosen, days)
    word = "everything" if everything else " ".join(chosen)
    if number and not yes:
        say(f"{number:,} {'entry goes' if number == 1 else 'entries go'} for good. To go on, type: {word}")
        if not sys.stdin.isatty() or input().strip() != word:
            raise BadInput("Nothing was deleted; type exactly what is asked for, or add --yes.")
    done = storage.remove(chosen, days)
    if as_json:
        print(done.model_dump_json(indent=1))
        return
    for sentence in storage.told(done):
        print(sentence)
