"""Which files of this machine a person who signed in may name by their path: those that are Bedside's own.

Whoever has an account of this machine names any file that the account may read. Somebody who reaches the pages over a
network has no such account, and would else read with Bedside's: passwords, keys, other programs' data. An administrator
of the pages names any file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from trainer import actor, config

_FOLDERS = ("data", "datasets", "preferences", "replay", "runs", "exports", "models")
_EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def check(name: str | Path) -> None:
    """Raises `NotAllowed` where this is a file or a folder that whoever acts may not name. What is none is let pass."""
    if actor.now().may("administrator"):
        return
    try:
        path = Path(name).expanduser()
        if not path.exists():
            return
        path = path.resolve()
    except (OSError, RuntimeError, ValueError):  # too long for a path, of an unknown user, a loop of links
        return
    home = config.home().resolve()
    in_passing = path.is_file() and path.is_relative_to(home / "uploads")
    own = [*(home / folder for folder in _FOLDERS), _EXAMPLES]
    if not in_passing and not any(path.is_relative_to(folder) for folder in own):
        raise actor.NotAllowed(
            f"{name} is a file of this machine that is not Bedside's, which an administrator alone may name here: "
            "upload it instead."
        )


def check_all(request: BaseModel) -> None:
    """`check` for every text in a run file or a request, whichever field it stands in."""
    for text in _texts(request.model_dump(mode="json")):
        check(text)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for inner in value.values() for text in _texts(inner))
    elif isinstance(value, list):
        yield from (text for inner in value for text in _texts(inner))
