"""Whole plans: what a person says, and the run file that it must become. Each was read against the lecture's rules.

To look at a change: the values that differ stand in the failing test's message; change them here only with a reason.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from assistant.planner import dialogue
from trainer import config as run_config
from trainer import hardware
from trainer.hardware import Machine

MACHINE = Machine(cpu_name="CPU", cores=2, memory_gib=23.5, cpu_bf16=True)
PLANS = yaml.safe_load(Path(__file__).with_name("golden_plans.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("golden", PLANS, ids=[" / ".join(one["said"])[:70] for one in PLANS])
def test_a_situation_becomes_its_run_file(golden: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hardware, "detect", lambda: MACHINE)
    draft, turn = dialogue.new_draft(), None
    for text in golden["said"]:
        draft, turn = dialogue.reply(draft, text)
    assert turn is not None and turn.config is not None, turn
    content = turn.config.model_dump(mode="json")
    assert run_config.parse(content) == turn.config
    found = {field: content[field.split(".")[0]][field.split(".")[1]] for field in golden["plan"]}
    assert found == golden["plan"]
    assert turn.estimate is not None and turn.estimate.fits == golden["fits"]
    explained = {reason.field for reason in turn.reasons}
    assert set(golden["plan"]) - {"hardware.gpu"} <= explained


def test_there_are_forty_and_all_but_one_fit():
    assert len(PLANS) >= 40
    assert [one["said"] for one in PLANS if one["fits"] != "fits"] == [
        ["qwen 32b on a 3060, 500 notes, diagnosis, synthetic"]
    ]
