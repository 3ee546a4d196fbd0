"""Multiple choice, by the likelihood of each option's letter and by the answer that the model writes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from string import ascii_uppercase

from evaluators.calibration import Bin, brier, confidence, ece, stated
from evaluators.calibration import reliability as bins
from evaluators.cases import Case, Item, Messages, Progress, Respondent, silent
from evaluators.classification import accuracy, macro_accuracy
from evaluators.scores import Score, mean

TITLE = "Multiple choice"
ANSWER_TOKENS = 24
"""Of the written answer: a letter and its option. One that reasons at length first counts as settling on none."""
# A and I are words too: "the answer is A patient" names no option.
_LETTER = r"(?:[B-HJ]\b(?!['’])|[AI]\b(?!['’]|\s+(?!because|since|as|for|due)[a-z]))"
_SAID = re.compile(rf"(?i:\b(?:answer|option|choice)(?:\s+(?:is|would be|must be)|\s*:))[\s:*(\[\"“]*({_LETTER})")
_FIRST = re.compile(r"[\s*(\[\"“]*([A-J])(?:[.):,\]*\"”]|\s*$|\s*\n)")


def lettered(item: Item) -> Messages:
    """The item's conversation with its options as lettered lines below the question, as training rows have them."""
    listed = "\n".join(_shown(item))
    return item.asking(f"{item.question}\n\n{listed}\n\nAnswer with the letter of the one best option.").prompt


def choose(items: Sequence[Item], respondent: Respondent, progress: Progress = silent) -> list[list[float]]:
    """For each item, the log-likelihood (nats) of each option's letter as the reply; the largest is the choice."""
    replies = [ascii_uppercase[: len(item.options)] for item in items]
    found = respondent.likelihoods([lettered(item) for item in items], replies, progress)
    return [[one.total for one in each] for each in found]


def settled(answer: str, options: Sequence[str]) -> int | None:
    """The option on which a written answer settles, or None where it settles on none of them or on several.

    The letter that it last says is the answer ("the answer is (B)"); else the letter that it begins with ("B." or "B"
    alone); else the one option whose text it names. A copy of the question names them all and settles on none.
    """
    letters = ascii_uppercase[: len(options)]
    said = [letter for letter in _SAID.findall(answer) if letter in letters]
    if said:
        return letters.index(said[-1])
    first = _FIRST.match(answer)
    if first and first[1] in letters:
        return letters.index(first[1])
    # The longest first, so that "viral pneumonia" is not also "pneumonia".
    longest = sorted(options, key=len, reverse=True)
    named = re.findall("|".join(rf"(?<!\w){re.escape(one)}(?!\w)" for one in longest), answer, flags=re.IGNORECASE)
    found = {one.lower() for one in named}
    lowered = [option.lower() for option in options]
    return lowered.index(found.pop()) if len(found) == 1 else None


def ask(items: Sequence[Item], respondent: Respondent, progress: Progress = silent) -> list[Case]:
    """Put questions with options to a respondent in both ways; a case is right where the likeliest letter is."""
    total = 2 * len(items)
    chosen = choose(items, respondent, lambda done, _: progress(done, total))
    written = respondent.answer(
        [lettered(item) for item in items], ANSWER_TOKENS, lambda done, _: progress(len(items) + done, total)
    )
    cases = []
    for item, likelihoods, answer in zip(items, chosen, written, strict=True):
        own = settled(answer, item.options)
        sure = stated(answer)
        values: dict[str, float | list[float]] = {"settled": -1.0 if own is None else float(own)}
        case = chosen_case(item, likelihoods, _shown(item), answer)
        if sure is not None:
            values["stated"] = sure
        said = "no option" if own is None else ascii_uppercase[own]
        case.remarks.append(f"the written answer settles on {said}")
        cases.append(case.model_copy(update={"values": case.values | values}))
    return cases


def scores(cases: Sequence[Case]) -> list[Score]:
    """Accuracy by likelihood (main), its mean over groups, of the written answer; calibration of both."""
    units = [case.source for case in cases]
    right = [bool(case.right) for case in cases]
    own = [case.number("settled") for case in cases]
    written = [answer == case.number("key") for answer, case in zip(own, cases, strict=True)]
    found = [replace(accuracy(right, units), name="Accuracy by likelihood", note=guessing(cases))]
    groups = [case.group for case in cases]
    if len(set(groups)) > 1:
        found.append(macro_accuracy(right, groups, units))
    said = [case.number("stated") for case in cases]
    stating = sum(one is not None for one in said)
    of_stated = ece(said, written, units)
    return [
        *found,
        replace(accuracy(written, units), name="Accuracy of the written answer", note="An unclear answer is wrong."),
        mean("Written answers that settle on no option", [float(one == -1) for one in own], units, "share", False),
        *calibration(cases),
        replace(
            of_stated,
            name=f"{of_stated.name}, stated",
            note=f"Of the {stating} written answers that state a confidence. {of_stated.note}",
        ),
    ]


def reliability(cases: Sequence[Case]) -> list[Bin]:
    """Confidence in the likeliest option against how often it is right, for a plot."""
    return bins([_sure(case) for case in cases], [case.right for case in cases])


def chosen_case(item: Item, likelihoods: list[float], names: Sequence[str], answer: str | None = None) -> Case:
    """An item with options as a case, from the log-likelihood of each; right where the largest is the key's.

    `names` are the options as they are shown; without an `answer` the likeliest one is it.
    """
    if item.answer is None:
        raise ValueError(f"{item.id} has no key; give the index of the right option")
    choice = likeliest(likelihoods)
    return Case.of(
        item,
        names[choice] if answer is None else answer,
        reference=names[item.answer],
        right=choice == item.answer,
        values={"likelihoods": likelihoods, "key": float(item.answer)},
        remarks=[f"the likeliest is {names[choice]} ({confidence(likelihoods)[choice]:.0%})"],
    )


def likeliest(likelihoods: Sequence[float]) -> int:
    """The index of the largest, the first of equal ones."""
    return max(range(len(likelihoods)), key=lambda index: likelihoods[index])


def calibration(cases: Sequence[Case]) -> list[Score]:
    """ECE with 15 bins, and Brier score, of the confidence in the likeliest option: the softmax of likelihoods."""
    units = [case.source for case in cases]
    sure, right = [_sure(case) for case in cases], [case.right for case in cases]
    return [ece(sure, right, units), brier(sure, right, units)]


def guessing(cases: Sequence[Case]) -> str:
    """What guessing, and always giving the commonest key (a letter, a label), would score, in a sentence."""
    if not cases:
        return ""
    # Of "B. Aspirin" the letter.
    key, count = Counter(case.reference.partition(". ")[0] for case in cases).most_common(1)[0]
    return f"Guessing gets {chance(cases):.1%}, always {key} gets {count / len(cases):.1%}."


def chance(cases: Sequence[Case]) -> float:
    """What guessing would score: the mean of 1 / options."""
    return sum(1 / len(_likelihoods(case)) for case in cases) / len(cases)


def _shown(item: Item) -> list[str]:
    return [f"{letter}. {option}" for letter, option in zip(ascii_uppercase, item.options, strict=False)]


def _likelihoods(case: Case) -> list[float]:
    found = case.values["likelihoods"]
    assert isinstance(found, list)
    return found


def _sure(case: Case) -> float:
    return max(confidence(_likelihoods(case)))
