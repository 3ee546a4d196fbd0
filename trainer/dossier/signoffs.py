"""Sign-offs (lecture L3.20): named people's word on a dossier, given in the app alone, only ever appended.

A sign-off is on one state of the evidence; what changes it makes it one of an earlier state. Who takes it back says
why, as a further row.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel
from sqlmodel import col, select

from trainer import actor, audit, store
from trainer.dossier import DossierError
from trainer.dossier.evidence import Evidence
from trainer.dossier.markdown import joined, plain, table
from trainer.store import SignOff

MEDICAL = ("physician", "nurse", "pharmacist", "other medical profession")
ROLES = (*MEDICAL, "quality or risk management", "data protection", "engineering")
NEEDED = 3
"""Medical professionals whose sign-off the checklist asks for (lecture L3.20: 3+)."""
LOOKED_AT = (
    "the intended use and its limits",
    "the release gates and what was not measured",
    "the risk register",
    "answers of this model, in the Playground or on the Review page",
)
"""What a signer confirms to have looked at, each by a tick."""
_LONGEST = {"name": 120, "statement": 2000, "reason": 2000}
_SIGNED_IN_AS = ", signed in as "

Standing = Literal["stands", "of an earlier state", "withdrawn"]


class Signed(BaseModel):
    """A sign-off as it stands now."""

    id: int
    reviewer: str
    role: str
    statement: str
    evidence_sha256: str
    given: datetime
    standing: Standing
    withdrawn_because: str = ""


def give(found: Evidence, seen_sha256: str, reviewer: str, role: str, looked_at: list[str], statement: str) -> SignOff:
    """Keep a person's sign-off on the evidence `found`, of which they saw the state `seen_sha256`.

    Raises `DossierError` where the name, the profession, one of `LOOKED_AT` or the statement is missing, where the
    evidence is not what was seen, or where the same person's sign-off on it stands already.
    """
    name, said = _signing(reviewer), statement.strip()
    if len(name.split()) < 2 or not any(one.isalpha() for one in name):
        raise DossierError("Type your first and your last name: a sign-off is a named person's.")
    if role not in ROLES:
        raise DossierError(f"Choose your profession: {', '.join(ROLES)}.")
    if missing := [one for one in LOOKED_AT if one not in looked_at]:
        raise DossierError(f"Not ticked: {missing[0]}. Look at it before you sign.")
    if not said:
        raise DossierError("Write what you looked at and what you conclude; the dossier keeps it with your name.")
    _bounded(name=name, statement=said)
    if seen_sha256 != found.sha256:
        raise DossierError(
            "The evidence has changed since you opened this dossier; look at it as it is now, and sign then."
        )
    # Under one lock of the database, so that two clicks do not sign twice.
    with store.session() as session:
        rows = session.exec(select(SignOff).where(SignOff.model == str(found.ref)).order_by(col(SignOff.id))).all()
        for one in _standing(list(rows), found.sha256):
            if one.standing == "stands" and _account(one.reviewer) == _account(name):
                raise DossierError(f"{one.reviewer} has signed this state of the evidence already.")
        kept = SignOff(model=str(found.ref), evidence_sha256=found.sha256, reviewer=name, role=role, statement=said)
        session.add(kept)
    audit.record("signed", f"sign-off {kept.id} of {found.ref}")
    return kept


def withdraw(found: Evidence, identity: int, reviewer: str, reason: str) -> SignOff:
    """Take a sign-off back, as a further row. Raises `DossierError` unless the one who gave it says why."""
    name, why = _signing(reviewer), reason.strip()
    one = next((one for one in of(found) if one.id == identity), None)
    if one is None:
        raise DossierError(f"There is no sign-off {identity} of {found.ref}.")
    if one.standing == "withdrawn":
        raise DossierError(f"{one.reviewer}'s sign-off is withdrawn already.")
    if one.reviewer.casefold() != name.casefold():
        raise DossierError(f"Only {one.reviewer} can take this sign-off back; type that name.")
    if not why:
        raise DossierError("Say why the sign-off is taken back; the dossier keeps the reason.")
    _bounded(reason=why)
    kept = SignOff(
        model=str(found.ref),
        evidence_sha256=one.evidence_sha256,
        reviewer=one.reviewer,
        role=one.role,
        statement=why,
        withdraws=identity,
    )
    with store.session() as session:
        session.add(kept)
    audit.record("took a sign-off back", f"sign-off {identity} of {found.ref}")
    return kept


def of(found: Evidence) -> list[Signed]:
    """All sign-offs of this model, in the order in which they were given."""
    with store.session() as session:
        rows = session.exec(select(SignOff).where(SignOff.model == str(found.ref)).order_by(col(SignOff.id))).all()
    return _standing(list(rows), found.sha256)


def standing(found: Evidence) -> list[Signed]:
    """Those by medical professions that stand for the evidence as it is now; each person once."""
    return [one for one in of(found) if one.standing == "stands" and one.role in MEDICAL]


def part(found: Evidence) -> str:
    """Three lines to be signed, what was signed, and what was taken back."""
    given = standing(found)
    lines = [(str(place + 1), one.reviewer, one.role, f"{one.given:%-d %B %Y}") for place, one in enumerate(given)]
    lines += [(str(place + 1), "not signed", "", "") for place in range(len(given), NEEDED)]
    rows = [
        (
            f"{one.given:%-d %B %Y, %H:%M} UTC",
            f"{one.reviewer}, {one.role}",
            one.standing + (f": {one.withdrawn_because}" if one.withdrawn_because else ""),
            one.statement,
            one.evidence_sha256[:16],
        )
        for one in of(found)
    ]
    return joined(
        f"At least {NEEDED} people of medical professions sign on the Release page, each by name and for this state of "
        f"the evidence ({plain(found.sha256[:16])}). Bedside fills in none of it and does not check who they are.",
        table(["", "name", "profession", "date"], lines),
        table(["given", "who", "standing", "statement", "evidence"], rows),
    )


def _standing(rows: list[SignOff], evidence: str) -> list[Signed]:
    taken_back = {row.withdraws: row.statement for row in rows if row.withdraws is not None}
    found = []
    for row in rows:
        if row.withdraws is not None or row.id is None:
            continue
        now: Standing = (
            "withdrawn"
            if row.id in taken_back
            else "stands"
            if row.evidence_sha256 == evidence
            else "of an earlier state"
        )
        found.append(
            Signed(
                id=row.id,
                reviewer=row.reviewer,
                role=row.role,
                statement=row.statement,
                evidence_sha256=row.evidence_sha256,
                given=store.as_utc(row.created),
                standing=now,
                withdrawn_because=taken_back.get(row.id, ""),
            )
        )
    return found


def _signing(typed: str) -> str:
    """The name as it is kept: as typed, with the account behind it where somebody is signed in under another one."""
    name, account = " ".join(typed.split()), actor.now()
    behind = f"{_SIGNED_IN_AS}{account.name}"
    if account.role is None or name.casefold() == account.name.casefold() or name.endswith(behind):
        return name
    return name + behind


def _account(kept: str) -> str:
    """Who stands behind a kept name, so that nobody signs twice under two of them."""
    return kept.rpartition(_SIGNED_IN_AS)[2].casefold()


def _bounded(**texts: str) -> None:
    for what, text in texts.items():
        if len(text) > _LONGEST[what]:
            raise DossierError(f"The {what} is {len(text):,} characters long; {_LONGEST[what]:,} are kept.")
