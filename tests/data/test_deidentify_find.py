"""Each identifier is found in a sentence of its own, and what medicine needs is left."""

from __future__ import annotations

import itertools
import socket

import pytest

from trainer.data.deidentify import find
from trainer.data.deidentify.find import KINDS, find_identifiers, find_in_many, limits

# One sentence for each kind, with what has to be found in it.
SENTENCES = {
    "name": ("Mrs. Halloran was walked to the ward by her nephew Tobias.", ["Halloran", "Tobias"]),
    "location": ("She lives at 48 Cooper Lane, Apt 3, Fargo, ND 58102.", ["48 Cooper Lane, Apt 3, Fargo, ND 58102"]),
    "date": ("The graft was sewn on March 9, 2017 and checked on 4/2/17.", ["March 9, 2017", "4/2/17"]),
    "age": ("This 93-year-old retired baker still walks daily.", ["93-year-old"]),
    "phone": ("His daughter answers at (701) 555-0148 in the evening.", ["(701) 555-0148"]),
    "fax": ("Please fax the tracing to 701-555-0177.", ["701-555-0177"]),
    "email": ("Write to t.halloran@example.org with the results.", ["t.halloran@example.org"]),
    "ssn": ("SSN: 219-09-9999 was read from the card.", ["219-09-9999"]),
    "mrn": ("MRN: 00482913 was checked twice.", ["00482913"]),
    "health_plan": ("Member ID: XQB204418823 covers the stay.", ["XQB204418823"]),
    "account": ("The bill went to account number 7719044.", ["7719044"]),
    "licence": ("The prescriber's DEA number: BH4471902 is valid.", ["BH4471902"]),
    "vehicle": ("The car, VIN 1HGCM82633A004352, rolled twice.", ["1HGCM82633A004352"]),
    "device": ("Pacemaker serial number: PJN447192 was interrogated.", ["PJN447192"]),
    "url": ("Her diary is at https://www.halloran.example.net/ward.", ["https://www.halloran.example.net/ward"]),
    "ip": ("The monitor reports from 203.0.113.77 every hour.", ["203.0.113.77"]),
    "biometric": ("Fingerprint ID: FP-220914 opened the cabinet.", ["FP-220914"]),
    "photo": ("The wound is shown in IMG_20417.jpg today.", ["IMG_20417.jpg"]),
    "other_id": ("Accession number: S19-44821 was signed out.", ["S19-44821"]),
}


def marked(text: str, language: str = "en") -> list[tuple[str, str]]:
    return [(text[span.start : span.end], span.kind) for span in find_identifiers(text, language)]


def test_a_sentence_stands_here_for_every_kind():
    assert set(SENTENCES) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found_whole_and_nothing_else(kind: str):
    text, wanted = SENTENCES[kind]
    assert marked(text) == [(value, kind) for value in wanted]


@pytest.mark.parametrize(
    "text",
    [
        "INR 2.4 on warfarin; COPD and CHF are stable, HbA1c 7.1%.",
        "Parkinson disease and Crohn's disease; the Foley catheter drains clear urine.",
        "The Foley was removed; his Parkinson is worse, the Holter shows nothing and the Babinski is up.",
        "Hodgkin lymphoma, Wernicke encephalopathy, a positive Babinski sign and a negative Phalen test.",
        "BP 120/80, pulse 72, temperature 97 F, SpO2 96% on 2 L; Glasgow Coma Scale 15.",
        "Strength 3/5 in both legs, pain 10/10, 1/2 tablet on day 3, then q6h for 2 weeks.",
        "Disc bulge at L4-L5 and C5-6, T4 lesion, grade 2/6 murmur, vision 20/40.",
        "Lisinopril 10-20 mg, ibuprofen 500-1000 mg, heparin 5000 units; platelets 150000, WBC 12.4.",
        "Started Bactrim, Keflex and Lexapro; allergic to Penicillin. MRSA, E. coli and H. pylori were excluded.",
        "She may take two tablets. A 54-year-old man from Texas was seen in 2015 in the Emergency Department.",
        "Frank hematuria. Mark the site. Will follow. Bill was paid; the young man has a long history.",
    ],
)
def test_what_medicine_needs_is_left(text: str):
    assert marked(text) == []


