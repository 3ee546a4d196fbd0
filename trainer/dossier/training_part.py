"""The dossier's parts on how the model was made: run file, environment, energy, history, and making it again."""

from __future__ import annotations

from trainer import config as run_config
from trainer import energy
from trainer.dossier.evidence import Evidence
from trainer.dossier.markdown import bullets, code, joined, plain, table
from trainer.run_differences import differences
from trainer.runs import Run
from trainer.sections import RunConfig

SHOWN_PACKAGES = (
    "torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "safetensors", "bitsandbytes",
    "numpy",
)  # fmt: skip
"""Those of which a run's numbers follow most directly; `dossier.json` has all."""


def without_questions(config: RunConfig) -> RunConfig:
    """The run file without its sample questions, which may hold what a patient said; nothing that is trained follows
    from them."""
    return config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"sample_prompts": []})})


def configuration(run: Run) -> str:
    """What was set, beside the defaults, and the whole run file."""
    config = without_questions(run.config)
    chosen = [(one.field, one.second, one.first) for one in differences(RunConfig(), config)]
    return joined(
        f"Seed {config.schedule.seed}. Set otherwise than by default:",
        table(["field", "this run", "default"], chosen),
        "The whole run file (without the sample questions):",
        code(run_config.to_yaml(config)),
    )


def computed_with(found: Evidence) -> str:
    """Machine, threads and package versions as the run recorded them."""
    lock = found.environment
    if lock is None:
        missing = found.missing["environment"]
        return f"{missing.what} {missing.how}"
    facts = [
        ("Python", lock.python),
        ("System", lock.system),
        ("Processor", f"{lock.cpu}, {lock.cores} cores, {lock.memory_gib:g} GiB"),
        ("GPUs", ", ".join(lock.gpus) or "none"),
        ("Threads", str(lock.threads)),
        ("Matrix library", lock.blas),
        ("Environment variables", ", ".join(f"{name}={value}" for name, value in lock.settings.items()) or "none set"),
        ("Bedside's code (SHA-256)", lock.code_sha256),
        *((name, lock.packages[name]) for name in SHOWN_PACKAGES if name in lock.packages),
    ]
    return joined(
        table(["what", "as recorded when the run began"], facts),
        f"All {len(lock.packages)} packages with their versions stand in `dossier.json`.",
    )


def energy_part(found: Evidence) -> str:
    """Energy and emissions as ranges, what was measured, and each assumption with its source."""
    taken = found.energy
    rows = [
        (one.name, f"{one.low:g}" if one.low == one.high else f"{one.low:g} to {one.high:g}", one.unit, one.source)
        for one in taken.assumed
    ]
    return joined(
        f"**{plain(energy.words(taken))}** for {taken.hours:.3g} hours of work of the run.",
        bullets(f"Measured: {plain(one)}." for one in taken.measured),
        table(["assumed", "value", "unit", "source"], rows),
        bullets(plain(one) for one in taken.notes),
    )


def changelog(found: Evidence) -> str:
    """What each version of this model says of its changes."""
    if not found.versions:
        missing = found.missing["version"]
        return f"{missing.what} {missing.how}"
    parts = []
    for one in found.versions:
        after = f", goes on from {plain(one.parent)}" if one.parent else ", the first of its line"
        knows = f"; knows nothing after {one.knowledge_until}" if one.knowledge_until else ""
        despite = [f"Registered all the same: {plain(one.despite)}"] if one.despite else []
        parts.append(
            f"**{plain(one.line)} {plain(one.number)}**, {one.created:%-d %B %Y}{after}{knows}\n\n"
            + bullets([*(plain(line) for line in one.changelog.splitlines()), *despite])
        )
    return joined(*parts)


def making_again(found: Evidence) -> str:
    """How the run is repeated and compared."""
    return joined(
        "`bedside reproduce dossier.json` makes the data again, compares environment and base model with what stands "
        "here, trains once more, and says what is equal and what is not. It needs the data files at the paths that "
        "the run file names. On the same machine, with as many threads, a run on the processor is equal bit by bit; on "
        "another machine or on a GPU expect small differences.",
        f"The same from the run itself: `bedside reproduce {found.run.id}`.",
    )
