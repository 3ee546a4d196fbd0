"""Other ways of tuning in a real Chromium, each from the conversation over a real run to two answers side by side."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from playwright.sync_api import Page, expect
from test_pages import open_editor, plan, planned_yaml, write_yaml

if TYPE_CHECKING:
    from conftest import App

pytestmark = pytest.mark.timeout(900)
ORDERS = "pull drugs and doses out of orders, starter/orders, on this machine, 3 steps, "
BOTH = "interpret test results and pull drugs out of orders, starter data, on this machine, 3 steps, "


@dataclass
class Way:
    """What is said, what the plan then holds (field: value), and what shows that the run did it."""

    said: str
    planned: dict[str, Any]
    weights: str  # in the run folder
    sources: list[str] = field(default_factory=lambda: ["starter/orders"])
    shown: str = ""  # on the Runs page, among what acted
    adapters: tuple[str, ...] = ()
    turns: bool = False


WAYS = {
    "prefix": Way(
        ORDERS + "with prefix tuning",
        {"method.kind": "prefix", "method.length": 30, "schedule.learning_rate": 0.005},
        "adapter/adapter_model.safetensors",
        turns=True,
    ),
    "qlora": Way(
        ORDERS + "with QLoRA",
        {"method.kind": "lora", "model.quantization": "nf4"},
        "adapter/adapter_model.safetensors",
    ),
    "adapter per task": Way(
        BOTH + "one adapter per task",
        {"method.kind": "adapter", "method.per": "task", "method.width": 64},
        "adapter/*/adapter_model.safetensors",
        sources=["starter/lab", "starter/orders"],
        adapters=("classification", "ner"),
    ),
    "full with EWC": Way(
        ORDERS + "full fine-tuning with EWC",
        {"method.kind": "full", "steering.ewc": 0.03, "schedule.learning_rate": 5e-5},
        "model/*.safetensors",
        turns=True,
    ),
    "curriculum": Way(
        ORDERS + "with a curriculum",
        {"method.kind": "lora", "steering.curriculum": "steps"},
        "adapter/adapter_model.safetensors",
        sources=["starter/clinical"],  # its rows have levels
        shown="Curriculum",
    ),
}


def value(data: dict[str, Any], name: str) -> Any:
    section, key = name.split(".")
    return data[section][key]


def reasoned(page: Page, name: str) -> bool:
    """Whether the plan shows this field among the values that have a reason."""
    section, key = name.split(".")
    title = page.locator("summary strong").filter(has_text=re.compile(f"^{section.capitalize()}$"))
    shown = page.locator("#plan-table > .bs-section").filter(has=title)
    names = shown.locator("> .bs-value .bs-name").all_text_contents()
    return key.replace("_", " ") in names


def small(data: dict[str, Any], way: Way, base: Path | None) -> dict[str, Any]:
    """The planner's run file, with as few rows, measurements and tokens as show anything."""
    data["data"]["sources"] = [{"name": name, "rows": 24} for name in way.sources]
    data["schedule"] |= {"batch_size": 2, "accumulation": 1, "max_length": 256, "checkpoint_every": 3}
    data["evaluation"] |= {
        "every": 2,
        "sample_every": 3,
        "sample_prompts": ["Sodium 129 mmol/L?"],
        "held_out": [],
        "forgetting": False,
        "max_new_tokens": 4,
    }
    if base:
        data["model"]["name"] = str(base)
    return data


def trained(app: App, pattern: str) -> list[Path]:
    """The files of this pattern in the folder of the newest run."""
    newest = max((app.home / "runs").iterdir(), key=lambda path: path.stat().st_mtime)
    return list(newest.glob(pattern))


@pytest.mark.soak  # the default way is walked in test_pages.py
@pytest.mark.parametrize("name", WAYS)
def test_from_the_conversation_to_two_answers(page: Page, app: App, name: str, tiny_model: Path) -> None:
    way = WAYS[name]
    plan(page, way.said)
    table = page.locator("#plan-table")
    expect(page.locator("#plan-rates")).to_contain_text("cosine")
    data = planned_yaml(way.said)
    planned = {"schedule.max_steps": 3, **way.planned}
    assert {one: value(data, one) for one in planned} == planned
    for one in planned:
        assert reasoned(page, one), f"{one} stands on the plan without a reason"

    open_editor(page)
    # The one that always runs has a tiny base; the others the embedded one, as a user has.
    data = small(data, way, tiny_model if name == "prefix" else None)
    data["output"]["name"] = f"by {name}"
    write_yaml(page, yaml.safe_dump(data, sort_keys=False))
    expect(table).to_contain_text(f"by {name}")
    page.click("#plan-start")
    expect(page.locator("#runs-state")).to_contain_text(f"by {name}", timeout=20_000)
    expect(page.locator("#runs-state .bs-badge")).to_have_text("done", timeout=600_000)
    expect(page.locator("#runs-state")).to_contain_text("training loss")
    expect(page.locator("#runs-report")).to_contain_text("weights trained")
    if way.shown:
        expect(page.locator("#runs-steering")).to_contain_text(way.shown)
    assert len(trained(app, way.weights)) == max(1, len(way.adapters))

    page.get_by_role("tab", name="Playground", exact=True).click()
    # An earlier test may have trained a run as well: the one that was looked at is the one that is asked.
    expect(page.locator("#play-second input")).to_have_value(re.compile(f"^by {name}"))
    chosen = page.locator("#play-second-adapters")
    if way.adapters:
        page.click("#play-second-adapters input")
        for adapter in way.adapters:
            expect(page.get_by_role("option", name=adapter, exact=True)).to_be_visible()
    else:
        expect(chosen).not_to_be_visible()
    page.click("#play-settings button")
    page.fill("#play-max input", "8")
    page.fill("#play-question textarea", "Potassium 6.1 mmol/L (reference 3.5-5.1): low, normal or high?")
    page.click("#play-ask")
    for side in ("left", "right"):
        expect(page.locator(f"#play-{side}-speed")).to_contain_text("tokens/s", timeout=60_000)
    expect(page.locator("#play-ask")).to_be_visible(timeout=60_000)
    said = page.locator("#play-status")
    expect(said).to_contain_text("take turns") if way.turns else expect(said).not_to_be_visible()
