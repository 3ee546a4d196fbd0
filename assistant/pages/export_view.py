"""What an export's part of the Release page says of one, as HTML."""

from __future__ import annotations

from html import escape

from assistant.export_words import LOSS_HEADER, loss_caption, loss_rows
from assistant.pages.style import badge
from trainer.export.exports import Export
from trainer.export.parity import Parity

WHAT = {
    "merged": "A plain model, for any tool (safetensors)",
    "gguf": "One file for a laptop (GGUF, 8 bits)",
    "ollama": "For Ollama (GGUF with its settings)",
    "adapter": "What was trained, alone (adapter)",
}
"""The formats, in words; in the order in which they are offered."""


def exported(found: list[Export]) -> str:
    """All exports of a run, the newest first."""
    return "".join(_one(export) for export in found)


def gates(sentence: str, failing: list[str]) -> str:
    """What the release gates say of what would be exported; a gate that fails warns and does not forbid."""
    lines = "".join(f"<li>{escape(one)}</li>" for one in failing)
    listed = f"<ul>{lines}</ul><p>It can be exported for research; its card says so too.</p>" if failing else ""
    tone = "warn" if failing else "quiet"
    return f'<div class="bs-notice bs-{tone}" role="status">{escape(sentence)}{listed}</div>'


def _one(export: Export) -> str:
    size = sum(file.bytes for file in export.files) / 1e6
    checked = badge("answers as the run does", "good") if export.parity else badge("not checked", "warn")
    parts = [
        f"<h4>{escape(WHAT[export.what])} {checked}</h4>",
        f"<p>{escape(export.model)} · {size:,.0f} MB · {escape(export.created[:16].replace('T', ' '))} UTC</p>",
        f"<p>It is in <code>{escape(str(export.folder))}</code></p>",
        _parity(export.parity) if export.parity else "",
        _losses(export),
        "".join(f'<p class="bs-soft">{escape(note)}</p>' for note in export.notes),
        gates(export.gates, export.failing),
    ]
    return f'<section class="bs-export">{"".join(parts)}</section>'


def _parity(found: Parity) -> str:
    rows = [
        ("Answers equal to the run's", f"{found.equal_answers} of {found.questions}"),
        ("Answers that part at two words as likely", str(found.ties)),
        ("Largest difference of a logit", f"{found.largest_difference:.2g} (allowed {found.tolerance:.2g})"),
    ]
    if found.effect is not None:
        rows.append(("Logits moved by rounding, and by the tuning", f"{found.error:.2g} and {found.effect:.2g}"))
    if found.as_trained:
        rows.append(("Answers equal to the run's on its 4-bit base", f"{found.as_trained.equal_answers}"))
    return _table(["Checked against the run", ""], [list(row) for row in rows])


def _losses(export: Export) -> str:
    if not export.losses:
        return ""
    caption = f'<p class="bs-soft">{escape(loss_caption(export.losses))}</p>'
    return _table(LOSS_HEADER, loss_rows(export.losses)) + caption


def _table(header: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    table = f'<table class="bs-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="bs-scroll">{table}</div>'
