"""Dialogue to note: how near the written note comes to the clinician's, and what in it the dialogue does not say."""

from __future__ import annotations

from collections.abc import Sequence

from evaluators.cases import Case, Item, Progress, Respondent, silent
from evaluators.scores import Score, mean
from evaluators.screens.hallucination import unsupported
from evaluators.suites.answers import answer_tokens, likeness, overlap

TITLE = "Summarisation"
MOST_TOKENS = 128


def ask(items: Sequence[Item], respondent: Respondent, progress: Progress = silent) -> list[Case]:
    """Ask for the note of each dialogue (`context`); a case names what its note says and the dialogue does not."""
    answers = respondent.answer([item.prompt for item in items], answer_tokens(items, MOST_TOKENS), progress)
    alike = likeness(answers, [item.reference for item in items])
    cases = []
    for item, answer, known in zip(items, answers, alike, strict=True):
        findings = unsupported(answer, item.context)
        values = {**known, "unsupported": float(bool(findings)), "length": _off(answer, item.reference)}
        remarks = [str(finding) for finding in findings]
        cases.append(Case.of(item, answer, reference=item.reference, values=values, remarks=remarks))
    return cases


def scores(cases: Sequence[Case]) -> list[Score]:
    """ROUGE-L (main), embedding similarity, BLEU-4, notes with something unsupported, and how far off their length."""
    units = [case.source for case in cases]
    written, wanted = (sum(map(_words, texts)) for texts in (_answers(cases), [case.reference for case in cases]))
    ratio = f"Together the notes have {written / wanted:.2f} times the words of the references." if wanted else ""
    screen = "A screen by rules and no judgement: numbers, drugs and conditions that the dialogue does not have."
    return [
        *overlap(cases),
        mean(
            "Notes with something unsupported",
            [case.number("unsupported") for case in cases],
            units,
            "share",
            False,
            screen,
        ),
        mean("Length off the reference's", [case.number("length") for case in cases], units, "number", False, ratio),
    ]


def _off(answer: str, reference: str) -> float:
    """|words - reference's words| / reference's words: 0 is the same length, 1 none at all or twice as long."""
    return abs(_words(answer) - _words(reference)) / max(1, _words(reference))


def _words(text: str) -> int:
    return len(text.split())


def _answers(cases: Sequence[Case]) -> list[str]:
    return [case.answer for case in cases]
