"""The day after which a version can know nothing from its training data (lecture L3.1): stated or read, not guessed."""

from __future__ import annotations

import re
from datetime import date

from trainer import config as run_config
from trainer.data import row_files
from trainer.data.canaries import SOURCE as CANARIES
from trainer.data.manifest import Manifest
from trainer.model_refs import ModelRef
from trainer.runs import Run
from trainer.store import Version
from trainer.versions import VersionError

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
UNCHANGED_DATES = ("not needed", "off")
"""What de-identification may have done for the rows' dates to be the real ones; else they are masked or moved."""


def knowledge_until(run: Run, ref: ModelRef, parent: Version | None, stated: str | None) -> str | None:
    """The ISO date that the user states, else the newest date of the rows that were trained on; None: not known.

    Rows say it only where each of them has its real day. A model that goes on from the parent knows what that knew as
    well, so that the parent's date has to be known too. What the base model knows by itself is not in it.
    """
    if stated is not None:
        try:
            return date.fromisoformat(stated.strip()).isoformat()
        except ValueError:
            raise VersionError(f"{stated!r} is no date; write it as 2026-03-31.") from None
    if ref.is_base:
        return None
    newest = _newest(run)
    if newest is None or run.config.method.start_from is None:
        return newest
    return max(newest, parent.knowledge_until) if parent and parent.knowledge_until else None


def _newest(run: Run) -> str | None:
    """The newest day of the training rows, where all have one; general rows say nothing of medicine."""
    kept = run.folder / "data" / "manifest.json"
    if not kept.exists():
        return None
    made = Manifest.model_validate_json(kept.read_text(encoding="utf-8"))
    rows = run_config.home() / "prepared" / made.key / "train.jsonl"
    if made.deidentification.action not in UNCHANGED_DATES or not rows.exists():
        return None
    days = [
        row.get("about", {}).get("time", "")[:10]
        for row in row_files.read(rows)
        if row.get("about", {}).get("source") != CANARIES
    ]
    return max(days) if days and all(_DAY.fullmatch(day) for day in days) else None
