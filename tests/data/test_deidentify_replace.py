"""Masks and surrogates: the same within a patient, without a link between patients, dates moved together."""

from __future__ import annotations

import re
from datetime import date

import pytest

from trainer.data.deidentify.dates import moved, read, year_of
from trainer.data.deidentify.find import Span, find_identifiers
from trainer.data.deidentify.replace import BORN_BEFORE, Replacer

SECRET = b"a secret of this test"


def replaced(text: str, action: str, patient: str = "p1", secret: bytes = SECRET) -> str:
    return Replacer(action, secret).replace(text, find_identifiers(text), patient)  # pyright: ignore[reportArgumentType]


def test_mask_names_the_kind_and_keeps_the_year():
    text = "Mr. Halloran (MRN: 00482913) was seen on March 9, 2017 and on 4/2."
    assert replaced(text, "mask") == "Mr. [NAME] (MRN: [MRN]) was seen on [DATE 2017] and on [DATE]."
    assert replaced("Member ID: XQB204418823.", "mask") == "Member ID: [HEALTH PLAN]."


def test_ages_over_89_become_90_or_older():
    assert replaced("A 93-year-old baker.", "mask") == "A 90 or older baker."
    assert replaced("A 93-year-old baker.", "surrogate") == "A 90-year-old baker."


def test_a_year_that_tells_an_age_over_89_is_not_written():
    assert replaced("DOB: 2/3/1921. Seen 5/6/2015.", "mask") == "DOB: [DATE]. Seen [DATE 2015]."
    assert replaced("DOB: 2/3/1939. Seen 5/6/2029.", "mask") == "DOB: [DATE]. Seen [DATE 2029]."
    assert replaced("DOB: 2/3/1950. Seen 5/6/2015.", "mask") == "DOB: [DATE 1950]. Seen [DATE 2015]."
    born = re.search(r"DOB: \d+/\d+/(\d+)", replaced("DOB: 2/3/1921. Seen 5/6/2015.", "surrogate"))
    assert born is not None and int(born[1]) == BORN_BEFORE


def test_one_patient_one_surrogate_for_each_part_of_a_name():
    text = "John Halloran came. Mr. Halloran is well. HALLORAN, JOHN. J. Halloran signed."
    first, second, third, fourth = (
        re.search(pattern, replaced(text, "surrogate"))
        for pattern in (r"^(\w+) (\w+) came", r"Mr\. (\w+) is", r"([A-Z]+), ([A-Z]+)\.", r"([A-Z])\. (\w+) signed")
    )
    assert first and second and third and fourth
    assert first[2] == second[1] == fourth[2] and first[2] != "Halloran" and first[1] != "John"
    assert (third[1], third[2]) == (first[2].upper(), first[1].upper())
    assert fourth[1] == first[1][0]


def test_patients_cannot_be_linked_and_the_secret_decides():
    text = "Mr. Halloran, MRN: 00482913, seen March 9, 2017."
    one, other = replaced(text, "surrogate", "p1"), replaced(text, "surrogate", "p2")
    assert replaced(text, "surrogate", "p1") == one
    for pattern in (r"Mr\. (\w+)", r"MRN: (\d+)", r"seen (.*)\."):
        assert re.findall(pattern, one) != re.findall(pattern, other)
    assert replaced(text, "surrogate", "p1", b"another") != one


def test_dates_of_a_patient_keep_their_distance_and_their_form():
    text = "Admitted 12/28/2016, operated January 5, 2017, sent home 2017-01-19."
    new = replaced(text, "surrogate")
    admitted = re.search(r"Admitted (\d\d)/(\d\d)/(\d{4})", new)
    home = re.search(r"home (\d{4})-(\d\d)-(\d\d)", new)
    operated = re.search(r"operated ([A-Z][a-z]+ \d{1,2}, \d{4}),", new)
    assert admitted and home and operated
    first = date(int(admitted[3]), int(admitted[1]), int(admitted[2]))
    assert (date(int(home[1]), int(home[2]), int(home[3])) - first).days == 22
    assert first != date(2016, 12, 28)
    when = read(operated[1])
    assert when and (date(when[0].year or 0, when[0].month or 0, when[0].day or 0) - first).days == 8


def test_offset_is_never_zero_and_lies_within_a_year():
    offsets = {Replacer("surrogate", SECRET).offset(f"p{n}") for n in range(3000)}
    assert 0 not in offsets and min(offsets) >= -364 and max(offsets) <= 364
    assert min(offsets) < -300 and max(offsets) > 300


@pytest.mark.parametrize(
    ("text", "days", "wanted"),
    [
        ("03/09/2017", 30, "04/08/2017"),
        ("3/9/17", 30, "4/8/17"),
        ("25/12/2016", 10, "04/01/2017"),
        ("2017-03-09", -9, "2017-02-28"),
        ("9 March 2017", 1, "10 March 2017"),
        ("MAR 9, 2017", 30, "APR 8, 2017"),
        ("March 2nd", 1, "March 3rd"),
        ("21st of March", 1, "22nd of March"),
        ("Thursday, March 9, 2017", 2, "Saturday, March 11, 2017"),
        ("March 2017", 31, "April 2017"),
        ("09Mar2017", 1, "10Mar2017"),
        ("20170309", 1, "20170310"),
        ("Christmas Day 2014", 10, "January 4, 2015"),
        ("April twenty second two thousand five", 1, "April 23, 2005"),
        ("3 de marzo de 2019", 30, "2 de abril de 2019"),
        ("2019年3月3日", 1, "2019年3月4日"),
    ],
)
def test_a_date_moves_in_its_own_form(text: str, days: int, wanted: str):
    assert moved(text, days) == wanted


def test_year_of_a_date():
    assert [year_of(text) for text in ("3/9/17", "3/9/64", "9 March", "July of O eight")] == [2017, 1964, None, 2008]


def test_surrogates_keep_the_shape_of_what_they_stand_for():
    text = "SSN: 219-09-9999. IP 203.0.113.77. Photo IMG_20417.jpg. Lives at 48 Cooper Lane, Fargo, ND 58102."
    new = replaced(text, "surrogate")
    assert re.search(
        r"SSN: 9\d\d-\d\d-\d{4}\. IP 192\.0\.2\.\d+\. Photo image_\d{6}\.jpg\. Lives at .*, ND \d{5}\.", new
    )
    assert not re.search(r"219-09-9999|Cooper|Fargo|58102|20417", new)


def test_text_outside_the_spans_is_untouched():
    text = "Mr. Halloran  has\tpain."
    assert Replacer("mask", SECRET).replace(text, [Span(4, 12, "name", 1.0)], "p") == "Mr. [NAME]  has\tpain."
    assert Replacer("mask", SECRET).replace(text, [], "p") == text
