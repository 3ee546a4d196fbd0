"""A run's rows as tokens: written once to a file that is mapped into memory, so that a million rows take none of it."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.data import manifest, pairs, prepare
from trainer.data.perturbed import clean_twin
from trainer.data.records import DataError
from trainer.data.rows import LEVELS, Row
from trainer.data.sources import Progress
from trainer.data.tokens import IGNORED, encode
from trainer.sections import RunConfig, TaskSection

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

_EVERY = 1000  # rows between two words on progress
_SIDES = {"train": ("train", "general"), "validation": ("validation",), "general_validation": ("general_validation",)}
_COLUMNS = {
    "general": "bool",
    "length": "int32",
    "task": "int32",
    "specialty": "int32",
    "level": "int32",
    "row": "int32",
}
_COUNTS = (
    "rows",
    "kept rows",
    "kept",
    "tokens",
    "trained",
    "longest",
    "cut",
    "unfit",
    "untrained",
    "alike",
    "good",
    "bad answers",
    "bad",
    "without level",
)
"""What is counted of each side; `kept` counts what is trained on, of which a row may give two."""


@dataclass
class Prepared:
    """Tokenised rows, the manifest, and what a reader of the run should be told.

    Columns of all three sets: `input_ids`, `labels` (int32 lists; for objectives that learn from preferences those of
    `trainer.data.pairs`), `general` (whether the row is mixed in against forgetting), `length` in tokens, `row` (its
    number in the prepared rows of its side, the training rows before the general ones), and `task`, `specialty` and
    `level`: indices into the lists of the same names, -1 where that is not known, where no training row has it, and in
    general rows. Where `method.per` is not run, also `group`, an index into `groups`: every row has one. Where
    `adversarial.consistency` is on, also `twin`: the tokens of a disturbed row with its clean question, empty for every
    other row, and where either is longer than `schedule.max_length`.
    """

    train: Dataset
    validation: Dataset
    general_validation: Dataset
    """General rows that are never trained on; without a row where none were left."""
    manifest: manifest.RunManifest
    warnings: list[str]
    tasks: list[str] = field(default_factory=list)
    """Tasks of the training rows, sorted."""
    specialties: list[str] = field(default_factory=list)
    """Specialties of the training rows, sorted."""
    levels: list[str] = field(default_factory=list)
    """Levels of the training rows, in the order of `LEVELS` (lecture L2.7)."""
    groups: list[str] = field(default_factory=list)
    """`tasks` or `specialties`, where `method.per` gives each of them weights of its own; else empty."""


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
        names = _names(data.rows("train"), bad_too=pairs.learns_from(run) == "judged answers")
        made = data.manifest
        totals = {"train": made.train_rows, "validation": made.validation_rows}
        counts = {}
        for side, parts in _SIDES.items():
            rows = ((row, part.startswith("general")) for part in parts for row in data.rows(part))
            path = partial / f"{side}.arrow"
            counts[side] = _write(path, rows, names, run, tokenizer, totals.get(side, 0), report)
        (partial / "counts.json").write_text(json.dumps({**counts, "names": names}))
        partial.rename(folder)
    return _opened(run, data, folder)


def padded(rows: Dataset, tokenizer: PreTrainedTokenizerBase, device: Any) -> dict[str, torch.Tensor]:
    """`input_ids`, `attention_mask` and `labels` (rows, longest of them), padded on the right, as in training.

    Of a pair the chosen answer.
    """
    import torch

    lines = pairs.whole(rows)

    def together(column: str, filled: Any) -> torch.Tensor:
        tensors = [torch.tensor(one[column], dtype=torch.long) for one in lines]
        return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=filled).to(device)

    ids = together("input_ids", tokenizer.pad_token_id)
    lengths = torch.tensor([len(one["input_ids"]) for one in lines], device=device)
    mask = (torch.arange(ids.shape[1], device=device) < lengths[:, None]).long()
    return {"input_ids": ids, "attention_mask": mask, "labels": together("labels", IGNORED)}


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
    train, validation, general_validation = (Dataset.from_file(str(folder / f"{side}.arrow")) for side in _SIDES)
    limit, read = run.schedule.max_length, counts["train"]
    told_of_preferences = pairs.check(run, {"train on": read, "validate on": counts["validation"]})
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
    warnings += told_of_preferences
    if read["untrained"] and pairs.learns_from(run) == "answers":
        warnings.append(f"{read['untrained']} rows had no answer left within schedule.max_length; they are left out.")
    if read["bad"]:
        warnings.append(f"{read['bad']} answers are marked as bad and are not learnt from in supervised tuning.")
    names, without_level = counts["names"], read["without level"]
    if run.steering.curriculum != "off" and without_level:
        warnings.append(
            f"{without_level} of {len(train)} rows have no level, as tasks such as extraction and classification have "
            f"none: they are dealt out evenly to the levels that there are ({', '.join(names['level']) or 'none'})."
        )
    groups: list[str] = []
    per = getattr(run.method, "per", "run")
    if per != "run":
        groups = names[per]
        train, validation, general_validation = _grouped(per, groups, train, validation, general_validation, warnings)
    told = manifest.RunManifest(
        **made.model_dump(),
        trained_tokens=read["trained"],
        all_tokens=read["tokens"],
        longest_row=read["longest"],
        cut_rows=read["cut"],
    )
    return Prepared(
        train=train,
        validation=validation,
        general_validation=general_validation,
        manifest=told,
        warnings=warnings,
        tasks=names["task"],
        specialties=names["specialty"],
        levels=names["level"],
        groups=groups,
    )


def _names(rows: Iterable[Row], bad_too: bool) -> dict[str, list[str]]:
    """The tasks, specialties and levels of the rows that are learnt from, in the order in which they are counted.

    `bad_too`: also from answers that are marked as bad.
    """
    found: dict[str, set[str]] = {"task": set(), "specialty": set(), "level": set()}
    for row in rows:
        if bad_too or row.get("label") is not False:
            for column, names in found.items():
                names.add(str(row.get("about", {}).get(column) or ""))
    return {
        "task": sorted(found["task"] - {""}),
        "specialty": sorted(found["specialty"] - {""}),
        "level": [level for level in LEVELS if level in found["level"]],
    }


def _grouped(
    per: str, groups: list[str], train: Dataset, validation: Dataset, general: Dataset, warnings: list[str]
) -> tuple[Dataset, Dataset, Dataset]:
    """The sets with a column `group`: general rows are dealt out in turn, a row of no group goes to the largest."""
    own = [group for group, mixed_in in zip(train[per][:], train["general"][:], strict=True) if not mixed_in]
    if not groups:
        raise DataError(
            f"method.per is {per}, and no row's {per} is known; say it in a column of that name, or set method.per to "
            "run."
        )
    largest = max(range(len(groups)), key=own.count)
    if unknown := own.count(-1):
        warnings.append(
            f"{unknown} of {len(own)} rows have no {per}: they are trained with the largest group, {groups[largest]}."
        )

    def group_of(rows: Dataset) -> list[int]:
        turn = itertools.cycle(range(len(groups)))
        return [
            next(turn) if mixed_in else largest if group < 0 else group
            for group, mixed_in in zip(rows[per][:], rows["general"][:], strict=True)
        ]

    sets = (rows.add_column("group", group_of(rows)) for rows in (train, validation, general))
    return tuple(sets)  # pyright: ignore


def _key(run: RunConfig, tokenizer: PreTrainedTokenizerBase) -> str:
    vocabulary = hashlib.sha256(json.dumps(tokenizer.get_vocab(), sort_keys=True).encode()).hexdigest()
    parts = [vocabulary, str(tokenizer.chat_template), run.task.system_prompt, run.schedule.max_length, list(_COLUMNS)]
    parts += ["twin"] if run.adversarial.consistency else []
    learning = pairs.learns_from(run)
    parts += [] if learning == "answers" else [learning]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _write(
    path: Path,
    rows: Iterable[tuple[Row, bool]],
    known: dict[str, list[str]],
    run: RunConfig,
    tokenizer: PreTrainedTokenizerBase,
    total: int,
    report: Progress,
) -> dict[str, int]:
    """Write one side; returns its counts: rows that were read and kept, and what `trainer.data.pairs` counts."""
    from datasets import Features, List, Value
    from datasets.arrow_writer import ArrowWriter

    learning = pairs.learns_from(run)
    counts = Counter[str]({name: 0 for name in _COUNTS})
    numbers = List(Value("int32"))
    columns: dict[str, Any] = {name: numbers for name in pairs.TOKENS[learning]}
    columns |= {name: Value(kind) for name, kind in _COLUMNS.items()}
    with_twins = run.adversarial.consistency > 0
    if with_twins:
        columns["twin"] = numbers
    if learning == "judged answers":
        columns["label"] = Value("bool")
    encoders = {"answers": _answer, "pairs": pairs.pair, "judged answers": pairs.judged_answers}
    places = {column: {name: place for place, name in enumerate(names)} for column, names in known.items()}
    with ArrowWriter(path=str(path), features=Features(columns)) as out:
        for number, (row, general) in enumerate(rows):
            if learning == "answers" and row.get("label") is False:
                counts["bad"] += 1
                continue
            counts["rows"] += 1
            found = encoders[learning](row, tokenizer, run.task.system_prompt, run.schedule.max_length, counts)
            counts["kept rows"] += bool(found)
            about: dict[str, Any] = {} if general else dict(row.get("about", {}))
            told: dict[str, Any] = {column: places[column].get(about.get(column, ""), -1) for column in places}
            told |= {"general": general, "row": number}
            if with_twins and found:
                told["twin"] = _twin(row, tokenizer, run.task.system_prompt, run.schedule.max_length)
            for one in found:
                counts["kept"] += 1
                counts["without level"] += not general and told["level"] < 0
                out.write({**told, **one})
            if counts["rows"] % _EVERY == 0:
                report("turning rows into tokens", counts["rows"], total)
        out.finalize()
    return dict(counts)


def _answer(
    row: Row, tokenizer: PreTrainedTokenizerBase, system_prompt: str, limit: int, counts: Counter[str]
) -> list[dict[str, Any]]:
    """The columns of a row whose answer is learnt; none where no token of it stands within `limit`."""
    encoded = encode(row, tokenizer, system_prompt)
    counts["longest"] = max(counts["longest"], len(encoded["input_ids"]))
    counts["cut"] += len(encoded["input_ids"]) > limit
    tokens, labels = encoded["input_ids"][:limit], encoded["labels"][:limit]
    trained = sum(label != IGNORED for label in labels)
    if not trained:
        counts["untrained"] += 1
        return []
    counts["tokens"] += len(tokens)
    counts["trained"] += trained
    return [{"input_ids": tokens, "labels": labels, "length": len(tokens)}]


def _twin(row: Row, tokenizer: PreTrainedTokenizerBase, system_prompt: str, limit: int) -> list[int]:
    """The tokens of a disturbed row with its clean question; empty where it is not disturbed, or either is too long."""
    clean = clean_twin(row)
    if not clean or len(encode(row, tokenizer, system_prompt)["input_ids"]) > limit:
        return []
    tokens = encode(clean, tokenizer, system_prompt)["input_ids"]
    return tokens if len(tokens) <= limit else []
