"""What a finished run is worth: held-out sets and forgetting, for base, prompted base and tuned model."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from evaluators import forgetting, generation, held_out
from evaluators.metrics import Proportion
from trainer.data.formats import Detection, detect, to_row
from trainer.data.loading import LOOKED_AT
from trainer.data.prepare import prepare
from trainer.data.reading.files import read_records
from trainer.data.records import DataError, Fault, Record
from trainer.data.rows import Row, RowError, answer
from trainer.data.sources import STARTER_FOLDER, STARTER_PREFIX, Split, locate
from trainer.data.tokens import conversation
from trainer.sections import HeldOutSet, RunConfig
from trainer.sizing import Range

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase

EXAMPLES = 2  # worked examples in the prompted base's prompt


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
    perplexity: BeforeAfter


class Report(BaseModel):
    """`report.json` of a run. `table` compares base, prompted base and tuned model on held-out questions."""

    table: list[held_out.Row]
    validation_loss: BeforeAfter
    forgetting: Forgetting | None
    model_origin: str
    weights_sha256: str
    trainable_share: float
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


def read_items(name: str, split: Split, system_prompt: str) -> list[held_out.Item]:
    """A set's questions as evaluation items; `label` and `options` are taken from the rows where they have them.

    Raises `DataError` where a row cannot be used: a score has to be of all of them.
    """
    path = locate(name, split).path
    found = list(read_records(path))
    faults = [one for one in found if isinstance(one, Fault)]
    if faults:
        raise DataError(f"{path.name}: {faults[0]}.")
    records = [one for one in found if isinstance(one, Record)]
    detection = detect([one.values for one in records[:LOOKED_AT]])
    return [_item(path, one, detection, system_prompt) for one in records]


def compare(
    config: RunConfig,
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    progress: Callable[[str, int, int], None],
) -> list[held_out.Row]:
    """Score every held-out set of the run: the base, the base with worked examples in its prompt, and the tuned model.

    All three answer the same items greedily. The examples come from the training split, never from the held-out one.
    """
    return [_compare_one(config, chosen, model, tokenizer, progress) for chosen in config.evaluation.held_out]


def measure_forgetting(
    config: RunConfig,
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    progress: Callable[[str, int, int], None],
) -> Forgetting:
    """General questions and text with the adapter off and on (lecture L2.9); no replay row is among them."""
    questions = [forgetting.Question.model_validate(row) for row in _starter("questions")]
    texts = [row["text"] for row in _starter("text")]
    accuracy, perplexity = [], []
    for tuned in (False, True):
        progress("asking general questions", int(tuned), 2)
        choices = forgetting.choose_options(model, tokenizer, questions, config.task.system_prompt, tuned)
        accuracy.append(forgetting.accuracy(questions, choices))
        perplexity.append(forgetting.perplexity(model, tokenizer, texts, tuned))
    progress("asking general questions", 2, 2)
    return Forgetting(
        questions_before=accuracy[0],
        questions_after=accuracy[1],
        points_lost=100 * (accuracy[0].score - accuracy[1].score),
        perplexity=BeforeAfter(before=perplexity[0], after=perplexity[1]),
    )


def worked_examples(config: RunConfig, name: str) -> list[held_out.Item]:
    """The examples that the prompted base is shown for a set: drawn with the run's seed, of different classes.

    A starter set has training rows of its own; for another they are rows that the run trained on, as they were
    prepared: whatever identified a patient is no longer in them.
    """
    system_prompt = config.task.system_prompt
    if name.startswith(STARTER_PREFIX):
        items = read_items(name, "train", system_prompt)
    else:
        items = [_trained_item(row, system_prompt) for row in islice(prepare(config).rows("train"), LOOKED_AT)]
    random.Random(f"{config.schedule.seed}/examples/{name}").shuffle(items)
    first = items[0]
    others = [item for item in items[1:] if item.label is None or item.label != first.label]
    return [first, *others[: EXAMPLES - 1]]


def _compare_one(
    config: RunConfig,
    chosen: HeldOutSet,
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    progress: Callable[[str, int, int], None],
) -> held_out.Row:
    items = read_items(chosen.name, "heldout", config.task.system_prompt)
    if chosen.items < len(items):
        items = random.Random(f"{config.schedule.seed}/{chosen.name}").sample(items, chosen.items)
    plain = [item.prompt for item in items]
    examples = worked_examples(config, chosen.name)
    prompted = [held_out.with_examples(item, examples) for item in items]
    # Longer than every reference by a quarter: an answer that runs on past that is no match, and would only cost time.
    longest = max(len(tokenizer(item.reference)["input_ids"]) for item in items)
    limit = min(config.evaluation.max_new_tokens, longest + longest // 4 + 4)
    scores = {}
    ways = [("base", plain, False), ("prompted", prompted, False), ("tuned", plain, True)]
    for index, (way, conversations, tuned) in enumerate(ways):
        stage = f"scoring {chosen.name}, {way}"

        def report(done: int, stage: str = stage, index: int = index) -> None:
            progress(stage, index * len(items) + done, len(ways) * len(items))

        answers = generation.answer_all(model, tokenizer, conversations, limit, tuned, report)
        scores[way] = held_out.score(items, answers, chosen.metric)
    return held_out.Row(
        name=chosen.name,
        metric=chosen.metric,
        n=len(items),
        majority=held_out.majority(items) if chosen.metric == "label" else None,
        **scores,
    )


def _trained_item(row: Row, system_prompt: str) -> held_out.Item:
    label = row.get("about", {}).get("label")
    return held_out.Item(prompt=conversation(row["prompt"], system_prompt), reference=answer(row), label=label)


def _item(path: Path, found: Record, detection: Detection, system_prompt: str) -> held_out.Item:
    record = found.values
    try:
        row = to_row(record, detection)
    except RowError as error:
        raise DataError(f"{path.name}: {found.place}, field {error.field}: {error}.") from None
    return held_out.Item(
        prompt=conversation(row["prompt"], system_prompt),
        reference=answer(row),
        label=record.get("label"),
        # Multiple choice brings its options as a mapping, which the question holds already.
        options=options if isinstance(options := record.get("options", []), list) else [],
    )


def _starter(name: str) -> list[dict[str, Any]]:
    lines = (STARTER_FOLDER / f"{name}.heldout.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
