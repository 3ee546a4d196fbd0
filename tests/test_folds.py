"""Folds: every row held back once, what belongs together on one side, tasks spread, and the spread of the losses."""

import json
from pathlib import Path

import numpy as np
import pytest

from trainer.config import with_values
from trainer.data import prepare
from trainer.data.records import DataError
from trainer.data.rows import Row
from trainer.data.tokenised import Prepared, tokenise
from trainer.sections import RunConfig
from trainer.steering import folds
from trainer.steering.folds import Fold

SIGNS = ["fever", "cough", "rash", "headache", "nausea", "fatigue", "swelling", "thirst", "tremor", "jaundice"]
PLACES = ["knee", "shoulder", "neck", "hip", "wrist", "ankle"]


def write(path: Path) -> Path:
    """24 rows: 12 patients, each with a row of each of two tasks."""
    rows = []
    for number in range(12):
        sign, place = SIGNS[number % 10], PLACES[number % 6]
        about = {"patient": f"P{number}", "specialty": "cardiology"}
        question = f"Which test settles {sign} with a painful {place} at {40 + number} years?"
        rows.append({"question": question, "answer": f"Test {number}.", "task": "diagnosis", **about})
        question = f"What eases {sign} when the {place} was operated on {number + 3} days ago?"
        rows.append({"question": question, "answer": f"Drug {number}.", "task": "treatment", **about})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def run(tiny_run: RunConfig, tmp_path: Path) -> RunConfig:
    tiny_run.data.sources[0].name = str(write(tmp_path / "patients.jsonl"))
    return with_values(
        tiny_run,
        {
            "evaluation.validation": "k_fold",
            "evaluation.folds": "4",
            "steering.replay_share": "0.3",
            "data.validation_share": "0.2",
        },
    )


def tokenised(run: RunConfig) -> Prepared:
    from trainer.models import load_tokenizer

    return tokenise(run, load_tokenizer(run.model.name))


def rows_of(run: RunConfig, prepared: Prepared) -> list[Row | None]:
    """The prepared row behind each number of a fold; None for a general one."""
    data = prepare.prepare(run)
    found: list[Row | None] = []
    for side, tokens in (("train", prepared.train), ("validation", prepared.validation)):
        rows = list(data.rows(side))
        columns = zip(tokens["row"][:], tokens["general"][:], strict=True)
        found += [None if general else rows[number] for number, general in columns]
    return found


def test_every_row_is_held_back_once_with_all_that_belongs_to_it(run: RunConfig):
    run = with_values(run, {"data.balance": "task", "data.augment": "[synonyms, abbreviations]"})
    # A rare task, so that its rows are repeated; and a row that is rewritten.
    path = Path(run.data.sources[0].name)
    rows = [json.loads(line) for line in path.read_text().splitlines()][:20]
    for row in rows[:16]:
        row["task"] = "diagnosis"
    rows[0]["question"] = "Does a heart attack with HTN and high blood pressure need treatment at once?"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    prepared = tokenised(run)
    made = folds.divide(run, prepared)
    rows = rows_of(run, prepared)
    general = [place for place, row in enumerate(rows) if row is None]
    assert len(made) == 4 and general
    assert prepared.manifest.repeated_rows > 0 and prepared.manifest.grown_rows > 0, "or nothing is shown here"

    def about(places: list[int], field: str) -> list[str]:
        return [row.get("about", {})[field] for place in places if (row := rows[place]) is not None]

    measured = [identity for fold in made for identity in about(fold.validation, "id")]
    assert len(measured) == len(set(measured)) == 20, "each row that was read once, no repeat and no rewriting"
    for fold in made:
        assert set(general) <= set(fold.train)
        assert not set(about(fold.train, "patient")) & set(about(fold.validation, "patient"))
        assert not set(about(fold.train, "id")) & set(about(fold.validation, "id"))
        held_back = set(about(fold.validation, "id"))
        sources = {row["about"]["origin"]["row"] for place in fold.train if (row := rows[place]) and origin(row)}
        assert not sources & held_back, "what was rewritten from a held-back row is not trained on"
    assert folds.divide(run, prepared) == made
    assert folds.divide(with_values(run, {"schedule.seed": "18"}), prepared) != made


def origin(row: Row) -> bool:
    return "origin" in row.get("about", {})


