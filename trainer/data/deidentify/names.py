# ruff: noqa: E501 - a pattern reads better whole
"""Names of people: after a title, a label or a relation, in lists of names, as the model sees them, and their echoes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from trainer.data.deidentify import allow_list, lexicon

# One part of a name: Mary, MARY, O'Neil, McKay, Smith-Jones; an initial; a particle between.
_PART = r"(?:(?:[OD]['’]|Mc|Mac|De|La|Di)?[A-ZÀ-Þ][\w’']{0,40}[\w](?:-[A-ZÀ-Þ][\w’']{1,40})*)"
_INITIAL = r"(?:[A-Z]\.|[A-Z](?![\w'’.]))"
_PARTICLE = r"(?:van|von|de|del|della|di|da|dos|der|den|la|le|bin|al|el|ter|st\.)"
_ANY = rf"(?:{_PART}|{_INITIAL})"
_RUN = rf"{_ANY}(?:(?:\s{{1,2}}|(?<=\.)){_ANY}|\s{_PARTICLE}(?:\s{_PARTICLE})?\s{_PART}){{0,3}}"
_RUN_LINE = _RUN.replace(r"\s", r"[ \t]")
_LAST_FIRST = rf"{_PART}(?:[ \t]{_PART})?[ \t]?,[ \t]?{_ANY}(?:[ \t]{_ANY})?\.?"

_TITLES = (
    r"(?:(?i:dr|mr|mrs|ms|mx|prof|rev|sgt|capt|lt|cpl|pvt|col|gen|maj|hon|fr|msgr|drs|mssrs|sra?|srta|dra)\b\.?|[Mm]ister|[Mm]iss|MISS|[Dd]octor|Nurse|NURSE|Professor|"
    r"Reverend|Pastor|Rabbi|Imam|Father|Sister|Brother|Officer|Deputy|Sheriff|Sergeant|Captain|Lieutenant|Corporal|Private|"
    r"Colonel|Major|Judge|Attorney|Senator|Madam|Aunt|Uncle|Auntie|Grandma|Grandpa|Cousin|Coach|Principal|Trooper|Detective|DOCTOR|Chaplain|"
    r"Señora?|Don|Doña|Therapist|Counselor|Midwife|Paramedic|Technician|Dietitian|Pharmacist)"
)
_DEGREES = (
    r"(?:M\.?D|D\.?O|R\.?N|P\.?A(?:-C)?|N\.?P|F\.?N\.?P|A\.?P\.?R\.?N|C\.?R\.?N\.?A|L\.?P\.?N|Ph\.?\s?D|D\.?P\.?T|M\.?P\.?T|O\.?T\.?R?|D\.?D\.?S|D\.?M\.?D|"
    r"Pharm\.?D|M\.?S\.?W|L\.?C\.?S\.?W|L\.?M\.?S\.?W|M\.?B\.?B\.?S|MBChB|O\.?D|D\.?P\.?M|C\.?N\.?M|D\.?C|B\.?S\.?N|M\.?S\.?N|R\.?D|R\.?P\.?h|R\.?T|"
    r"FACS|FACC|FACP|FRCS|FRCP|MRCP|CCC-SLP|SLP|PT|OT|CNA|CNS|CRNP|ARNP|DNP|EMT(?:-P)?|Psy\.?D|Ed\.?D|Esq|Jr|Sr|II|III|IV|PharmD)\b\.?"
)
_ROLES = (
    r"(?:attending|admitting|referring|primary(?:\s+care)?|consulting|treating|ordering|requesting|responsible|family|operating|assistant|"
    r"supervising|covering|on[\s\-]call|co-?)"
)
_WHO = (
    r"physician|doctor|provider|surgeon|clinician|anesthesiologist|anaesthetist|anesthetist|consultant|practitioner|radiologist|pathologist|"
    r"cardiologist|resident|fellow|intern|nurse|hospitalist|assistants?|author|therapist|midwife|technologist|"
    r"technician|pharmacist|dietitian|interpreter|case\s+manager|social\s+worker|counselor|psychiatrist|psychologist|"
    r"obstetrician|pediatrician|paediatrician|oncologist|neurologist|urologist|dermatologist|podiatrist|dentist|chaplain|scribe|"
    r"transcriptionist|medical\s+student|student"
)
_PERSONS = (
    r"guardian|insured|subscriber|guarantor|policy\s*holder|card\s*holder|resp(?:onsible)?\.?\s+party|(?:emergency\s+)?contact(?:\s+person)?|next\s+of\s+kin|nok|"
    r"spouse|witness(?:es)?|informant|historian|caregiver|proxy|health\s*care\s+proxy|poa|power\s+of\s+attorney|parents?|caller|employee|"
    r"recipient|donor|client|resident\s+name|member|beneficiary|relative|case\s*worker|sponsor"
)
_LABELS = (
    rf"(?:(?:patient|pt|client|resident|member|subject|mother|father|parent|guardian|spouse|maiden|full|first|last|middle|given|family|sur|preferred|"
    rf"legal|user|physician|doctor|provider|baby|infant|employee|insured|subscriber|guarantor|nick|contact|alias|former|birth)'?s?\s*)?name|name\s+of\s+(?:\w+\s+)?\w+|"
    rf"patient|pt|re|regarding|attn|attention|cc|bcc|from|to|dear|alias|aka|a\.k\.a\.|{_PERSONS}|pcp|md|"
    rf"(?:{_ROLES}\s+)*(?:{_WHO})|{_ROLES}|(?:(?:electronically|digitally)\s+)?(?:signed|dictated|transcribed|reviewed|authenticated|verified|performed|prepared|written|"
    rf"typed|approved|interpreted|read|entered|ordered|requested|referred|obtained|administered|witnessed|completed|reported|seen|examined|attested|cosigned|co-signed|"
    rf"recorded|documented|collected|drawn|accompanied)(?:\s+(?:electronically|digitally))?(?:\s+by)?|d|t|author"
)
_RELATIONS = (
    r"(?:husband|wife|spouse|partner|fianc[eé]e?|boyfriend|girlfriend|son|daughter|mother|mom|father|dad|parents?|sister|brother|siblings?|twins?|aunt|uncle|"
    r"niece|nephew|cousin|grand(?:mother|father|son|daughter|child|ma|pa|parents)|step\w+|friends?|neighbou?r|roommate|caregiver|guardian|"
    r"caretaker|boss|supervisor|co-?worker|teacher|landlord|dog|cat|baby|child|children|kids?|boys?|girls?|infant|widow|widower|"
    r"(?:brother|sister|mother|father|son|daughter)-in-law|nurse|therapist|social\s+worker|counselor|sponsor|pharmacist|resident|student|doctor|physician|pediatrician|surgeon)"
)
_OPENINGS = (
    r"(?:[Hh]i|[Hh]ello|[Hh]ey|HI|HELLO|[Tt]hanks|[Tt]hank\s+you(?:\s+(?:so|very)\s+much)?|[Gg]ood\s+(?:morning|afternoon|evening|day|night)|[Ww]elcome(?:\s+back)?|[Bb]ye|[Gg]oodbye|"
    r"[Ss]orry|[Oo]kay|OK|[Oo]h|[Ss]o|[Ww]ell|[Yy]es|[Nn]o|[Aa]lright|[Aa]ll\s+right|[Pp]lease|[Cc]ome\s+(?:on\s+)?in|[Nn]ice\s+to\s+(?:meet|see)\s+you|[Gg]reat|[Rr]ight|[Ss]ure|[Yy]eah|[Nn]ow|[Dd]ear)"
)
_CALLED = (
    r"(?:[Mm]y\s+name(?:\s+is|'s|’s)|[Nn]ame(?:\s+is|'s|’s)|(?:[Ii]\s*['’]?\s*a?m|I['’]m)|[Tt]his\s+is|goes\s+by(?:\s+the\s+name(?:\s+of)?)?|(?:be\s+|is\s+|was\s+|are\s+)?called|known\s+as|named|"
    r"nicknamed|a\.?k\.?a\.?|A\.?K\.?A\.?|[Cc]all\s+(?:me|him|her)|[Mm]et\s+with|introduced\s+(?:as|to))"
)
_SPEAK = (
    r"(?:[Dd]iscussed\s+(?:\w+\s+){0,3}?with|[Ss]poken?\s+(?:to|with)|[Ss]een\s+(?:by|with)|[Rr]eferr(?:ed|ing)(?:\s+\w+)?\s+(?:by|to)|[Rr]eferring|"
    r"[Tt]old|[Cc]alled(?:\s+by)?|[Cc]ontacted|[Pp]aged|[Nn]otified|[Ii]nformed|[Aa]sked|[Ss]eeing|[Tt]hank|[Uu]pdated|care\s+of|examined\s+by|"
    r"assisted\s+by|accompanied\s+by|reviewed\s+(?:by|with))"
)


class Found(NamedTuple):
    start: int
    end: int
    score: float
    sure: bool
    """What stands around it leaves no doubt: the same word elsewhere in the text is then the same person."""


# Endings of terms that no list holds; a name with one of them is in the lists of names.
_TERM = re.compile(
    r"[a-z]{3}(?:ia|oid|ial|al|ic|ous|ism|ide|ate|ive|ary|tion|ment|lysis|gram|graphy|metry|meter|boli|ase)$"
)
# What is taken, applied or prescribed is a drug, whoever the model sees in it.
_TAKEN = re.compile(
    r"\b(?:takes?|taking|took|us(?:es?|ing|ed)|appl(?:y|ied|ication of)|applications of|continued?|start(?:s|ed|ing)?|"
    r"restarted|stop(?:ped)?|prescribed?|refill(?: of)?|generic for|dose of|mg of|given|gave|increased?|tried)\s+$",
    re.IGNORECASE,
)
_SPEAKERS = frozenset(
    [
        "patient",
        "doctor",
        "nurse",
        "pt",
        "clinician",
        "provider",
        "physician",
        "re",
        "to",
        "from",
        "d",
        "t",
        "read",
        "seen",
    ]
)


def _plain(part: str) -> str:
    return re.sub(r"['’]s?$", "", part).strip(".,")


def _is_initial(part: str) -> bool:
    return re.fullmatch(r"[A-Z]\.?", part) is not None


@cache
def _standing(part: str) -> str:
    """What a capitalised word may be: first, last, unknown (to every list), clinical, or word (of English).

    Names that are words too ("Grace", "Brown") are words here: what stands around them has to speak for a name.
    """
    plain = _plain(part).lower()
    if len(plain) < 2 or plain in lexicon.word_list("no_name_after_title"):
        return "word"
    if allow_list.is_listed(plain):
        return "clinical"
    first, last = plain in lexicon.first_names(), plain in lexicon.last_names()
    if lexicon.is_plain_word(plain):
        return "word"
    if plain in lexicon.word_list("states"):
        return "word"
    if first:
        return "first"
    if "-" in plain and all(_standing(piece.capitalize()) != "word" for piece in plain.split("-")):
        return "last"
    if last:
        return "clinical" if allow_list.is_eponym(plain) and not first else "last"
    if allow_list.is_clinical(plain):
        return "clinical"
    return (
        "word"
        if re.search(r"[\d_]|[a-z][A-Z]", re.sub(r"^(?:Mc|Mac|De|La|Di|Van|Fitz)", "", _plain(part)))
        else "unknown"
    )


@cache
def _could_be_name(part: str) -> bool:
    """Is it in a list of names, whatever else it may be?"""
    plain = _plain(part).lower()
    return plain in lexicon.first_names() or plain in lexicon.last_names() or allow_list.is_eponym(plain)


def _may_be(word: str) -> bool:
    """Is it a noun with a capital that may be a name where one is expected: no kin, no role, nothing clinical?"""
    plain = _plain(word)
    return (
        plain[:1].isupper()
        and plain[1:].islower()
        and lexicon.only_noun(plain)
        and not allow_list.is_clinical(plain)
        and plain.lower() not in lexicon.word_list("persons") | lexicon.word_list("no_name_after_title")
    )


def _parts(run: str) -> list[re.Match[str]]:
    return list(re.finditer(rf"{_PARTICLE}(?=\s)|[A-Z]\.(?=[A-Z])|[^\s,]+", run))


def _cut(run: str, lenient_first: bool) -> int:
    """How much of a run of capitalised words is a name, from its start: an end, 0 for none of it.

    With `lenient_first` (after a title or a sure label) the first word may be any but a word of function or a role.
    """
    end, named = 0, 0
    for n, match in enumerate(_parts(run)):
        part = match[0].rstrip(",")
        plain = _plain(part)
        if plain.lower() in lexicon.word_list("no_name_after_title") and len(plain) > 1:
            break
        if _is_initial(part) or re.fullmatch(_PARTICLE, part):
            if not re.fullmatch(_PARTICLE, part):
                end = match.end()
            continue
        standing = _standing(part)
        if (
            (named == 0 and lenient_first and not (allow_list.is_listed(plain) and not _could_be_name(part)))
            or standing in ("first", "last", "unknown")
            or (
                _could_be_name(part)
                and not (named and lexicon.is_plain_word(plain) and plain.lower() not in lexicon.last_names())
            )
        ):
            named += 1
        elif named and part[1:].islower() and lexicon.only_noun(plain) and not allow_list.is_clinical(plain):
            named += 1  # "Marcus Ibrahim": WordNet's nouns have many a name that the lists lack
        else:
            break
        end = match.start() + len(part)
        if n >= 4:
            break
    while end and run[end - 1] in ".," and not re.search(r"\b[A-Z]\.$", run[:end]):
        end -= 1
    return end


@cache
def _patterns() -> dict[str, Any]:
    import regex

    c = regex.compile
    return {
        "title": c(rf"(?<![\w.]){_TITLES}(?:\s+(?:and|&|or)\s+{_TITLES})?\s{{1,2}}(?P<n>{_RUN})"),
        "lower_title": c(r"(?<![\w.])(?i:dr|mr|mrs|ms)\.?\s(?P<n>[a-z][a-z'’\-]{2,}(?:\s[a-z][a-z'’\-]{2,})?)"),
        "degree": c(rf"(?<![\w.])(?P<n>{_RUN_LINE})(?:,[ \t]?|[ \t])(?={_DEGREES}(?![\w]))"),
        "last_first_degree": c(rf"(?<![\w.])(?P<n>{_LAST_FIRST}),?[ \t](?={_DEGREES}(?![\w]))"),
        "label": c(
            rf"(?:(?<=^)|(?<=[\n.;,|(\[]\s?)|(?<=\s))(?P<l>(?i:{_LABELS}))(?:'s)?[ \t]*(?:\#[ \t]*)?(?::|-{{1,2}}[ \t]|–|\||=)[ \t]*(?:{_TITLES}[ \t])?(?P<n>{_LAST_FIRST}|{_RUN_LINE})",
            regex.MULTILINE,
        ),
        "spaced_label": c(
            rf"(?:P\sa\st\si\se\sn\st(?:\s+N\sa\sm\se)?|N\sa\sm\se)\s*:\s*(?P<n>{_LAST_FIRST}|{_RUN_LINE})"
        ),
        "bare_label": c(
            rf"(?<![\w])(?i:(?:patient|pt)?\s?name|nok|(?:electronically\s+|digitally\s+)?(?:signed|dictated|transcribed|reviewed|authenticated|obtained|witnessed)(?:\s+(?:electronically|digitally))?\s+by|dear)[ \t]+(?:{_TITLES}[ \t])?(?P<n>{_LAST_FIRST}|{_RUN_LINE})"
        ),
        "lower_label": c(
            r"(?i:(?:patient|pt|client)?'?s?\s?name)\s*[:\-]\s*(?P<n>[a-z][a-z'’\-]+(?:,?\s+[a-z][a-z'’\-]*){0,3})(?=\s*(?:$|\n|[.;,|]))"
        ),
        "relation": c(
            rf"(?<![\w])(?i:{_RELATIONS})(?:['’]s\s+name)?(?:\s+(?:is|are)|\s*,|\s+named|\s+called|\s*\()?\s+?(?:is\s+)?(?:\()?(?P<n>{_RUN})|(?<![\w])(?i:{_RELATIONS})\s?\((?P<n2>{_RUN})\)"
        ),
        "role": c(rf"(?<![\w])(?i:(?:{_ROLES}\s+)*(?:{_WHO}))(?:\s+(?:is|was|are))?,?\s+(?P<n>{_RUN})"),
        "called": c(rf"(?<![\w]){_CALLED}[,\s:]+(?:{_TITLES}\s)?[\"“']?(?P<n>{_RUN})"),
        "opening": c(rf"(?<![\w]){_OPENINGS}\s*,?\s+(?:{_TITLES}\s)?(?P<n>{_RUN})(?=\s*[,.!?;:\n]|\s*$)"),
        "speak": c(rf"(?<![\w]){_SPEAK}\s+(?P<n>{_RUN})"),
        "nickname": c(rf"(?<![\w’'])(?P<n>{_PART})\s+[\"“'(](?P<n2>{_PART})[\"”')]\s+(?P<n3>{_PART})"),
        "baby": c(rf"(?<![\w])(?:(?i:baby\s+(?:boy|girl)|infant\s+of)|BB|BG)\s+(?:of\s+)?(?P<n>{_PART})"),
        "last_first": c(rf"(?<![\w.])(?P<n>{_LAST_FIRST})(?![\w])"),
        "run": c(rf"(?<![\w.@/\-'’]){_RUN}"),
        "initials": c(
            r"(?i:\binitials)\s*(?:are|is)?[:\s]+(?P<n>(?:[A-Z]\.?\s?){2,4})(?![a-z])|(?<![\w.])(?P<n2>(?:[A-Z]\.){2,3})(?=\s+(?:is|was|has)\s+(?:a|an|the)\b)|"
            r"(?i:transcribed|dictated|typed|signed|entered)\s+(?i:by)\s*:?\s*(?P<n3>[A-Za-z]{2,4}(?:/[A-Za-z]{2,4})?)(?=\s*(?:$|\n|[.;]))|"
            r"(?<![\w])T\s?:\s?(?P<n4>[A-Za-z]{2,4})(?=\s*(?:$|\n|[.;]))|^(?P<n5>[A-Z]{2,3}[:/][a-z]{2,4})$",
            regex.MULTILINE,
        ),
        "possessive": c(rf"(?<![\w.])(?P<n>{_PART})['’]s?\s+(?=\w)"),
    }


def _heads_eponym(text: str, end: int) -> bool:
    """Does a word follow that makes a disease or a tool of the name that ends here?"""
    after = re.match(r"(?:['’]s?)?(?:[\s\-]+(?:and|/)?\s?[A-Z][\w’']+)?[\s\-]+([A-Za-z]+)", text[end:])
    direct = re.match(r"(?:['’]s?)?[\s\-]+([A-Za-z]+)", text[end:])
    return any(match is not None and allow_list.heads_eponym(match[1]) for match in (after, direct))


def _named(text: str, match: Any, group: str, lenient: bool, score: float, sure: bool) -> Iterator[Found]:
    if match.group(group) is None:
        return
    start, run = match.start(group), match.group(group)
    end = _cut(run, lenient)
    if end:
        yield Found(start, start + end, score, sure)


def _proof(run: str) -> bool:
    """Does a run of words hold one that is a name or no word of any list?"""
    return any(_standing(m[0]) in ("first", "last", "unknown") for m in _parts(run) if not _is_initial(m[0]))


def _by_context(text: str) -> Iterator[Found]:
    """Names that a title, a degree, a label, a relation or an address gives away."""
    p = _patterns()
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
            words = [m[0] for m in _parts(run)]
            while words and not _proof(words[0]) and not _is_initial(words[0]) and not _could_be_name(words[0]):
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
            several = len([m for m in _parts(run) if not _is_initial(m[0])]) > 1
            # In a dialogue, "Patient:" and "Doctor:" say who speaks: a name there has two parts.
            speaker = label in _SPEAKERS
            if _proof(run) and (several or not speaker):
                whole = re.match(r"[ \t]*(?:$|[\n,;|(])", text[match.end("n") :]) is not None
                end = _cut(run, not speaker or whole)
                if end and (not speaker or _proof(run[:end])):
                    yield Found(match.start("n"), match.start("n") + end, 0.86, True)
            elif "," in run and not speaker and all(_could_be_name(m[0]) or _is_initial(m[0]) for m in _parts(run)):
                yield Found(match.start("n"), match.end("n"), 0.86, True)
            elif not speaker and _may_be(run.split()[0].rstrip(",")):
                yield Found(match.start("n"), match.start("n") + _cut(run, True), 0.7, False)
            elif "name" in label and all(not allow_list.is_listed(m[0]) for m in _parts(run)):
                yield Found(match.start("n"), match.end("n"), 0.7, False)
    for match in p["lower_label"].finditer(text):
        yield Found(match.start("n"), match.end("n"), 0.8, False)
    for match in p["relation"].finditer(text):
        for group in ("n", "n2"):
            first = match.group(group).split()[0] if match.group(group) else ""
            if first and (_proof(first) or _could_be_name(first) or _may_be(first)):
                yield from _named(text, match, group, True, 0.8, _proof(match.group(group)))
    for match in p["role"].finditer(text):
        if _proof(match["n"].split()[0]) and not _heads_eponym(text, match.end("n")):
            yield from _named(text, match, "n", False, 0.75, False)
    for match in p["called"].finditer(text):
        first = match["n"].split()[0]
        saying = re.match(r"[Ii]\s*['’]?\s*a?m|[Tt]his", match[0])
        # "A drug called Zeltrix": what is called by an unknown word is a person only where it speaks of itself.
        own = saying or re.search(r"[Nn]ame|goes\s+by|[Cc]all\s+(?:me|him|her)", match[0])
        standing = _standing(first)
        if (
            standing in ("first", "last")
            or (own and (standing == "unknown" or _may_be(first)))
            or (_could_be_name(first) and not saying)
        ):
            yield from _named(text, match, "n", True, 0.8, not saying)
        elif re.search(
            r"goes\s+by|be\s+called|nicknamed|[Cc]all\s+(?:me|him|her)|[Mm]y\s+name", match[0]
        ) and first.lower() not in lexicon.word_list("no_name_after_title"):
            yield from _named(text, match, "n", True, 0.7, False)
    for match in p["opening"].finditer(text):
        first = match["n"].split()[0]
        if _standing(first) in ("first", "last") or (_could_be_name(first) and not allow_list.is_clinical(first)):
            yield from _named(text, match, "n", True, 0.75, _standing(first) == "first")
        elif re.match(r"(?i:hi|hello|hey|thank|good|welcome|nice)", match[0]) and _may_be(first):
            yield from _named(text, match, "n", True, 0.6, False)
    for match in p["speak"].finditer(text):
        if _standing(match["n"].split()[0]) in ("first", "last", "unknown") and not match["n"].isupper():
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
    p = _patterns()
    for match in p["last_first"].finditer(text):
        last, _, first = match["n"].partition(",")
        firsts = [m[0] for m in _parts(first)]
        if (
            firsts
            and _plain(firsts[0]).lower() in lexicon.first_names()
            and _standing(last.split()[-1]) in ("last", "first", "unknown")
        ):
            line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip()
            if not line or line.endswith(":") or _standing(last.split()[-1]) == "last":
                yield Found(match.start("n"), match.start("n") + len(match["n"].rstrip(".")), 0.7, False)
    for match in p["run"].finditer(text):
        parts = _parts(match[0])
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
    if _is_initial(word):
        # J. Doe, J. R. Doe
        k = n
        while k < len(parts) and _is_initial(parts[k][0]):
            k += 1
        if k < len(parts) and parts[k - 1][0].endswith(".") and _standing(parts[k][0]) == "last":
            return Found(start, at + parts[k].end(), 0.7, True), k + 1
        return None
    standing = _standing(word)
    plain = _plain(word).lower()
    could_first = plain in lexicon.first_names() and not allow_list.is_listed(plain)
    if standing in ("first", "last", "unknown") or could_first:
        k = n + 1
        while k < len(parts) and (_is_initial(parts[k][0]) or re.fullmatch(_PARTICLE, parts[k][0])):
            k += 1
        if k < len(parts) and (could_first or standing == "first"):
            second = parts[k][0]
            listed_last = _plain(second).lower() in lexicon.last_names() and not allow_list.is_listed(second)
            ok = (
                _standing(second) in ("last", "first", "unknown")
                or (listed_last and (standing == "first" or not lexicon.is_plain_word(_plain(second))))
                or (standing == "first" and k > n + 1 and _may_be(second))  # Kate M Begum
            )
            if ok and not (_heads_eponym(text, at + parts[k].end()) and standing != "first"):
                end = parts[k]
                if k + 1 < len(parts) and _standing(parts[k + 1][0]) in ("last", "unknown"):
                    end, k = parts[k + 1], k + 1
                return Found(start, at + end.start() + len(end[0].rstrip(".,")), 0.75, True), k + 1
    if n + 1 < len(parts) and (standing == "unknown" or _may_be(word)) and word[1:].islower():
        # A first name that no list has, before a last name that one has.
        second = parts[n + 1][0]
        if _standing(second) == "last" and not _TERM.search(word) and not _heads_eponym(text, at + parts[n + 1].end()):
            return Found(start, at + parts[n + 1].start() + len(_plain(second)), 0.6, True), n + 2
    end = start + len(_plain(word))
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
        for match in re.finditer(_RUN, text[start:end]):
            kept = [m for m in _parts(match[0])]
            while (
                kept
                and _standing(kept[0][0]) in ("word", "clinical")
                and not (_could_be_name(kept[0][0]) and len(kept) > 1 and not allow_list.is_listed(kept[0][0]))
            ):
                kept = kept[1:]
            while kept and (
                _standing(kept[-1][0]) in ("word", "clinical") and not (_could_be_name(kept[-1][0]) and len(kept) > 1)
            ):
                kept = kept[:-1]
            if not kept or all(_is_initial(m[0]) for m in kept):
                continue
            words = [m[0] for m in kept]
            if any(
                allow_list.is_listed(word) or allow_list.is_drug(_plain(word))
                for word in words
                if not _is_initial(word)
            ):
                continue
            if len(words) == 1 and (
                (words[0].isupper() and len(words[0]) < 7) or (not _could_be_name(words[0]) and _TERM.search(words[0]))
            ):
                continue
            at = start + match.start()
            if len(words) == 1 and not _could_be_name(words[0]) and _TAKEN.search(text[: at + kept[0].start()]):
                continue
            stop = at + kept[-1].start() + len(_plain(kept[-1][0]))
            if not _heads_eponym(text, stop):
                yield Found(at + kept[0].start(), stop, 0.65, False)


def _others(text: str, end: int) -> Iterator[Found]:
    """The further names of a list that a sure name begins: "her sons Milo, Otis and Theo", "Drs. Vole and Hale"."""
    while match := re.match(rf"(,\s+(?:and\s+)?|\s+and\s+|\s*&\s+)({_PART})(?![\w'’])", text[end:]):
        standing, last = _standing(match[2]), "and" in match[1] or "&" in match[1]
        further = re.match(rf"\s+and\s+{_PART}", text[end + match.end() :]) is not None
        could = _may_be(match[2]) or (_could_be_name(match[2]) and not allow_list.is_listed(match[2]))
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
            for part in _parts(text[name.start : name.end]):
                plain = _plain(part[0])
                if len(plain) > 2 and not allow_list.is_clinical(plain) and not lexicon.is_plain_word(plain):
                    sure.add(plain.lower())
    if sure:
        for match in re.finditer(r"[^\W\d_][\w'’\-]*[^\W_]", text):
            plain = _plain(match[0])
            if plain.lower() in sure and (plain[0].isupper()) and not _heads_eponym(text, match.start() + len(plain)):
                found.append(Found(match.start(), match.start() + len(plain), 0.72, False))
    return found
