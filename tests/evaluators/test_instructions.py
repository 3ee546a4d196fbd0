"""Instructions that can be verified: each check on answers that do and do not pass it, and the starter's prompts."""

import json

import pytest
from pydantic import ValidationError

from evaluators.instructions import count, failed, language, read_checks
from trainer.data.sources import STARTER_FOLDER


def follows(answer: str, **check: object) -> bool:
    return not failed(answer, read_checks(json.dumps([check])))


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        ({"kind": "words", "at_most": 3}, "- one two three", "one two three four"),
        ({"kind": "sentences", "at_least": 2, "at_most": 2}, "Dose 2.5 is said. So it is!", "Only one."),
        ({"kind": "paragraphs", "at_least": 2, "at_most": 2}, "a\n\nb", "a\nb"),
        ({"kind": "lines", "at_least": 2, "at_most": 2}, "a\n\nb\n", "a"),
        ({"kind": "bullets", "at_least": 2, "at_most": 2}, "* a\n* b", "- a - b"),
        ({"kind": "numbered", "at_least": 2}, "1. a\n2) b", "1990 was a year\n2. b"),
        ({"kind": "contains", "text": "late"}, "Too LATE.", "A plate."),
        ({"kind": "contains", "text": "late", "at_least": 0, "at_most": 0}, "A plate.", "late"),
        ({"kind": "contains", "text": "?", "at_least": 2}, "Who? What?", "Who?"),
        ({"kind": "starts", "text": "Yes"}, "Yes, it is.", "yes, it is."),
        ({"kind": "ends", "text": "Enjoy."}, "Eat.\nEnjoy.\n", "Enjoy. Really."),
        ({"kind": "letters", "case": "upper"}, "STOP AT 5!", "Stop"),
        ({"kind": "letters", "case": "lower"}, "stop at 5!", "5!"),
        ({"kind": "json", "keys": ["a", "b"]}, '```json\n{"a": 1, "b": []}\n```', 'Here: {"a": 1, "b": []}'),
        ({"kind": "json", "keys": ["a"]}, '{"a": 1}', '{"a": 1, "b": 2}'),
        ({"kind": "one_of", "options": ["yes", "no"]}, "No.", "No, it is not."),
        ({"kind": "language", "language": "es"}, "El perro está en la casa.", "The dog is in the house."),
    ],
)
def test_each_check_tells_a_good_answer_from_a_bad_one(check: dict, good: str, bad: str):
    assert follows(good, **check)
    assert not follows(bad, **check)
    assert not follows("  ", **check)


def test_what_failed_is_named_in_words():
    checks = read_checks('[{"kind": "words", "at_most": 2}, {"kind": "starts", "text": "So"}]')
    assert [str(one) for one in failed("Not so short.", checks)] == ["at most 2 words", "starts with “So”"]
    assert failed("So short", checks) == []


@pytest.mark.parametrize("text", ['[{"kind": "rhymes"}]', '[{"kind": "words", "most": 3}]', "no list"])
def test_checks_that_are_none_are_refused(text: str):
    with pytest.raises(ValidationError):
        read_checks(text)


def test_a_language_is_named_only_where_one_leads():
    assert language("Die Küche ist klein, und der Tisch steht am Fenster.") == "de"
    assert language("Le chat est sur la table et il dort.") == "fr"
    assert language("Yes") is None
    assert language("the der the der") is None


def test_a_sentence_without_a_full_stop_counts_too():
    assert count("One. Two", "sentences") == 2


def test_the_starters_instructions_are_passed_by_their_answers_alone():
    rows = [json.loads(line) for line in (STARTER_FOLDER / "instructions.heldout.jsonl").read_text().splitlines()]
    replay = (STARTER_FOLDER / "general.train.jsonl").read_text()
    assert len(rows) >= 80 and len({row["prompt"] for row in rows}) == len(rows)
    for row in rows:
        checks = read_checks(json.dumps(row["checks"]))
        assert checks and not failed(row["answer"], checks), row["id"]
        assert failed(row["prompt"], checks) and failed("I'm sorry, but I cannot help with that.", checks), row["id"]
        assert row["prompt"] not in replay
