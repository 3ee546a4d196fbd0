"""Addresses that would make this machine tell what is its own: refused before anything is sent."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from local_server import Server

from assistant.planner import chat_model
from assistant.planner.answers import Answers
from evaluators import chat_client
from evaluators.chat_client import AddressRefused
from evaluators.judge import JudgeError, judge_harm

NO_CHAT_MODEL = "where a cloud keeps its machines' secrets and no chat model answers; name another address."


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[BaseHTTPRequestHandler], None]], Server]]:
    running: list[Server] = []

    def start(reply: Callable[[BaseHTTPRequestHandler], None]) -> Server:
        running.append(Server(reply))
        return running[-1]

    yield start
    for one in running:
        one.close()


def said(text: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        body = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def ask(address: str) -> str:
    return str(chat_client.connect(address, 3).invoke("Is it so?").content)


@pytest.mark.parametrize("scheme", ["file", "ftp", "data", "gopher", "jar", "FILE", ""])
def test_only_http_is_an_address(scheme: str, tmp_path: Path):
    secret = tmp_path / "chat" / "completions"
    secret.parent.mkdir()
    secret.write_text(json.dumps({"choices": [{"message": {"content": "the key"}}]}))
    with pytest.raises(
        AddressRefused, match=r"is no address of a chat model; write http:// or https:// and its host\.$"
    ):
        ask(f"{scheme}://{tmp_path}#x" if scheme else f"{tmp_path}#x")


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("metadata.google.internal", "169.254.169.254"),
        ("169.254.169.254", "169.254.169.254"),
        ("2852039166", "169.254.169.254"),
        ("[fe80::1]", "fe80::1"),
        ("[fd00:ec2::254]", "fd00:ec2::254"),
        ("[::ffff:169.254.169.254]", "::ffff:169.254.169.254"),
        ("100.100.100.200", "100.100.100.200"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_where_a_cloud_keeps_secrets_nothing_is_sent_whatever_its_name(
    scheme: str, host: str, reached: str, monkeypatch: pytest.MonkeyPatch
):
    """The name is looked up once, by the connection itself: what it reached is what is judged."""
    ours, theirs = socket.socketpair()

    class Reached(socket.socket):
        def getpeername(self) -> tuple[str, int]:
            return reached, 80

        def setsockopt(self, *_: object) -> None:  # what is said to TCP alone
            pass

    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: Reached(fileno=ours.detach()))
    monkeypatch.setattr("ssl.SSLContext.wrap_socket", lambda self, sock, **_: sock)
    with pytest.raises(AddressRefused) as caught:
        ask(f"{scheme}://{host}/latest#x")
    assert str(caught.value).endswith(NO_CHAT_MODEL)
    theirs.settimeout(2)
    assert theirs.recv(1) == b""  # closed, and nothing came


def test_a_redirect_is_not_followed(serve: Callable[..., Server]):
    inner = serve(said("the key"))

    def send_on(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Location", f"http://127.0.0.1:{inner.port}/latest/meta-data")
        handler.end_headers()

    outer = serve(send_on)
    for status in (301, 302, 303, 307, 308):
        with pytest.raises(Exception, match=r"sends on to .*name that address\.$|HTTP Error 30[78]") as caught:
            ask(f"http://127.0.0.1:{outer.port}/v1#x")
        assert "meta-data" in str(caught.value) or status in (307, 308)
    assert outer.asked == ["POST /v1/chat/completions"] * 5 and inner.asked == []


def test_an_answer_without_end_is_cut_off(serve: Callable[..., Server]):
    def for_ever(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        piece = b"x" * (1 << 16)
        try:
            for _ in range(10_000):
                handler.wfile.write(piece)
        except OSError:
            closed.set()

    closed = threading.Event()
    server = serve(for_ever)
    began = time.monotonic()
    with pytest.raises(ValueError, match="the chat model's answer is larger than 1 MiB"):
        ask(f"http://127.0.0.1:{server.port}/v1#x")
    assert closed.wait(5) and time.monotonic() - began < 10


def test_planner_and_judge_say_why(serve: Callable[..., Server]):
    model = chat_client.connect("file:///etc#x", 3)
    told = chat_model.propose(model, "Summarise letters.", Answers(), 3)
    assert told.changes == {} and told.remark == (
        "file:///etc is no address of a chat model; write http:// or https:// and its host. I read that myself."
    )
    with pytest.raises(JudgeError, match=r"gave no reply \(AddressRefused: file:///etc is no address"):
        judge_harm(model, "How?", "So.", 3)


def test_this_machine_and_a_team_s_server_are_asked(serve: Callable[..., Server]):
    assert ask(f"http://127.0.0.1:{serve(said('Yes.')).port}/v1#x") == "Yes."
