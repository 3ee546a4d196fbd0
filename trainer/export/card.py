"""The card of an export: that of its run, and below it what was exported, how it was checked, what the gates say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evaluators.gates import Gate
from trainer.runs import Run

if TYPE_CHECKING:
    from trainer.export.record import Export


def card(export: Export, run: Run) -> str:
    """Markdown: the run's model card with a section on this export."""
    from huggingface_hub import ModelCard

    from trainer.dossier.card import hub_card

    lines = ["", "## This export", "", f"{_WHAT[export.what]} Made of {export.model} on {export.created[:10]}.", ""]
    if export.parity:
        lines += [f"Checked against the run: {export.parity.sentence()}", ""]
    lines += [f"- {note}" for note in export.notes]
    lines += [""] * bool(export.notes)
    lines += ["### Release gates", "", f"{export.gates}", ""]
    lines += [f"- Fails: {failing}" for failing in export.failing]
    lines += [""] * bool(export.failing)
    found = ModelCard(hub_card(run), ignore_metadata_errors=True)
    metadata: Any = found.data
    metadata.library_name, metadata.base_model_relation = _FOR_THE_HUB[export.what]
    return f"{str(found).rstrip()}\n" + "\n".join(lines)


def failing(gates: list[Gate]) -> list[str]:
    """The gates that fail, each in a sentence."""
    return [f"{gate.name}: {gate.sentence}" for gate in gates if gate.result == "fail"]


_WHAT = {
    "merged": "The base with what was trained in its weights, as safetensors.",
    "adapter": "What was trained, alone; it is loaded beside its base.",
    "gguf": "The base with what was trained in its weights, as GGUF for llama.cpp.",
    "ollama": "The base with what was trained in its weights, as GGUF, with a Modelfile for Ollama.",
}
_FOR_THE_HUB = {
    "merged": ("transformers", "finetune"),
    "adapter": ("peft", "adapter"),
    "gguf": ("gguf", "quantized"),
    "ollama": ("gguf", "quantized"),
}
"""What loads it, and what it is to its base: the Hub's words, by which it shows how to load a model."""