def test_an_eponym_is_a_name_where_a_title_says_so():
    text = "Dr. Parkinson placed a Foley catheter in Mr. Foley, who has Parkinson disease."
    assert [(span.start, text[span.start : span.end]) for span in find_identifiers(text)] == [
        (4, "Parkinson"),
        (45, "Foley"),
    ]


def test_a_name_that_is_sure_once_is_found_again_without_its_title():
    text = "Ms. Quillfeather is stable. We told Quillfeather to rest."
    assert marked(text) == [("Quillfeather", "name")] * 2


def test_the_names_of_a_list_are_found_with_the_first():
    assert [value for value, _ in marked("His children are Milo, Otis and June, who visit.")] == [
        "Milo",
        "Otis",
        "June",
    ]


def test_a_possessive_is_not_part_of_the_name():
    assert marked("Mrs. Halloran's knee is better.") == [("Halloran", "name")]


def test_a_text_longer_than_the_model_holds_is_searched_in_pieces(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(find, "PIECE", 300)
    monkeypatch.setattr(find._analyzer().nlp_engine.nlp["en"], "max_length", 400)  # pyright: ignore
    line = "The patient rests and eats well.\n"
    text = line * 20 + "Mr. Halloran, MRN: 00482913.\n" + line * 20
    assert [(text[s.start : s.end], s.kind) for s in find_identifiers(text)] == [
        ("Halloran", "name"),
        ("00482913", "mrn"),
    ]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", [":" * 60_000, "A" * 60_000, "(" * 60_000, "a." * 30_000 + "@"])
def test_a_text_made_to_be_slow_is_not(text: str):
    assert find_identifiers(text) == []


def test_who_speaks_is_no_name():
    assert marked("Doctor: Good morning.\nPatient: Yes, I have been coughing.\nDoctor: Hope it gets better.") == []


def test_dates_as_people_say_them():
    text = "It began on the 3rd of March, got worse on April twenty second two thousand five, and ended last August."
    assert [value for value, _ in marked(text)] == ["3rd of March", "April twenty second two thousand five", "August"]


def test_ages_to_89_stay():
    assert marked("She is 89 years old; her mother died at 88, her father at age 91.") == [("91", "age")]


def test_spans_are_in_order_and_do_not_overlap():
    text = " ".join(sentence for sentence, _ in SENTENCES.values())
    spans = find_identifiers(text)
    assert len(spans) >= len(KINDS)
    assert all(first.end <= second.start for first, second in itertools.pairwise(spans))


def test_many_texts_give_what_each_gives_alone():
    texts = [sentence for sentence, _ in SENTENCES.values()][:6]
    assert find_in_many(texts) == [find_identifiers(text) for text in texts]


def test_nothing_asks_the_network(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("de-identification tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert marked("Write to ward@clinic.local or a.b@example.org.") == [
        ("ward@clinic.local", "email"),
        ("a.b@example.org", "email"),
    ]


def test_spanish_and_chinese_by_patterns_alone():
    spanish = "El paciente ingresó el 3 de marzo de 2019; NHC: 4482913, teléfono +34 612 345 678, ana@ejemplo.es."
    assert [kind for _, kind in marked(spanish, "es")] == ["date", "mrn", "phone", "email"]
    chinese = "患者于2019年3月3日入院,病历号:A448291,身份证号 110101199003071234。"
    assert [kind for _, kind in marked(chinese, "zh")] == ["date", "mrn", "ssn"]


def test_limits_say_that_names_stay_where_there_is_no_model():
    assert "names of people, places and institutions stay in the text" in limits("zh")
    assert limits("es").startswith("There is no model of names and places for Spanish")
    assert "stay in the text" not in limits("en-US")
