"""The Release page as runs are chosen, without a browser."""

from __future__ import annotations

import gradio as gr
import pytest
from versions_made import evaluated, run_like

from assistant.pages import release
from evaluators.cases import Case
from trainer.runs import Run

CASES = [Case(id=str(n), source=str(n), question="q", answer="a", right=True) for n in range(5)]


@pytest.fixture
def page() -> release._Page:
    with gr.Blocks():
        return release._Page()


def test_a_run_chosen_again_leaves_what_was_asked_on_the_page(page: release._Page, finished_run: Run):
    evaluated(finished_run, CASES)
    opened = page.open(finished_run.id)
    assert opened[page.confirm].visible is False
    again = page._of_run(finished_run.id, opened[page.shown])
    assert page.confirm not in again and page.report not in again, "the answer may come after Delete was pressed"
    assert again[page.shown] == opened[page.shown]

    other = run_like(finished_run, "other")
    evaluated(other, CASES)
    assert page._of_run(other.id, opened[page.shown])[page.confirm].visible is False
    assert page._of_run(None, opened[page.shown])[page.confirm].visible is False
