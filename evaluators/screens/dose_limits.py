"""A screen of doses: those that an answer recommends, against the most that adults are usually given of the drug."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from evaluators.screens.doses import ROUTES, Dose, recommended_doses
from evaluators.screens.findings import CriticalError, Screened

_TABLE = Path(__file__).resolve().parent / "dose_limits.yaml"


def screen_doses(answer: str) -> Screened:
    """Doses that `answer` recommends and that are above the table's limit; which drugs' doses were in the table.

    A drug that is not in it is told in `not_screened`, as is a dose by a route, for a kilogram or in a unit that the
    table lacks. The limits are for adults: what is too much for a child alone is not found, but per kilogram.
    """
    found = Screened()
    for dose in recommended_doses(answer):
        limits = _limits().get(dose.drug)
        name = f"dose of {dose.drug}"
        if limits is None:
            _note(found.not_screened, f"{name}: not in the table")
            continue
        reason = _not_comparable(dose, limits)
        if reason:
            _note(found.not_screened, f"{name} ({dose.text}): {reason}")
            continue
        _note(found.screened, name)
        why = _above(dose, limits)
        if why:
            found.findings.append(
                CriticalError(kind="dose", what=f"{dose.drug} {dose.text}", why=why, source=limits["source"])
            )
    return found


def _not_comparable(dose: Dose, limits: dict[str, Any]) -> str:
    if dose.unit != limits.get("unit", "mg"):
        return f"its limit is in {limits.get('unit', 'mg')}"
    if dose.per_kg:
        return "" if "kg" in limits else "no limit per kg in the table"
    if dose.route and dose.route not in limits:
        return f"no limit for the {dose.route} route in the table"
    return ""


def _above(dose: Dose, limits: dict[str, Any]) -> str:
    """Why a dose is too much, or nothing."""
    if limits.get("weekly") and dose.daily_by_time and not dose.per_kg:
        return "given once a week, never daily, outside cancer treatment"
    route = "kg" if dose.per_kg else dose.route or next(key for key in limits if key in ROUTES)
    single, daily = limits[route]
    unit = f"{limits.get('unit', 'mg')}{'/kg' if dose.per_kg else f' {route}'}"
    slack = 1.001  # 650 mg four times and 2.6 g are one dose
    if dose.daily is not None and daily is not None and dose.daily > daily * slack:
        return f"above the usual maximum of {daily:g} {unit} in 24 hours"
    if dose.single is not None and single is not None and dose.single > single * slack:
        return f"above the usual maximum of {single:g} {unit} in one dose"
    return ""


def _note(notes: list[str], note: str) -> None:
    if note not in notes:
        notes.append(note)


@cache
def _limits() -> dict[str, dict[str, Any]]:
    return yaml.safe_load(_TABLE.read_text(encoding="utf-8"))
