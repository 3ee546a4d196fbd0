"""A model's release dossier, put together and written: Markdown, HTML, PDF, a model card, and a record for machines."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel

from trainer import config as run_config
from trainer.atomic import write_atomically
from trainer.dossier import (
    about,
    card,
    checklist,
    data_part,
    evidence,
    html,
    pdf,
    record,
    regulation,
    results_part,
    risks,
    signoffs,
    training_part,
)
from trainer.dossier.checklist import Item
from trainer.dossier.evidence import Evidence, Missing
from trainer.dossier.markdown import joined, plain
from trainer.model_refs import ModelRef

MARKDOWN, HTML, PDF, CARD = "dossier.md", "dossier.html", "dossier.pdf", "README.md"


class Dossier(BaseModel):
    """What was written, and how the model stands by it."""

    model: str
    folder: Path
    files: list[Path]
    """Markdown, HTML, PDF, model card, record."""
    evidence_sha256: str
    decision: str
    """Of the release gates; empty where nothing was evaluated."""
    checklist: list[Item]
    missing: list[Missing]


def make(model: ModelRef, folder: Path | None = None) -> Dossier:
    """Write the dossier of a run's tuned model into `folder` (else `dossiers/<run>` in the home); takes seconds.

    What stood there of an earlier one is replaced, file by file, each whole. Raises `DossierError` and `RunError`.
    """
    found = evidence.gather(model)
    target = folder or default_folder(model)
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    text, title = document(found), f"Release dossier: {found.name}"
    kept = record.of(found)
    write_atomically(target / MARKDOWN, text)
    write_atomically(target / HTML, html.page(text, title))
    _write_bytes(target / PDF, pdf.write(text, title))
    write_atomically(target / CARD, card.card(found))
    write_atomically(target / record.FILE, kept.model_dump_json(indent=1))
    return Dossier(
        model=str(model),
        folder=target,
        files=[target / name for name in (MARKDOWN, HTML, PDF, CARD, record.FILE)],
        evidence_sha256=found.sha256,
        decision=kept.decision,
        checklist=kept.checklist,
        missing=kept.missing,
    )


def default_folder(model: ModelRef) -> Path:
    """Where a model's dossier is written unless somebody says where."""
    home = run_config.home() / "dossiers"
    home.mkdir(exist_ok=True, mode=0o700)
    return home / model.run


def document(found: Evidence) -> str:
    """The whole dossier as Markdown."""
    parts = {
        "In short": about.in_short(found),
        "Checklist before release": checklist.part(found),
        "Sign-offs": signoffs.part(found),
        "Intended use": about.intended_use(found),
        "Out of scope": about.out_of_scope(found),
        "Data": data_part.sources(found),
        "De-identification": data_part.deidentification(found),
        "Split and leakage": data_part.split_proof(found),
        "Licences and hashes": data_part.licences(found),
        "Metrics": results_part.metrics(found),
        "Release gates": results_part.gates(found),
        "Forgetting": results_part.forgetting(found),
        "Subgroups": results_part.subgroups(found),
        "Safety": results_part.safety(found),
        "Robustness": results_part.robustness(found),
        "Latency": results_part.latency(found),
        "Expert votes": results_part.reviewers(found),
        "Interpretability": results_part.interpretability(found),
        "Risk register": risks.part(found),
        "Regulatory questions": regulation.part(),
        "Configuration": training_part.configuration(found.run),
        "Environment": training_part.computed_with(found),
        "Energy and emissions": training_part.energy_part(found),
        "Versions and changes": training_part.changelog(found),
        "Making it again": training_part.making_again(found),
    }
    return (
        joined(f"# Release dossier: {plain(found.name)}", *(f"## {name}\n\n{text}" for name, text in parts.items()))
        + "\n"
    )


def _write_bytes(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
