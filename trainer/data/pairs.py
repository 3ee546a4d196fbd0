"""Preference rows as tokens: pairs of answers to one question, or single answers that are good or bad.

The columns have TRL's names: `prompt_ids`, `chosen_ids` and `rejected_ids`, or `prompt_ids`, `completion_ids` and
`label`. Prompt and answer are encoded and cut as in supervised tuning (`trainer.data.tokens`).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from trainer.data.records import DataError
from trainer.data.rows import Message, Row, kind_of
from trainer.data.tokens import IGNORED, encode
from trainer.objective_sections import PAIRED
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

Learning = Literal["answers", "pairs", "judged answers"]
"""What a run learns from: one good answer a row, pairs of answers, or answers that are good or bad."""
TOKENS: dict[Learning, tuple[str, ...]] = {
    "answers": ("input_ids", "labels"),
    "pairs": ("prompt_ids", "chosen_ids", "rejected_ids"),
    "judged answers": ("prompt_ids", "completion_ids"),
}
"""The columns of tokens."""


def learns_from(run: RunConfig) -> Learning:
    """By the run's objective. Those that learn from rewards (RLOO, GRPO) ask the questions of plain answers."""
    kind = run.objective.kind
    return "pairs" if kind in PAIRED else "judged answers" if kind == "kto" else "answers"


def pair(
    row: Row, tokenizer: PreTrainedTokenizerBase, system_prompt: str, limit: int, counts: Counter[str]
) -> list[dict[str, Any]]:
    """A pair's columns and its `length` in tokens, that of its longer side; none where there is nothing to learn.

    What stands in the way is counted: `unfit` (no two answers), `untrained` (a prompt that fills the `limit`), `alike`
    (answers that do not differ within it).
    """
    if kind_of(row) != "preference":
        counts["unfit"] += 1
        return []
    asked, chosen = _answer(row["prompt"], row["chosen"], tokenizer, system_prompt, limit, counts)
    _, rejected = _answer(row["prompt"], row["rejected"], tokenizer, system_prompt, limit, counts)
    if not chosen or not rejected:
        counts["untrained"] += 1
        return []
    if chosen == rejected:
        counts["alike"] += 1
        return []
    counts["tokens"] += 2 * len(asked) + len(chosen) + len(rejected)
    counts["trained"] += len(chosen) + len(rejected)
    length = len(asked) + max(len(chosen), len(rejected))
    return [{"prompt_ids": asked, "chosen_ids": chosen, "rejected_ids": rejected, "length": length}]


def judged_answers(
    row: Row, tokenizer: PreTrainedTokenizerBase, system_prompt: str, limit: int, counts: Counter[str]
) -> list[dict[str, Any]]:
    """The columns of each answer of a row: a pair holds a good and a bad one. Counted as in `pair`."""
    kind = kind_of(row)
    if kind == "preference":
        answers = [(row["chosen"], True), (row["rejected"], False)]
    elif kind == "unpaired_preference":
        answers = [(row["completion"], row["label"])]
    else:
        counts["unfit"] += 1
        return []
    found = []
    for answer, good in answers:
        asked, said = _answer(row["prompt"], answer, tokenizer, system_prompt, limit, counts)
        if not said:
            continue
        counts["tokens"] += len(asked) + len(said)
        counts["trained"] += len(said)
        counts["good" if good else "bad answers"] += 1
        found.append({"prompt_ids": asked, "completion_ids": said, "label": good, "length": len(asked) + len(said)})
    counts["untrained"] += len(found) < len(answers)
    return found


def check(run: RunConfig, sides: dict[str, dict[str, int]]) -> list[str]:
    """What a reader should be told of the rows of both sides, by their counts.

    Raises `DataError` where a side has nothing that the objective learns from.
    """
    learning, kind = learns_from(run), run.objective.kind
    said = []
    if kind != "sft" and run.steering.replay_share:
        said.append(
            f"General rows are mixed in only in supervised tuning: objective {kind} passes steering.replay_share over. "
            "steering.forgetting_every watches what is forgotten."
        )
    if learning == "answers":
        return said
    if kind != "reward" and getattr(run.method, "dropout", 0):
        said.append(f"method.dropout is off with objective {kind}: what it changes would be taken for a preference.")
    if learning == "pairs":
        wanted, lacking, remedy = "pairs", "have no rejected answer", "or take objective.kind sft or kto"
    else:
        wanted, lacking, remedy = "answers that are judged", "do not say whether their answer is good", "or sft"
    for side, counts in sides.items():
        if not counts["kept"]:
            raise DataError(
                f"objective {kind} needs {wanted}, and there are none to {side}: "
                f"{_left_out(counts, lacking, run.schedule.max_length)}. Name preference data in data.sources (bedside "
                f"preferences makes it of votes), {remedy}."
            )
        if learning == "judged answers" and not (counts["good"] and counts["bad answers"]):
            there, missing = ("good", "bad") if counts["good"] else ("bad", "good")
            raise DataError(
                f"objective kto needs good and bad answers, and of those to {side} all {counts['kept']} are {there}; "
                f"add {missing} ones."
            )
    counts = Counter[str]()
    for one in sides.values():
        counts.update(one)
    if counts["rows"] > counts["kept rows"]:
        what = _left_out(counts, lacking, run.schedule.max_length)
        said.append(f"Of the rows to train and to validate on, {what}; they are left out.")
    return said


def whole(rows: Dataset) -> list[dict[str, list[int]]]:
    """`input_ids` and `labels` of tokenised rows as in supervised tuning; of a pair its chosen answer."""
    if "input_ids" in rows.column_names:
        return [
            {"input_ids": ids, "labels": labels} for ids, labels in zip(rows["input_ids"], rows["labels"], strict=True)
        ]
    answers = rows["chosen_ids" if "chosen_ids" in rows.column_names else "completion_ids"]
    return [
        {"input_ids": [*asked, *said], "labels": [IGNORED] * len(asked) + list(said)}
        for asked, said in zip(rows["prompt_ids"], answers, strict=True)
    ]


def _left_out(counts: dict[str, int], lacking: str, limit: int) -> str:
    reasons = {
        "unfit": lacking,
        "untrained": f"have no answer left within schedule.max_length ({limit} tokens)",
        "alike": "have two answers that are the same within it",
    }
    told = [f"{counts[name]} of {counts['rows']} rows {why}" for name, why in reasons.items() if counts.get(name)]
    return ", ".join(told) or f"the {counts['rows']} rows hold none"


def _answer(
    prompt: list[Message],
    answer: list[Message],
    tokenizer: PreTrainedTokenizerBase,
    system_prompt: str,
    limit: int,
    counts: Counter[str],
) -> tuple[list[int], list[int]]:
    """The prompt's tokens and the answer's, which together are cut at `limit`."""
    encoded = encode({"prompt": prompt, "completion": answer}, tokenizer, system_prompt)
    counts["longest"] = max(counts["longest"], len(encoded["input_ids"]))
    counts["cut"] += len(encoded["input_ids"]) > limit
    asked = encoded["labels"].count(IGNORED)
    return encoded["input_ids"][:asked], encoded["input_ids"][asked:limit]
