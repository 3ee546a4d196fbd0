"""From sources to files of rows: counted step by step, the same bytes each time, and gone on with after a kill."""

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from trainer.config import home
from trainer.data import additions, corrections, gather, prepare, recipes
from trainer.data.corrections import Correction
from trainer.data.records import DataError
from trainer.data.rows import row_id
from trainer.data.splits import SIDES
from trainer.data.tokenised import tokenise
from trainer.sections import RunConfig


def run_on(*paths: Path, **data) -> RunConfig:
    sources = [{"name": str(path)} for path in paths]
    return RunConfig.model_validate(
        {
            "data": {"sources": sources, "contains_phi": False, **data},
            "steering": {"replay_share": 0},
            "evaluation": {"forgetting": False},
        }
    )


TOPICS = ["fever", "cough", "rash", "headache", "back pain", "nausea", "fatigue", "dizziness", "swelling", "thirst"]


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def patients(path: Path, count: int = 40) -> Path:
    """Three notes of each patient, of two specialties."""
    rows = [
        {
            "question": f"Patient {number} has {TOPICS[number % 10]} on visit {visit}; what next, case {number * 7}?",
            "answer": f"Examine for {TOPICS[(number + visit) % 10]} and review in {number + visit} days.",
            "patient": f"P{number}",
            "specialty": "cardiology" if number % 4 else "oncology",
        }
        for number in range(count)
        for visit in range(3)
    ]
    return write(path, rows)


def ids(made: prepare.Data, side: str) -> list[str]:
    return [row["about"]["patient"] for row in made.rows(side)]


def test_patients_stay_on_one_side_and_it_is_proved(tmp_path: Path):
    made = prepare.prepare(run_on(patients(tmp_path / "a.jsonl"), validation_share=0.2, test_share=0.2))
    sides = [set(ids(made, side)) for side in SIDES]
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
    assert [len(ids(made, side)) for side in SIDES] == [72, 24, 24]
    proof = made.manifest.leakage
    assert (proof.patients, proof.patients_across, proof.ids_across) == (40, 0, 0)
    assert proof.rows == {"train": 72, "validation": 24, "test": 24} and proof.checked == 48
    specialties = {row["about"]["specialty"] for row in made.rows("validation")}
    assert specialties == {"cardiology", "oncology"}


def test_the_same_inputs_give_the_same_bytes_and_others_do_not(tmp_path: Path, monkeypatch):
    path = patients(tmp_path / "a.jsonl")
    made = prepare.prepare(run_on(path, augment=["synonyms"], augment_share=0.5, balance="specialty"))
    for name, digest in made.manifest.files.items():
        assert hashlib.sha256((made.folder / name).read_bytes()).hexdigest() == digest
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "another"))
    again = prepare.prepare(run_on(path, augment=["synonyms"], augment_share=0.5, balance="specialty"))
    assert again.folder != made.folder and again.manifest == made.manifest
    other = run_on(path, augment=["synonyms"], augment_share=0.5, balance="specialty")
    other.schedule.seed += 1
    assert prepare.prepare(other).manifest.key != made.manifest.key
    path.write_text(path.read_text().replace("visit 2", "visit 4"))
    assert (
        prepare.prepare(run_on(path)).manifest.key
        != prepare.prepare(run_on(tmp_path / "a.jsonl", balance="task")).manifest.key
    )


def test_what_was_prepared_is_not_prepared_again(tmp_path: Path, monkeypatch):
    config = run_on(patients(tmp_path / "a.jsonl"))
    first = prepare.prepare(config)
    monkeypatch.setattr(prepare, "_build", lambda *_: pytest.fail("was made already"))
    assert prepare.prepare(config).manifest == first.manifest


