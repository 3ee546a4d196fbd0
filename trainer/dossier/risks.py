"""The risk register: hazards of a clinical language model, with the columns of ISO 14971 and this run's evidence.

Bedside fills in causes, controls and what was measured. How severe a harm would be in the workflow that the model is
for, how probable it is there, and whether what remains is acceptable, a named person judges: none of it is in a run.
"""

from __future__ import annotations

from typing import NamedTuple

from trainer.dossier.evidence import Evidence
from trainer.dossier.markdown import joined, table
from trainer.evaluation.report import Compared
from trainer.evaluation.words import interval, named, number

JUDGED = "to be judged by a named person"
NOT_MEASURED = "not measured; " + JUDGED


class Risk(NamedTuple):
    """One row of the register."""

    hazard: str
    cause: str
    worst: str
    """The worst that the harm could be, not how bad it is in this use."""
    probability: str
    """Evidence of this run, with n and interval, or that there is none."""
    control: str
    residual: str = JUDGED


def register(found: Evidence) -> list[Risk]:
    """All hazards that the register knows, with this run's evidence."""
    config = found.run.config
    worst = "death or lasting harm"
    watch = "harm monitor while training" if config.steering.harm_every else "no harm monitor was on while it trained"
    action = found.manifest.deidentification.action if found.manifest else "not known"
    knows = next((one.knowledge_until for one in found.versions if one.knowledge_until), None)
    return [
        Risk(
            "Harmful advice is given and followed",
            "A request for it is answered instead of refused",
            worst,
            _gate(found, "harmful answers"),
            f"Gate on harmful answers; {watch}; a clinician checks every answer",
        ),
        Risk(
            "A wrong dose, a contraindicated drug or an overlooked red flag is believed",
            "The model errs and is fluent about it",
            worst,
            _gate(found, "critical errors"),
            "Gate on critical errors, screened by rules for doses, pairs of drugs and conditions, and red flags",
        ),
        Risk(
            "An invented fact enters the record",
            "The answer says what its source does not",
            worst,
            _metric(found, "summarisation", "Notes with something unsupported"),
            "Screen for unsupported numbers, drugs and conditions; the source stays beside the answer",
        ),
        Risk(
            "An uncertain answer is taken as certain",
            "Confidence that is not borne out",
            worst,
            _gate(found, "calibration"),
            "Gate on calibration; taught answers state their confidence",
        ),
        Risk(
            "The same case gets another answer in other words",
            "The model leans on wording",
            worst,
            _gate(found, "consistency"),
            "Gate on consistency; "
            + ("disturbed rows in training" if config.adversarial.perturbations else "no disturbed rows in training"),
        ),
        Risk(
            "Text in a record steers the answer",
            "Injected instructions, by mistake or by intent",
            worst,
            _metric(found, "robustness", "Injections followed"),
            "Measured under attack; input from records is not trusted by who builds it in",
        ),
        Risk(
            "Some patients are served worse",
            "Few or no rows of their kind in training and in the sets that are measured",
            worst,
            _spread(found),
            "Subgroup table; classes balanced in training"
            if config.data.balance != "none"
            else "Subgroup table; rare classes were not repeated in training (data.balance is none)",
        ),
        Risk(
            "Knowledge that the base had is gone",
            "Forgetting while it was tuned",
            "wrong or late treatment",
            _forgotten(found),
            "General rows mixed in, gate on forgetting"
            + (", monitor while training" if config.steering.forgetting_every else ""),
        ),
        Risk(
            "Outdated advice is given",
            "Guidelines and drugs changed after training",
            worst,
            f"its training data know nothing after {knows}" if knows else "cut-off not known; " + JUDGED,
            "Versions with a knowledge date, updates, roll back in one step",
        ),
        Risk(
            "What a patient said comes back out",
            "Rows that identify somebody were learnt by heart",
            "loss of confidentiality",
            _memorised(found),
            f"De-identification before training: {action}; its recall by kind stands in this dossier",
        ),
        Risk(
            "A needed answer is refused",
            "Caution where none is called for",
            "delay of treatment",
            _metric(found, "over_refusal", ""),
            "Over-refusal is measured beside harm",
        ),
        Risk(
            "The score promises too much",
            "What is scored, or nearly that, was trained on",
            "use of a model that is worse than believed",
            _leaks(found),
            "Split by patient and near-duplicate, proof by word-for-word comparison, search for benchmarks in the rows",
        ),
        Risk(
            "The answer comes too late to wait for",
            "A slow machine, many users",
            "delay of treatment",
            _gate(found, "latency"),
            "Gate on latency, measured on the machine of the evaluation and not on that of its use",
        ),
        Risk(
            "It is used for what it was not made for, or unchecked",
            "Trust in fluent text, pressure of time",
            worst,
            NOT_MEASURED,
            "Intended use and its limits stand in this dossier; every page says that a clinician checks each answer",
        ),
    ]


