"""`report.json`: what a finished run is worth, what it cost, and what was found on its way."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from evaluators.held_out import Row
from evaluators.metrics import Proportion
from evaluators.pair_ranking import PairRanking
from evaluators.scores import Difference, Measure
from trainer.energy import Energy
from trainer.events import Points
from trainer.sizing import Range
from trainer.steering.folds import FoldSummary


class BeforeAfter(BaseModel):
    before: float
    after: float


class Forgetting(BaseModel):
    """General and general-medical multiple choice, and perplexity of general text, with the adapter off and on.

    `points_lost` = 100 x (accuracy before - accuracy after), in absolute points (lecture L2.9).
    """

    questions_before: Proportion
    questions_after: Proportion
    points_lost: float
    kinds: dict[str, Points] = {}
    """General and general medical questions apart, with the paired interval of what was lost."""
    perplexity: BeforeAfter


class HeldOutPairs(BaseModel):
    """How a reward model ranks pairs that it was not trained on, and which rows these are."""

    side: Literal["test", "validation"]
    ranking: PairRanking


class PairsWon(BaseModel):
    """Share of validation pairs whose chosen answer the model favours; in KTO, of answers that stand on the right side.

    Against the reference where the objective has one: a model that equals it wins half. Pairs of one question count as
    so many cases, so that the intervals are narrow where questions have several.
    """

    before: Proportion
    after: Proportion


class RewardGain(BaseModel):
    """The mean reward of answers to validation questions, drawn as in training, of the base and of the tuned model."""

    before: Measure
    after: Measure
    gained: Difference


class Report(BaseModel):
    """`report.json` of a run. `table` compares base, prompted base and tuned model on held-out questions."""

    table: list[Row]
    validation_loss: BeforeAfter
    forgetting: Forgetting | None
    model_origin: str
    weights_sha256: str
    trainable_share: float
    lecture_share: str = ""
    """The lecture's figure for it, where it gives one (lecture L1.2-L1.5)."""
    rank: int | None = None
    """LoRA's rank as it was found, where it was searched for (lecture L1.10)."""
    ended: str | None = None
    """Why training ended before its last step."""
    folds: FoldSummary | None = None
    """Validation losses of models trained without some rows (lecture L3.3)."""
    conflict: str = ""
    """What follows from how far the tasks' gradients conflicted (lecture L2.6)."""
    held_out_pairs: HeldOutPairs | None = None
    """Of a reward model."""
    pairs_won: PairsWon | None = None
    """Of a run that learnt from preferences (DPO, KTO, ORPO, CPO)."""
    reward_gain: RewardGain | None = None
    """Of a run that learnt from rewards."""
    tokens_per_second: float
    peak_gib: float
    predicted_gib: Range | None = None
    """What the plan had said of the peak; None where the model or the card is not in the catalogue."""
    best_step: int | None = None
    """The step whose adapter was kept, where the run had a patience; else the last."""
    predicted_hours: Range | None = None
    """What the sizing says of the training time, given the rows and their real lengths."""
    training_minutes: float
    evaluating_minutes: float
    energy: Energy | None = None
    """As it was estimated when the run had ended."""
