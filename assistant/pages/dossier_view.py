"""The dossier on the Release page, as HTML. All text that comes from people, models and files is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

from assistant.pages.style import Tone, badge, notice
from trainer.dossier.checklist import Item, State
from trainer.dossier.evidence import Missing
from trainer.dossier.signoffs import NEEDED, Signed, Standing

STATES: dict[State, Tone] = {"met": "good", "not met": "bad", "not known": "warn"}
STANDINGS: dict[Standing, Tone] = {"stands": "good", "of an earlier state": "warn", "withdrawn": "quiet"}


def state(made: datetime | None, changed: bool) -> str:
    """Whether there is a dossier, and whether it is of the evidence as it is now."""
    if made is None:
        return '<p class="bs-soft">No dossier of this model yet.</p>'
    when = f"Made {made:%-d %b %Y, %H:%M}."
    if changed:
        return notice(when, ["The evidence has changed since: make it again."], "warn")
    return f'<p class="bs-soft">{escape(when)} It is of the evidence as it is now.</p>'


def checklist(items: Sequence[Item], missing: Sequence[Missing]) -> str:
    """Every point of the checklist before a release, and what the dossier lacks."""
    counts = {state: sum(item.state == state for item in items) for state in STATES}
    head = ", ".join(f"{n} {state}" for state, n in counts.items() if n)
    rows = "".join(
        f'<li><div class="bs-row"><strong>{escape(item.name)}</strong>{badge(item.state, STATES[item.state])}</div>'
        f'<p class="bs-soft">{escape(item.why)}</p><p class="bs-source">lecture {escape(item.rule)}</p></li>'
        for item in items
    )
    lacks = "".join(
        f"<li>{escape(one.what)} {escape(one.how.replace('`', '').replace('*', ''))}</li>" for one in missing
    )
    folded = (
        f'<details class="bs-defaults"><summary>What the dossier lacks, and how to get it</summary>'
        f'<ul class="bs-list">{lacks}</ul></details>'
        if lacks
        else ""
    )
    return (
        f'<div class="bs-card" id="dossier-checklist"><h3>Checklist before release</h3><p class="bs-soft">{head}. '
        "“Met” says that the files of this model show the point, and no more; it is no approval.</p>"
        f'<ul class="bs-gates">{rows}</ul>{folded}</div>'
    )


def signed(found: Sequence[Signed], standing: int) -> str:
    """Who has signed, and what became of it."""
    rows = "".join(
        f'<li><div class="bs-row"><strong>{escape(one.reviewer)}</strong>'
        f"{badge(one.standing, STANDINGS[one.standing])}</div>"
        f'<p class="bs-soft">{escape(one.role)}, {one.given:%-d %b %Y, %H:%M} UTC</p><p>{escape(one.statement)}</p>'
        + (f'<p class="bs-soft">Taken back: {escape(one.withdrawn_because)}</p>' if one.withdrawn_because else "")
        + "</li>"
        for one in found
    )
    nobody = "" if found else '<p class="bs-soft">Nobody has signed yet.</p>'
    return (
        f'<div class="bs-card" id="dossier-signed"><h3>Sign-offs</h3><p class="bs-soft">{standing} of {NEEDED} people '
        "of medical professions have signed the evidence as it is now. A new evaluation asks for new ones.</p>"
        f'{nobody}<ul class="bs-gates">{rows}</ul></div>'
    )
