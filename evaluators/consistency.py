"""Do two free answers say the same: by the meaning of the whole, by numbers and by negations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from evaluators.metrics import exact_match
from evaluators.rewording import faithful

if TYPE_CHECKING:
    import numpy as np

Embed = Callable[[Sequence[str]], "np.ndarray"]
"""(n,) texts to (n, d) embeddings of length 1."""

ALIKE = 0.8
"""Cosine of sentence embeddings (all-MiniLM-L6-v2) from which two texts are taken for the same in meaning.

Calibrated on answers of MedQuAD, cut to 120 words. Above it lie all of 300 answers whose terms were exchanged by the
rewording tables and whose sentences were shuffled, and 95 % of 250 answers without their last third. Of 300 pairs of
answers to different questions on the same disease 3 % lie above, and 0.3 % with equal numbers and negations; of 260
pairs of answers to the same question on different diseases 1 %.
"""


def same_text(first: str, second: str, cosine: float) -> bool:
    """Do two free answers say the same: alike in meaning, with the same numbers and as many negations?

    An embedding hardly sees numbers and negations, so these are compared by themselves (`faithful.lost`). Equal texts
    are the same in any case.
    """
    if exact_match(first, second):
        return True
    lost = faithful.lost(first, second) if cosine >= ALIKE else ["meaning"]
    return not any(loss.startswith(("meaning", "number", "negation")) for loss in lost)
