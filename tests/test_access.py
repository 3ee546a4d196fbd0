"""The real app with a sign-in: every route and every function, by nobody, by each role, by another site's page."""

from __future__ import annotations

import asyncio
import errno
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import httpx
import pytest
from local_server import free_port

import app
from assistant import access, fault_log, gate
from assistant.pages import account
from assistant.pages.background import with_progress
from trainer import actor, audit, passwords, people, runs, store
from trainer.actor import ROLES, Actor, Role
from trainer.errors import UserError
from trainer.store import Vote

PEOPLE: dict[Role, str] = {"reviewer": "Anna Berg", "trainer": "Ben Carter", "administrator": "Clara Diaz"}
SECRET = "three blue herons"
ROOT = Path(__file__).resolve().parent.parent
POLICY = "content-security-policy"
SIGN_IN_FIRST = "You are not signed in, or no longer: open the page anew to sign in."


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[access.GuardedBlocks]:
    """All pages, served as `app.py --sign-in` serves them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEDSIDE_HOME", str(tmp_path_factory.mktemp("served")))
        built = app.build("password")
        app.serve(built, "127.0.0.1", free_port(), wait=False)
    yield built
    built.close()


@pytest.fixture(autouse=True)
def registered(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_LOG2_N", 4)
    monkeypatch.setattr(gate, "KNOWN_SECONDS", 0.0)
    monkeypatch.setattr(gate, "STRANGERS_REQUESTS_A_MINUTE", 10_000)
    for role, name in PEOPLE.items():
        people.add(name, role, SECRET)


@contextmanager
def browser(demo: access.GuardedBlocks, role: Role | None = None) -> Iterator[httpx.Client]:
    """Somebody of this role who has signed in, or somebody who has not."""
    with httpx.Client(base_url=str(demo.local_url), timeout=60) as found:
        if role:
            found.post("/sign-in", data={"name": PEOPLE[role], "password": SECRET})
        yield found


def run_apart(work: Any) -> Any:
    """What a coroutine gives, in a thread of its own: the browser's tests leave a loop running in theirs."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def numbered(demo: access.GuardedBlocks, name: str) -> int:
    """The number under which a browser calls a function of the pages."""
    return next(number for number, one in demo.fns.items() if one.fn and access.called(one.fn).endswith(name))


def call(found: httpx.Client, number: int, *data: Any, window: str = "a-window") -> dict[str, Any]:
    """Call a function of the pages as they do, by the queue; what it ended with."""
    joined = found.post("/gradio_api/queue/join", json={"data": data, "fn_index": number, "session_hash": window})
    assert joined.status_code == 200, joined.text
    with found.stream("GET", "/gradio_api/queue/data", params={"session_hash": window}) as told:
        for line in told.iter_lines():
            if line.startswith("data: ") and (said := json.loads(line[6:]))["msg"] == "process_completed":
                return said
    raise AssertionError("it never ended")


def routes(demo: access.GuardedBlocks) -> list[tuple[str, str]]:
    """Method and path of all that the running app answers, with something in each place of a path."""
    found: list[tuple[str, str]] = []
    every = list(demo.app.routes)
    while every:
        one = every.pop()
        if inner := getattr(one, "original_router", None):  # FastAPI keeps what was included as it was
            every += inner.routes
            continue
        path = re.sub(r"\{[^}]*\}", "x", getattr(one, "path", ""))
        found += [(method, path) for method in sorted(getattr(one, "methods", None) or {"GET"})]
    return found


def test_every_route_is_closed_to_whoever_is_not_signed_in(demo: access.GuardedBlocks):
    found = routes(demo)
    assert len(found) > 80 and ("POST", "/gradio_api/queue/join") in found
    open_to_all = []
    with browser(demo) as nobody:
        for method, path in found:
            shown = nobody.request(method, path)
            if shown.status_code in (401, 404) and method != "HEAD":
                assert shown.json()["detail"] in (SIGN_IN_FIRST, "There is nothing at this address."), (method, path)
            elif shown.status_code not in (401, 404):
                open_to_all.append((method, path))
        assert sorted(set(open_to_all)) == [
            ("GET", "/"), ("GET", "/favicon.ico"), ("GET", "/gradio_api/startup-events"), ("GET", "/robots.txt"),
            ("HEAD", "/"),
        ]  # fmt: skip
        assert "Sign in to go on." in nobody.get("/").text and "gradio" not in nobody.get("/").text


