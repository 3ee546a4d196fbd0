"""An inspection as lines for a terminal."""

from __future__ import annotations

import textwrap

from trainer.data.inspection.balance import ClassMix
from trainer.data.inspection.findings import Inspection

_NAMED = 6
_WIDTH = 116


def summary_lines(found: Inspection) -> list[str]:
    """A compact table: one line for each thing that was looked at, then the warnings."""
    kinds = ", ".join(f"{rows:,} {kind}" for kind, rows in found.kinds.items())
    lines = [_line("rows", f"{found.rows:,} ({kinds})" if kinds else "0")]
    if found.tokens:
        limit = f"; {found.too_long:,} over {found.max_length}" if found.max_length is not None else ""
        lines.append(
            _line(
                "tokens",
                f"mean {found.tokens.mean:.0f}, median {found.tokens.p50}, 95 % {found.tokens.p95}, 98 % "
                f"{found.tokens.p98}, longest {found.tokens.longest}{limit}",
            )
        )
    if found.answer_tokens and found.answer_range:
        counted, share = found.answer_tokens.rows, found.answer_range
        lines.append(
            _line(
                "answers",
                f"mean {found.answer_tokens.mean:.0f} tokens; under 150: {share.below / counted:.0%}, 150 to 300: "
                f"{share.within / counted:.0%}, over 300: {share.above / counted:.0%} (lecture: 150 to 300)",
            )
        )
    if found.answer_words:
        lines.append(_line("", f"mean {found.answer_words.mean:.0f} words, longest {found.answer_words.longest}"))
    lines += [_line(name, _mix(getattr(found, name))) for name in ("specialty", "task", "language", "level")]
    if found.label.classes:
        lines.append(_line("label", _mix(found.label)))
    if found.lecture_mix:
        shares = ", ".join(
            f"{one.task.replace('_', ' ')} {one.share:.0%} ({one.lecture:.0%})" for one in found.lecture_mix
        )
        lines.append(_line("mix", f"{shares}; in brackets the lecture's (L2.2)"))
    twice = found.contradicting
    if found.doubled:
        lines.append(_line("twice", f"{found.doubled:,} rows"))
    lines += [
        _line(
            "two answers", f"{twice['class']:,} decisions, {twice['numbers']:,} numbers, {twice['text']:,} free texts"
        ),
        _line("structured", f"{found.structured / max(1, found.rows):.0%} of the answers (lecture L2.4)"),
        _line("validated", f"{found.validated_rate:.0%} by an expert (lecture: 85 to 95 %)"),
    ]
    told = ", ".join(f"{name} of {rows:,}" for name, rows in found.assigned.items() if rows)
    if told:
        lines.append(_line("told", f"{told} rows from the text, not by the file"))
    lines = [part for line in lines for part in textwrap.wrap(line, _WIDTH, subsequent_indent=" " * 15)]
    for warning in found.warnings:
        lines += textwrap.wrap(warning, _WIDTH, initial_indent="  ! ", subsequent_indent="    ")
    return lines


def _line(name: str, value: str) -> str:
    return f"  {name:12} {value}".rstrip()


def _mix(mix: ClassMix) -> str:
    if not mix.classes:
        return "unknown"
    named = ", ".join(f"{one.name.replace('_', ' ')} {one.share:.0%}" for one in mix.listed[:_NAMED])
    more = f", {mix.classes - _NAMED} more" if mix.classes > _NAMED else ""
    unknown = f"; unknown in {mix.unknown:,} rows" if mix.unknown else ""
    return f"{named}{more}{unknown}"