def part(found: Evidence) -> str:
    """The register as a table."""
    header = ["hazard", "cause", "severity", "probability: evidence of this run", "control", "residual risk"]
    rows = [
        (one.hazard, one.cause, f"at worst {one.worst}; {JUDGED}", one.probability, one.control, one.residual)
        for one in register(found)
    ]
    return joined(
        "Columns as in ISO 14971. What was measured is of test questions on this machine, and no probability of harm "
        "in use: that, severity and residual risk need a person who knows the workflow. More hazards may exist than "
        "stand here.",
        table(header, rows),
    )


def _gate(found: Evidence, name: str) -> str:
    gate = next((one for one in found.measured.gates if one.name == name), None) if found.measured else None
    return f"{gate.sentence} Gate: {gate.result}." if gate and gate.n else NOT_MEASURED


def _metric(found: Evidence, suite: str, metric: str) -> str:
    """A suite's metric of this name, its first one where none is named."""
    measured = found.measured.suite(suite) if found.measured else None
    one = next((one for one in measured.metrics if one.name == metric or not metric), None) if measured else None
    return _said(one) if one and one.tuned.n else NOT_MEASURED


def _said(one: Compared) -> str:
    between = f" ({interval(one.tuned)}, 95 %)" if interval(one.tuned) else ""
    return f"{one.tuned.name}: {number(one.tuned, 1)}{between}, n {one.tuned.n:,}; base {number(one.base, 1)}"


def _spread(found: Evidence) -> str:
    """The suite whose groups lie farthest apart, with its best and its worst group."""
    widest: tuple[float, str] | None = None
    for suite in found.measured.suites if found.measured else []:
        known = [(group.main.tuned.value, group) for group in suite.groups if group.main.tuned.value is not None]
        if len(known) < 2:
            continue
        low, high = min(known, key=lambda one: one[0]), max(known, key=lambda one: one[0])
        said = " and ".join(
            f"“{group.group}” {number(group.main.tuned)} ({interval(group.main.tuned)}, n {group.main.tuned.n:,})"
            for _, group in (low, high)
        )
        if widest is None or high[0] - low[0] > widest[0]:
            widest = (high[0] - low[0], f"Farthest apart in {named(suite)}: {said}")
    return widest[1] if widest else NOT_MEASURED


def _forgotten(found: Evidence) -> str:
    gates = [_gate(found, f"forgetting, {kind}") for kind in ("general", "general medical")]
    known = [one for one in gates if one != NOT_MEASURED]
    if known:
        return " ".join(known)
    kinds = found.report.forgetting.kinds if found.report and found.report.forgetting else {}
    return (
        "; ".join(
            f"{kind.replace('_', ' ')}: {one.lost:+.1f} points lost ({one.low:+.1f} to {one.high:+.1f}), n {one.n:,}"
            for kind, one in kinds.items()
        )
        or NOT_MEASURED
    )


def _memorised(found: Evidence) -> str:
    measured = found.measured.suite("memorisation") if found.measured else None
    return "; ".join(_said(one) for one in measured.metrics if one.tuned.n) if measured else NOT_MEASURED


def _leaks(found: Evidence) -> str:
    if found.manifest is None:
        return NOT_MEASURED
    proof = found.manifest.leakage
    crossing = proof.ids_across + proof.patients_across + proof.near_duplicate_groups_across
    return (
        f"{crossing:,} rows, patients or groups of near-duplicates on two sides; {proof.alike_count:,} of "
        f"{proof.checked:,} held-back rows nearly the same as a training row; {found.manifest.contaminated_rows:,} "
        "training rows hold what a scored set asks"
    )
