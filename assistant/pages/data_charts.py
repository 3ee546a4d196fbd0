"""What a look at the rows found, as charts and cards: lengths, mix, imbalance, contradictions, the first batch."""

from __future__ import annotations

from html import escape

from assistant.pages.run_view import facts_list
from assistant.pages.style import badge, notice
from trainer.data.inspection.balance import ClassMix
from trainer.data.inspection.findings import LECTURE_ANSWER, LECTURE_VALIDATED, Inspection
from trainer.data.inspection.first_batch import TokenView
from trainer.data.inspection.lengths import Lengths
from trainer.data.records import DataError
from trainer.data.survey import NearDuplicates, Survey
from trainer.data_sections import DataSection

_MOST_BARS = 8
_MIXES = (
    ("specialty", "Specialty"),
    ("task", "Task"),
    ("language", "Language"),
    ("level", "Level"),
    ("label", "Label"),
)
_HOW = {"class": "class", "numbers": "number", "text": "text"}


def see(found: Survey, data: DataSection, batch: list[TokenView] | DataError) -> str:
    """Everything that was found: warnings first, then charts, then the first batch as the model sees it."""
    seen = found.inspection
    parts = [
        notice("Worth mending", seen.warnings, "warn"),
        _lengths_card(seen),
        _mix_card(seen),
        _lecture_card(seen),
        _balance_card(seen, data),
        _questions_card(seen),
        _near_duplicates_card(found.near_duplicates),
        first_batch(batch, "The first batch, as the model sees it, before anything is taken out"),
    ]
    return f'<div class="bs-stack">{"".join(parts)}</div>'


def _lengths_card(seen: Inspection) -> str:
    if not seen.tokens or not seen.answer_tokens or not seen.answer_range:
        return ""
    counted, low_high = seen.answer_tokens.rows, seen.answer_range
    low, high = LECTURE_ANSWER
    facts = {
        "tokens a row, mean": f"{seen.tokens.mean:.0f}",
        "98 % are within": f"{seen.tokens.p98:,}",
        "longest": f"{seen.tokens.longest:,}",
        f"over the limit of {seen.max_length:,}": f"{seen.too_long:,}",
    }
    answers = {
        f"under {low} tokens": f"{low_high.below / counted:.0%}",
        f"{low} to {high} (lecture L2.2)": f"{low_high.within / counted:.0%}",
        f"over {high}": f"{low_high.above / counted:.0%}",
    }
    return (
        f'<div class="bs-card"><h3>Length of a row, in tokens</h3>{_histogram(seen.tokens, seen.max_length)}'
        f"{facts_list(facts)}<h3>Length of an answer</h3>{_histogram(seen.answer_tokens, None)}"
        f"{facts_list(answers)}</div>"
    )


def _histogram(found: Lengths, limit: int | None) -> str:
    """Columns of the bins, those over the limit in another colour; each says its rows when pointed at."""
    most = max(one.rows for one in found.histogram)
    columns = "".join(
        f'<i class="{"bs-over" if limit and one.low >= limit else ""}" title="{one.low:,} to {one.high - 1:,} tokens: '
        f'{one.rows:,} rows" style="height:{100 * one.rows / most:.0f}%"></i>'
        for one in found.histogram
    )
    last = found.histogram[-1].high
    label = f"Histogram: half of the rows are within {found.p50:,} tokens, the longest has {found.longest:,}"
    return (
        f'<div class="bs-hist" role="img" aria-label="{label}">{columns}</div>'
        f'<div class="bs-row bs-soft"><span>0</span><span>{last // 2:,}</span><span>{last:,}</span></div>'
    )


def _mix_card(seen: Inspection) -> str:
    parts = []
    for name, title in _MIXES:
        mix: ClassMix = getattr(seen, name)
        if mix.classes:
            told = seen.assigned.get(name, 0)
            under = f"told from the text in {told:,} rows" if told else "as given"
            if mix.unknown:
                under += f"; not known in {mix.unknown:,}"
            parts.append(f"<div><h3>{title}</h3>{_bars(mix)}<p class='bs-soft'>{under}</p></div>")
    method = f'<details class="bs-defaults"><summary>How it is told</summary><p>{escape(seen.method)}</p></details>'
    return f'<div class="bs-card"><div class="bs-mixes">{"".join(parts)}</div>{method}</div>'


