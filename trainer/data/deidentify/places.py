# ruff: noqa: E501 - a pattern reads better whole
"""Places smaller than a state, and the hospitals, employers and schools that tell where a person is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from trainer.data.deidentify import allow_list, lexicon

_SUFFIX = r"(?:Street|St|Avenue|Ave|Av|Road|Rd|Lane|Ln|Drive|Dr|Court|Ct|Boulevard|Blvd|Way|Place|Pl|Terrace|Ter|Circle|Cir|Parkway|Pkwy|Highway|Hwy|Route|Rte|Trail|Trl|Square|Sq|Plaza|Alley|Loop|Crescent|Close|Row|Pike|Turnpike|Expressway|Run|Path|Walk|Crossing|Bend|Ridge|Heights)"
_CLEAR = r"(?:street|avenue|ave|road|rd|lane|ln|boulevard|blvd|drive|court|terrace|parkway|highway|way|place|st|dr)"
_CAP = r"(?:[A-ZÀ-Þ0-9][\w'’\-]*\.?)"
_UNIT = (
    r"(?:,?\s+(?:(?i:apt|apartment|unit|suite|ste|bldg|building|floor|fl|room|rm|lot|trailer|\#)\.?\s*\#?\s*[\w\-]+))?"
)
_STATE_NAMES = "|".join(sorted((state.title() for state in lexicon.word_list("states")), key=len, reverse=True))
_STATE = rf"(?:{'|'.join(sorted(lexicon.word_list('state_codes')))}|{_STATE_NAMES}|{_STATE_NAMES.upper()})(?![\w])"
_ZIP = r"\d{5}(?:\s?-\s?\d{4})?(?![\w\-])"
_CITY = r"[A-Z][\w'’\-]*\.?(?:[ ][A-Z][\w'’\-]*\.?){0,3}"
_UK = r"[A-Z]{1,2}\d[A-Z\d]?\s\d[A-Z]{2}(?![\w])"
_TAIL = rf"(?:,\s*{_CITY}\s+{_UK}|[,\s]\s*{_CITY},?\s+{_STATE}(?:,?\s+{_ZIP})?|,?\s+{_STATE}\s+{_ZIP}|,\s*{_CITY}(?:,?\s+{_ZIP})?)?"
_NAMES = r"(?:[A-Z][\w'’\-]*\.?|[A-Z]\.|&|of|the|and|de|du|la|for)"
_FACILITY = (
    r"(?:Hospitals?|Practice|Medical\s+(?:Center|Centre|Group|Associates|College|Clinic|Plaza)|Clinics?|Infirmary|Health\s*(?:System|Center|Centre|Network|Services|Care|Clinic|Plan)?|"
    r"Healthcare|Nursing\s+(?:Home|Facility|Center)|Acres|Meadows|Oaks|Pines|Grove|Manor|Hospice|Surgery\s+Center|Surgical\s+Center|Cancer\s+(?:Institute|Center|Centre)|Institute|Urgent\s+Care|"
    r"Rehab(?:ilitation)?(?:\s+(?:Center|Hospital|Facility))?|Care\s+(?:Center|Centre|Home)|Memorial|Dialysis(?:\s+Center)?|Pharmacy|Drugs|Drugstore|Apothecary|Laborator(?:y|ies)|Labs?|"
    r"(?:High|Elementary|Middle|Primary|Secondary|Grade|Preparatory|Nursing|Public|Charter)\s+School|Schools?|School\s+District|Academy|University|College|Kindergarten|Preschool|Daycare|"
    r"Church|Parish|Temple|Mosque|Synagogue|Cathedral|Chapel|Village|Heights|Estates|Gardens|Apartments|Towers|Plaza|Mall|Park|Prison|Jail|Penitentiary|"
    r"Correctional\s+(?:Facility|Institution)|Shelter|Assisted\s+Living|Retirement\s+(?:Community|Home|Center)|Senior\s+(?:Living|Center)|Senior\s+Center|Library|Airport|Base|Fort|Camp|Lodge|Inn|Hotel|Casino|Speedway|Terrace)"
)
_FIRM = r"(?:Inc|LLC|L\.L\.C|Corp|Corporation|Co|Company|Ltd|Limited|Works|Industries|Logistics|Airlines|Airways|Motors|Bank|Foods|Dairy|Freight|Textiles|Mining|Construction|Trucking|Plumbing|Electric|Enterprises|Partners|Associates|Holdings|Manufacturing|Mills|Steel|Stores|Supermarket|Bakery|Restaurant|Farms?|Ranch|Brewery|Sons|Brothers|Bros|Parcel\s+Service|Sheriff['’]s\s+Office|Police\s+Department|Fire\s+Department|Post\s+Office|Electronics|Systems|Technologies|Services|Solutions|Insurance|Realty|Studios?)"
_LIVES = (
    r"(?i:(?:liv(?:es?|ed|ing)|resid(?:es?|ed|ing)|resident|born|rais(?:ed|ing)|gr(?:e|o)w(?:n|ing|s)?\s+up|mov(?:ed|ing|es)(?:\s+\w+)?|travel(?:s|l?ed|l?ing)?(?:\s+\w+)?|trip|"
    r"c[ao]mes?|is|originally|native|visit(?:s|ed|ing)?|drove(?:\s+\w+)?|dr(?:o|i)ven?(?:\s+\w+)?|fl(?:ew|own)|transferred|return(?:ed|ing)?|relocated|stay(?:s|ed|ing)?|work(?:s|ed|ing)?|retired|vacation(?:ed|ing)?|"
    r"located|based|farm(?:s|ed)?|settled|back|home|house|over|down|up|out|here|family|farm|place|office|practice|store|clinic|hospital|facility)\s+(?:(?:over|down|up|out|back|here|all|around|just|right)\s+)?(?:in|of|to|near|from|at|outside|around|by|through))"
)
_WORK = r"(?i:employer(?:\s+is)?|works?\s+(?:(?:\w+\s+){0,3})?(?:for|at|with)|worked\s+(?:(?:\w+\s+){0,3})?(?:for|at|with)|working\s+(?:(?:\w+\s+){0,2})?(?:for|at|with)|employed\s+(?:(?:\w+\s+){0,3})?(?:by|at|with)|retired\s+from|employee\s+of|(?:job|driver|manager|clerk|teacher|nurse|welder|cashier|position|engineer|worker)\s+(?:at|with|for)|occupation)"


@cache
def _patterns() -> dict[str, Any]:
    import regex

    c = regex.compile
    return {
        "address": c(
            rf"(?:(?<![\w])(?i:apt|apartment|flat|unit|suite)\.?\s*\#?\w{{1,4}},\s+)?(?<![\w/.\-])\d{{1,5}}[A-Z]?(?:-\d+)?,?\s+(?:(?:[NSEW]|North|South|East|West|NE|NW|SE|SW)\.?\s+)?(?:{_CAP}\s+){{1,4}}?(?:{_SUFFIX}|{_SUFFIX.upper()})\b\.?(?:\s+(?:[NSEW]|NE|NW|SE|SW)\b\.?)?{_UNIT}{_TAIL}"
        ),
        "address_lower": c(
            rf"(?<![\w/.\-])\d{{1,5}}\s+(?:[a-z][a-z'’\-]+\s+|\d+(?:st|nd|rd|th)\s+){{1,3}}?{_CLEAR}\b\.?(?:,?\s+(?:apt|apartment|unit|suite|ste|\#)\.?\s*\#?\s*[\w\-]+)"
            rf"|(?<=\b(?i:addr|address|lives\s+at|resides\s+at|mail\s+to)\W{{1,3}})\d{{1,5}}\s+(?:[a-z0-9][a-z0-9'’\-]*\s+){{1,4}}?{_CLEAR}\b\.?"
            rf"|(?<![\w/.\-])\d{{2,5}}\s+(?:[a-z][a-z'’\-]{{2,}}\s+|\d+(?:st|nd|rd|th)\s+){{1,2}}?(?:street|avenue|boulevard|blvd|lane)\b"
        ),
        "street": c(r"(?<![\w])(?:(?:[A-Z][\w'’\-]*|\d{1,3}(?:st|nd|rd|th))\s+){1,3}(?:Street|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Boulevard|Blvd|Parkway|Highway|Turnpike|Court|Terrace|Way|Place|St\.|Dr\.?(?=\s+and\b|[.;,]?$))(?![\w])"),
        "street_after": c(rf"(?<=\b(?:on|at|near|of|off|and|along|corner\s+of)\s)(?:(?:[A-Z][\w'’\-]*|\d{{1,3}}(?:st|nd|rd|th))\s+){{1,3}}(?:{_SUFFIX})\b\.?"),
        "military": c(r"\b(?:PSC|CMR|UNIT|Unit)\s+\d+,?\s+(?:Box|BOX)\s+\d+,?\s+(?:APO|FPO|DPO)\s+(?:AA|AE|AP)(?:\s+\d{5}(?:-\d{4})?)?"),
        "interstate": c(r"\b(?:I-|Interstate\s|(?:County|State|Farm)\s(?:Road|Route)\s|Route\s|Highway\s|Hwy\.?\s|US-|Rte\.?\s)\d{1,3}\b(?:\s+(?:mile\s+marker|exit)\s+\d+)?"),
        "box": c(rf"\b(?i:p\.?\s?o\.?\s?box|post\s+office\s+box|box)\s*\#?\s*(?=\d)\d+{_TAIL}|\b(?i:p\.?\s?o\.?\s?box)\s*\#?\s*\w+"),
        "city_state": c(rf"(?<![\w]){_CITY},?\s+{_STATE}(?:,?\s+{_ZIP})?"),
        "zip": c(rf"(?i:zip(?:\s*-?\s*code)?|postal\s+code|postcode)\s*[:#\-=]?\s*(?:is\s+)?\K(?:{_ZIP}|\d{{3,6}}(?:[ \-]\d{{2,4}})?(?![\w\-])|[A-Z]{{1,2}}\d[A-Z\d]?\s?\d[A-Z]{{2}}|[A-Z]\d[A-Z]\s?\d[A-Z]\d)|(?<![\w\-])\d{{5}}-\d{{4}}(?![\w\-])"),
        "county": c(r"(?<![\w])(?:[A-Z][\w'’\-]+\s){1,2}(?:County|Parish|Township|Borough|COUNTY)\b|\b(?:Township|Borough|County|City|Town|Village)\s+of\s+[A-Z][\w'’\-]+(?:\s[A-Z][\w'’\-]+)?"),
        "facility": c(rf"(?<![\w])(?:(?:St\.|Saint|{_NAMES})[ \t]+){{1,5}}?(?:{_FACILITY})(?:\s+(?:{_FACILITY})){{0,2}}\b(?:\s+(?:of|at|for|in)\s+(?:the\s+)?[A-Z][\w'’\-]+(?:[ \t][A-Z][\w'’\-]+){{0,2}})?(?:,\s*{_CITY.replace('{0,3}', '{0,1}')},\s+{_STATE})?"),
        "facility_of": c(r"\b(?:University|Univ\.|Hospital|College|Church|School|Clinic|Institute)(?:\s+(?:Hospital|Clinic))?\s+of\s+(?:the\s+)?[A-Z][\w'’\-]+(?:[ \t][A-Z][\w'’\-]+){0,2}"),
        "caps_facility": c(rf"(?<![\w])(?:[A-Z][A-Z.'’]+[ \t]+){{1,4}}(?:{_FACILITY.upper().replace('S+', 's+')})\b(?:\s+OF\s+[A-Z]+(?:\s[A-Z]+)?)?"),
        "church": c(r"(?<![\w])(?:[A-Z][\w'’.\-]*\s){2,4}(?:Church|Temple|Synagogue|Mosque)\b"),
        "saint": c(r"(?<![\w])(?:St\.|Saint|Mount|Mt\.|Our\s+Lady\s+of|Holy|Sacred|Good|Fort|Ft\.|Camp|Lake)\s+[A-Z][\w'’\-]+(?:['’]s)?(?:\s(?:Parish|Church|Hospital|Heart|Shepherd|Hospice|School|Elmo|Infirmary))?"),
        "firm": c(rf"(?<![\w])(?:[A-Z][\w'’\-]*[ \t]+(?:&[ \t]+|and[ \t]+)?){{1,4}}(?:{_FIRM})\b\.?"),
        "labelled": c(r"(?:^|(?<=[\n.;,|]\s?)|(?<=\s))(?i:(?:home\s+|mailing\s+|street\s+|work\s+)?address|addr|street|city(?:/state(?:/zip)?)?|town|employer|facility|hospital|pharmacy|clinic|school|church|community|neighbou?rhood|county|location|place\s+of\s+(?:birth|employment|work)|birth\s*place|precinct|district|residence|work\s*place|lab|agency|institution)\s*(?::|\s-\s|=)\s*(?P<n>[A-Z0-9][^\n;|]{1,90})", regex.MULTILINE),
        "work": c(rf"(?<![\w]){_WORK}\s*(?:[:\-]\s*)?(?:the\s+|a\s+)?(?P<n>[A-Z][\w'’\-]*(?:[ \t]+(?:of[ \t]+|and[ \t]+)?[A-Z&][\w'’\-]*){{0,4}}(?:[ \t](?:Inc|Corp|Co|Ltd)\.)?)"),
        "lives": c(rf"(?<![\w]){_LIVES}\s+(?:the\s+)?(?P<n>(?:(?:St|Ft|Mt)\.\s)?[A-Z][\w'’\-]*(?:[ \t][A-Z][\w'’\-]*){{0,2}})(?:,\s*{_STATE})?"),
        "in_office": c(r"\bin\s+(?:the|our)\s+(?P<n>[A-Z][\w'’\-]+(?:\s[A-Z][\w'’\-]+)?)\s+(?:office|clinic|neighbou?rhood|area|plant|branch|facility|hospital|location|store)|\bthe\s+(?P<n2>[A-Z][\w'’\-]+(?:\s(?:&\s)?[A-Z][\w'’\-]+){0,3})\s+(?:plant|factory|neighbou?rhood|mine|warehouse|mill|office|branch)"),
        "room": c(r"(?<![\w])(?i:rooms?|rm|bed|ward|bay|cubicle|floor|unit|room/bed|precinct|district|suite|apt|apartment|trailer|lot|stall|gate)\.?\s*(?i:\#|no\.?|number)?\s*[:#]?\s*\K(?=[A-Z]{0,2}-?\d)[A-Z]{0,2}-?\d{1,4}(?:-?[A-Z]{1,2})?(?:-\d{1,2}|/\d{1,2})?(?![\w%/]|\.\d|\s*(?i:mg|ml|days?|weeks?|hours?|units?|of\b|minutes?|times|x\b|years?|months?|g\b|mcg|to\s+\d))"),
        "wing": c(r"(?<![\w])\d{1,2}\s?(?i:north|south|east|west|[NSEW])(?=\s*,?\s*(?i:bed|room|rm|wing|unit|tower|ward))(?:\s*,?\s*(?i:bed|room|rm|unit)\s*\#?\d{1,4}[A-Z]?)?|(?i:location|unit|ward)\s*:\s*\K\d{1,2}\s?(?i:north|south|east|west|[NSEW])\b"),
        "run": c(r"(?<![\w.@/\-'’])[A-Z][\w'’]*\.?(?:[ ][A-Z][\w'’]*){0,2}"),
    }  # fmt: skip


def _generic(word: str) -> bool:
    plain = word.lower().strip(".,")
    return plain in lexicon.word_list("generic_houses") or plain in ("&", "de", "du", "la")


def _telling(words: str) -> bool:
    """Does a name of a house or firm hold a word that is its own: not only "Emergency" or "Pain" or "Community"?"""
    parts = [re.sub(r"['’]s?$", "", part).strip(".,&") for part in words.split()]
    return any(
        part
        and part.lower() not in lexicon.word_list("generic_houses")
        and part[0].isupper()
        and not (allow_list.is_listed(part) and part.lower() not in ("st", "boston"))
        and part.lower() not in lexicon.word_list("states")
        for part in parts
    )


def _is_town(words: str) -> bool:
    return words.lower().rstrip(".,") in lexicon.towns()


def _no_place(words: str) -> bool:
    """A state, a country, a word or a clinical term: what may stand."""
    plain = words.lower().strip(".,")
    if plain in lexicon.word_list("states") or plain in lexicon.word_list("countries"):
        return True
    parts = [re.sub(r"['’]s?$", "", part).strip(".,") for part in plain.split()]
    if plain in lexicon.towns() and len(parts) > 1:
        return False
    months = (
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    )
    return all(
        part in months
        or part in lexicon.word_list("countries")
        or allow_list.is_clinical(part)
        or part in lexicon.word_list("states")
        for part in parts
        if part
    )


def _lower_words(words: str) -> bool:
    """Are all the words ordinary ones that stand with a capital at a sentence's start?"""
    return all(lexicon.is_plain_word(re.sub(r"['’]s?$", "", part).strip(".,")) for part in words.split())


