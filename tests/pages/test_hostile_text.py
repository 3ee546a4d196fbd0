"""What people, models and files say is shown as it stands and never run, in every place of every page."""

from __future__ import annotations

import inspect
import json
import typing
from html.parser import HTMLParser
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import gradio as gr
import pytest
from gradio.blocks import Block
from pydantic import BaseModel
from sqlmodel import select
from versions_made import evaluated

from assistant.pages import data_preview
from assistant.planner import dialogue, drafts
from evaluators.cases import Case
from evaluators.gates import Gate
from trainer import events, jobs, model_refs, runs, store
from trainer.data import recipes
from trainer.data.records import DataError
from trainer.data_sections import DataSection, DataSource
from trainer.review import queue, sets
from trainer.review.ballots import Ballot
from trainer.review.prompts import Prompt
from trainer.runs import Run
from trainer.sections import RunConfig
from trainer.store import Comparison, Deployment, Version

MARK = "owned()"
EVIL = f"'\"><script>{MARK}</script><img src=x onerror={MARK}>"
SHOWN_IN = {
    *("data-see", "release-notes", "release-report", "runs-notes", "runs-samples", "runs-state", "runs-steering"),
    *("review-left", "review-right", "review-preview", "review-progress", "review-question", "review-set"),
}
"""Parts of the pages that show such texts; there are more."""


class _Tags(HTMLParser):
    """The elements and attributes that a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        wrong = tag in {"script", "img", "iframe", "object", "embed", "link", "base", "meta", "form"}
        for name, value in attrs:
            wrong = wrong or name.startswith("on") or (value or "").strip().lower().startswith("javascript:")
        if wrong:
            self.bad.append(self.get_starttag_text() or tag)


def bad_tags(html: str) -> list[str]:
    found = _Tags()
    found.feed(html)
    found.close()
    return found.bad


def evil(kind: Any) -> Any:
    """A value of a field's type, every text in it made to do harm."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is str:
        return EVIL
    if kind in (int, float):
        return kind(1)
    if kind is bool:
        return True
    if origin is Literal:
        return inner[0]
    if origin in (Union, UnionType):
        return evil(next(one for one in inner if one is not type(None)))
    if origin is typing.Annotated:
        return evil(inner[0])
    if origin is list:
        return [evil(inner[0])] * 2
    if origin is tuple:
        return tuple(evil(one) for one in inner)
    if origin is dict:
        return {evil(inner[0]): evil(inner[1])} | ({"ner": evil(inner[1])} if inner[0] is str else {})
    assert issubclass(kind, BaseModel), kind
    given = {name: evil(field.annotation) for name, field in kind.model_fields.items()}
    return kind.model_validate(given | {"kind": kind.model_fields["kind"].default} if "kind" in given else given)


def happened(run: Run) -> None:
    """Every kind of event there is, twice, so that curves are drawn."""
    for kind in get_args(events.Event):
        for step in (1, 2):
            events.append(run.folder / "events.jsonl", evil(kind).model_copy(update={"step": step}))


