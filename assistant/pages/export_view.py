"""What an export's part of the Release page says of one, as HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from assistant.pages.style import badge

if TYPE_CHECKING:
    from trainer.export.parity import Parity
    from trainer.export.record import Export

WHAT = {
    "merged": "A plain model, for any tool (safetensors)",
    "gguf": "One file for a laptop (GGUF, 8 bits)",
    "ollama": "For Ollama (GGUF with its settings)",
    "adapter": "What was trained, alone (adapter)",
}
"""The formats, in words; in the order in which they are offered."""
_TITLES = {"merged": "Plain model", "gguf": "GGUF", "ollama": "For Ollama", "adapter": "Adapter alone"}


def exported(found: list[Export]) -> str:
    """All exports of a run, the newest first and open."""
    return "".join(_one(export, opened=number == 0) for number, export in enumerate(found))


def gates(sentence: str, failing: list[str]) -> str:
    """What the release gates say of what would be exported; a gate that fails warns and does not forbid."""
    lines = "".join(f"<li>{escape(one)}</li>" for one in failing)
    listed = f"<ul>{lines}</ul><p>It can be exported for research; its card says so too.</p>" if failing else ""
    tone = "warn" if failing else "quiet"
    return f'<div class="bs-notice bs-{tone}" role="status">{escape(sentence)}{listed}</div>'


def _one(export: Export, opened: bool) -> str:
    checked = badge("answers as the run does", "good") if export.parity else badge("not checked", "warn")
    size = sum(file.bytes for file in export.files) / 1e6
    facts = [
        f"{export.model} · {size:,.0f} MB · {export.created[:16].replace('T', ' ')} UTC",
        *([f"Adapter {export.adapter}"] if export.adapter else []),
        export.gates,
    ]
    parts = [
        "".join(f'<p class="bs-soft">{escape(fact)}</p>' for fact in facts),
        f"<p>It is in <code>{escape(str(export.folder))}</code></p>",
        _parity(export.parity) if export.parity else "",
        _losses(export),
        "".join(f'<p class="bs-soft">{escape(note)}</p>' for note in export.notes),
        gates("When it was exported, these gates failed:", export.failing) if export.failing else "",
    ]
    title = f"<strong>{_TITLES[export.what]}</strong> {checked}"
    return (
        f'<details class="bs-section"{" open" if opened else ""}><summary>{title}</summary>{"".join(parts)}</details>'
    )


def _parity(found: Parity) -> str:
    rows = [
        ["Answers equal to the run's", f"{found.equal_answers} of {found.questions}"],
        ["Answers that part at two words that were as likely", str(found.ties)],
        [
            "Largest difference of a next word's score (logit)",
            f"{found.largest_difference:.2g} (allowed {found.tolerance:.2g})",
        ],
    ]
    if found.effect is not None:
        rows.append(["Scores moved by the tuning, and by the export", f"{found.effect:.2g} and {found.error:.2g}"])
    if found.as_trained:
        rows.append(["Answers equal to the run's on its 4-bit base", str(found.as_trained.equal_answers)])
    return _table(["Checked against the run", ""], rows)


def _losses(export: Export) -> str:
    if not export.losses:
        return ""
    # What it speaks of loads a model library; a page that is only opened needs none.
    from assistant.export_words import LOSS_HEADER, loss_caption, loss_rows

    caption = f'<p class="bs-soft">{escape(loss_caption(export.losses))}</p>'
    return _table(LOSS_HEADER, loss_rows(export.losses)) + caption


def _table(header: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr><td>{escape(first)}</td>{''.join(_cell(one) for one in rest)}</tr>" for first, *rest in rows)
    table = f'<table class="bs-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="bs-scroll" tabindex="0">{table}</div>'


def _cell(text: str) -> str:
    return f'<td class="bs-short">{escape(text)}</td>'
