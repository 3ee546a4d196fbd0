"""The Data page's words, tables and charts as HTML. All text that comes from a file is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from assistant.pages.data_charts import first_batch
from assistant.pages.data_preview import Marked
from assistant.pages.run_view import facts_list
from assistant.pages.style import badge, notice
from trainer.catalogue.datasets import DataSetRow
from trainer.data.inspection.first_batch import TokenView
from trainer.data.prepare import Data
from trainer.data.records import DataError, Fault
from trainer.data.survey import Survey
from trainer.data_sections import DataSection

_MOST_FAULTS = 12


def reading(name: str, text: str = "") -> str:
    """What stands on the page while something is being read."""
    told = f'<p class="bs-soft">{escape(text)}</p>' if text else ""
    return (
        f'<div class="bs-card"><div class="bs-row bs-head"><span class="bs-big">{escape(_short(name))}</span>'
        f"{badge('working', 'busy')}</div>{told}</div>"
    )


def licence(row: DataSetRow) -> str:
    """What a published set is and allows, before it is used."""
    rows = {"licence": row.licence, "rows": f"{row.rows:,}", "source": row.source}
    if row.megabytes:
        rows["to fetch"] = f"{row.megabytes:,.0f} MB"
    if row.download:
        rows["to be saved by hand"] = row.download
    restriction = notice("What it may be used for", [row.restriction()], "warn") if row.restriction() else ""
    return f'<div class="bs-card"><p>{escape(row.notes)}</p>{facts_list(rows)}</div>{restriction}'


def head(found: Survey, data: DataSection) -> str:
    """Name, licence, rows, and what has to be known before the data is used."""
    looked = f"{found.rows:,}" if found.complete else f"the first {found.rows:,}"
    facts = {
        "rows that can be used": looked,
        "rows that cannot": f"{len(found.faults):,}",
        "written as": (found.format or "a template").replace("_", " "),
        "licence": found.licence,
    }
    restriction = notice("What it may be used for", [found.restriction], "warn") if found.restriction else ""
    more = f" and {len(data.sources) - 1} more" if len(data.sources) > 1 else ""
    return (
        f'<div class="bs-card"><p class="bs-big">{escape(_short(found.name))}{more}</p>{facts_list(facts)}</div>'
        f"{restriction}"
    )


def found(survey: Survey) -> str:
    """By what the container and the format were recognised, and what each column was taken for."""
    evidence = "".join(f"<li>{escape(one)}</li>" for one in survey.evidence)
    rows = "".join(
        f"<tr><td>{escape(column)}</td><td>{escape(role)}</td></tr>" for column, role in survey.columns.items()
    )
    columns = f'<table class="bs-table"><tr><th>column</th><th>taken for</th></tr>{rows}</table>' if rows else ""
    others = ", ".join(one.replace("_", " ") for one in survey.other_formats)
    also = f'<p class="bs-soft">It could also be read as: {escape(others)}.</p>' if others else ""
    return (
        f'<div class="bs-card"><h3>How it was recognised</h3><ul class="bs-list">{evidence}</ul>{columns}{also}</div>'
    )


def rejected(faults: list[Fault]) -> str:
    """The rows that cannot be used, each with its place and its reason."""
    if not faults:
        return ""
    lines = [str(fault) for fault in faults[:_MOST_FAULTS]]
    if len(faults) > _MOST_FAULTS:
        lines.append(f"and {len(faults) - _MOST_FAULTS:,} more, in the file below")
    return notice("Rows that cannot be used; the others are kept", lines, "warn")


def spans(marked: Sequence[Marked], data: DataSection) -> str:
    """Texts with what identifies a person coloured, by kind."""
    counts: dict[str, int] = {}
    for one in marked:
        for span in one.spans:
            counts[span.kind] = counts.get(span.kind, 0) + 1
    told = ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in sorted(counts.items())) or "nothing found"
    note = ""
    if data.contains_phi is False:
        note = notice(
            "Not applied", ["It was stated that this data holds no patient data; nothing is taken out."], "warn"
        )
    elif data.deidentify == "off":
        note = notice("Switched off", [data.not_deidentified_because or "Give the reason above."], "warn")
    texts = "".join(f'<p class="bs-text">{_marked(one)}</p>' for one in marked)
    return (
        f'{note}<div class="bs-card" id="data-span-card"><h3>The first rows</h3><p class="bs-soft">{escape(told)}. '
        "Look for what was missed, and for clinical words that should stay: no method finds everything.</p>"
        f"{texts}</div>"
    )


def rendered(previews: Sequence[tuple[str, str] | str]) -> str:
    """The first records as a template writes them, or why it cannot."""
    shown = "".join(
        f'<div class="bs-sample"><p class="bs-soft">{escape(one)}</p></div>'
        if isinstance(one, str)
        else f'<div class="bs-sample"><q>{escape(one[0])}</q><p>{escape(one[1])}</p></div>'
        for one in previews
    )
    return f'<div class="bs-card" id="data-rendered-card"><h3>The first rows, as written</h3>{shown}</div>'


def prepared(data: Data, batch: list[TokenView] | DataError) -> str:
    """What was done step by step, the proof that the split is clean, and where the files are."""
    made = data.manifest
    rows = "".join(
        f"<tr><td>{escape(step.name)}</td><td>{step.rows_before:,} → {step.rows_after:,}</td>"
        f"<td>{escape(step.detail)}</td></tr>"
        for step in made.steps
    )
    removed = made.deidentification
    found_kinds = {kind.replace("_", " "): f"{count:,}" for kind, count in removed.found.items()}
    kinds = f"<h3>Taken out</h3>{facts_list(found_kinds)}" if found_kinds else ""
    sides = facts_list(
        {
            "to train on": f"{made.train_rows:,}",
            "for validation": f"{made.validation_rows:,}",
            "for the test": f"{made.test_rows:,}",
            "general rows mixed in": f"{made.replay_rows:,}",
        }
    )
    return (
        f'<div class="bs-stack"><div class="bs-card" id="data-prepared-card"><div class="bs-row bs-head">'
        f'<h3>Prepared</h3>{badge("nothing leaks", "good")}</div>{sides}<div class="bs-scroll" tabindex="0">'
        f'<table class="bs-table"><tr><th>step</th><th>rows</th><th></th></tr>{rows}</table></div>{kinds}'
        f'<h3>Proof of the split</h3><p class="bs-why">{escape(str(made.leakage))}</p>'
        f'<p class="bs-soft">In {escape(str(data.folder))}</p></div>'
        f"{notice('Worth knowing', [*removed.limits, *made.notes], 'warn')}"
        f"{first_batch(batch, 'The first batch, as it will be trained on')}</div>"
    )


def _marked(one: Marked) -> str:
    parts, at = [], 0
    for span in one.spans:
        kind = escape(span.kind.replace("_", " "))
        parts.append(escape(one.text[at : span.start]))
        parts.append(f'<mark class="bs-found">{escape(one.text[span.start : span.end])}<small>{kind}</small></mark>')
        at = span.end
    return "".join([*parts, escape(one.text[at:])])


def _short(name: str) -> str:
    return name.rsplit("/", 1)[-1] if name.startswith(("/", "~", ".")) else name
