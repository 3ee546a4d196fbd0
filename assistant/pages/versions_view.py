"""The versions' words and tables as HTML. All text that comes from people, models and files is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from assistant.pages.release_view import DECISION_TONES, GATE_TONES
from assistant.pages.run_view import facts_list
from assistant.pages.style import badge, notice
from evaluators.gates import Gate
from trainer.store import Deployment, Version
from trainer.versions import registry
from trainer.versions.ab_test import State
from trainer.versions.compatibility import Compatibility
from trainer.versions.registry import Draft

SHOWN = 10
"""Broken cases that are shown; the command line has them all."""
_CUT = 400  # characters of a question or an answer


def line(found: Sequence[Version], in_use: Version | None, history: Sequence[Deployment]) -> str:
    """All versions of a line, the highest number first, and what was in use when."""
    rows = "".join(_row(one, in_use) for one in found)
    used = "".join(
        f"<li>{escape(one.number)} since {one.created:%-d %b %Y, %H:%M}: {escape(one.reason)}</li>"
        for one in reversed(history)
    )
    told = f'<details class="bs-defaults"><summary>What was in use</summary><ul class="bs-list">{used}</ul></details>'
    nothing = '<p class="bs-soft">None of them is in use yet.</p>'
    return (
        '<div class="bs-card" id="versions-line"><div class="bs-scroll" tabindex="0">'
        '<table class="bs-table bs-compare"><thead><tr>'
        "<th>version</th><th>change</th><th>from</th><th>knowledge until</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>{told if used else nothing}</div>"
    )


def version(one: Version, in_use: Version | None) -> str:
    """One version: what changed, what it was trained on, and what its gates said."""
    decision = registry.decision(one)
    log = "".join(f"<li>{escape(text)}</li>" for text in one.changelog.splitlines())
    facts = {
        "change": one.change,
        "goes on from": one.parent or "nothing: the first of its line",
        "knowledge until": one.knowledge_until or "not known",
        "registered": f"{one.created:%-d %b %Y}",
    }
    mark = badge("in use", "good") if in_use and in_use.id == one.id else ""
    gates = "".join(_gate(Gate.model_validate(gate)) for gate in one.gates)
    sources = "".join(
        f"<tr><td>{escape(source['name'])}<div class='bs-soft'>{escape(source['role'])}, "
        f"{escape(source['licence'])}</div></td><td>{source['rows_used']:,}</td>"
        f"<td>{escape(source['sha256'][:12])}</td></tr>"
        for source in one.data_manifest.get("sources", [])
    )
    data = (
        '<div class="bs-scroll" tabindex="0">'
        '<table class="bs-table"><thead><tr><th>trained on</th><th>rows</th><th>SHA-256</th>'
        f"</tr></thead><tbody>{sources}</tbody></table></div>"
        if sources
        else '<p class="bs-soft">What it was trained on is not known.</p>'
    )
    overruled = notice("Registered all the same", [one.despite], "warn") if one.despite else ""
    return (
        f'<div class="bs-card" id="versions-one"><div class="bs-row bs-head"><span class="bs-big">{escape(one.line)} '
        f"{escape(one.number)}</span>{mark}</div>"
        f'<p class="bs-soft">{escape(one.model)}</p><ul class="bs-list">{log}</ul>{facts_list(facts)}{overruled}'
        f'<details class="bs-defaults"><summary>Data</summary>{data}</details>'
        f'<div class="bs-row"><span>Release gates</span>{_decision(decision)}</div>'
        + (
            f'<details class="bs-defaults"><summary>Each gate</summary><ul class="bs-gates">{gates}</ul></details>'
            if gates
            else ""
        )
        + "</div>"
    )


def compatibility(found: Compatibility, first: str, second: str) -> str:
    """What the first version passed and the second fails, with both answers."""
    cases = "".join(
        f'<div class="bs-sample"><q>{escape(_cut(one.question))}</q><p class="bs-soft">{escape(one.suite)}'
        f"{f', {escape(one.group)}' if one.group else ''}</p><p>before: {escape(_cut(one.before))}</p>"
        f"<p>now: {escape(_cut(one.now))}</p>"
        + (f'<p class="bs-soft">wanted: {escape(_cut(one.reference))}</p>' if one.reference else "")
        + "</div>"
        for one in found.broken[:SHOWN]
    )
    more = len(found.broken) - SHOWN
    rest = f'<p class="bs-soft">And {more:,} more (bedside versions compare).</p>' if more > 0 else ""
    folded = f'<details class="bs-defaults"><summary>Cases</summary>{cases}{rest}</details>' if cases else ""
    return (
        f'<div class="bs-card" id="versions-compatibility"><h3>What {escape(second)} can no longer do</h3>'
        f'<p class="bs-soft">Beside {escape(first)}. {escape(found.sentence())}</p>{folded}</div>'
    )


def ab_test(found: State) -> str:
    """Where an A/B test stands."""
    rows = "".join(
        f"<tr><td><strong>{escape(side.number)}</strong></td><td>{side.users:,}</td><td>{side.good:,}"
        f"{f' ({100 * side.good / side.users:.0f} %)' if side.users else ''}</td><td>{side.further:,}</td></tr>"
        for side in (found.first, found.second)
    )
    state = badge(found.test.decision, "quiet" if found.test.decision == "undecided" else "busy")
    return (
        f'<div class="bs-card" id="versions-ab"><div class="bs-row"><h3>A/B test</h3>{state}</div>'
        f"<p>{escape(found.words)}</p>"
        '<div class="bs-scroll" tabindex="0">'
        '<table class="bs-table bs-compare"><thead><tr><th>version</th><th>users</th>'
        f"<th>good answer</th><th>further answers, not counted</th></tr></thead><tbody>{rows}</tbody></table></div>"
        '<p class="bs-soft">Each user always gets the same version and counts once. Sequential probability ratio test '
        "(Wald 1947): it may be looked at after every answer, and ends where it is decided.</p></div>"
    )


def draft(found: Draft) -> str:
    """What would be registered, and what stands against it."""
    reasons = "".join(f"<li>{escape(one)}</li>" for one in found.reasons)
    log = "".join(f"<li>{escape(one)}</li>" for one in found.changelog.splitlines())
    return (
        f'<div class="bs-card" id="versions-draft"><p class="bs-big">{escape(found.line)} {escape(found.number)}</p>'
        f'<ul class="bs-list bs-soft">{reasons}</ul><h3>Changelog</h3><ul class="bs-list">{log}</ul>'
        f"{facts_list({'knowledge until': found.knowledge_until or 'not known'})}"
        f'<div class="bs-row"><span>Release gates</span>{_decision(found.decision)}</div>'
        f"{notice('Against it; say why it is to be registered all the same', found.objections, 'bad')}</div>"
    )


def _row(one: Version, in_use: Version | None) -> str:
    mark = f" {badge('in use', 'good')}" if in_use and in_use.id == one.id else ""
    note = one.changelog.splitlines()[0] if one.changelog else ""
    return (
        f"<tr><td><strong>{escape(one.number)}</strong> {_decision(registry.decision(one))}{mark}"
        f"<div>{escape(_cut(note))}</div></td><td>{escape(one.change)}</td><td>{escape(one.parent or '-')}</td>"
        f"<td>{escape(one.knowledge_until or 'not known')}</td></tr>"
    )


def _decision(decision: str | None) -> str:
    return badge(decision, DECISION_TONES[decision]) if decision else badge("not evaluated", "warn")


def _gate(gate: Gate) -> str:
    return (
        f'<li><div class="bs-row"><strong>{escape(gate.name)}</strong>{badge(gate.result, GATE_TONES[gate.result])}'
        f'</div><p class="bs-soft">{escape(gate.sentence)}</p></li>'
    )


def _cut(text: str) -> str:
    return text if len(text) <= _CUT else f"{text[:_CUT]}…"
