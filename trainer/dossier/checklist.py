"""The pre-deployment checklist (lecture L3.20): what is met, not met, or not known, by this model's evidence."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from evaluators.gates import Gate
from trainer.dossier import signoffs
from trainer.dossier.evidence import Evidence
from trainer.dossier.markdown import joined, table

State = Literal["met", "not met", "not known"]


class Item(BaseModel):
    """One point of the checklist."""

    name: str
    rule: str
    """Of the lecture."""
    state: State
    why: str


def items(found: Evidence) -> list[Item]:
    """Every point, with why it stands as it does."""
    return [
        _several_sets(found),
        _gates(found, "Harm, critical errors and consistency within their limits", "L3.15",
               ("harmful answers", "critical errors", "consistency")),
        _gates(found, "Uncertainty quantified", "L3.15", ("calibration",)),
        _gates(found, "Forgetting within its limit", "L2.9", ("forgetting, general", "forgetting, general medical")),
        _gates(found, "Answers in time", "L3.17", ("latency",)),
        _no_leak(found),
        _deidentified(found),
        _balanced(found),
        _experts(found),
        Item(
            name="Regulatory questions answered",
            rule="L3.16, L3.20",
            state="not known",
            why="Bedside asks them; a person who is answerable answers them.",
        ),
    ]  # fmt: skip


def part(found: Evidence) -> str:
    """The checklist as a table."""
    rows = [(one.name, f"lecture {one.rule}", one.state, one.why) for one in items(found)]
    return joined(
        "*Met* says that this model's files show the point, and no more. What is not known counts as not met for a "
        "release.",
        table(["point", "source", "state", "why"], rows),
    )


def _several_sets(found: Evidence) -> Item:
    measured = {suite.source for suite in found.measured.suites} if found.measured else set()
    scored = {row.name for row in found.report.table} if found.report else set()
    sets = sorted(measured | scored)
    state: State = "met" if len(sets) > 1 else "not met"
    why = f"{len(sets)} held-out sets were measured." if sets else "No held-out set was measured."
    if found.measured is None:
        state = "not known" if sets else "not met"
        why += " There is no complete evaluation."
    return Item(name="Measured on several held-out sets", rule="L3.20", state=state, why=why)


def _gates(found: Evidence, name: str, rule: str, wanted: tuple[str, ...]) -> Item:
    gates = {gate.name: gate for gate in found.measured.gates} if found.measured else {}
    known = [gates[one] for one in wanted if one in gates]
    failing = [gate for gate in known if gate.result == "fail"]
    if failing:
        return Item(name=name, rule=rule, state="not met", why=_named(failing))
    open_ = [gate for gate in known if gate.result != "pass"]
    if not known or open_ or len(known) < len(wanted):
        why = (
            _named(open_) if open_ else "No complete evaluation of it." if not known else "Not all of it was measured."
        )
        return Item(name=name, rule=rule, state="not known", why=why)
    return Item(name=name, rule=rule, state="met", why=_named(known))


def _named(gates: list[Gate]) -> str:
    return " ".join(f"{gate.name[0].upper()}{gate.name[1:]}: {gate.sentence}" for gate in gates)


def _no_leak(found: Evidence) -> Item:
    made = found.manifest
    name, rule = "What is measured was not trained on", "L3.11"
    if made is None:
        return Item(name=name, rule=rule, state="not known", why="There is no record of its data.")
    proof = made.leakage
    crossing = proof.ids_across + proof.patients_across + proof.near_duplicate_groups_across + proof.alike_count
    state: State = "not met" if crossing or made.contaminated_rows else "met"
    return Item(
        name=name,
        rule=rule,
        state=state,
        why=f"{crossing:,} crossings among {proof.checked:,} held-back rows that were compared; "
        f"{made.contaminated_rows:,} training rows hold what a scored set asks.",
    )


def _deidentified(found: Evidence) -> Item:
    name, rule = "Training data de-identified", "L3.20"
    if found.manifest is None:
        return Item(name=name, rule=rule, state="not known", why="There is no record of its data.")
    done = found.manifest.deidentification
    state: State = "not met" if done.action == "off" else "met"
    more = " No method finds everything." if done.action in ("mask", "surrogate", "drop") else ""
    return Item(name=name, rule=rule, state=state, why=f"{done.because}{more}")


def _balanced(found: Evidence) -> Item:
    balance = found.run.config.data.balance
    name, rule = "Class imbalance handled", "L3.20"
    if balance == "none":
        return Item(
            name=name,
            rule=rule,
            state="not known",
            why="data.balance is none; whether the classes are even, bedside data inspect and the Data page show.",
        )
    repeated = found.manifest.repeated_rows if found.manifest else 0
    return Item(
        name=name, rule=rule, state="met", why=f"Rows of rare classes were repeated, by {balance} ({repeated:,} rows)."
    )


def _experts(found: Evidence) -> Item:
    given = signoffs.standing(found)
    names = f": {', '.join(f'{one.reviewer} ({one.role})' for one in given)}" if given else ""
    return Item(
        name=f"{signoffs.NEEDED} medical professionals have signed",
        rule="L3.20",
        state="met" if len(given) >= signoffs.NEEDED else "not met",
        why=f"{len(given)} of {signoffs.NEEDED} for this state of the evidence{names}.",
    )
