"""Rows a second and peak memory of the data desk, beside plain `datasets` on the same file.

    python bench/data_desk.py [--rows 100000] [--notes 200]

Every measurement runs in a process of its own, in turn; the peak is that process's (and its children's largest). What
is compared: reading every row of a JSONL, a CSV and a Parquet file; turning rows into labelled tokens in the embedded
model's template; taking identifiers out, beside Presidio's analyzer in `Dataset.map`. `prepare` has no counterpart in
`datasets`: it reads, assigns, splits by near-duplicates and proves the split.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.data.rows import Row

SUBJECTS = ["sodium", "potassium", "calcium", "phosphate", "magnesium", "glucose", "ferritin", "urate", "albumin"]
WORDS = """the patient reports fatigue thirst mild nausea since several weeks without fever while blood pressure stays
within range and renal function is stable on the present treatment so repeat the value and review the drug chart"""
NOTE = (
    "Mr. Alan Whitcombe, 67, MRN 4471982, was seen by Dr. Ruth Ellery on 03/14/2021 for review of his heart failure. "
    "He takes bisoprolol 5 mg daily and furosemide 40 mg. INR 2.4. Call 555-014-2231 with the result. {} "
)


def main() -> None:
    parser = argparse.ArgumentParser(description="The data desk beside plain datasets.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--tokenised", type=int, default=5_000, help="rows of the token comparison")
    parser.add_argument("--notes", type=int, default=200, help="notes of the de-identification comparison")
    parser.add_argument("--one", nargs=2, metavar=("WHAT", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure(*arguments.one)
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BEDSIDE_HOME"] = f"{folder}/home"
        os.environ["HF_HOME"] = f"{folder}/hub"
        sizes = f"{arguments.rows} {arguments.tokenised} {arguments.notes}"
        # Not in this process: what it once took in memory would count as the peak of every one that it starts.
        files = {what: Path(file) for what, file in run(f"write {sizes}", Path(folder)).items()}
        print(f"{'what':32} {'Bedside':>22} {'datasets':>22} {'time ratio':>11}")
        for what, file in files.items():
            ours = run(f"{what} ours", file)
            theirs = run(f"{what} theirs", file) if what != "prepare" else None
            shown = [
                f"{one['rows'] / one['seconds']:,.0f}/s {one['mib']:,.0f} MiB" if one else "-" for one in (ours, theirs)
            ]
            ratio = f"{ours['seconds'] / theirs['seconds']:.2f}" if theirs else "-"
            title = f"{what}, {ours['rows']:,} rows"
            print(f"{title:32} {shown[0]:>22} {shown[1]:>22} {ratio:>11}", flush=True)


def run(what: str, file: Path) -> dict[str, Any]:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--one", what, str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{what} failed: {ended.stderr[-2000:]}")
    return json.loads(ended.stdout.splitlines()[-1])


def write_files(folder: Path, rows: int, tokenised: int, notes: int) -> dict[str, Path]:
    """The same made-up rows in each format; the first of them again for the slower comparisons."""
    import pandas as pd

    draw, words = random.Random(0), WORDS.split()
    made = [
        {
            "question": f"{draw.choice(SUBJECTS)} {draw.randint(1, 10**6)}: {' '.join(draw.choices(words, k=25))}?",
            "answer": " ".join(draw.choices(words, k=60)),
        }
        for _ in range(rows)
    ]
    files = {f"read {kind}": folder / f"rows.{kind}" for kind in ("jsonl", "csv", "parquet")}
    frame = pd.DataFrame(made)
    frame.to_json(files["read jsonl"], orient="records", lines=True)
    frame.to_csv(files["read csv"], index=False)
    frame.to_parquet(files["read parquet"])
    files |= {"prepare": files["read jsonl"], "tokens": folder / "tokens.jsonl", "de-identify": folder / "notes.jsonl"}
    frame[:tokenised].to_json(files["tokens"], orient="records", lines=True)
    texts = [{"question": NOTE.format(row["question"]) * 3, "answer": row["answer"]} for row in made[:notes]]
    pd.DataFrame(texts).to_json(files["de-identify"], orient="records", lines=True)
    return files


def measure(what: str, file: str) -> None:
    """Do one thing and print rows, seconds and the peak in MiB as JSON."""
    if what.startswith("write "):
        written = write_files(Path(file), *map(int, what.split()[1:]))
        print(json.dumps({name: str(path) for name, path in written.items()}))
        return
    work = {
        "tokens ours": our_tokens,
        "tokens theirs": their_tokens,
        "de-identify ours": our_deidentification,
        "de-identify theirs": their_deidentification,
        "prepare ours": prepared,
    }.get(what, read_ours if what.endswith("ours") else read_theirs)
    began = time.perf_counter()
    rows = work(Path(file))
    seconds = time.perf_counter() - began
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    print(json.dumps({"rows": rows, "seconds": seconds, "mib": peak}))


def read_ours(file: Path) -> int:
    return sum(1 for _ in ours(file))


def ours(file: Path) -> Iterator[Row]:
    """The file's rows as the data desk reads them."""
    from trainer.data.loading import Loading
    from trainer.data.records import Fault
    from trainer.data.sources import locate
    from trainer.data_sections import DataSource

    rows = Loading(DataSource(name=str(file)), locate(str(file))).rows()
    return (row for row in rows if not isinstance(row, Fault))


def read_theirs(file: Path) -> int:
    return sum(1 for _ in theirs(file))


def theirs(file: Path):
    """The file as a `datasets.Dataset`, by its own loader."""
    from datasets import load_dataset

    kind = {".jsonl": "json", ".csv": "csv", ".parquet": "parquet"}[file.suffix]
    return load_dataset(kind, data_files=str(file), split="train")


def prepared(file: Path) -> int:
    from trainer.config import parse
    from trainer.data.prepare import prepare

    run = parse(
        {"data": {"sources": [{"name": str(file)}], "contains_phi": False}, "evaluation": {"forgetting": False}}
    )
    made = prepare(run).manifest
    return made.sources[0].rows_used


def our_tokens(file: Path) -> int:
    from trainer.data.tokenised import token_counter
    from trainer.models import EMBEDDED

    count = token_counter(EMBEDDED)
    return sum(1 for row in ours(file) if count(row))


def their_tokens(file: Path) -> int:
    from trainer.models import EMBEDDED, load_tokenizer

    tokenizer: Any = load_tokenizer(EMBEDDED)

    def encode(row: dict[str, str]) -> dict[str, list[int]]:
        asked = [{"role": "user", "content": row["question"]}]
        prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True)["input_ids"]
        whole = tokenizer.apply_chat_template([*asked, {"role": "assistant", "content": row["answer"]}])["input_ids"]
        return {"input_ids": whole, "labels": [-100] * len(prompt) + whole[len(prompt) :]}

    return len(theirs(file).map(encode))


def our_deidentification(file: Path) -> int:
    from trainer.data.deidentify.parallel import deidentify_rows

    return sum(1 for _ in deidentify_rows(ours(file), "mask", b"bench", os.cpu_count() or 1))


def their_deidentification(file: Path) -> int:
    import tldextract
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    from trainer.data.deidentify import lexicon

    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)  # or it asks the network
    models = [{"lang_code": "en", "model_name": lexicon.MODEL}]
    engine = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models}).create_engine()
    analyzer = AnalyzerEngine(nlp_engine=engine)
    return len(
        theirs(file).map(lambda row: {"found": len(analyzer.analyze(row["question"] + row["answer"], language="en"))})
    )


if __name__ == "__main__":
    main()
