"""The dossier's parts on data: what it was trained on, how it was de-identified, and the proof of the split."""

from __future__ import annotations

from evaluators.metrics import proportion
from trainer.data.deidentify.recall import recall
from trainer.dossier.evidence import Evidence
from trainer.dossier.markdown import bullets, joined, plain, table


def sources(found: Evidence) -> str:
    """Every source with its licence and hash, and what was done to the rows, step by step."""
    made = found.manifest
    if made is None:
        return plain(found.missing["manifest"].what)
    rows = [
        (
            one.name,
            one.role,
            one.licence + (f" {one.restriction}" if one.restriction else ""),
            one.format,
            f"{one.rows_used:,}" + (f" ({one.rows_rejected:,} could not be used)" if one.rows_rejected else ""),
            one.sha256[:16],
        )
        for one in made.sources
    ]
    steps = [(one.name, f"{one.rows_before:,}", f"{one.rows_after:,}", one.detail) for one in made.steps]
    counts = (
        f"Trained on {made.train_rows:,} rows ({made.trained_tokens:,} tokens of answers), of which "
        f"{made.replay_rows:,} are general rows against forgetting, {made.grown_rows:,} rewritten, "
        f"{made.perturbed_rows:,} disturbed and {made.repeated_rows:,} repeated; {made.validation_rows:,} held back "
        f"for validation, {made.test_rows:,} for the test; {made.cut_rows:,} were cut at "
        f"{found.run.config.schedule.max_length:,} tokens. Key of the prepared data: {made.key}."
    )
    return joined(
        counts,
        table(["source", "role", "licence", "format", "rows", "SHA-256"], rows),
        table(["step", "rows before", "rows after", "what was done"], steps),
        bullets(plain(note) for note in made.notes),
    )


def deidentification(found: Evidence) -> str:
    """What was taken out of this run's rows, and how much of each kind the recognisers find where it is known."""
    made = found.manifest
    if made is None:
        return plain(found.missing["manifest"].what)
    done = made.deidentification
    said = [f"Action: **{plain(done.action)}**. {plain(done.because)}"]
    if done.action in ("mask", "surrogate", "drop"):
        said.append(f"{done.rows_changed:,} rows were changed and {done.rows_dropped:,} dropped.")
    elif done.action == "not needed":
        said.append("That is a statement of the person who made the run; Bedside has not checked it.")
    return joined(
        " ".join(said),
        table(["kind of identifier", "found in these rows"], [(kind, f"{n:,}") for kind, n in done.found.items()]),
        bullets(plain(limit) for limit in done.limits),
        _recall(),
    )


def _recall() -> str:
    known = recall()
    rows = []
    for kind in [*known.developed, "all"]:
        cells = [kind.replace("_", " ")]
        for side in (known.developed, known.held_out):
            n, hit = (
                (side[kind].planted, side[kind].found)
                if kind in side
                else (sum(one.planted for one in side.values()), sum(one.found for one in side.values()))
            )
            share = proportion(hit, n)
            cells.append(f"{100 * share.score:.1f} % ({100 * share.low:.1f} to {100 * share.high:.1f}), n {n:,}")
        rows.append(cells)
    return joined(
        f"How much the recognisers find, measured on {known.measured:%-d %B %Y} by `bench/deidentify.py`: identifiers "
        f"were planted in {plain(known.notes)}, and count as found where every letter and digit is covered. Not "
        "measured on this run's rows: nobody knows what they hold. The held-out ways were found in 98.1 % at their "
        "first run; after it the recognisers were mended on other examples. One author wrote recognisers and ways of "
        "writing. In another hospital's notes less is found.",
        table(["kind", "recall, ways of writing seen before (95 %)", "ways of writing held out (95 %)"], rows),
    )


def split_proof(found: Evidence) -> str:
    """What crosses from the held-back rows to training, and whether what is scored was trained on."""
    made = found.manifest
    if made is None:
        return plain(found.missing["manifest"].what)
    proof = made.leakage
    rows = [
        ("Rows on each side", ", ".join(f"{n:,} {side}" for side, n in proof.rows.items())),
        ("Rows on two sides", f"{proof.ids_across:,}"),
        ("Patients; of them on two sides", f"{proof.patients:,}; {proof.patients_across:,}"),
        (
            "Groups of near-duplicates; of them on two sides",
            f"{proof.near_duplicate_groups:,}; {proof.near_duplicate_groups_across:,}",
        ),
        ("Held-back rows compared word by word", f"{proof.checked:,}, each with all {proof.compared_with:,} rows"),
        ("Of these with a training row that is nearly the same", f"{proof.alike_count:,}"),
        ("Largest similarity found (Jaccard, triples of words)", f"{proof.largest_similarity:.2f}"),
        ("Of these with a row of the same words and other numbers", f"{proof.same_words_other_numbers:,}"),
        ("Training rows that hold what a scored set asks", f"{made.contaminated_rows:,}"),
        ("Scored sets that were looked for", ", ".join(made.benchmarks) or "none"),
    ]
    rows += [(f"Dates of {side}", f"{first} to {last}") for side, (first, last) in proof.dates.items()]
    unknown = "" if proof.patients else "No row names a patient: rows of one patient may stand on two sides."
    return joined(table(["what", "found"], rows), unknown)


def licences(found: Evidence) -> str:
    """What the weights derive from, with hashes; which licence they are passed on under is not Bedside's to say."""
    report, base = found.report, found.base
    rows = [
        (
            "base model",
            found.run.config.model.name,
            base.licence if base else "not in the catalogue: read its card",
            report.weights_sha256 if report else "not recorded",
        )
    ]
    for one in found.manifest.sources if found.manifest else []:
        rows.append((f"data ({one.role})", one.name, one.licence, one.sha256))
    rows += [("trained here", path, "to be stated by whoever passes it on", sha) for path, sha in found.weights.items()]
    return table(["what", "name", "licence", "SHA-256"], rows)
