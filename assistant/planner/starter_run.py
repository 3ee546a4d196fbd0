"""The default run: starter data, embedded model, about five minutes on two cores. Tuned by measuring.

Three sets and not four: brand names are plain recall, which one pass cannot teach, and their gradients (norm 5-10
beside 0.1 of the lab values) drown the others.
"""

from __future__ import annotations

from assistant.planner.advice_models import EMBEDDED
from assistant.planner.answers import Answers, uses_starter
from trainer.data_sections import DataSource
from trainer.sections import HeldOutSet, RunConfig

SOURCES = [
    DataSource(name="starter/clinical", rows=120),
    # Comparing is learnt late and all at once: 608 trained rows were too few in two runs of three.
    DataSource(name="starter/lab", rows=900),
    DataSource(name="starter/orders", rows=90),
]
HELD_OUT = [
    HeldOutSet(name="starter/clinical", metric="structure", items=20),
    HeldOutSet(name="starter/orders", metric="exact_match", items=40),
    HeldOutSet(name="starter/lab", metric="label", items=60),
]
SAMPLE_PROMPTS = [
    "A 58-year-old man has had crushing chest pain for 30 minutes and is sweating. What should be done first?",
    "Phosphate 1.4 mg/dL (reference 2.5-4.5): low, normal or high?",
]
ROWS = {"starter/clinical": 180, "starter/lab": 1200, "starter/orders": 400, "starter/brands": 56}
"""Training rows of each set, about, for the estimate."""
ROW_TOKENS = 80.0
"""Mean length of a row of these sets, in tokens, for the estimate."""

LEARNING_RATE = 1e-3
EPOCHS = 1.0
MAX_GRAD_NORM = 0.25
"""Brings the tasks' gradients to one scale: clinical answers come with norms of 0.5-1, lab values with 0.05-0.3."""
BATCH_SIZE = 4
ACCUMULATION = 1
MAX_LENGTH = 512
EVALUATE_EVERY = 120
VALIDATION_SHARE = 0.05
REPLAY_SHARE = 0.03


def starter_data(dataset: str) -> list[DataSource]:
    """The sources behind an answer: all of the starter sets, or the one that was named."""
    if dataset == "starter":
        return [source.model_copy() for source in SOURCES]
    return [DataSource(name=dataset, rows=None)]


def starter_held_out(dataset: str) -> list[HeldOutSet]:
    """What is scored after training on these sources; a single set is scored with its own held-out split."""
    return [held_out.model_copy() for held_out in HELD_OUT if dataset in ("starter", held_out.name)]


def starter_rows(sources: list[DataSource]) -> int:
    """Rows of starter sources before validation is kept back."""
    return sum(min(source.rows or 10**9, ROWS.get(source.name, 200)) for source in sources)


def is_default_run(config: RunConfig, answers: Answers) -> bool:
    """Whether this is the run that a newcomer starts with: the starter data on the embedded model."""
    return uses_starter(answers) and config.model.name == EMBEDDED
