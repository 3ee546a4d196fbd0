"""Data from its sources to files of rows that can be trained on; the only place where the parts of the data desk meet.

Read, assign, de-identify, split, grow, balance, mix: each step is counted in the manifest. The result is kept under
`prepared/<key>/` in the home, where the key is made of everything that it follows from, so that the same inputs are
prepared once, and a run can make its data again exactly. What was begun and killed goes on where it was.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel

from trainer import config
from trainer.config import DataSource, RunConfig
from trainer.data import leakage, manifest, mixing, splits, task_templates
from trainer.data.augmentation import Counts, Rewrite, augment_rows
from trainer.data.augmentation.rewriting_models import load_paraphraser, load_translator
from trainer.data.contamination import Benchmarks, Contaminated
from trainer.data.gather import EVERY, gather, kept_rows, needs_deidentification, secret, times
from trainer.data.inspection.balance import balance_effect
from trainer.data.loading import DUPLICATE, read_rows
from trainer.data.near_duplicates import Signatures, words
from trainer.data.reading.rejected import write_rejected
from trainer.data.records import DataError
from trainer.data.rows import Row, answer, question, texts
from trainer.data.sources import STARTER_PREFIX, Located, Progress, content_hash, locate

VERSION = 1
"""Of what these steps do; raised with a change, so that older prepared data is made anew."""
FORGETTING_SET = f"{STARTER_PREFIX}questions"
SIDES = ("train", "validation", "test")
_ATTEMPTS = 4  # at a split that the exact comparison finds clean
_SHOWN = 100  # contaminated rows that the manifest names


class Data(BaseModel):
    """Prepared data: its folder with a file of rows for each side, for general rows and for rejected ones."""

    folder: Path
    manifest: manifest.Manifest

    def rows(self, side: str) -> Iterator[Row]:
        """The rows of train, validation, test or general, one by one."""
        return _read(self.folder / f"{side}.jsonl")

    @property
    def rejected(self) -> Path:
        """Rows that could not be used, each with its reason; mend them and name this file to read them again."""
        return self.folder / "rejected.jsonl"


def prepare(run: RunConfig, progress: Progress | None = None) -> Data:
    """Make the data of a run, or take it where it was made before. Raises `DataError` in one sentence."""
    from filelock import FileLock

    report = progress or (lambda stage, done, total: None)
    if not run.data.sources:
        raise DataError("data.sources is empty: name a file, a folder or a published set, or the starter data.")
    wanted = [*run.data.sources, *(run.data.general_sources if run.steering.replay_share else [])]
    located = {source.name: locate(source.name, "train", report) for source in wanted}
    key = _key(run, located)
    folder = config.home() / "prepared" / key
    folder.parent.mkdir(exist_ok=True, mode=0o700)
    with FileLock(f"{folder}.lock"):
        if not (folder / "manifest.json").exists():
            partial = folder.with_name(f"{key}.part")
            partial.mkdir(exist_ok=True, mode=0o700)
            made = _build(run, located, key, partial, report)
            (partial / "manifest.json").write_text(made.model_dump_json(indent=1), encoding="utf-8")
            partial.rename(folder)
    text = (folder / "manifest.json").read_text(encoding="utf-8")
    return Data(folder=folder, manifest=manifest.Manifest.model_validate_json(text))


def _key(run: RunConfig, located: dict[str, Located]) -> str:
    """16 hex digits of everything that the rows follow from."""
    sources = [*run.data.sources, *run.data.general_sources]
    named = [source.template for source in sources if source.template]
    files = [source.corrections for source in sources if source.corrections]
    deidentified = any(needs_deidentification(run.data, one) for one in located.values())
    parts = {
        "version": VERSION,
        "data": run.data.model_dump(mode="json"),
        "general share": run.steering.replay_share,
        "seed": run.schedule.seed,
        "scored": [held_out.name for held_out in run.evaluation.held_out],
        "sources": {name: content_hash(one.path) for name, one in located.items()},
        "templates": {name: task_templates.load(name).source for name in named},
        "corrections": {name: content_hash(Path(name)) for name in files if Path(name).exists()},
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
    sides, proof, notes = _split(run, gathered, report)
    for number, side in enumerate(SIDES):
        chosen = (row for row, at in zip(kept_rows(gathered), sides, strict=True) if at == number)
        _write(folder / f"{side}.jsonl", chosen)
    gathered.unlink()
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
    grown = _grow(run, train, counts[0], steps, notes, report)
    repeated = _balance(run, train, steps, notes)
    own = counts[0] + grown + repeated
    replay = _general(run, located, own, folder / "general.jsonl", sources, steps, notes)
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
        replay_rows=replay,
        validation_rows=counts[1],
        test_rows=counts[2],
        leakage=proof,
        contamination=flagged[:_SHOWN],
        contaminated_rows=len({one.row for one in flagged}),
        benchmarks=names,
        train_ids=_ids(train) + _ids(folder / "general.jsonl"),
        validation_ids=_ids(folder / "validation.jsonl"),
        test_ids=_ids(folder / "test.jsonl"),
        files={path.name: content_hash(path) for path in files},
    )


def _split(run: RunConfig, gathered: Path, report: Progress) -> tuple[list[int], leakage.LeakageReport, list[str]]:
    """Each row's side (0 train, 1 validation, 2 test), and the proof that nothing stands on two of them."""
    signatures = Signatures()
    several = len(run.data.sources) > 1
    ids, patients, strata, shown_times = [], [], [], []
    for row in kept_rows(gathered):
        about = row.get("about", {})
        ids.append(about.get("id", ""))
        patients.append(about.get("patient"))
        # Every source and every specialty in it is to be on both sides.
        specialty = str(about.get("specialty") or "no specialty").replace("_", " ")
        strata.append(f"{Path(about.get('source', '')).name}: {specialty}" if several else specialty)
        shown_times.append(about.get("time"))
        signatures.add(_text(row))
        if len(ids) % EVERY == 0:
            report("looking for near-duplicates", len(ids), 0)
    if len(ids) < 2:
        raise DataError("The data holds a single row; at least two are needed, one of them to validate on.")
    report("looking for near-duplicates", len(ids), len(ids))
    near = signatures.groups()
    report("splitting, and comparing held-back rows with the others", 0, 1)
    data = run.data
    for attempt in itertools.count(1):
        groups = splits.merge_groups(patients, near)
        sides, notes = splits.assign_sides(
            groups, strata, times(gathered), data.validation_share, data.test_share, run.schedule.seed, data.split
        )
        proof = leakage.report(ids, patients, near, sides, _Texts(gathered), shown_times)
        if not proof.alike or attempt == _ATTEMPTS:
            proof.assert_clean()
            report("splitting, and comparing held-back rows with the others", 1, 1)
            return [int(side) for side in sides], proof, notes
        # The signatures are estimates: a pair that the exact comparison found joins one group, and is split again.
        rows = {identity: number for number, identity in enumerate(ids)}
        for pair in proof.alike:
            near[near == near[rows[pair.held_back]]] = near[rows[pair.trained]]
    raise AssertionError("unreachable: the last attempt returns or raises")


