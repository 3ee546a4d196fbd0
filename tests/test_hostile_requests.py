"""Requests that were made to do harm, sent to the running app: no file is read or written that is not the browser's."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from local_server import Server

from assistant.pages import uploads
from trainer.data import recipes
from trainer.data_sections import DataSection, DataSource

ROOT = Path(__file__).resolve().parent.parent
SECRET = "hf_0123456789-secret"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class App(NamedTuple):
    port: int
    home: Path

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request, its path sent as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was sent
                connection.request(method, path, body, headers, encode_chunked=hasattr(body, "__next__"))
            found = connection.getresponse()
            return Answer(found.status, {name.lower(): value for name, value in found.getheaders()}, found.read())
        finally:
            connection.close()

    def upload(self, name: str, content: bytes) -> Answer:
        head = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        return self.ask("POST", "/gradio_api/upload", head + content + b"\r\n--b--\r\n", **kind)

    def call(self, element: str, event: str, data: list[Any]) -> str:
        """What the app sends to a browser in which this event happens to this element."""
        blocks = json.loads(self.ask("GET", "/config").body)
        known = {one["id"] for one in blocks["components"] if one["props"].get("elem_id") == element}
        (number,) = [
            one["id"] for one in blocks["dependencies"] if any(on in known and of == event for on, of in one["targets"])
        ]
        asked = {"data": data, "fn_index": number, "session_hash": f"s{time.monotonic_ns()}", "trigger_id": min(known)}
        joined = self.ask("POST", "/gradio_api/queue/join", json.dumps(asked), **{"Content-Type": "application/json"})
        assert joined.status == 200, joined
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", f"/gradio_api/queue/data?session_hash={asked['session_hash']}")
        stream, told = connection.getresponse(), []
        while line := stream.readline().decode():
            told.append(line)
            if '"process_completed"' in line:
                break
        connection.close()
        return "".join(told)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """`python app.py` with a home that holds secrets."""
    home = tmp_path_factory.mktemp("served") / "home"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "BEDSIDE_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    environment.pop("SPACE_ID", None)
    process = subprocess.Popen([sys.executable, "app.py", "--port", str(port)], cwd=ROOT, env=environment)
    served = App(port, home)
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            if served.ask("GET", "/").status == 200:
                break
        except OSError:
            time.sleep(0.2)
    for name in ("pseudonyms.key", "plans/1/draft.json", "uploads-beside.txt", "data/notes.csv"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(SECRET)
    yield served
    process.terminate()
    process.wait(20)


def test_no_route_gives_a_file_that_is_not_the_browser_s(app: App):
    inside = f"{app.home}/uploads"
    secrets = [
        f"{app.home}/pseudonyms.key",
        f"{app.home}/plans/1/draft.json",
        f"{app.home}/data/notes.csv",
        f"{app.home}/uploads-beside.txt",
        f"{inside}/../pseudonyms.key",
        f"{inside}/%2e%2e/pseudonyms.key",
        f"{inside}/..%2fpseudonyms.key",
        f"{inside}/x/../../pseudonyms.key",
        f"{inside}//../pseudonyms.key",
        f"/proc/self/root{app.home}/pseudonyms.key",
        f"{ROOT}/app.py",
        "/etc/passwd",
        "../../../../../../etc/passwd",
        "/proc/self/environ",
    ]
    # Each route of Gradio's that takes something of its path, with a way out in that place.
    routes = [route for route in file_routes() if "{" in route]
    assert any("file=" in route for route in routes) and len(routes) > 5
    served = []
    for route in routes:
        before, _, rest = route.partition("{")
        after = rest.partition("}")[2].replace("{", "").replace("}", "")
        for secret in secrets:
            for written in {secret, urllib.parse.quote(secret, safe=""), f"../../../../../..{secret}"}:
                answer = app.ask("GET", f"{before}{written}{after}")
                if any(
                    found in answer.body for found in (SECRET.encode(), b"root:x:0", b"BEDSIDE_HOME", b"def build(")
                ):
                    served.append((route, written))
                assert answer.status < 500, (route, written)
    assert served == []


def file_routes() -> list[str]:
    """Paths of Gradio's GET routes, as this version of it has them."""
    import gradio as gr
    from gradio.routes import App as GradioApp

    with gr.Blocks() as nothing:
        gr.Markdown()
    every: list[tuple[str, Any]] = [("", route) for route in GradioApp.create_app(nothing).routes]
    found = set()
    for before, route in every:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            every += [("/gradio_api", one) for one in inner.routes]
        elif "GET" in (getattr(route, "methods", None) or ()):
            path = str(getattr(route, "path", ""))
            found.add(path if path.startswith(before) else before + path)
    # These wait for something to be sent, and read no file.
    return sorted(
        path for path in found if not any(word in path for word in ("heartbeat", "queue", "stream", "upload"))
    )


