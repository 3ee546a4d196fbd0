"""The gate of the pages: an ASGI layer before Gradio that every request comes through.

In this order: only what the pages use; nothing that another site's page asks for; bodies of a bounded size; who is
signed in; how much they ask for. What each role may then do is `assistant.access`.
"""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import parse_qs, urlsplit

from anyio import CapacityLimiter, to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant import sign_in_page
from assistant.limits import (
    BODY_MB,
    CHECKS_AT_ONCE,
    REQUESTS_A_MINUTE,
    STRANGERS_REQUESTS_A_MINUTE,
    UPLOAD_MB_A_DAY,
    UPLOADS_A_DAY,
    WAITING,
    WRONG_OF_A_NAME,
    WRONG_OF_AN_ADDRESS,
    WRONG_SECONDS,
    Counter,
)
from trainer import audit
from trainer.actor import Actor, Role

if TYPE_CHECKING:
    from trainer.store import Person

SignIn = Literal["off", "password", "hugging face"]
"""Off: whoever comes is this machine's own account, and nobody comes from elsewhere."""
SESSION_HOURS = 12
KNOWN_SECONDS = 5.0
"""For so long a person's role is remembered between two looks into the database."""
ACTOR = "bedside.actor"
"""Under this name a request's scope holds the `Actor` that is signed in."""

_ASSETS = ("/assets/", "/static/", "/svelte/")
_PAGES = {"/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt", "/sign-in", "/sign-out"}
_API = "/gradio_api/"
_CALLS = {
    "app_id", "cancel", "info", "login_check", "queue/data", "queue/join", "queue/status", "reset", "startup-events",
    "theme.css", "upload", "upload_progress", "user",
}  # fmt: skip
_CALLS_OF_ONE = ("api/", "call/", "heartbeat/", "run/")
_OAUTH = {"/login/huggingface", "/login/callback", "/logout"}
# Gradio calls the first itself when it starts; it does nothing the second time.
_WITHOUT_SIGN_IN = {"/gradio_api/startup-events", "/robots.txt", "/favicon.ico"}
_CACHED_FILE = re.compile(r"/[0-9a-f]{64}/[^/]+$")
_FRAMED_BY = {"hugging face": "https://huggingface.co https://*.huggingface.co https://*.hf.space"}
# What Gradio's pages need of themselves; nothing is fetched from, sent to or framed by anywhere else.
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'"
)


@dataclass
class _Session:
    """Somebody's being signed in; over once their password is another one."""

    name: str
    password: str
    until: float


