"""The export part of the Release page: what it shows of a run, and what its button does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest

from assistant.pages import export, export_view
from evaluators.metrics import proportion
from trainer.export import ExportError, exports
from trainer.export.parity import Parity
from trainer.export.quantisation import Loss
from trainer.model_refs import ModelRef
from trainer.runs import Run

PARITY = Parity(
    questions=20, saved_in="bf16", compared_in="fp32", largest_difference=0.31, tolerance=1.4, equal_answers=19, ties=1,
    error=0.05, effect=2.5,
)  # fmt: skip


@pytest.fixture
def part() -> Iterator[export._Part]:
    with gr.Blocks():
        yield export._Part(gr.Dropdown([]))


def shown(page: dict[Any, Any], component: Any) -> str:
    return str(page[component].value)


def test_a_run_that_has_nothing_yet_is_not_offered(part: export._Part):
    assert part.open(None)[part.fold].visible is False


def test_what_was_exported_is_shown_with_its_check_and_its_place(part: export._Part, finished_run: Run):
    before = part.open(finished_run.id)
    assert before[part.fold].visible is True and before[part.remove].visible is False
    assert "nothing was evaluated" in shown(before, part.gates)
    *told, last = part._make(finished_run.id, "adapter", None)
    assert any("the run answers" in shown(one, part.told) for one in told)
    assert "Exported, and checked" in shown(last, part.told)
    assert f"{finished_run.id}-adapter</code>" in shown(last, part.found)
    assert "20 of 20" in shown(last, part.found)
    after = part._delete(finished_run.id, f"{finished_run.id}-adapter")
    assert after[part.remove].visible is False and exports.list_exports() == []


def test_why_it_was_not_exported_stands_on_the_page(
    part: export._Part, finished_run: Run, monkeypatch: pytest.MonkeyPatch
):
    def refused(*args: Any, **options: Any) -> None:
        raise ExportError("The chat template <b>differs</b>.")

    monkeypatch.setattr(exports, "make", refused)
    *_, last = part._make(finished_run.id, "merged", None)
    assert "The chat template &lt;b&gt;differs&lt;/b&gt;." in shown(last, part.told)


def test_words_and_numbers_of_an_export(finished_run: Run):
    made = exports.Export(
        id="x", folder=exports.folder() / "x", model=str(ModelRef(run=finished_run.id)), what="gguf", base="b",
        licence="apache-2.0", created="2026-11-30T01:02:03+00:00", parity=PARITY,
        gates="Release gates: beyond a limit.",
        failing=["harm: <3> of 100"],
        notes=["It was <trained>."],
        losses=[
            Loss(kind="merged", bytes=269_000_000, log_likelihood=-0.5, perplexity=1.65, right=proportion(38, 40),
                 set="starter/lab", metric="label"),
            Loss(kind="q8_0", bytes=144_000_000, log_likelihood=-0.51, perplexity=1.67, right=proportion(37, 40),
                 equal_answers=proportion(36, 40), set="starter/lab", metric="label"),
        ],
    )  # fmt: skip
    page = export_view.exported([made])
    for words in (
        "19 of 20", "0.31 (allowed 1.4)", "2.5 and 0.05", "144 MB", "1.670", "90 % (77-96)", "harm: &lt;3&gt; of 100",
        "It was &lt;trained&gt;.", "40 held-out questions of starter/lab", "It can be exported for research",
    ):  # fmt: skip
        assert words in page
