"""What each role may do on the pages: one list of all that can be called, and the guard that goes by it.

A reviewer asks in the Playground, reviews, votes, reads reports and signs; a trainer also plans, prepares data, runs,
searches, evaluates, exports and registers versions; an administrator also says who may come in, puts versions into use
and deletes what is others'. What stands in no list is the administrator's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from assistant import fault_log, gate
from trainer import audit
from trainer.actor import Actor, NotAllowed, Role, acting_as
from trainer.errors import of_the_disk

if TYPE_CHECKING:
    from gradio.state_holder import StateHolder

_PAGES = "assistant.pages."
REVIEWER = (
    *(
        f"{_PAGES}{page}"
        for page in (
            "account", "playground", "playground_cases", "playground_models", "attribution_view", "review",
            "review_judging", "review_results", "vote_form",
        )
    ),
    *(f"{_PAGES}release._Page.{name}" for name in ("open", "show", "_of_run")),
    *(f"{_PAGES}dossier._Part.{name}" for name in ("_look", "_sign", "_take_back")),
    *(f"{_PAGES}versions._Page.{name}" for name in ("open", "_line", "_one")),
    "gradio.components.login_button",
)  # fmt: skip
TRAINER = (
    "app.build",
    *(
        f"{_PAGES}{page}"
        for page in (
            "plan", "data", "data_labels", "data_template", "runs", "run_queue", "search", "playground_import",
            "playground_cases.CasesFold._of_file", "review_sets", "review_preferences", "release", "dossier", "export",
            "versions",
        )
    ),
)  # fmt: skip
ADMINISTRATOR = (
    f"{_PAGES}people",
    f"{_PAGES}storage",
    *(f"{_PAGES}versions._Page.{name}" for name in ("_ask_use", "_ask_back", "_ask_try", "_ask_end", "_do")),
)
_NEEDED: dict[str, Role] = {
    **dict.fromkeys(REVIEWER, "reviewer"),
    **dict.fromkeys(TRAINER, "trainer"),
    **dict.fromkeys(ADMINISTRATOR, "administrator"),
}
CLOSED_KEPT = 50  # windows
# What a page does by itself when it is opened, or when another part of it changes: for a page that somebody does not
# see nothing happens, and nothing needs to be said of it.
_BY_ITSELF = {"load", "select", "change", "tick", "expand"}


def called(function: Callable[..., Any]) -> str:
    """A function's full name, whatever it was bound to or partly given."""
    while isinstance(function, partial):
        function = function.func
    module = "app" if function.__module__ == "__main__" else function.__module__
    return f"{module}.{function.__qualname__}"


def needed(name: str) -> Role:
    """The role that the function of this full name needs: that of the longest entry which it begins with."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        if role := _NEEDED.get(".".join(parts[:count])):
            return role
    return "administrator"


class GuardedBlocks(gr.Blocks):
    """Gradio's blocks, whose every function is called through the guard where people sign in; and where a disk takes no
    more, whoever looks is told so.

    `process_api` is what the queue, direct calls and page loads all go through, each step of a streamed answer too.
    """

    sign_in: gate.SignIn = "off"

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._held: dict[str, str] = {}  # which window (session hash) is whose

    async def process_api(self, block_fn: Any, *given: Any, **named: Any) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Call a function for whoever asks, if they may; a sentence where not."""
        self._forget_closed_windows()
        if self.sign_in == "off":
            try:
                return await super().process_api(block_fn, *given, **named)
            except OSError as error:
                if told := of_the_disk(error):
                    raise _error(told) from None
                raise
        block_fn = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        actor = gate.actor_of(named["request"].request)
        if actor is None or not self.holds(named.get("session_hash"), actor.name):
            raise _error("You are not signed in, or no longer: open the page anew to sign in.")
        role = needed(called(block_fn.fn))
        if not actor.may(role):
            if all(event in _BY_ITSELF for _, event in block_fn.targets):
                return await self._nothing(block_fn, named.get("state"))
            audit.record("was refused", called(block_fn.fn), actor)
            raise _error(refused(actor, role))
        try:
            with acting_as(actor):
                return await super().process_api(block_fn, *given, **named)
        except NotAllowed as error:
            audit.record("was refused", called(block_fn.fn), actor)
            raise _error(str(error)) from None
        except gr.Error as error:
            error.print_exception = False
            raise
        except Exception as error:  # which Gradio would print, words and all
            fault_log.write(called(block_fn.fn), error)
            raise _error(of_the_disk(error) or "This did not work; what went wrong is in the app's log.") from None

    def holds(self, window: str | None, name: str) -> bool:
        """Whether a window is this person's: of whoever it was first."""
        return window is None or self._held.setdefault(window, name) == name

    def _forget_closed_windows(self) -> None:
        """Gradio keeps three megabytes of every window that ever was; here those of the last that were closed are left,
        for a telephone that wakes up again."""
        kept: StateHolder = self.state_holder  # pyright: ignore[reportAttributeAccessIssue]
        if len(kept.session_data) <= CLOSED_KEPT:
            return
        with kept.lock:
            # In the order of their last use.
            closed = [window for window, state in kept.session_data.items() if state.is_closed]
            for window in closed[:-CLOSED_KEPT]:
                for known in (kept.session_data, kept.time_last_used, self._held):
                    known.pop(window, None)

    async def _nothing(self, block_fn: Any, state: Any) -> dict[str, Any]:
        """What a call gives that changes nothing on the page."""
        skipped = [gr.skip() for _ in block_fn.outputs]
        data = await self.postprocess_data(block_fn, skipped if len(skipped) != 1 else skipped[0], state)
        return {"data": data, "is_generating": False, "iterator": None, "duration": 0.0, "average_duration": 0.0,
                "render_config": None, "changed_state_ids": [], "used_cache": None}  # fmt: skip


def refused(actor: Actor, role: Role) -> str:
    """Why somebody may not do what needs this role."""
    a = "an" if role == "administrator" else "a"
    return f"You are signed in as {actor.name}, {actor.role}; this needs {a} {role}. An administrator can change that."


def _error(sentence: str) -> gr.Error:
    return gr.Error(sentence, title="Not done", print_exception=False)