def find(text: str, entities: list[tuple[int, int]]) -> Iterator[tuple[int, int, float]]:
    """Places in an English text; `entities` is where the model sees one. They may overlap."""
    p = _patterns()
    for name, score in (
        ("address", 0.87),
        ("address_lower", 0.8),
        ("box", 0.87),
        ("military", 0.88),
        ("zip", 0.9),
        ("room", 0.75),
        ("wing", 0.76),
        ("interstate", 0.5),
    ):
        for match in p[name].finditer(text):
            yield match.start(), match.end(), score
    for name in ("street", "street_after"):
        for match in p[name].finditer(text):
            words = match[0].split()
            first = next(
                (
                    k
                    for k, word in enumerate(words[:-1])
                    if word.lower() not in ("the", "on", "at", "in", "i", "he", "she", "we")
                ),
                None,
            )
            if (
                first is not None
                and not (allow_list.is_listed(words[first]) and len(words) == 2)
                and words[first].lower() not in ("no", "any", "right", "give", "by")
            ):
                yield match.start() + match[0].index(words[first]), match.end(), 0.7
    for match in p["city_state"].finditer(text):
        city = re.split(rf",?\s+(?={_STATE})", match[0])[0]
        zipped = re.search(r"\d{5}", match[0]) is not None
        comma = "," in match[0][: len(city) + 2]
        if match[0].endswith((" MD", " PA", " DO")) and not _is_town(city):
            continue  # a doctor
        known = _is_town(city) or _is_town(" ".join(city.split()[-2:])) or _is_town(city.split()[-1])
        named_state = not re.search(
            rf"\b(?:{'|'.join(sorted(lexicon.word_list('state_codes')))})\b", match[0][len(city) :]
        )
        if zipped or known or (comma and (named_state or (not _no_place(city) and not _lower_words(city)))):
            words = city.split()
            if not zipped and all(allow_list.is_listed(word) for word in words):
                continue
            yield match.start(), match.end(), 0.83
    for match in p["county"].finditer(text):
        if _telling(re.sub(r"County|Parish|Township|Borough|COUNTY", "", match[0])):
            yield match.start(), match.end(), 0.8
    for name in ("facility", "caps_facility", "firm"):
        for match in p[name].finditer(text):
            parts = list(re.finditer(r"\S+", match[0]))
            while len(parts) > 1 and _generic(parts[0][0]) and not re.match(r"[A-Z]$", parts[1][0]):
                parts = parts[1:]
            own = [part[0] for part in parts[:-1]]
            clinical = all(_lower_words(word) and allow_list.is_listed(word) for word in own)
            plain = name == "caps_facility" and all(lexicon.is_plain_word(word) for word in own)
            if own and _telling(" ".join(own)) and not clinical and not plain:
                yield match.start() + parts[0].start(), match.end(), 0.78
    for match in p["church"].finditer(text):
        yield match.start(), match.end(), 0.7
    for match in p["facility_of"].finditer(text):
        yield match.start(), match.end(), 0.79
    for match in p["saint"].finditer(text):
        rest = match[0].split()[-1]
        named = match[0].startswith(("St.", "Saint", "Our", "Mount", "Mt.")) or not lexicon.is_plain_word(rest)
        word = match[0].startswith(("Good", "Holy", "Camp", "Lake", "Sacred")) and allow_list.is_clinical(rest)
        if named and not word:
            yield match.start(), match.end(), 0.6
    for match in p["labelled"].finditer(text):
        value = re.split(r"\s{3,}|\s(?=[A-Z][\w /]*:)", match["n"])[0].rstrip(" .,")
        if (
            re.match(r"[A-Z0-9]", value)
            and not (_no_place(value) or (_lower_words(value) and " " not in value))
            and len(value) < 80
        ):
            sentence = re.split(r"\.\s", value)[0]
            yield match.start("n"), match.start("n") + len(sentence), 0.72
    for match in p["work"].finditer(text):
        words = match["n"]
        if _telling(words) and not _no_place(words) and not (len(words.split()) == 1 and _lower_words(words)):
            yield match.start("n"), match.start("n") + len(words.rstrip(".,")), 0.7
    for match in p["lives"].finditer(text):
        words = match["n"]
        while words and _no_place(words.split()[-1]) and len(words.split()) > 1 and not _is_town(words):
            words = " ".join(words.split()[:-1])
        known = _is_town(words)
        if (
            not _no_place(words)
            and (known or (_telling(words) and not _lower_words(words)))
            and not re.match(r"(?:Dr|Mr|Mrs|Ms|Miss|Doctor|Nurse)\b", words)
        ):
            yield match.start("n"), match.start("n") + len(words.rstrip(".,")), 0.68
    for match in p["in_office"].finditer(text):
        for group in ("n", "n2"):
            if (
                match.group(group)
                and not _no_place(match.group(group))
                and (group == "n2" or _is_town(match.group(group)) or not _lower_words(match.group(group)))
                and _telling(match.group(group))
            ):
                yield match.start(group), match.end(group), 0.6
    yield from _towns(text)
    for start, end in entities:
        words = text[start:end]
        if not words[:1].isupper() or "\n" in words or not re.search(r"[a-z]", words):
            continue
        words = re.sub(r"['’]s$", "", words).rstrip(".,")
        parts = words.split()
        if (
            _no_place(words)
            or not all(part[0].isupper() for part in parts)
            or any(allow_list.is_listed(part) or allow_list.is_drug(part) for part in parts)
        ):
            continue
        # One word that no list knows is as often a drug: what stands before it has to speak for a place.
        near = re.search(r"\b(?:in|from|near|at|to|of|around|outside|through)\s(?:the\s)?$", text[:start])
        spoken = (len(parts) > 1 or near) and not _lower_words(words) and not re.search(r"[a-z][A-Z]", words)
        if _is_town(words) or (spoken and not any(allow_list.is_clinical(part) for part in parts)):
            yield start, start + len(words), 0.55


