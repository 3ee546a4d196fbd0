"""What a run is trained on: sources, patient data, validation, replay; and how long the rows are."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel

from assistant.planner import starter_run
from assistant.planner.advice_models import Reason
from assistant.planner.answers import Answers, holds_patient_data, uses_starter
from trainer.catalogue.datasets import data_set
from trainer.config import ConfigError, path_of
from trainer.data import recipes, task_templates
from trainer.data.loading import read_rows
from trainer.data.reading.files import read_records
from trainer.data.records import DataError, Record
from trainer.data.rows import Kind, Row, kind_of, texts
from trainer.data.sources import locate
from trainer.data_sections import DataSource
from trainer.sections import RunConfig

_MEDICAL_SHARES = {"high": 0.95, "moderate": 0.8, "low": 0.6}
_ROWS_LOOKED_AT = 300
"""Enough for the lengths, and read in a few milliseconds; the data page reads all."""
_ROWS_FOR_A_TEST = 500
"""Of which a tenth, 50, is the least that says anything; below, every row is wanted for training."""
_LARGEST_JSON = 5_000_000
"""Bytes of a JSON file that is read for its lengths: such a file can only be read whole."""
CHARACTERS_PER_TOKEN = 3.0
"""On the careful side of what the embedded model's tokenizer gives: 4.1 for prose, 2.2 for rows of lab values."""
TEMPLATE_TOKENS = 40
"""The system prompt and the marks of the turns."""


class DataFound(BaseModel):
    """What is known of the rows; None where nothing is."""

    rows: int | None
    row_tokens: float | None
    """Mean length in tokens."""
    long_row_tokens: int | None
    """Length within which 98 % of the rows are."""
    levels: bool
    """Whether most rows tell their level of difficulty (lecture L2.7)."""
    kind: Kind | None
    """What most rows are: answers, pairs of a better and a worse one, or answers that are good or bad."""
    reasons: list[Reason]


def data(config: RunConfig, answers: Answers) -> DataFound:
    """Set sources, patient data, validation and replay; what is known of the rows is returned with the reasons."""
    rows, found = answers.examples, _NOTHING
    row_tokens = None
    published = data_set(answers.dataset or "")
    reasons: list[Reason] = []
    if answers.dataset is not None and uses_starter(answers):
        config.data.sources = starter_run.starter_data(answers.dataset)
        config.evaluation.held_out = starter_run.starter_held_out(answers.dataset)
        config.evaluation.sample_prompts = list(starter_run.SAMPLE_PROMPTS)
        rows, row_tokens = starter_run.starter_rows(config.data.sources), starter_run.ROW_TOKENS
        why = "The set that ships with Bedside: written for it, with no patient data."
        reasons.append(
            Reason(
                field="data.sources",
                value=[source.name for source in config.data.sources],
                why=why,
                source="examples/data",
            )
        )
        names = [f"{held_out.name} ({held_out.items})" for held_out in config.evaluation.held_out]
        why = "Never trained on; base, prompted base and tuned model are scored on them."
        if names:
            reasons.append(Reason(field="evaluation.held_out", value=", ".join(names), why=why, source="lecture L3.20"))
        why = "Answered now and then during training, so that the change can be seen."
        reasons.append(
            Reason(
                field="evaluation.sample_prompts",
                value=len(config.evaluation.sample_prompts),
                why=why,
                source="lecture L3.11",
            )
        )
    elif published is not None:
        config.data.sources = [DataSource(name=published.name, rows=None)]
        rows = rows or published.rows
        why = (
            f"The published set that you named. {published.notes} {published.facts()} {published.restriction()}".strip()
        )
        reasons.append(Reason(field="data.sources", value=[published.name], why=why, source=published.source))
    elif answers.dataset is not None and recipes.is_recipe(answers.dataset):
        why = "Set up on the Data page, as are the other values of this section that have no reason here."
        try:
            config.data = recipes.load(path_of(answers.dataset))
        except ConfigError as error:
            why = f"{error} Bring the data again on the Data page."
        names = [source.name for source in config.data.sources]
        if names:
            found = _file(names[0])
            rows, row_tokens = rows or found.rows, found.row_tokens
        reasons.append(Reason(field="data.sources", value=names, why=why, source="your data"))
    elif answers.dataset is not None:
        config.data.sources = [DataSource(name=answers.dataset, rows=None)]
        why = "The file that you named."
        found = _file(answers.dataset)
        row_tokens = found.row_tokens
        if row_tokens is not None:
            why += f" Its first rows have about {row_tokens:.0f} tokens on average; 98 % are within about "
            why += f"{found.long_row_tokens}."
        reasons.append(Reason(field="data.sources", value=[answers.dataset], why=why, source="your answer"))
        rows = rows or found.rows
    else:
        why = "No file has been named yet; the run can start once one is, or with the starter data."
        reasons.append(Reason(field="data.sources", value=[], why=why, source="your answer"))
    reasons += _patient_data(config, answers, published is not None)
    tiny_budget = starter_run.is_default_run(config, answers)
    why = "10-20 % are kept for the validation loss; the low end leaves more to train on."
    if tiny_budget:
        config.data.validation_share = starter_run.VALIDATION_SHARE
        why = (
            "Half of the usual 10-20 %: the starter sets have held-out files of their own, and five minutes are short."
        )
    elif answers.dataset is None or not recipes.is_recipe(answers.dataset):
        config.data.validation_share = 0.1
    share = config.data.validation_share
    reasons.append(Reason(field="data.validation_share", value=share, why=why, source="lecture L3.11"))
    reasons += _test_side(config, answers, rows)
    usual = starter_run.REPLAY_SHARE if tiny_budget else 0.1
    config.steering.replay_share = round(1 - _MEDICAL_SHARES[answers.adaptation], 2) if answers.adaptation else usual
    if answers.adaptation:
        why, source = (
            f"{answers.adaptation.capitalize()} adaptation: {_MEDICAL_SHARES[answers.adaptation]:.0%} medical text.",
            "lecture L2.10",
        )
    elif tiny_budget:
        why = "Less than the usual 10-20 %: most rows here are a line long, and a general answer is not."
        source = "lecture L2.8"
    else:
        why = "General text against forgetting: 10-20 %, of which the low end (L2.10 takes 20 % as its baseline)."
        source = "lecture L2.8"
    reasons.append(Reason(field="steering.replay_share", value=config.steering.replay_share, why=why, source=source))
    return DataFound(
        rows=rows,
        row_tokens=row_tokens,
        long_row_tokens=found.long_row_tokens,
        levels=found.levels,
        kind="prompt_completion" if uses_starter(answers) or published is not None else found.kind,
        reasons=reasons,
    )


