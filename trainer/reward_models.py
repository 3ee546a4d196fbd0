"""A trained reward model, loaded from its run to rate answers: higher is better, and only differences count."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluators.pair_ranking import pair_ranking
from trainer import config, models, runs
from trainer.data.rows import Message, kind_of, question
from trainer.errors import ModelError
from trainer.methods import MethodError
from trainer.report import HeldOutPairs
from trainer.runs import REWARD
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH = 16
"""Answers that are rated at once."""


class RewardModel:
    """Holds the model in memory; `folder` is its run's. Raises `ModelError` where nothing was trained yet."""

    def __init__(self, folder: Path):
        from trainer.methods import saved

        self.run: RunConfig = config.load(folder / "run.yaml")
        self.name = folder.name
        self.tokenizer: PreTrainedTokenizerBase
        base, self.tokenizer, _ = models.load_base(self.run)
        try:
            self.model = saved.load(base, folder / REWARD)
        except MethodError as error:
            raise ModelError(str(error)) from None

    def rate(self, conversations: Sequence[Sequence[Message]]) -> list[float]:
        """The reward of the last message of each conversation, as it was trained to see them: with the system prompt
        of its own run, cut at its longest row. Raises `ModelError` where it gives no number.
        """
        from trainer.data.tokens import encode

        rows = [
            encode(
                {"prompt": list(one[:-1]), "completion": list(one[-1:])}, self.tokenizer, self.run.task.system_prompt
            )["input_ids"][: self.run.schedule.max_length]
            for one in conversations
        ]
        rewards = rate(self.model, rows, self.tokenizer.pad_token_id)
        if any(reward != reward for reward in rewards):
            raise ModelError(
                f"The reward model {self.name} gives an answer no number: its training came to grief. Train it again "
                "with a lower schedule.learning_rate."
            )
        return rewards


def find(name: str) -> Path:
    """The run folder of the reward model that is meant, an id or a folder. Raises `ModelError` where it is none."""
    folder = config.path_of(name)
    if not (folder / "run.yaml").is_file():
        try:
            folder = runs.get(name).folder
        except runs.RunError as error:
            raise ModelError(f"objective.reward_model: {error}") from None
    kind = config.load(folder / "run.yaml").objective.kind
    if kind != "reward":
        raise ModelError(
            f"objective.reward_model: the run {folder.name} minimised {kind}; name one of objective.kind reward."
        )
    if not list((folder / REWARD).rglob("*.safetensors")):
        raise ModelError(
            f"objective.reward_model: the run {folder.name} has trained nothing yet; let it come to its end."
        )
    return folder


def rank_held_out(run: RunConfig, folder: Path) -> HeldOutPairs | None:
    """How the run's reward model ranks the pairs that it was not trained on: the test rows, or where there are none the
    validation rows, by which its best step may have been chosen. None where neither holds a pair.
    """
    from trainer.data.prepare import prepare

    data = prepare(run)
    for side in ("test", "validation"):
        rows = [row for row in data.rows(side) if kind_of(row) == "preference"]
        if rows:
            judge = RewardModel(folder)
            chosen, rejected = (
                judge.rate([[*row["prompt"], *answer] for row, answer in zip(rows, answers, strict=True)])
                for answers in ([row["chosen"] for row in rows], [row["rejected"] for row in rows])
            )
            ranking = pair_ranking(list(zip(chosen, rejected, strict=True)), [question(row) for row in rows])
            return HeldOutPairs(side=side, ranking=ranking)
    return None


@lru_cache(maxsize=1)
def load(folder: Path) -> RewardModel:
    """The reward model of this run folder; the last one stays in memory, since a run asks for it several times."""
    return RewardModel(folder)


def rate(model: Any, rows: Sequence[Sequence[int]], pad_token_id: Any, batch_size: int = BATCH) -> list[float]:
    """The reward of each row of tokens, read at its last token; the model has to be in evaluation mode."""
    import torch

    found = [0.0] * len(rows)
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            lines = [torch.tensor(rows[index]) for index in chosen]
            batch = padded(lines, pad_token_id)
            logits = model(**{name: one.to(model.device) for name, one in batch.items()}, use_cache=False).logits
            for index, reward in zip(chosen, logits[:, 0].tolist(), strict=True):
                found[index] = reward
    return found


def padded(lines: Sequence[Any], pad_token_id: Any) -> dict[str, Any]:
    """`input_ids` and `attention_mask` (rows, longest of them), padded on the right."""
    import torch

    ids = torch.nn.utils.rnn.pad_sequence(list(lines), batch_first=True, padding_value=pad_token_id)
    lengths = torch.tensor([len(line) for line in lines])
    return {"input_ids": ids, "attention_mask": (torch.arange(ids.shape[1]) < lengths[:, None]).long()}
