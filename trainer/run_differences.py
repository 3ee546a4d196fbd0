"""Two run files beside each other: the fields that differ, each with both values."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from trainer.sections import RunConfig

ABSENT = "-"
"""Stands for a field that only the other run file has (another method, another objective)."""


class Different(BaseModel):
    """A field of the run file (`schedule.epochs`) and its two values, each in one line."""

    field: str
    first: str
    second: str


def differences(first: RunConfig, second: RunConfig) -> list[Different]:
    """The fields in which two run files differ, in the order of the contract; empty where they are the same."""
    before, after = _flat(first), _flat(second)
    sections = list(RunConfig.model_fields)
    # What only the second has stands in its section, behind the fields of the first (sorting keeps equals in order).
    names = sorted({**before, **after}, key=lambda name: sections.index(name.partition(".")[0]))
    return [
        Different(field=name, first=before.get(name, ABSENT), second=after.get(name, ABSENT))
        for name in names
        if before.get(name, ABSENT) != after.get(name, ABSENT)
    ]


def _flat(config: RunConfig) -> dict[str, str]:
    found = {}
    for section, values in config.model_dump(mode="json").items():
        if isinstance(values, dict):
            found |= {f"{section}.{field}": _text(value) for field, value in values.items()}
        else:
            found[section] = _text(values)
    return found


def _text(value: Any) -> str:
    """One line, as it may stand in a run file; of sources and held-out sets what is said of them."""
    if isinstance(value, list):
        value = [_said(one) if isinstance(one, dict) else one for one in value]
    return value if isinstance(value, str) and "\n" not in value else json.dumps(value, ensure_ascii=False)


def _said(values: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in values.items() if value not in (None, {})}
