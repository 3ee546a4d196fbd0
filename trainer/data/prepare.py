"""Data from its sources to files of rows that can be trained on; the only place where the parts of the data desk meet.

Read, assign, de-identify, split, grow, balance, plant canaries, mix: each step is counted in the manifest. The result
is kept under `prepared/<key>/` in the home, where the key is made of everything that it follows from, so that the same
inputs are prepared once, and a run can make its data again exactly. What was begun and killed goes on where it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from trainer import config
from trainer.data import additions, canaries, leakage, manifest, row_files, splits, task_templates
from trainer.data.contamination import Benchmarks, Contaminated
from trainer.data.gather import EVERY, gather, kept_rows, needs_deidentification, secret, times
from trainer.data.loading import DUPLICATE, read_rows
from trainer.data.near_duplicates import Signatures
from trainer.data.reading.rejected import write_rejected
from trainer.data.records import DataError
from trainer.data.rows import Row, kept_together, kind_of, question, texts
from trainer.data.sources import STARTER_PREFIX, Located, Progress, content_hash, locate
from trainer.data_sections import DataSource
from trainer.sections import RunConfig

VERSION = 4
"""Of what these steps do; raised with a change, so that older prepared data is made anew."""
FORGETTING_SET = f"{STARTER_PREFIX}questions"
_ATTEMPTS = 4  # at a split that the exact comparison finds clean
_SHOWN = 100  # contaminated rows that the manifest names


class Data(BaseModel):
    """Prepared data: its folder with a file of rows for each side, for general rows and for rejected ones."""

    folder: Path
    manifest: manifest.Manifest

    def rows(self, side: str) -> Iterator[Row]:
        """The rows of train, validation, test or general, one by one."""
        return row_files.read(self.folder / f"{side}.jsonl")

    @property
    def rejected(self) -> Path:
        """Rows that could not be used, each with its reason; mend them and name this file to read them again."""
        return self.folder / "rejected.jsonl"


def prepare(run: RunConfig, progress: Progress | None = None) -> Data:
    """Make the data of a run, or take it where it was made before. Raises `DataError` in one sentence."""
    from filelock import FileLock, Timeout

    report = progress or (lambda stage, done, total: None)
    located = _located(run, report)
    key = _key(run, located)
    folder = config.home() / "prepared" / key
    folder.parent.mkdir(exist_ok=True, mode=0o700)
    lock = FileLock(f"{folder}.lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        report("waiting for another preparation of the same data", 0, 0)
        held = lock.acquire()
    with held:
        if not (folder / "manifest.json").exists():
            partial = folder.with_name(f"{key}.part")
            partial.mkdir(exist_ok=True, mode=0o700)
            made = _build(run, located, key, partial, report)
            (partial / "manifest.json").write_text(made.model_dump_json(indent=1), encoding="utf-8")
            partial.rename(folder)
    text = (folder / "manifest.json").read_text(encoding="utf-8")
    return Data(folder=folder, manifest=manifest.Manifest.model_validate_json(text))


def rebuild(run: RunConfig, progress: Progress | None = None) -> manifest.Manifest:
    """Make the data of a run once more, whatever was prepared before, and keep nothing of it but the manifest.

    Raises `DataError` in one sentence.
    """
    report = progress or (lambda stage, done, total: None)
    located = _located(run, report)
    key = _key(run, located)
    # Beside what was prepared, where the user sees and deletes it should this process be killed.
    folder = config.home() / "prepared" / f"{key}.again-{os.getpid()}"
    folder.mkdir(parents=True, mode=0o700)
    try:
        return _build(run, located, key, folder, report)
    finally:
        shutil.rmtree(folder)


def _located(run: RunConfig, report: Progress) -> dict[str, Located]:
    if not run.data.sources:
        raise DataError("data.sources is empty: name a file, a folder or a published set, or the starter data.")
    wanted = [*run.data.sources, *(run.data.general_sources if additions.needs_general(run) else [])]
    return {source.name: locate(source.name, "train", report) for source in wanted}


def _key(run: RunConfig, located: dict[str, Located]) -> str:
    """16 hex digits of everything that the rows follow from."""
    sources = [*run.data.sources, *run.data.general_sources]
    named = [source.template for source in sources if source.template]
    files = [source.corrections for source in sources if source.corrections]
    adversarial = run.adversarial
    hard = Path(adversarial.hard_cases).expanduser() if adversarial.hard_cases else None
    deidentified = any(needs_deidentification(run.data, one) for one in located.values())
    parts = {
        "version": VERSION,
        "data": run.data.model_dump(mode="json"),
        "general share": "dynamic" if run.steering.mixing == "dynamic" else run.steering.replay_share,
        "general needed": additions.needs_general(run),
        "seed": run.schedule.seed,
        "scored": [held_out.name for held_out in run.evaluation.held_out],
        "forgetting": _asks_general_questions(run),
        "sources": {name: content_hash(one.path) for name, one in located.items()},
        "templates": {name: task_templates.load(name).source for name in named},
        "corrections": {name: content_hash(Path(name)) for name in files if Path(name).exists()},
        "perturbed": (adversarial.perturbations, adversarial.share) if adversarial.perturbations else None,
        "hard cases": content_hash(hard) if hard and hard.is_file() else None,
        "secret": hashlib.sha256(secret()).hexdigest() if deidentified else "",
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _build(run: RunConfig, located: dict[str, Located], key: str, folder: Path, report: Progress) -> manifest.Manifest:
    data, seed = run.data, run.schedule.seed
    gathered = folder / "rows.jsonl"
    sources, faults, removed = gather(data, located, seed, gathered, report)
    write_rejected(folder / "rejected.jsonl", faults)
    read = sum(source.rows_used for source in sources)
    twice = sum(fault.message == DUPLICATE for fault in faults)
    kept = read - removed.rows_dropped
    steps = [
        manifest.Step(
            name="read",
            rows_before=read + len(faults),
            rows_after=read,
            detail=f"{len(faults) - twice} could not be used, {twice} were equal to an earlier one.",
        ),
        manifest.Step(name="de-identify", rows_before=read, rows_after=kept, detail=removed.because),
    ]
    if kept < 2:
        raise DataError(_too_few(kept, removed.rows_dropped))
    sides, proof, notes = _split(run, gathered, report)
    with contextlib.ExitStack() as opened:
        outs = [opened.enter_context((folder / f"{side}.jsonl").open("w", encoding="utf-8")) for side in splits.SIDES]
        for number, (row, at) in enumerate(zip(kept_rows(gathered), sides, strict=True), 1):
            outs[at].write(row_files.line(row))
            if number % EVERY == 0:
                report("writing the sides", number, kept)
    counts = Counter(sides)
    steps.append(
        manifest.Step(
            name="split",
            rows_before=kept,
            rows_after=counts[0],
            detail=f"{counts[0]} to train on, {counts[1]} for validation, {counts[2]} for the test.",
        )
    )
    train = folder / "train.jsonl"
    names, flagged = _contamination(run, train)
    if flagged:
        first = flagged[0]
        notes.append(
            f"{len({one.row for one in flagged})} training rows hold what a scored set asks (first: {first.place}, "
            f"{first.benchmark}); take them out, or do not trust that set's score."
        )
    grown = additions.grow(run, train, counts[0], steps, notes, report)
    repeated = additions.balance(run, train, steps, notes)
    repeated += additions.repeat_hard(run, train, counts[0] + grown + repeated, steps, notes)
    # After the repeats, so that a row that stands several times is disturbed in several ways.
    disturbed = additions.perturb(run, train, counts[0] + grown + repeated, steps, notes, report)
    own = counts[0] + grown + repeated + disturbed
    own += canaries.plant(run, train, own, steps)
    replay = additions.add_general(run, located, own, folder, sources, steps, notes)
    # Only now: until here a preparation that is killed goes on from it.
    gathered.unlink()
    files = sorted(path for path in folder.glob("*.jsonl"))
    return manifest.Manifest(
        key=key,
        sources=sources,
        contains_phi=data.contains_phi,
        deidentification=removed,
        steps=steps,
        notes=notes,
        train_rows=own + replay,
        grown_rows=grown,
        repeated_rows=repeated,
        perturbed_rows=disturbed,
        replay_rows=replay,
        validation_rows=counts[1],
        test_rows=counts[2],
        leakage=proof,
        contamination=flagged[:_SHOWN],
        contaminated_rows=len({one.row for one in flagged}),
        benchmarks=names,
        train_ids=row_files.ids(train) + row_files.ids(folder / "general.jsonl"),
        validation_ids=row_files.ids(folder / "validation.jsonl"),
        test_ids=row_files.ids(folder / "test.jsonl"),
        files={path.name: content_hash(path) for path in files},
    )


def _too_few(kept: int, dropped: int) -> str:
    if dropped:
        return (
            f"Only {kept} of {kept + dropped:,} rows are left, the others were dropped for the identifiers in them; "
            "set data.deidentify to mask or surrogate, which keep the rows."
        )
    return "The data holds a single row; at least two are needed, one of them to validate on."


def _split(run: RunConfig, gathered: Path, report: Progress) -> tuple[list[int], leakage.LeakageReport, list[str]]:
    """Each row's side (0 train, 1 validation, 2 test), and the proof that nothing stands on two of them."""
    signatures = Signatures()
    several = len(run.data.sources) > 1
    ids, patients, strata, shown_times, asked = [], [], [], [], []
    for row in kept_rows(gathered):
        about = row.get("about", {})
        ids.append(about.get("id", ""))
        patients.append(about.get("patient"))
        # Every source and every specialty in it is to be on both sides.
        specialty = str(about.get("specialty") or "no specialty").replace("_", " ")
        strata.append(f"{Path(about.get('source', '')).name}: {specialty}" if several else specialty)
        shown_times.append(about.get("time"))
        text = kept_together(row)
        # However short a prompt is, its pairs stay together.
        asked.append(" ".join(text.casefold().split()) if kind_of(row).endswith("preference") else None)
        signatures.add(text)
        if len(ids) % EVERY == 0:
            report("looking for near-duplicates", len(ids), 0)
    report("looking for near-duplicates", len(ids), len(ids))
    near = signatures.groups(lambda done, total: report("comparing signatures", done, total))
    data = run.data
    for attempt in itertools.count(1):
        groups = splits.merge_groups(asked, splits.merge_groups(patients, near))
        sides, notes = splits.assign_sides(
            groups, strata, times(gathered), data.validation_share, data.test_share, run.schedule.seed, data.split
        )
        proof = leakage.report(ids, patients, near, sides, _Texts(gathered, len(ids), report), shown_times)
        if not proof.alike or attempt == _ATTEMPTS:
            proof.assert_clean()
            return [int(side) for side in sides], proof, notes
        # The signatures are estimates: a pair that the exact comparison found joins one group, and is split again.
        rows = {identity: number for number, identity in enumerate(ids)}
        for pair in proof.alike:
            near[near == near[rows[pair.held_back]]] = near[rows[pair.trained]]
    raise AssertionError("unreachable: the last attempt returns or raises")


