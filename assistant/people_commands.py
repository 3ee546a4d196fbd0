"""`bedside people`: who may sign in to the pages; and `bedside audit`: what was done by whom."""

from __future__ import annotations

import getpass
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BaseModel

from assistant.terminal import BadInput, Json, say
from trainer.actor import Role

if TYPE_CHECKING:
    from trainer.store import Person

people_app = typer.Typer(help="Say who may sign in to the pages, and as what.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of the person, as votes are kept under it; on a Space, the user name.")]
As = Annotated[Role, typer.Option(help="reviewer, trainer (also runs) or administrator (also people).")]


class PersonDetails(BaseModel):
    """Somebody who may sign in."""

    name: str
    role: str
    created: datetime
    has_password: bool
    """Without one, Hugging Face says who it is."""
    password: str | None = None
    """Where it was just made: it is shown this once."""


class PeopleList(BaseModel):
    """`people list --json`."""

    people: list[PersonDetails]


class PersonRemoved(BaseModel):
    """`people remove --json`."""

    removed: str


@people_app.command("list")
def list_all(as_json: Json = False) -> None:
    """Who may sign in."""
    from trainer import people

    found = people.everybody()
    if as_json:
        print(PeopleList(people=[_details(one) for one in found]).model_dump_json(indent=1))
        return
    for one in found:
        print(f"{one.name:40} {one.role:14} since {one.created:%Y-%m-%d}")
    if not found:
        print('Nobody yet. Add yourself first: bedside people add "ANNA BERG" --role administrator')


@people_app.command()
def add(
    name: Name,
    role: As = "reviewer",
    hugging_face: Annotated[
        bool, typer.Option("--hugging-face", help="A Hugging Face user, without a password of ours.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Let somebody in. Asks for a password, or reads one from stdin; makes one where that is empty."""
    from trainer import people

    password, made = ("", None) if hugging_face else _password()
    _tell(people.add(name, role, password), made, as_json)


@people_app.command()
def remove(name: Name, as_json: Json = False) -> None:
    """Let somebody in no more; votes and runs keep the name."""
    from trainer import people

    person = people.remove(name)
    print(PersonRemoved(removed=person.name).model_dump_json(indent=1) if as_json else f"Removed {person.name}.")


@people_app.command("role")
def set_role(
    name: Name, role: Annotated[Role, typer.Argument(help="reviewer, trainer or administrator.")], as_json: Json = False
) -> None:
    """Give somebody another role."""
    from trainer import people

    _tell(people.set_role(name, role), None, as_json)


@people_app.command("password")
def set_password(name: Name, as_json: Json = False) -> None:
    """Give somebody another password: asked for, or read from stdin; made where that is empty."""
    from trainer import people

    if people.find(name) is None:
        raise BadInput(f"Nobody is registered as {name!r}; `bedside people list` shows who is.")
    password, made = _password()
    _tell(people.set_password(name, password), made, as_json)


def audit(
    last: Annotated[int, typer.Option(min=1, help="How many of the latest deeds.")] = 50, as_json: Json = False
) -> None:
    """What was done by whom: started, stopped, exported, signed, people let in, sign-ins."""
    from assistant.results import AuditLog
    from trainer import audit as log

    found = log.entries(last)
    if as_json:
        print(AuditLog(file=str(log.file()), entries=found).model_dump_json(indent=1))
        return
    for one in found:
        print(f"{one.time:%Y-%m-%d %H:%M:%S}  {one.who}{f' ({one.role})' if one.role else ''} {one.action} {one.on}")
    if not found:
        print("Nothing was done yet.")


def _password() -> tuple[str, str | None]:
    """The password, and the same again where it was made here. Never from the arguments: other users see these."""
    from trainer import passwords

    if sys.stdin.isatty():
        given = getpass.getpass("Password (empty: one is made): ")
        if given and getpass.getpass("Once more: ") != given:
            raise BadInput("The two passwords differ; nothing was changed.")
    else:
        given = sys.stdin.readline().rstrip("\n")
    if given:
        return given, None
    made = passwords.made()
    return made, made


def _details(person: Person) -> PersonDetails:
    return PersonDetails(
        name=person.name, role=person.role, created=person.created, has_password=bool(person.password)
    )  # fmt: skip


def _tell(person: Person, made: str | None, as_json: bool) -> None:
    if as_json:
        print(_details(person).model_copy(update={"password": made}).model_dump_json(indent=1))
        return
    print(f"{person.name} may sign in, as {person.role}.")
    if made:
        say("The password, shown this once:")
        print(made)
