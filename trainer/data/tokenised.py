"""A run's rows as tokens: written once to a file that is mapped into memory, so that a million rows take none of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.data import manifest, prepare
from trainer.data.records import DataError
from trainer.data.rows import Row
from trainer.data.sources import Progress
from trainer.data.tokens import IGNORED, encode
from trainer.sections import RunConfig, TaskSection

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

_EVERY = 1000  # rows between two words on progress


@dataclass
class Prepared:
    """Tokenised rows, the manifest, and what a reader of the run should be told.

    Columns: `input_ids`, `labels` (int32 lists), `general` (whether the row is mixed in against forgetting), `length`.
    """

    train: Dataset
    validation: Dataset
    manifest: manifest.RunManifest
    warnings: list[str]


def tokenise(run: RunConfig, tokenizer: PreTrainedTokenizerBase, progress: Progress | None = None) -> Prepared:
    """Prepare a run's data and turn it into tokens; the same run file and sources give the same rows in the same order.

    Rows longer than `schedule.max_length` are cut at their end, and counted. Raises `DataError` where a source cannot
    be used or where no answer's token would be trained.
    """
    report = progress or (lambda stage, done, total: None)
    data = prepare.prepare(run, report)
    folder = data.folder / "tokens" / _key(run, tokenizer)
    if not (folder / "counts.json").exists():
        partial = folder.with_name(f"{folder.name}.part")
        partial.mkdir(parents=True, exist_ok=True)
        counts = {}
        for side, parts in (("train", ("train", "general")), ("validation", ("validation",))):
            rows = ((row, part == "general") for part in parts for row in data.rows(part))
            total = data.manifest.train_rows if side == "train" else data.manifest.validation_rows
            counts[side] = _write(partial / f"{side}.arrow", rows, run, tokenizer, total, report)
        (partial / "counts.json").write_text(json.dumps(counts))
        partial.rename(folder)
    return _opened(run, data, folder)


def token_counter(model: str, progress: Progress | None = None) -> Callable[[Row], tuple[int, int]]:
    """Counts a row's trained tokens and all its tokens, as this base model's tokenizer and template make them."""
    from trainer import models

    tokenizer = models.load_tokenizer(model, progress)
    system_prompt = TaskSection().system_prompt

    def count(row: Row) -> tuple[int, int]:
        labels = encode(row, tokenizer, system_prompt)["labels"]
        return sum(label != IGNORED for label in labels), len(labels)

    return count


def _opened(run: RunConfig, data: prepare.Data, folder: Path) -> Prepared:
    from datasets import Dataset

    counts = json.loads((folder / "counts.json").read_text())
    train = Dataset.from_file(str(folder / "train.arrow"))
    validation = Dataset.from_file(str(folder / "validation.arrow"))
    limit, read = run.schedule.max_length, counts["train"]
    if not len(train) or not len(validation):
        raise DataError(
            f"No answer fits into schedule.max_length ({limit} tokens): nothing would be trained. Raise it."
        )
    made = data.manifest
    warnings = list(made.notes)
    rejected = sum(source.rows_rejected for source in made.sources)
    if rejected:
        warnings.append(f"{rejected} rows could not be used or were there twice; they are in {data.rejected}.")
    if read["cut"]:
        warnings.append(
            f"{read['cut']} of {read['rows']} rows are longer than schedule.max_length ({limit} tokens) and were cut; "
            f"the longest has {read['longest']}."
        )
    if read["untrained"]:
        warnings.append(f"{read['untrained']} rows had no answer left within schedule.max_length; they are left out.")
    if read["bad"]:
        warnings.append(f"{read['bad']} answers are marked as bad and are not learnt from in supervised tuning.")
    told = manifest.RunManifest(
        **made.model_dump(),
        trained_tokens=read["trained"],
        all_tokens=read["tokens"],
        longest_row=read["longest"],
        cut_rows=read["cut"],
    )
    return Prepared(train=train, validation=validation, manifest=told, warnings=warnings)


def _key(run: RunConfig, tokenizer: PreTrainedTokenizerBase) -> str:
    vocabulary = hashlib.sha256(json.dumps(tokenizer.get_vocab(), sort_keys=True).encode()).hexdigest()
    parts = [vocabulary, str(tokenizer.chat_template), run.task.system_prompt, run.schedule.max_length]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _write(
    path: Path,
    rows: Iterable[tuple[Row, bool]],
    run: RunConfig,
    tokenizer: PreTrainedTokenizerBase,
    total: int,
    report: Progress,
) -> dict[str, int]:
    """Write one side; returns its counts of rows, tokens, trained tokens, cut, untrained and bad rows."""
    from datasets import Features, List, Value
    from datasets.arrow_writer import ArrowWriter

    limit = run.schedule.max_length
    names = ("rows", "tokens", "trained", "longest", "cut", "untrained", "bad")
    counts: dict[str, int] = {name: 0 for name in names}
    numbers = List(Value("int32"))
    columns = {"input_ids": numbers, "labels": numbers, "general": Value("bool"), "length": Value("int32")}
    with ArrowWriter(path=str(path), features=Features(columns)) as out:
        for row, general in rows:
            if row.get("label") is False:
                counts["bad"] += 1
                continue
            encoded = encode(row, tokenizer, run.task.system_prompt)
            counts["rows"] += 1
            counts["longest"] = max(counts["longest"], len(encoded["input_ids"]))
            counts["cut"] += len(encoded["input_ids"]) > limit
            tokens, labels = encoded["input_ids"][:limit], encoded["labels"][:limit]
            trained = sum(label != IGNORED for label in labels)
            if not trained:
                counts["untrained"] += 1
                continue
            counts["tokens"] += len(tokens)
            counts["trained"] += trained
            out.write({"input_ids": tokens, "labels": labels, "general": general, "length": len(tokens)})
            if counts["rows"] % _EVERY == 0:
                report("turning rows into tokens", counts["rows"], total)
        out.finalize()
    return counts
