"""What the model is for, in clinicians' words: task, specialty, objective, priority and adaptation level."""

from __future__ import annotations

import re
from typing import Any

from assistant.planner.reading_text import Message

_VERBS = (
    r"summari[sz]|classif|translat|categori[sz]|extract|pull|draft|writ|generat|explain|answer|interpret"
    r"|help|diagnos|triag|flag"
    r"|suggest|recommend|educat|chat|find|tag|identif|label|dictat|reply|predict|spot|read|inform"
)
# What a verb governs: up to the end of the sentence or the next verb.
_OBJECT = rf"(?:(?!\s(?:and|then|or|also|plus)\s+(?:also\s+)?(?:{_VERBS}))[^.;!?\n]){{0,90}}?"
_END = (
    rf"(?=[.;!?\n,]|\s(?:and|then|or|also|plus)\s+(?:also\s+)?(?:{_VERBS})|\s+(?:for|from|using"
    r"|with|on|out of|in|to|about)\b|$)"
)
_ENTITIES = (
    r"drugs?|medic(?:ation|ine)s?|dos(?:e|es|age|ages)|entit(?:y|ies)|diagnos[ei]s|symptoms?|names?"
    r"|problems?|terms?|allerg(?:y|ies)|findings|diseases?|chemicals?|genes?|lesions?|complaints?|stag(?:e|es|ing)"
    r"|sizes?|scores?|grades?|events?|vital signs|vitals|biomarkers?|mutations?|risk factors|social history"
    r"|measurements?|values?|codes|mentions|procedures?|routes?|conditions?|identifiers|phi"
)
_PATIENTS = r"(?:patient|people|famil(?:y|ies)|parent|carer|relative|lay)"
_STRONG = [
    (
        "classification",
        r"\b(?:referrals?|cases|messages|letters|patients|them) (?:to be )?(?:prioriti[sz]ed|triaged|sorted"
        r"|classified)\b",
    ),
    ("classification", rf"\b(?:label|mark|tag)\w*\b{_OBJECT}\bas\b[^.;!?\n]{{0,40}}\bor\b"),
    (
        "diagnosis",
        r"\b(?:find|finding|work out|get to|reach) (?:the|a) (?:right |likely )?diagnosis\b(?! (?:codes?|in|names?)\b)",
    ),
    ("classification", rf"\b(?:cod(?:e|ing)|map\w*|assign\w*)\b{_OBJECT}\b(?:icd|snomed|cpt|loinc)\S*"),
    (
        "ner",
        r"\b(?:extract\w*|pull(?:s|ing)?(?:\s+out)?|pick(?:s|ing)?\s+out|find(?:s|ing)?|tag(?:s|ging)?"
        rf"|(?<!-)identif(?:y|ies|ying)|spot(?:s|ting)?|recogni[sz]\w+|get|list)\b"
        rf"{_OBJECT}\b(?:{_ENTITIES})\b{_OBJECT}{_END}",
    ),
    (
        "ner",
        r"\b(?:named[- ]entit\w+(?:\s+recognition)?|NER|entity (?:recognition|extraction)|information extraction)\b",
    ),
    (
        "classification",
        r"\b(?:classif\w+|categori[sz]\w+|triag\w+|sort(?:s|ing)?|flag(?:s|ging)?|label(?:l?ing)|assign\w*"
        rf"|predict\w*|screen(?:s|ing)?|prioriti[sz]\w+ (?=referral|patient|case|message|request"
        rf"|appointment))\b{_OBJECT}{_END}",
    ),
    (
        "classification",
        rf"\b(?:decid\w*|determin\w*|tell\w*|judg\w*) (?:which|whether|if|how urgent)\b{_OBJECT}{_END}",
    ),
    ("ner", r"\bextract(?:ion|ing|s)?\b(?=\s*(?:[.;!?\n,]|$|and\b|or\b))"),
    ("summarization", rf"\b(?:summ?[ae]r[iy][sz]\w*|condens\w+|shorten\w*|boil\w* down|tl;?dr)\b{_OBJECT}{_END}"),
    ("summarization", rf"\b(?:draft|writ|generat|creat|produc|compos)\w*\b{_OBJECT}\bsummar(?:y|ies)\b"),
    (
        "patient_education",
        rf"\b(?:explain\w*|simplif\w*|teach\w*|educat\w+|inform\w*)\b{_OBJECT}\b{_PATIENTS}(?:'?s?'?)\b{_OBJECT}{_END}",
    ),
    (
        "patient_education",
        r"\b(?:patient education|patient information|leaflets?|hand-?outs?|plain (?:language|english"
        r"|words)|health literacy|into (?:simple|lay|plain) (?:words|terms|language|english)|(?:discharge|home"
        r"|care) instructions|in (?:simple|lay|plain) (?:words"
        r"|terms|language))\b",
    ),
    (
        "dialogue",
        r"\b(?:answer\w*|reply\w*|respond\w*) (?:to )?(?:our |the )?patients?'? (?:questions|queries|concerns)\b",
    ),
    ("dialogue", rf"\b(?:answer\w*|reply\w*|respond\w*|triage)\b{_OBJECT}\b(?:messages|emails|inbox|calls|chats)\b"),
    (
        "dialogue",
        r"\b(?:chat-?bots?|chat(?:s|ting)? (?:with|to)|dialogue|(?<!from the )(?<!from a )(?<!of the )convers(?:e"
        r"|ation|ations|ational)(?!s? pairs)"
        rf"|virtual (?:nurse|assistant|doctor)|talk(?:s|ing)? (?:to|with) {_PATIENTS}s?|patient messag\w+"
        r"|multi-?turn)\b",
    ),
    (
        "drug_information",
        r"\b(?:(?:drug|medication|medicine|prescribing|pharmac\w+|dosing)[- ](?:drug )?(?:information"
        r"|info|interactions?|questions?|facts|guidance|dosing|advice|safety|queries)|drug[- ]drug"
        r"|contra-?indications?|side[- ]effects?|adverse (?:drug )?(?:effects|reactions)|formulary"
        r"|brand (?:to|and|->) generics?|generic names?|pharmacology)\b",
    ),
    (
        "test_interpretation",
        r"\b(?:interpret\w*|make sense of|read(?:s|ing)?|explain\w*|comment\w* on|understand\w*)\b[^.;!?\n,]{0,40}"
        r"\b(?:labs?|tests?|results?|ecgs?|ekgs?|blood(?:s|work)?|values?|panels?"
        r"|spirometr\w+|abgs?|blood gas(?:es)?)\b",
    ),
    (
        "test_interpretation",
        r"\b(?:lab(?:oratory)? (?:values?|results?|interpretation|tests?|panels?)|blood (?:tests?|results"
        r"|work)|test (?:results?|interpretation)|(?:ecg|ekg) interpretation|reference ranges?)\b",
    ),
    (
        "reasoning",
        r"\b(?:clinical reasoning|reasoning|reason (?:through|about|over)|step[- ]by[- ]step|chain[- ]of[- ]thought"
        r"|think through)\b",
    ),
    (
        "report_generation",
        rf"\b(?:draft|writ|generat|creat|produc|compos|dictat|prepar)\w*\b{_OBJECT}\b(?:reports?|impressions?"
        r"|notes?|letters?|findings|documentation|discharge\w*|conclusions?)\b",
    ),
    (
        "report_generation",
        r"\b(?:turn\w*|convert\w*|transform\w*)\b[^.;!?\n]{0,60}\b(?:in)?to (?:\w+ ){0,2}(?:notes?|letters?|reports?"
        r"|documentation)\b"
        r"|\b(?:reports?|impressions?|conclusions?|letters?|notes) (?:to be |being )?(?:drafted|written|dictated"
        r"|generated)\b",
    ),
    (
        "patient_education",
        r"\btranslat\w+ (?:\w+ ){0,3}into (?:plain|lay|simple|easy) (?:language|words|terms|english)\b",
    ),
    ("summarization", r"\b(?:turn\w*|convert\w*)\b[^.;!?\n]{0,60}\b(?:in)?to (?:\w+ ){0,2}summar(?:y|ies)\b"),
    (
        "report_generation",
        r"\b(?:report[- ](?:generation|writing|drafting|writer|generator)|(?:radiology|pathology|imaging"
        r"|echo|ct|mri|x-?ray|chest)\s+reports?\s+(?:model|generator|writer|assistant|bot)|reports? (?:generator"
        r"|writer))\b",
    ),
    (
        "question_answering",
        rf"\b(?:(?:answer\w*|respond\w*)\b{_OBJECT}\b(?:questions?|queries)|question[- ]answering|q ?& ?a"
        r"|qa (?:model|system|bot|assistant)|usmle|board[- ](?:exam|style)\w*(?: questions)?|exam questions"
        r"|medqa|pubmedqa|multiple[- ]choice)\b",
    ),
    (
        "treatment",
        r"\b(?:treatment (?:plans?|recommendations?|advice|suggestions?|options|planning)|(?:suggest"
        r"|recommend|propos|choos|plan)\w*\s+(?:\w+\s+)?(?:treatments?|therap(?:y|ies)|management)"
        r"|management plans?|therapy (?:plans?|recommendations?)|how to treat)\b",
    ),
    (
        "diagnosis",
        r"\b(?:differentials?(?: diagnos[ei]s)?|diagnostic (?:assistant|support|help|model|suggestions?"
        r"|aid)|diagnos(?:e|ing|is) (?:model|assistant|helper|support|suggestions?)|(?:suggest|help"
        r"|propos|mak|support|reach|do|assist)\w*\s+(?:\w+\s+){0,2}diagnos[ei]s"
        r"|diagnos(?:e|ing)|work out what is wrong)\b",
    ),
]
_NOUNS = [
    ("summarization", r"\bsumm?[ae]r(?:y|ies|i[sz]ation|i[sz]er|isation)s?\b"),
    ("report_generation", r"\b(?:reports?|impressions?|clinic letters?|documentation|scribe)\b"),
    ("diagnosis", r"\bdiagnos(?:is|es|tics?)\b"),
    ("treatment", r"\b(?:treatments?|therap(?:y|ies))\b"),
    ("drug_information", r"\b(?:drugs?|medications?|medicines|pharmacy)\b"),
    ("classification", r"\b(?:classifier|classification|triage|icd-?(?:9|10)?(?:-cm)? cod(?:es|ing)|coding)\b"),
    ("ner", r"\b(?:entit(?:y|ies)|extraction|extractor)\b"),
    ("question_answering", r"\b(?:questions?|q&a|qa|answers)\b"),
    ("dialogue", r"\b(?:messages|chat|conversations?|dialogues?)\b"),
    ("test_interpretation", r"\b(?:labs?|tests?|ecgs?)\b"),
    ("patient_education", r"\b(?:education|teaching patients)\b"),
    ("reasoning", r"\breason\b"),
]
STRONG = [
    (task, re.compile(pattern, re.IGNORECASE if task != "ner" or "NER" not in pattern else 0))
    for task, pattern in _STRONG
]
NOUNS = [(task, re.compile(pattern, re.IGNORECASE)) for task, pattern in _NOUNS]
_ALSO = re.compile(r"\b(?:also|as well|too|plus|in addition|additionally|on top)\b", re.IGNORECASE)
_CHANGE = re.compile(r"\b(?:task|model|want|should|switch|change|make it|instead|actually|rather|for)\b", re.IGNORECASE)
_SPECIALTIES = {
    name: re.compile(pattern, re.IGNORECASE)
    for name, pattern in {
        "radiology": r"\bradiolog\w*|\bx-?rays?\b|\b(?:ct|mri|pet)[- ]?(?:scans?|reports?|studies)?\b|\bmammogra\w+"
        r"|\bultrasound|\bimaging\b",
        "cardiology": r"\bcardio\w*|\bcardiac\b|\bheart\b|\becgs?\b|\bekgs?\b|\becho(?:cardiogra\w+)?s?\b|\batrial",
        "oncology": r"\boncolog\w*|\bcancers?\b|\btumou?rs?\b|\bchemo\w*",
        "pathology": r"\b(?:histo)?patholog(?:y|ist|ists)\b|\bbiops(?:y|ies)\b",
        "emergency medicine": r"\bemergency (?:medicine|department|room|dept|care)|\bA&E\b|\bER triage|\b(?-i:ED)\b",
        "psychiatry": r"\bpsychiatr\w+|\bmental health\b",
        "pediatrics": r"\bpa?ediatric\w*|\bchildren\b|\bneonat\w+",
        "neurology": r"\bneurolog\w+|\bstrokes?\b|\bepilep\w+",
        "dermatology": r"\bdermatolog\w+|\bskin\b",
        "surgery": r"\bsurg(?:ery|ical|eons?)\b|\boperative notes?\b",
        "obstetrics and gynecology": r"\bobstetric\w*|\bgyna?ecolog\w*|\bob[/-]?gyn\b|\bmaternity\b|\bpregnan\w+",
        "endocrinology": r"\bendocrin\w+|\bdiabet\w+|\bthyroid\b",
        "nephrology": r"\bnephrolog\w+|\bkidney|\brenal\b|\bdialysis\b",
        "pulmonology": r"\bpulmon\w+|\brespiratory\b|\bspirometr\w+|\blung function\b|\basthma\b|\bcopd\b",
        "gastroenterology": r"\bgastro(?:ent\w+)?\b|\bendoscop\w+|\bcolonoscop\w+|\bliver\b",
        "infectious disease": r"\binfectious disease|\binfections?\b|\bmicrobiolog\w+|\bcovid\b|\bhiv\b",
        "ophthalmology": r"\bophthalm\w+|\beye\b|\bretina\w*",
        "orthopedics": r"\borthopa?ed\w+|\bfractures?\b",
        "primary care": r"\b(?:primary care|general practice|family (?:medicine|practice|doctors?))\b|\b(?-i:GPs?)\b",
        "pharmacy": r"\bpharmac(?:y|ists?)\b",
        "nursing": r"\bnursing\b|\bnurses' (?=notes|handover|hand-over|reports|records)",
        "dentistry": r"\bdent(?:al|ist\w*)\b",
        "urology": r"\burolog\w+",
        "rheumatology": r"\brheumatolog\w+",
        "hematology": r"\bha?ematolog\w+",
        "anesthesiology": r"\bana?esthe\w+",
        "intensive care": r"\bintensive care\b|\b(?-i:ICU)\b|\bcritical care\b",
    }.items()
}
_OBJECTIVES = [
    (
        "adversarial",
        r"\badversarial\w*|\brobust(?:ness)?\b|\btypos?\b|\bmisspell\w+|\bspelling mistakes\b|\bred[- ]team\w*"
        r"|\bjailbreak\w*|\bprompt injection"
        r"|\b(?:refus|declin|reject)\w*\b[^.;!?]{0,30}\b(?:dangerous|harmful|unsafe)",
    ),
    (
        "preference",
        r"\b(?:dpo|kto|orpo|rlhf)\b|\bpreference (?:pairs?|data|tuning|alignment|learning|optimi\w+"
        r"|sets?)|\b(?:human|doctor|expert|clinician|reviewer)s?'? preferences"
        r"|\brank(?:ed|ing|ings)? (?:of )?(?:pairs|answers|responses)(?: of (?:answers|responses))?"
        r"|\bpairs of answers\b|\bchosen (?:and|/|vs\.?) rejected(?: (?:answers?|responses?|replies))?|\bpair-?wise\b"
        r"|\bthumbs (?:up|down)(?: (?:and|or) (?:thumbs )?down)?(?: (?:on|for) (?:the |their )?(?:answers"
        r"|responses))?|\bvot(?:es|ed) (?:on|for) answers|\bbetter of two answers"
        r"|\b(?:rated|judged|chose|picked|decided|marked|said)\b[^.;!?]{0,30}\b(?:answer|reply|replies|response|two"
        r"|version)s?\b"
        r"[^.;!?]{0,20}\b(?:better|best|preferred)\b",
    ),
    ("sft", r"\bsft\b|\bsupervised (?:fine-?tuning|training|run)\b|\binstruction[- ]tun\w+"),
]
_PRIORITIES = [
    (
        "quality",
        r"\bquality (?:above all|first|matters most|over speed|is (?:key|most important))|\b(?:best"
        r"|highest|top|maximum|max) (?:possible )?(?:quality|accuracy|results?)|\bas (?:good|accurate) as (?:possible"
        r"|it can)|\bmost accurate\b|\bcare (?:most|mainly|only) about (?:quality|accuracy)|\baccuracy (?:first"
        r"|matters|above all|over speed)|\bprioriti[sz]e (?:quality"
        r"|accuracy)|\b(?:best|better) quality",
    ),
    (
        "speed",
        r"\basap\b|\bby (?:tomorrow|tonight|this evening|noon|monday|friday)|\b(?:fast|quick|quickly"
        r"|faster|fastest|quicker|quickest)\b|\bin a hurry\b|\burgent(?:ly)? need|\bas soon as\b|\bspeed (?:first"
        r"|matters|over)|\bprioriti[sz]e speed|\bshort on time",
    ),
    ("balanced", r"\bbalanced\b|\bbalance (?:of|between) (?:speed|quality)"),
]
_ADAPTATIONS = [
    (
        "high",
        r"\b(?:high(?:ly)?|strong(?:ly)?|full|heavy|maximum) (?:adapt\w+|speciali[sz]\w+|domain adaptation)"
        r"|\b95 ?/ ?5\b|\bonly (?:needs to )?(?:do|know|handle)s? medic\w+|\bpurely medical\b",
    ),
    (
        "low",
        r"\b(?:low|light|slight|mild|gentle)(?:ly)? (?:adapt\w+|speciali[sz]\w+|touch)|\b60 ?/ ?40\b"
        r"|\b(?:keep|retain|preserve)\w* (?:its |the |all )?general (?:abilit\w+|skills?|knowledge"
        r"|capabilit\w+)|\bmostly general\b"
        r"|\b(?:stay|remain|still be|keep being) (?:\w+ ){0,2}(?:good|able|useful)\b[^.;!?]{0,20}\bgeneral\b"
        r"|\b(?:not|n't|never) (?:forget|lose|unlearn)\w* (?:\w+ ){0,3}(?:general|what it (?:knows|knew|can))",
    ),
    ("moderate", r"\b(?:moderate(?:ly)?|medium) (?:adapt\w+|speciali[sz]\w+)|\b80 ?/ ?20\b"),
]

