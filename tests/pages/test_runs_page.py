"""The Runs page while a run goes on, without a browser."""

from __future__ import annotations

import gradio as gr
import pytest

from assistant.pages import history
from assistant.pages import runs as runs_page
from assistant.pages.style import SERIES
from trainer import events
from trainer.runs import Run


@pytest.fixture
def page() -> runs_page._Page:
    with gr.Blocks():
        return runs_page._Page()


def trained_to(run: Run, step: int) -> None:
    """The run's events go on with the next steps, up to this one."""
    done = [one for one in run.events() if isinstance(one, events.StepEvent)]
    for number in range(done[-1].step + 1, step + 1):
        events.append(run.folder / "events.jsonl", done[-1].model_copy(update={"step": number}))


def test_curves_are_drawn_when_they_have_grown_by_what_can_be_seen(page: runs_page._Page, finished_run: Run):
    trained_to(finished_run, 100)
    first = page.show(finished_run.id)
    assert first[page.loss].value is not None
    assert page.loss not in page.show(finished_run.id, first[page.shown]), "nothing is new"
    trained_to(finished_run, 102)
    second = page.show(finished_run.id, first[page.shown])
    assert page.loss not in second and page.small[0] not in second
    assert page.report in second, "the rest of the page is kept up with each step"
    trained_to(finished_run, 103)
    third = page.show(finished_run.id, second[page.shown])
    assert page.loss in third, "three of 103 steps are more than one of fifty parts"
    assert third[page.small[0]]["step"].iloc[-1] == 103


def test_a_line_that_is_new_to_the_plot_comes_with_other_colours(page: runs_page._Page, finished_run: Run):
    path = finished_run.folder / "events.jsonl"
    with_general = path.read_text()
    events_without = [
        one.model_copy(update={"general_loss": None}) if isinstance(one, events.EvalEvent) else one
        for one in finished_run.events()
    ]
    path.write_text("".join(one.model_dump_json() + "\n" for one in events_without))
    before = page.show(finished_run.id)[page.loss]
    history._history.cache_clear()
    path.write_text(with_general)
    after = page.show(finished_run.id)[page.loss]
    assert set(before.color_map) == {"training", "validation"}
    assert after.color_map == SERIES, "Gradio draws its plot anew, general rows among the lines"