@pytest.mark.parametrize("role", ROLES)
def test_every_route_is_closed_to_another_sites_page(demo: access.GuardedBlocks, role: Role):
    with browser(demo, role) as found:
        assert found.get("/gradio_api/user").json() == PEOPLE[role]
        for method, path in routes(demo):
            shown = found.request(method, path, headers={"Origin": "https://evil.example"})
            assert shown.status_code in (403, 404), (method, path)
            if method != "HEAD":
                assert "another site" in shown.text or "nothing at this address" in shown.text, (method, path)


def test_every_function_of_the_pages_is_in_a_list_and_nothing_else_is(demo: access.GuardedBlocks):
    names = {access.called(one.fn) for one in demo.fns.values() if one.fn}
    names.add(access.called(gr.LoginButton._check_login_status))  # there on a Space alone
    entries = {*access.REVIEWER, *access.TRAINER, *access.ADMINISTRATOR}
    assert len(names) > 100
    listed = {name: [one for one in entries if f"{name}.".startswith(f"{one}.")] for name in names}
    assert [name for name, by in listed.items() if not by] == [], "who may call these? (assistant/access.py)"
    assert entries - {one for by in listed.values() for one in by} == set(), "there is no such function"
    assert access.needed("assistant.pages.new._Page._wipe") == "administrator", "what is in no list"
    assert access.needed("assistant.pages.review_new._Page.open") == "administrator", "a name's beginning is not enough"


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("reviewer", ("playground._Page._ask", "vote_form.VoteForm._vote", "review_judging.Judging._skip",
                      "release._Page.show", "dossier._Part._sign", "versions._Page.open")),
        ("trainer", ("plan._Page._start", "plan._Page.say_in", "data._Page._upload", "data._Page._delete",
                     "runs._Page._stop", "runs._Page._delete", "search._Page._start", "release._Page._evaluate",
                     "release._Page._delete", "export._Part._make", "dossier._Part._make", "review_sets.Sets._make",
                     "review_preferences.Preferences._align", "versions._Page._register",
                     "playground_import.ImportFold._bring", "playground_cases.CasesFold._of_file")),
        ("administrator", ("people._Page._add", "people._Page._remove", "people._Page.open", "versions._Page._do")),
    ],
)  # fmt: skip
def test_who_may_do_what(demo: access.GuardedBlocks, role: Role, names: tuple[str, ...]):
    for name in names:
        function = demo.fns[numbered(demo, name)].fn
        assert function and access.needed(access.called(function)) == role, name


@pytest.mark.parametrize("role", [None, *ROLES])
def test_every_function_is_reached_by_those_who_may_and_by_nobody_else(
    demo: access.GuardedBlocks, role: Role | None, monkeypatch: pytest.MonkeyPatch
):
    reached: list[str] = []

    async def process_api(self: Any, block_fn: Any, *given: Any, **named: Any) -> dict[str, Any]:
        reached.append(f"{actor.now().name}, {actor.now().role}")
        return {}

    monkeypatch.setattr("gradio.Blocks.process_api", process_api)
    scope = {} if role is None else {gate.ACTOR: Actor(PEOPLE[role], role)}
    request = SimpleNamespace(request=SimpleNamespace(scope=scope))
    by_itself = 0
    for number, one in demo.fns.items():
        if one.fn is None:
            continue
        reached.clear()
        needed = access.needed(access.called(one.fn))
        asked = demo.process_api(
            number, inputs=[None] * len(one.inputs), request=request, session_hash=role, state=None
        )
        if role is not None and ROLES.index(role) >= ROLES.index(needed):
            run_apart(asked)
            assert reached == [f"{PEOPLE[role]}, {role}"]
            continue
        events = {event for _, event in one.targets}
        if role is not None and events <= {"load", "select", "change", "tick", "expand"}:
            given = run_apart(asked)["data"]
            assert len(given) == len(one.outputs) and all("value" not in (update or ()) for update in given)
            by_itself += 1
        else:
            with pytest.raises(Exception) as refused:
                run_apart(asked)
            told = access.refused(Actor(PEOPLE[role], role), needed) if role else SIGN_IN_FIRST
            assert str(refused.value).strip("'") == told
        assert reached == []
    refusals = [one for one in audit.entries() if one.action == "was refused"]
    assert bool(refusals) == (role in ("reviewer", "trainer")) and (by_itself > 0) == bool(refusals)
    assert all(one.on.startswith(("assistant.", "app.")) for one in refusals), "what was called, not with what"