def fitting_template(name: str, task: str) -> str | None:
    """The built-in template of a task whose needed fields are all columns of this file; None where none is."""
    path = path_of(name)
    try:
        first = next((one for one in read_records(path) if isinstance(one, Record)), None) if path.is_file() else None
    except (DataError, OSError):
        return None
    columns = {task_templates.column_name(column) for column in first.values} if first else set()
    fitting = (one for one in task_templates.builtin() if one.task == task and set(one.needs) <= columns)
    return next((one.name for one in fitting), None)


def _patient_data(config: RunConfig, answers: Answers, published: bool) -> list[Reason]:
    """Whether the rows may identify a person, and what is done about it (lecture L3.20)."""
    config.data.contains_phi = holds_patient_data(answers)
    unsaid = "It is published, and not about patients." if published else "The starter data is synthetic."
    why = {
        False: unsaid if answers.contains_phi is None else "You said that it holds none.",
        True: "You said that it does, so what identifies a person is taken out before anything is trained.",
        None: "Not known, so it is treated as if it did.",
    }[config.data.contains_phi]
    source = "lecture L3.20"
    reasons = [Reason(field="data.contains_phi", value=config.data.contains_phi, why=why, source=source)]
    if config.data.contains_phi is not False:
        why = {
            "mask": "Names, dates, numbers and places become marks such as [NAME]; nothing invented gets in.",
            "surrogate": "Identifiers become invented ones, the same within a patient; dates move by one offset.",
            "drop": "A row with an identifier in it is left out.",
            "off": f"Nothing is taken out: {config.data.not_deidentified_because}",
        }[config.data.deidentify]
        source = "HIPAA Safe Harbor, 45 CFR 164.514(b)(2); lecture L3.20"
        reasons.append(Reason(field="data.deidentify", value=config.data.deidentify, why=why, source=source))
    return reasons


def _test_side(config: RunConfig, answers: Answers, rows: int | None) -> list[Reason]:
    """Rows for a last test, where the data is one's own and large enough to spare them."""
    own = answers.dataset is not None and not uses_starter(answers) and not recipes.is_recipe(answers.dataset)
    if not own or rows is None or rows < _ROWS_FOR_A_TEST:
        return []
    config.data.test_share = 0.1
    why = "A tenth is kept aside and never looked at before the last test; validation rows decide when to stop."
    return [Reason(field="data.test_share", value=0.1, why=why, source="lecture L3.20")]


class _File(BaseModel):
    """What the first rows of a file tell; None where it cannot be read."""

    rows: int | None = None
    row_tokens: float | None = None
    long_row_tokens: int | None = None
    levels: bool = False
    kind: Kind | None = None


_NOTHING = _File()


def _file(name: str) -> _File:
    path = path_of(name)
    try:
        found = path.stat()
    except OSError:
        return _NOTHING
    return _read_once(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=8)
def _read_once(path: Path, changed: int, size: int) -> _File:
    # A reply plans several times, for the alternatives too; the file is the same for all of them.
    found = _File(rows=_lines(path))
    try:
        if path.suffix.lower() == ".json" and size > _LARGEST_JSON:
            return found
        rows, _ = read_rows(DataSource(name=str(path)), locate(str(path)), _ROWS_LOOKED_AT)
    except (DataError, OSError):
        return found
    lengths = sorted(characters(row) / CHARACTERS_PER_TOKEN + TEMPLATE_TOKENS for row in rows)
    found.row_tokens = sum(lengths) / len(lengths)
    found.long_row_tokens = round(lengths[min(len(lengths) - 1, int(0.98 * len(lengths)))])
    kinds: list[Kind] = [kind_of(row) for row in rows]
    found.kind = max(kinds, key=kinds.count)
    found.levels = sum("level" in row.get("about", {}) for row in rows) > len(rows) / 2
    return found


def characters(row: Row) -> int:
    """Of a row as the model reads it; of a pair, with the longer of its answers."""
    answers = [sum(len(message["content"]) for message in row.get(name, [])) for name in ("chosen", "rejected")]
    return sum(map(len, texts(row))) - min(answers)


def _lines(path: Path) -> int | None:
    """Rows of a JSONL or CSV file that is there and not huge, for the estimate; the data page counts properly."""
    try:
        if path.suffix.lower() not in {".jsonl", ".ndjson", ".csv"} or path.stat().st_size > 50_000_000:
            return None
        lines = path.read_bytes().count(b"\n")
    except OSError:
        return None
    return max(1, lines - (path.suffix.lower() == ".csv"))
