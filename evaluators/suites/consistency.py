"""Is a question answered the same in all its variants that keep its meaning (lecture L3.7, L3.15)?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

from evaluators import overlap
from evaluators.attacks.cases import KINDS
from evaluators.cases import Case, Item, Progress, Respondent, silent
from evaluators.consistency import ALIKE, Embed
from evaluators.scores import Score, mean
from evaluators.suites.replies import replies, same_replies

TITLE = "Consistency"
_SAME, _EARLIER = "same as the source's", "same as earlier ones"


def ask(
    items: Sequence[Item], respondent: Respondent, progress: Progress = silent, embed: Embed = overlap.embed
) -> list[Case]:
    """Put source questions and variants (`make_cases`) to a respondent; a variant is right where its answer stays.

    Variants of kinds that do not keep the meaning are left out. Raises `ValueError` for a variant whose source is not
    among the items, and `EncoderMissing` where free answers have to be compared and no encoder can be had.
    """
    items = [item for item in items if not item.how or item.group not in KINDS or KINDS[item.group].preserves]
    answered = replies(items, respondent, progress)
    of_source: dict[str, list[int]] = defaultdict(list)
    # the source's own answer first: it is what its variants are compared with
    for number in sorted(range(len(items)), key=lambda number: items[number].how != ""):
        of_source[items[number].unit].append(number)
    pairs = [pair for numbers in of_source.values() for pair in combinations(numbers, 2)]
    first, second = [answered[one] for one, _ in pairs], [answered[other] for _, other in pairs]
    same: dict[int, list[float]] = defaultdict(list)
    for (_, number), alike in zip(pairs, same_replies(first, second, embed), strict=True):
        same[number].append(float(alike))
    values: dict[int, dict[str, float | list[float]]] = {
        number: {_SAME: earlier[0], _EARLIER: earlier} for number, earlier in same.items()
    }
    return [
        Case.of(
            item,
            answered[number].text,
            reference=answered[of_source[item.unit][0]].text,
            right=bool(values[number][_SAME]) if number in values else None,
            values=values.get(number, {}),
        )
        for number, item in enumerate(items)
    ]


def scores(cases: Sequence[Case]) -> list[Score]:
    """Share of source questions with the same answer in all variants (main), and the mean over pairs of answers.

    A source question without variants says nothing and is left out.
    """
    of_source: dict[str, list[Case]] = {}
    for case in cases:
        of_source.setdefault(case.source, []).append(case)
    units = list(of_source)
    strict: list[float | None] = []
    pairwise: list[float | None] = []
    for own in of_source.values():
        kept = [same for case in own if (same := case.number(_SAME)) is not None]
        pairs = [one for case in own for one in _listed(case)]
        strict.append(min(kept) if kept else None)
        pairwise.append(sum(pairs) / len(pairs) if pairs else None)
    variants = sum(case.number(_SAME) is not None for case in cases)
    note = f"Over {variants:,} variants. The same: option, class or short answer; free text with a cosine of at least "
    note += f"{ALIKE}, equal numbers and as many negations."
    return [
        mean("Same answer in all variants", strict, units, note=note),
        mean("Same answer, mean over pairs", pairwise, units, scale="score"),
    ]


def _listed(case: Case) -> list[float]:
    value = case.values.get(_EARLIER, [])
    return value if isinstance(value, list) else [value]
