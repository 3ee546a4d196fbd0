"""What the kinds of objective are called, in the words of the papers."""

from __future__ import annotations

_NAMES = {
    "sft": "supervised fine-tuning",
    "dpo": "DPO",
    "kto": "KTO",
    "orpo": "ORPO",
    "cpo": "SimPO or CPO",
    "reward": "reward model",
    "rloo": "RLOO",
    "grpo": "GRPO",
}


def objective_name(kind: str) -> str:
    """What an objective is called: "DPO", "reward model"."""
    return _NAMES[kind]
