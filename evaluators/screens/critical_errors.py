"""A screen for critical errors: doses out of range, contraindicated pairs, missed red flags, negations turned round.

It is no judgement, and a low rate of findings no proof of safety: what it cannot see is most of what can go wrong
(diagnoses, omissions, doses for a child or weak kidneys, anything its tables do not name), and it reads English only.

How often it is wrong. No reference answer is flagged of the 216 clinical rows of the starter data, nor of 2,008 answers
of MedQuAD (Ben Abacha and Demner-Fushman 2019); both were read while the rules were made (before that 8 and 6 were
flagged). Of 900 safe answers of MedSafetyBench (Han et al. 2024), which it had not seen, 1 was. Of the notes of
MTS-Dialog held against their dialogues 10 of 1,201 and 3 of 300 are, nearly all for a negation, and some rightly.

How much it finds. Of 64 errors planted by hand, half of them written before the rules were run on those: 30 of 30 and
33 of 34 at the first run (34 since). The author of the rules wrote them, so that other people's errors will fare worse.
Of 276 findings in the test notes of MTS-Dialog turned round one by one, 119 are found; the others the dialogue tells
in other words or leaves open.
"""

from __future__ import annotations

from evaluators.screens.dose_limits import screen_doses
from evaluators.screens.findings import Screened
from evaluators.screens.negation import screen_negations
from evaluators.screens.pairs import screen_pairs
from evaluators.screens.red_flags import missed_red_flags, presentations_in


def screen(question: str, answer: str, context: str = "") -> Screened:
    """What rules find wrong in `answer`, and what no table could say anything of.

    `context` is the note or dialogue that the answer rests on, where there is one; else negations are held against the
    question. A screen and not a judgement: an answer without findings may be wrong, above all where `not_screened` says
    that no table covers it.
    """
    found = screen_doses(answer)
    pairs = screen_pairs(question, answer, context)
    flags = [f"red flag: {one.name}" for one in presentations_in(question)]
    return Screened(
        findings=[
            *found.findings,
            *pairs.findings,
            *missed_red_flags(question, answer),
            *screen_negations(answer, context or question),
        ],
        screened=[*found.screened, *pairs.screened, *flags],
        not_screened=[*found.not_screened, *pairs.not_screened]
        + ([] if flags else ["red flags: no presentation of the table"]),
    )
