"""The model card for a Hub: metadata that it can read, and what the dossier says in short (lecture L3.16)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainer import energy
from trainer.catalogue import BaseModelRow
from trainer.catalogue.datasets import data_set
from trainer.data.sources import STARTER_LICENCE
from trainer.dossier import about, data_part, evidence, results_part, training_part
from trainer.dossier.evidence import Evidence
from trainer.dossier.markdown import bullets, joined, plain
from trainer.model_refs import ModelRef
from trainer.runs import Run

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

METRIC_TYPES = {"exact_match": "exact_match", "label": "accuracy", "structure": "taught_structure"}
OPEN = ("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0")
"""Licences under which something may be passed on with the base's own licence."""
_KNOWN_IDS = ("apache-2.0", "mit", "llama3", "llama3.1", "llama3.2", "llama3.3", "gemma", "cc-by-4.0", "cc-by-nc-4.0")
"""Licences that the Hub knows by these names; any other is `other` there, with its own name beside it."""


def hub_card(run: Run) -> str:
    """The card of a run's tuned model as the run has it, YAML metadata first; an export adds its own.

    Raises what `evidence.gather` raises.
    """
    return card(evidence.gather(ModelRef(run=run.id)))


def card(found: Evidence) -> str:
    """The card of a model whose evidence is gathered already."""
    from huggingface_hub import ModelCardData

    config = found.run.config
    # What is a Hub's id there; a folder or a catalogue's name says nothing to a Hub.
    base = found.base.hub_id if found.base and _is_hub_id(found.base.hub_id) else None
    hub_sets = [
        row.hub_id
        for source in (found.manifest.sources if found.manifest else [])
        if (row := data_set(source.name)) and row.hub_id
    ]
    licence, licence_name = _licence(found, found.base)
    library, relation = ("transformers", "finetune") if config.method.kind == "full" else ("peft", "adapter")
    data = ModelCardData(
        library_name=library,
        pipeline_tag="text-generation",
        base_model=base,
        base_model_relation=relation if base else None,
        datasets=hub_sets or None,
        tags=["medical", "clinical", "bedside", config.method.kind, config.objective.kind],
        model_name=found.name,
        eval_results=_results(found) or None,
        license=licence,
        license_name=licence_name,
    )
    return f"---\n{data.to_yaml()}\n---\n\n{_body(found)}"


def _body(found: Evidence) -> str:
    parts = {
        "In short": about.in_short(found),
        "Intended use": about.intended_use(found),
        "Out of scope": about.out_of_scope(found),
        "Data": data_part.sources(found),
        "Split and leakage": data_part.split_proof(found),
        "Metrics": results_part.metrics(found),
        "Release gates": results_part.gates(found),
        "Forgetting": results_part.forgetting(found),
        "Subgroups": results_part.subgroups(found),
        "Licences and hashes": joined(
            data_part.licences(found),
            "The weights derive from the base model and from the data; under which licence they may be passed on, "
            "whoever passes them on has to decide and to state.",
        ),
        "Energy": bullets([f"{plain(energy.words(found.energy))}, estimated; assumptions stand in the dossier."]),
        "Environment": training_part.computed_with(found),
    }
    return joined(f"# {plain(found.name)}", *(f"## {name}\n\n{text}" for name, text in parts.items())) + "\n"


def _licence(found: Evidence, base: BaseModelRow | None) -> tuple[str, str | None]:
    """The base's licence where nothing in the data is stricter, else `other`, with a name that says so."""
    name = (base.licence if base else "unknown").split(" ")[0].lower()
    sources = found.manifest.sources if found.manifest else []
    free = [one.licence == STARTER_LICENCE or one.licence.lower() in OPEN for one in sources if not one.restriction]
    if sources and len(free) == len(sources) and all(free) and name in _KNOWN_IDS:
        return name, None
    return "other", f"base-{name}-and-data-see-card"


def _results(found: Evidence) -> list[EvalResult]:
    """What the tuned model scored: the run's held-out sets, and each suite's first metric."""
    from huggingface_hub import EvalResult

    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=_slug(row.name),
            dataset_name=row.name,
            metric_type=METRIC_TYPES[row.metric],
            metric_name=f"{METRIC_TYPES[row.metric].replace('_', ' ')} (n {row.n}, 95 % {100 * row.tuned.low:.0f} to "
            f"{100 * row.tuned.high:.0f} %)",
            metric_value=round(row.tuned.score, 4),
        )
        for row in (found.report.table if found.report else [])
    ]
    for suite in found.measured.suites if found.measured else []:
        one = suite.main.tuned
        if one.value is None or one.low is None or one.high is None:
            continue
        results.append(
            EvalResult(
                task_type="text-generation",
                dataset_type=_slug(suite.source),
                dataset_name=suite.source.rpartition("/")[2],
                metric_type=_slug(one.name),
                metric_name=f"{one.name} (n {one.n}, 95 % {one.low:.3g} to {one.high:.3g})",
                metric_value=round(one.value, 4),
            )
        )
    return results


def _slug(text: str) -> str:
    """A name as a Hub's metadata have it: "starter/lab" as it is, a path by its last part."""
    last = text.rpartition("/")[2] if text.startswith(("/", ".", "~")) else text
    return "".join(one if one.isalnum() or one in "-_./" else "_" for one in last.lower())


def _is_hub_id(text: str) -> bool:
    return text.count("/") == 1 and not text.startswith(("/", ".", "~")) and not Path(text).is_dir()
