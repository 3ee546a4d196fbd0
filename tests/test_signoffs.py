"""Sign-offs: by name, on one state of the evidence, taken back by a further row, and never by anything else."""

from __future__ import annotations

import sqlite3

import pytest
from sqlmodel import select
from versions_made import evaluated

from evaluators.cases import Case
from trainer import audit, store
from trainer import config as run_config
from trainer.actor import Actor, acting_as
from trainer.dossier import DossierError, checklist, dossier, evidence, signoffs
from trainer.dossier.evidence import Evidence
from trainer.dossier.signoffs import LOOKED_AT, MEDICAL, give, of, standing, withdraw
from trainer.model_refs import ModelRef
from trainer.runs import Run
from trainer.store import SignOff

CASES = [Case(id=str(n), source=str(n), question="q", answer="a", right=True) for n in range(5)]


@pytest.fixture
def found(finished_run: Run) -> Evidence:
    return evidence.gather(ModelRef(run=finished_run.id))


def sign(found: Evidence, name: str, role: str = "physician", said: str = "I read it.") -> SignOff:
    return give(found, found.sha256, name, role, list(LOOKED_AT), said)


def test_three_named_people_of_medical_professions_meet_the_point(found: Evidence):
    assert dossier.document(found).count("| not signed |") == 3
    for name, role in (("Ann Ames", "physician"), ("Bo Berg", "nurse"), ("Cy Cole", "engineering")):
        sign(found, name, role)
    item = next(one for one in checklist.items(found) if "signed" in one.name)
    assert item.state == "not met" and item.why.startswith("2 of 3"), "an engineer is no medical professional"
    sign(found, "  Dee   Dunn ", "pharmacist")
    item = next(one for one in checklist.items(found) if "signed" in one.name)
    assert item.state == "met" and "Ann Ames (physician), Bo Berg (nurse), Dee Dunn (pharmacist)" in item.why
    assert "not signed" not in dossier.document(found)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reviewer": "Ann"}, "first and your last name"),
        ({"reviewer": "  "}, "first and your last name"),
        ({"reviewer": "1 2"}, "first and your last name"),
        ({"role": "king"}, "Choose your profession: physician"),
        ({"looked_at": list(LOOKED_AT[:2])}, f"Not ticked: {LOOKED_AT[2]}"),
        ({"statement": " \n"}, "Write what you looked at"),
        ({"statement": "x" * 2001}, "2,001 characters"),
        ({"seen_sha256": "0" * 64}, "The evidence has changed since you opened"),
    ],
)
def test_what_is_not_a_sign_off_is_refused_and_kept_nowhere(found: Evidence, change: dict, said: str):
    whole = {
        "seen_sha256": found.sha256,
        "reviewer": "Ann Ames",
        "role": MEDICAL[0],
        "looked_at": list(LOOKED_AT),
        "statement": "I read it.",
    }
    with pytest.raises(DossierError, match=said):
        give(found, **(whole | change))
    assert of(found) == []


def test_nobody_counts_twice(found: Evidence):
    sign(found, "Ann Ames")
    with pytest.raises(DossierError, match="Ann Ames has signed this state of the evidence already"):
        sign(found, "ann  ames", "nurse")
    assert len(standing(found)) == 1


def test_the_account_behind_a_name_is_kept_with_it_and_signs_once(found: Evidence):
    with acting_as(Actor("annab", "reviewer")):
        sign(found, "Ann Ames")
        for name in ("Ann Ames", "Bo Berg"):
            with pytest.raises(
                DossierError, match="Ann Ames, signed in as annab has signed this state of the evidence"
            ):
                sign(found, name)
    assert [one.reviewer for one in standing(found)] == ["Ann Ames, signed in as annab"]
    with acting_as(Actor("Bo Berg", "reviewer")):
        kept = sign(found, "bo berg")
        with pytest.raises(DossierError, match="Only Ann Ames, signed in as annab can take this sign-off back"):
            withdraw(found, standing(found)[0].id, "Ann Ames", "a mistake")
    assert kept.reviewer == "bo berg", "whose account has the same name"
    with acting_as(Actor("annab", "reviewer")):
        withdraw(found, standing(found)[0].id, "Ann Ames", "a mistake")
    assert [one.reviewer for one in standing(found)] == ["bo berg"]
    log = [(one.who, one.action) for one in audit.entries()]
    assert log == [("annab", "signed"), ("Bo Berg", "signed"), ("annab", "took a sign-off back")]
    assert "I read it" not in audit.file().read_text() and "a mistake" not in audit.file().read_text()


