"""The questions that an export is checked on: the run's own samples, then held-out ones of the starter sets."""

from __future__ import annotations

from itertools import chain, zip_longest

from evaluators.generation import Messages
from trainer import scoring
from trainer.data.sources import STARTER_PREFIX
from trainer.data.tokens import conversation
from trainer.sections import RunConfig

COUNT = 20
ANSWER_TOKENS = 64
"""How far an answer is followed; a model that has been equal for as long stays so."""
_SETS = ("clinical", "lab", "orders", "brands")


def questions(config: RunConfig, count: int = COUNT) -> list[Messages]:
    """`count` conversations of one question each, with the run's system prompt; the same at every call."""
    system = config.task.system_prompt
    sets = (
        [list(item.prompt) for item in scoring.read_items(f"{STARTER_PREFIX}{name}", "heldout", system)[:count]]
        for name in _SETS
    )
    own = [conversation([{"role": "user", "content": asked}], system) for asked in config.evaluation.sample_prompts]
    starter = [one for one in chain.from_iterable(zip_longest(*sets)) if one is not None]
    return [*own, *starter][:count]