CHOICES = {
    field: [(value, re.compile(pattern, re.IGNORECASE)) for value, pattern in choices]
    for field, choices in (("objective", _OBJECTIVES), ("priority", _PRIORITIES), ("adaptation", _ADAPTATIONS))
}


def read_tasks(message: Message, asked: bool, seeking: bool, known: bool) -> dict[str, Any]:
    """`task` and `other_tasks`. A plain noun ("the reports are ...") names a task only where one is being sought.

    `asked`: the message answers "what for?"; `seeking`: nothing was asked, and no task is known; `known`: one is.
    """
    # Places are compared in the text as it was, since taking one out does not move the others.
    found: list[tuple[int, str]] = []
    for task, pattern in STRONG:
        found += [(match.start(), task) for match in message.mentions(pattern)]
    listed = asked and len(message.original.split()) <= 6
    if (not found or listed) and (asked or seeking or (known and _CHANGE.search(message.original))):
        for task, pattern in NOUNS:
            found += [(match.start(), task) for match in message.mentions(pattern)]
        # A noun is a weak sign: the first stands for the message, unless several are listed in answer to the question.
        found = sorted(found)[: None if asked else 1]
    tasks = list(dict.fromkeys(task for _, task in sorted(found)))
    if not tasks:
        return {}
    if known and not asked and _ALSO.search(message.original):
        return {"other_tasks": tasks}
    return {"task": tasks[0]} | ({"other_tasks": tasks[1:]} if len(tasks) > 1 else {})


def read_specialty(message: Message) -> dict[str, Any]:
    """The first specialty that is named."""
    places = {
        match.start(): name
        for name, pattern in _SPECIALTIES.items()
        if (match := pattern.search(message.original)) and not message.negated(match.start())
    }
    return {"specialty": places[min(places)]} if places else {}


def read_choices(message: Message) -> dict[str, Any]:
    """Objective, priority and adaptation level."""
    changes: dict[str, Any] = {}
    for field, choices in CHOICES.items():
        for value, pattern in choices:
            if message.mentions(pattern):
                changes.setdefault(field, value)
    return changes
