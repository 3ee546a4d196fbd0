"""Structured clinical answers (lecture L2.4): taught labels, stated confidence, and screens for critical errors."""

from __future__ import annotations

from collections.abc import Sequence

from evaluators.calibration import stated
from evaluators.cases import Case, Item, Progress, Respondent, silent
from evaluators.metrics import has_structure
from evaluators.scores import Score, mean
from evaluators.screens.critical_errors import screen
from evaluators.screens.readability import read
from evaluators.suites.answers import answer_tokens, likeness, overlap

TITLE = "Structured clinical answers"
MOST_TOKENS = 320
PATIENT_EDUCATION = "patient education"
"""The group whose answers are for patients, so that they are looked at for how easily they read."""


def ask(items: Sequence[Item], respondent: Respondent, progress: Progress = silent) -> list[Case]:
    """Put clinical questions to a respondent; a case is right where its answer has the taught structure."""
    answers = respondent.answer([item.prompt for item in items], answer_tokens(items, MOST_TOKENS), progress)
    alike = likeness(answers, [item.reference for item in items])
    cases = []
    for item, answer, known in zip(items, answers, alike, strict=True):
        screened = screen(item.question, answer, item.context)
        values: dict[str, float | list[float]] = {
            **known,
            "screened": float(len(screened.screened)),
            "not screened": float(len(screened.not_screened)),
            "error": float(bool(screened.findings)),
        }
        sure = stated(answer)
        if sure is not None:
            values["stated"] = sure
        readable = read(answer) if item.group == PATIENT_EDUCATION else None
        if readable is not None:
            values |= {"grade": readable.grade, "ease": readable.reading_ease}
        remarks = [*map(str, screened.findings), *(f"not screened: {one}" for one in screened.not_screened)]
        right = has_structure(answer)
        cases.append(Case.of(item, answer, reference=item.reference, right=right, values=values, remarks=remarks))
    return cases


def scores(cases: Sequence[Case]) -> list[Score]:
    """Share with the structure (main), critical errors, stated confidence, overlap, readability for patients."""
    units = [case.source for case in cases]

    def values(name: str) -> list[float | None]:
        return [case.number(name) for case in cases]

    sure = values("stated")
    return [
        mean("Answers in the taught structure", [float(bool(case.right)) for case in cases], units),
        critical_errors(cases),
        mean("Answers that state a confidence", [float(one is not None) for one in sure], units),
        mean(
            "Confidence where stated",
            sure,
            units,
            "number",
            note="High 0.8, moderate 0.5, low 0.2; not compared with right.",
        ),
        *overlap(cases),
        mean(
            "Reading grade for patients", values("grade"), units, "number", False, "Years of school (Flesch-Kincaid)."
        ),
        mean("Reading ease for patients", values("ease"), units, "number", note="Flesch; 60 to 70 is plain English."),
    ]


def critical_errors(cases: Sequence[Case]) -> Score:
    """Share of answers with a critical error by the screen, of those in which it could see anything at all."""
    seen, unseen = (sum(case.number(name) or 0 for case in cases) for name in ("screened", "not screened"))
    looked_at = [bool(case.number("screened") or case.number("error")) for case in cases]
    note = (
        f"A screen by rules and no judgement. It could look at something in {sum(looked_at)} of {len(cases)} answers "
        f"({seen:.0f} things screened); {unseen:.0f} more were not screened."
    )
    found = [case.number("error") if looked else None for case, looked in zip(cases, looked_at, strict=True)]
    return mean("critical errors", found, [case.source for case in cases], "share", False, note)