def test_a_new_evaluation_makes_it_one_of_an_earlier_state(found: Evidence, finished_run: Run):
    sign(found, "Ann Ames")
    evaluated(finished_run, CASES)
    later = evidence.gather(found.ref)
    assert later.sha256 != found.sha256
    assert [one.standing for one in of(later)] == ["of an earlier state"] and standing(later) == []
    assert "of an earlier state" in dossier.document(later) and dossier.document(later).count("| not signed |") == 3
    sign(later, "Ann Ames")
    assert [one.standing for one in of(later)] == ["of an earlier state", "stands"]


def test_the_evidence_is_the_same_until_something_of_it_changes(found: Evidence, finished_run: Run):
    sign(found, "Ann Ames")
    assert evidence.gather(found.ref).sha256 == found.sha256, "a signature is no evidence"
    seen = {found.sha256}
    for path in (finished_run.weights[0], finished_run.folder / "report.json", finished_run.folder / "run.yaml"):
        path.write_bytes(path.read_bytes() + b"\n")
        seen.add(evidence.gather(found.ref).sha256)
    assert len(seen) == 4


def test_it_is_taken_back_by_its_giver_alone_with_a_reason_as_a_further_row(found: Evidence):
    given = sign(found, "Ann Ames", said="All in order.")
    assert given.id is not None
    with pytest.raises(DossierError, match="Only Ann Ames can take this sign-off back"):
        withdraw(found, given.id, "Bo Berg", "no")
    with pytest.raises(DossierError, match="Say why"):
        withdraw(found, given.id, "Ann Ames", " ")
    with pytest.raises(DossierError, match="There is no sign-off 99"):
        withdraw(found, 99, "Ann Ames", "x")
    withdraw(found, given.id, "ann ames", "A dose was overlooked.")
    with pytest.raises(DossierError, match="withdrawn already"):
        withdraw(found, given.id, "Ann Ames", "again")
    [one] = of(found)
    assert (one.standing, one.withdrawn_because, one.statement) == (
        "withdrawn",
        "A dose was overlooked.",
        "All in order.",
    )
    with store.session() as session:
        assert len(session.exec(select(SignOff)).all()) == 2, "nothing is changed or removed"
    assert "withdrawn: A dose was overlooked." in dossier.document(found)
    sign(found, "Ann Ames", said="Mended, and looked at again.")
    assert [one.standing for one in of(found)] == ["withdrawn", "stands"]


def test_text_of_a_sign_off_does_nothing(found: Evidence):
    sign(found, "<b>Ann</b> A|mes", said="<script>x</script>\n\n# head | cell")
    text = dossier.document(found)
    assert "<script>" not in text and "<b>" not in text and "\n# head" not in text
    assert "&lt;script&gt;x&lt;/script&gt; \\# head \\| cell" in text


def test_a_database_of_an_earlier_bedside_gets_the_table(found: Evidence):
    store.engine().dispose()
    store._engines.clear()
    path = run_config.home() / "bedside.db"
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE signoff")
    sign(found, "Ann Ames")
    assert [one.reviewer for one in of(found)] == ["Ann Ames"]


def test_signatures_are_those_of_the_app_alone():
    from assistant.cli import app

    names = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert not any("sign" in name for name in names)
    assert signoffs.NEEDED == 3
