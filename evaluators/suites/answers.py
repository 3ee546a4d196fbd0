"""Answers to one's own questions against a reference: exact where references are short, else by overlap."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from evaluators.calibration import Bin, ece, stated
from evaluators.calibration import reliability as bins
from evaluators.cases import Case, Item, Progress, Respondent, silent
from evaluators.metrics import exact_match, majority_share, named_label
from evaluators.overlap import EncoderMissing, bleu, rouge_l, similarities, similarity
from evaluators.scores import Score, mean

TITLE = "Answers"
MOST_TOKENS = 192
SHORT = 12
"""Words: where half of the references have no more, an answer is right or wrong as a whole."""
_LABEL, _EXACT = "label", "exact match"


def ask(items: Sequence[Item], respondent: Respondent, progress: Progress = silent) -> list[Case]:
    """Put questions to a respondent; of short references, or classes (`options`), a case is right or wrong."""
    answers = respondent.answer([item.prompt for item in items], answer_tokens(items, MOST_TOKENS), progress)
    by_label = all(item.options and item.answer is not None for item in items)
    short = by_label or median([len(item.reference.split()) for item in items] or [0]) <= SHORT
    alike = likeness(answers, [item.reference for item in items])
    cases = []
    for item, answer, known in zip(items, answers, alike, strict=True):
        right = None
        values: dict[str, float | list[float]] = dict(known)
        if by_label and item.answer is not None:
            right = named_label(answer, item.options) == item.options[item.answer]
        elif short:
            right = exact_match(answer, item.reference)
        if right is not None:
            values[_LABEL if by_label else _EXACT] = float(right)
        sure = stated(answer)
        if sure is not None:
            values["stated"] = sure
        cases.append(Case.of(item, answer, reference=item.reference, right=right, values=values))
    return cases


def scores(cases: Sequence[Case]) -> list[Score]:
    """Share right (main, where that can be said), ROUGE-L, embedding similarity, BLEU-4, calibration where stated."""
    units = [case.source for case in cases]
    found = overlap(cases)
    if any(case.right is None for case in cases):
        return found
    by_label = any(_LABEL in case.values for case in cases)
    references = [case.reference for case in cases]
    commonest = f"Always giving the commonest answer gets {majority_share(references):.1%}." if cases else ""
    name, note = ("Right class named", "") if by_label else ("Exact match", commonest)
    right = mean(name, [float(bool(case.right)) for case in cases], units, note=note)
    sure = [case.number("stated") for case in cases]
    return [right, *found, ece(sure, [case.right for case in cases], units)]


def reliability(cases: Sequence[Case]) -> list[Bin]:
    """Stated confidence against how often the answer is right, for a plot; empty bins where that cannot be said."""
    known = [case for case in cases if case.right is not None]
    return bins([case.number("stated") for case in known], [case.right for case in known])


def overlap(cases: Sequence[Case]) -> list[Score]:
    """ROUGE-L, embedding similarity and BLEU-4 of the cases' answers with their references."""
    units = [case.source for case in cases]
    answers, references = [case.answer for case in cases], [case.reference for case in cases]
    near = [case.number("similarity") for case in cases]
    return [rouge_l(answers, references, units), similarity(near, units), bleu(answers, references, units)]


def likeness(answers: Sequence[str], references: Sequence[str]) -> list[dict[str, float]]:
    """The embedding similarity of each answer with its reference, kept since it needs the encoder; else nothing."""
    try:
        return [{"similarity": one} for one in similarities(answers, references)]
    except EncoderMissing:
        # Its measure then has no value and n = 0; the other metrics do without.
        return [{} for _ in answers]


def answer_tokens(items: Sequence[Item], most: int) -> int:
    """A limit for answers: room for the longest reference at three characters a token and a little more, or `most`."""
    longest = max((len(item.reference) for item in items), default=0)
    return min(most, longest // 3 + 32)
