"""Who acts: the person who is signed in to the pages, else this machine's own account, which may do everything."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, get_args

from trainer.errors import UserError

Role = Literal["reviewer", "trainer", "administrator"]
ROLES: tuple[Role, ...] = get_args(Role)
"""From the least to the most that one may do; each may do what those before it may."""


class NotAllowed(UserError):
    """Whoever acts may not do this; the text says who may."""


@dataclass(frozen=True)
class Actor:
    """A name, and what it may do."""

    name: str
    role: Role | None = None
    """None for the machine's own account: whoever has it could change every file anyway."""

    def may(self, role: Role) -> bool:
        """Whether what needs this role is allowed."""
        return self.role is None or ROLES.index(self.role) >= ROLES.index(role)


_acting: ContextVar[Actor | None] = ContextVar("acting", default=None)
_HANDED_ON = "BEDSIDE_ACTING_AS"


def now() -> Actor:
    """Who acts in this call; a thread of its own has to be given the context (`contextvars.copy_context`)."""
    return _acting.get() or Actor(os.environ.get(_HANDED_ON) or _account())


def handed_on() -> dict[str, str]:
    """What a process is given in its environment, so that what it makes is of whoever acts now."""
    return {_HANDED_ON: now().name}


@contextmanager
def acting_as(actor: Actor) -> Iterator[None]:
    """What is done within is done by this person."""
    before = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(before)


def must_own(owner: str, what: str) -> None:
    """Raises `NotAllowed` where a person is signed in who did not make `what` and is no administrator.

    `owner`: the name of whoever made it, as it was kept then; empty where nobody knows.
    """
    actor = now()
    if actor.may("administrator") or owner == actor.name:
        return
    if owner:
        raise NotAllowed(f"{what} is {owner}'s: ask {owner} or an administrator to do this.")
    raise NotAllowed(f"{what} may be other people's work: ask an administrator to do this.")


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container an account may have a number alone
        return f"account {os.getuid()}"
