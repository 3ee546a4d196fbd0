"""What a run is trained on: sources, patient data, validation, replay; and how long the rows are."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from pathlib import Path

from pydantic import BaseModel

from assistant.planner import starter_run
from assistant.planner.advice_models import Reason
from assistant.planner.answers import Answers, holds_patient_data, uses_starter
from trainer.catalogue.datasets import data_set
from trainer.config import DataSource, RunConfig
from trainer.data.formats import to_row
from trainer.data.records import DataError
from trainer.data.rows import RowError
from trainer.data.sources import read_records

_MEDICAL_SHARES = {"high": 0.95, "moderate": 0.8, "low": 0.6}
_ROWS_LOOKED_AT = 300
"""Enough for the lengths, and read in a few milliseconds; the data page reads all."""
_LARGEST_JSON = 5_000_000
"""Bytes of a JSON file that is read for its lengths: such a file can only be read whole."""
CHARACTERS_PER_TOKEN = 3.0
"""On the careful side of what the embedded model's tokenizer gives: 4.1 for prose, 2.2 for rows of lab values."""
_TEMPLATE_TOKENS = 40
"""The system prompt and the marks of the turns."""


class DataFound(BaseModel):
    """What is known of the rows; None where nothing is."""

    rows: int | None
    row_tokens: float | None
    """Mean length in tokens."""
    long_row_tokens: int | None
    """Length within which 98 % of the rows are."""
    reasons: list[Reason]


def data(config: RunConfig, answers: Answers) -> DataFound:
    """Set sources, patient data, validation and replay; what is known of the rows is returned with the reasons."""
    rows, row_tokens, long_row = answers.examples, None, None
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
        why = f"The published set that you named. {published.notes} {published.restriction()}".strip()
        reasons.append(Reason(field="data.sources", value=[published.name], why=why, source=published.source))
    elif answers.dataset is not None:
        config.data.sources = [DataSource(name=answers.dataset, rows=None)]
        why = "The file that you named."
        lines, lengths = _file(Path(answers.dataset).expanduser())
        if lengths is not None:
            row_tokens, long_row = lengths
            why += f" Its first rows have about {row_tokens:.0f} tokens on average; 98 % are within about {long_row}."
        reasons.append(Reason(field="data.sources", value=[answers.dataset], why=why, source="your answer"))
        rows = rows or lines
    else:
        why = "No file has been named yet; the run can start once one is, or with the starter data."
        reasons.append(Reason(field="data.sources", value=[], why=why, source="your answer"))
    config.data.contains_phi = holds_patient_data(answers)
    unsaid = "It is published, and not about patients." if published else "The starter data is synthetic."
    why = {
        False: unsaid if answers.contains_phi is None else "You said that it holds none.",
        True: "You said that it does; nothing is trained on it until it is de-identified, which Bedside cannot do yet.",
        None: "Not known; only a clear no can be trained on.",
    }[config.data.contains_phi]
    reasons.append(Reason(field="data.contains_phi", value=config.data.contains_phi, why=why, source="lecture L3.20"))
    tiny_budget = starter_run.is_default_run(config, answers)
    why = "10-20 % are kept for the validation loss; the low end leaves more to train on."
    config.data.validation_share = 0.1
    if tiny_budget:
        config.data.validation_share = starter_run.VALIDATION_SHARE
        why = (
            "Half of the usual 10-20 %: the starter sets have held-out files of their own, and five minutes are short."
        )
    share = config.data.validation_share
    reasons.append(Reason(field="data.validation_share", value=share, why=why, source="lecture L3.11"))
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
    return DataFound(rows=rows, row_tokens=row_tokens, long_row_tokens=long_row, reasons=reasons)


def _file(path: Path) -> tuple[int | None, tuple[float, int] | None]:
    """Rows and lengths of a file, as `_lines` and `_lengths` tell them; (None, None) where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None, None
    return _read_once(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=8)
def _read_once(path: Path, changed: int, size: int) -> tuple[int | None, tuple[float, int] | None]:
    # A reply plans several times, for the alternatives too; the file is the same for all of them.
    return _lines(path), _lengths(path)


def _lengths(path: Path) -> tuple[float, int] | None:
    """Mean and 98th percentile of the first rows' tokens, from their characters; None where it cannot be read."""
    try:
        if path.suffix.lower() == ".json" and path.stat().st_size > _LARGEST_JSON:
            return None
        rows = [to_row(record) for _, record in islice(read_records(path), _ROWS_LOOKED_AT)]
    except (DataError, RowError, OSError):
        return None
    if not rows:
        return None
    lengths = sorted(
        sum(len(message["content"]) for message in [*row["prompt"], *row["completion"]]) / CHARACTERS_PER_TOKEN
        + _TEMPLATE_TOKENS
        for row in rows
    )
    return sum(lengths) / len(lengths), round(lengths[min(len(lengths) - 1, int(0.98 * len(lengths)))])


def _lines(path: Path) -> int | None:
    """Rows of a JSONL or CSV file that is there and not huge, for the estimate; the data page counts properly."""
    try:
        if path.suffix.lower() not in {".jsonl", ".ndjson", ".csv"} or path.stat().st_size > 50_000_000:
            return None
        lines = path.read_bytes().count(b"\n")
    except OSError:
        return None
    return max(1, lines - (path.suffix.lower() == ".csv"))
