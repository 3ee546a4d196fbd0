"""What is added to the training side once it is split off: rewritten and disturbed rows, repeats of rare classes and of
rows like hard cases, general rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from trainer.data import manifest, mixing, perturbed, row_files
from trainer.data.augmentation import Counts, Rewrite, augment_rows
from trainer.data.augmentation.rewriting_models import load_paraphraser, load_translator
from trainer.data.gather import gather, kept_rows
from trainer.data.inspection.balance import balance_effect
from trainer.data.near_duplicates import Signatures, words
from trainer.data.rows import kept_together, question
from trainer.data.sources import Located, Progress
from trainer.data.splits import SIDES
from trainer.evaluation import hard_cases
from trainer.sections import RunConfig

_DYNAMIC_HELD_BACK = 0.2  # at most this share of the general rows is kept from dynamic mixing, to measure its loss on


def grow(run: RunConfig, train: Path, rows: int, steps: list[manifest.Step], notes: list[str], report: Progress) -> int:
    """Add rewritten rows to the training side; returns how many."""
    data = run.data
    if not data.augment:
        return 0
    models: dict[str, Rewrite] = {}
    if "back_translation" in data.augment:
        models["back_translation"] = load_translator(*data.translation_models)
    if "paraphrase" in data.augment and data.paraphrase_model:
        models["paraphrase"] = load_paraphraser(data.paraphrase_model)
    report("rewriting rows", 0, 1)
    counts = Counts()
    grown = train.with_name("grown.part")
    source, seed = row_files.read(train), run.schedule.seed
    row_files.write(grown, augment_rows(source, data.augment, data.augment_share, seed, models, counts))
    left_out = _take_in(grown, train)
    notes += counts.notes()
    steps.append(_added("grow", rows, counts.by_way, left_out))
    report("rewriting rows", 1, 1)
    return counts.added - left_out


def perturb(
    run: RunConfig, train: Path, rows: int, steps: list[manifest.Step], notes: list[str], report: Progress
) -> int:
    """Add rows with a disturbed question to the training side (`trainer.data.perturbed`); returns how many."""
    asked = run.adversarial
    if not asked.perturbations:
        return 0
    report("disturbing rows", 0, 1)
    counts = perturbed.Counts()
    made = train.with_name("perturbed.part")
    source = row_files.read(train)
    row_files.write(made, perturbed.perturbed_rows(source, asked.perturbations, asked.share, run.schedule.seed, counts))
    left_out = _take_in(made, train)
    notes += counts.notes()
    steps.append(_added("perturb", rows, counts.by_kind, left_out))
    report("disturbing rows", 1, 1)
    return counts.added - left_out


def repeat_hard(run: RunConfig, train: Path, rows: int, steps: list[manifest.Step], notes: list[str]) -> int:
    """Repeat rows like the cases that an evaluation failed on (`trainer.evaluation.hard_cases`); returns how many."""
    if run.adversarial.hard_cases is None:
        return 0
    cases = hard_cases.read(Path(run.adversarial.hard_cases).expanduser())
    found = hard_cases.mine(cases, lambda: map(question, row_files.read(train)))
    row_files.repeat(train, Counter(range(rows)) + found.more)
    added = found.more.total()
    if found.passed_over:
        notes.append(
            f"{len(found.passed_over):,} training rows ask what the evaluation asks that adversarial.hard_cases comes "
            "from; they are not repeated, and its scores are not to be trusted: take them out."
        )
    detail = f"rows like {found.cases:,} of {len(cases):,} failed questions come more often"
    steps.append(manifest.Step(name="hard cases", rows_before=rows, rows_after=rows + added, detail=detail))
    return added


def _take_in(made: Path, train: Path) -> int:
    """Add the rows of a file to the training side, and remove it; returns how many were too like a held-back row."""
    crossing = _like_held_back(made)
    fit = (row for number, row in enumerate(row_files.read(made)) if number not in crossing)
    row_files.write(train, fit, append=True)
    made.unlink()
    return len(crossing)


def _added(name: str, rows: int, counts: dict[str, int], left_out: int) -> manifest.Step:
    detail = ", ".join(f"{way} {count:,}" for way, count in counts.items())
    if left_out:
        detail += f"; {left_out:,} were left out, being too like a held-back row"
    return manifest.Step(name=name, rows_before=rows, rows_after=rows + sum(counts.values()) - left_out, detail=detail)


def _like_held_back(grown: Path) -> set[int]:
    """Numbers of the added rows that are near-duplicates of a row for validation or test, or ask the same."""
    signatures, asked = Signatures(), set()
    for side in SIDES[1:]:
        for row in row_files.read(grown.with_name(f"{side}.jsonl")):
            signatures.add(kept_together(row))
            asked.add(tuple(words(question(row))))
    held_back, same = len(signatures), set()
    for number, row in enumerate(row_files.read(grown)):
        signatures.add(kept_together(row))
        if tuple(words(question(row))) in asked:
            same.add(number)
    groups = signatures.groups().tolist()
    crossing = set(groups[:held_back])
    return same | {number for number, group in enumerate(groups[held_back:]) if group in crossing}


def balance(run: RunConfig, train: Path, steps: list[manifest.Step], notes: list[str]) -> int:
    """Repeat rows of rare classes (lecture L3.20); returns how many were added."""
    field = run.data.balance
    if field == "none":
        return 0
    labels = [str(row.get("about", {}).get(field) or "") for row in row_files.read(train)]
    chosen = mixing.balance(labels, run.schedule.seed)
    row_files.repeat(train, Counter(chosen))
    known = Counter(label for label in labels if label)
    notes.append(balance_effect(known).sentence if known else f"No training row has a {field}: nothing is repeated.")
    steps.append(manifest.Step(name="balance", rows_before=len(labels), rows_after=len(chosen), detail=f"by {field}"))
    return len(chosen) - len(labels)


def needs_general(run: RunConfig) -> bool:
    """Whether general rows are mixed in, or EWC looks at what they depend on; in supervised tuning alone."""
    if run.objective.kind != "sft":
        return False
    return run.steering.replay_share > 0 or run.steering.mixing == "dynamic" or run.steering.ewc > 0


def add_general(
    run: RunConfig,
    located: dict[str, Located],
    own: int,
    folder: Path,
    sources: list[manifest.SourceRecord],
    steps: list[manifest.Step],
    notes: list[str],
) -> int:
    """Write the general rows that are mixed in, against forgetting (lecture L2.8, L2.10); returns how many.

    They are `general.jsonl`. In `general_validation.jsonl` stand a few that are never trained on, to measure the loss
    on: some are kept aside for dynamic mixing, which needs it (lecture L2.11), else of those that are not mixed in.
    """
    target, aside = folder / "general.jsonl", folder / "general_validation.jsonl"
    dynamic = run.steering.mixing == "dynamic"
    share = mixing.DYNAMIC_START if dynamic else run.steering.replay_share
    if not needs_general(run):
        target.touch()
        aside.touch()
        return 0
    gathered = folder / "general.part"
    gathered.unlink(missing_ok=True)
    general = run.data.model_copy(update={"sources": run.data.general_sources})
    found, _, removed = gather(general, located, run.schedule.seed, gathered, lambda stage, done, total: None)
    seed = run.schedule.seed
    all_rows = range(sum(source.rows_used for source in found) - removed.rows_dropped)
    held_back = mixing.hold_back(all_rows, _DYNAMIC_HELD_BACK, seed) if dynamic else []
    free = sorted(set(all_rows).difference(held_back))
    places, told = mixing.mix_general(own, len(free), share, seed)
    chosen = [free[place] for place in places]
    if not dynamic:
        held_back = mixing.hold_back(sorted(set(free).difference(chosen)), 1, seed)
    elif not held_back:
        told.append(
            f"There are {len(all_rows)} general rows, too few to keep some aside: the loss on general rows is not "
            "measured, and dynamic mixing follows the loss on one's own rows alone; add general sources."
        )
    for path, times in ((target, Counter(chosen)), (aside, Counter(held_back))):
        row_files.write(path, kept_rows(gathered))
        row_files.repeat(path, times)
    gathered.unlink()
    sources += [source.model_copy(update={"role": "replay"}) for source in found]
    notes += told
    kept = f" {len(held_back)} others are kept aside to measure the loss on general rows." if held_back else ""
    steps.append(
        manifest.Step(
            name="mix",
            rows_before=own,
            rows_after=own + len(chosen),
            detail=f"{share:.0%} general rows were asked for; {len(chosen) / (own + len(chosen)):.1%} it is.{kept}",
        )
    )
    return len(chosen)
