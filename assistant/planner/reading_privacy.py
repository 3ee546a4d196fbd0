"""Whether the data holds patient data, as people say it."""

from __future__ import annotations

import re

from assistant.planner.reading_text import Message

_CLEANED = (
    r"(?:de-?identified|anonymi[sz]ed|pseudonymi[sz]ed|redacted|scrubbed|phi[- ]?free|masked"
    r"|identifiers (?:\w+ ){0,3}(?:removed|stripped)|safe harbou?r (?:\w+ ){0,3}applied|(?:removed|stripped) (?:all "
    r"|the |of |every )*identifiers?)"
)
# Only what is done counts as de-identified: "can it be anonymised?" and "please de-identify it" say that it is not.
_TO_BE_DONE = (
    r"\b(?:can|could|will|would|should|shall|must|might|may|want|wants|needs?|has|have|is|are|still"
    rf"|yet|going)\b(?: (?:it|this|that|they|them|we|you))?(?: still)?(?: to)?(?: be| get) (?:being )?{_CLEANED}"
    rf"|\b(?:being|once|until|after being) {_CLEANED}"
    r"|\b(?:please|can (?:you|we|it|bedside)|could (?:you|we)|help(?: us| me)?|needs? to|want to"
    r"|have to|has to|should(?: we| i)?|will)(?: \w+)? (?:de-?identify\w*|anonymi[sz]e|redact|scrub)\b"
    r"|\b(?:needs?|requires?|before|pending) (?:de-?identif(?:ying|ication)|anonymi[sz](?:ing|ation))"
)
_PHI = (
    r"(?:phi|pii|patient (?:data|information|identifiers?|names?|records?|details)|patients?'? (?:names?"
    r"|data|details)|identifiers?|identifiable|identifying|personal (?:data|information|details)"
    r"|protected health information|protected data|real patients?|patients?\b(?! (?:educat|messag"
    r"|leaflet|hand|question|facing|friendly|portal)))"
)
_MAY = r"(?:might|may|could|possibly|perhaps|some (?:of it )?(?:might|may))"
# In the order in which they decide: what is surely there, what nobody is sure of, what is denied, what is implied.
_STILL_IN = re.compile(
    r"\b(?:not|n't|never|isn't|aren't|hasn't|haven't|wasn't|weren't)(?: yet)?(?: been)?(?: (?:fully"
    rf"|properly|completely|yet|all))* {_CLEANED}"
    rf"|\bun(?:redacted|anonymi[sz]ed)|{_TO_BE_DONE}"
    r"|\b(?:de-?identification|anonymi[sz]ation) (?:has not|hasn't|was not|wasn't|is not|isn't|never)\b"
    r"|\bthere (?:are|were) (?:still |also |some |real )*(?:names|dates of birth|addresses|identifiers)\b"
    r"|\bstill (?:\w+ ){0,2}(?:names\b|dates of birth|dobs?\b|mrns?\b|addresses|identifiers)"
    r"|\bstill (?:has|have|contains?|includes?|in (?:it|there|them)|names?|there)|\b(?:names?|dates of birth"
    rf"|dobs?|mrns?|addresses|identifiers)\b[^.;!?]{{0,20}}\bstill\b"
    r"|\b(?:has|have|contains?|includ(?:es?|ing)|with|full of)\s+(?:(?:their|the|some|real|full"
    r"|patient|patients'?|a lot of)\s+)*(?:names?\b(?! of drugs)|dates of birth|dobs?|mrns?|addresses"
    r"|social security)",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:not (?:really |quite |100 ?% |entirely )?(?:sure|certain)|no idea|don't know|do not know"
    r"|dunno|unsure|unclear|unknown|can't say|need to check|have to check)\b"
    rf"|\b{_MAY}\b[^.;!?]{{0,20}}\b{_PHI}|\b(?:partly|partially|mostly|half) {_CLEANED}",
    re.IGNORECASE,
)
_POSSIBLY = re.compile(rf"\b{_MAY}\s*$", re.IGNORECASE)
_DENIED = re.compile(
    r"\b(?:no|without(?: any)?|zero|free of|(?:don't|doesn't|do not|does not|isn't|is not|aren't"
    r"|are not|not|never)(?: (?:contain|include|have|hold|any|real|from|about|based on|actual))*)\s+(?:(?:any"
    rf"|real|actual|identifiable|live|of our)\s+)*{_PHI}"
    rf"|\bnon-?identifiable|\bunidentifiable|\b{_CLEANED}|\bnothing (?:identifiable|identifying"
    r"|personal)|\bno ?(?:one|body) (?:identifiable|real)|\bno real (?:people|persons|names)",
    re.IGNORECASE,
)
_INVENTED = re.compile(
    r"\b(?:synthetic\w*|simulated|made[- ]up|fictional|fictitious|invented|artificial(?:ly generated)?"
    r"|textbooks?|(?:from|on) (?:board |old )?exam questions|public(?:ly available)? (?:data(?:set)?|set|dataset"
    r"|corpus|questions)"
    r"|generated (?:it |them |these |all )?(?:by|with|from|using) (?:an? )?(?:llm|gpt|model|template|script"
    r"|chat-?gpt)s?|guidelines? text)\b",
    re.IGNORECASE,
)
_REAL = re.compile(
    r"\b(?:contain\w*|includ\w*|has|have|holds?|there is|there are|there's|yes[, ]+(?:it'?s |they'?re )?)\s+(?:(?:some"
    r"|the|a lot of|real|actual|live|lots of)\s+)*(?:phi|pii|patient (?:data|information(?! (?:leaflet"
    r"|sheet))|identifiers?|names?|details|records)|identifiers|identifiable|personal (?:data|information))"
    r"|\b(?:real|actual|living|identifiable|live) (?:patients?\b(?! (?:educat|messag|leaflet|hand"
    r"|question|facing|portal))|clinical (?:data|notes|records))"
    r"|\b(?:our|my)(?: own)? (?:patients?'? (?:data|records?|notes?|charts?|files?)|clinical (?:data"
    r"|notes|records))|\b(?:from|of) (?:our|my)(?: own)? patients\b"
    r"|\bidentifiable\b|\b(?:from|out of) (?:our|the|my|a)\s+(?:\w+\s+)?(?:ehrs?|emrs?|hospital(?:'s)?(?: systems?"
    r"| records?)?|his|pacs|ris|clinic(?:'s)?(?: system)?|wards?|practice|data ?warehouse|patients)\b"
    r"|\bstraight from\b[^.;!?]{0,20}\b(?:ehr|emr|epic|cerner|pacs|ris|clinic|ward|hospital)|\b(?:exported"
    r"|pulled|taken|comes?|export) (?:straight |directly )?(?:from|out of) (?:epic|cerner|the ehr"
    r"|our ehr|meditech)"
    r"|\b(?:ehr|emr) (?:export|extract|dump|data|notes)|\bphi (?:is )?(?:included|present|in (?:it"
    r"|there))|^\W*(?:it (?:is|does)|they (?:are|do)|yes)?\W*(?:phi|patient data)\W*$",
    re.IGNORECASE,
)
YES = re.compile(
    r"^\W*(?:y|yes|yep|yeah|yup|yea|sure|correct|right|true|of course|certainly|absolutely|definitely"
    r"|i think so|probably|it does|they do|it is|they are|there is|there are|i'm afraid so|afraid so"
    r"|ok|okay|please(?: do)?)\b",
    re.IGNORECASE,
)
NO = re.compile(
    r"^\W*(?:n|no|nope|nah|none|not at all|never|negative|false|of course not|certainly not|definitely not"
    r"|absolutely not|it doesn't|it does not|they don't|it isn't|they aren't|nothing|not|there isn't"
    r"|there aren't|there are none|there's none)\b",
    re.IGNORECASE,
)
NOT_SURE = re.compile(
    r"\b(?:not (?:really |quite |100 ?% |entirely )?(?:sure|certain)|no idea|no clue|don't know"
    r"|do not know|dont know|dunno|idk|unsure|unclear|maybe|perhaps|possibly|hard to say|can't (?:say|tell)"
    r"|haven't decided|undecided|unknown|(?:have|need|got) to (?:ask|check)|(?:will|let me|i'll) (?:ask|check)"
    r"|you (?:choose|decide|pick)|whatever|up to you|(?:don't"
    r"|do not) think so)\b",
    re.IGNORECASE,
)