def _bars(mix: ClassMix) -> str:
    shown = mix.listed[:_MOST_BARS]
    bars = "".join(
        f"<li><span>{escape(one.name.replace('_', ' '))}</span><i>"
        f'<b style="width:{100 * one.share / shown[0].share:.0f}%"></b></i><em>{one.share:.0%}</em></li>'
        for one in shown
    )
    more = f"<li><span>{mix.classes - _MOST_BARS} more</span></li>" if mix.classes > _MOST_BARS else ""
    return f'<ul class="bs-bars">{bars}{more}</ul>'


def _lecture_card(seen: Inspection) -> str:
    low, high = LECTURE_VALIDATED
    facts = {
        f"{one.task.replace('_', ' ')} (lecture: {one.lecture:.0%})": f"{one.share:.0%}" for one in seen.lecture_mix
    }
    validated = f"{seen.validated_rate:.0%} ({seen.validated:,} rows)"
    facts |= {
        f"checked by an expert (lecture: {low:.0%} to {high:.0%})": validated,
        "answers in the taught structure (lecture L2.4)": f"{seen.structured / seen.rows:.0%}",
        "specialties (lecture: 50 and more)": f"{seen.specialty.classes}",
    }
    return f'<div class="bs-card"><h3>Beside the lecture (L2.2)</h3>{facts_list(facts)}</div>'


def _balance_card(seen: Inspection, data: DataSection) -> str:
    lines = []
    for name, effect in seen.balance.items():
        chosen = badge("chosen", "good") if data.balance == name else ""
        weights = ", ".join(f"{label} {weight:.2g}" for label, weight in list(effect.weights.items())[:_MOST_BARS])
        lines.append(
            f'<div class="bs-sample"><div class="bs-row"><q>By {name}</q>{chosen}</div><p>{escape(effect.sentence)}</p>'
            f'<p class="bs-soft">Weights in the loss that would do the same: {escape(weights)}</p></div>'
        )
    if not lines:
        return ""
    return (
        '<div class="bs-card"><h3>Imbalance (lecture L3.20)</h3><p class="bs-soft">Repeating rare rows is chosen under '
        f"“Split”.</p>{''.join(lines)}</div>"
    )


def _questions_card(seen: Inspection) -> str:
    lines = [
        f'<div class="bs-sample"><q>{escape(one.question)}</q><p class="bs-soft">{escape(one.first)} against '
        f"{escape(one.again)}: another {_HOW[one.how]}</p></div>"
        for one in seen.contradictions[:_MOST_BARS]
    ]
    if not lines:
        return ""
    return f'<div class="bs-card"><h3>One question, several answers</h3>{"".join(lines)}</div>'


def _near_duplicates_card(found: NearDuplicates) -> str:
    if not found.groups:
        return ""
    lines = "".join(f"<li>{escape(', '.join(places))}</li>" for places in found.first)
    return (
        f'<div class="bs-card"><h3>Near-duplicates</h3><p class="bs-soft">{found.rows:,} rows in {found.groups:,} '
        "groups say nearly the same; each group stays on one side of the split. The first:</p>"
        f'<ul class="bs-list">{lines}</ul></div>'
    )


def first_batch(batch: list[TokenView] | DataError, title: str) -> str:
    """Rows as tokens in the real chat template, what is trained marked; or why nothing would be trained."""
    if isinstance(batch, DataError):
        return notice("Nothing would be trained", [str(batch)])
    rows = "".join(
        f'<p class="bs-soft">{escape(one.place)}: {one.trained_tokens} of {one.all_tokens} tokens are trained'
        f"{f', {one.cut_tokens} are cut off' if one.cut_tokens else ''}</p>"
        f'<p class="bs-text">{"".join(_run(run.text, run.trained) for run in one.runs)}</p>'
        for one in batch
    )
    return (
        f'<div class="bs-card bs-batch"><h3>{title}</h3><p class="bs-soft">In the '
        'embedded model\'s own chat template; <mark class="bs-trained">what is trained</mark> is marked.</p>'
        f"{rows}</div>"
    )


def _run(text: str, trained: bool) -> str:
    return f'<mark class="bs-trained">{escape(text)}</mark>' if trained else escape(text)