def made(name: str, state: jobs.State, error: str | None) -> Run:
    """A run with a trained adapter, as far as its pages look."""
    values = {
        "output": {"name": name},
        "task": {"system_prompt": EVIL},
        "evaluation": {"sample_prompts": [EVIL]},
        "data": {"sources": [{"name": "starter/clinical"}]},
    }
    run = runs.create(RunConfig.model_validate(values), [{"role": "user", "content": EVIL}])
    jobs.write_state(run.folder, run.status.model_copy(update={"state": state, "error": error}))
    run.adapter.mkdir()
    (run.adapter / "adapter_model.safetensors").write_bytes(b"none")
    (run.folder / "log.txt").write_text(EVIL)
    return runs.get(run.id)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Run:
    """A home in which every text that anybody may write is made to do harm."""
    monkeypatch.setattr(data_preview, "token_counter", lambda name: None)
    monkeypatch.setattr(data_preview, "_batch", lambda rows: DataError(EVIL))
    made(EVIL, "failed", EVIL)
    run = made(f"z{EVIL}", "done", None)
    happened(run)
    draft, _ = dialogue.reply(dialogue.new_draft(), f"Summarise letters of {EVIL}, 3k of them, on a 4090")
    drafts.save(draft)

    upload = recipes.folder() / "evil.jsonl"
    rows = [{"question": f"{n} {EVIL}", "answer": EVIL, "specialty": EVIL, "task": EVIL, EVIL: EVIL} for n in range(5)]
    lines = [*map(json.dumps, rows), json.dumps({"question": EVIL}), EVIL]
    upload.write_text("\n".join(lines))
    source = DataSource(name=str(upload), columns={"question": "question", "answer": "answer"})
    recipes.save(recipes.folder() / f"{EVIL.replace('/', '')}.data.yaml", DataSection(sources=[source]))

    tuned, base, *_ = model_refs.of_run(run)
    asked = [[{"role": "user", "content": f"{n} {EVIL}"}] for n in range(3)]
    prompts = [Prompt(messages=one, group=EVIL, source=EVIL) for one in asked]
    chosen = sets.create_set(EVIL, prompts, tuned, base)
    with store.session() as session:
        for one in session.exec(select(Comparison).where(Comparison.set_id == chosen.id)):
            one.first_answer, one.second_answer, one.chosen_by = f"A {EVIL}", f"B {EVIL}", EVIL
            session.add(one)
    sets.assign(chosen.id, [EVIL, "Ann"], 1.0)
    for reviewer, choice in ((EVIL, "left"), ("Ann", "right")):
        case = queue.next_case(chosen.id, reviewer)
        assert case is not None
        ballot = {"choice": choice, "correction": EVIL, "comment": EVIL}
        queue.vote(case.comparison_id, reviewer, Ballot.model_validate(ballot))

    cases = [
        Case(id=f"{n}{EVIL}", source=EVIL, question=EVIL, answer=EVIL, reference=EVIL, right=n < 2, group=EVIL)
        for n in range(4)
    ]
    evaluation = evaluated(run, cases, gates=[evil(Gate)])
    events.append(evaluation.folder / "events.jsonl", events.WarningEvent(message=EVIL))
    gates = [evil(Gate).model_dump(mode="json")]
    manifest = {
        "sources": [{"name": EVIL, "licence": EVIL, "role": "training", "hash": EVIL, "rows": 1, "sha256": EVIL}]
    }
    told = {"changelog": EVIL, "despite": EVIL, "gates": gates, "data_manifest": manifest, "knowledge_until": EVIL}
    with store.session() as session:
        session.add(Version(line="clinic", number="1.0.0", model=run.id, change="data", parent=EVIL, **told))
        session.add(Deployment(line="clinic", number="1.0.0", reason=EVIL))
    return run


class Browser:
    """What a browser does: keeps what each component shows, and calls what hangs on an event with it."""

    def __init__(self, demo: gr.Blocks) -> None:
        self.demo = demo
        self.values = {number: getattr(block, "value", None) for number, block in demo.blocks.items()}
        self.shown: dict[str, set[str]] = {}
        self.failed: list[str] = []

    def remember(self, key: str, value: Any) -> None:
        for number, block in self.demo.blocks.items():
            if isinstance(block, gr.BrowserState) and block.storage_key == key:
                self.values[number] = value

    def happens(self, *wanted: str) -> None:
        for function in list(self.demo.fns.values()):
            if function.fn is not None and {event for _, event in function.targets} & set(wanted):
                self._call(function)

    def _call(self, function: Any) -> None:
        given = [self.values.get(one._id) for one in function.inputs]
        try:
            found = function.fn(*given)
            for one in found if inspect.isgenerator(found) else [found]:
                self._take(function, one)
        except Exception as error:
            self.failed.append(f"{function.fn.__module__}.{function.fn.__qualname__}: {error!r}")

    def _take(self, function: Any, found: Any) -> None:
        if not isinstance(found, dict) or "__type__" in found:
            found = dict(zip(function.outputs, found if len(function.outputs) > 1 else [found], strict=True))
        for component, update in found.items():
            if isinstance(update, Block):
                update = update._constructor_args[0]
            if isinstance(update, dict) and not isinstance(component, gr.State | gr.BrowserState):
                if "value" not in update:
                    continue
                update = update["value"]
            self.values[component._id] = update
            if isinstance(component, gr.HTML | gr.Markdown | gr.Chatbot) and MARK in str(update):
                name = component.elem_id or f"{type(component).__name__} {component._id}"
                self.shown.setdefault(name, set()).update(texts(update))


def texts(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    if isinstance(value, dict):
        value = list(value.values())
    return {text for one in value for text in texts(one)} if isinstance(value, list | tuple) else set()


def test_no_page_runs_what_somebody_wrote(full: Run):
    import app

    browser = Browser(app.build())
    browser.remember("bedside-review", {"reviewer": EVIL, "set": None})
    browser.remember("bedside-plan", drafts.saved()[0][0].id)
    for _ in range(2):  # the second time with what the first one chose
        browser.happens("load", "select", "expand", "tick")
        browser.happens("change", "input", "then", "success")
    wrong = {name: bad for name, found in browser.shown.items() for text in found if (bad := bad_tags(text))}
    assert wrong == {}
    assert SHOWN_IN - browser.shown.keys() == set(), "\n".join([*sorted(browser.shown), *browser.failed])


def test_this_test_would_see_it():
    assert bad_tags(f"<p title='{EVIL}'>") and bad_tags(f"<p>{EVIL}</p>") and bad_tags("<a href='javascript:x'>")
    assert bad_tags("<svg onload=x>") and not bad_tags("<p title='a &lt;script&gt;'>&lt;img src=x&gt;</p>")
