"""Which questions may be reworded by tables and rules: English ones that do not ask about words themselves."""

from __future__ import annotations

import re

SHORT_ANSWER = 40
"""Words: an answer below is taken to cite its question."""
_ABOUT_WORDS = re.compile(
    r"\b(?:stands? for|abbreviat\w*|acronym\w*|synonym\w*|terms?|another (?:name|word)|other (?:names?|words?)|"
    r"(?:also|otherwise|commonly) (?:called|known)|(?:medical|scientific|common|lay) (?:name|word)|mean|means|meaning|"
    r"defin\w+|spell\w*|pronounc\w*|expand\w*|names? for|called)\b",
    re.IGNORECASE,
)
_ABOUT_DRUG_NAMES = re.compile(
    r"\b(?:brands?|brand-name|generics?|generically|trade ?names?|proprietary|marketed|sold as|drug names?)\b",
    re.IGNORECASE,
)
_FUNCTION_WORDS = set(
    re.findall(
        r"\w+",
        """a an and are as at be by can could did do does for from had has have he her his how i if in is it its may me
        my of on or our she should so than that the their them there they this to was we were what when which who why
        will with would you your""",
    )
)
_ENGLISH = set(
    re.findall(
        r"\w+",
        """the of and with is are what which how has was for my should does an in to patient this from on at i do can or
        when his her by""",
    )
)
_SPANISH = set(re.findall(r"\w+", "el la los las de que con una por del para qué es un y en"))


def is_english(text: str, language: str = "") -> bool:
    """By the language that is known of it; where it is not known, by small words."""
    if language:
        return language == "en"
    if re.search("[\u3040-\u9fff]", text):
        return False
    words = re.findall(r"\w+", text.lower())
    english, spanish = (sum(word in small for word in words) for small in (_ENGLISH, _SPANISH))
    return english >= spanish and (english > 0 or len(words) < 4)


def about_words(text: str) -> bool:
    """Does it ask what a word means, or how a thing is called ("What does HTN stand for?")?"""
    return _ABOUT_WORDS.search(text) is not None


def about_drug_names(text: str) -> bool:
    """Does it ask about brand or generic names?"""
    return _ABOUT_DRUG_NAMES.search(text) is not None


def touches(before: str, after: str, answer: str) -> bool:
    """Does a word that the answer has leave the question, or come into it?"""
    words = _words(answer)
    return _words(before) & words != _words(after) & words


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower())) - _FUNCTION_WORDS
