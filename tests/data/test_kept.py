"""What the home keeps of a user's data can all be removed, and nothing else with it."""

import json
from pathlib import Path

import pytest

from trainer import config
from trainer.data import corrections, kept, recipes
from trainer.data.corrections import Correction
from trainer.data.prepare import prepare
from trainer.data.records import DataError
from trainer.data_sections import DataSection, DataSource
from trainer.sections import RunConfig


def write(path: Path) -> Path:
    rows = [{"question": f"What of case {n}?", "answer": f"Look into it, case {n}."} for n in range(10)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def prepared(source: Path) -> Path:
    data = DataSection(sources=[DataSource(name=str(source))], contains_phi=False)
    return prepare(RunConfig(data=data)).folder


def test_a_recipe_goes_with_its_upload_its_corrections_and_what_was_prepared(tmp_path: Path):
    upload, elsewhere = write(recipes.folder() / "mine.jsonl"), write(tmp_path / "elsewhere.jsonl")
    told = recipes.folder() / "mine.corrections.jsonl"
    corrections.append(told, [Correction(row="0" * 16, field="task", value="diagnosis")])
    recipe = recipes.path_for("mine.jsonl")
    sources = [DataSource(name=str(upload), corrections=str(told)), DataSource(name=str(elsewhere))]
    recipes.save(recipe, DataSection(sources=sources))
    own, other = prepared(upload), prepared(write(tmp_path / "other.jsonl"))
    kept.delete_recipe(recipe)
    assert not any(path.exists() for path in (upload, told, recipe, own))
    assert elsewhere.exists() and other.exists(), "a file that was not uploaded is its owner's"


def test_an_upload_that_another_recipe_names_stays():
    upload = write(recipes.folder() / "mine.jsonl")
    first = recipes.path_for("mine.jsonl")
    recipes.save(first, DataSection(sources=[DataSource(name=str(upload))]))
    second = recipes.path_for("mine.jsonl")
    recipes.save(second, DataSection(sources=[DataSource(name=str(upload))]))
    kept.delete_recipe(first)
    assert upload.exists() and second.exists() and not first.exists()


def test_everything_is_listed_and_can_be_deleted():
    upload = write(recipes.folder() / "mine.jsonl")
    folder = prepared(upload)
    found = {one.id: one.kind for one in kept.all_kept()}
    assert found == {"mine.jsonl": "upload", folder.name: "prepared"}
    kept.delete(kept.find(folder.name))
    kept.delete(kept.find("mine.jsonl"))
    assert kept.all_kept() == [] and not upload.exists() and not folder.exists()
    with pytest.raises(DataError, match=r"Nothing is kept as 'mine\.jsonl'"):
        kept.find("mine.jsonl")


def test_what_was_begun_goes_with_its_recipe_and_its_lock(tmp_path: Path):
    upload, other = write(recipes.folder() / "mine.jsonl"), write(tmp_path / "other.jsonl")
    begun = []
    for source in (upload, other):
        # Nothing has a date, so that the split fails after the rows were gathered.
        data = DataSection(sources=[DataSource(name=str(source))], contains_phi=False, split="time")
        with pytest.raises(DataError, match="A split by time needs dates"):
            prepare(RunConfig(data=data))
        begun += [path for path in (config.home() / "prepared").glob("*.part") if path not in begun]
    recipe = recipes.path_for("mine.jsonl")
    recipes.save(recipe, DataSection(sources=[DataSource(name=str(upload))]))
    kept.delete_recipe(recipe)
    assert not begun[0].exists() and begun[1].exists()
    kept.delete(kept.find(begun[1].name))
    assert list((config.home() / "prepared").iterdir()) == []
