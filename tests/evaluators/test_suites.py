"""How suites ask, and how leniently they read what is written."""

import pytest
from respondents import ALWAYS_A, COPIES, parrot

from evaluators.cases import Entity, Item
from evaluators.suites import answers, entities, general, multiple_choice, pubmedqa, summarisation
from evaluators.suites.entities import listed
from evaluators.suites.multiple_choice import lettered, settled

OPTIONS = ["Pneumonia", "Viral pneumonia", "Give 5% dextrose", "Asthma"]


@pytest.mark.parametrize(
    ("answer", "option"),
    [
        ("B", 1),
        ("b", None),
        ("(B) Viral pneumonia", 1),
        ("**C**", 2),
        ("D. Asthma\nsince B is wrong", 3),
        ("A cough is no answer.", None),
        ("A", 0),
        ("The answer is B", 1),
        ("First I thought the answer is A, but the correct answer is: (D).", 3),
        ("The answer is A patient with asthma", 3),
        ("The answer is A because of the fever", 0),
        ("I think that it is viral pneumonia.", 1),
        ("It is pneumonia.", 0),
        ("I would give 5% dextrose", 2),
        ("Asthma or pneumonia", None),
        ("A. Pneumonia\nB. Viral pneumonia", 0),
        ("It is E, for sure: answer: E", None),
        ("", None),
    ],
)
def test_the_option_that_an_answer_settles_on(answer: str, option: int | None):
    assert settled(answer, OPTIONS) == option


def test_an_option_that_begins_like_another_is_told_from_it():
    assert settled("It is angina at rest, I think.", ["Angina", "Angina at rest"]) == 1


def test_a_copied_question_settles_on_no_option():
    item = Item(id="1", prompt=[{"role": "user", "content": "A man of 40. What is it?"}], options=OPTIONS, answer=0)
    asked = lettered(item)[-1]["content"]
    assert asked.startswith("A man of 40. What is it?\n\nA. Pneumonia\nB. Viral pneumonia\n")
    assert settled(asked, OPTIONS) is None


def test_what_came_before_the_question_is_asked_too():
    earlier = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Yes?"}]
    item = Item(id="1", prompt=[*earlier, {"role": "user", "content": "Which?"}], options=OPTIONS, answer=0)
    assert lettered(item)[:2] == earlier


SENTENCE = "N,N-dimethyltryptamine and aspirin, not ibuprofen, caused renal failure and heart attack."
KINDS = ["Chemical", "Disease"]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("Chemical: aspirin\nDisease: renal failure", [("Chemical", "aspirin"), ("Disease", "renal failure")]),
        ("1. aspirin (chemical)\n2. renal failure [disease]", [("Chemical", "aspirin"), ("Disease", "renal failure")]),
        ("aspirin: Chemical", [("Chemical", "aspirin")]),
        ("**Chemicals:**\n- aspirin\n- ibuprofen", [("Chemical", "aspirin"), ("Chemical", "ibuprofen")]),
        (
            "Disease entities: “renal failure”; heart attack.",
            [("Disease", "renal failure"), ("Disease", "heart attack")],
        ),
        ("Chemical: N,N-dimethyltryptamine", [("Chemical", "N,N-dimethyltryptamine")]),
        ("Chemical: aspirin, ibuprofen", [("Chemical", "aspirin"), ("Chemical", "ibuprofen")]),
        ("Chemical: none\nDisease: None", []),
        ("none", []),
        ("Drug: aspirin\nThe patient has renal failure.", []),
    ],
)
def test_entities_are_read_leniently(answer: str, found: list[tuple[str, str]]):
    assert [(one.kind, one.text) for one in listed(answer, KINDS, SENTENCE)] == found


def test_the_kinds_are_named_to_the_model():
    item = Item(
        id="1",
        prompt=[{"role": "user", "content": "List the entities.\n\nAspirin hurts."}],
        context="Aspirin hurts.",
        entities=[Entity(text="Aspirin", kind="Chemical"), Entity(text="hurts", kind="Disease")],
    )
    case = entities.ask([item], COPIES)[0]
    assert (
        "The kinds are Chemical and Disease." in case.answer and case.reference == "Chemical: Aspirin\nDisease: hurts"
    )
    assert case.question == item.question  # as it stands in the data, for a reader


def test_pubmedqa_refuses_other_labels():
    item = Item(id="1", prompt=[{"role": "user", "content": "?"}], options=["no", "yes"], answer=0)
    with pytest.raises(ValueError, match="1 has the options"):
        pubmedqa.ask([item], ALWAYS_A)


def test_an_item_without_a_key_is_named():
    item = Item(id="the-third", prompt=[{"role": "user", "content": "?"}], options=["no", "yes"])
    with pytest.raises(ValueError, match="the-third has no key"):
        multiple_choice.ask([item], ALWAYS_A)


def test_long_references_get_room_and_a_limit():
    short, long = Item(id="1", prompt=[], reference="x" * 30), Item(id="2", prompt=[], reference="x" * 9000)
    assert answers.answer_tokens([short], 192) == 42
    assert answers.answer_tokens([short, long], 192) == 192


@pytest.mark.parametrize("suite", [multiple_choice, general, summarisation])
def test_progress_ends_with_all_that_was_asked(suite, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(summarisation, "likeness", lambda answers, references: [{} for _ in answers])
    heard: list[tuple[int, int]] = []

    class Tells(type(ALWAYS_A)):
        def answer(self, conversations, max_new_tokens, progress=lambda done, total: None):
            progress(len(conversations), len(conversations))
            return super().answer(conversations, max_new_tokens)

        def likelihoods(self, conversations, replies, progress=lambda done, total: None):
            progress(len(conversations), len(conversations))
            return super().likelihoods(conversations, replies)

    told = '[{"kind": "words", "at_most": 9}]'
    items = [
        Item(id="1", prompt=[{"role": "user", "content": "Which?"}], options=OPTIONS, answer=1),
        Item(id="2", prompt=[{"role": "user", "content": "Which two?"}], options=OPTIONS, answer=1, reference=told),
    ]
    if suite is general:
        items[1] = items[1].model_copy(update={"options": [], "answer": None})
    if suite is summarisation:
        items = [one.model_copy(update={"options": [], "answer": None}) for one in items]
    suite.ask(items, Tells(parrot(items).rule, parrot(items).weigh), lambda done, total: heard.append((done, total)))
    assert heard[-1][0] == heard[-1][1] > 0
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