class _Texts:
    """The texts of a gathered file, read anew each time they are gone through."""

    def __init__(self, gathered: Path):
        self.gathered = gathered

    def __iter__(self) -> Iterator[str]:
        return (_text(row) for row in kept_rows(self.gathered))


def _text(row: Row) -> str:
    return f"{question(row)}\n{answer(row)}"


def _contamination(run: RunConfig, train: Path) -> tuple[list[str], list[Contaminated]]:
    """The scored sets that were looked for, and the training rows that ask what they ask."""
    names = [held_out.name for held_out in run.evaluation.held_out]
    asked = []
    for name in names:
        rows, _ = read_rows(DataSource(name=name), locate(name, "heldout"))
        asked += [(name, question(row)) for row in rows]
    if run.evaluation.forgetting:
        lines = locate(FORGETTING_SET, "heldout").path.read_text(encoding="utf-8").splitlines()
        asked += [(FORGETTING_SET, json.loads(line)["question"]) for line in lines]
        names.append(FORGETTING_SET)
    if not asked:
        return [], []
    rows = ((row["about"]["id"], row["about"]["place"], texts(row)) for row in _read(train))
    return names, Benchmarks(asked).flag(rows)


def _grow(
    run: RunConfig, train: Path, rows: int, steps: list[manifest.Step], notes: list[str], report: Progress
) -> int:
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
    _write(grown, augment_rows(_read(train), data.augment, data.augment_share, run.schedule.seed, models, counts))
    crossing = _like_held_back(grown)
    with train.open("a", encoding="utf-8") as out:
        out.writelines(_line(row) for number, row in enumerate(_read(grown)) if number not in crossing)
    grown.unlink()
    added = counts.added - len(crossing)
    notes += counts.notes()
    detail = ", ".join(f"{way} {count:,}" for way, count in counts.by_way.items())
    if crossing:
        detail += f"; {len(crossing):,} were left out, being too like a held-back row"
    steps.append(manifest.Step(name="grow", rows_before=rows, rows_after=rows + added, detail=detail))
    report("rewriting rows", 1, 1)
    return added


