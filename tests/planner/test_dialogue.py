"""Whole conversations: what is asked, what is never asked, what is said, and what is kept."""

import stat

import pytest

from assistant.planner import dialogue, drafts
from assistant.planner.dialogue import Turn
from assistant.planner.drafts import Draft, DraftError
from trainer import hardware
from trainer.hardware import Machine

MACHINE = Machine(cpu_name="CPU", cores=2, memory_gib=23.5, cpu_bf16=True)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path))
    monkeypatch.setattr(hardware, "detect", lambda: MACHINE)
    return tmp_path


def talk(*messages: str) -> tuple[Draft, Turn]:
    draft = dialogue.new_draft()
    turn = None
    for message in messages:
        draft, turn = dialogue.reply(draft, message)
    assert turn is not None
    return draft, turn


def test_the_greeting_offers_this_machine():
    greeting = dialogue.new_draft().messages[0]
    assert greeting["role"] == "assistant"
    assert "This machine has 2 cores, 23 GiB of memory and no GPU." in greeting["content"]
    assert "“this machine”" in greeting["content"]


def test_questions_come_one_at_a_time_in_order_until_the_plan_stands():
    draft = dialogue.new_draft()
    asked = []
    for message in ("hi", "summaries of discharge letters", "3000", "yes", "no"):
        draft, turn = dialogue.reply(draft, message)
        asked.append(draft.asked)
        if turn.missing:
            assert turn.config is None and turn.reply.count("?") == 1
    assert asked == ["task", "examples", "gpu", "contains_phi", None]
    assert turn.missing == [] and turn.config is not None
    assert (turn.answers.examples, turn.answers.gpu, turn.answers.contains_phi) == (3000, "cpu", False)


def test_what_was_said_is_never_asked_and_is_repeated_in_plain_words():
    draft, turn = talk("a radiology report model, about 3k reports, on a 4090")
    assert turn.missing == ["contains_phi"] and draft.asked == "contains_phi"
    for words in ("drafting reports", "radiology", "3,000 examples", "rtx-4090 (24 GiB)", "real patients"):
        assert words in turn.reply
    assert "How many" not in turn.reply and "Which GPU" not in turn.reply


def test_one_sentence_is_enough_for_the_starter_run():
    draft, turn = talk("use the starter data on this machine, to answer clinical questions")
    assert turn.missing == [] and draft.asked is None
    assert turn.config is not None and turn.config.data.contains_phi is False
    assert turn.estimate is not None and turn.estimate.fits == "fits"
    assert "Before it can start here" not in turn.reply


def test_not_sure_is_not_asked_again_and_means_masking():
    _, turn = talk("3k radiology reports for a report model on this machine", "not sure")
    assert turn.missing == [] and turn.config is not None
    assert turn.config.data.contains_phi is None
    assert turn.config.data.deidentify == "mask"
    assert "What identifies a person is masked before anything is trained" in turn.reply


def test_what_happens_to_identifiers_can_be_said():
    said = ["NER, 3k notes from our EHR, on this machine", "use surrogates", "10% for the test", "balance the classes"]
    _, turn = talk(*said)
    assert turn.config is not None
    data = turn.config.data
    assert (data.contains_phi, data.deidentify, data.test_share, data.balance) == (True, "surrogate", 0.1, "label")
    reason = next(reason for reason in turn.reasons if reason.field == "data.deidentify")
    assert "You asked for it" in reason.why


def test_the_reply_gives_every_reason_that_keeps_it_from_starting():
    _, turn = talk("NER on a 4090, 500 notes, straight from our EHR")
    before = turn.reply.partition("Before it can start here:")[2]
    assert before.count("\n- ") == 2
    assert "No data is chosen" in before and "bedside train run.yaml" in before


def test_a_correction_changes_one_answer_and_makes_the_plan_anew():
    draft, before = talk("NER, 3k notes, on a 4090, de-identified")
    draft = draft.model_copy(update={"edited_yaml": "format_version: 1"})
    draft, after = dialogue.reply(draft, "actually 50k, not 3k")
    assert after.answers == before.answers.model_copy(update={"examples": 50_000})
    assert before.config is not None and after.config is not None
    assert (before.config.schedule.epochs, after.config.schedule.epochs) == (3, 2)
    assert draft.edited_yaml is None


