"""The queue on the Runs page: what is at work, what waits for its turn, in which order; and a run that is stuck."""

from __future__ import annotations

import time
from html import escape
from typing import Any

import gradio as gr

from assistant.pages.style import QUIET, html, notice
from trainer import any_job, jobs, pulse, queue
from trainer.jobs import RunError
from trainer.queue import Queue, Where
from trainer.runs import Run

_PLACES = {"cpu": "this machine’s CPU", "cuda": "the GPU"}
_WAYS: tuple[tuple[Where, str], ...] = (("first", "First"), ("up", "Up"), ("down", "Down"), ("last", "Last"))
OFFER_SECONDS = 60.0
"""After so long without an end, a run that was asked to stop can be ended at once."""
Updates = dict[Any, Any]


class QueuePart:
    """The list of waiting jobs with its buttons; there only while something waits."""

    def __init__(self) -> None:
        with gr.Column(visible=False, elem_id="queue") as self._body:
            self._running = html(elem_id="queue-running")
            self._chosen = gr.Radio([], label="Waiting for their turn", elem_id="queue-waiting")
            with gr.Row(elem_id="queue-actions"):
                self._moves: list[tuple[Where, Any]] = [
                    (way, gr.Button(label, elem_id=f"queue-{way}", min_width=90)) for way, label in _WAYS
                ]
                self._stop = gr.Button("Take out", variant="stop", elem_id="queue-stop", min_width=90)
        self._shown = gr.State("")
        self.inputs = [self._shown, self._chosen]
        self.outputs = [self._body, self._running, self._chosen, self._shown]

    def connect(self) -> None:
        """Every event of it."""
        for way, button in self._moves:
            button.click(_mover(self, way), self._chosen, self.outputs, **QUIET)
        self._stop.click(self._take_out, self._chosen, self.outputs, **QUIET)

    def show(self, shown: str = "", chosen: str | None = None) -> Updates:
        """The queue as it is; nothing is drawn again that is `shown` already."""
        found = queue.now()
        now = found.model_dump_json()
        if now == shown:
            return {self._shown: now}
        choices = [(_line(one), one.job) for one in found.waiting]
        known = [value for _, value in choices]
        return {
            self._shown: now,
            self._body: gr.Column(visible=bool(choices)),
            self._running: _at_work(found),
            self._chosen: gr.Radio(choices, value=chosen if chosen in known else next(iter(known), None)),
        }

    def move(self, chosen: str | None, way: Where) -> Updates:
        """The chosen job at another place."""
        try:
            queue.move(chosen or "", way)
        except RunError as error:
            gr.Warning(str(error))
        return self.show(chosen=chosen)

    def _take_out(self, chosen: str | None) -> Updates:
        try:
            found = next((one for one in queue.now().waiting if one.job == chosen), None)
            if found is None:
                gr.Warning("That one waits no longer.")
            else:
                jobs.stop(any_job.get(found.kind, found.id))
                gr.Info("It leaves the queue; Resume puts it there again.", duration=4)
        except RunError as error:
            gr.Warning(str(error))
        return self.show(chosen=chosen)


def stuck(run: Run) -> tuple[str, bool]:
    """A notice that a run does not get on (empty where it does), and whether to offer to end it at once."""
    if run.status.state not in jobs.ACTIVE:
        return "", False
    remark, since = pulse.remark(run), _asked_to_stop(run)
    if since is None:
        return notice("This run does not get on", [remark] if remark else [], "warn"), False
    long = not 0 <= since < OFFER_SECONDS  # below 0 the clock was set back
    said = (
        "It was asked to stop, and does after what it is at. Ended at once, it loses what it did since its last "
        "checkpoint."
    )
    offered = long or not pulse.reacts(run.folder)
    return notice("This run is stopping", [*filter(None, [remark]), said] if offered else [], "warn"), offered


def _asked_to_stop(run: Run) -> float | None:
    """Seconds since it was asked to; None where it was not."""
    try:
        return time.time() - (run.folder / jobs.STOP).stat().st_mtime
    except FileNotFoundError:
        return None


def _mover(part: QueuePart, way: Where) -> Any:
    return lambda chosen: part.move(chosen, way)


def _at_work(found: Queue) -> str:
    if not found.running:
        return ""
    items = "".join(
        f"<li>{escape(_label(one.kind, one.id))}, on {escape(_PLACES[one.device.partition('-')[0]])}</li>"
        for one in found.running
    )
    return f'<div class="bs-card"><h3>At work</h3><ul class="bs-list">{items}</ul></div>'


def _line(one: queue.Waiting) -> str:
    after = f", after run {one.after} has ended" if one.after else ""
    return f"{one.place}. {_label(one.kind, one.id)}{after}"


def _label(kind: str, identity: str) -> str:
    """What a list shows of a job: its name, what it is, and when it was made."""
    made = jobs.made_at(identity)
    return f"{identity[16:]} · {kind} · {made:%-d %b, %H:%M}" if made else f"{identity} · {kind}"
