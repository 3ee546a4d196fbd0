"""A run's data, ready for the trainer: read, split, mixed with replay, tokenised, and written down in a manifest."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel

from trainer.config import RunConfig
from trainer.data.records import DataError
from trainer.data.rows import Row, row_id
from trainer.data.sources import STARTER_PREFIX, file_hash, path_of, read_rows
from trainer.data.tokens import IGNORED, Encoded, encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REPLAY_SOURCE = "starter/general"


class SourceRecord(BaseModel):
    """One source as it was used. The hash is of the file's bytes."""

    name: str
    path: str
    licence: str
    sha256: str
    rows_used: int
    role: str


class Manifest(BaseModel):
    """What a run was trained on; `train_ids` and `validation_ids` are hashes of the rows' content, in order."""

    sources: list[SourceRecord]
    contains_phi: bool | None
    train_rows: int
    validation_rows: int
    replay_rows: int
    trained_tokens: int
    all_tokens: int
    longest_row: int
    cut_rows: int
    train_ids: list[str]
    validation_ids: list[str]


@dataclass
class Prepared:
    """Tokenised rows and their manifest, and what a reader of the run should be told."""

    train: list[Encoded]
    validation: list[Encoded]
    manifest: Manifest
    warnings: list[str]


def split_rows(config: RunConfig) -> tuple[list[Row], list[Row], list[Row], list[SourceRecord]]:
    """The run's rows as (train, validation, replay) and a record of each source.

    Validation rows are drawn with the run's seed from every source by itself, so that each is represented; equal rows
    never fall on both sides. Raises `DataError` where a source cannot be used.
    """
    if not config.data.sources:
        raise DataError("data.sources is empty: name a file (JSONL, JSON, CSV or TSV), or the starter data.")
    seed = config.schedule.seed
    train: list[Row] = []
    validation: list[Row] = []
    records = []
    for source in config.data.sources:
        rows = read_rows(source.name, "train", source.rows, seed)
        records.append(_record(source.name, len(rows), "training"))
        distinct = list({row_id(row): row for row in rows}.values())
        random.Random(f"{seed}/split/{source.name}").shuffle(distinct)
        held_back = max(1, round(len(distinct) * config.data.validation_share)) if len(distinct) > 1 else 0
        validation += distinct[:held_back]
        train += distinct[held_back:]
    if not validation:
        raise DataError("The data holds a single row; at least two are needed, one of them to validate on.")
    validation_ids = {row_id(row) for row in validation}
    train = [row for row in train if row_id(row) not in validation_ids]
    replay: list[Row] = []
    share = config.steering.replay_share
    if share > 0:
        wanted = round(len(train) * share / (1 - share))
        replay = read_rows(REPLAY_SOURCE, "train")
        random.Random(f"{seed}/replay").shuffle(replay)
        replay = replay[:wanted]
        records.append(_record(REPLAY_SOURCE, len(replay), "replay"))
    return train, validation, replay, records


def prepare(config: RunConfig, tokenizer: PreTrainedTokenizerBase) -> Prepared:
    """Read, split, mix and tokenise a run's data; the same config and files give the same rows in the same order.

    Rows longer than `schedule.max_length` are cut at their end, and counted. Raises `DataError` where a source cannot
    be used or where no answer's token would be trained.
    """
    train, validation, replay, records = split_rows(config)
    warnings = []
    share = config.steering.replay_share
    real = len(replay) / (len(train) + len(replay))
    if share > 0 and real < share - 0.01:
        warnings.append(
            f"Replay of {share:.0%} was asked for; {REPLAY_SOURCE} has {len(replay)} rows, so that it is {real:.1%}."
        )
    mixed = train + replay
    random.Random(f"{config.schedule.seed}/order").shuffle(mixed)
    limit = config.schedule.max_length
    encoded = [encode(row, tokenizer, config.task.system_prompt) for row in mixed]
    checks = [encode(row, tokenizer, config.task.system_prompt) for row in validation]
    lengths = [len(row["input_ids"]) for row in encoded]
    cut = sum(length > limit for length in lengths)
    if cut:
        warnings.append(
            f"{cut} of {len(encoded)} rows are longer than schedule.max_length ({limit} tokens) and were cut; "
            f"the longest has {max(lengths)}."
        )
    encoded, checks = _cut(encoded, limit), _cut(checks, limit)
    if not encoded or not checks:
        raise DataError(
            f"No answer fits into schedule.max_length ({limit} tokens): nothing would be trained. Raise it."
        )
    manifest = Manifest(
        sources=records,
        contains_phi=config.data.contains_phi,
        train_rows=len(encoded),
        validation_rows=len(checks),
        replay_rows=len(replay),
        trained_tokens=sum(label != IGNORED for row in encoded for label in row["labels"]),
        all_tokens=sum(len(row["input_ids"]) for row in encoded),
        longest_row=max(lengths),
        cut_rows=cut,
        train_ids=[row_id(row) for row in mixed],
        validation_ids=[row_id(row) for row in validation],
    )
    return Prepared(train=encoded, validation=checks, manifest=manifest, warnings=warnings)


def _cut(rows: list[Encoded], limit: int) -> list[Encoded]:
    cut = [Encoded(input_ids=row["input_ids"][:limit], labels=row["labels"][:limit]) for row in rows]
    return [row for row in cut if any(label != IGNORED for label in row["labels"])]


def _record(name: str, rows: int, role: str) -> SourceRecord:
    path = path_of(name, "train")
    licence = "Apache-2.0 (written for Bedside)" if name.startswith(STARTER_PREFIX) else "the user's own"
    return SourceRecord(name=name, path=str(path), licence=licence, sha256=file_hash(path), rows_used=rows, role=role)
