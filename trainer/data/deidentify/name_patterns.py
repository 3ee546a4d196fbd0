# ruff: noqa: E501 - a pattern reads better whole
"""Patterns of names: how they are written, and what in front of or behind them gives them away."""

from __future__ import annotations

from functools import cache
from typing import Any

# One part of a name: Mary, MARY, O'Neil, McKay, Smith-Jones; an initial; a particle between.
PART = r"(?:(?:[OD]['’]|Mc|Mac|De|La|Di)?[A-ZÀ-Þ][\w’']{0,40}[\w](?:-[A-ZÀ-Þ][\w’']{1,40})*)"
_INITIAL = r"(?:[A-Z]\.|[A-Z](?![\w'’.]))"
PARTICLE = r"(?:van|von|de|del|della|di|da|dos|der|den|la|le|bin|al|el|ter|st\.)"
_ANY = rf"(?:{PART}|{_INITIAL})"
RUN = rf"{_ANY}(?:(?:\s{{1,2}}|(?<=\.)){_ANY}|\s{PARTICLE}(?:\s{PARTICLE})?\s{PART}){{0,3}}"
_RUN_LINE = RUN.replace(r"\s", r"[ \t]")
_LAST_FIRST = rf"{PART}(?:[ \t]{PART})?[ \t]?,[ \t]?{_ANY}(?:[ \t]{_ANY})?\.?"

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


@cache
def patterns() -> dict[str, Any]:
    import regex

    c = regex.compile
    return {
        "title": c(rf"(?<![\w.]){_TITLES}(?:\s+(?:and|&|or)\s+{_TITLES})?\s{{1,2}}(?P<n>{RUN})"),
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
            rf"(?<![\w])(?i:{_RELATIONS})(?:['’]s\s+name)?(?:\s+(?:is|are)|\s*,|\s+named|\s+called|\s*\()?\s+?(?:is\s+)?(?:\()?(?P<n>{RUN})|(?<![\w])(?i:{_RELATIONS})\s?\((?P<n2>{RUN})\)"
        ),
        "role": c(rf"(?<![\w])(?i:(?:{_ROLES}\s+)*(?:{_WHO}))(?:\s+(?:is|was|are))?,?\s+(?P<n>{RUN})"),
        "called": c(rf"(?<![\w]){_CALLED}[,\s:]+(?:{_TITLES}\s)?[\"“']?(?P<n>{RUN})"),
        "opening": c(rf"(?<![\w]){_OPENINGS}\s*,?\s+(?:{_TITLES}\s)?(?P<n>{RUN})(?=\s*[,.!?;:\n]|\s*$)"),
        "speak": c(rf"(?<![\w]){_SPEAK}\s+(?P<n>{RUN})"),
        "nickname": c(rf"(?<![\w’'])(?P<n>{PART})\s+[\"“'(](?P<n2>{PART})[\"”')]\s+(?P<n3>{PART})"),
        "baby": c(rf"(?<![\w])(?:(?i:baby\s+(?:boy|girl)|infant\s+of)|BB|BG)\s+(?:of\s+)?(?P<n>{PART})"),
        "last_first": c(rf"(?<![\w.])(?P<n>{_LAST_FIRST})(?![\w])"),
        "run": c(rf"(?<![\w.@/\-'’]){RUN}"),
        "initials": c(
            r"(?i:\binitials)\s*(?:are|is)?[:\s]+(?P<n>(?:[A-Z]\.?\s?){2,4})(?![a-z])|(?<![\w.])(?P<n2>(?:[A-Z]\.){2,3})(?=\s+(?:is|was|has)\s+(?:a|an|the)\b)|"
            r"(?i:transcribed|dictated|typed|signed|entered)\s+(?i:by)\s*:?\s*(?P<n3>[A-Za-z]{2,4}(?:/[A-Za-z]{2,4})?)(?=\s*(?:$|\n|[.;]))|"
            r"(?<![\w])T\s?:\s?(?P<n4>[A-Za-z]{2,4})(?=\s*(?:$|\n|[.;]))|^(?P<n5>[A-Z]{2,3}[:/][a-z]{2,4})$",
            regex.MULTILINE,
        ),
    }
