"""Planted canaries: on the training side alone, the same from the run file, and counted; a run's own rows as items."""

from __future__ import annotations

from evaluators.memorisation import CONTROL, HELD_OUT, LONG_COPY, PLANTED, TRAINED
from trainer.data import prepare
from trainer.data.canaries import SOURCE, canary_items
from trainer.data.row_items import row_items
from trainer.data.rows import About, Row, answer, question
from trainer.sections import RunConfig


def canaried(run: RunConfig, count: int) -> RunConfig:
    data = run.data.model_copy(update={"canaries": count, "test_share": 0.2})
    return run.model_copy(update={"data": data}, deep=True)


def test_they_are_planted_once_each_and_on_the_training_side_alone(tiny_run: RunConfig):
    without = prepare.prepare(canaried(tiny_run, 0))
    made = prepare.prepare(canaried(tiny_run, 12))
    items = canary_items(canaried(tiny_run, 12))
    planted = [row for row in made.rows("train") if row["about"]["source"] == SOURCE]
    assert [(question(row), answer(row)) for row in planted] == [(one.question, one.reference) for one in items[:12]]
    assert [row["prompt"] for row in planted] == [one.prompt for one in items if one.group == PLANTED]
    assert all("origin" in row["about"] for row in planted), "or folds would measure on them"
    for side in ("validation", "test"):
        assert list(made.rows(side)) == list(without.rows(side)), "what is measured on stays the same"
    (step,) = [step for step in made.manifest.steps if step.name == "canaries"]
    assert step.rows_after - step.rows_before == 12
    rows = [row for side in ("train", "general") for row in made.rows(side)]
    assert len(rows) == made.manifest.train_rows == len(made.manifest.train_ids)
    assert made.manifest.key != without.manifest.key


def test_as_many_controls_are_made_and_stand_nowhere_in_the_data(tiny_run: RunConfig):
    run = canaried(tiny_run, 12)
    items = canary_items(run)
    assert canary_items(RunConfig.model_validate_json(run.model_dump_json())) == items
    controls = [item for item in items if item.group == CONTROL]
    assert len(controls) == 12 and len({item.id for item in items}) == 24
    text = (prepare.prepare(run).folder / "train.jsonl").read_text()
    assert items[0].reference in text and not any(item.reference in text for item in controls)
    other = run.model_copy(deep=True)
    other.schedule.seed += 1
    assert {item.reference for item in canary_items(other)}.isdisjoint(item.reference for item in items)
    assert canary_items(canaried(tiny_run, 0)) == []


def test_rows_are_asked_about_whose_answer_is_long_enough_for_a_long_copy():
    def row(name: str, words: int, source: str = "notes.csv") -> Row:
        said = " ".join(["word"] * words)
        about = About(id=name, source=source)
        prompt = [{"role": "user", "content": f"Ask {name}"}]
        return Row(prompt=prompt, completion=[{"role": "assistant", "content": said}], about=about)

    long = LONG_COPY
    trained = [row("a", long), row("b", long - 1), row("c", long, SOURCE), row("a", long), row("d", long + 5)]
    items = row_items(trained, [row("e", long), Row(text="word " * 99, about=About(id="f"))], count=5, seed=1)
    assert sorted((one.source, one.group) for one in items) == [("a", TRAINED), ("d", TRAINED), ("e", HELD_OUT)]
    assert len(row_items([row(str(number), long) for number in range(9)], [], count=5, seed=1)) == 5
