"""What the votes say: who wins, by how much, whether reviewers agree, and whether the place on the page decides."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from statistics import median
from typing import Literal, NamedTuple

from pydantic import BaseModel
from sqlmodel import col, select

from evaluators import scores
from evaluators.agreement import cohen_kappa, fleiss_kappa, krippendorff_alpha
from evaluators.ranking import Duel, PositionBias, Ranking, bradley_terry, elo, position_bias
from evaluators.resampling import CONFIDENCE
from evaluators.scores import Measure
from trainer import store
from trainer.review import queue
from trainer.review.queue import ReviewerProgress
from trainer.store import CRITERIA, Comparison, Vote

TENTATIVE, RELIABLE = 0.667, 0.8
"""Krippendorff's alpha (2004): below the first nothing is concluded, from the second on conclusions are reliable."""
_SCORE = {"first": 1.0, "second": 0.0, "tie": 0.5, "both_bad": 0.5}

Verdict = Literal["first is better", "second is better", "not enough evidence"]
AgreementVerdict = Literal["reliable", "tentative", "too low", "not enough evidence"]


class PairResult(BaseModel):
    """How two models compare; `first` and `second` are in the order of their names."""

    first: str
    second: str
    comparisons: int
    votes: int
    first_wins: int
    second_wins: int
    ties: int
    both_bad: int
    win_share: Measure
    """Of the first, by votes; a tie and both bad count one half. The interval is over questions."""
    p: float | None
    """Of the exact sign test over questions that have a winner; None without any."""
    verdict: Verdict
    """Needs both the interval without one half, and p < 0.05."""


class Kappa(BaseModel):
    """Cohen's kappa of two reviewers on the cases that both judged."""

    first: str
    second: str
    kappa: Measure


class Agreement(BaseModel):
    """How far readers agree, on the cases that two or more of them judged; adjudicators are not counted."""

    shared: int
    """Cases with two readers or more."""
    unanimous: int
    kappas: list[Kappa]
    fleiss: Measure
    alpha: Measure
    """Krippendorff's, of the choice, nominal."""
    ratings: dict[str, Measure]
    """Krippendorff's alpha of the stars, ordinal, by criterion."""
    verdict: AgreementVerdict
    """By alpha's interval against `TENTATIVE` and `RELIABLE`."""
    said: str
    """The verdict as a sentence."""


class ReviewResults(BaseModel):
    """Everything that the votes of one set, or of all comparisons, say."""

    votes: int
    """Of readers."""
    comparisons: int
    """With a vote."""
    reviewers: int
    adjudicated: int
    changed: int
    """Votes whose choice became another after the names of a blind comparison were shown; they count as they stand."""
    corrections: int
    marked_spans: int
    seconds: float | None
    """Median from the answers being shown to the vote; None where it was not measured."""
    pairs: list[PairResult]
    bradley_terry: Ranking
    elo: Ranking
    agreement: Agreement
    position: PositionBias
    ratings: dict[str, dict[str, Measure]]
    """Mean stars (1 to 5) by model and criterion."""
    progress: list[ReviewerProgress]
    """Of a set; empty for all comparisons together."""
    open_disagreements: int
    """Comparisons whose readers differ and nobody has decided."""


class _Judged(NamedTuple):
    """One comparison with its votes."""

    comparison: Comparison
    readers: list[Vote]
    counted: list[Vote]
    """Those that say who won: the adjudicator's alone where there is one, else all readers'."""

    @property
    def unit(self) -> str:
        return repr(self.comparison.prompt)


