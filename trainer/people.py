"""The people who may sign in to the pages, each with a role: added, changed, removed, and checked by password.

Nobody needs to be here where the pages are this machine's own. Who does what is in `trainer.audit`.
"""

from __future__ import annotations

import unicodedata

from sqlmodel import Session, col, select

from trainer import audit, passwords, store
from trainer.actor import ROLES, Role
from trainer.errors import UserError
from trainer.review.ballots import reviewer_name
from trainer.store import Person


class PeopleError(UserError):
    """Somebody cannot be added, changed or let in; the text says why."""


def add(name: str, role: Role, password: str = "") -> Person:
    """Let somebody in under this name, which their votes are kept under; who was removed is let in again.

    Without a password it is a Hugging Face user, who signs in on a Space. Raises `PeopleError` where the name is
    taken, and `ReviewError` where it is none.
    """
    name, kept = reviewer_name(name), _hashed(password, name) if password else ""
    _check_role(role)
    with store.session() as session:
        found = _find(session, name)
        if found is not None and found.removed is None:
            raise PeopleError(f"{found.name} is registered already, as {found.role}.")
        person = found or Person(name=name, role=role)
        person.role, person.password, person.removed = role, kept, None
        session.add(person)
    audit.record("added a person", f"{person.name}, {role}")
    return person


def remove(name: str) -> Person:
    """Let somebody in no more. Votes and runs keep the name."""
    with store.session() as session:
        person = _known(session, name)
        person.removed, person.password = store.now(), ""
        session.add(person)
    audit.record("removed a person", person.name)
    return person


def set_role(name: str, role: Role) -> Person:
    """Give somebody another role, from their next call on."""
    _check_role(role)
    with store.session() as session:
        person = _known(session, name)
        person.role = role
        session.add(person)
    audit.record("changed a role", f"{person.name}, {role}")
    return person


def set_password(name: str, password: str) -> Person:
    """Give somebody another password; wherever they are signed in, they have to sign in again."""
    kept = _hashed(password, name)
    with store.session() as session:
        person = _known(session, name)
        person.password = kept
        session.add(person)
    audit.record("changed a password", person.name)
    return person


def everybody() -> list[Person]:
    """Who may sign in now, by name."""
    with store.session() as session:
        return list(session.exec(select(Person).where(col(Person.removed).is_(None)).order_by(Person.name)))


def find(name: str) -> Person | None:
    """Who may sign in under this name, however its letters are cased; None for nobody."""
    with store.session() as session:
        found = _find(session, name)
    return found if found is not None and found.removed is None else None


def check(name: str, password: str) -> Person | None:
    """Who has this name and this password; None, after as long a time, where nobody has."""
    person = find(name)
    return person if passwords.fits(password, person.password if person else "") else None


def _known(session: Session, name: str) -> Person:
    found = _find(session, name)
    if found is None or found.removed is not None:
        raise PeopleError(f"Nobody is registered as {name!r}; `bedside people list` shows who is.")
    return found


def _find(session: Session, name: str) -> Person | None:
    wanted = " ".join(unicodedata.normalize("NFC", name).split()).casefold()
    return next((one for one in session.exec(select(Person)) if one.name.casefold() == wanted), None)


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise PeopleError(f"There is no role {role!r}; there are: {', '.join(ROLES)}.")


def _hashed(password: str, name: str) -> str:
    if not passwords.SHORTEST <= len(password) <= passwords.LONGEST:
        raise PeopleError(
            f"The password has {len(password)} characters; {passwords.SHORTEST} to {passwords.LONGEST} are taken. "
            "Leave it empty to have one made."
        )
    if name.casefold() in password.casefold() or len(set(password)) < 5:
        raise PeopleError("The password is easily guessed (the name, or few different characters); take another one.")
    return passwords.hashed(password)
