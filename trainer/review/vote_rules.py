"""From votes to what a model can learn from: pairs and labels by stated rules, and why a comparison gives none.

Nothing here is random and nothing is guessed: the same votes under the same rules give the same rows in the same order.
"""

from __future__ import annotations

import difflib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, get_args

from trainer.data.near_duplicates import decisive, words
from trainer.data.rows import Message, Row, row_id
from trainer.review.preference_data import LeftOut, PreferenceData, ReaderAgreement, Rules
from trainer.section import Task

if TYPE_CHECKING:
    from trainer.store import Comparison, Vote

UNSAFE = 2
"""Rating of safety up to which an answer is never taught as a good one, whatever else was said of it (lecture L3.4)."""
SIDES = ("first", "second")

NOT_ANSWERED = "the models have not answered it yet"
NOT_JUDGED = "nobody has judged it yet"
FEW_READERS = "fewer readers than the rules ask for"
CONFLICT = "the readers disagree, and nobody has decided"
TIE = "a tie"
BOTH_BAD = "both answers are bad, and nobody wrote a better one"
ALIKE = "the two answers are nearly equal"
UNSAFE_CHOSEN = "the better answer's safety was rated 2 or less"
EMPTY = "an answer is empty"
REVERSED = "another comparison of the same two answers was decided the other way round"
REPEATED = "the same pair as another comparison's; it is used once"


@dataclass
class _Decision:
    winner: str = ""
    """first, second, tie or both_bad; empty where nothing was decided."""
    how: str = ""
    reason: str = ""
    """Why nothing was decided."""
    lead: int = 1
    """By how many readers."""
    agreeing: Sequence[Vote] = ()
    """Those who said so, whose corrections count."""


def apply_rules(
    comparisons: Sequence[Comparison], votes: Iterable[Vote], rules: Rules, source: str, expert: bool = True
) -> PreferenceData:
    """Pairs and labels of these comparisons, in their order; `expert`: people judged, and no model (lecture L2.2)."""
    of: dict[str, list[Vote]] = defaultdict(list)
    for vote in sorted(votes, key=lambda one: (one.created, one.id or 0)):
        of[vote.comparison_id].append(vote)
    found = _Found(rules, source, expert)
    for one in comparisons:
        found.add(one, of[one.id])
    data = PreferenceData(
        source=source,
        pairs=found.kept_pairs(),
        labels=found.kept_labels(),
        left_out=found.left_out,
        rules=rules,
        comparisons=len(comparisons),
        votes=[_provenance(vote) for one in comparisons for vote in of[one.id]],
        agreement=_agreement([of[one.id] for one in comparisons], found.leads),
    )
    return data


def nearly_equal(first: str, second: str, share: float) -> bool:
    """Are the words of two answers the same to this share, with the same numbers and negations?

    "Give 5 mg" and "give 50 mg" are two answers, however long the rest is that they share.
    """
    one, other = words(first), words(second)
    if decisive(one) != decisive(other):
        return False
    return one == other or difflib.SequenceMatcher(None, one, other, autojunk=False).ratio() >= share


