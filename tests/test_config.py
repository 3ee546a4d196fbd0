"""The run file: faults named all together, and nothing lost between YAML and model."""

import pytest

from trainer import config
from trainer.config import ConfigError
from trainer.sections import RunConfig


def test_three_faults_are_all_named_with_a_way_out():
    text = """
format_version: 1
schedule: {learning_rate: -1, epoch: 3}
hardware: {device: cpu, precision: fp16}
"""
    with pytest.raises(ConfigError) as caught:
        config.parse_yaml(text)
    faults = {fault.field: fault.message for fault in caught.value.faults}
    assert set(faults) == {"schedule.learning_rate", "schedule.epoch", "hardware.precision"}
    assert "found -1" in faults["schedule.learning_rate"] and "greater than 0" in faults["schedule.learning_rate"]
    assert "no such field" in faults["schedule.epoch"]
    assert "set hardware.precision to auto" in faults["hardware.precision"]


def test_a_fault_in_a_list_does_not_hide_the_others():
    with pytest.raises(ConfigError) as caught:
        config.parse({"data": {"sources": [{"rows": 0}]}, "hardware": {"device": "cpu", "gpu": "rtx-4090"}})
    fields = [fault.field for fault in caught.value.faults]
    assert fields[:2] == ["data.sources.0.name", "data.sources.0.rows"]
    assert "hardware.gpu" in fields


def test_yaml_keeps_everything():
    original = RunConfig.model_validate({"data": {"sources": [{"name": "a.jsonl", "rows": 3}], "contains_phi": False}})
    assert config.parse_yaml(config.to_yaml(original)) == original


@pytest.mark.parametrize(
    ("text", "place"),
    [("a: [1,", "line"), ("- 1\n- 2", "run file"), ("", "run file"), ("!!python/object:os.system x", "line")],
)
def test_text_that_is_no_run_file_is_one_clear_fault(text: str, place: str):
    with pytest.raises(ConfigError) as caught:
        config.parse_yaml(text)
    assert len(caught.value.faults) == 1 and place in str(caught.value)


def test_an_older_format_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"format_version: found 0; this Bedside reads version 1"):
        config.parse({"format_version": 0})


def test_values_are_set_from_text_as_people_write_them():
    changed = config.with_values(RunConfig(), {"schedule.learning_rate": "2e-4", "data.contains_phi": "false"})
    assert changed.schedule.learning_rate == 2e-4 and changed.data.contains_phi is False
    with pytest.raises(ConfigError) as caught:
        config.with_values(RunConfig(), {"schedule.lr": "1", "nothing": "2"})
    assert [fault.field for fault in caught.value.faults] == ["schedule.lr", "nothing"]


def test_what_is_trained_on_is_not_held_out():
    data = {"sources": [{"name": "a.jsonl"}]}
    held_out = [{"name": "a.jsonl", "metric": "exact_match"}]
    with pytest.raises(ConfigError, match="also trained on"):
        config.parse({"data": data, "evaluation": {"held_out": held_out}})


def test_every_field_says_what_it_is():
    def undescribed(schema: dict, path: str) -> list[str]:
        missing = []
        for name, field in schema.get("properties", {}).items():
            if "description" not in field and "$ref" not in field:
                missing.append(f"{path}.{name}")
        return missing

    schema = RunConfig.model_json_schema()
    assert [found for name, part in schema["$defs"].items() for found in undescribed(part, name)] == []


def test_the_home_is_private(home):
    assert config.home().stat().st_mode & 0o777 == 0o700