def test_a_rewritten_row_and_a_near_duplicate_belong_to_their_row():
    def row(question: str, identity: str, **about) -> Row:
        made = {"id": identity, **about}
        return {
            "prompt": [{"role": "user", "content": question}],
            "completion": [{"role": "assistant", "content": "It is."}],
            "about": made,  # pyright: ignore[reportReturnType]
        }

    long = "Is a dry cough that began three weeks after an ACE inhibitor was started a known effect of the drug"
    rows = [
        row("Is asthma reversible?", "a"),
        row("Can airway obstruction be turned back in bronchial disease?", "b", origin={"row": "a", "how": "synonyms"}),
        row("Is gout painful?", "c", patient="P1"),
        row("Does measles give a rash?", "d", patient="P1"),
        row(f"{long}?", "e"),
        row(f"{long}, please?", "f"),
        row("Is asthma reversible in all?", "a"),
    ]
    assert folds.groups_of(rows).tolist() == [0, 0, 1, 1, 2, 2, 0]


def test_the_sides_of_a_fold_are_the_rows_that_it_names(run: RunConfig):
    prepared = tokenised(run)
    fold = folds.divide(run, prepared)[1]
    inside = folds.in_fold(prepared, fold)
    together = list(prepared.train["input_ids"]) + list(prepared.validation["input_ids"])
    assert list(inside.train["input_ids"]) == [together[place] for place in fold.train]
    assert list(inside.validation["input_ids"]) == [together[place] for place in fold.validation]
    assert not any(inside.validation["general"]) and any(inside.train["general"])
    assert inside.tasks == prepared.tasks == ["diagnosis", "treatment"]


def test_tasks_are_spread_evenly_over_the_folds():
    tasks = [0] * 20 + [1] * 8
    fold_of = folds.spread(np.arange(28), tasks, 4, 3)
    assert [np.bincount(fold_of[:20]).tolist(), np.bincount(fold_of[20:]).tolist()] == [[5] * 4, [2] * 4]
    # Whole groups, the large ones first: one of six rows fills a fold, the others share the rest.
    groups = np.array([0] * 6 + list(range(1, 13)))
    fold_of = folds.spread(groups, [0] * 18, 3, 3)
    assert len(set(fold_of[:6].tolist())) == 1 and sorted(np.bincount(fold_of).tolist()) == [6, 6, 6]
    with pytest.raises(DataError, match=r"evaluation\.folds: 5 folds .* 3 groups of rows .* to 3 or less"):
        folds.spread(np.array([0, 0, 1, 2]), [0] * 4, 5, 3)


def test_leave_one_out_leaves_out_one_patient_and_refuses_what_takes_too_long(
    run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    run = with_values(run, {"evaluation.validation": "leave_one_out"})
    prepared = tokenised(run)
    made = folds.divide(run, prepared)
    assert len(made) == 12 and all(len(fold.validation) == 2 for fold in made)
    monkeypatch.setattr(folds, "MOST_LEFT_OUT", 23)
    with pytest.raises(DataError, match=r"evaluation\.validation: leave_one_out trains once for each of 24 rows"):
        folds.divide(run, prepared)


def test_finished_folds_survive_a_stop(tmp_path: Path):
    made = [Fold([1, 2], [0]), Fold([0, 2], [1]), Fold([0, 1], [2])]
    measured: list[int] = []
    told: list[tuple[int, float]] = []

    def measure(number: int, fold: Fold) -> float:
        assert fold is made[number]
        if number == 1 and len(measured) == 1:
            measured.append(-1)
            raise KeyboardInterrupt
        measured.append(number)
        return 1.0 + number

    def tell(number: int, loss: float) -> None:
        told.append((number, loss))

    with pytest.raises(KeyboardInterrupt):
        folds.measure_all(tmp_path, made, measure, tell)
    found = folds.measure_all(tmp_path, made, measure, tell)
    assert measured == [0, -1, 1, 2] and told == [(0, 1.0), (1, 2.0), (2, 3.0)]
    assert found == folds.measure_all(tmp_path, made, measure, tell) and len(measured) == 4


def test_the_spread_by_hand():
    found = folds.summary([1.0, 2.0, 3.0])
    # Student's t for two degrees of freedom at 97.5 % is 4.3027; the standard error 1 / sqrt(3).
    assert found.mean == 2 and found.sd == 1 and found.n == 3 and found.worst == 3
    assert (found.low, found.high) == (pytest.approx(2 - 4.3027 / 3**0.5, abs=1e-3), pytest.approx(4.484, abs=1e-3))
    with pytest.raises(ValueError, match="1 folds"):
        folds.summary([1.0])