def _like_held_back(grown: Path) -> set[int]:
    """Numbers of the rewritten rows that are near-duplicates of a row for validation or test, or ask the same."""
    signatures, asked = Signatures(), set()
    for side in SIDES[1:]:
        for row in _read(grown.with_name(f"{side}.jsonl")):
            signatures.add(_text(row))
            asked.add(tuple(words(question(row))))
    held_back, same = len(signatures), set()
    for number, row in enumerate(_read(grown)):
        signatures.add(_text(row))
        if tuple(words(question(row))) in asked:
            same.add(number)
    groups = signatures.groups().tolist()
    crossing = set(groups[:held_back])
    return same | {number for number, group in enumerate(groups[held_back:]) if group in crossing}


def _balance(run: RunConfig, train: Path, steps: list[manifest.Step], notes: list[str]) -> int:
    """Repeat rows of rare classes (lecture L3.20); returns how many were added."""
    field = run.data.balance
    if field == "none":
        return 0
    labels = [str(row.get("about", {}).get(field) or "") for row in _read(train)]
    chosen = mixing.balance(labels, run.schedule.seed)
    _repeat(train, train, Counter(chosen))
    known = Counter(label for label in labels if label)
    notes.append(balance_effect(known).sentence if known else f"No training row has a {field}: nothing is repeated.")
    steps.append(manifest.Step(name="balance", rows_before=len(labels), rows_after=len(chosen), detail=f"by {field}"))
    return len(chosen) - len(labels)


def _general(
    run: RunConfig,
    located: dict[str, Located],
    own: int,
    target: Path,
    sources: list[manifest.SourceRecord],
    steps: list[manifest.Step],
    notes: list[str],
) -> int:
    """Write the general rows that are mixed in, against forgetting (lecture L2.8, L2.10); returns how many."""
    share = run.steering.replay_share
    if share == 0:
        target.touch()
        return 0
    gathered = target.with_name("general.part")
    gathered.unlink(missing_ok=True)
    general = run.data.model_copy(update={"sources": run.data.general_sources})
    found, _, removed = gather(general, located, run.schedule.seed, gathered, lambda stage, done, total: None)
    rows = sum(source.rows_used for source in found) - removed.rows_dropped
    chosen, told = mixing.mix_general(own, rows, share, run.schedule.seed)
    _write(target, kept_rows(gathered))
    gathered.unlink()
    _repeat(target, target, Counter(chosen))
    sources += [source.model_copy(update={"role": "replay"}) for source in found]
    notes += told
    steps.append(
        manifest.Step(
            name="mix",
            rows_before=own,
            rows_after=own + len(chosen),
            detail=f"{share:.0%} general rows were asked for; {len(chosen) / (own + len(chosen)):.1%} it is.",
        )
    )
    return len(chosen)


def _repeat(source: Path, target: Path, times: Counter[int]) -> None:
    """Write the file's lines as often as `times` says by their number; lines that are not in it are left out."""
    partial = target.with_suffix(".repeated")
    with source.open(encoding="utf-8") as lines, partial.open("w", encoding="utf-8") as out:
        for number, line in enumerate(lines):
            out.write(line * times[number])
    partial.replace(target)


def _read(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _write(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.writelines(_line(row) for row in rows)


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _ids(path: Path) -> list[str]:
    return [row.get("about", {}).get("id", "") for row in _read(path)]