class _Texts:
    """The texts of a gathered file, read anew each time they are gone through."""

    def __init__(self, gathered: Path, rows: int, report: Progress):
        self.gathered, self.rows, self.report = gathered, rows, report

    def __iter__(self) -> Iterator[str]:
        for number, row in enumerate(kept_rows(self.gathered), 1):
            yield kept_together(row)
            if number % EVERY == 0 or number == self.rows:
                self.report("comparing held-back rows with the others", number, self.rows)


def _asks_general_questions(run: RunConfig) -> bool:
    return run.evaluation.forgetting or run.steering.forgetting_every is not None


def _contamination(run: RunConfig, train: Path) -> tuple[list[str], list[Contaminated]]:
    """The scored sets that were looked for, and the training rows that ask what they ask."""
    names = [held_out.name for held_out in run.evaluation.held_out]
    asked = []
    for name in names:
        rows, _ = read_rows(DataSource(name=name), locate(name, "heldout"))
        asked += [(name, question(row)) for row in rows]
    if _asks_general_questions(run):
        lines = locate(FORGETTING_SET, "heldout").path.read_text(encoding="utf-8").splitlines()
        asked += [(FORGETTING_SET, json.loads(line)["question"]) for line in lines]
        names.append(FORGETTING_SET)
    if not asked:
        return [], []
    rows = ((row["about"]["id"], row["about"]["place"], texts(row)) for row in row_files.read(train))
    return names, Benchmarks(asked).flag(rows)
