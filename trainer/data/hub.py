"""Fetch a published data set from the Hugging Face Hub: its training split's data files, and nothing that could run.

A set is kept in `<folder>/<owner>--<name>/`: the files under `<name>/`, as the Hub has them, and `source.json` with the
commit, the licence and the hash of each file. It is fetched once; afterwards no network is needed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from trainer.catalogue.datasets import DataSetRow, data_set
from trainer.data.hub_files import card_patterns, training_files
from trainer.data.records import DataError

if TYPE_CHECKING:
    from huggingface_hub import DatasetInfo

Progress = Callable[[str, int, int], None]  # stage, bytes done, bytes in all
LARGEST = 5_000_000_000
"""Bytes that are fetched at most; a larger set is for its user to choose a part of."""

_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")


class HubFile(BaseModel):
    """One file as it was fetched."""

    path: str
    bytes: int
    sha256: str


class Source(BaseModel):
    """`source.json`: where a set came from, exactly."""

    id: str
    commit: str
    licence: str
    files: list[HubFile]
    fetched: str
    """Day, in UTC."""


class _Wanted(BaseModel):
    """A file that is to be fetched, as the Hub lists it."""

    path: str
    bytes: int
    sha256: str | None


def fetch(name: str, folder: Path, progress: Progress) -> Path:
    """The folder of a set's data files, fetched where it is not here yet; `name` is a catalogue name or owner/name.

    Raises `DataError` in one sentence with what to do: not reachable, gated, not found, too large, without data files.
    """
    row = data_set(name)
    if row is not None and row.hub_id is None:
        raise DataError(f"{row.name} is not fetched from the Hub: {row.download}.")
    hub_id = _hub_id(name)
    if not _HUB_ID.match(hub_id):
        raise DataError(f"{name!r} is neither in the catalogue nor the owner/name of a data set on the Hub.")
    target = _target(hub_id, folder)
    if _source(target) is not None:
        return _files(target)

    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{target.name}.lock"):
        # Another process may have fetched it meanwhile.
        if _source(target) is None:
            _fetch(hub_id, row, target, progress)
    return _files(target)


def is_fetched(name: str, folder: Path) -> bool:
    """Whether `fetch` would find all of the set in `folder`."""
    return _source(_target(_hub_id(name), folder)) is not None


def source_of(path: Path) -> Source:
    """Where a fetched set came from; `path` is what `fetch` gave. Raises `DataError` where that is not known."""
    source = _source(path.parent)
    if source is None:
        raise DataError(f"{path} was not fetched by Bedside, or not completely; fetch it again.")
    return source


def licence_of(path: Path) -> str:
    """The licence of a fetched set, as its card or the catalogue states it; `path` is what `fetch` gave."""
    return source_of(path).licence


def _hub_id(name: str) -> str:
    row = data_set(name)
    return row.hub_id if row is not None and row.hub_id is not None else name


def _target(hub_id: str, folder: Path) -> Path:
    return folder / hub_id.replace("/", "--")


def _fetch(hub_id: str, row: DataSetRow | None, target: Path, progress: Progress) -> None:
    from huggingface_hub import HfApi, hf_hub_download

    progress(f"asking the Hub for {hub_id}", 0, 0)
    endpoint = os.environ.get("HF_ENDPOINT")
    with _in_words(hub_id):
        info = HfApi(endpoint=endpoint).dataset_info(hub_id, files_metadata=True, timeout=30)
    commit = info.sha or ""
    wanted = _wanted(hub_id, info, row)
    size = sum(file.bytes for file in wanted)
    _check_size(hub_id, size, target.parent)
    # Begun and killed, it goes on in the same place, as long as the Hub has the same commit.
    begun = target.parent / f".{target.name}.{commit[:12]}"
    for other in target.parent.glob(f".{target.name}.*"):
        if other.is_dir() and other != begun:
            shutil.rmtree(other)
    data = begun / _files(target).name
    done = 0
    fetched = []
    for file in wanted:
        with _in_words(hub_id):
            path = Path(
                hf_hub_download(
                    hub_id,
                    file.path,
                    repo_type="dataset",
                    revision=commit,
                    local_dir=data,
                    endpoint=endpoint,
                    tqdm_class=_told(f"fetching {hub_id}", done, size, progress),
                )
            )
        with path.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        if file.sha256 is not None and sha256 != file.sha256:
            path.unlink()
            raise DataError(f"{hub_id}: {file.path} did not arrive as the Hub has it; fetch it again.")
        fetched.append(HubFile(path=file.path, bytes=path.stat().st_size, sha256=sha256))
        done += file.bytes
        progress(f"fetching {hub_id}", done, size)
    card: Any = info.card_data
    licence = row.licence if row is not None else _said(card.get("license") if card else None) or "none stated"
    source = Source(
        id=hub_id, commit=commit, licence=licence, files=fetched, fetched=datetime.now(UTC).date().isoformat()
    )
    shutil.rmtree(data / ".cache", ignore_errors=True)
    (begun / "source.json").write_text(source.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if target.exists():
        shutil.rmtree(target)
    begun.rename(target)


def _wanted(hub_id: str, info: DatasetInfo, row: DataSetRow | None) -> list[_Wanted]:
    listed = {file.rfilename: file for file in info.siblings or []}
    patterns = row.files if row is not None and row.files else card_patterns(hub_id, info.card_data)
    try:
        chosen = training_files(list(listed), patterns)
    except DataError as error:
        raise DataError(f"{hub_id} {error} (huggingface.co/datasets/{hub_id}), and name its file.") from None
    if not chosen:
        made = " It is made by a script, which is never run." if any(path.endswith(".py") for path in listed) else ""
        raise DataError(
            f"{hub_id} holds no data file that can be read (Parquet, JSON, CSV or TSV).{made} Download its data from "
            f"huggingface.co/datasets/{hub_id} by hand, save it in one of these forms, and name that file."
        )
    files = []
    for path in chosen:
        file = listed[path]
        sha256 = file.lfs.sha256 if file.lfs is not None else None
        files.append(_Wanted(path=path, bytes=file.size or 0, sha256=sha256))
    return files


def _check_size(hub_id: str, size: int, folder: Path) -> None:
    if size > LARGEST:
        raise DataError(
            f"{hub_id} has {size / 1e9:.1f} GB of training files, and Bedside fetches at most {LARGEST / 1e9:.0f} GB; "
            f"download the part that you need (huggingface.co/datasets/{hub_id}), and name its folder."
        )
    free = shutil.disk_usage(folder).free
    if size * 1.1 > free:
        raise DataError(
            f"{hub_id} needs {size / 1e9:.1f} GB and the disk of {folder} has {free / 1e9:.1f} GB free; make room."
        )


@contextmanager
def _in_words(hub_id: str) -> Iterator[None]:
    """What the Hub refuses, in a sentence."""
    from huggingface_hub import errors

    page = f"huggingface.co/datasets/{hub_id}"
    try:
        yield
        return
    except errors.GatedRepoError:
        message = (
            f"{hub_id} is gated: accept its terms on {page}, make a read token there, give it with `hf auth login` or "
            "in HF_TOKEN, and try again."
        )
    except errors.DisabledRepoError:
        message = f"{hub_id} was taken down by the Hub; use another set."
    except errors.RepositoryNotFoundError:
        message = f"There is no data set {hub_id} on the Hub, or it is private; look its name up ({page})."
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        message = f"The Hub could not give {hub_id} (status {status}); try again later."
        if status in (401, 403):
            message = (
                f"The Hub refused {hub_id} (status {status}); give a valid token with `hf auth login` or in HF_TOKEN."
            )
    # HTTPError is that of the HTTP library which the Hub's client uses, whichever it is.
    except (errors.LocalEntryNotFoundError, ConnectionError, errors.HTTPError):  # pyright: ignore[reportPrivateImportUsage]
        message = (
            f"{hub_id} is not on this machine, and the Hub cannot be reached; connect once and try again, or download "
            f"it elsewhere ({page}), and name its file or folder."
        )
    except OSError as error:
        message = (
            f"{hub_id} could not be saved ({error.strerror or error}); free some space, or check the folder's rights."
        )
    raise DataError(message) from None


def _told(stage: str, before: int, size: int, progress: Progress) -> Any:
    """A progress bar that shows nothing and tells how far the set is, after every piece of some 10 MB."""
    from tqdm.auto import tqdm

    class Told(tqdm):
        def __init__(self, *arguments: Any, **options: Any):
            options.pop("name", None)
            super().__init__(*arguments, **{**options, "disable": True})
            self._seen = int(options.get("initial") or 0)

        def update(self, n: float | None = 1) -> bool | None:
            self._seen += int(n or 0)
            progress(stage, min(before + self._seen, size), size)
            return None

    return Told


def _source(target: Path) -> Source | None:
    """What is known of a set that was fetched completely; None where a file is missing or of another size."""
    try:
        source = Source.model_validate_json((target / "source.json").read_text(encoding="utf-8"))
        sizes = [(_files(target) / file.path).stat().st_size == file.bytes for file in source.files]
    except (OSError, ValidationError):
        return None
    return source if all(sizes) else None


def _files(target: Path) -> Path:
    return target / target.name.split("--", 1)[1]


def _said(licence: Any) -> str:
    return ", ".join(map(str, licence)) if isinstance(licence, list) else str(licence or "")
