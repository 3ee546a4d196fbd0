"""A chat model beside the planner, against a scripted server: it may propose, and never decides."""

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from assistant.planner import chat_model, dialogue
from assistant.planner.answers import Answers
from evaluators import chat_client
from trainer import hardware, models
from trainer.hardware import Machine

NO_USE = "The chat model gave no usable answer; I read that myself."
FAILED = "The chat model's answer did not pass the check; I read that myself."


class Server:
    """An OpenAI-compatible server that answers from a script and remembers what it was sent."""

    def __init__(self) -> None:
        self.script: list[str] = []
        self.asked: list[str] = []
        self.seconds = 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(body["messages"][-1]["content"])
                time.sleep(outer.seconds)
                answer = {"choices": [{"message": {"role": "assistant", "content": outer.script.pop(0)}}]}
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}/v1#scripted"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(hardware, "detect", lambda: Machine(cpu_name="", cores=2, memory_gib=23.5, cpu_bf16=True))
    served = Server()
    monkeypatch.setenv(chat_model.VARIABLE, served.address)
    yield served
    served.http.shutdown()
    served.http.server_close()


def propose(server: Server, text: str, timeout: float = 10) -> chat_model.Proposal:
    return chat_model.propose(chat_client.connect(server.address), text, Answers(), timeout)


def test_a_whole_dialogue_succeeds_without_falling_back(server: Server):
    server.script = [
        '{"task": "report_generation", "specialty": "radiology"}',
        'Sure: ```json\n{"examples": 1440}\n```',
        '{"gpu": "RTX 4090", "gpu_count": 1}',
        "{}",
    ]
    draft = dialogue.new_draft()
    # The deterministic reader finds nothing in the first three.
    for text in ("help our X-ray folks", "a gross of them, ten times over", "the big gaming one", "no"):
        draft, turn = dialogue.reply(draft, text)
        assert "I read that myself" not in turn.reply
    assert turn.config is not None and turn.config.hardware.gpu == "rtx-4090"
    assert (turn.answers.task, turn.answers.examples, turn.answers.contains_phi) == ("report_generation", 1440, False)
    assert server.asked == ["help our X-ray folks", "a gross of them, ten times over", "the big gaming one", "no"]


def test_where_both_read_a_fact_the_deterministic_reading_stands(server: Server):
    server.script = ['{"examples": 5, "specialty": "cardiology"}']
    draft, _ = dialogue.reply(dialogue.new_draft(), "NER, 3k notes")
    assert (draft.answers.examples, draft.answers.specialty) == (3000, "cardiology")


@pytest.mark.parametrize(
    ("said", "remark"),
    [
        ("I would choose a large model.", "gave no usable answer"),
        ('{"examples": -3}', "did not pass the check"),
        ('{"task": "surgery"}', "did not pass the check"),
        ("[1, 2]", "gave no usable answer"),
    ],
)
def test_a_wrong_answer_falls_back_and_says_so(server: Server, said: str, remark: str):
    server.script = [said]
    draft, turn = dialogue.reply(dialogue.new_draft(), "NER, 3k notes")
    assert draft.answers.model_dump(exclude_defaults=True) == {"task": "ner", "examples": 3000}
    assert remark in turn.reply and "I read that myself" in turn.reply


def test_a_slow_or_absent_model_falls_back_and_says_so(server: Server, monkeypatch: pytest.MonkeyPatch):
    server.script, server.seconds = ["{}"], 1.0
    assert "took longer than 0.2 seconds" in propose(server, "hello", timeout=0.2).remark
    monkeypatch.setenv(chat_model.VARIABLE, "http://127.0.0.1:9/v1#nothing")
    draft, turn = dialogue.reply(dialogue.new_draft(), "NER, 3k notes")
    assert draft.answers.examples == 3000 and "The chat model could not be reached" in turn.reply


def test_it_cannot_clear_patient_data_nor_name_a_card_that_there_is_not(server: Server):
    server.script = ['{"contains_phi": false, "gpu": "h9000", "priority": "speed"}', '{"contains_phi": true}']
    assert propose(server, "hello").changes == {"priority": "speed"}
    assert propose(server, "hello").changes == {"contains_phi": True}


@pytest.mark.parametrize(
    "text",
    [
        "notes of Mr Smith",
        "patient 12345678",
        "seen on 03/04/2021",
        "mail a.b@hospital.org",
        "MRN 4711",
        "born on a Monday",
    ],
)
def test_what_seems_to_identify_a_person_is_not_sent(server: Server, text: str):
    assert "was not shown it" in propose(server, text).remark
    assert server.asked == []


def test_a_remote_model_is_warned_of_while_patient_data_is_in_play():
    remote, local = "https://models.example.org/v1#m", "http://127.0.0.1:1/v1#m"
    assert "models.example.org reads this conversation" in chat_model.warning(remote, None)
    assert chat_model.warning(remote, True) and not chat_model.warning(remote, False)
    assert not chat_model.warning(local, True)


@pytest.mark.soak
@pytest.mark.timeout(180)
def test_a_real_server_with_the_embedded_model(embedded_cache: Path, monkeypatch: pytest.MonkeyPatch):
    """`transformers serve` with a model too small for the task: it answers, and what it says is checked or left."""
    folder = models.find(models.EMBEDDED).folder
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", "--host", "127.0.0.1"]
    command += ["--port", str(port), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        address = f"http://127.0.0.1:{port}/v1#{folder}"
        model = chat_client.connect(address, timeout=90)
        assert str(model.invoke("Say hello.").content).strip()
        proposal = chat_model.propose(model, "NER, 3k notes", Answers(), 90)
        Answers.model_validate(proposal.changes)
        assert proposal.remark in ("", NO_USE, FAILED)
        monkeypatch.setenv(chat_model.VARIABLE, address)
        draft, _ = dialogue.reply(dialogue.new_draft(), "NER, 3k notes")
        assert (draft.answers.task, draft.answers.examples) == ("ner", 3000)
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.3)
    raise AssertionError("transformers serve did not start")


def test_without_a_chat_model_none_is_asked(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(chat_model.VARIABLE)
    dialogue.reply(dialogue.new_draft(), "NER, 3k notes")
    assert server.asked == []