class _Found:
    """What the comparisons give, one after the other."""

    def __init__(self, rules: Rules, source: str, expert: bool):
        self.rules, self.source, self.expert = rules, source, expert
        self.left_out: list[LeftOut] = []
        self.leads: list[int] = []
        self._pairs: list[tuple[Comparison, Row]] = []
        self._labels: dict[str, list[tuple[Row, bool]]] = defaultdict(list)
        """Rows of one prompt and answer, and whether each is bad for its safety."""

    def add(self, one: Comparison, votes: Sequence[Vote]) -> None:
        """Take one comparison in."""
        if one.first_answer is None or one.second_answer is None:
            self._leave_out(one, NOT_ANSWERED)
            return
        decision = _decide(votes, self.rules)
        if not decision.winner:
            self._leave_out(one, decision.reason)
            return
        answers = {"first": one.first_answer, "second": one.second_answer}
        unsafe = {side for side in SIDES if _unsafe(votes, side)}
        corrections = _corrections(decision) if self.rules.corrections else []
        made = 0
        for text in corrections:
            for side in SIDES:
                if words(text) != words(answers[side]) and answers[side].strip():
                    made += self._pair(one, text, answers[side], "corrected by a reader")
        reason, wins = self._of_answers(answers, decision, unsafe)
        if wins:
            loses = "second" if wins == "first" else "first"
            made += self._pair(one, answers[wins], answers[loses], decision.how)
            self.leads.append(decision.lead)
        labels = self._label_all(one, answers, decision, unsafe, corrections, reason)
        if not made:
            self._leave_out(one, reason, labels)

    def kept_pairs(self) -> list[Row]:
        """The pairs, without those that comparisons contradict, each once."""
        keys = [_key(row) for _, row in self._pairs]
        there = set(keys)
        kept: dict[tuple[str, str, str], Row] = {}
        for (one, row), (prompt, chosen, rejected) in zip(self._pairs, keys, strict=True):
            if (prompt, rejected, chosen) in there:
                self._leave_out(one, REVERSED)
            elif (prompt, chosen, rejected) in kept:
                self._leave_out(one, REPEATED)
            else:
                kept[prompt, chosen, rejected] = row
        return list(kept.values())

    def kept_labels(self) -> list[Row]:
        """Each answer once; one that was called good and bad is left out, unless its safety was rated bad."""
        kept = []
        for rows in self._labels.values():
            unsafe = next((row for row, unsafe in rows if unsafe), None)
            if unsafe or len({row.get("label") for row, _ in rows}) == 1:
                kept.append(unsafe or rows[0][0])
        return kept

    def _of_answers(self, answers: dict[str, str], decision: _Decision, unsafe: set[str]) -> tuple[str, str]:
        """Why the two answers make no pair, or which of them is chosen."""
        if decision.winner == "tie":
            return TIE, ""
        if decision.winner == "both_bad":
            return BOTH_BAD, ""
        if not all(text.strip() for text in answers.values()):
            return EMPTY, ""
        if nearly_equal(answers["first"], answers["second"], self.rules.alike):
            return ALIKE, ""
        return (UNSAFE_CHOSEN, "") if decision.winner in unsafe else ("", decision.winner)

    def _label_all(
        self,
        one: Comparison,
        answers: dict[str, str],
        decision: _Decision,
        unsafe: set[str],
        corrections: list[str],
        reason: str,
    ) -> int:
        """Label what was said to be good or bad by itself; returns how many labels that gives."""
        good: dict[str, bool] = {}
        if decision.winner == "both_bad":
            good = dict.fromkeys(SIDES, False)
        elif decision.winner == "tie":
            good = dict.fromkeys(SIDES, True) if self.rules.ties == "both_good" else {}
        elif reason not in (ALIKE, EMPTY):
            good = {side: side == decision.winner for side in SIDES}
        if corrections:
            # What needed a correction is not taught as good, and may still be the better of the two.
            good = {side: value for side, value in good.items() if not value}
        good |= dict.fromkeys(unsafe, False)
        found = [(answers[side], value, decision.how, side in unsafe) for side, value in good.items()]
        found += [(text, True, "corrected by a reader", False) for text in corrections]
        found = [label for label in found if label[0].strip()]
        for text, value, how, dangerous in found:
            row = Row(prompt=one.prompt, completion=_said(text), label=value)
            self._about(row, one, how)
            self._labels[f"{one.prompt}\0{text}"].append((row, dangerous))
        return len(found)

    def _pair(self, one: Comparison, chosen: str, rejected: str, how: str) -> int:
        row = Row(prompt=one.prompt, chosen=_said(chosen), rejected=_said(rejected))
        self._about(row, one, how)
        self._pairs.append((one, row))
        return 1

    def _about(self, row: Row, one: Comparison, how: str) -> None:
        row["about"] = {"id": row_id(row), "source": self.source}
        if one.group in get_args(Task):
            row["about"]["task"] = one.group
        elif one.group:
            row["about"]["specialty"] = one.group
        row["about"]["expert_validated"] = self.expert
        row["about"]["origin"] = {"row": one.id, "how": how}

    def _leave_out(self, one: Comparison, reason: str, labels: int = 0) -> None:
        self.left_out.append(
            LeftOut(
                where=one.id, question=one.prompt[-1]["content"] if one.prompt else "", reason=reason, labels=labels
            )
        )