def results(set_id: str | None = None) -> ReviewResults:
    """What the votes of a set (id or name) say, or those of all comparisons, the Playground's included.

    An adjudicator's vote stands for the case: who won is then counted by it alone. Agreement, position and ratings are
    of readers. Intervals are over questions. Raises `ReviewError` where there is no such set.
    """
    found = queue.get_set(set_id) if set_id else None
    judged = _judged(found.id if found else None)
    readers = [vote for one in judged for vote in one.readers]
    every = readers + [vote for one in judged for vote in one.counted if vote.role == "adjudicator"]
    duels = [
        Duel(one.comparison.first, one.comparison.second, _SCORE[vote.choice], one.unit)
        for one in judged
        for vote in one.counted
    ]
    timed = [vote.seconds for vote in readers if vote.seconds > 0]
    return ReviewResults(
        votes=len(readers),
        comparisons=len(judged),
        reviewers=len({vote.reviewer for vote in readers}),
        adjudicated=sum(one.counted[0].role == "adjudicator" for one in judged),
        changed=sum(vote.changed for vote in every),
        corrections=sum(bool(vote.correction) for vote in every),
        marked_spans=sum(len(vote.spans) for vote in every),
        seconds=median(timed) if timed else None,
        pairs=_pairs(judged),
        bradley_terry=bradley_terry(duels),
        elo=elo(duels),
        agreement=_agreement(judged),
        position=position_bias(
            [(vote.choice == "second") == vote.swapped for vote in readers if vote.choice in ("first", "second")]
        ),
        ratings=_ratings(judged),
        progress=queue.progress(found.id) if found else [],
        open_disagreements=sum(len({vote.choice for vote in one.counted}) > 1 for one in judged),
    )


def _judged(set_id: str | None) -> list[_Judged]:
    chosen = select(Vote, Comparison).join(Comparison).order_by(col(Vote.id))
    if set_id is not None:
        chosen = chosen.where(Comparison.set_id == set_id)
    given: dict[str, list[Vote]] = defaultdict(list)
    comparisons: dict[str, Comparison] = {}
    with store.session() as session:
        for vote, comparison in session.exec(chosen):
            comparisons[comparison.id] = comparison
            given[comparison.id].append(vote)
    judged = []
    for identity, comparison in comparisons.items():
        readers = [vote for vote in given[identity] if vote.role == "reader"]
        decided = queue.latest([vote for vote in given[identity] if vote.role == "adjudicator"])
        judged.append(_Judged(comparison, readers, [decided] if decided else readers))
    return judged


def _pairs(judged: Sequence[_Judged]) -> list[PairResult]:
    met: dict[tuple[str, str], list[_Judged]] = defaultdict(list)
    for one in judged:
        first, second = sorted((one.comparison.first, one.comparison.second))
        met[first, second].append(one)
    return [_pair(first, second, own) for (first, second), own in sorted(met.items())]


def _pair(first: str, second: str, judged: Sequence[_Judged]) -> PairResult:
    scored = [
        (vote.choice, _SCORE[vote.choice] if one.comparison.first == first else 1 - _SCORE[vote.choice], one.unit)
        for one in judged
        for vote in one.counted
    ]
    share = scores.measure(
        scores.mean(
            f"{first} preferred",
            [score for _, score, _ in scored],
            [unit for *_, unit in scored],
            note="Ties and both bad count one half; the interval is over questions.",
        )
    )
    margins: dict[str, float] = defaultdict(float)
    for _, score, unit in scored:
        margins[unit] += score - 0.5
    p = _sign_test(margins.values())
    verdict: Verdict = "not enough evidence"
    if p is not None and p < 1 - CONFIDENCE and share.low is not None and share.high is not None:
        verdict = "first is better" if share.low > 0.5 else "second is better" if share.high < 0.5 else verdict
    choices = Counter(choice for choice, *_ in scored)
    return PairResult(
        first=first,
        second=second,
        comparisons=len(judged),
        votes=len(scored),
        first_wins=sum(score == 1 for _, score, _ in scored),
        second_wins=sum(score == 0 for _, score, _ in scored),
        ties=choices["tie"],
        both_bad=choices["both_bad"],
        win_share=share,
        p=p,
        verdict=verdict,
    )