class Gate:
    """The layer itself. `owner`: the Hugging Face user who administers the Space."""

    def __init__(self, app: ASGIApp, sign_in: SignIn, owner: str = "") -> None:
        self.app, self.sign_in, self.owner = app, sign_in, owner
        self._sessions: dict[str, _Session] = {}
        self._known: dict[str, tuple[float, Person | None]] = {}
        self._seen: set[tuple[str, Any]] = set()  # sign-ins at Hugging Face that are in the audit log
        self._requests, self._strangers = Counter(60), Counter(60)
        self._wrong, self._checks = Counter(WRONG_SECONDS), CapacityLimiter(CHECKS_AT_ONCE)
        self._uploads, self._uploaded_mb = Counter(86_400), Counter(86_400)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # the pages use no web sockets
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope, receive)
        answer = self._refusal(request) or await self._signing(request) or await self._limited(request)
        await (answer or self.app)(scope, receive, self._with_headers(scope, send))

    def _refusal(self, request: Request) -> Response | None:
        """What is not asked by our own pages, whoever is signed in."""
        if not self._served(_path(request)):
            return _told(404, "There is nothing at this address.")
        headers, host = request.headers, request.headers.get("host", "")
        # The name that it was asked by, and, where a proxy says so, from where.
        asked = (urlsplit(f"//{host}").hostname or "", _address(request))
        if self.sign_in == "off" and not all(is_this_machine(one) for one in asked):
            told = "These pages are this machine's own. To let others reach them, start Bedside with --sign-in."
            return _told(403, told)
        if _of_another_site(request.method, headers, host):
            return _told(403, "This was asked by another site's page, and not by Bedside's own; open Bedside itself.")
        if request.method not in ("GET", "HEAD", "OPTIONS") and _path(request) != f"{_API}upload":
            if "content-length" not in headers and "transfer-encoding" in headers:
                return _told(411, "The request does not say how long it is (Content-Length).")
            if _megabytes(headers) > BODY_MB:
                return _told(413, f"The request is larger than {BODY_MB} MB; give large data as a file.")
        return None

    def _served(self, path: str) -> bool:
        if self.sign_in == "hugging face" and path in _OAUTH:
            return True
        if not path.startswith(_API):
            return path in _PAGES or path.startswith(_ASSETS)
        call = path.removeprefix(_API)
        if call.startswith("file="):
            # Only what a page gave out: copies under the hash of their content, which nobody can guess.
            return bool(_CACHED_FILE.search(call)) and "://" not in call
        return call.rstrip("/") in _CALLS or call.startswith(_CALLS_OF_ONE)

    async def _signing(self, request: Request) -> Response | None:
        """Signing in and out; and whatever somebody asks who is not signed in. None where it may go on."""
        if self.sign_in == "off":
            return None
        path, post = _path(request), request.method == "POST"
        actor, name = await self._who(request)
        request.scope[ACTOR] = actor
        if path == "/sign-out" and post:
            return self._sign_out(request, actor)
        if actor is not None:
            if path in ("/sign-in", "/sign-out"):
                return RedirectResponse("/", 303)
            return None
        # Before a Space, Hugging Face counts; there everybody comes from the same address.
        if self.sign_in == "password" and self._strangers.add(_address(request)) > STRANGERS_REQUESTS_A_MINUTE:
            return _too_many(self._strangers)
        if path == "/sign-in" and post and self.sign_in == "password":
            return await self._sign_in(request)
        if path in _WITHOUT_SIGN_IN or path in _OAUTH:
            return None
        if path not in ("/", "/sign-in"):
            return _told(401, "You are not signed in, or no longer: open the page anew to sign in.")
        if self.sign_in == "password":
            return _page(sign_in_page.with_password())
        if name:
            return _page(sign_in_page.not_let_in(name, self.owner), 403)
        return _page(sign_in_page.with_hugging_face())

    async def _who(self, request: Request) -> tuple[Actor | None, str]:
        """Who is signed in; and the name at Hugging Face, also of somebody who may not come in."""
        if self.sign_in == "hugging face":
            return await self._hugging_face_user(request)
        session = self._sessions.get(request.cookies.get(_cookie(request), ""))
        if session is None or session.until < time.monotonic():
            return None, ""
        person = await self._person(session.name)
        if person is None or person.password != session.password:
            return None, ""
        return _actor(person), person.name

    async def _hugging_face_user(self, request: Request) -> tuple[Actor | None, str]:
        said = request.session.get("oauth_info") or {}
        name = said.get("userinfo", {}).get("preferred_username", "")
        if not name or said.get("expires_at", 0) < time.time():
            return None, ""
        person = await self._person(name)
        if name == self.owner:
            actor = Actor(name, "administrator")
        elif person is not None:
            actor = _actor(person)
        else:
            return None, name
        if (name, said["expires_at"]) not in self._seen:
            self._seen.add((name, said["expires_at"]))
            audit.record("signed in", "with Hugging Face", actor)
        return actor, name

    async def _person(self, name: str) -> Person | None:
        from trainer import people

        if len(self._known) > 1000:
            self._known.clear()
        until, found = self._known.get(name, (0.0, None))
        if until < time.monotonic():
            found = await to_thread.run_sync(people.find, name)
            self._known[name] = (time.monotonic() + KNOWN_SECONDS, found)
        return found

    async def _sign_in(self, request: Request) -> Response:
        from trainer import people

        if _megabytes(request.headers) > 0.01:
            return _told(413, "A name and a password are shorter than that.")
        form = parse_qs((await request.body()).decode(errors="replace"))
        name, password = (form.get(field, [""])[0] for field in ("name", "password"))
        address = _address(request)
        tries = {f"{address} {' '.join(name.split()).casefold()}": WRONG_OF_A_NAME, address: WRONG_OF_AN_ADDRESS}
        if any(self._wrong.used(key) >= most for key, most in tries.items()):
            minutes = -(-self._wrong.wait() // 60)
            told = f"Too many wrong passwords. Try again in {minutes} minute{'' if minutes == 1 else 's'}."
            answer = _page(sign_in_page.with_password(told, name), 429)
            answer.headers["Retry-After"] = str(self._wrong.wait())
            return answer
        for key in tries:  # before it is looked at, so that many tries at once are no more than one after another
            self._wrong.add(key)
        person = await to_thread.run_sync(people.check, name, password, limiter=self._checks)
        if person is None:
            known = await to_thread.run_sync(people.find, name)
            audit.record("failed to sign in", f"from {address}", Actor(known.name if known else "somebody"))
            return _page(sign_in_page.with_password("This name and this password do not fit.", name), 401)
        for key in tries:
            self._wrong.add(key, -1)
        now = time.monotonic()
        self._sessions = {token: one for token, one in self._sessions.items() if one.until > now}
        token = secrets.token_urlsafe(32)
        self._sessions[token] = _Session(person.name, person.password, now + SESSION_HOURS * 3600)
        self._known.pop(person.name, None)
        audit.record("signed in", f"from {address}", _actor(person))
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            _cookie(request), token, max_age=SESSION_HOURS * 3600, httponly=True, samesite="lax",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer

    def _sign_out(self, request: Request, actor: Actor | None) -> Response:
        answer = RedirectResponse("/", 303)
        self._sessions.pop(request.cookies.get(_cookie(request), ""), None)
        answer.delete_cookie(_cookie(request))
        if self.sign_in == "hugging face":
            request.session.pop("oauth_info", None)
        if actor is not None:
            audit.record("signed out", who=actor)
        return answer

    async def _limited(self, request: Request) -> Response | None:
        """Whether somebody who is signed in asks for too much."""
        actor: Actor | None = request.scope.get(ACTOR)
        path = _path(request)
        if actor is None or path.startswith(_ASSETS):
            return None
        if self._requests.add(actor.name) > REQUESTS_A_MINUTE:
            return _too_many(self._requests)
        window = request.query_params.get("session_hash") or path.partition("/heartbeat/")[2]
        if window and not request.app.get_blocks().holds(window, actor.name):
            return _told(403, "This window is somebody else's; open the page anew.")
        if path.startswith(f"{_API}queue/join") and _waiting(request, actor.name) >= WAITING:
            return _told(429, f"{WAITING} of your requests wait already; let some of them end.")
        if path.rstrip("/") == f"{_API}upload":
            if not actor.may("trainer"):
                return _told(403, "A reviewer uploads nothing; ask a trainer.")
            if "content-length" not in request.headers:
                return _told(411, "The upload does not say how large it is (Content-Length).")
            size = _megabytes(request.headers)
            if self._uploads.used(actor.name) + 1 > UPLOADS_A_DAY:
                return _told(429, f"You uploaded {UPLOADS_A_DAY} files today; go on tomorrow, or name a path instead.")
            if self._uploaded_mb.used(actor.name) + size > UPLOAD_MB_A_DAY:
                told = (
                    f"More than {UPLOAD_MB_A_DAY:,} MB in a day are not taken; go on tomorrow, or name a path instead."
                )
                return _told(413, told)
            self._uploads.add(actor.name)
            self._uploaded_mb.add(actor.name, size)
        return None

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        """Every answer says what a browser may do with it."""
        framed = f"frame-ancestors {_FRAMED_BY.get(self.sign_in, chr(39) + 'none' + chr(39))}"

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                own = headers.get("content-security-policy") or ("" if self.sign_in == "hugging face" else _POLICY)
                headers["Content-Security-Policy"] = f"{own}; {framed}" if own else framed
                if self.sign_in != "off" and not scope["path"].startswith(_ASSETS):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        return with_headers


def is_this_machine(host: str) -> bool:
    """Whether a host's name or address is this machine's own, which no other machine reaches."""
    import ipaddress

    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def actor_of(request: Any) -> Actor | None:
    """Who is signed in, given Starlette's request."""
    return request.scope.get(ACTOR)


def _of_another_site(method: str, headers: Headers, host: str) -> bool:
    """Whether another site's page asks this: by what a browser says of it, which no page can change.

    Browsers send `Sec-Fetch-Site` to https and to this machine, else `Origin`. A link from elsewhere that opens the
    page is fine. What is no browser sends neither, and has no cookie that it was not given.
    """
    site = headers.get("sec-fetch-site")
    if site in ("same-origin", "none"):
        return False
    if site is not None:
        return not (headers.get("sec-fetch-mode") == "navigate" and method in ("GET", "HEAD"))
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != host


def _waiting(request: Request, name: str) -> int:
    """Events of this person in Gradio's queue, those that run too."""
    queue = request.app.get_blocks()._queue
    return sum(event.username == name for event in queue.event_ids_to_events.values())


def _path(request: Request) -> str:
    return request.scope["path"]


def _cookie(request: Request) -> str:
    # A host's ports share its cookies; two apps on one host must not sign each other's people out.
    return f"bedside-{request.url.port or 0}"


def _address(request: Request) -> str:
    return request.client.host if request.client else "nowhere"


def _megabytes(headers: Headers) -> float:
    length = headers.get("content-length", "0")
    return int(length) / 1e6 if length.isdecimal() else float("inf")


def _actor(person: Person) -> Actor:
    return Actor(person.name, cast(Role, person.role))


def _page(html: str, status: int = 200) -> Response:
    return HTMLResponse(html, status, {"Content-Security-Policy": sign_in_page.POLICY})


def _told(status: int, sentence: str) -> Response:
    return JSONResponse({"detail": sentence}, status)


def _too_many(counter: Counter) -> Response:
    seconds = str(counter.wait())
    told = f"Too many requests within a minute; go on in {seconds} s."
    return JSONResponse({"detail": told}, 429, {"Retry-After": seconds})
