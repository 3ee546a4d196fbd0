"""Published sets are fetched from a Hub: a small one on this machine, that answers as the real one does."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from trainer.catalogue.datasets import data_sets
from trainer.data import hub
from trainer.data.hub_files import training_files
from trainer.data.records import DataError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROWS = b'{"question": "Is a fever a sign?", "answer": "It is a finding that can be measured."}\n' * 40
LFS = b"PAR1" + bytes(range(256)) * 12_000


class FakeHub:
    """What the server says, and what it was asked."""

    def __init__(self) -> None:
        self.sets: dict[str, dict[str, bytes]] = {}
        self.cards: dict[str, dict] = {}
        self.refused: dict[str, tuple[int, str]] = {}
        self.cut_after: int | None = None
        self.sizes: dict[str, int] = {}
        self.asked: list[str] = []
        self.ranges: list[str] = []
        self.wrong_hash = False

    def info(self, hub_id: str) -> dict:
        siblings = []
        for path, content in self.sets[hub_id].items():
            one: dict = {"rfilename": path, "size": self.sizes.get(path, len(content)), "blobId": "b"}
            if path.endswith(".parquet"):
                sha256 = hashlib.sha256(b"other" if self.wrong_hash else content).hexdigest()
                one["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 130}
            siblings.append(one)
        card = self.cards.get(hub_id, {})
        return {"id": hub_id, "sha": COMMIT, "siblings": siblings, "cardData": card, "private": False, "gated": False}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        fake: FakeHub = self.server.fake  # type: ignore[attr-defined]
        path = self.path.split("?")[0]
        fake.asked.append(path)
        if path.startswith("/api/datasets/"):
            hub_id = path.removeprefix("/api/datasets/")
            if hub_id not in fake.sets:
                self._send(404, b"{}", body, {"X-Error-Code": "RepoNotFound"})
                return
            self._send(200, json.dumps(fake.info(hub_id)).encode(), body, {"Content-Type": "application/json"})
            return
        if "/resolve/" not in path:
            self._send(404, b"", body, {})
            return
        hub_id, _, rest = path.removeprefix("/datasets/").partition("/resolve/")
        commit, _, name = rest.partition("/")
        if hub_id in fake.refused:
            status, code = fake.refused[hub_id]
            self._send(status, b"", body, {"X-Error-Code": code})
            return
        content = fake.sets[hub_id][name]
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
        }
        if not body:
            self._send(200, content, body, headers)
            return
        start = 0
        if wanted := self.headers.get("Range"):
            fake.ranges.append(wanted)
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if fake.cut_after is not None and not start:
            self._send(200, content[: fake.cut_after], body, headers, length=len(content))
            self.close_connection = True
            return
        self._send(206 if start else 200, content[start:], body, headers)

    def _send(self, status: int, content: bytes, body: bool, headers: dict, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.fake = FakeHub()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    import huggingface_hub.constants

    # Where an earlier test of the session made the libraries offline, this one still asks its own server.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    yield server.fake  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


def quiet(stage: str, done: int, total: int) -> None:
    pass


def test_the_training_split_is_fetched_once_and_nothing_that_could_run(fake: FakeHub, tmp_path: Path):
    large = LFS * 7
    fake.sets["clinic/notes"] = {
        "README.md": b"card",
        "notes.py": b"raise SystemExit",
        "data/train-00000-of-00001.parquet": large,
        "data/test-00000-of-00001.parquet": b"PAR1",
        "dataset_infos.json": b"{}",
    }
    fake.cards["clinic/notes"] = {"license": "cc-by-4.0"}
    told: list[tuple[str, int, int]] = []
    path = hub.fetch("clinic/notes", tmp_path, lambda *one: told.append(one))
    assert path == tmp_path / "clinic--notes" / "notes"
    assert [str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()] == [
        "data/train-00000-of-00001.parquet"
    ]
    assert (path / "data/train-00000-of-00001.parquet").read_bytes() == large
    source = hub.source_of(path)
    assert (source.id, source.commit, source.licence) == ("clinic/notes", COMMIT, "cc-by-4.0")
    assert [(file.bytes, file.sha256) for file in source.files] == [(len(large), hashlib.sha256(large).hexdigest())]
    assert hub.licence_of(path) == "cc-by-4.0"
    assert told[0] == ("asking the Hub for clinic/notes", 0, 0)
    assert told[-1] == ("fetching clinic/notes", len(large), len(large))
    assert any(0 < done < total for _, done, total in told)
    assert not [one for one in tmp_path.iterdir() if one.is_dir() and one != path.parent]
    # Every file was asked for at the commit that is written down.
    assert {one for one in fake.asked if "/resolve/" in one} == {
        f"/datasets/clinic/notes/resolve/{COMMIT}/data/train-00000-of-00001.parquet"
    }


def test_the_second_time_no_network_is_needed(fake: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fake.sets["clinic/notes"] = {"train.jsonl": ROWS}
    path = hub.fetch("clinic/notes", tmp_path, quiet)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    fake.asked.clear()
    assert hub.fetch("clinic/notes", tmp_path, quiet) == path
    assert fake.asked == []
    # A file that was changed or lost is noticed, and cannot be had without the Hub.
    (path / "train.jsonl").write_bytes(b"")
    with pytest.raises(DataError, match="clinic/notes is not on this machine, and the Hub cannot be reached"):
        hub.fetch("clinic/notes", tmp_path, quiet)


def test_what_was_begun_goes_on(fake: FakeHub, tmp_path: Path):
    fake.sets["clinic/notes"] = {"train-1.parquet": LFS, "train-2.parquet": LFS + b"2"}
    original = hub._told
    asked = []

    def stop_after_one(stage: str, before: int, size: int, progress: hub.Progress) -> object:
        asked.append(before)
        if before:
            raise KeyboardInterrupt
        return original(stage, before, size, progress)

    hub._told = stop_after_one
    try:
        with pytest.raises(KeyboardInterrupt):
            hub.fetch("clinic/notes", tmp_path, quiet)
    finally:
        hub._told = original
    assert asked == [0, len(LFS)]
    assert not (tmp_path / "clinic--notes").exists()
    fake.asked.clear()
    path = hub.fetch("clinic/notes", tmp_path, quiet)
    assert sorted(file.name for file in path.iterdir()) == ["train-1.parquet", "train-2.parquet"]
    first = [one for one in fake.asked if one.endswith("train-1.parquet")]
    assert len(first) <= 1, "the first file was fetched twice"


def test_a_connection_that_breaks_goes_on_where_it_was(fake: FakeHub, tmp_path: Path):
    fake.sets["clinic/notes"] = {"train.parquet": LFS * 7}
    fake.cut_after = 12_000_000
    path = hub.fetch("clinic/notes", tmp_path, quiet)
    assert (path / "train.parquet").read_bytes() == LFS * 7
    assert [one.partition("-")[0] for one in fake.ranges] == ["bytes=10485760"]


def test_a_file_that_arrives_changed_is_refused(fake: FakeHub, tmp_path: Path):
    fake.sets["clinic/notes"] = {"train.parquet": LFS}
    fake.wrong_hash = True
    with pytest.raises(
        DataError, match=r"clinic/notes: train\.parquet did not arrive as the Hub has it; fetch it again"
    ):
        hub.fetch("clinic/notes", tmp_path, quiet)
    assert not (tmp_path / "clinic--notes").exists()


def test_a_gated_set_says_what_to_do(fake: FakeHub, tmp_path: Path):
    fake.sets["clinic/notes"] = {"train.jsonl": ROWS}
    fake.refused["clinic/notes"] = (403, "GatedRepo")
    with pytest.raises(DataError) as caught:
        hub.fetch("clinic/notes", tmp_path, quiet)
    assert str(caught.value) == (
        "clinic/notes is gated: accept its terms on huggingface.co/datasets/clinic/notes, make a read token there, "
        "give it with `hf auth login` or in HF_TOKEN, and try again."
    )


def test_an_unknown_set_and_an_unreachable_hub(fake: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(DataError, match="There is no data set clinic/nothing on the Hub, or it is private"):
        hub.fetch("clinic/nothing", tmp_path, quiet)
    with pytest.raises(DataError, match="'no name' is neither in the catalogue nor the owner/name of a data set"):
        hub.fetch("no name", tmp_path, quiet)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        DataError, match="the Hub cannot be reached; connect once and try again, or download it elsewhere"
    ):
        hub.fetch("clinic/notes", tmp_path, quiet)
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="the Hub cannot be reached"):
        hub.fetch("clinic/notes", tmp_path, quiet)


def test_a_set_without_data_files_or_too_large_is_refused_in_words(fake: FakeHub, tmp_path: Path):
    fake.sets["clinic/script"] = {"script.py": b"x", "README.md": b"x", "images.zip": b"x"}
    with pytest.raises(DataError) as caught:
        hub.fetch("clinic/script", tmp_path, quiet)
    assert (
        "holds no data file that can be read (Parquet, JSON, CSV or TSV). It is made by a script, which is never run"
        in (str(caught.value))
    )
    fake.sets["clinic/large"] = {"train.parquet": LFS}
    fake.sizes["train.parquet"] = 6_000_000_000
    with pytest.raises(DataError, match=r"has 6\.0 GB of training files, and Bedside fetches at most 5 GB"):
        hub.fetch("clinic/large", tmp_path, quiet)
    assert not [one for one in fake.asked if "/resolve/" in one]


def test_a_catalogue_name_leads_to_its_files_and_its_licence(fake: FakeHub, tmp_path: Path):
    fake.sets["GBaker/MedQA-USMLE-4-options"] = {
        "phrases_no_exclude_train.jsonl": ROWS,
        "phrases_no_exclude_test.jsonl": b"{}",
    }
    fake.cards["GBaker/MedQA-USMLE-4-options"] = {"license": "cc-by-4.0"}
    path = hub.fetch("MedQA", tmp_path, quiet)
    assert [file.name for file in path.iterdir()] == ["phrases_no_exclude_train.jsonl"]
    assert hub.licence_of(path) == "MIT"
    with pytest.raises(
        DataError, match=r"bc5cdr is not fetched from the Hub: save data/BC5CDR-IOB/train\.tsv from github"
    ):
        hub.fetch("bc5cdr", tmp_path, quiet)


def test_the_card_says_which_files_are_the_training_split(fake: FakeHub, tmp_path: Path):
    fake.sets["clinic/notes"] = {"a/part.jsonl": ROWS, "b/part.jsonl": ROWS, "c.jsonl": ROWS}
    splits = [{"split": "train", "path": ["a/*.jsonl", "c.jsonl"]}, {"split": "test", "path": "b/*"}]
    fake.cards["clinic/notes"] = {"configs": [{"config_name": "default", "data_files": splits}]}
    path = hub.fetch("clinic/notes", tmp_path, quiet)
    assert sorted(str(one.relative_to(path)) for one in path.rglob("*.jsonl")) == ["a/part.jsonl", "c.jsonl"]
    fake.sets["clinic/parts"] = {"a/train.jsonl": ROWS, "b/train.jsonl": ROWS}
    fake.cards["clinic/parts"] = {"configs": [{"config_name": "en"}, {"config_name": "es"}]}
    with pytest.raises(
        DataError, match=r"clinic/parts has several parts \(en, es\) and does not say which is the main one"
    ):
        hub.fetch("clinic/parts", tmp_path, quiet)
    fake.cards["clinic/parts"] = {"configs": [{"data_files": [{"split": "test", "path": "a/*"}]}]}
    with pytest.raises(DataError, match=r"clinic/parts has no training split \(it has test\)"):
        hub.fetch("clinic/parts", tmp_path, quiet)


@pytest.mark.parametrize(
    ("paths", "chosen"),
    [
        (
            ["data/train-0.parquet", "data/test-0.parquet", "data/train-1.parquet"],
            ["data/train-0.parquet", "data/train-1.parquet"],
        ),
        (["train.csv", "train.parquet", "valid.csv"], ["train.parquet"]),
        (
            ["MTS-Dialog-TrainingSet (SDHP).csv", "MTS-Dialog-Validation Set (SDHP).csv"],
            ["MTS-Dialog-TrainingSet (SDHP).csv"],
        ),
        (["set.jsonl", "test.jsonl", "devel.jsonl"], ["set.jsonl"]),
        (["trainee_notes.jsonl", "constrained.jsonl"], ["constrained.jsonl", "trainee_notes.jsonl"]),
        (["../train.jsonl", "/train.jsonl", "a\\train.jsonl", ".hidden/train.jsonl", "run.py"], []),
        (["dataset_infos.json", "README.md", "state.json"], []),
    ],
)
def test_training_files_are_told_by_their_names(paths: list[str], chosen: list[str]):
    assert training_files(paths, []) == chosen


def test_several_parts_are_not_mixed_in_silence():
    with pytest.raises(DataError, match=r"has several parts \(en, es\)"):
        training_files(["en/train.jsonl", "es/train.jsonl"], [])
    assert training_files(["en/train.jsonl", "es/train.jsonl"], ["es/*"]) == ["es/train.jsonl"]
    assert training_files(["data/a.csv"], ["data/**/*.csv"]) == ["data/a.csv"]
    # The same rows twice, as Parquet and as CSV.
    assert training_files(["data/a.csv", "data/a.parquet"], ["data/*"]) == ["data/a.parquet"]


def test_every_catalogue_set_can_be_had_and_says_how():
    for row in data_sets():
        assert (row.hub_id is None) == bool(row.download), row.name
        assert row.facts().startswith(f"{row.name}: {row.rows:,} rows") and row.licence in row.facts()
        assert row.use == "any" or row.name in row.restriction()
