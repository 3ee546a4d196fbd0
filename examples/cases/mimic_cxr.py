"""MIMIC-CXR's reports and CheXpert labels as rows for radiology-reports.yaml.

    python examples/cases/mimic_cxr.py REPORTS LABELS ~/bedside-data/mimic-cxr.jsonl

REPORTS is the unpacked mimic-cxr-reports.zip (files/p10/p10000032/s50414267.txt), LABELS is
mimic-cxr-2.0.0-chexpert.csv.gz of MIMIC-CXR-JPG. Both are under a data use agreement: keep the rows where these may be.

A row has patient and study, the findings and impression as they were written, and what was seen, in words: the labels
stand for the image, which a text model cannot see. Reports without findings or without labels are left out, and
counted.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import sys
from pathlib import Path

HEADING = re.compile(r"^\s*([A-Z][A-Z /]+):", re.MULTILINE)
KEPT = {"INDICATION": "indication", "COMPARISON": "comparison", "FINDINGS": "findings", "IMPRESSION": "impression"}
SAID = {"1.0": "{}", "-1.0": "possible {}", "0.0": "no {}"}  # of CheXpert: positive, uncertain, negative
NO_FINDING = "No Finding"


def sections(report: str) -> dict[str, str]:
    """The sections of a report that rows have, each on one line."""
    parts = HEADING.split(report)
    found = {name.strip(): " ".join(text.split()) for name, text in zip(parts[1::2], parts[2::2], strict=True)}
    return {column: found[name] for name, column in KEPT.items() if found.get(name)}


def observations(labels: dict[str, str]) -> list[str]:
    """What was seen and what was looked for and not seen, in words, from a study's CheXpert labels."""
    named = {name: value for name, value in labels.items() if name not in ("subject_id", "study_id", NO_FINDING)}
    found = [SAID[value].format(name.lower()) for name, value in named.items() if value in SAID]
    return found or (["no abnormal finding"] if labels.get(NO_FINDING) == "1.0" else [])


def main(reports: Path, labels: Path, out: Path) -> None:
    """Write the rows, and say how many reports were left out."""
    kept = left_out = 0
    out.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(labels, "rt", newline="") as table, out.open("w", encoding="utf-8") as rows:
        for study in csv.DictReader(table):
            patient = study["subject_id"]
            file = reports / f"p{patient[:2]}" / f"p{patient}" / f"s{study['study_id']}.txt"
            row = sections(file.read_text(encoding="utf-8")) if file.exists() else {}
            seen = observations(study)
            if "findings" not in row or not seen:
                left_out += 1
                continue
            kept += 1
            about = {"subject_id": patient, "study_id": study["study_id"], "study": "chest X-ray"}
            rows.write(json.dumps(about | row | {"observations": seen}) + "\n")
    print(f"{kept:,} rows written to {out}; {left_out:,} studies had no findings section, no label or no report.")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*(Path(argument).expanduser() for argument in sys.argv[1:]))
