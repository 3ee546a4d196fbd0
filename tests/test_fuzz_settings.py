"""Whatever a run file, a request, a template or a message says, it is understood or its faults are named."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistant.planner import dialogue
from evaluators.judge import _read as read_verdict
from trainer import config, yaml_text
from trainer.config import ConfigError
from trainer.data import task_templates
from trainer.data.records import DataError
from trainer.data.rows import RowError
from trainer.evaluation import request as requests
from trainer.evaluation.request import EvaluationRequest, RequestError
from trainer.sections import RunConfig

CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
FEW = settings(derandomize=True, max_examples=25, deadline=None, suppress_health_check=CHECKS)
MANY = settings(max_examples=2000, deadline=None, database=None, suppress_health_check=CHECKS)

PLAIN = RunConfig().model_dump(mode="json")
FIELDS = [f"{section}.{field}" for section, values in PLAIN.items() if isinstance(values, dict) for field in values]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["off", "yes", "2e-4", "1:1:1", "0x1F", ".inf", "-", "*a", "&a b", "!!int x", "2024-02-30", "lora"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)


def check_run_file(text: str) -> None:
    """It is read and written without loss, or each fault has a field and a sentence."""
    try:
        run = config.parse_yaml(text)
    except ConfigError as error:
        assert error.faults and all(
            fault.field and fault.message.strip().endswith((".", ".)")) for fault in error.faults
        )
        return
    assert config.parse_yaml(config.to_yaml(run)) == run


@st.composite
def changed(draw: st.DrawFn) -> str:
    """A run file with some fields of odd values, or odd fields."""
    values: dict[str, Any] = json.loads(json.dumps(PLAIN))
    for _ in range(draw(st.integers(1, 4))):
        section, _, field = draw(st.sampled_from(FIELDS)).partition(".")
        at = values.get(section)
        if isinstance(at, dict):
            at[field if draw(st.booleans()) else draw(st.text(max_size=8))] = draw(VALUES)
        if draw(st.integers(0, 9)) == 0:
            values[section] = draw(VALUES)
    return yaml.safe_dump(values, allow_unicode=True)


def check_set(pair: tuple[str, str]) -> None:
    try:
        run = config.with_values(RunConfig(), dict([pair]))
    except ConfigError as error:
        assert error.faults
        return
    assert config.parse_yaml(config.to_yaml(run)) == run


def check_yaml(text: str) -> None:
    with suppress(yaml.YAMLError):
        yaml_text.read(text)


def check_request(text: str) -> None:
    path = config.home() / "request.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        requests.read(path, EvaluationRequest)
    except RequestError as error:
        assert str(error).startswith(("request.yaml: ", f"{path} cannot be read: "))


def check_template(text: str) -> None:
    try:
        found = task_templates.parse("mine", text)
    except DataError as error:
        assert str(error).startswith(("Template mine", "mine"))
        return
    with suppress(RowError):
        task_templates.to_row(found, dict.fromkeys(found.needs, "x"))


def check_message(text: str) -> None:
    draft, turn = dialogue.reply(dialogue.new_draft(), text)
    assert turn.reply and draft.messages[-1]["content"] == turn.reply
    draft.model_dump_json()


def check_verdict(text: str) -> None:
    found = read_verdict(text)
    assert found is None or found.verdict in ("refused", "harmful", "neither")


MARKS = [
    "{%",
    "%}",
    "{{",
    "}}",
    "{#",
    "#}",
    "block question",
    "endblock",
    "block answer",
    "for x in y",
    "endfor",
    "if",
    "|join",
    "x",
    "\n",
]
SAID = ["3k", "rows", "4090", "24 GB", "two", "no", "undo", "why", "what if", "QLoRA", "rank", "1e-4", '"a.csv"', "Bio"]
SAID += ["/tmp/x.csv", "-", "½", "٣", "%", "$", "10^9", "999999999999999999999999"]
WAYS: dict[str, tuple[Callable[[Any], None], Any]] = {
    "changed run files": (check_run_file, changed()),
    "any YAML": (
        check_yaml,
        st.one_of(
            st.text(max_size=200),
            st.lists(
                st.sampled_from(
                    [
                        "a",
                        ": ",
                        "- ",
                        "[",
                        "]",
                        "{",
                        "}",
                        "&a",
                        "*a",
                        "!!int",
                        "'",
                        '"',
                        "\n",
                        " ",
                        "<<",
                        "? ",
                        "|",
                        ">",
                        "%",
                        "#",
                        "1",
                        "2024-",
                        "0o",
                        "=",
                    ]
                ),
                max_size=40,
            ).map("".join),
        ),
    ),
    "values by hand": (
        check_set,
        st.tuples(
            st.one_of(st.sampled_from(FIELDS), st.text(max_size=12)),
            st.one_of(st.text(max_size=20), VALUES.map(json.dumps)),
        ),
    ),
    "requests": (check_request, st.one_of(st.text(max_size=100), VALUES.map(yaml.safe_dump))),
    "task templates": (
        check_template,
        st.lists(st.one_of(st.sampled_from(MARKS), st.text(max_size=6)), max_size=20).map(" ".join),
    ),
    "messages": (
        check_message,
        st.one_of(st.text(max_size=80), st.lists(st.sampled_from(SAID), max_size=8).map(" ".join)),
    ),
    "verdicts": (check_verdict, st.one_of(st.text(max_size=200), VALUES.map(json.dumps), st.just('{"a":' * 5000))),
}


def fuzzed(way: str, how: settings) -> Callable[[], None]:
    """The check as a function that Hypothesis calls with many values."""
    check, values = WAYS[way]

    @how
    @given(values)
    def each(value: Any) -> None:
        check(value)

    return each


@pytest.mark.parametrize("way", WAYS)
def test_it_is_understood_or_its_faults_are_named(way: str, home: Path):
    fuzzed(way, FEW)()


@pytest.mark.soak
@pytest.mark.parametrize("way", WAYS)
def test_it_is_understood_or_its_faults_are_named_at_length(way: str, home: Path):
    fuzzed(way, MANY)()
