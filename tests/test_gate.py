"""The gate before the pages, in front of a stand-in for them: who comes in, what is refused, and how much is taken."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from assistant import gate, limits
from assistant.gate import Gate, SignIn
from trainer import audit, passwords, people

ANNA, BEN = ("Anna Berg", "three blue herons"), ("Ben Carter", "four grey geese")
JOIN, DATA, UPLOAD = "/gradio_api/queue/join", "/gradio_api/queue/data", "/gradio_api/upload"
FILE = f"/gradio_api/file=/home/uploads/{'a' * 64}/dossier.pdf"
NOT_SIGNED_IN = {"detail": "You are not signed in, or no longer: open the page anew to sign in."}
NOTHING_THERE = {"detail": "There is nothing at this address."}


class Pages:
    """A stand-in for Gradio's app: remembers what came through, and by whom."""

    def __init__(self) -> None:
        self.came: list[tuple[str, str, str]] = []
        self.events: dict[str, Any] = {}
        self.held: dict[str, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        actor = gate.actor_of(request)
        self.came.append((request.method, request.url.path, f"{actor.name}, {actor.role}" if actor else "nobody"))
        await PlainTextResponse("the page")(scope, receive, send)

    def get_blocks(self) -> Any:
        return SimpleNamespace(
            _queue=SimpleNamespace(event_ids_to_events=self.events),
            holds=lambda window, name: self.held.setdefault(window, name) == name,
        )


class SaidByHuggingFace:
    """A stand-in for the session that Gradio keeps of Hugging Face's sign-in."""

    def __init__(self, app: ASGIApp, said: dict[str, Any]) -> None:
        self.app, self.said = app, said

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "session": self.said}, receive, send)


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_LOG2_N", 4)
    monkeypatch.setattr(gate, "KNOWN_SECONDS", 0.0)


@pytest.fixture
def pages() -> Pages:
    return Pages()


def client(pages: Pages, sign_in: SignIn, host: str = "http://127.0.0.1:7860", **named: Any) -> TestClient:
    """A browser without cookies, on these pages behind a gate."""
    app = Starlette(middleware=[Middleware(Gate, sign_in=sign_in, **named)])
    app.mount("/", pages)
    app.get_blocks = pages.get_blocks  # type: ignore[attr-defined]
    return TestClient(app, base_url=host, follow_redirects=False, client=("127.0.0.1", 50000))


@pytest.fixture
def door(pages: Pages) -> Iterator[TestClient]:
    people.add(*ANNA[:1], "reviewer", ANNA[1])
    people.add(*BEN[:1], "trainer", BEN[1])
    with client(pages, "password", "https://bedside.example:7860") as found:
        yield found


def sign_in(door: TestClient, who: tuple[str, str]) -> Any:
    door.cookies.clear()
    return door.post("/sign-in", data={"name": who[0], "password": who[1]})


def test_on_this_machine_nobody_signs_in_and_nobody_comes_from_elsewhere(pages: Pages):
    own = client(pages, "off")
    assert own.get("/").text == "the page" and own.post(JOIN, json={}).text == "the page"
    assert own.get(DATA, params={"session_hash": "x"}).text == "the page"
    for name in ("localhost:7860", "[::1]:7860", "bedside.localhost"):
        assert own.get("/", headers={"Host": name}).status_code == 200
    came = len(pages.came)
    for name in ("bedside.example", "127.0.0.1.bedside.example", "10.0.0.7:7860", ""):
        shown = own.get("/", headers={"Host": name})
        assert shown.status_code == 403, name
        assert shown.json()["detail"] == (
            "These pages are this machine's own. To let others reach them, start Bedside with --sign-in."
        )
    app = Gate(pages, "off")
    proxied = TestClient(app, base_url="http://127.0.0.1:7860", client=("10.0.0.7", 50000))
    assert proxied.get("/").status_code == 403, "whom a proxy on this machine brings from elsewhere"
    assert len(pages.came) == came


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:7861"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://other.example"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_another_sites_page_does_nothing_in_anybodys_name(pages: Pages, headers: dict[str, str]):
    own = client(pages, "off")
    shown = own.post(JOIN, json={}, headers=headers)
    said = "This was asked by another site's page, and not by Bedside's own; open Bedside itself."
    assert (shown.status_code, shown.json()) == (403, {"detail": said})
    if headers.get("Sec-Fetch-Mode") != "navigate":
        assert own.get(DATA, params={"session_hash": "x"}, headers=headers).status_code == 403, "nor reads anything"
    assert pages.came == []


