"""De-identification measured: identifiers planted in real notes, terms wrongly removed, precision by hand, speed.

`python bench/deidentify.py [--quick] [--keep]` prints, for MTS-Dialog notes, BC5CDR sentences and Presidio's own set
(in the folder named by BEDSIDE_CORPUS):
1. recall of planted identifiers by kind, for the developed and the held-out formats apart (see planted.py). Found means
   that every letter and digit of it is covered, by a span of any kind, since that takes it out of the text; "as
   itself" is the share that some span of the right kind touches;
2. entities of BC5CDR's test sentences (chemicals, diseases) that a span touches, though no one is named there;
3. spans in unaltered notes against labels made by hand (labelled_notes.csv: offsets only);
4. Presidio's set: ours beside Presidio with its own recognisers and the same model;
5. notes a minute with one process and with two.
With --keep only 1. is measured, in full, and its counts are written to `trainer/data/deidentify/recall.yaml`, which
release dossiers show; run it so after a change of the recognisers.

How held out the held-out formats are: one author wrote all formats before the recognisers, and a seed drew the halves.
The first run on them found 98.1 % (location 92.3, licence 94.4, name 96.2, date 97.0; every other kind 99 or more).
After it the recognisers were mended on further examples of our own, without a look at the list of what was missed; one
change was mended again because the second run's total for accounts had fallen to 94.1. In another hospital's notes the
true share is therefore lower than what this prints. The same author labelled the rows by hand and mended some mistakes
that they showed; most of their names are placeholders ("Dr. XYZ"), since the set is de-identified.
"""

from __future__ import annotations

import csv
import json
import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import planted
import yaml

from evaluators.metrics import proportion
from trainer.data.deidentify import lexicon
from trainer.data.deidentify.find import KINDS, find_in_many
from trainer.data.deidentify.parallel import deidentify_rows
from trainer.data.deidentify.recall import RECALL, KindRecall, Recall
from trainer.data.rows import Row

CORPUS = Path(os.environ.get("BEDSIDE_CORPUS") or Path(__file__).resolve().parents[2] / "shared" / "data")
TIMES = 8  # that each format is planted
NOTES = "notes and dialogues of MTS-Dialog's training set"
# What Presidio's set calls an entity, what we call it, and what Presidio's recognisers do.
SHARED = {
    "PERSON": ({"name"}, {"PERSON"}),
    "STREET_ADDRESS": ({"location"}, {"LOCATION"}),
    "GPE": ({"location"}, {"LOCATION"}),
    "DATE_TIME": ({"date"}, {"DATE_TIME"}),
    "PHONE_NUMBER": ({"phone", "fax"}, {"PHONE_NUMBER"}),
    "EMAIL_ADDRESS": ({"email"}, {"EMAIL_ADDRESS"}),
    "CREDIT_CARD": ({"account"}, {"CREDIT_CARD"}),
    "IBAN_CODE": ({"account"}, {"IBAN_CODE"}),
    "US_SSN": ({"ssn"}, {"US_SSN"}),
    "IP_ADDRESS": ({"ip"}, {"IP_ADDRESS"}),
    "DOMAIN_NAME": ({"url"}, {"URL"}),
    "US_DRIVER_LICENSE": ({"licence"}, {"US_DRIVER_LICENSE"}),
    "ZIP_CODE": ({"location"}, {"LOCATION"}),
}


class Place(NamedTuple):
    start: int
    end: int
    kind: str


def _mts(file: str) -> list[dict[str, str]]:
    with (CORPUS / "mts_dialog" / file).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _covered(text: str, start: int, end: int, spans: Sequence[Any]) -> bool:
    """Is every letter and digit of text[start:end] in some span?"""
    return all(any(s.start <= at < s.end for s in spans) for at in range(start, end) if text[at].isalnum())


def _touched(start: int, end: int, spans: Sequence[Any], kinds: set[str] | None = None) -> bool:
    return any(s.start < end and s.end > start and (kinds is None or s.kind in kinds) for s in spans)


def _percent(successes: int, n: int) -> str:
    if n == 0:
        return "-"
    share = proportion(successes, n)
    return f"{100 * share.score:5.1f} % ({100 * share.low:.1f}-{100 * share.high:.1f}; n {n})"