def test_what_is_not_understood_is_said_so_and_changes_nothing():
    draft, turn = talk("the weather is nice")
    assert turn.reply.startswith("I did not find anything for the plan in that.")
    assert "For example" in turn.reply and draft.asked == "task"
    draft, planned = talk("use the starter data on this machine, to answer clinical questions")
    draft = draft.model_copy(update={"edited_yaml": "edited"})
    draft, turn = dialogue.reply(draft, "what is LoRA?")
    assert turn.config == planned.config and turn.answers == planned.answers
    assert draft.edited_yaml == "edited"
    assert turn.reply.startswith("LoRA leaves the base model as it is")
    draft, turn = dialogue.reply(draft, "the weather is nice")
    assert turn.config == planned.config and "The plan stands" in turn.reply


def test_a_contradiction_is_the_only_question_of_its_turn():
    _, turn = talk("NER, synthetic notes and some real patient records")
    assert turn.reply.count("?") == 1 and "Which of the two is it?" in turn.reply


def test_what_does_not_fit_is_said_with_the_nearest_that_does_and_can_be_taken():
    draft, turn = talk("qwen 32b on a 3060, 500 notes, diagnosis, synthetic")
    assert turn.estimate is not None and turn.estimate.fits == "does_not_fit"
    assert "which does not fit" in turn.reply and "“Use qwen2.5-7b-instruct”" in turn.reply
    _, turn = dialogue.reply(draft, "use qwen2.5-7b-instruct")
    assert turn.estimate is not None and turn.estimate.fits == "fits"


def test_examples_without_preferences_are_learnt_from_as_answers_which_is_said():
    _, turn = talk("use the starter data on this machine with DPO, to answer questions")
    assert turn.answers.objective == "preference"
    assert turn.config is not None and turn.config.objective.kind == "sft"
    assert "this plan is the supervised run that an alignment starts from" in turn.reply
    assert "“Align with these votes”" in turn.reply


def test_another_data_set_than_the_starter_s_is_asked_about():
    draft, _ = talk("use the starter data on this machine, to answer clinical questions")
    _, turn = dialogue.reply(draft, "use notes.csv instead")
    assert turn.missing == ["contains_phi"] and turn.config is None


def test_the_turn_is_the_object_of_the_command_line():
    _, turn = talk("use the starter data on this machine, to answer clinical questions")
    content = turn.model_dump(mode="json")
    assert list(content) == ["answers", "missing", "reply", "config", "reasons", "estimate", "alternatives"]
    assert set(content["reasons"][0]) == {"field", "value", "why", "source"}
    assert list(content["estimate"]) == ["peak_gib", "limit_gib", "fits", "hours", "parts", "usd"]
    assert Turn.model_validate(content) == turn


def test_a_draft_survives_a_restart_and_goes_on_where_it_was(home):
    draft, _ = talk("summarise letters, 3k of them, on a 4090")
    path = drafts.save(draft)
    assert path == home / "plans" / draft.id / "draft.json"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    again = drafts.load(draft.id)
    assert again == draft
    assert [message["role"] for message in again.messages] == ["assistant", "user", "assistant"]
    _, turn = dialogue.reply(again, "no")
    assert turn.answers.contains_phi is False and turn.config is not None


def test_an_opened_draft_shows_its_last_turn():
    draft, turn = talk("use the starter data on this machine, to answer clinical questions")
    assert dialogue.show(draft) == turn


@pytest.mark.parametrize("identity", ["", "..", "../../etc", "20260101-000000-abcdef/../x", "20260101-000000-abcdef\n"])
def test_an_id_is_never_a_path(identity):
    with pytest.raises(DraftError, match="not the id of a plan"):
        drafts.load(identity)


def test_a_missing_or_damaged_draft_is_one_sentence(home):
    with pytest.raises(DraftError, match="There is no plan"):
        drafts.load("20260101-000000-abcdef")
    draft, _ = talk("hi")
    drafts.save(draft).write_text("{half")
    with pytest.raises(DraftError, match="cannot be read"):
        drafts.load(draft.id)


def test_the_runnable_gives_the_same_as_the_function():
    draft = dialogue.new_draft()
    say = "a radiology report model, about 3k reports, on a 4090"
    assert dialogue.planner().invoke({"draft": draft, "say": say}) == dialogue.reply(draft, say)
