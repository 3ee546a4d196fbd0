"""RLOO and GRPO through TRL's trainers: the model answers, rules or a reward model rate, and what rates well becomes
likelier.

Each step draws objective.answers answers to each of its questions; schedule.batch_size x schedule.accumulation is the
number of answers, so it has to be a multiple of that. An answer's reward is the sum of its rates. RLOO takes the KL
from the reference off the reward, as an answer's log ratio (Ahmadian et al. 2024); GRPO adds an estimate of it to the
loss (Shao et al. 2024, eq. 4) and divides by the group's spread; its sum over tokens is divided by all tokens of the
step and not by each answer's, which would make long wrong answers cheap (Yu et al. 2025). The reference is the model as
the run begins. Dropout is off, since the same answer has to be as likely as when it was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from evaluators import answer_rewards, scores
from trainer import reward_models
from trainer.data.records import DataError
from trainer.data.rows import answer, kind_of
from trainer.data.sources import Progress
from trainer.data.tokens import IGNORED, conversation
from trainer.objective_sections import GrpoObjective, RlooObjective
from trainer.report import RewardGain
from trainer.sections import RunConfig
from trainer.steering.alignment_alarms import REWARD_MODEL

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from trainer.objectives.reinforcement_trainer import Rate, Reinforced
    from trainer.objectives.settings import Parts
    from trainer.tuned import Tuned

MOST_QUESTIONS = 60
"""Whose answers are rated before and after: a mean is then known to about a quarter of its spread."""


def build(parts: Parts) -> Reinforced:
    """A trainer for the run."""
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.rloo_config import RLOOConfig

    from trainer.objectives.reinforcement_trainer import GroupRelative, LeaveOneOut

    config, rows = parts.config, parts.prepared.train
    objective = _objective(config)
    asked = questions(config, rows)
    arguments = parts.arguments(len(asked) * objective.answers)
    arguments |= {
        "num_generations": objective.answers,
        "num_generations_eval": 1,  # validation rows are measured by their own answers
        "max_completion_length": objective.longest_answer,
        "beta": objective.beta,
        "temperature": objective.temperature,
        "disable_dropout": True,
    }
    if isinstance(objective, RlooObjective):
        kind, args = LeaveOneOut, RLOOConfig(**arguments)
    else:
        kind, args = GroupRelative, GRPOConfig(**arguments, loss_type="dapo", scale_rewards="group")
    return kind(config, rates=rates(config, rows), args=args, train_dataset=asked, **parts.options())


def questions(config: RunConfig, rows: Dataset, side: str = "train") -> Dataset:
    """What is asked, each question once: `prompt` (a conversation with the system prompt) and `reference`, the answer
    that the data holds to be good, or None.

    `rows` are tokenised rows of that side; general ones and plain text ask nothing. Raises `DataError` where none is
    left.
    """
    from datasets import Dataset

    from trainer.data.prepare import prepare

    own = {number for number, general in zip(rows["row"][:], rows["general"][:], strict=True) if not general}
    found: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(prepare(config).rows(side)):
        if number in own and kind_of(row) != "text":
            good = None if row.get("label") is False else answer(row)
            prompt = conversation(row["prompt"], config.task.system_prompt)
            found.setdefault(str(prompt), {"prompt": prompt, "reference": good})
    if not found:
        raise DataError(
            f"objective {config.objective.kind} needs questions to answer, and no row of data.sources asks one (plain "
            "text does not); name rows with a prompt."
        )
    return Dataset.from_list(list(found.values()))


def rates(config: RunConfig, rows: Dataset) -> dict[str, Rate]:
    """What rates an answer in this run, by name; `rows` (tokenised) say how long good answers are.

    Raises `ModelError` where the reward model is not to be had.
    """
    objective = _objective(config)
    found: dict[str, Rate] = {}
    if "structure" in objective.rewards:
        found["structure"] = lambda asked, said, good, sizes: [answer_rewards.structure(one) for one in said]
    if "safety" in objective.rewards:
        found["safety"] = lambda asked, said, good, sizes: [
            answer_rewards.safety(prompt[-1]["content"], one, reference)
            for prompt, one, reference in zip(asked, said, good, strict=True)
        ]
    if "length" in objective.rewards:
        usual = median(sum(label != IGNORED for label in labels) for labels in rows["labels"])
        found["length"] = lambda asked, said, good, sizes: [answer_rewards.length(size, usual) for size in sizes]
    if objective.reward_model is not None:
        judge = reward_models.load(reward_models.find(objective.reward_model))
        found[REWARD_MODEL] = lambda asked, said, good, sizes: judge.rate(
            [[*prompt, {"role": "assistant", "content": one}] for prompt, one in zip(asked, said, strict=True)]
        )
    return found


def gain(config: RunConfig, tuned: Tuned, rows: Dataset, train: Dataset, progress: Progress) -> RewardGain:
    """What the rewards of answers to (at most `MOST_QUESTIONS`) validation questions, `rows`, became.

    Answers are drawn as in training; `before` is the base; `train` are the rows that `rates` is told of.
    """
    from evaluators import generation

    asked = questions(config, rows, "validation")
    asked = asked.select(range(min(MOST_QUESTIONS, len(asked))))
    objective, found = _objective(config), rates(config, train)
    sides = []
    for number, side in enumerate((False, True)):
        progress("rating answers to validation questions", number, 2)
        said = generation.answer_all(
            tuned.side(side),
            tuned.tokenizer,
            asked["prompt"][:],
            objective.longest_answer,
            side,
            temperature=objective.temperature,
        )
        rewards = _rewards(found, tuned.tokenizer, asked, said)
        units = [str(number) for number in range(len(asked))]
        sides.append(scores.mean("reward of an answer", rewards, units, "number"))
    before, after = sides
    return RewardGain(before=scores.measure(before), after=scores.measure(after), gained=scores.compare(before, after))


def _rewards(
    found: dict[str, Rate], tokenizer: PreTrainedTokenizerBase, asked: Dataset, said: Sequence[str]
) -> list[float]:
    """The sum of each answer's rates."""
    sizes = [len(tokenizer(one, add_special_tokens=False)["input_ids"]) + 1 for one in said]  # and the end mark
    columns = [rate(asked["prompt"][:], said, asked["reference"][:], sizes) for rate in found.values()]
    return [sum(one) for one in zip(*columns, strict=True)]


def _objective(config: RunConfig) -> RlooObjective | GrpoObjective:
    assert isinstance(config.objective, RlooObjective | GrpoObjective)
    return config.objective