def _towns(text: str) -> Iterator[tuple[int, int, float]]:
    """Towns of the list: of several words anywhere, of one word where it is no word of English and in a sentence's midst."""
    for match in _patterns()["run"].finditer(text):
        words = match[0].split()
        for length in range(len(words), 0, -1):
            for first in range(len(words) - length + 1):
                candidate = " ".join(words[first : first + length]).rstrip(".")
                if not _is_town(candidate):
                    continue
                start = match.start() + match[0].index(candidate)
                if length == 1:
                    opens = re.search(r"(?:^|[.?!:\n]\s*|\"\s*)$", text[:start]) is not None
                    near = (
                        re.search(
                            r"\b(?:in|from|near|to|at|of|around|outside|downtown|visiting|through)\s$", text[:start]
                        )
                        is not None
                    )
                    if (
                        _no_place(candidate)
                        or allow_list.is_eponym(candidate)
                        or lexicon.is_plain_word(candidate)
                        or opens
                    ):
                        continue
                    if not near and candidate.lower() in lexicon.first_names() | lexicon.last_names():
                        continue
                elif (
                    all(lexicon.is_plain_word(word) for word in candidate.split())
                    and not re.search(r"\b(?:in|from|near|to|at|of|around|outside|over|through|the)\s$", text[:start])
                ) or (allow_list.is_clinical(candidate.split()[0]) and allow_list.is_clinical(candidate.split()[-1])):
                    continue
                yield start, start + len(candidate), 0.62