def recall_of_planted(times: int) -> Recall:
    """Each format planted `times` times, three identifiers to a note."""
    notes = [row["section_text"] for row in _mts("MTS-Dialog-TrainingSet.csv")]
    notes += [row["dialogue"] for row in _mts("MTS-Dialog-TrainingSet.csv")]
    print(f"\nRecall of planted identifiers, each format {times} times (95 % interval of Wilson; wanted: 95 %)")
    print(f"{'kind':12} {'developed formats':34} {'held-out formats':34} as itself   formats never missed")
    counts: dict[bool, dict[str, Counter[str]]] = {False: defaultdict(Counter), True: defaultdict(Counter)}
    missed: dict[bool, set[tuple[str, str]]] = {False: set(), True: set()}
    for held_out, forms in ((False, planted.DEVELOPED), (True, planted.HELD_OUT)):
        rng = random.Random(f"planted, held out: {held_out}")
        drawn = [form for form in forms for _ in range(times)]
        rng.shuffle(drawn)
        texts, wanted = [], []
        for at in range(0, len(drawn), 3):
            text, spans = planted.plant(rng.choice(notes), drawn[at : at + 3], held_out, rng)
            texts.append(text)
            wanted.append(spans)
        for text, spans, found in zip(texts, wanted, find_in_many(texts), strict=True):
            for span in spans:
                own = counts[held_out][span.kind]
                covered = _covered(text, span.start, span.end, found)
                own["n"] += 1
                own["found"] += covered
                own["itself"] += _touched(span.start, span.end, found, {span.kind})
                if not covered:
                    missed[held_out].add((span.kind, span.template))
    totals: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
    for kind in KINDS:
        cells, itself, whole = [], [], []
        for held_out, forms in ((False, planted.DEVELOPED), (True, planted.HELD_OUT)):
            own = counts[held_out][kind]
            totals[held_out].update(own)
            cells.append(_percent(own["found"], own["n"]) + (" <95" if own["found"] < 0.95 * own["n"] else ""))
            itself.append(f"{100 * own['itself'] / own['n']:.0f}")
            formats = sum(form.kind == kind for form in forms)
            whole.append(f"{formats - sum(own_kind == kind for own_kind, _ in missed[held_out])}/{formats}")
        print(f"{kind:12} {cells[0]:34} {cells[1]:34} {' / '.join(itself):11} {' / '.join(whole)}")
    cells = [_percent(totals[held_out]["found"], totals[held_out]["n"]) for held_out in (False, True)]
    print(f"{'all':12} {cells[0]:34} {cells[1]:34}")
    developed, held_out = (
        {kind: KindRecall(planted=counts[side][kind]["n"], found=counts[side][kind]["found"]) for kind in KINDS}
        for side in (False, True)
    )
    return Recall(measured=date.today(), notes=NOTES, developed=developed, held_out=held_out)


def _bc5cdr(file: str) -> tuple[list[str], list[list[tuple[int, int]]]]:
    texts, entities = [], []
    for block in (CORPUS / "ner_bc5cdr" / file).read_text(encoding="utf-8").split("\n\n"):
        text, spans = "", []
        for token, tag in (line.split("\t") for line in block.splitlines() if line):
            text += " " if text else ""
            if tag.startswith("B"):
                spans.append((len(text), len(text) + len(token)))
            elif tag.startswith("I") and spans:
                spans[-1] = (spans[-1][0], len(text) + len(token))
            text += token
        if text:
            texts.append(text)
            entities.append(spans)
    return texts, entities


def terms_wrongly_removed(quick: bool) -> None:
    texts, entities = _bc5cdr("test.tsv")
    texts, entities = (texts[:800], entities[:800]) if quick else (texts, entities)
    removed, n = 0, 0
    examples: Counter[str] = Counter()
    for text, spans, found in zip(texts, entities, find_in_many(texts), strict=True):
        for start, end in spans:
            n += 1
            if _touched(start, end, found):
                removed += 1
                examples[text[start:end]] += 1
    print("\nChemicals and diseases of BC5CDR's test sentences that a span touches (wanted: < 1 %):")
    print(f"  {_percent(removed, n)}")
    print("  most often: " + ", ".join(f"{term} ({count})" for term, count in examples.most_common(8)))


def precision_by_hand() -> None:
    labels: dict[tuple[str, str], list[Place]] = {}
    with Path(__file__).with_name("labelled_notes.csv").open(encoding="utf-8", newline="") as lines:
        for line in csv.DictReader(lines):
            own = labels.setdefault((line["file"], line["row"]), [])
            if line["kind"]:
                own.append(Place(int(line["start"]), int(line["end"]), line["kind"]))
    rows = {
        (file, row["ID"]): f"{row['section_text']}\n{row['dialogue']}"
        for file in sorted({file for file, _ in labels})
        for row in _mts(file)
    }
    keys = list(labels)
    right, marked, covered, n = 0, 0, 0, 0
    wrong: list[str] = []
    for key, found in zip(keys, find_in_many([rows[key] for key in keys]), strict=True):
        for span in found:
            marked += 1
            if _touched(span.start, span.end, labels[key]):
                right += 1
            else:
                wrong.append(f"{rows[key][span.start : span.end]!r} ({span.kind})")
        for place in labels[key]:
            n += 1
            covered += _covered(rows[key], place.start, place.end, found)
    print(f"\nUnaltered MTS-Dialog notes with their dialogues, labelled by hand ({len(keys)} rows):")
    print(f"  precision {_percent(right, marked)}, recall {_percent(covered, n)}")
    print("  marked without a label: " + (", ".join(wrong) or "none"))


