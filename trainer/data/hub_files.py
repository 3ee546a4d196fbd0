"""Which files of a data set on the Hub hold its training rows; scripts and what describes a set are none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any

from trainer.data.records import DataError

# Of several endings in one set, the first: the same rows often stand there in several forms.
_ENDINGS = (".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv")
_NO_DATA = {"dataset_infos.json", "dataset_info.json", "state.json", "label.json", "config.json", "package.json"}
_TRAINING = re.compile(r"(?:^|[/_.\- ])train(?:ing)?(?=[/_.\- (]|set|\d|$)", re.IGNORECASE)
_HELD_OUT = re.compile(
    r"(?:^|[/_.\- ])(?:test|valid|validation|val|dev|devel|eval)(?=[/_.\- (]|set|\d|$)", re.IGNORECASE
)


def training_files(paths: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Which of a set's files hold its training rows, sorted.

    By `patterns` where there are some (the catalogue's, or the card's for its training split); else those named train;
    else all that are not named as held out. Of several endings, the first of Parquet, JSON lines, JSON, CSV and TSV.
    Raises `DataError` naming the parts where several of them look like a set of their own.
    """
    data = sorted(path for path in paths if _is_data(path))
    if patterns:
        chosen = [path for path in data if any(_matches(path, pattern) for pattern in patterns)]
    else:
        chosen = [path for path in data if _TRAINING.search(path)]
        chosen = chosen or [path for path in data if not _HELD_OUT.search(path)]
        chosen = _one_ending(chosen)
        parts = sorted({_part(path) for path in chosen})
        if len(parts) > 1:
            named = ", ".join(parts[:8]) + (" …" if len(parts) > 8 else "")
            raise DataError(
                f"has several parts ({named}) and does not say which is the main one; download the one you need"
            )
    return _one_ending(chosen)


def card_patterns(hub_id: str, card: Any) -> list[str]:
    """The files of the training split as the card's `configs` name them; none where it does not.

    Raises `DataError` where it names several parts of which none is the main one, or no training split.
    """
    configs = [one for one in (card.get("configs") or [] if card else []) if isinstance(one, dict)]
    if not configs:
        return []
    main = [one for one in configs if one.get("default") or one.get("config_name") == "default"]
    if not main and len(configs) > 1:
        named = ", ".join(str(one.get("config_name")) for one in configs[:8])
        raise DataError(
            f"{hub_id} has several parts ({named}) and does not say which is the main one; download the one you need "
            f"(huggingface.co/datasets/{hub_id}), and name its file."
        )
    files = (main or configs)[0].get("data_files")
    if isinstance(files, str):
        return [files]
    if not isinstance(files, list):
        return []
    if all(isinstance(one, str) for one in files):
        return files
    splits = {str(one.get("split")): one.get("path") for one in files if isinstance(one, dict)}
    training = [split for split in splits if split.startswith("train")]
    if not training:
        raise DataError(
            f"{hub_id} has no training split (it has {', '.join(splits)}); download the one you need "
            f"(huggingface.co/datasets/{hub_id}), and name its file."
        )
    path = splits["train" if "train" in splits else training[0]]
    return [path] if isinstance(path, str) else [str(one) for one in path or []]


def _is_data(path: str) -> bool:
    parts = PurePosixPath(path).parts
    confined = not path.startswith("/") and "\\" not in path and not any(part.startswith(".") for part in parts)
    return confined and path.endswith(_ENDINGS) and parts[-1] not in _NO_DATA


def _matches(path: str, pattern: str) -> bool:
    # fnmatch's * also crosses folders, so that **/ may stand for none.
    return fnmatch(path, pattern) or fnmatch(path, pattern.replace("**/", ""))


def _one_ending(paths: list[str]) -> list[str]:
    for ending in _ENDINGS:
        if chosen := [path for path in paths if path.endswith(ending)]:
            return chosen
    return []


def _part(path: str) -> str:
    """What a file belongs to: its folder, without those that only say that it is data or a split."""
    folders = PurePosixPath(path).parts[:-1]
    return "/".join(one for one in folders if one.lower() not in {"data", "train", "dataset", "datasets"}) or "."