def read_privacy(message: Message, asked: bool) -> tuple[bool | None, bool, str | None]:
    """(contains patient data, said to be unknown, remark); (None, False, None) where nothing is said of it.

    A claim that the data is de-identified is taken as said. Where a message says both, nothing is guessed: it is kept
    as unknown, which refuses to train, and a remark asks.
    """
    text = message.rest.replace("\x1f", " ")
    for match in _STILL_IN.finditer(text):
        if not message.negated(match.start()) and not _POSSIBLY.search(text[: match.start()]):
            return True, False, None
    unsure = NOT_SURE.search(text) if asked else _UNSURE.search(text)
    about = re.search(rf"{_CLEANED}|{_PHI}|\b(?:patients?|privacy|hipaa|gdpr|names)\b", text, re.IGNORECASE)
    if unsure and (asked or about):
        return None, True, None
    without_denials = _DENIED.sub(" ", text)
    denied, real = without_denials != text, _REAL.search(without_denials)
    invented = _INVENTED.search(text)
    if invented and real and not message.negated(invented.start()):
        return None, True, "You say that the data is made up and that it is from real patients. Which of the two is it?"
    if denied or (invented and not message.negated(invented.start())):
        return False, False, None
    if real or (invented and message.negated(invented.start())):
        return True, False, None
    if asked and YES.search(text):
        return True, False, None
    if asked and NO.search(text):
        return False, False, None
    return None, False, None