def test_what_is_hidden_from_a_role_is_there_for_the_others(demo: access.GuardedBlocks):
    ids = {one.elem_id for one in demo.blocks.values()}
    hidden = [one.split()[0].removeprefix("#") for every in account._NEEDED.values() for one in every]
    assert [one for one in hidden if one not in ids] == []
    clara = account._head(Actor("Clara <i>", "administrator"))
    assert "display: none" not in clara and "Clara &lt;i&gt;, administrator" in clara
    assert "#versions-actions { display" in account._head(Actor("Ben", "trainer")).replace(", #review-delete", "")
    assert "#release-actions" in account._head(Actor("Anna", "reviewer"))


def test_over_http_a_role_does_what_it_may_and_is_named_in_the_log(demo: access.GuardedBlocks):
    add, start = numbered(demo, "people._Page._add"), numbered(demo, "plan._Page._start")
    with browser(demo) as nobody:
        for path in ("/gradio_api/queue/join", "/gradio_api/run/predict", "/gradio_api/call/x", "/gradio_api/api/x"):
            asked = {"data": ["Eve", "administrator"], "fn_index": add, "session_hash": "w"}
            assert nobody.post(path, json=asked).status_code == 401
    with browser(demo, "reviewer") as anna, browser(demo, "administrator") as clara:
        refused = call(anna, start, None, "schedule: {max_steps: 1}")
        assert refused["success"] is False and refused["output"]["error"] == (
            "You are signed in as Anna Berg, reviewer; this needs a trainer. An administrator can change that."
        )
        direct = {"data": ["Eve", "administrator"], "fn_index": add, "session_hash": "w"}
        assert anna.post("/gradio_api/run/predict", json=direct).status_code >= 400
        assert runs.list_runs() == ([], []) and people.find("Eve") is None
        added = call(clara, add, "Dora Evans", "reviewer", window="claras")
        assert added["success"] is True and people.find("Dora Evans") is not None
        stolen = {"data": ["Eve", "reviewer"], "fn_index": add, "session_hash": "a-window"}
        joined = clara.post("/gradio_api/queue/join", json=stolen)
        said = clara.get("/gradio_api/queue/data", params={"session_hash": "a-window"})
        assert joined.status_code == 200 and said.status_code == 403 and people.find("Eve") is None
    done = [(one.who, one.action) for one in audit.entries() if one.action in ("was refused", "added a person")]
    assert done[len(PEOPLE) :] == [
        ("Anna Berg", "was refused"), ("Anna Berg", "was refused"), ("Clara Diaz", "added a person"),
    ]  # fmt: skip


def test_the_page_that_a_role_gets_is_whole_and_is_not_kept_by_the_browser(demo: access.GuardedBlocks):
    with browser(demo, "reviewer") as anna:
        shown = anna.get("/")
        assert shown.status_code == 200 and "gradio" in shown.text
        assert shown.headers["cache-control"] == "no-store"
        told = anna.get("/config").json()
        assert told["username"] == "Anna Berg" and told["run_history"] is False
        assert not any(one.get("api_visibility") == "public" for one in told["dependencies"])
        assert not any(one["props"].get("server_fns") for one in told["components"] if one["type"] == "fileexplorer")


