"""Updates with new knowledge (lecture L3.2): a run that goes on from a version instead of training from scratch.

Against forgetting it replays two kinds of rows: general ones, as every run does, and rows that the version and what it
goes on from were trained on. Rows that those kept back for validation or test are never among them, so that nothing
that the version was measured on is learnt now.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from trainer import config as run_config
from trainer import runs
from trainer.atomic import write_atomically
from trainer.data import canaries, row_files
from trainer.data.loading import Loading
from trainer.data.prepare import prepare
from trainer.data.records import Fault
from trainer.data.rows import Row, kind_of, row_id
from trainer.data.sources import Progress, locate
from trainer.data_sections import DataSource
from trainer.methods import continued
from trainer.model_refs import parse
from trainer.objective_sections import SftObjective
from trainer.runs import Run
from trainer.sections import RunConfig
from trainer.store import Version
from trainer.versions import VersionError

Knowledge = Literal["drug", "guideline", "research", "epidemiology"]
REPLAY_SHARE = 0.2
"""Of general rows: the upper end of the lecture's 10-20 % (L2.8)."""
EARLIER_ROWS = 1.0
"""Earlier rows for each new one. Ours: `bench/knowledge_update.py` shows what is kept with it and without."""
RATE = 0.5
"""Of the version's learning rate, so that what it knows is moved less; ours, measured by the same bench."""
_KEPT_ABOUT = ("specialty", "task", "level", "language", "patient")


class Update(BaseModel):
    """A run file that continues a version, and why each value that it changes is as it is, by field."""

    config: RunConfig
    reasons: dict[str, str]


def plan(
    version: Version,
    sources: Sequence[DataSource],
    kind: Knowledge,
    *,
    contains_phi: bool | None = None,
    earlier_rows: float = EARLIER_ROWS,
    progress: Progress | None = None,
) -> Update:
    """The run file of an update of `version` with new rows; its earlier rows are written to `HOME/replay/`.

    `contains_phi` is said of the new rows, and never taken over from the version's; `earlier_rows` is how many earlier
    rows there are for each new one. Raises `VersionError`, `RunError`, `DataError` and `ConfigError`.
    """
    if not sources:
        raise VersionError("An update needs new rows; name a file, a folder or a published set.")
    ref = parse(version.model)
    run = runs.get(ref.run)
    new = sum(_count(source, run.config.schedule.seed) for source in sources)
    replay, rows = None, 0
    if earlier_rows > 0 and not ref.is_base:
        replay, rows = _replay(version, run, round(new * earlier_rows), progress)
    values = run.config.model_dump(mode="json")
    earlier = [DataSource(name=str(replay), format="prompt_completion")] if replay else []
    values["data"] |= {
        "sources": [source.model_dump(mode="json") for source in [*sources, *earlier]],
        "contains_phi": contains_phi,
        "canaries": 0,
    }
    if contains_phi is not False and values["data"]["deidentify"] == "off":
        values["data"] |= {"deidentify": "mask", "not_deidentified_because": None}
    values["method"] = continued.continued(run, ref).model_dump(mode="json")
    values["objective"] = SftObjective().model_dump(mode="json")
    values["adversarial"]["hard_cases"] = None
    share = max(run.config.steering.replay_share, REPLAY_SHARE)
    values["steering"]["replay_share"] = share
    rate = run.config.schedule.learning_rate * RATE
    values["schedule"] |= {"learning_rate": rate, "max_steps": None}
    values["output"]["name"] = f"{version.line} {kind} update"[:80]
    reasons = {
        "method.start_from": f"goes on from {version.line} {version.number}, without training from scratch (L3.2)",
        "schedule.learning_rate": f"{RATE:g} times that of {version.number}, so that what it knows is moved less",
        "steering.replay_share": f"{100 * share:g} % general rows, against forgetting (L2.8: 10-20 %)",
        "data.contains_phi": "of the new rows it is said anew"
        if contains_phi is not None
        else "not said of the new rows, so they are de-identified",
    }
    if ref.is_base:
        reasons["method.start_from"] = f"{version.line} {version.number} is the base itself: training begins there"
    if replay:
        reasons["data.sources"] = f"{new:,} new rows, and {rows:,} that {version.number} was trained on, replayed"
    else:
        reasons["data.sources"] = f"{new:,} new rows; no earlier rows are replayed"
    return Update(config=run_config.parse(values), reasons=reasons)


def replay_folder() -> Path:
    """Where the earlier rows of updates stand."""
    return run_config.home() / "replay"


def _count(source: DataSource, seed: int) -> int:
    loading = Loading(source, locate(source.name))
    return sum(not isinstance(one, Fault) for one in loading.drawn(seed))


def _replay(version: Version, run: Run, count: int, progress: Progress | None) -> tuple[Path | None, int]:
    """A file of at most `count` rows that the version learnt from, drawn with its seed, and how many they are."""
    known: dict[str, Row] = {}
    for earlier in _lineage(run):
        for row in prepare(earlier.config, progress).rows("train"):
            if (found := _plain(row)) is not None:
                known.setdefault(row_id(found), found)
    drawn = sorted(random.Random(f"{run.config.schedule.seed}/replay").sample(sorted(known), min(count, len(known))))
    if not drawn:
        return None, 0
    text = "".join(row_files.line(known[one]) for one in drawn)
    folder = replay_folder()
    folder.mkdir(exist_ok=True, mode=0o700)
    path = folder / f"{version.line}-{version.number}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.jsonl"
    write_atomically(path, text)
    return path, len(drawn)


def _lineage(run: Run) -> list[Run]:
    """The run and those that it goes on from, which are still there, the newest first."""
    found = [run]
    while (name := found[-1].config.method.start_from) is not None:
        try:
            earlier = runs.get(name)
        except runs.RunError:
            break  # an adapter from elsewhere, or a run that was deleted: its rows are not to be had
        if any(earlier.id == one.id for one in found):
            break
        found.append(earlier)
    return found


def _plain(row: Row) -> Row | None:
    """What the row taught, as question and answer; None for plain text, a bad answer, and a row that was added."""
    about = row.get("about", {})
    if about.get("source") == canaries.SOURCE or "origin" in about or not row.get("prompt"):
        return None
    kind = kind_of(row)
    if kind == "unpaired_preference" and not row.get("label"):
        return None
    answer = row["chosen"] if kind == "preference" else row.get("completion")
    if not answer:
        return None
    kept: dict = {name: about[name] for name in _KEPT_ABOUT if name in about}
    return {"prompt": row["prompt"], "completion": answer, **kept}  # pyright: ignore[reportReturnType]