def test_its_own_pages_and_links_to_it_are_let_through(pages: Pages):
    own = client(pages, "off")
    for headers in (
        {"Origin": "http://127.0.0.1:7860"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:7860"},
        {},  # no browser
    ):
        assert own.post(JOIN, json={}, headers=headers).status_code == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert own.get("/", headers=link).status_code == 200
    assert own.get("/", headers={"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/monitoring", "/monitoring/summary", "/gradio_api/vibe-edit", "/gradio_api/component_server",
        "/gradio_api/proxy=https://x.hf.space/", "/gradio_api/runs", "/gradio_api/run-history/connect",
        "/gradio_api/stream/abc", "/gradio_api/dev/reload", "/gradio_api/deep_link", "/gradio_api/openapi.json",
        "/gradio_api/file=/etc/passwd", "/gradio_api/file=https://evil.example/x",
        f"/gradio_api/file=https://evil.example/{'a' * 64}/x", f"/gradio_api/file=/x/{'a' * 64}/../../etc/passwd",
        "/gradio_api/file=/home/uploads/bedside-plan-1.md", "/gradio_api/token", "/login", "/logout", "/docs",
        "/login/huggingface",
    ],
)  # fmt: skip
def test_what_no_page_uses_is_not_there(pages: Pages, path: str):
    own = client(pages, "off")
    for shown in (own.get(path), own.post(path, json={})):
        assert (shown.status_code, shown.json()) == (404, NOTHING_THERE)
    assert pages.came == []
    assert own.get(FILE).status_code == 200


def test_every_answer_says_what_a_browser_may_do_with_it(pages: Pages, door: TestClient):
    own = client(pages, "off").get("/")
    assert own.headers["x-content-type-options"] == "nosniff" and own.headers["referrer-policy"] == "same-origin"
    policy = own.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'") and policy.endswith("frame-ancestors 'none'")
    assert "http" not in policy, "nothing of any other server"
    assert "cache-control" not in own.headers
    asked = door.get("/")
    assert asked.headers["content-security-policy"].startswith("default-src 'none'; style-src")
    assert asked.headers["cache-control"] == "no-store", "nothing stays on a ward's computer"
    on_space = client(pages, "hugging face", "https://x.hf.space")
    with pytest.raises(AssertionError):  # there is no session without Gradio's own middleware
        on_space.get("/")


def test_whoever_is_not_signed_in_is_asked_to_and_nothing_is_done(pages: Pages, door: TestClient):
    shown = door.get("/")
    assert shown.status_code == 200 and '<form method="post" action="/sign-in">' in shown.text
    for path in ("/config", JOIN, DATA, UPLOAD, FILE, "/gradio_api/run/predict", "/gradio_api/call/x", "/theme.css",
                 "/gradio_api/cancel", "/gradio_api/heartbeat/x", "/assets/x.js", "/gradio_api/info"):  # fmt: skip
        for answer in (door.get(path), door.post(path, json={})):
            assert (answer.status_code, answer.json()) == (401, NOT_SIGNED_IN), path
    door.cookies.set("bedside-7860", "made-up")
    assert door.get("/config").status_code == 401
    assert pages.came == []
    door.get("/gradio_api/startup-events")
    assert pages.came == [("GET", "/gradio_api/startup-events", "nobody")], "Gradio's own call when it starts"


def test_signing_in_and_out(pages: Pages, door: TestClient):
    answer = sign_in(door, ("anna  berg", ANNA[1]))
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("bedside-7860=") and all(
        one in cookie for one in ("HttpOnly", "Secure", "SameSite=lax", "Max-Age=43200")
    )
    assert door.get("/").text == "the page" and pages.came[-1] == ("GET", "/", "Anna Berg, reviewer")
    assert door.get("/sign-in").headers["location"] == "/"
    kept = dict(door.cookies)
    assert door.post("/sign-out").status_code == 303
    door.cookies.update(kept)
    assert door.get("/config").status_code == 401, "a copy of the cookie is worth nothing afterwards"
    assert [(one.who, one.action, one.on) for one in audit.entries()[2:]] == [
        ("Anna Berg", "signed in", "from 127.0.0.1"),
        ("Anna Berg", "signed out", ""),
    ]


def test_a_sign_in_ends_with_the_password_the_person_or_the_day(
    pages: Pages, door: TestClient, monkeypatch: pytest.MonkeyPatch
):
    sign_in(door, ANNA)
    people.set_role("Anna Berg", "trainer")
    assert door.get("/config").status_code == 200 and pages.came[-1][2] == "Anna Berg, trainer", "from the next call on"
    people.set_password("Anna Berg", "another long password")
    assert door.get("/config").status_code == 401
    sign_in(door, BEN)
    assert door.get("/config").status_code == 200
    people.remove("Ben Carter")
    assert door.get("/config").status_code == 401
    monkeypatch.setattr(gate, "SESSION_HOURS", 0)
    sign_in(door, ("Anna Berg", "another long password"))
    assert door.get("/config").status_code == 401


def test_wrong_passwords_are_throttled_for_that_address_and_name_alone(
    door: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    for _ in range(limits.WRONG_OF_A_NAME):
        wrong = sign_in(door, ("Anna Berg", "my <secret> try"))
        assert wrong.status_code == 401 and "This name and this password do not fit." in wrong.text
        assert 'value="Anna Berg"' in wrong.text and "secret" not in wrong.text
    held = sign_in(door, ANNA)
    assert held.status_code == 429 and "Too many wrong passwords. Try again in" in held.text
    assert 0 < int(held.headers["retry-after"]) <= limits.WRONG_SECONDS
    assert sign_in(door, BEN).status_code == 303, "a colleague at the same desk is not kept out"
    sign_in(door, ("three blue herons", "Anna Berg"))
    log = audit.file().read_text()
    assert log.count('"failed to sign in"') == 6 and '"who":"somebody"' in log
    for place in (log, caplog.text):
        assert "secret" not in place and "herons" not in place, "also where it was typed as the name"
    monkeypatch.setattr(limits.time, "monotonic", lambda: 1e9)
    assert sign_in(door, ANNA).status_code == 303, "a quarter of an hour later"


def test_an_address_cannot_try_one_password_on_everybody(door: TestClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gate, "WRONG_OF_AN_ADDRESS", 8)
    shown = [sign_in(door, (f"Person {number}", "winter 2026 !")).status_code for number in range(9)]
    assert shown == [401] * 8 + [429]


def test_a_name_is_shown_again_as_text(door: TestClient):
    wrong = sign_in(door, ('"><script>alert(1)</script>', "x"))
    assert "<script>" not in wrong.text and "&quot;&gt;&lt;script&gt;" in wrong.text


def test_requests_are_bounded_by_person_and_by_address(pages: Pages, door: TestClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gate, "REQUESTS_A_MINUTE", 5)
    monkeypatch.setattr(gate, "STRANGERS_REQUESTS_A_MINUTE", 7)
    sign_in(door, ANNA)
    shown = [door.get("/config") for _ in range(6)]
    assert [one.status_code for one in shown] == [200] * 5 + [429]
    assert shown[-1].json()["detail"].startswith("Too many requests within a minute; go on in ")
    assert door.get("/assets/x.js").status_code == 200, "a page's own parts are not counted"
    sign_in(door, BEN)
    assert door.get("/config").status_code == 200, "somebody else's count is their own"
    door.cookies.clear()
    assert [door.get("/").status_code for _ in range(6)] == [200] * 5 + [429]


def test_bodies_uploads_and_waiting_events_are_bounded(pages: Pages, door: TestClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gate, "BODY_MB", 0.01)
    monkeypatch.setattr(gate, "UPLOADS_A_DAY", 3)
    monkeypatch.setattr(gate, "UPLOAD_MB_A_DAY", 0.05)
    sign_in(door, BEN)
    large = door.post(JOIN, content=b"x" * 20_000)
    assert (large.status_code, large.json()["detail"]) == (
        413, "The request is larger than 0.01 MB; give large data as a file.",
    )  # fmt: skip
    assert door.post(JOIN, content=iter([b"x"])).status_code == 411, "nor of a length that is not said"
    assert door.post(UPLOAD, content=b"x" * 20_000).status_code == 200
    assert door.post(UPLOAD, content=b"x" * 40_000).json()["detail"].startswith("More than 0.05 MB in a day")
    assert [door.post(UPLOAD, content=b"x").status_code for _ in range(3)] == [200, 200, 429]
    assert door.post(UPLOAD, content=iter([b"x"])).status_code == 411
    sign_in(door, ANNA)
    refused = door.post(UPLOAD, content=b"x")
    assert (refused.status_code, refused.json()["detail"]) == (403, "A reviewer uploads nothing; ask a trainer.")
    pages.events = {str(n): SimpleNamespace(username="Anna Berg" if n else "Ben Carter") for n in range(limits.WAITING)}
    assert door.post(JOIN, json={}).status_code == 200
    pages.events["last"] = SimpleNamespace(username="Anna Berg")
    waiting = door.post(JOIN, json={})
    assert (waiting.status_code, waiting.json()["detail"]) == (
        429, "40 of your requests wait already; let some of them end.",
    )  # fmt: skip


def test_nobody_listens_to_somebody_elses_window(door: TestClient):
    sign_in(door, ANNA)
    assert door.get(DATA, params={"session_hash": "annas"}).status_code == 200
    assert door.get("/gradio_api/heartbeat/annas").status_code == 200
    sign_in(door, BEN)
    said = {"detail": "This window is somebody else's; open the page anew."}
    for answer in (door.get(DATA, params={"session_hash": "annas"}), door.get("/gradio_api/heartbeat/annas")):
        assert (answer.status_code, answer.json()) == (403, said)
    assert door.get(DATA, params={"session_hash": "bens"}).status_code == 200


def test_a_space_lets_in_its_owner_and_whom_the_owner_lets_in(pages: Pages):
    people.add("annab", "reviewer")
    said: dict[str, Any] = {}
    app = Starlette(middleware=[
        Middleware(SaidByHuggingFace, said=said), Middleware(Gate, sign_in="hugging face", owner="hospital"),
    ])  # fmt: skip
    app.mount("/", pages)
    app.get_blocks = pages.get_blocks  # type: ignore[attr-defined]
    space = TestClient(app, base_url="https://hospital-bedside.hf.space", follow_redirects=False)

    def as_user(name: str, left: float = 3600) -> None:
        said["oauth_info"] = {"userinfo": {"preferred_username": name}, "expires_at": time.time() + left}

    shown = space.get("/")
    assert shown.status_code == 200 and 'href="/login/huggingface"' in shown.text
    assert space.get("/config").status_code == 401
    assert space.get("/login/huggingface").text == "the page" and space.get("/login/callback").status_code == 200
    assert shown.headers["content-security-policy"].endswith(
        "frame-ancestors https://huggingface.co https://*.huggingface.co https://*.hf.space"
    )
    pages.came.clear()
    as_user("passer<b>by")
    kept_out = space.get("/")
    assert kept_out.status_code == 403 and "as passer&lt;b&gt;by, and nobody has let you in" in kept_out.text
    assert "Ask hospital, who administers this Space." in kept_out.text
    assert space.get("/config").status_code == 401 and space.post(JOIN, json={}).status_code == 401
    assert pages.came == []
    as_user("hospital")
    space.get("/")
    as_user("annab")
    space.get("/")
    space.get("/config")
    assert [one[2] for one in pages.came] == ["hospital, administrator", "annab, reviewer", "annab, reviewer"]
    as_user("annab", left=-1)
    assert space.get("/config").status_code == 401, "Hugging Face's word is good for as long as it says"
    as_user("hospital")
    assert space.post("/sign-in", data={"name": "annab", "password": ""}).headers["location"] == "/"
    space.post("/sign-out")
    assert "oauth_info" not in said
    assert [(one.who, one.action) for one in audit.entries()[1:]] == [
        ("hospital", "signed in"), ("annab", "signed in"), ("hospital", "signed in"), ("hospital", "signed out"),
    ]  # fmt: skip