def test_no_patients_text_comes_into_the_log_by_an_error(
    demo: access.GuardedBlocks,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
):
    patient = "Mr Smith, born 1 May 1950"

    async def process_api(self: Any, *given: Any, **named: Any) -> dict[str, Any]:
        try:
            raise KeyError(patient)
        except KeyError as error:
            raise ValueError(f"cannot read {patient}") from error

    monkeypatch.setattr("gradio.Blocks.process_api", process_api)
    request = SimpleNamespace(request=SimpleNamespace(scope={gate.ACTOR: Actor("Ben Carter", "trainer")}))
    with pytest.raises(gr.Error, match="This did not work; what went wrong is in the app's log") as told:
        run_apart(demo.process_api(numbered(demo, "plan._Page._start"), request=request))
    assert told.value.print_exception is False, "else Gradio prints it"
    assert "assistant.pages.plan._Page._start: ValueError from KeyError\n" in caplog.text
    assert "in process_api" in caplog.text, "where in the code"
    fault_log.write("no vote", UserError(f"the words '{patient}' do not stand there"))
    assert caplog.text.rstrip().endswith("no vote: UserError")
    vote = Vote(comparison_id="none", reviewer="Anna", choice="tie", comment=patient)
    with pytest.raises(store.StoreError) as refused, store.session() as session:
        session.add(vote)
    fault_log.write("no vote", refused.value)
    cause = refused.value.__cause__
    for place in (caplog.text, *capfd.readouterr(), str(refused.value), str(cause), audit.file().read_text()):
        assert "Smith" not in place and "1950" not in place


@pytest.mark.parametrize("sign_in", ["off", "password"])
def test_whoever_meets_a_full_disk_is_told_so(
    demo: access.GuardedBlocks, monkeypatch: pytest.MonkeyPatch, sign_in: gate.SignIn
):
    async def process_api(self: Any, *given: Any, **named: Any) -> dict[str, Any]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("gradio.Blocks.process_api", process_api)
    monkeypatch.setattr(demo, "sign_in", sign_in)
    request = SimpleNamespace(request=SimpleNamespace(scope={gate.ACTOR: Actor("Ben Carter", "trainer")}))
    with pytest.raises(gr.Error, match=r"The disk is full: nothing could be saved\. Free some space"):
        run_apart(demo.process_api(numbered(demo, "runs._Page._clone"), request=request))


def test_what_is_done_beside_a_page_is_done_by_whoever_asked_for_it():
    with actor.acting_as(Actor("Ben Carter", "trainer")):
        *_, last = with_progress(lambda report: actor.now().name)
    assert last.result == "Ben Carter"


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--host", "0.0.0.0"], {}, "Others could reach 0.0.0.0, and nobody is registered who may sign in: first run "
         '`bedside people add "YOUR NAME" --role administrator`, then add the others.'),
        (["--sign-in"], {}, "Others could reach 127.0.0.1, and nobody is registered who may sign in"),
        (["--certificate", "x.pem"], {}, "--certificate and --key go together: give both files, or neither."),
        (["--certificate", "x.pem", "--key", "y.pem"], {}, "x.pem: there is no such file; --certificate and --key"),
        ([], {"SPACE_ID": "a/b"}, "This Space has no sign-in, so that everybody could read and delete what is in it: "
         "put `hf_oauth: true` into the head of its README.md."),
        (["--host", "0.0.0.0"], {"BEDSIDE_DATABASE": "nonsense://x"}, "cannot be opened"),
    ],
)  # fmt: skip
def test_nothing_is_served_to_others_without_a_sign_in(
    arguments: list[str],
    environment: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    for name in PEOPLE.values():
        people.remove(name)
    people.add("Rita", "reviewer", SECRET)  # who could let in nobody
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert app.main([*arguments, "--port", str(free_port())]) == 2
    assert said in capsys.readouterr().err


def test_of_windows_that_were_closed_only_the_last_are_kept_in_memory(
    demo: access.GuardedBlocks, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(access, "CLOSED_KEPT", 2)
    opened: Any = demo.state_holder  # pyright: ignore[reportAttributeAccessIssue]
    look = numbered(demo, "runs._Page.open")
    with browser(demo, "trainer") as ben:
        for number in range(4):
            window = f"closed-{number}"
            with ben.stream("GET", f"/gradio_api/heartbeat/{window}"):
                assert call(ben, look, None, window=window)["success"]
            deadline = time.monotonic() + 60
            while not opened.session_data[window].is_closed:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert call(ben, look, None, window="open")["success"]
        assert [one for one in opened.session_data if one.startswith("closed-")] == ["closed-2", "closed-3"]
        assert "open" in opened.session_data and "closed-0" not in opened.time_last_used
        assert call(ben, look, None, window="closed-0")["success"], "it begins anew where it comes back"
