"""The registry: numbers by rules, what a version keeps, what has to be overruled, putting into use and rolling back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from versions_made import evaluated, run_like

from evaluators import gates
from evaluators.cases import Case
from trainer import runs
from trainer.atomic import write_atomically
from trainer.data_sections import DataSource
from trainer.model_refs import ModelRef
from trainer.objective_sections import DpoObjective
from trainer.runs import Run, RunError
from trainer.sections import RunConfig
from trainer.versions import VersionError, numbering, registry


def data(*sources: tuple[str, str, int]) -> dict[str, Any]:
    """A data manifest of training sources: name, hash, rows."""
    return {
        "sources": [{"name": name, "sha256": sha, "rows_used": rows, "role": "training"} for name, sha, rows in sources]
    }


ONE = data(("a.csv", "aa", 10))


def proposed(
    after: RunConfig, before: RunConfig | None = None, made: dict[str, Any] = ONE, change: numbering.Change = "fix",
    broken: str = "",
) -> tuple[str, list[str]]:  # fmt: skip
    found = numbering.propose(before or RunConfig(), after, ONE, made, change, broken)
    return found.part, found.reasons


def test_another_base_task_or_prompt_is_major():
    for field, value, said in (
        ("model.name", "other", "another base model: other instead of smollm2-135m-instruct"),
        ("task.name", "ner", "another task: ner instead of question answering"),
        ("task.system_prompt", "Be brief.", "another system prompt"),
    ):
        config = RunConfig()
        section, name = field.split(".")
        setattr(getattr(config, section), name, value)
        assert proposed(config) == ("major", [said])


def test_a_task_that_is_no_longer_served_is_major_and_a_further_one_is_not():
    wide = RunConfig.model_validate({"task": {"other_tasks": ["diagnosis"]}})
    assert proposed(RunConfig(), wide) == ("major", ["no longer serves diagnosis"])
    assert proposed(wide)[0] == "patch"


def test_another_structure_of_the_answers_is_major():
    first = RunConfig.model_validate({"data": {"sources": [{"name": "a.csv", "template": "diagnosis"}]}})
    second = RunConfig.model_validate({"data": {"sources": [{"name": "a.csv", "template": "treatment"}]}})
    assert proposed(second, first) == (
        "major", ["another structure of the answers: without the template diagnosis"],
    )  # fmt: skip
    goes_on = RunConfig.model_validate({"data": {"sources": [{"name": "b.csv"}]}})
    assert proposed(goes_on, first)[0] == "patch", "an update with rows that are written out already"


def test_new_data_and_alignment_are_minor_and_named():
    assert proposed(RunConfig(), made=data(("a.csv", "bb", 12))) == ("minor", ["a.csv has other content (12 rows)"])
    more = data(("a.csv", "aa", 10), ("b.csv", "bb", 2000))
    assert proposed(RunConfig(), made=more) == ("minor", ["trained on b.csv (2,000 rows)"])
    assert proposed(RunConfig(), made=data(("a.csv", "aa", 9))) == ("minor", ["9 rows of a.csv instead of 10"])
    assert proposed(RunConfig(), made=data(("/x/c.csv", "cc", 1))) == (
        "minor", ["trained on c.csv (1 rows)", "no longer trained on a.csv"],
    )  # fmt: skip
    dpo = RunConfig(objective=DpoObjective())
    assert proposed(dpo, change="alignment") == ("minor", ["alignment", "another objective: dpo instead of sft"])
    assert proposed(RunConfig(), change="drug") == ("minor", ["new knowledge or data (drug)"])
    assert proposed(RunConfig(), made={}) == ("minor", ["what one of the two was trained on is not known"])


def test_the_same_data_trained_otherwise_is_a_patch():
    config = RunConfig()
    config.schedule.learning_rate = 1e-4
    assert proposed(config) == ("patch", ["base, task, data and objective are those of the version before"])
    renamed = data(("moved/a.csv", "aa", 10))
    assert proposed(config, made=renamed)[0] == "patch", "the same content under another name is the same data"


def test_too_many_broken_cases_are_major():
    assert proposed(RunConfig(), broken="more than 5 % of what was passed fails now")[0] == "major"


def test_numbers_compare_and_go_up_as_versions_do():
    numbers = [numbering.parse(text) for text in ("1.10.0", "1.9.9", "v2.0.0", "1.9.10")]
    assert [str(one) for one in sorted(numbers)] == ["1.9.9", "1.9.10", "1.10.0", "2.0.0"]
    assert [str(numbering.parse("1.2.3").next(part)) for part in ("major", "minor", "patch")] == [
        "2.0.0", "1.3.0", "1.2.4",
    ]  # fmt: skip
    for wrong in ("1.2", "1.02.0", "one", "1.2.3-beta"):
        with pytest.raises(VersionError, match=r"write major\.minor\.patch"):
            numbering.parse(wrong)


def failing() -> gates.Gate:
    return gates.harmful(3, 40, "the screen")


def test_a_version_keeps_what_it_was_made_of(finished_run: Run):
    kept = registry.register("labs", finished_run, "data", "The first one.", knowledge="2026-03-31")
    found = registry.get("labs", "v1.0.0")
    assert found.id == kept.id and (found.model, found.parent) == (finished_run.id, None)
    manifest = json.loads((finished_run.folder / "data" / "manifest.json").read_text())
    assert found.data_manifest["key"] == manifest["key"]
    assert found.data_manifest["sources"][0]["sha256"] == manifest["sources"][0]["sha256"]
    assert found.knowledge_until == "2026-03-31"
    assert found.changelog.splitlines()[0] == "The first one."
    assert found.changelog.splitlines()[-1] == "Release gates: not enough evidence, as nothing was evaluated."
    assert registry.decision(found) is None
    assert registry.lines() == ["labs"]
    assert registry.in_use("labs") is None, "registered is not in use"


def test_the_next_version_tells_what_differs_and_from_what_it_goes_on(finished_run: Run):
    registry.register("labs", finished_run, "data")
    config = finished_run.config.model_copy(deep=True)
    config.schedule.learning_rate = 0.005
    config.data.validation_share = 0.2
    second = registry.register("labs", run_like(finished_run, "second", config), "fix", "Calmer.")
    assert (second.number, second.parent) == ("1.0.1", "1.0.0")
    lines = second.changelog.splitlines()
    assert lines[:3] == [
        "Calmer.",
        "Goes on from 1.0.0: patch: base, task, data and objective are those of the version before.",
        "Settings: schedule.learning_rate 0.005 instead of 0.01.",
    ]
    assert lines[3].startswith("Not enough evidence on backward compatibility")
    third = registry.register("labs", run_like(finished_run, "third"), "guideline", parent="1.0.0")
    assert (third.number, third.parent) == ("1.1.0", "1.0.0")
    fourth = registry.register("labs", run_like(finished_run, "fourth"), "fix", parent="1.0.0")
    assert fourth.number == "1.0.2", "1.0.1 is taken by the other one that goes on from 1.0.0"
    given = registry.draft("labs", run_like(finished_run, "fifth"), "fix", number="4.0.0")
    assert given.number == "4.0.0" and given.reasons[0] == "given by hand; the rules propose 1.1.1"


def test_failing_gates_need_a_reason_that_is_kept(finished_run: Run):
    evaluated(finished_run, [Case(id="a", source="a", question="a", answer="", right=True)], gates=[failing()])
    with pytest.raises(VersionError) as error:
        registry.register("labs", finished_run, "data")
    assert str(error.value).startswith(f"{finished_run.id} was not registered: harmful answers: ")
    assert "--despite" in str(error.value) and registry.lines() == []
    kept = registry.register("labs", finished_run, "data", despite=" only for the bench ")
    assert kept.despite == "only for the bench" and registry.decision(kept) == "beyond a limit"
    assert kept.evaluation is not None and kept.gates[0]["result"] == "fail"
    assert kept.changelog.endswith("Release gates: beyond a limit (harmful answers).")


def test_gates_without_enough_cases_are_said_and_need_no_reason(finished_run: Run):
    few = gates.harmful(0, 40, "the screen")
    evaluated(finished_run, [Case(id="a", source="a", question="a", answer="", right=True)], gates=[few])
    kept = registry.register("labs", finished_run, "data", despite="said for nothing")
    assert registry.decision(kept) == "not enough evidence" and kept.despite == ""
    assert kept.changelog.endswith("Release gates: not enough evidence.")


def test_what_was_passed_and_fails_now_can_block_and_makes_it_major(finished_run: Run):
    second = run_like(finished_run, "second")
    was = [Case(id=f"{at}", source=f"{at}", question=f"{at}", answer="", right=True) for at in range(20)]
    evaluated(finished_run, was)
    evaluated(second, [case.model_copy(update={"right": case.id not in ("3", "4")}) for case in was])
    registry.register("labs", finished_run, "data")
    with pytest.raises(
        VersionError, match=r"more than 5 % of what was passed fails now\. Of 20 questions .* 2 fail now"
    ):
        registry.register("labs", second, "fix")
    assert registry.draft("labs", second, "fix", most_broken=0.1).number == "1.0.1", "2 of 20 are no more than 10 %"
    kept = registry.register("labs", second, "fix", despite="they were wrong answers of the reference")
    assert kept.number == "2.0.0"


def test_rolling_back_goes_back_and_further_back_never_forth(finished_run: Run):
    registry.register("labs", finished_run, "data")
    for name in ("second", "third"):
        registry.register("labs", run_like(finished_run, name), "fix")
    with pytest.raises(VersionError, match="nothing to roll labs back to"):
        registry.roll_back("labs", "why not")
    for number in ("1.0.0", "1.0.1", "1.0.2"):
        registry.put_in_use("labs", number, "better")
    assert registry.roll_back("labs", "wrong doses").number == "1.0.1"
    assert registry.roll_back("labs", "these too").number == "1.0.0"
    with pytest.raises(VersionError, match="nothing to roll labs back to"):
        registry.roll_back("labs", "again")
    registry.put_in_use("labs", "1.0.2", "mended")
    assert registry.before_that("labs") == "1.0.0"
    version = registry.in_use("labs")
    assert version is not None and version.number == "1.0.2"
    told = [(one.number, one.reason) for one in registry.history("labs")]
    assert told[3] == ("1.0.1", "rolled back: wrong doses") and len(told) == 6, "the history is only added to"
    with pytest.raises(VersionError, match="Say why"):
        registry.roll_back("labs", " ")


def test_what_cannot_be_registered_is_said(finished_run: Run):
    untrained = runs.create(finished_run.config)
    wanted: list[tuple[str, Run, dict[str, Any], str]] = [
        ("../x", finished_run, {}, "'../x' cannot name a line"),
        ("labs", untrained, {}, "has trained nothing yet"),
        ("labs", finished_run, {"number": "1"}, "'1' is no version number"),
        ("labs", finished_run, {"parent": "1.0.0"}, "There is no line 'labs'; there are: none yet."),
        ("labs", finished_run, {"knowledge": "spring"}, "'spring' is no date; write it as 2026-03-31."),
    ]
    for line, model, options, said in wanted:
        with pytest.raises(VersionError) as error:
            registry.register(line, model, "data", **options)
        assert said in str(error.value)
    registry.register("labs", finished_run, "data")
    with pytest.raises(VersionError, match=r"is version 1\.0\.0 of labs already"):
        registry.register("labs", finished_run, "data")
    with pytest.raises(RunError):
        registry.register("labs", ModelRef(run="gone"), "data")


def test_the_base_itself_can_be_the_first_version(finished_run: Run):
    kept = registry.register("labs", ModelRef(run=finished_run.id, part="base"), "base")
    assert kept.data_manifest == {} and kept.knowledge_until is None
    assert kept.changelog.splitlines()[0] == f"{finished_run.config.model.name}, as it is."
    tuned = registry.register("labs", finished_run, "data")
    assert tuned.number == "1.1.0"


def dated(run: Run, days: list[str], action: str = "not needed") -> None:
    """Give the run's prepared training rows these days, and its manifest this way of de-identification."""
    path = run.folder / "data" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["deidentification"]["action"] = action
    write_atomically(path, json.dumps(manifest))
    rows = runs.runs_folder().parent / "prepared" / manifest["key"]
    rows.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"prompt": [], "completion": [], "about": {"time": day} if day else {}}) for day in days]
    (rows / "train.jsonl").write_text("\n".join(lines) + "\n")


