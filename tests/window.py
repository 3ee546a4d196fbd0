"""A window on the served pages without a browser: what happens in it goes through the app's queue all the same."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import lru_cache
from typing import Any

import httpx

API = "/gradio_api/"
CONFIG = "window.gradio_config = "  # in the page, before what it is made of


class NotDone(Exception):
    """The app did not do what was asked, and said why."""


class Window:
    """Keeps what each component holds, as a browser does; the app keeps what is the window's own by its session."""

    def __init__(self, url: str, timeout: float = 120.0) -> None:
        self.session = secrets.token_hex(8)
        self._open = ExitStack()
        self.http = self._open.enter_context(httpx.Client(base_url=url, timeout=timeout))
        page = self.http.get("/")
        page.raise_for_status()
        config = _config(page.text.partition(CONFIG)[2].partition("</script>")[0].rstrip("; "))
        self._events = config["dependencies"]
        self._kinds = {one["id"]: one["type"] for one in config["components"]}
        self._named = {one["props"].get("elem_id"): one["id"] for one in config["components"]}
        self._values = {one["id"]: one["props"].get("value") for one in config["components"]}

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()

    def open(self) -> None:
        """What the app does as the page is loaded.

        As in a browser, a connection then stays until the window is closed: by its end the app knows that it is.
        """
        self._open.enter_context(self.http.stream("GET", f"{API}heartbeat/{self.session}"))
        self._ask([one for one in self._events if any(event == "load" for _, event in one["targets"])])

    def type_in(self, element: str, value: Any) -> None:
        """Write something, or choose it; nothing happens by that."""
        self._values[self._named[element]] = value

    def shows(self, element: str) -> Any:
        """What this element holds now."""
        return self._values[self._named[element]]

    def happen(self, element: str, event: str = "click") -> None:
        """Let an event happen to an element, and wait for what the app makes of it."""
        target = [self._named[element], event]
        self._ask([one for one in self._events if target in one["targets"]], target[0])

    def _ask(self, events: list[dict[str, Any]], trigger: int | None = None) -> None:
        pending: dict[str, dict[str, Any]] = {}
        for one in events:
            if not one["backend_fn"]:
                continue
            # States stay on the server.
            data = [None if self._kinds[place] == "state" else self._values[place] for place in one["inputs"]]
            asked = {"data": data, "fn_index": one["id"], "session_hash": self.session, "trigger_id": trigger}
            pending[self._json(self.http.post(f"{API}queue/join", json=asked))["event_id"]] = one
        if not pending:
            return
        with self._stream() as stream:
            for told in _messages(stream):
                if told.get("msg") != "process_completed" or told.get("event_id") not in pending:
                    continue
                self._take(pending.pop(told["event_id"]), told)
                if not pending:
                    return
        raise NotDone("The app ended the stream before all was done.")

    def _stream(self) -> AbstractContextManager[httpx.Response]:
        return self.http.stream("GET", f"{API}queue/data", params={"session_hash": self.session})

    def _take(self, event: dict[str, Any], told: dict[str, Any]) -> None:
        if not told["success"]:
            raise NotDone(str(told["output"].get("error")))
        for place, value in zip(event["outputs"], told["output"]["data"], strict=True):
            if not isinstance(value, dict) or value.get("__type__") != "update":
                self._values[place] = value
            elif "value" in value:
                self._values[place] = value["value"]

    @staticmethod
    def _json(answer: httpx.Response) -> Any:
        answer.raise_for_status()
        return answer.json()


@lru_cache(maxsize=4)
def _config(text: str) -> dict[str, Any]:
    """What the page is made of: read once for all windows, or a crowd of them would be busier than the app."""
    return json.loads(text)


def _messages(stream: httpx.Response) -> Iterator[dict[str, Any]]:
    stream.raise_for_status()
    for line in stream.iter_lines():
        if line.startswith("data:"):
            yield json.loads(line[5:])
