"""Task templates: the lecture's seven and the structured answer, what a template may do, and what it may not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from evaluators.metrics import has_structure
from trainer.data import task_templates
from trainer.data.records import DataError
from trainer.data.rows import RowError

CASE = {
    "Symptoms": ["fever", "stiff neck"],
    "diagnosis": "bacterial meningitis",
    "Age": 34,
    "history": "  ",
    "confidence": "High",
    "critical": "yes",
}
STRUCTURED = {
    "question": "Is a potassium of 6.8 mmol/L urgent?",
    "assessment": "yes, this is severe hyperkalemia",
    "reasoning": "levels above 6.5 mmol/L can cause arrhythmia",
    "red_flags": "ECG changes or muscle weakness",
    "next_step": "record an ECG and repeat the sample at once",
    "confidence": "high",
}


def wrapped(question: str, answer: str = "a") -> str:
    return f"{{% block question %}}{question}{{% endblock %}}{{% block answer %}}{answer}{{% endblock %}}"


def test_the_templates_of_the_lecture_are_there_each_with_what_it_needs():
    needs = {template.name: template.needs for template in task_templates.builtin()}
    assert needs == {
        "diagnosis": ("diagnosis", "symptoms"),
        "drug_contraindications": ("contraindications", "medication"),
        "ehr_summary": ("history", "summary"),
        "patient_education": ("condition", "explanation"),
        "radiology_description": ("findings", "observations"),
        "structured_answer": ("assessment", "confidence", "next_step", "question", "reasoning", "red_flags"),
        "test_interpretation": ("interpretation", "results"),
        "treatment": ("condition", "treatment"),
    }


@pytest.mark.parametrize("template", task_templates.builtin(), ids=lambda template: template.name)
def test_each_builtin_template_describes_every_field_and_renders_with_few_and_with_all(template):
    used = {*template.needs, *template.may_use}
    assert used == set(template.fields) and all(template.fields.values())
    assert template.description and template.lecture in {"L2.3", "L2.4"}
    few = {field: f"the {field} given" for field in template.needs} | {"confidence": "low"}
    every = {field: f"the {field} given" for field in used} | {"confidence": "low", "critical": "yes"}
    for record in (few, every):
        written = "\n".join(task_templates.render(template, record))
        for field in used & record.keys() - {"confidence", "critical"}:
            assert f"he {field} given" in written, field
    assert "\n\n\n" not in written and "{" not in written


def test_a_record_becomes_a_row_of_the_templates_task():
    row = task_templates.to_row(task_templates.load("diagnosis"), CASE)
    assert row == {
        "prompt": [
            {
                "role": "user",
                "content": "Patient: 34 years\nGiven these symptoms, what is the most likely "
                "diagnosis?\nSymptoms: fever, stiff neck",
            }
        ],
        "completion": [
            {
                "role": "assistant",
                "content": "Assessment: Bacterial meningitis.\nConfidence: high\nDisclaimer: For trained clinicians "
                "only; a qualified clinician must confirm the diagnosis before anyone acts on it.",
            }
        ],
        "about": {"task": "diagnosis"},
    }


@pytest.mark.parametrize("critical", ["no", "false", False, 0, "", None])
def test_the_disclaimer_is_for_critical_rows(critical):
    template = task_templates.load("structured_answer")
    _, answer = task_templates.render(template, STRUCTURED | {"critical": critical})
    assert has_structure(answer) and "Disclaimer" not in answer
    _, answer = task_templates.render(template, STRUCTURED | {"critical": True})
    assert "\nDisclaimer: " in answer


@pytest.mark.parametrize("name", ["treatment", "drug_contraindications"])
def test_the_disclaimer_always_stands_where_a_drug_is_given(name: str):
    template = task_templates.load(name)
    _, answer = task_templates.render(template, {field: "x" for field in template.needs})
    assert answer.splitlines()[-1].startswith("Disclaimer: For trained clinicians only")


def test_a_missing_field_is_named_with_what_the_row_has():
    with pytest.raises(RowError) as caught:
        task_templates.render(task_templates.load("diagnosis"), {"Symptoms": "fever", "Diagnosis": " "})
    assert caught.value.field == "diagnosis"
    assert str(caught.value).startswith("is missing or empty, and template diagnosis needs it; the row has symptoms.")


def test_a_confidence_that_is_no_taught_word_is_a_fault():
    with pytest.raises(RowError, match="found '85 %'; use high, moderate or low") as caught:
        task_templates.render(task_templates.load("diagnosis"), CASE | {"confidence": "85 %"})
    assert caught.value.field == "confidence"


def test_two_columns_with_one_name_are_a_fault():
    with pytest.raises(RowError, match="two columns are called 'age'"):
        task_templates.render(task_templates.load("diagnosis"), CASE | {"age": 35})


def test_column_names_lists_and_absent_fields():
    source = wrapped(
        "{{ chief_complaint }}: {{ drugs | join(' and ') }}"
        "{% for drug in drugs if drug != 'B' %}[{{ drug }}]{% endfor %}"
        "{% if note %} {{ note }}{% endif %}{{ place | default(' at home') }}",
        "{{ 'HbA1c raised' | sentence }}",
    )
    record = {"Chief complaint": "pain", "drugs": ["A", "B"], "note": None}
    assert task_templates.preview(source, [record, record | {"drugs": "A"}]) == [
        ("pain: A and B[A] at home", "HbA1c raised."),
        "Row 2, field question: template being edited does not fit this row (a loop needs a list, and this is text: "
        "'A'); correct one of them.",
    ]
    parsed = task_templates.parse("mine", source)
    assert parsed.needs == ("chief_complaint", "drugs") and parsed.may_use == ("note", "place")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (wrapped("\n{% if x %}"), "line 2: "),
        (wrapped("\n\n{{ x | shout }}"), "line 3: No filter named 'shout'"),
        (wrapped("{{ x is odd }}"), "line 1: No test named 'odd'"),
        ("{% block question %}q{% endblock %}", "has no block 'answer'"),
        (wrapped("q") + "\nmore", "text outside the two blocks ('more') cannot be used"),
        (wrapped("q") + "\n{{ x }}", "text outside the two blocks ('{')"),
        (wrapped("q") + "{% block other %}{% endblock %}", "line 1: block 'other' cannot be used"),
        ("{# fields: {a: what} #}\n" + wrapped("{{ a }}\n{{ b }}"), "line 3: 'b' is not among its fields (a)"),
        ("{# task: surgery #}" + wrapped("q"), "the comment in front has task: 'surgery', which does not fit"),
        ("{#\ntask: {a\n#}" + wrapped("q"), "the comment in front is not YAML"),
        ("x" * 20_001, "has 20,001 characters; the most is 20,000"),
        (wrapped("{{ " + "(" * 9000 + "x" + ")" * 9000 + " }}"), "is nested too deeply"),
    ],
)
def test_a_fault_in_a_template_is_one_sentence_with_its_line(source: str, said: str):
    with pytest.raises(DataError) as caught:
        task_templates.parse("mine", source)
    assert str(caught.value).startswith("Template mine") and said in str(caught.value)
    assert task_templates.preview(source, [{"x": "1"}] * 3) == [
        str(caught.value).replace("Template mine", "Template being edited")
    ]


@pytest.mark.parametrize(
    "construct",
    [
        "{% include '/etc/passwd' %}",
        "{% import 'a' as a %}",
        "{% from 'a' import b %}",
        "{% macro m() %}{% endmacro %}",
        "{% set x = 1 %}",
        "{% set x %}1{% endset %}",
        "{% with a = x %}{% endwith %}",
        "{% filter upper %}a{% endfilter %}",
        "{% for a in x recursive %}{% endfor %}",
        "{{ x.upper() }}",
        "{{ range(9) }}",
        "{{ lipsum }}{{ lipsum() }}",
        "{{ 'a' * 1000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ x ~ x }}",
        "{{ x + x }}",
        "{{ x.__class__ }}",
        "{{ x | attr('__class__') }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ x | center(1000000000) }}",
        "{{ x | replace('', 'aaaaaaaa') }}",
        "{{ self.answer }}",
        "{{ {'a': 1} }}",
    ],
)
def test_what_could_reach_out_or_grow_is_refused_when_read(construct: str):
    with pytest.raises(DataError, match=r"^Template mine, line 1: "):
        task_templates.parse("mine", wrapped(construct))


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("{% for a in x %}{% for b in x %}{% endfor %}{% endfor %}", "its loops take more than 2,000 turns"),
        ("{% for a in x %}{{ long }}{% endfor %}", "writes more than 200,000 characters"),
        ("{{ word.upper }}", "it prints something that is not a field"),
        ("{{ x.y.z }}", "has no attribute 'y'"),
        ("{% if y %}{% endif %}{{ y }}", "is missing or empty, and template being edited prints it"),
        ("{% if y %}1{% endif %}", "writes nothing for this row"),
        ("{{ x | length | length }}", "does not fit this row"),
        ("{{ huge }}", "field huge: the row has 206,001 characters; a template takes at most 200,000"),
    ],
)
def test_what_grows_when_rendered_is_stopped(question: str, said: str):
    record = {
        "x": ["a"] * 1000,
        "long": "a" * 1000,
        "word": "w",
        **({"huge": "a" * 200_000} if "huge" in question else {}),
    }
    started = time.monotonic()
    (shown,) = task_templates.preview(wrapped(question), [record])
    assert isinstance(shown, str) and said in shown
    assert time.monotonic() - started < 1


def test_a_column_called_like_a_helper_of_jinja_is_a_column():
    assert task_templates.preview(wrapped("a{% if range %}{{ range }}{% endif %}"), [{}, {"Range": 1}]) == [
        ("a", "a"),
        ("a1", "a"),
    ]


def test_html_and_jinja_in_a_record_stay_as_they_are():
    source = wrapped("{{ x }}")
    assert task_templates.preview(source, [{"x": "BP < 90 & {{ y }}"}]) == [("BP < 90 & {{ y }}", "a")]


def test_a_saved_template_is_loaded_by_its_path(tmp_path: Path):
    path = task_templates.save("ward_round", wrapped("{{ note }}", "{{ plan }}"), tmp_path / "templates")
    assert path == tmp_path / "templates" / "ward_round.jinja"
    loaded = task_templates.load(str(path))
    assert loaded.name == "ward_round" and loaded.needs == ("note", "plan")
    with pytest.raises(DataError, match="line 1"):
        task_templates.save("ward_round", "{{", tmp_path / "templates")
    assert path.read_text() == wrapped("{{ note }}", "{{ plan }}")
    assert [file.name for file in path.parent.iterdir()] == ["ward_round.jinja"]


@pytest.mark.parametrize("name", ["../out", "a/b", "", "A", "9", "a.jinja", "diagnosis", "a" * 61])
def test_a_template_is_saved_under_a_plain_name_only(tmp_path: Path, name: str):
    with pytest.raises(DataError):
        task_templates.save(name, wrapped("q"), tmp_path)
    assert list(tmp_path.rglob("*.jinja")) == []


def test_names_that_are_no_template(tmp_path: Path):
    for name in ("nowhere", "../templates/diagnosis", str(tmp_path), "/etc/passwd"):
        with pytest.raises(DataError, match=r"There is no task template .*; take one of diagnosis, drug_contra"):
            task_templates.load(name)
    latin = tmp_path / "latin.jinja"
    latin.write_bytes(wrapped("Über").encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.jinja is not UTF-8 text"):
        task_templates.load(str(latin))
