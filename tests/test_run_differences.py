"""Two run files beside each other: what differs, in order, with both values."""

from __future__ import annotations

from trainer.data_sections import DataSource
from trainer.method_sections import PromptMethod
from trainer.objective_sections import DpoObjective
from trainer.run_differences import differences
from trainer.sections import RunConfig


def found(first: RunConfig, second: RunConfig) -> list[tuple[str, str, str]]:
    return [(one.field, one.first, one.second) for one in differences(first, second)]


def test_the_same_run_file_differs_in_nothing(tiny_run: RunConfig):
    assert differences(tiny_run, tiny_run.model_copy(deep=True)) == []


def test_only_what_differs_is_told_in_the_order_of_the_run_file():
    first, second = RunConfig(), RunConfig()
    second.schedule.learning_rate = 1e-4
    second.data.contains_phi = False
    second.data.sources = [DataSource(name="a, b.csv", rows=3)]
    second.task.system_prompt = "You are\na nurse: kind."
    assert [field for field, _, _ in found(first, second)] == [
        "task.system_prompt",
        "data.sources",
        "data.contains_phi",
        "schedule.learning_rate",
    ]
    told = {field: (one, other) for field, one, other in found(first, second)}
    assert told["data.contains_phi"] == ("null", "false")
    assert told["schedule.learning_rate"] == ("0.0002", "0.0001")
    assert told["data.sources"][1] == '[{"name": "a, b.csv", "rows": 3}]', "and nothing of what is not said"
    assert "\n" not in "".join(told["task.system_prompt"]), "a value is one line"


def test_fields_that_only_one_kind_has_stand_in_their_section():
    first, second = RunConfig(), RunConfig(method=PromptMethod(length=7), objective=DpoObjective())
    told = found(first, second)
    fields = [field for field, _, _ in told]
    assert ("method.kind", "lora", "prompt") in told
    assert ("method.rank", "16", "-") in told and ("method.length", "-", "7") in told
    assert ("objective.beta", "-", "0.1") in told
    assert fields.index("method.length") < fields.index("objective.kind")