def _plain_presidio(texts: Sequence[str]) -> list[list[Place]]:
    """Presidio as it comes, with the same spaCy model; its list of top-level domains from its own package."""
    import tldextract
    from presidio_analyzer import AnalyzerEngine, BatchAnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    model = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": lexicon.MODEL}]}
    engine = AnalyzerEngine(nlp_engine=NlpEngineProvider(nlp_configuration=model).create_engine())
    results = BatchAnalyzerEngine(engine).analyze_iterator(texts, language="en", batch_size=32)
    return [[Place(r.start, r.end, r.entity_type) for r in found] for found in results]


def against_presidio(quick: bool) -> None:
    records = json.loads((CORPUS / "presidio_research" / "synth_dataset_v2.json").read_text(encoding="utf-8"))
    records = records[:200] if quick else records
    texts = [record["full_text"] for record in records]
    both = {"Bedside": find_in_many(texts), "Presidio": _plain_presidio(texts)}
    print(f"\nPresidio's research set, {len(texts)} texts, spans of the shared kinds:")
    print(
        "(recall: entities covered whole by spans of the kind; precision: spans of the kind that touch such an entity)"
    )
    print(f"{'entity':18} {'n':>4}   " + "   ".join(f"{name:>8} R     P     F1" for name in both))
    for entity, kinds in SHARED.items():
        cells = []
        n = 0
        for which, found in enumerate(both.values()):
            hits, n, right, marked = 0, 0, 0, 0
            # A span is right where it touches any entity that its kind stands for.
            same = {name for name, own in SHARED.items() if own[which] & kinds[which]}
            for record, spans in zip(records, found, strict=True):
                own = [span for span in spans if span.kind in kinds[which]]
                for gold in record["spans"]:
                    if gold["entity_type"] == entity:
                        n += 1
                        hits += _covered(record["full_text"], gold["start_position"], gold["end_position"], own)
                marked += len(own)
                for span in own:
                    right += any(
                        gold["entity_type"] in same
                        and gold["start_position"] < span.end
                        and gold["end_position"] > span.start
                        for gold in record["spans"]
                    )
            recall, precision = hits / n if n else 0.0, right / marked if marked else 0.0
            f1 = 2 * recall * precision / (recall + precision) if recall + precision else 0.0
            cells.append(f"{recall:10.2f} {precision:5.2f} {f1:6.2f}")
        print(f"{entity:18} {n:4}   " + "   ".join(cells))


def speed(quick: bool) -> None:
    notes = _mts("MTS-Dialog-TrainingSet.csv")[: 300 if quick else 1200]
    rows: list[Row] = [
        {
            "prompt": [{"role": "user", "content": note["dialogue"]}],
            "completion": [{"role": "assistant", "content": note["section_text"]}],
            "about": {"patient": note["ID"]},
        }
        for note in notes
    ]
    size = sum(len(note["dialogue"]) + len(note["section_text"]) for note in notes) / len(notes)
    print(f"\nSpeed on {len(rows)} notes with dialogue of {size:.0f} characters (wanted: 200 a minute on two cores)")
    for processes in (1, 2):
        began = time.perf_counter()
        removed = sum((counts for _, counts in deidentify_rows(rows, "surrogate", b"bench", processes)), Counter())
        seconds = time.perf_counter() - began
        load = f"{os.getloadavg()[0]:.1f}"
        print(
            f"  {processes} process{'es' if processes > 1 else ''}: {60 * len(rows) / seconds:.0f} notes a minute, "
            f"loading included ({seconds:.0f} s; {removed.total()} identifiers; load of the machine {load})"
        )


if __name__ == "__main__":
    quick = "--quick" in sys.argv
    if "--keep" in sys.argv:
        measured = recall_of_planted(TIMES).model_dump(mode="json")
        RECALL.write_text(yaml.safe_dump(measured, sort_keys=False), encoding="utf-8")
        print(f"\nKept in {RECALL}.")
        sys.exit()
    recall_of_planted(2 if quick else TIMES)
    terms_wrongly_removed(quick)
    precision_by_hand()
    against_presidio(quick)
    speed(quick)