def test_a_killed_preparation_goes_on_where_it_was(tmp_path: Path, monkeypatch):
    config = run_on(patients(tmp_path / "a.jsonl"))
    whole = prepare.prepare(config)
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "another"))
    written: list[int] = []

    def kill(stage: str, done: int, total: int) -> None:
        written.append(done)
        raise KeyboardInterrupt

    monkeypatch.setattr(gather, "EVERY", 50)
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare(config, kill)
    assert written == [50]
    (partial,) = (tmp_path / "another" / "prepared").glob("*.part")
    with (partial / "rows.jsonl").open("a") as file:
        file.write('{"row": {"cut o')  # as a kill leaves it
    again = prepare.prepare(config)
    assert again.manifest == whole.manifest and not partial.exists()


def test_a_preparation_killed_after_its_split_does_not_read_again(tmp_path: Path, monkeypatch):
    config = run_on(patients(tmp_path / "a.jsonl"))
    whole = prepare.prepare(config)
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "another"))
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(additions, "add_general", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        prepare.prepare(config)
    (gathered,) = (tmp_path / "another" / "prepared").glob("*.part/rows.jsonl")
    before = gathered.read_bytes()
    kept = []
    build = prepare._split
    monkeypatch.setattr(
        prepare, "_split", lambda run, path, *rest: kept.append(path.read_bytes()) or build(run, path, *rest)
    )
    assert prepare.prepare(config).manifest == whole.manifest and kept == [before]
    assert before.count(b"\n") == 120 and not gathered.exists()


def test_a_second_preparation_of_the_same_data_waits_and_says_so(tmp_path: Path):
    run = run_on(patients(tmp_path / "a.jsonl"))
    inside, go_on = threading.Event(), threading.Event()
    told: list[str] = []

    def slow(stage: str, done: int, total: int) -> None:
        inside.set()
        assert go_on.wait(10)

    def second(stage: str, done: int, total: int) -> None:
        told.append(stage)
        go_on.set()

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(prepare.prepare, run, slow)
        assert inside.wait(10)
        again = threads.submit(prepare.prepare, run, second)
        assert again.result(10) == first.result(10)
    assert told == ["waiting for another preparation of the same data"]


def test_the_secret_of_pseudonyms_is_whole_or_made_anew():
    path = home() / "pseudonyms.key"
    path.touch()  # as a full disk leaves it
    made = gather.secret()
    assert len(made) == 32 and gather.secret() == made == path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600


def test_where_every_row_is_dropped_it_says_so(tmp_path: Path):
    rows = [
        {"question": f"Call 020 7946 0{number}88 about {topic}?", "answer": f"Yes, about {topic}."}
        for number, topic in enumerate(TOPICS)
    ]
    config = run_on(write(tmp_path / "a.jsonl", rows), contains_phi=True, deidentify="drop")
    with pytest.raises(DataError, match=r"Only 0 of 10 rows are left, the others were dropped .* mask or surrogate"):
        prepare.prepare(config)


def test_progress_is_told_in_every_stage_of_a_large_file(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(gather, "EVERY", 50)
    monkeypatch.setattr(prepare, "EVERY", 50)
    told: list[tuple[str, int, int]] = []
    prepare.prepare(run_on(patients(tmp_path / "a.jsonl")), lambda *one: told.append(one))
    assert [one for one in told if one[0] != "comparing signatures"] == [
        ("reading a.jsonl", 50, 0),
        ("reading a.jsonl", 100, 0),
        ("looking for near-duplicates", 50, 0),
        ("looking for near-duplicates", 100, 0),
        ("looking for near-duplicates", 120, 120),
        *2 * [("comparing held-back rows with the others", done, 120) for done in (50, 100, 120)],
        ("writing the sides", 50, 120),
        ("writing the sides", 100, 120),
    ]
    assert ("comparing signatures", 21, 21) in told


def test_rejected_rows_are_mended_and_read_again(tmp_path: Path):
    rows = [{"question": f"What of {topic}?", "answer": f"Look into {topic}."} for topic in TOPICS]
    rows[3]["answer"] = ""
    path = write(tmp_path / "a.jsonl", rows)
    made = prepare.prepare(run_on(path))
    (fault,) = [json.loads(line) for line in made.rejected.read_text().splitlines()]
    assert (fault["place"], fault["field"]) == ("row 4", "answer")
    assert made.manifest.steps[0].rows_before == 10 and made.manifest.steps[0].rows_after == 9
    fault["record"]["answer"] = "Look for a cause."
    mended = write(tmp_path / "mended.jsonl", [fault])
    both = prepare.prepare(run_on(path, mended))
    assert both.manifest.steps[0].rows_after == 10
    answers = [row["completion"][0]["content"] for side in SIDES for row in both.rows(side)]
    assert answers.count("Look for a cause.") == 1


def test_added_and_repeated_rows_are_on_the_training_side_alone(tmp_path: Path):
    rows = [
        {
            "question": f"A patient with {('a heart attack', 'high blood pressure')[number % 2]} asks about {topic} "
            f"after {number} weeks; what then?",
            "answer": f"Reassure, and check {topic}.",
            "specialty": "cardiology" if number % 5 else "oncology",
        }
        for number, topic in enumerate(TOPICS * 6)
    ]
    made = prepare.prepare(
        run_on(write(tmp_path / "a.jsonl", rows), augment=["synonyms"], augment_share=0.5, balance="specialty")
    )
    train = list(made.rows("train"))
    origins = list({row["about"]["id"]: row["about"]["origin"] for row in train if "origin" in row["about"]}.values())
    held_back = {row["about"]["id"] for side in ("validation", "test") for row in made.rows(side)}
    assert made.manifest.grown_rows == len(origins) > 10
    assert all(origin["how"].startswith("synonyms: ") and origin["row"] not in held_back for origin in origins)
    counts = [sum(row["about"]["specialty"] == name for row in train) for name in ("cardiology", "oncology")]
    assert counts[0] <= counts[1] * 1.05 and made.manifest.repeated_rows > 0
    assert any("the rarest class (oncology) goes from" in note for note in made.manifest.notes)
    assert not any("origin" in row["about"] for row in made.rows("validation"))


def test_a_rewritten_row_that_asks_what_a_held_back_one_asks_is_left_out(tmp_path: Path):
    rows = [
        {
            "question": f"Which symptoms of {name} would make you think of {topic} first?",
            "answer": f"Mostly those that come with {topic} over several days, in {words}; examine and follow up.",
        }
        for topic in TOPICS
        for name, words in (("high blood pressure", "plain words"), ("hypertension", "the words of the trade"))
    ]
    config = run_on(write(tmp_path / "a.jsonl", rows), augment=["synonyms"], augment_share=1.0, validation_share=0.4)
    made = prepare.prepare(config)
    grown = [row["prompt"][0]["content"] for row in made.rows("train") if "origin" in row["about"]]
    held_back = {row["prompt"][0]["content"] for row in made.rows("validation")}
    assert grown and held_back and not held_back & set(grown)
    (step,) = [step for step in made.manifest.steps if step.name == "grow"]
    assert "were left out, being too like a held-back row" in step.detail


def test_benchmark_questions_among_the_training_rows_are_flagged(tmp_path: Path):
    rows = [
        {"question": f"Is {topic} a reason to call at night, and whom?", "answer": f"For {topic}: yes."}
        for topic in TOPICS
    ]
    config = run_on(write(tmp_path / "a.jsonl", rows))
    held_out = write(tmp_path / "held.jsonl", rows[:3])
    config.evaluation.held_out = [  # pyright: ignore
        RunConfig.model_validate(
            {
                "evaluation": {"held_out": [{"name": str(held_out), "metric": "exact_match"}]},
                "data": config.data.model_dump(),
            }
        ).evaluation.held_out[0]
    ]
    made = prepare.prepare(config)
    trained = {row["prompt"][0]["content"] for row in made.rows("train")}
    assert made.manifest.contaminated_rows == len(trained & {row["question"] for row in rows[:3]}) > 0
    assert any("hold what a scored set asks" in note for note in made.manifest.notes)
    assert made.manifest.benchmarks == [str(held_out)]


def test_corrections_reach_the_rows_and_change_the_key(tmp_path: Path):
    path = patients(tmp_path / "a.jsonl")
    plain = prepare.prepare(run_on(path))
    row = next(plain.rows("train"))
    told = tmp_path / "corrections.jsonl"
    corrections.append(told, [Correction(row=row["about"]["id"], field="specialty", value="neurology")])
    corrections.append(told, [Correction(row=row["about"]["id"], field="expert_validated", value=True)])
    config = run_on(path)
    config.data.sources[0].corrections = str(told)
    made = prepare.prepare(config)
    assert made.manifest.key != plain.manifest.key and made.manifest.sources[0].corrected == 2
    (found,) = [one for side in SIDES for one in made.rows(side) if one["about"]["id"] == row["about"]["id"]]
    assert found["about"]["specialty"] == "neurology" and found["about"]["expert_validated"] is True
    told.write_text("{}\n")
    with pytest.raises(DataError, match=r"corrections\.jsonl: line 1 is not a correction"):
        prepare.prepare(config)


def test_patient_data_is_masked_before_anything_else_sees_it(tmp_path: Path):
    rows = [
        {
            "question": f"Mr. Alan Whitcombe, MRN 447198{number}, phoned on 03/1{number}/2021 about {topic}. Next?",
            "answer": f"Call Mr. Whitcombe back about {topic}.",
            "patient": f"447198{number}",
        }
        for number, topic in enumerate(TOPICS)
    ] + [{"question": f"What helps against {topic}?", "answer": f"Rest, for {topic}."} for topic in TOPICS]
    config = run_on(write(tmp_path / "a.jsonl", rows))
    config.data.contains_phi = None
    made = prepare.prepare(config)
    written = "".join((made.folder / name).read_text() for name in made.manifest.files if name != "rejected.jsonl")
    assert "Whitcombe" not in written and "447198" not in written and "[NAME]" in written
    removed = made.manifest.deidentification
    assert removed.action == "mask" and removed.found["name"] >= 20 and removed.rows_changed == 10
    config.data.deidentify = "drop"
    assert prepare.prepare(config).manifest.deidentification.rows_dropped == 10


@pytest.mark.parametrize("contains_phi", [False, None])
def test_by_time_the_newest_are_held_back_also_where_dates_are_masked(tmp_path: Path, contains_phi: bool | None):
    rows = [
        {
            "question": f"What of the {topic} of case {number * 13}?",
            "answer": f"Look into {topic}, then review it.",
            "date": f"2021-{1 + (number * 5) % 12:02}-10",
        }
        for number, topic in enumerate(TOPICS)
    ]
    config = run_on(write(tmp_path / "a.jsonl", rows), split="time", validation_share=0.2, test_share=0.2)
    config.data.contains_phi = contains_phi
    made = prepare.prepare(config)
    order = sorted(rows, key=lambda row: row["date"])
    held_back = [{row["prompt"][0]["content"] for row in made.rows(side)} for side in ("validation", "test")]
    assert held_back == [{row["question"] for row in order[6:8]}, {row["question"] for row in order[8:]}]
    shown = {row["about"]["time"] for row in made.rows("test")}
    assert shown == ({"2021"} if contains_phi is None else {row["date"] for row in order[8:]})


def test_spanish_and_chinese_rows_pass_through_and_what_cannot_be_done_is_said(tmp_path: Path):
    spanish = [
        f"El paciente llamó el 0{number}/03/2021 por {what}; ¿qué se debe hacer primero en la consulta de hoy?"
        for number, what in enumerate(["fiebre alta", "tos seca", "dolor de espalda", "náuseas"], 1)
    ]
    chinese = [
        f"患者于2021年3月{number}日因{what}来院就诊，请问首先应该做什么检查？"
        for number, what in enumerate(["发热", "咳嗽", "腹痛"], 1)
    ]
    rows = [{"question": text, "answer": "Se recomienda reposo y líquidos; volver si empeora."} for text in spanish]
    rows += [{"question": text, "answer": "建议先查血常规，多休息，多喝水，不适随诊。"} for text in chinese]
    config = run_on(write(tmp_path / "a.jsonl", rows))
    config.data.contains_phi = True
    made = prepare.prepare(config)
    kept = [row for side in ("train", "validation") for row in made.rows(side)]
    assert len(kept) == 7 and {row["about"]["language"] for row in kept} == {"es", "zh"}
    limits = " ".join(made.manifest.deidentification.limits)
    assert "Spanish" in limits and "Chinese" in limits
    assert not any("/03/2021" in row["prompt"][0]["content"] for row in kept)


def test_switched_off_it_says_why(tmp_path: Path):
    config = run_on(patients(tmp_path / "a.jsonl"), deidentify="off", not_deidentified_because="Invented patients.")
    config.data.contains_phi = None
    removed = prepare.prepare(config).manifest.deidentification
    assert (removed.action, removed.because) == ("off", "Switched off: Invented patients.")


def test_general_rows_are_mixed_in_by_a_fixed_share(tmp_path: Path, tiny_model: Path):
    from transformers import AutoTokenizer

    from trainer.steering.order import SimilarLengths

    config = run_on(patients(tmp_path / "a.jsonl"))
    for share in (0.1, 0.2, 0.3, 0.5):
        config.steering.replay_share = share
        prepared = tokenise(config, AutoTokenizer.from_pretrained(tiny_model))
        general = prepared.train["general"][:]
        assert sum(general) / len(general) == pytest.approx(share, abs=0.005)
        order = list(SimilarLengths(prepared.train["length"][:], 4, 17, general))
        windows = [[general[row] for row in order[start : start + 40]] for start in range(0, len(order) - 39, 40)]
        assert all(abs(sum(one) / 40 - share) <= 0.1 for one in windows)


def test_cut_rows_and_thin_replay_are_told(tiny_run: RunConfig, tiny_model: Path):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tiny_run.steering.replay_share = 0.5
    tiny_run.data.sources[0].name = "starter/lab"
    tiny_run.schedule.max_length = 300
    prepared = tokenise(tiny_run, tokenizer)
    assert any(warning.startswith("General rows are 21.") for warning in prepared.warnings)
    assert any("longer than schedule.max_length" in warning for warning in prepared.warnings)
    assert prepared.manifest.longest_row > 300 and max(prepared.train["length"]) == 300
    again = tokenise(tiny_run, tokenizer)
    assert again.manifest == prepared.manifest and again.train[:] == prepared.train[:]
    tiny_run.schedule.max_length = 16
    with pytest.raises(DataError, match="nothing would be trained"):
        tokenise(tiny_run, tokenizer)


def test_equal_rows_of_two_files_never_stand_on_both_sides(tmp_path: Path):
    rows = [{"question": f"What is {topic} a sign of?", "answer": f"Of many things, {topic} too."} for topic in TOPICS]
    made = prepare.prepare(
        run_on(write(tmp_path / "a.jsonl", rows), write(tmp_path / "b.jsonl", rows), validation_share=0.3)
    )
    train, validation = ({row_id(row) for row in made.rows(side)} for side in ("train", "validation"))
    assert train and validation and not train & validation


def test_a_recipe_is_the_data_section_in_a_file(tmp_path: Path):
    config = run_on(patients(tmp_path / "a.jsonl"), test_share=0.2)
    path = recipes.path_for("my notes (1).csv")
    assert path.name == "my-notes-1-.csv.data.yaml" or path.name.endswith(recipes.SUFFIX)
    recipes.save(path, config.data)
    assert recipes.load(path) == config.data and path.stat().st_mode & 0o777 == 0o600
    assert recipes.path_for("my notes (1).csv") != path