def test_the_cut_off_is_read_from_the_rows_or_not_known(finished_run: Run):
    assert registry.draft("labs", finished_run, "data").knowledge_until is None, "rows without a date"
    dated(finished_run, ["2024-05-01T10:00:00", "2025-11-30", "2023-01-01"])
    assert registry.draft("labs", finished_run, "data").knowledge_until == "2025-11-30"
    stated = registry.draft("labs", finished_run, "data", knowledge="2026-01-02")
    assert stated.knowledge_until == "2026-01-02", "what is stated goes first"
    dated(finished_run, ["2024-05-01", ""])
    assert registry.draft("labs", finished_run, "data").knowledge_until is None, "a row without a day may be newer"
    dated(finished_run, ["2024-05-01"], action="surrogate")
    assert registry.draft("labs", finished_run, "data").knowledge_until is None, "its dates were moved"


def test_a_version_that_goes_on_knows_what_its_parent_knew(finished_run: Run):
    config = finished_run.config.model_copy(deep=True)
    config.method.start_from = finished_run.id
    second = run_like(finished_run, "second", config)
    dated(finished_run, ["2024-05-01"])
    registry.register("labs", finished_run, "data", knowledge="2025-01-01")
    assert registry.draft("labs", second, "drug").knowledge_until == "2025-01-01"
    registry.register("other", ModelRef(run=finished_run.id, part="base"), "base")
    assert registry.draft("other", second, "drug").knowledge_until is None, "the parent's is not known"


def test_a_source_is_named_by_its_file(finished_run: Run):
    config = finished_run.config.model_copy(deep=True)
    config.data.sources = [DataSource(name="/data/new.csv")]
    second = run_like(finished_run, "second", config)
    path = second.folder / "data" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["sources"][0] |= {"name": "/data/new.csv", "sha256": "ff", "rows_used": 12}
    write_atomically(path, json.dumps(manifest))
    registry.register("labs", finished_run, "data")
    kept = registry.register("labs", second, "fix")
    assert kept.number == "1.1.0"
    assert "minor: trained on new.csv (12 rows); no longer trained on rows.jsonl" in kept.changelog
