"""The script that makes rows of MIMIC-CXR's files, on invented ones in the same layout."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

from trainer.cases import FOLDER
from trainer.data.loading import read_rows
from trainer.data.sources import locate
from trainer.data_sections import DataSource

REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___F with cough  // pneumonia?

 COMPARISON:  None.

 FINDINGS:

 There is a small left
 effusion.  The heart is of normal size.

 IMPRESSION:

 Small left effusion.
"""


def test_rows_that_the_case_can_read(tmp_path: Path):
    study = tmp_path / "files" / "p10" / "p10000032"
    study.mkdir(parents=True)
    (study / "s1.txt").write_text(REPORT)
    (study / "s2.txt").write_text(" WET READ: ___ 9:00\n Normal.\n")  # no findings section
    labels = tmp_path / "labels.csv.gz"
    with gzip.open(labels, "wt") as table:
        table.write("subject_id,study_id,Cardiomegaly,Pleural Effusion,Pneumonia,Edema,No Finding\n")
        table.write("10000032,1,0.0,1.0,-1.0,,\n10000032,2,,,,,1.0\n10000032,3,1.0,,,,\n")
    out = tmp_path / "data" / "rows.jsonl"
    command = [sys.executable, str(FOLDER / "mimic_cxr.py"), str(tmp_path / "files"), str(labels), str(out)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == f"1 rows written to {out}; 2 studies had no findings section, no label or no report.\n"
    (row,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert row == {
        "subject_id": "10000032",
        "study_id": "1",
        "study": "chest X-ray",
        "indication": "___F with cough // pneumonia?",
        "comparison": "None.",
        "findings": "There is a small left effusion. The heart is of normal size.",
        "impression": "Small left effusion.",
        "observations": ["no cardiomegaly", "pleural effusion", "possible pneumonia"],
    }
    source = DataSource(name=str(out), template="radiology_description")
    (read,), faults = read_rows(source, locate(source.name))
    assert faults == [] and read["about"]["patient"] == "10000032"
    assert "Observations: no cardiomegaly, pleural effusion, possible pneumonia" in read["prompt"][-1]["content"]
    assert "Impression: Small left effusion." in read["completion"][-1]["content"]