def tells(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(SECRET.encode())


@pytest.fixture
def inner() -> Iterator[Server]:
    """A server that only this machine reaches."""
    found = Server(tells)
    yield found
    found.close()


def as_file(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "rows.csv", **more}


def test_no_address_is_fetched_for_a_browser(app: App, inner: Server):
    for host in ("127.0.0.1", "localhost", "0.0.0.0", "[::1]", "2130706433"):
        address = f"http://{host}:{inner.port}/latest/meta-data"
        for route in (f"/gradio_api/file={address}", f"/gradio_api/proxy={address}", f"/file={address}"):
            answer = app.ask("GET", route)
            assert answer.status >= 400 and SECRET.encode() not in answer.body
        assert SECRET not in app.call("data-upload", "upload", [as_file(address)])
        assert SECRET not in app.call("data-upload", "upload", [as_file("rows.csv", url=address)])
    assert inner.asked == []


def test_an_event_takes_no_file_that_was_not_uploaded(app: App):
    before = sorted((app.home / "data").iterdir())
    for path in (
        f"{app.home}/pseudonyms.key",
        f"{app.home}/data/notes.csv",
        "/etc/passwd",
        f"{app.home}/uploads/../data/notes.csv",
    ):
        told = app.call("data-upload", "upload", [as_file(path)])
        assert '"success":false' in told.replace(" ", "") and SECRET not in told and "root:x:0" not in told, told
    assert sorted((app.home / "data").iterdir()) == before


@pytest.mark.parametrize(
    "name",
    ["../../../evil.csv", "a/../../evil.csv", "/tmp/evil.csv", "..\\..\\evil.csv", "%2e%2e%2fevil.csv", ".evil.csv"],
)
def test_an_upload_s_name_leads_nowhere(app: App, name: str):
    answer = app.upload(name, b"question,answer\nq,a\n")
    assert answer.status == 200
    (path,) = [Path(one) for one in json.loads(answer.body)]
    assert path.is_relative_to(app.home / "uploads") and ".." not in path.parts and path.is_file()
    assert len(path.relative_to(app.home / "uploads").parts) == 2
    outside = [found for found in app.home.rglob("*evil*") if not found.is_relative_to(app.home / "uploads")]
    assert outside == [] and not Path("/tmp/evil.csv").exists()


def test_an_uploaded_page_is_not_run_by_a_browser(app: App):
    for name in ("evil.html", "evil.svg", "evil.xhtml", "evil.csv"):
        (path,) = json.loads(app.upload(name, b"<script>alert(1)</script>").body)
        answer = app.ask("GET", f"/gradio_api/file={path}")
        assert answer.status == 200 and answer.headers["content-disposition"].startswith("attachment"), name
        assert answer.headers["x-content-type-options"] == "nosniff", name


def test_an_upload_that_is_too_large_is_refused_and_leaves_nothing(app: App):
    before = sorted((app.home / "uploads").rglob("*"))
    piece = b"x" * (1 << 20)

    def content() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="large.csv"\r\n\r\n'
        for _ in range(uploads.MOST_MB + 1):
            yield piece
        yield b"\r\n--b--\r\n"

    try:
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        assert app.ask("POST", "/gradio_api/upload", content(), **kind).status == 413
    except ConnectionError:
        pass  # it closed the connection, and its answer was lost with what was still under way
    end = time.monotonic() + 10
    while sorted((app.home / "uploads").rglob("*")) != before and time.monotonic() < end:
        time.sleep(0.1)
    assert sorted((app.home / "uploads").rglob("*")) == before


def test_a_body_nested_without_end_stops_nothing(app: App):
    body = '{"data": ' + "[" * 200_000 + "]" * 200_000 + ', "fn_index": 0, "session_hash": "x"}'
    answer = app.ask("POST", "/gradio_api/queue/join", body, **{"Content-Type": "application/json"})
    assert 400 <= answer.status <= 500
    assert app.ask("GET", "/").status == 200


@pytest.mark.parametrize("name", ["../mine.data.yaml", "/{}/mine.data.yaml", "x/../../../mine.data.yaml"])
def test_a_recipe_s_name_of_the_browser_s_writes_nowhere_else(name: str, tmp_path: Path, home: Path):
    import gradio as gr

    from assistant.pages import data

    path = recipes.folder() / "mine.data.yaml"
    recipes.save(path, DataSection(sources=[DataSource(name="starter/clinical")]))
    with gr.Blocks():
        page = data._Page()
    named = name.format(tmp_path.relative_to("/"))
    next(page._by_hand(named, "question_answer", ""))
    assert recipes.load(path).sources[0].format == "question_answer"
    next(page._delete(named))
    assert not path.exists() and [one for one in tmp_path.rglob("*.data.yaml")] == []
    with pytest.raises(Exception, match=r"bedside\.db: is no data of the Data page; choose one\."):
        page._load("../bedside.db")
