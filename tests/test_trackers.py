"""The curves of a run in TensorBoard, W&B and trackio: numbers only, in the run's folder only, and nothing is sent."""

from __future__ import annotations

import os
import socketserver
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trainer import config, trackers
from trainer.sections import RunConfig
from trainer.trackers import TrackerError, Trackers

ROOT = Path(__file__).resolve().parent.parent
PATIENT = "Mrs. Gruenwald, 61, asks about metformin"
PROCESS = """
import sys
from pathlib import Path
from trainer import config
from trainer.trackers import Trackers

folder = Path(sys.argv[1])
for first, last in ((0, 2), (1, 3)):
    told = Trackers(folder, config.load(folder / "run.yaml"), first_step=first)
    for step in range(first + 1, last + 1):
        told.scalars(step, {"loss": 2.0 / step, "validation/loss": 3.0})
    told.scalars(first + 1, {"loss": 0.1234567})  # back again, without a new process
    told.close()
"""


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[bytes]]]:
    """A proxy that everything on the way to the internet would ask, and what it was asked."""
    asked: list[bytes] = []

    class Refuse(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def a_run(**output: object) -> RunConfig:
    return RunConfig.model_validate({"output": output, "evaluation": {"sample_prompts": [PATIENT]}})


def read(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder / "tensorboard"))
    found.Reload()
    return found


def test_tensorboard_reads_the_curves_back_also_after_going_back(tmp_path: Path):
    first = Trackers(tmp_path, a_run())
    for step in (1, 2, 3, 4):
        first.scalars(step, {"loss": 10.0 + step})
    first.close()
    again = Trackers(tmp_path, a_run(), first_step=2)
    again.scalars(3, {"loss": 1.0, "validation/loss": 2.0})
    again.close()
    board = read(tmp_path)
    assert [(one.step, one.value) for one in board.Scalars("loss")] == [(1, 11.0), (2, 12.0), (3, 1.0)]
    assert [one.value for one in board.Scalars("validation/loss")] == [2.0]


@pytest.mark.parametrize("value", [PATIENT, True, None, [1.0]])
def test_only_numbers_are_told(tmp_path: Path, value: object):
    told = Trackers(tmp_path, a_run())
    with pytest.raises(TypeError, match="answer at step 3: trackers are told numbers only"):
        told.scalars(3, {"loss": 1.0, "answer": value})  # pyright: ignore[reportArgumentType]
    told.close()
    assert "loss" not in read(tmp_path).Tags()["scalars"]


def test_w_and_b_and_trackio_stay_in_the_folder_and_send_nothing(tmp_path: Path, proxy: tuple[str, list[bytes]]):
    folder, home = tmp_path / "run-7", tmp_path / "user"
    folder.mkdir()
    (folder / "run.yaml").write_text(config.to_yaml(a_run(trackers=["wandb", "trackio"])))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "NO_PROXY"))}
    environment |= {
        "HOME": str(home),
        "HTTP_PROXY": proxy[0],
        "HTTPS_PROXY": proxy[0],
        # Whoever is logged in everywhere, and has trackio sending elsewhere.
        "HF_TOKEN": "hf_token",
        "WANDB_API_KEY": "0" * 40,
        "WANDB_MODE": "online",
        "TRACKIO_SPACE_ID": "somebody/curves",
    }
    command = [sys.executable, "-c", PROCESS, str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert proxy[1] == []
    assert [one.step for one in read(folder).Scalars("validation/loss")] == [1, 2, 3]
    offline = list((folder / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(offline) == 2
    for path in offline:
        assert b"learning_rate" in path.read_bytes(), "the run file is in it"
        assert b"0.1234567" in path.read_bytes(), "a step that is taken again is not passed over"
    with sqlite3.connect(folder / "trackio" / "bedside.db") as database:
        assert database.execute("select run_name, step from metrics order by id").fetchall() == [
            ("run-7", step) for step in (1, 2, 1, 2, 3, 2)
        ]
    for path in folder.rglob("*"):
        assert path.is_dir() or path.name == "run.yaml" or PATIENT.encode() not in path.read_bytes(), path
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_a_tracker_that_is_not_installed_is_named_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None if name == "wandb" else object())
    assert trackers.faults(a_run()) == [] and trackers.faults(a_run(trackers=["trackio"])) == []
    (sentence,) = trackers.faults(a_run(trackers=["wandb", "trackio"]))
    assert sentence.startswith("output.trackers: wandb is not installed; pip install wandb")
    with pytest.raises(TrackerError, match="wandb is not installed"):
        Trackers(tmp_path, a_run(trackers=["wandb"]))
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "home"]), "nothing was begun"