def _decide(votes: Sequence[Vote], rules: Rules) -> _Decision:
    """An adjudicator's word, else more than half of the readers, else the ratings where these are clear."""
    adjudicator = next((vote for vote in reversed(votes) if vote.role == "adjudicator"), None)
    if adjudicator:
        # Readers who said the same wrote their corrections of the same answers.
        same = [vote for vote in votes if vote.role == "reader" and vote.choice == adjudicator.choice]
        agreeing = [adjudicator] if adjudicator.correction.strip() else same
        return _Decision(adjudicator.choice, "decided by an adjudicator", agreeing=agreeing)
    readers = [vote for vote in votes if vote.role == "reader"]
    if not readers:
        return _Decision(reason=NOT_JUDGED)
    if len(readers) < rules.least_readers:
        return _Decision(reason=FEW_READERS)
    choice, count = Counter(vote.choice for vote in readers).most_common(1)[0]
    agreeing = [vote for vote in readers if vote.choice == choice]
    clear = 2 * count > len(readers)
    if clear and choice != "tie":
        against = sum(vote.choice in SIDES and vote.choice != choice for vote in readers)
        how = f"the choice of {count} of {len(readers)} readers" if len(readers) > 1 else "the choice of one reader"
        return _Decision(choice, how, lead=count - against, agreeing=agreeing)
    gap = _rating_gap(readers)
    if gap is not None and abs(gap) >= rules.rating_gap:
        return _Decision("first" if gap > 0 else "second", f"rated {abs(gap):.1f} points better", agreeing=readers)
    return _Decision("tie", "a tie", agreeing=agreeing) if clear else _Decision(reason=CONFLICT)


def _rating_gap(votes: Sequence[Vote]) -> float | None:
    """The first answer's rating less the second's: the mean over the criteria that a reader rated both on."""
    gaps = [
        first[name] - second[name]
        for vote in votes
        for first, second in [(vote.ratings.get("first", {}), vote.ratings.get("second", {}))]
        for name in first.keys() & second.keys()
    ]
    return math.fsum(gaps) / len(gaps) if gaps else None


def _unsafe(votes: Sequence[Vote], side: str) -> bool:
    return any(vote.ratings.get(side, {}).get("safety", 5) <= UNSAFE for vote in votes)


def _corrections(decision: _Decision) -> list[str]:
    written = (vote.correction.strip() for vote in decision.agreeing)
    return list(dict.fromkeys(text for text in written if text))


def _agreement(votes: Sequence[Sequence[Vote]], leads: Sequence[int]) -> ReaderAgreement:
    choices = [[vote.choice for vote in of if vote.role == "reader" and vote.choice in SIDES] for of in votes]
    twice = [one != other for of in choices for one, other in combinations(of, 2)]
    if not twice:
        return ReaderAgreement()
    differ = sum(twice) / len(twice)
    error = (1 - math.sqrt(max(0.0, 1 - 2 * differ))) / 2
    wrong = [error**lead / (error**lead + (1 - error) ** lead) for lead in leads]
    return ReaderAgreement(
        doubly_read=len(twice), differ=sum(twice), wrong_pairs=math.fsum(wrong) / len(wrong) if wrong else None
    )


def _provenance(vote: Vote) -> dict[str, Any]:
    kept = {name: getattr(vote, name) for name in ("comparison_id", "reviewer", "role", "choice")}
    return kept | {"corrected": bool(vote.correction.strip()), "created": vote.created.isoformat(timespec="seconds")}


def _key(row: Row) -> tuple[str, str, str]:
    assert "prompt" in row and "chosen" in row and "rejected" in row  # as `_pair` made it
    return str(row["prompt"]), row["chosen"][-1]["content"], row["rejected"][-1]["content"]


def _said(text: str) -> list[Message]:
    return [Message(role="assistant", content=text)]
