"""Why a run cannot be started on this machine: asked by the planner, the pages, `bedside train` and the worker."""

from __future__ import annotations

from trainer.config import RunConfig
from trainer.hardware import Machine


def refusals(config: RunConfig, machine: Machine) -> list[str]:
    """One sentence for each reason, with the way out; empty where the run can start."""
    reasons = []
    if config.data.contains_phi is True:
        reasons.append(
            "The data contains patient data (data.contains_phi is true), and Bedside cannot de-identify it yet; "
            "nothing is trained on it. Use de-identified or synthetic data, and set data.contains_phi to false."
        )
    elif config.data.contains_phi is None:
        reasons.append(
            "It is not known whether the data contains patient data (data.contains_phi is empty), and Bedside cannot "
            "de-identify it yet; have it checked, and set data.contains_phi to false only if it holds none."
        )
    if not config.data.sources:
        reasons.append(
            "No data is chosen (data.sources is empty); name a JSONL, JSON or CSV file, or use the starter data."
        )
    if config.hardware.device == "cuda" and not machine.gpus:
        planned = f" ({config.hardware.gpu})" if config.hardware.gpu else ""
        reasons.append(
            f"This plan needs a GPU{planned}, and this machine has none that CUDA can use; save the run file, copy it "
            "to the machine with the GPU, and run `bedside train run.yaml` there. Or plan for this machine's CPU."
        )
    return reasons
