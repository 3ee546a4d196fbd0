"""Names of people: after a title, a label or a relation, in lists, as the model sees them, and their echoes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from trainer.data.deidentify import allow_list, lexicon
from trainer.data.deidentify.name_patterns import PART, PARTICLE, RUN, patterns
from trainer.data.deidentify.name_words import (
    TERM,
    could_be_name,
    cut,
    is_initial,
    may_be,
    parts_of,
    plain_of,
    standing_of,
)


class Found(NamedTuple):
    start: int
    end: int
    score: float
    sure: bool
    """What stands around it leaves no doubt: the same word elsewhere in the text is then the same person."""


# What is taken, applied or prescribed is a drug, whoever the model sees in it.
_TAKEN = re.compile(
    r"\b(?:takes?|taking|took|us(?:es?|ing|ed)|appl(?:y|ied|ication of)|applications of|continued?|start(?:s|ed|ing)?|"
    r"restarted|stop(?:ped)?|prescribed?|refill(?: of)?|generic for|dose of|mg of|given|gave|increased?|tried)\s+$",
    re.IGNORECASE,
)
# In a dialogue these say who speaks; a header uses some of them too.
_SPEAKERS = frozenset(
    {"patient", "doctor", "nurse", "pt", "clinician", "provider", "physician", "re", "to", "from", "d", "t", "read",
     "seen"}
)  # fmt: skip


def _heads_eponym(text: str, end: int) -> bool:
    """Does a word follow that makes a disease or a tool of the name that ends here?"""
    after = re.match(r"(?:['’]s?)?(?:[\s\-]+(?:and|/)?\s?[A-Z][\w’']+)?[\s\-]+([A-Za-z]+)", text[end:])
    direct = re.match(r"(?:['’]s?)?[\s\-]+([A-Za-z]+)", text[end:])
    return any(match is not None and allow_list.heads_eponym(match[1]) for match in (after, direct))


def _named(text: str, match: Any, group: str, lenient: bool, score: float, sure: bool) -> Iterator[Found]:
    if match.group(group) is None:
        return
    start, run = match.start(group), match.group(group)
    end = cut(run, lenient)
    if end:
        yield Found(start, start + end, score, sure)


def _proof(run: str) -> bool:
    """Does a run of words hold one that is a name or no word of any list?"""
    return any(standing_of(m[0]) in ("first", "last", "unknown") for m in parts_of(run) if not is_initial(m[0]))


def _by_context(text: str) -> Iterator[Found]:
    """Names that a title, a degree, a label, a relation or an address gives away."""
    p = patterns()
    for match in p["title"].finditer(text):
        yield from _named(text, match, "n", True, 0.9, True)
    for match in p["lower_title"].finditer(text):
        words = match["n"].split()
        if not lexicon.is_plain_word(words[0]) and not allow_list.is_listed(words[0]):
            keep = len(words) > 1 and not lexicon.is_word(words[1]) and not allow_list.is_clinical(words[1])
            end = match.end("n") if keep else match.start("n") + len(words[0])
            yield Found(match.start("n"), end, 0.85, False)
    for name in ("degree", "last_first_degree"):
        for match in p[name].finditer(text):
            run = match["n"]
            words = [m[0] for m in parts_of(run)]
            while words and not _proof(words[0]) and not is_initial(words[0]) and not could_be_name(words[0]):
                words = words[1:]
            numbered = re.match(r",?\s*(?:II|III|IV)\b", text[match.end("n") :]) is not None and len(words) == 1
            if (
                words
                and not numbered
                and not any(allow_list.is_listed(word) for word in words)
                and (_proof(run) or len(words) > 1)
            ):
                start = match.start("n") + run.index(words[0])
                yield Found(start, match.end("n"), 0.88, True)
    for name in ("label", "spaced_label", "bare_label"):
        for match in p[name].finditer(text):
            run = match["n"]
            label = match.groupdict().get("l", "name").lower()
            several = len([m for m in parts_of(run) if not is_initial(m[0])]) > 1
            # In a dialogue, "Patient:" and "Doctor:" say who speaks: a name there has two parts.
            speaker = label in _SPEAKERS
            if _proof(run) and (several or not speaker):
                whole = re.match(r"[ \t]*(?:$|[\n,;|(])", text[match.end("n") :]) is not None
                end = cut(run, not speaker or whole)
                if end and (not speaker or _proof(run[:end])):
                    yield Found(match.start("n"), match.start("n") + end, 0.86, True)
            elif "," in run and not speaker and all(could_be_name(m[0]) or is_initial(m[0]) for m in parts_of(run)):
                yield Found(match.start("n"), match.end("n"), 0.86, True)
            elif not speaker and may_be(run.split()[0].rstrip(",")):
                yield Found(match.start("n"), match.start("n") + cut(run, True), 0.7, False)
            elif "name" in label and all(not allow_list.is_listed(m[0]) for m in parts_of(run)):
                yield Found(match.start("n"), match.end("n"), 0.7, False)
    for match in p["lower_label"].finditer(text):
        yield Found(match.start("n"), match.end("n"), 0.8, False)
    for match in p["relation"].finditer(text):
        for group in ("n", "n2"):
            first = match.group(group).split()[0] if match.group(group) else ""
            if first and (_proof(first) or could_be_name(first) or may_be(first)):
                yield from _named(text, match, group, True, 0.8, _proof(match.group(group)))
    for match in p["role"].finditer(text):
        if _proof(match["n"].split()[0]) and not _heads_eponym(text, match.end("n")):
            yield from _named(text, match, "n", False, 0.75, False)
    for match in p["called"].finditer(text):
        first = match["n"].split()[0]
        saying = re.match(r"[Ii]\s*['’]?\s*a?m|[Tt]his", match[0])
        # "A drug called Zeltrix": what is called by an unknown word is a person only where it speaks of itself.
        own = saying or re.search(r"[Nn]ame|goes\s+by|[Cc]all\s+(?:me|him|her)", match[0])
        standing = standing_of(first)
        if (
            standing in ("first", "last")
            or (own and (standing == "unknown" or may_be(first)))
            or (could_be_name(first) and not saying)
        ):
            yield from _named(text, match, "n", True, 0.8, not saying)
        elif re.search(
            r"goes\s+by|be\s+called|nicknamed|[Cc]all\s+(?:me|him|her)|[Mm]y\s+name", match[0]
        ) and first.lower() not in lexicon.word_list("no_name_after_title"):
            yield from _named(text, match, "n", True, 0.7, False)
    for match in p["opening"].finditer(text):
        first = match["n"].split()[0]
        if standing_of(first) in ("first", "last") or (could_be_name(first) and not allow_list.is_clinical(first)):
            yield from _named(text, match, "n", True, 0.75, standing_of(first) == "first")
        elif re.match(r"(?i:hi|hello|hey|thank|good|welcome|nice)", match[0]) and may_be(first):
            yield from _named(text, match, "n", True, 0.6, False)
    for match in p["speak"].finditer(text):
        if standing_of(match["n"].split()[0]) in ("first", "last", "unknown") and not match["n"].isupper():
            yield from _named(text, match, "n", False, 0.6, False)
    for match in p["nickname"].finditer(text):
        if _proof(match["n"]) or _proof(match["n3"]):
            for group in ("n", "n2", "n3"):
                yield Found(match.start(group), match.end(group), 0.85, False)
    for match in p["baby"].finditer(text):
        if not allow_list.is_clinical(match["n"]):
            yield Found(match.start("n"), match.end("n"), 0.8, True)
    for match in p["initials"].finditer(text):
        for group in ("n", "n2", "n3", "n4", "n5"):
            if match.group(group):
                run = match.group(group).rstrip()
                if run.islower() and len(run) > 2 and lexicon.is_word(run):
                    continue
                yield Found(match.start(group), match.start(group) + len(run), 0.7, False)


def _by_lists(text: str) -> Iterator[Found]:
    """Names that lists know: "Jane Doe", "Doe, Jane", "J. Doe", and single ones that are no word besides."""
    p = patterns()
    for match in p["last_first"].finditer(text):
        last, _, first = match["n"].partition(",")
        firsts = [m[0] for m in parts_of(first)]
        if (
            firsts
            and plain_of(firsts[0]).lower() in lexicon.first_names()
            and standing_of(last.split()[-1]) in ("last", "first", "unknown")
        ):
            line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip()
            if not line or line.endswith(":") or standing_of(last.split()[-1]) == "last":
                yield Found(match.start("n"), match.start("n") + len(match["n"].rstrip(".")), 0.7, False)
    for match in p["run"].finditer(text):
        parts = parts_of(match[0])
        n = 0
        while n < len(parts):
            taken = _listed_from(text, match, parts, n)
            if taken:
                yield taken[0]
                n = taken[1]
            else:
                n += 1


def _listed_from(text: str, match: Any, parts: list[re.Match[str]], n: int) -> tuple[Found, int] | None:
    """The name that begins at the n-th word of a run, and the word after it."""
    at = match.start()
    word = parts[n][0]
    start = at + parts[n].start()
    if is_initial(word):
        # J. Doe, J. R. Doe
        k = n
        while k < len(parts) and is_initial(parts[k][0]):
            k += 1
        if k < len(parts) and parts[k - 1][0].endswith(".") and standing_of(parts[k][0]) == "last":
            return Found(start, at + parts[k].end(), 0.7, True), k + 1
        return None
    standing = standing_of(word)
    plain = plain_of(word).lower()
    could_first = plain in lexicon.first_names() and not allow_list.is_listed(plain)
    if standing in ("first", "last", "unknown") or could_first:
        k = n + 1
        while k < len(parts) and (is_initial(parts[k][0]) or re.fullmatch(PARTICLE, parts[k][0])):
            k += 1
        if k < len(parts) and (could_first or standing == "first"):
            second = parts[k][0]
            listed_last = plain_of(second).lower() in lexicon.last_names() and not allow_list.is_listed(second)
            ok = (
                standing_of(second) in ("last", "first", "unknown")
                or (listed_last and (standing == "first" or not lexicon.is_plain_word(plain_of(second))))
                or (standing == "first" and k > n + 1 and may_be(second))  # Kate M Begum
            )
            if ok and not (_heads_eponym(text, at + parts[k].end()) and standing != "first"):
                end = parts[k]
                if k + 1 < len(parts) and standing_of(parts[k + 1][0]) in ("last", "unknown"):
                    end, k = parts[k + 1], k + 1
                return Found(start, at + end.start() + len(end[0].rstrip(".,")), 0.75, True), k + 1
    if n + 1 < len(parts) and (standing == "unknown" or may_be(word)) and word[1:].islower():
        # A first name that no list has, before a last name that one has.
        second = parts[n + 1][0]
        if standing_of(second) == "last" and not TERM.search(word) and not _heads_eponym(text, at + parts[n + 1].end()):
            return Found(start, at + parts[n + 1].start() + len(plain_of(second)), 0.6, True), n + 2
    end = start + len(plain_of(word))
    if _heads_eponym(text, end) or (word.isupper() and len(word) < 6):
        return None
    if standing == "first":
        if n + 1 < len(parts) and re.fullmatch(r"[A-Z]\.", parts[n + 1][0]):  # Jane D.
            return Found(start, at + parts[n + 1].end(), 0.6, False), n + 2
        return Found(start, end, 0.6, False), n + 1
    if standing == "last" and plain not in lexicon.towns():
        opens = re.search(r"(?:^|[.?!:\n]\s*|[\"“(]\s*)$", text[:start]) is not None
        in_us = plain in lexicon.common_last_names()
        if in_us or not opens:
            return Found(start, end, 0.5, False), n + 1
    return None


def _by_model(text: str, entities: list[tuple[int, int]]) -> Iterator[Found]:
    """What the model calls a person, without the drugs, diseases and words that it takes for one."""
    for start, end in entities:
        for match in re.finditer(RUN, text[start:end]):
            kept = [m for m in parts_of(match[0])]
            while (
                kept
                and standing_of(kept[0][0]) in ("word", "clinical")
                and not (could_be_name(kept[0][0]) and len(kept) > 1 and not allow_list.is_listed(kept[0][0]))
            ):
                kept = kept[1:]
            while kept and (
                standing_of(kept[-1][0]) in ("word", "clinical") and not (could_be_name(kept[-1][0]) and len(kept) > 1)
            ):
                kept = kept[:-1]
            if not kept or all(is_initial(m[0]) for m in kept):
                continue
            words = [m[0] for m in kept]
            if any(
                allow_list.is_listed(word) or allow_list.is_drug(plain_of(word))
                for word in words
                if not is_initial(word)
            ):
                continue
            if len(words) == 1 and (
                (words[0].isupper() and len(words[0]) < 7) or (not could_be_name(words[0]) and TERM.search(words[0]))
            ):
                continue
            at = start + match.start()
            if len(words) == 1 and not could_be_name(words[0]) and _TAKEN.search(text[: at + kept[0].start()]):
                continue
            stop = at + kept[-1].start() + len(plain_of(kept[-1][0]))
            if not _heads_eponym(text, stop):
                yield Found(at + kept[0].start(), stop, 0.65, False)


def _others(text: str, end: int) -> Iterator[Found]:
    """The further names of a list that a sure name begins: "her sons Milo, Otis and Theo", "Drs. Vole and Hale"."""
    while match := re.match(rf"(,\s+(?:and\s+)?|\s+and\s+|\s*&\s+)({PART})(?![\w'’])", text[end:]):
        standing, last = standing_of(match[2]), "and" in match[1] or "&" in match[1]
        further = re.match(rf"\s+and\s+{PART}", text[end + match.end() :]) is not None
        could = may_be(match[2]) or (could_be_name(match[2]) and not allow_list.is_listed(match[2]))
        if not (standing in ("first", "last") or ((last or further) and (standing == "unknown" or could))):
            return
        yield Found(end + match.start(2), end + match.end(2), 0.7, False)
        end += match.end()


def find(text: str, entities: list[tuple[int, int]]) -> list[Found]:
    """Names in an English text; `entities` is where the model sees a person. They may overlap."""
    context = list(_by_context(text))
    found = [*context, *_by_lists(text), *_by_model(text, entities)]
    for name in context:
        found += _others(text, name.end)
    found = [name for name in found if "_" not in text[name.start : name.end]]
    found = [name._replace(end=name.start + len(re.sub(r"['’]s$", "", text[name.start : name.end]))) for name in found]
    sure: set[str] = set()
    for name in found:
        if name.sure:
            for part in parts_of(text[name.start : name.end]):
                plain = plain_of(part[0])
                if len(plain) > 2 and not allow_list.is_clinical(plain) and not lexicon.is_plain_word(plain):
                    sure.add(plain.lower())
    if sure:
        for match in re.finditer(r"[^\W\d_][\w'’\-]*[^\W_]", text):
            plain = plain_of(match[0])
            if plain.lower() in sure and (plain[0].isupper()) and not _heads_eponym(text, match.start() + len(plain)):
                found.append(Found(match.start(), match.start() + len(plain), 0.72, False))
    return found
