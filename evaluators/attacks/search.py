"""A search for the edits of single words that flip an answer, by the options' likelihoods alone (lecture L3.7).

As in attacks by word substitution (Jin et al. 2020, TextFooler): words are ranked by how much the right option's lead
shrinks without them; then, from the top, each gets the candidate edit that leaves the least of it, until the answer
flips or the budget of questions to the model is spent. Nothing of the model is looked into.

Only edits that keep the meaning count: protected text (options, quotes, placeholders) is left alone, and so is every
word without which a number, unit, negation, side, time or drug would be lost (`evaluators.rewording.faithful`). That an
edited word still reads as the word that it was is what `candidates` answers for.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pydantic import BaseModel

from evaluators.cases import Item, Respondent
from evaluators.rewording import wording
from evaluators.rewording.faithful import lost
from evaluators.suites.multiple_choice import choose

_WORD = re.compile(r"(\w+(?:[-'’]\w+)*)")


class Attacked(BaseModel):
    """What the search came to on one item."""

    item: Item
    """The item with the edits that were kept."""
    flipped: bool
    """Whether the answer was right and, with these edits, is wrong. False for an item that was wrong to begin with."""
    queries: int
    """Questions that were put to the respondent."""
    edits: list[str]
    """What was changed, in the order in which it was found: "fever → feever"."""
    margin_before: float
    """Log-likelihood of the right option's letter less that of the likeliest other one (nats); below 0 it is wrong."""
    margin_after: float


def attack(item: Item, respondent: Respondent, candidates: Callable[[str], list[str]], budget: int = 200) -> Attacked:
    """Search for edits of the question's words that flip the answer to a multiple-choice item.

    `candidates` gives the words that may stand in a word's place (misspellings, synonyms); none leaves it alone. Up to
    half of `budget` ranks the words, the longest ones where there are more. Raises `ValueError` for an item without
    options or right answer, and for a budget below 1.
    """
    if len(item.options) < 2 or item.answer is None or not 0 <= item.answer < len(item.options):
        raise ValueError(f"{item.id}: a search attack needs two options or more and the index of the right one")
    if budget < 1:
        raise ValueError(f"a search attack needs a budget of at least 1 question to the model, not {budget}")
    pieces = _WORD.split(item.question)  # words at odd places, what stands between them at even ones
    before = margin = _margins(item, respondent, [item.question])[0]
    queries, edits = 1, []
    ranked = [] if before < 0 else _open_words(item.question, pieces, candidates)[: budget // 2]
    without = _margins(item, respondent, [_without(pieces, at) for at in ranked])
    queries += len(ranked)
    for _, at in sorted(zip(without, ranked, strict=True)):
        texts = {new: "".join([*pieces[:at], new, *pieces[at + 1 :]]) for new in candidates(pieces[at])}
        fitting = [new for new, text in texts.items() if new != pieces[at] and not lost(item.question, text)]
        tried = fitting[: budget - queries]
        margins = _margins(item, respondent, [texts[new] for new in tried])
        queries += len(tried)
        if not tried or min(margins) >= margin:
            continue
        margin = min(margins)
        new = tried[margins.index(margin)]
        edits.append(f"{pieces[at]} → {new}")
        pieces[at] = new
        if margin < 0:
            break
    edited = item.asking("".join(pieces), id=f"{item.id}/search", how=f"search: {'; '.join(edits)}") if edits else item
    return Attacked(
        item=edited,
        flipped=before >= 0 > margin,
        queries=queries,
        edits=edits,
        margin_before=before,
        margin_after=margin,
    )


def _open_words(question: str, pieces: list[str], candidates: Callable[[str], list[str]]) -> list[int]:
    """Places among the pieces of the words that may be edited, the longest words first."""
    closed, found, start = wording.protected(question), [], 0
    for at, piece in enumerate(pieces):
        stop = start + len(piece)
        if (
            at % 2
            and not any(first < stop and start < last for first, last in closed)
            and not lost(question, _without(pieces, at))
            and candidates(piece)
        ):
            found.append(at)
        start = stop
    return sorted(found, key=lambda at: (-len(pieces[at]), at))


def _without(pieces: list[str], at: int) -> str:
    """The text without one word, and without the space that followed it."""
    after = pieces[at + 1]
    return "".join([*pieces[:at], after[1:] if after.startswith(" ") else after, *pieces[at + 2 :]])


def _margins(item: Item, respondent: Respondent, questions: list[str]) -> list[float]:
    """By how much (nats) the right option is likelier than the likeliest other one, for each wording."""
    if not questions:
        return []
    found = choose([item.asking(question) for question in questions], respondent)
    right = item.answer
    assert right is not None
    return [each[right] - max(one for at, one in enumerate(each) if at != right) for each in found]
