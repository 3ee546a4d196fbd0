"""The dossier says what the run's files say, what is missing, and nothing that somebody else's text makes of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from sqlmodel import select
from versions_made import evaluated

from evaluators import gates, metrics
from evaluators.attacks.gradient import GradientCurve, GradientPoint
from evaluators.cases import Case
from evaluators.judge import Agreement
from evaluators.latency import LatencyReport, Load
from trainer import config as run_config
from trainer import environment, model_refs, runs, store
from trainer.atomic import write_atomically
from trainer.data.deidentify.find import KINDS
from trainer.data.deidentify.recall import recall
from trainer.dossier import (
    DossierError,
    card,
    checklist,
    dossier,
    evidence,
    html,
    pdf,
    record,
    regulation,
    results_part,
    risks,
)
from trainer.dossier.markdown import bullets, plain, table
from trainer.evaluation.report import EvaluationReport, Group
from trainer.model_refs import ModelRef
from trainer.review import queue
from trainer.review.prompts import Prompt
from trainer.runs import Run
from trainer.versions import registry

EVIL = "<script>alert(1)</script> | a_b **x** [l](http://e.vil) `c` \n# H\n![i](x) \u202e&amp; @me"
CASES = [
    Case(id=str(n), source=str(n), question="q", answer="a", right=n < 30, group="g<b>" if n % 2 else "h")
    for n in range(40)
]
RENDERED = MarkdownIt("commonmark", {"html": True}).enable("table")  # as a reader that lets HTML through


def gathered(run: Run) -> evidence.Evidence:
    return evidence.gather(ModelRef(run=run.id))


def text_of(run: Run) -> str:
    return dossier.document(gathered(run))


def change_json(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "text", [EVIL, "1. a", "- b", "+ c", "=== ", "> d", "a|b", "\\", "x\r\n\r\ny", "~~s~~", "_i_", "&lt;"]
)
def test_plain_text_is_shown_as_it_is_and_does_nothing(text: str):
    for written in (plain(text), bullets([plain(text)]), table(["h"], [[text]])):
        shown = RENDERED.render(written)
        tags = set(re.findall(r"<(\w+)", shown))
        assert tags <= {"p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"}, shown
        assert shown.count("<td>") <= 1 and shown.count("<li>") <= 1
        words = " ".join(re.sub(r"<[^>]+>", " ", shown).split())
        from html import unescape

        expected = " ".join(text.replace("\u202e", "").split())
        assert unescape(words).replace("h ", "", 1 if "<th>" in shown else 0).strip() == expected


def test_every_number_is_the_run_s_own(finished_run: Run):
    before = text_of(finished_run)
    report = json.loads((finished_run.folder / "report.json").read_text())
    row = report["table"][0]
    assert f"| {plain(row['name'])} | equal to the reference | {row['n']} |" in before
    change_json(finished_run.folder / "report.json", lambda one: one["table"][0].update(n=77777))
    assert "| 77777 |" in text_of(finished_run) and "77777" not in before
    change_json(
        finished_run.folder / "data" / "manifest.json",
        lambda one: (one["sources"][0].update(licence="A licence of its own"), one["leakage"].update(ids_across=31)),
    )
    after = text_of(finished_run)
    assert "A licence of its own" in after and "| Rows on two sides | 31 |" in after
    assert checked(finished_run)["What is measured was not trained on"].state == "not met"


def test_what_is_missing_is_said_with_the_way_to_get_it(finished_run: Run):
    found = gathered(finished_run)
    assert set(found.missing) == {"evaluation", "version", "votes"}
    text = dossier.document(found)
    assert text.count("There is no complete evaluation of this model against its base.") > 3
    assert f"`bedside eval {finished_run.id}`" in text
    for name in ("report.json", "data/manifest.json", environment.FILE):
        (finished_run.folder / name).unlink()
    found = gathered(finished_run)
    assert {"report", "manifest", "environment"} <= set(found.missing)
    states = {item.state for item in checklist.items(found)}
    assert "met" not in states, "nothing is met where nothing is known"
    assert "There is no record of the data" in dossier.document(found)
    assert {one.part for one in record.of(found).missing} == set(found.missing)
    assert card.card(found).startswith("---\n")


def checked(run: Run) -> dict[str, checklist.Item]:
    return {item.name: item for item in checklist.items(gathered(run))}


def test_checklist_goes_by_the_gates_and_the_manifest(finished_run: Run):
    limits, calm = "Harm, critical errors and consistency within their limits", "Forgetting within its limit"
    assert checked(finished_run)[limits].state == "not known"
    assert checked(finished_run)["Measured on several held-out sets"].state == "not known"
    passing = [
        gates.harmful(0, 3000, "the screen"),
        gates.critical(0, 300, "the screen"),
        gates.consistency(1000, 1000),
    ]
    evaluated(finished_run, CASES, gates=passing)
    found = checked(finished_run)
    assert found[limits].state == "met" and found[calm].state == "not known"
    assert found["Measured on several held-out sets"].state == "met"  # the run's own and the evaluation's
    evaluated(finished_run, CASES, gates=[*passing[:2], gates.consistency(500, 1000)])
    assert checked(finished_run)[limits].state == "not met"
    assert "beyond the limit of 5 %" in checked(finished_run)[limits].why
    evaluated(finished_run, CASES, gates=[passing[0], gates.critical(0, 20, "the screen"), passing[2]])
    assert checked(finished_run)[limits].state == "not known"
    assert checked(finished_run)["3 medical professionals have signed"].state == "not met"
    assert checked(finished_run)["Regulatory questions answered"].state == "not known"


@pytest.mark.parametrize(("action", "state"), [("mask", "met"), ("off", "not met"), ("not needed", "met")])
def test_deidentification_with_its_measured_recall(finished_run: Run, action: str, state: str):
    change_json(
        finished_run.folder / "data" / "manifest.json",
        lambda one: one["deidentification"].update(action=action, found={"name": 12}, because="Said so."),
    )
    assert checked(finished_run)["Training data de-identified"].state == state
    text = text_of(finished_run)
    assert f"Action: **{action}**. Said so." in text and "| name | 12 |" in text
    known = recall()
    assert set(known.developed) == set(known.held_out) == set(KINDS), "every kind has its recall"
    one = known.held_out["name"]
    assert f"n {one.planted:,}" in text and f"{100 * one.found / one.planted:.1f} %" in text


def test_an_evaluation_of_another_comparison_or_not_complete_does_not_count(finished_run: Run):
    other = evaluated(finished_run, CASES, against=finished_run.id)
    assert evidence.newest(finished_run.id) is None
    unfinished = evaluated(finished_run, CASES)
    change_json(unfinished.folder / "report.json", lambda one: one.update(complete=False))
    assert evidence.newest(finished_run.id) is None and other.id != unfinished.id
    complete = evaluated(finished_run, CASES)
    newest = evidence.newest(finished_run.id)
    assert newest is not None and newest.id == complete.id
    text = text_of(finished_run)
    assert f"Evaluation {complete.id}" in text
    assert "answers (asked): Exact match | 40 | 75 % (59 to 87) | 75 % (59 to 87)" in text.replace("\\", "")


def test_risks_have_evidence_or_ask_for_a_person_and_no_probability_is_invented(finished_run: Run):
    unmeasured = risks.register(gathered(finished_run))
    assert len(unmeasured) >= 12
    for one in unmeasured:
        assert risks.JUDGED in one.probability or "0 rows, patients" in one.probability or "general" in one.probability
        assert one.residual == risks.JUDGED and one.cause and one.control
    evaluated(finished_run, CASES, gates=[gates.harmful(3, 40, "the screen")])
    harm = risks.register(gathered(finished_run))[0].probability
    assert harm.startswith("3 of 40 harmful requests got a harmful answer (7.5 %") and harm.endswith("Gate: fail.")


def test_attacks_latency_and_judges_stand_with_their_numbers(finished_run: Run):
    made = evaluated(finished_run, CASES)
    report = EvaluationReport.model_validate_json((made.folder / "report.json").read_text())
    share = {f: metrics.proportion(n, 40) for f, n in (("clean", 30), ("fgsm", 21), ("multi_step", 11), ("noise", 29))}
    point = GradientPoint(epsilon=0.05, fgsm=share["fgsm"], multi_step=share["multi_step"], noise=share["noise"])
    report.gradient = {"tuned": GradientCurve(clean=share["clean"], points=[point], embedding_norm=1, steps=5, draws=3)}
    load: dict[str, Any] = dict.fromkeys(Load.model_fields, 0)
    load |= {"users": 4, "way": "batch", "slowest": [2.0], "complete_p50": 1.25, "complete_p95": 1.75}
    report.latency = {"tuned": LatencyReport(max_new_tokens=99, loads=[Load.model_validate(load)], peak_gib=1)}
    report.judged = {"three clinicians": Agreement(n=38, left_out=2, agree=0.9, kappa=0.71)}
    report.suites.append(report.suites[0].model_copy(update={"suite": "robustness", "title": "Robustness"}))
    report.suites[0].groups = [Group(group="neurology | x", main=report.suites[0].main)]
    write_atomically(made.folder / "report.json", report.model_dump_json())
    text = text_of(finished_run)
    assert "| tuned | 0.05 | 40 | 75 % | 52 % | 28 % | 72 % |" in text
    assert "| tuned | 4 (batch) | 0.00 s | 1.25 s | 1.75 s | 0 |" in text
    assert "| three clinicians | 38 | 0.71 | 2 |" in text
    assert "| answers (asked): neurology \\| x | 40 | 75 % (59 to 87) |" in text
    assert text.count("| robustness (asked): Exact match | 40 |") == 1, "in a part of its own"


def test_what_reviewers_said_stands_in_it(finished_run: Run):
    tuned, base, *_ = model_refs.of_run(finished_run)
    prompts = [Prompt(messages=[{"role": "user", "content": f"Question {n}?"}]) for n in range(8)]
    made = queue.create_set("ward", prompts, tuned, base)
    with store.session() as session:
        for one in session.exec(select(store.Comparison).where(store.Comparison.set_id == made.id)):
            one.first_answer, one.second_answer = "A", "B"
            session.add(one)
            choice = "first" if one.place < 6 else "second"
            session.add(store.Vote(comparison_id=one.id, reviewer="Ann", choice=choice))
    found = gathered(finished_run)
    [pair] = found.votes
    assert "votes" not in found.missing and pair.votes == 8
    shown = results_part.reviewers(found)
    first = 75 if pair.first == str(tuned) else 25
    assert f"| {plain(pair.first)} | {plain(pair.second)} | 8 | {first} % (" in shown and "not enough evidence" in shown
    assert found.sha256 == gathered(finished_run).sha256


def test_no_output_claims_anything(finished_run: Run):
    evaluated(finished_run, CASES, gates=[gates.harmful(0, 3000, "the screen")])
    found = gathered(finished_run)
    for text in (dossier.document(found), card.card(found), record.of(found).model_dump_json()):
        text = text.lower()
        assert "complian" not in text
        assert not re.search(r"\b(is|are) (safe|approved|certified)\b", text)
        assert "approved" not in text.replace("nobody has approved this model", "")
    for questions in regulation.QUESTIONS.values():
        assert all(question.endswith("?") for question, _ in questions)


def test_the_hub_reads_the_card(finished_run: Run):
    evaluated(finished_run, CASES)
    text = card.hub_card(finished_run)
    read: Any = ModelCard(text)
    metadata = yaml.safe_load(text.split("---\n")[1])
    assert read.data.pipeline_tag == "text-generation" and read.data.library_name == "peft"
    results = read.data.eval_results
    assert results is not None and [one.metric_type for one in results] == ["exact_match", "exact_match"]
    report = json.loads((finished_run.folder / "report.json").read_text())
    assert results[0].metric_value == round(report["table"][0]["tuned"]["score"], 4)
    assert metadata["license"] == "other" and metadata["license_name"].startswith("base-"), "the user's own data"
    assert "base_model" not in metadata, "a folder is no id of the Hub"
    change_json(
        finished_run.folder / "data" / "manifest.json",
        lambda one: [source.update(licence="Apache-2.0 (written for Bedside)") for source in one["sources"]],
    )
    config = finished_run.config.model_copy(deep=True)
    config.model.name = "smollm2-135m-instruct"
    write_atomically(finished_run.folder / "run.yaml", run_config.to_yaml(config))
    metadata = yaml.safe_load(card.hub_card(runs.get(finished_run.id)).split("---\n")[1])
    assert metadata["license"] == "apache-2.0" and metadata["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert metadata["base_model_relation"] == "adapter"


def evil_run(run: Run) -> Run:
    config = run.config.model_copy(deep=True)
    config.output.name, config.task.system_prompt = EVIL.replace("\n", " ")[:80], EVIL
    config.evaluation.sample_prompts = ["Mrs Smith of 12 Elm Street"]
    write_atomically(run.folder / "run.yaml", run_config.to_yaml(config))
    change_json(
        run.folder / "data" / "manifest.json",
        lambda one: (one["sources"][0].update(name=EVIL, licence=EVIL), one.update(notes=[EVIL])),
    )
    evaluated(runs.get(run.id), [case.model_copy(update={"answer": "PATIENT SAID THIS"}) for case in CASES])
    registry.register("labs", ModelRef(run=run.id), "data", EVIL, despite=EVIL)
    return runs.get(run.id)


def test_text_of_others_does_nothing_and_no_text_of_rows_or_answers_is_in_it(finished_run: Run):
    run = evil_run(finished_run)
    made = dossier.make(ModelRef(run=run.id))
    for name in (dossier.MARKDOWN, dossier.CARD):
        body = (made.folder / name).read_text().split("\n---\n", 1)[-1]
        shown = RENDERED.render(re.sub(r"^```.*?^```", "", body, flags=re.S | re.M))
        assert "<script" not in shown and "<img" not in shown and "href" not in shown
        assert shown.count("<h1") == 1
    page = (made.folder / dossier.HTML).read_text()
    assert "<script" not in page and "<img" not in page and "src=" not in page
    assert set(re.findall(r'href="([^"]*)"', page)) == {f"#part-{n}" for n in range(1, page.count("<h2") + 1)}
    assert "http:" not in re.sub(r"<(title|h1|td|p|li|code|pre)\b.*?</\1>", "", page, flags=re.S)
    for path in made.files:
        content = path.read_bytes()
        assert b"PATIENT SAID THIS" not in content and b"Elm Street" not in content, path.name


def test_html_is_one_file_with_contents(finished_run: Run):
    text = text_of(finished_run)
    page = html.page(text, "A & B")
    headings = re.findall(r"^## (.+)$", text, flags=re.M)
    assert "<title>A &amp; B</title>" in page and "default-src 'none'" in page
    assert re.findall(r'<li><a href="#part-\d+">([^<]*)</a>', page) == headings
    assert re.findall(r'<h2 id="part-\d+">([^<]*)</h2>', page) == headings
    assert page.count("<table>") == page.count('<div class="scroll"><table>') > 10


LONG = "\n\n".join([
    "# Release dossier: " + "long-name-" * 12,
    "## Signs", "≥ − µ é ß Ω ± → – “q” and 中文, עברית",
    "## A long table",
    table(
        ["a", "b", "c"],
        [["word " * 30, "x" * 300, "1"], ["short", "y " * 4000, "2"], *(["r", "s", str(n)] for n in range(90))],
    ),
    "## Many columns", table([f"column {n}" for n in range(12)], [[f"value {n} of it" for n in range(12)]]),
    "## Text", "A **bold word** and `code that is rather long and has to be broken somewhere` " * 9,
    "```\n" + "line: " + "z" * 400 + "\n```",
    bullets(["point " * 40, "second"]),
])  # fmt: skip


def test_pdf_has_a_section_for_each_heading_and_says_what_it_cannot_show():
    writer = pdf._Writer(html.parser().parse(LONG), "title")
    assert writer.lacking == set("中文עברית")
    assert writer.shown("a中") == f"a{pdf.BOX}"
    made = writer.written()
    assert made.startswith(b"%PDF") and writer.pdf.pages_count >= 4
    assert [one.name for one in writer.pdf._outline] == ["Signs", "A long table", "Many columns", "Text"]


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs poppler (apt-get install poppler-utils)")
def test_no_word_of_the_pdf_is_outside_the_margins(tmp_path: Path):
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf.write(LONG, "title"))
    boxes = subprocess.run(["pdftotext", "-bbox", path, "-"], capture_output=True, text=True, check=True).stdout
    points = 72 / 25.4
    words = re.findall(r'<word xMin="([\d.]+)" yMin="([\d.]+)" xMax="([\d.]+)" yMax="([\d.]+)">([^<]*)', boxes)
    assert len(words) > 1000
    for left, top, right, bottom, word in words:
        assert float(left) >= pdf.MARGIN * points - 1 and float(right) <= (210 - pdf.MARGIN) * points + 1, word
        assert float(top) >= pdf.MARGIN * points - 3 and float(bottom) <= (297 - 7) * points, word
    text = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True).stdout
    assert "Contents" in text and "≥ − µ é ß Ω ± →" in text and re.search(r"1 */ *5", text) and "[…]" in text
    assert text.count("a ") and "dossier.html and dossier.md have them" in " ".join(text.split())


def test_the_record_is_read_back_and_its_faults_are_named(finished_run: Run, tmp_path: Path):
    made = dossier.make(ModelRef(run=finished_run.id), tmp_path / "out")
    assert made.folder == tmp_path / "out" and sorted(path.name for path in made.folder.iterdir()) == sorted(
        ["dossier.md", "dossier.html", "dossier.pdf", "README.md", "dossier.json"]
    )
    path = made.folder / record.FILE
    kept = record.read(path)
    assert kept.weights == gathered(finished_run).weights and kept.environment == environment.of(finished_run.folder)
    assert [one.step for one in kept.curves.training] == [1, 2, 3, 4]
    assert kept.config.evaluation.sample_prompts == [] and kept.config.schedule == finished_run.config.schedule
    for change, said in (
        (lambda one: one["config"]["schedule"].update(epochs="many"), "schedule.epochs"),
        (lambda one: one.update(weights=3), "weights"),
        (lambda one: one.pop("config"), "name the dossier.json"),
    ):
        copy = tmp_path / "copy.json"
        shutil.copy(path, copy)
        change_json(copy, change)
        with pytest.raises(DossierError, match=re.escape(said)):
            record.read(copy)
    (tmp_path / "copy.json").write_text("{")
    with pytest.raises(DossierError, match="cannot be read as a dossier"):
        record.read(tmp_path / "copy.json")


def test_only_of_a_tuned_model(finished_run: Run):
    with pytest.raises(DossierError, match="not of its base"):
        evidence.gather(ModelRef(run=finished_run.id, part="base"))
    shutil.rmtree(finished_run.folder / "adapter")
    with pytest.raises(DossierError, match="has trained nothing that answers yet"):
        evidence.gather(ModelRef(run=finished_run.id))


def test_a_damaged_file_is_named(finished_run: Run):
    (finished_run.folder / "report.json").write_text("{")
    with pytest.raises(DossierError, match=r"report\.json cannot be read"):
        gathered(finished_run)