def _sign_test(margins: Iterable[float]) -> float | None:
    from scipy.stats import binomtest

    decided = [margin > 0 for margin in margins if margin]
    return float(binomtest(sum(decided), len(decided)).pvalue) if decided else None


def _agreement(judged: Sequence[_Judged]) -> Agreement:
    shared = [one for one in judged if len(one.readers) > 1]
    units = [one.unit for one in shared]
    choices = [[vote.choice for vote in one.readers] for one in shared]
    alpha = krippendorff_alpha(choices, units=units)
    verdict = _agreement_verdict(alpha)
    return Agreement(
        shared=len(shared),
        unanimous=sum(len(set(given)) == 1 for given in choices),
        kappas=_kappas(shared),
        fleiss=fleiss_kappa(choices, units=units),
        alpha=alpha,
        ratings=_rating_agreement(shared),
        verdict=verdict,
        said=_said(verdict, alpha, len(shared)),
    )


def _agreement_verdict(alpha: Measure) -> AgreementVerdict:
    if alpha.low is None or alpha.high is None:
        return "not enough evidence"
    if alpha.low >= RELIABLE:
        return "reliable"
    if alpha.low >= TENTATIVE:
        return "tentative"
    return "too low" if alpha.high < TENTATIVE else "not enough evidence"


def _said(verdict: AgreementVerdict, alpha: Measure, shared: int) -> str:
    cases = f"{shared} case{'s' * (shared != 1)} read twice or more"
    if alpha.low is None or alpha.high is None:
        return f"Not enough evidence on agreement: {cases}; let more cases be read by two reviewers."
    value = f"alpha {alpha.value:.2f}, 95 % interval {alpha.low:.2f} to {alpha.high:.2f}, {cases}"
    return {
        "reliable": f"The reviewers agree reliably ({value}).",
        "tentative": f"The reviewers agree enough for tentative conclusions ({value}).",
        "too low": f"The reviewers agree too little to conclude from their votes ({value}); settle the cases on which "
        "they differ and what a good answer is.",
        "not enough evidence": f"Not enough evidence on agreement ({value}; {TENTATIVE:g} is asked for); let more "
        "cases be read by two reviewers.",
    }[verdict]


def _kappas(shared: Sequence[_Judged]) -> list[Kappa]:
    names = sorted({vote.reviewer for one in shared for vote in one.readers})
    found = []
    for first, second in combinations(names, 2):
        both = []
        for one in shared:
            by = {vote.reviewer: vote.choice for vote in one.readers}
            if first in by and second in by:
                both.append((by[first], by[second], one.unit))
        if both:
            one, other, units = zip(*both, strict=True)
            found.append(Kappa(first=first, second=second, kappa=cohen_kappa(one, other, units)))
    return found


def _rating_agreement(shared: Sequence[_Judged]) -> dict[str, Measure]:
    found = {}
    for criterion in CRITERIA:
        items, units = [], []
        for one in shared:
            for place in ("first", "second"):
                stars = [s for vote in one.readers if (s := vote.ratings.get(place, {}).get(criterion)) is not None]
                if len(stars) > 1:
                    items.append(stars)
                    units.append(one.unit)
        if items:
            found[criterion] = krippendorff_alpha(items, "ordinal", units)
    return found


def _ratings(judged: Sequence[_Judged]) -> dict[str, dict[str, Measure]]:
    stars: dict[str, dict[str, list[tuple[int, str]]]] = defaultdict(lambda: defaultdict(list))
    for one in judged:
        for vote in one.readers:
            for place, given in vote.ratings.items():
                model = one.comparison.first if place == "first" else one.comparison.second
                for criterion, number in given.items():
                    stars[model][criterion].append((number, one.unit))
    return {
        model: {
            criterion: scores.measure(
                scores.mean(criterion, [n for n, _ in given[criterion]], [u for _, u in given[criterion]], "number")
            )
            for criterion in CRITERIA
            if criterion in given
        }
        for model, given in sorted(stars.items())
    }
