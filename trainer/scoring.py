"""What a finished run is worth: held-out sets and forgetting, for base, prompted base and tuned model."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from evaluators import forgetting, held_out
from evaluators.metrics import Proportion, proportion
from trainer.data.formats import Detection, detect, to_row
from trainer.data.loading import LOOKED_AT
from trainer.data.prepare import prepare
from trainer.data.reading.files import read_records
from trainer.data.records import DataError, Fault, Record
from trainer.data.rows import Row, RowError, answer
from trainer.data.sources import STARTER_FOLDER, STARTER_PREFIX, Split, locate
from trainer.data.tokens import conversation
from trainer.evaluation.respondent import KeptRespondent
from trainer.events import Points
from trainer.report import BeforeAfter, Forgetting
from trainer.sections import HeldOutSet, RunConfig
from trainer.tuned import Tuned

EXAMPLES = 2  # worked examples in the prompted base's prompt


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


def score(
    config: RunConfig, tuned: Tuned, progress: Callable[[str, int, int], None]
) -> tuple[list[held_out.Row], Forgetting | None]:
    """Score the run's held-out sets, and general questions where it measures forgetting; as it was saved.

    On each set the base, the base with worked examples in its prompt, and the tuned model answer the same items
    greedily. The examples come from the training split, never from the held-out one. All that the base has to do comes
    first: of a fully tuned model it is loaded by itself. What a base has answered for another run is not asked again.
    """
    sets = [_prepare(config, chosen, tuned) for chosen in config.evaluation.held_out]
    general: list[_General] = []
    for side in (False, True):
        for one in sets:
            _answer(one, tuned, side, progress)
        if config.evaluation.forgetting:
            general.append(_ask_general(config, tuned, side, progress))
    rows = [
        held_out.Row(
            name=one.chosen.name,
            metric=one.chosen.metric,
            n=len(one.items),
            majority=held_out.majority(one.items) if one.chosen.metric == "label" else None,
            **one.scores,
        )
        for one in sets
    ]
    return rows, _forgetting(*general) if general else None


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


@dataclass
class _Set:
    """A held-out set as its items are asked; `scores` fills up as they are answered."""

    chosen: HeldOutSet
    items: list[held_out.Item]
    prompted: list[list[dict[str, str]]]
    limit: int
    adapters: list[str]
    scores: dict[str, Proportion]


def _prepare(config: RunConfig, chosen: HeldOutSet, tuned: Tuned) -> _Set:
    items = read_items(chosen.name, "heldout", config.task.system_prompt)
    if chosen.items < len(items):
        items = random.Random(f"{config.schedule.seed}/{chosen.name}").sample(items, chosen.items)
    examples = worked_examples(config, chosen.name)
    prompted = [held_out.with_examples(item, examples) for item in items]
    # Longer than every reference by a quarter: an answer that runs on past that is no match, and would only cost time.
    longest = max(len(tuned.tokenizer(item.reference)["input_ids"]) for item in items)
    limit = min(config.evaluation.max_new_tokens, longest + longest // 4 + 4)
    asked: list[Row] = [{"prompt": item.prompt} for item in items]
    return _Set(chosen, items, prompted, limit, tuned.adapters_for(asked), {})


def _answer(one: _Set, tuned: Tuned, side: bool, progress: Callable[[str, int, int], None]) -> None:
    plain = [item.prompt for item in one.items]
    ways = {"tuned": plain} if side else {"base": plain, "prompted": one.prompted}
    respondent = KeptRespondent(tuned, side, one.adapters if side else [])
    for way, conversations in ways.items():

        def report(done: int, total: int, stage: str = f"scoring {one.chosen.name}, {way}") -> None:
            progress(stage, done, total)

        answers = respondent.answer(conversations, one.limit, report)
        one.scores[way] = held_out.score(one.items, answers, one.chosen.metric)


@dataclass
class _General:
    """What one side makes of the general questions: whether each is right, and the perplexity of general text."""

    kinds: list[str]
    right: list[bool]
    perplexity: float


def _ask_general(config: RunConfig, tuned: Tuned, side: bool, progress: Callable[[str, int, int], None]) -> _General:
    questions = [forgetting.Question.model_validate(row) for row in _starter("questions")]
    texts = [row["text"] for row in _starter("text")]
    progress("asking general questions", int(side), 2)
    tuned.choose([])
    model, tokenizer = tuned.side(side), tuned.tokenizer
    choices = forgetting.choose_options(model, tokenizer, questions, config.task.system_prompt, side)
    right = [one.answer == choice for one, choice in zip(questions, choices, strict=True)]
    found = _General([one.kind for one in questions], right, forgetting.perplexity(model, tokenizer, texts, side))
    progress("asking general questions", 1 + int(side), 2)
    return found


def _forgetting(before: _General, after: _General) -> Forgetting:
    share = [proportion(sum(one.right), len(one.right)) for one in (before, after)]
    return Forgetting(
        questions_before=share[0],
        questions_after=share[1],
        points_lost=100 * (share[0].score - share[1].score),
        kinds={
            kind: Points.of(
                *(
                    [right for right, own in zip(one.right, one.kinds, strict=True) if own == kind]
                    for one in (before, after)
                )
            )
            for kind in sorted(set(before.kinds))
        },
        perplexity=BeforeAfter(before=before.perplexity, after=after.perplexity),
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
