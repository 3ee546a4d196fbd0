# ruff: noqa: E501 - a pattern reads better whole
"""Patterns of numbers, codes and addresses on a network: what a label names, and what has a shape of its own.

A pattern marks the value alone: `\\K` (of the `regex` library, which Presidio uses) forgets the label in front of it.
Scores say which kind wins where two patterns mark the same place.
"""

from __future__ import annotations

# Between a label and its value: "MRN: 1", "MRN # 1", "policy number is 1", "SSN ending in 1".
_WORDS = (
    "numbers?|nos?|num|nbr|nr|ids?|identifier|identification|code|is|was|are|reads?|shown|on|file|record|records|"
    "ending|ends|in|of|the|with|member|to|at|by|as"
)
_JOINT = rf"(?:[\s:#=.,()\-–/]++|\b(?:{_WORDS})\b){{0,8}}?"
_CLOSE = r"(?:[\s:#=.,(\-–]++|\b(?:numbers?|nos?|num|id|is)\b){0,5}?"
# A code: letters, digits, - . / within, and a digit not far from its start.
_CODE = r"(?=[A-Z./\-]{0,8}\d)[A-Z0-9](?:[A-Z0-9]|[\-./](?=[A-Z0-9])){2,40}+"
# The same in groups: "A12 345 678".
_GROUPS = rf"(?:{_CODE}|(?!(?:{_WORDS})\b)[A-Z]{{1,4}}[ ]\d{{4,20}}+(?![\-/.]\d))(?:[ ](?=[A-Z]{{0,3}}\d)[A-Z0-9][A-Z0-9\-]+(?![\w/:%.])){{0,5}}"
_LONG = r"(?=[A-Z./\-]{0,8}\d)(?=(?:[A-Z\-./]*\d){4})[A-Z0-9](?:[A-Z0-9]|[\-./](?=[A-Z0-9])){3,40}+"
_END = r"(?![A-Z0-9])"
_NO = r"(?:\s*(?:numbers?|nos?\b\.?|num\b\.?|nbr|nr\b\.?|id\b|ids\b|identifier|identification|code|\#))"


def _after(labels: str, value: str = _CODE, joint: str = _JOINT) -> str:
    return rf"(?<![A-Z0-9])(?:{labels})(?![A-Z]){joint}\K(?:{value}){_END}"


_AREA = r"(?:\+?1[\s.\-]{0,2}|001[\s.\-]{0,2})?\(?[2-9]\d{2}\)?[\s.\-/]{0,3}\d{3}(?:\s?[.\-–]\s?|\s)\d{4}"
_EXT = r"(?:\s*(?:ext(?:ension)?\.?|x)\s*\d{1,5})?"
_ANY_AREA = r"(?:\+?1[\s.\-]{0,2}|001[\s.\-]{0,2})?\(?\d{3}\)?[\s.\-/]{0,3}\d{3}\s?[.\-–\s]?\s?\d{4}"
_WORLD = r"\+\d{1,3}(?:[\s.\-()]{0,2}\d{1,6}){2,5}|0\d{3,4}[\s\-]\d{5,7}"
_PHONE = rf"(?:{_WORLD}|{_ANY_AREA}|\d{{3}}\s?[.\-]\s?\d{{4}}){_EXT}"
_TELEPHONE = (
    r"(?:tele)?phones?|tel|ph|cell(?:ular|phone)?|mobile|work|home(?:\s+(?:tele)?phone)?|call(?:\s?back)?|contact|t"
)
_PHONE_JOINT = (
    r"(?:[\s:#=.,(\-–/]++|\b(?:numbers?|nos?|num|is|on|at|us|me|her|him|the|or|office|our|phone|fax|reached)\b){0,8}?"
)

_IMPLANTS = (
    r"pacemakers?|defibrillator|icd|generator|leads?|implants?|pumps?|valves?|stents?|prosthes[ie]s|stimulator|"
    r"neurostimulator|recorder|monitor|meter|cpap|bipap|ventilator|wheelchair|walker|hearing\s+aids?|devices?|catheter|"
    r"scanner|port|shunt|iud|lens|mesh|graft|concentrator|nebuli[sz]er|scooter|prosthetic|electrode|sensor|glucometer"
)
_FILE = r"(?:jpe?g|png|gif|bmp|tiff?|heic|webp|dcm|dicom|mov|mp4|avi|wmv|m4v|wav|mp3|svg|raw)"
_FINGERS = (
    r"(?:finger|thumb|voice|hand|palm|foot|face|ear|lip)\s?-?prints?|retinal?(?:\s+scan)?|iris(?:\s+scan)?|"
    r"(?:palm|hand|finger|vein)(?:\s+(?:vein|scan|geometry))+|face\s+(?:id|template|scan|map)|facial\s+(?:recognition|scan|template|geometry)|"
    r"biometrics?|bio-?\s?id|voice\s+(?:recognition|biometric|signature|profile|sample|id)|"
    r"(?:dna|genetic|genomic|gait)\s+(?:profile|signature|sample|sequence|fingerprint)s?|fp\s+id"
)
_BIO_WORDS = r"template|profile|record|scan|signature|file|sample|enrol\w*|capture|reader|hash|registered|registration|as|identifier"
_PAYERS = (
    r"medicare|medicaid|tricare|champus|aetna|cigna|humana|anthem|bcbs|blue\s+cross(?:\s+(?:and\s+)?blue\s+shield)?|"
    r"blue\s+shield|united\s*health(?:care)?|kaiser|hmo|ppo|molina|centene|wellcare|mbi|hicn|medigap|insurance|insurer|payer|payor"
)
_PLATE = r"(?=[A-Z\-· ]{0,6}\d)[A-Z0-9]{1,4}(?:[ \-]?(?=[A-Z0-9])[A-Z0-9]{1,5}){0,3}"

# kind → (pattern, score); letter case does not matter.
PATTERNS: dict[str, list[tuple[str, float]]] = {
    "ssn": [
        (
            _after(
                r"ssns?|ss\s?\#|ss\s*n[or]\b\.?|s\s?s\s?n|ss(?=\s*[:#])|soc(?:ial)?\.?\s*sec(?:urity|\.)?|my\s+social|social\s+(?:is|number)",
                r"(?:[\dx*]{3}\s?[\-. ]?\s?[\dx*]{2}\s?[\-. ]?\s?\d{4}|\d{4})",
                r"(?:[\s:#=.,(\-–/]++|\b(?:numbers?|nos?|num|id|is|was|on|file|ending|ends|in|last|four|4|digits|of|the|with|tin)\b){0,9}?",
            ),
            0.95,
        ),
        (r"\blast\s+(?:four|4)(?:\s+digits)?(?:\s+of)?(?:\s+(?:the|his|her|my))?\s+(?:ssn?|social)\W{0,4}(?:is\s+)?\K\d{4}\b", 0.95),
        (r"(?<![\d\-])(?!000|666|9\d\d)\d{3}\s?-\s?\d{2}\s?-\s?\d{4}(?![\d\-])", 0.8),
        (r"(?<![\w*])[x*]{3}-?[x*]{2}-?\d{4}\b", 0.9),
        # What other countries number their people by: China, Spain.
        (r"(?<!\d)[1-9]\d{5}(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX](?![\dA-Z])", 0.88),
        (r"(?<![\w\-])(?-i:\d{8}-?[A-HJ-NP-TV-Z]|[XYZ]-?\d{7}-?[A-Z])(?![\w\-])", 0.6),
    ],
    "fax": [
        (_after(r"(?:e|tele)?-?fax(?:es|ed)?|facsimile|\(f\)|f(?=:)", _PHONE, r"(?:[\s:#=.,()\-–/]++|\b(?:[a-z]{1,12}\.?)\b){0,7}?"), 0.9),
    ],
    "phone": [
        (_after(_TELEPHONE + r"|text|dial|reach|number", _PHONE, _PHONE_JOINT), 0.85),
        (
            _after(
                r"(?:tele)?phones?|tel|ph|cell(?:ular|phone)?|mobile|fax",
                r"\+?\(?\d(?:[\s().\-/]{0,2}\d){6,14}",
                r"[\s:#=.]{1,4}(?:(?:no|number|is)\b[\s:#=.]*)?",
            ),
            0.8,
        ),
        (_after(r"pagers?|beepers?|page|ext(?:ension)?|voicemail|switchboard|hotline", rf"(?:{_PHONE}|\d{{4,6}})", _PHONE_JOINT), 0.86),
        (rf"(?<![\w\-./]){_AREA}{_EXT}(?![\w\-/])", 0.7),
        (rf"(?<![\w\-./])(?:\(\d{{3}}\)\s?|\d{{3}}[\-.]|1-\d{{3}}-)\d{{3}}[\-.]\d{{4}}{_EXT}(?![\w\-/])", 0.65),
        (r"(?<![\w+])\+\d{1,3}(?:[\s.\-]{0,2}\(?\d{1,6}\)?){2,5}(?![\w\-])", 0.65),
    ],
    "email": [
        (r"(?<![\w.+\-])(?:[\w\-]{1,40}\s\.\s){0,2}[\w.+\-']{1,80}\s?@\s?[\w\-]+(?:\s?\.\s?[a-z]\w*)+\b", 0.95),
        (r"\b[\w.+\-]+(?:\s+dot\s+\w+)*\s+at\s+[\w\-]+(?:\s+dot\s+\w+)*\s+dot\s+(?:com|org|net|edu|gov|uk|io|us|ca|de)\b", 0.9),
        (r"\be-?\s?mail\W{1,3}\K[\w'’.+\-]+@[\w.\-]+\w", 0.96),
    ],
    "url": [
        (r"\b(?:https?|ftp|sftp|file)://[^\s<>\"'()\[\]]*[^\s<>\"'()\[\].,;:!?]", 0.9),
        (r"\bwww\s?\.\s?[\w\-']+(?:\s?\.\s?[a-z]\w*)+(?:/[^\s<>\"'()\[\],;]*)?", 0.9),
        (
            r"(?<![\w@.\-])(?:[a-z0-9][a-z0-9\-'’]*\.){1,4}(?-i:com|org|net|edu|gov|io|blog|info|us|uk|me|tv|be|ly|app|dev|health|COM|ORG|NET|EDU|GOV)"
            r"(?![\w@]|\.\w)(?:/[^\s<>\"'()\[\],;]*[^\s<>\"'()\[\],;.])?",
            0.75,
        ),
        (r"(?<![\w@.\-])(?:[a-z0-9][a-z0-9\-]*\.){1,4}[a-z]{2,6}/[^\s<>\"'()\[\],;]*[^\s<>\"'()\[\],;.]", 0.6),
        (r"\b(?:www\s+dot\s+)?\w[\w\-]{2,}\s+dot\s+(?:com|org|net|edu|gov)\b(?:\s+slash\s+\w+)*", 0.7),
    ],
    "ip": [
        (r"(?<![\d.])(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}(?:/\d{1,2})?(?![\d.]*\d)", 0.9),
        (_after(r"i\.?p\.?(?:v[46])?(?:\s+addr(?:ess|\.)?)?", r"\d{1,3}(?:\s?[.\-]\s?\d{1,3}){3}(?:/\d+)?", _CLOSE), 0.92),
        (r"(?<![\w:.])\[?(?:[0-9a-f]{1,4}:){3,7}(?::?[0-9a-f]{1,4}|:)(?::[0-9a-f]{1,4}){0,5}(?:%\w+)?\]?(?:/\d{1,3})?(?![\w:])", 0.7),
        (r"(?<![\w:.])\[?[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6}::(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6})?\]?(?![\w:])", 0.9),
        (r"(?<![\w:.])::(?:ffff:)?(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){1,6})(?![\w:])", 0.95),
    ],
    "mrn": [
        (
            _after(
                r"m\s?r\s?n|m\.r\.n\.?|mr(?=\s*(?:\#|no\b|number))|med(?:ical)?\.?\s*rec(?:ord)?s?\.?|"
                r"(?:patient|pt|hospital|hosp|unit|chart|record|ehr|emr|clinic|med|medical)'?s?\.?(?:\s+record)?" + _NO + r"|hrn|empi|mpi|"
                r"epi\b(?=\s*[:#])|ehr|cpi|urn|nhs|chi\b(?=\s*[:#n])|uhid|crn|identifier\s+of\s+patient",
                r"\d{3}[ \-]\d{3}[ \-]\d{4}|(?=[A-Z0-9\-./]{4})" + _CODE,
            ),
            0.85,
        ),
        (_after(r"n\.?h\.?c\.?|(?:historia|expediente)(?:\s+cl[ií]nic[ao])?|病历号|病案号|住院号|门诊号|就诊号", r"(?=[A-Z0-9\-./]{4})" + _CODE, r"[\s:：.,#nNºo°]{0,6}"), 0.85),
        (r"\b(?:patient|pt|chart|record)[\s#:(]{1,3}\K[A-Z]{0,3}\d{5,12}\b", 0.8),
    ],
    "health_plan": [
        (
            _after(
                r"(?:health\s*)?(?:plan|insurance|member(?:ship)?|subscriber|policy|beneficiary|group|grp|payer|coverage|card\s*holder|policy\s*holder)"
                r"(?:\s+(?:beneficiary|card|policy|plan|claim|member|subscriber|holder))*(?:'s)?" + _NO + r"|policy|hicn|mbi|"
                r"health\s+insurance\s+(?:claim|policy|card)|insurance\s+(?:card|certificate)|rx\s?\s?-?(?:bin|pcn|grp|group)|(?:certificate|cert)\W{0,2}(?:no|number|num|\#)?\.?\s*\(insurance\)|"
                r"insured'?s?\s+id|medigap|beneficiary",
                r"[A-Z]{2,4} \d{3}(?: \d{3}){1,3}|" + _GROUPS,
            ),
            0.86,
        ),
        (_after(_PAYERS, _GROUPS, r"(?:[\s:#=.,;(\-–/]++|\b(?:numbers?|nos?|num|ids?|is|reads?|card|policy|member|claim|plan|group|health|insurance|with)\b){0,8}?(?=[A-Z0-9\-]{6}|[A-Z0-9]{3} \d{3})"), 0.8),
        (r"\b[1-9][A-Z][A-Z0-9]\d-?[A-Z][A-Z0-9]\d-?[A-Z]{2}\d{2}\b", 0.82),
    ],
    "account": [
        (
            _after(
                r"a\s?c\s?c\s?(?:oun)?t\s?s?(?:\s+\#)?|a/c|bill(?:ing)?(?:\s+acc(?:oun)?t)?" + _NO + r"|(?:financial|fin|visit|encounter|enc|invoice|receipt|"
                r"statement|transaction|payment|contact\s+serial)" + _NO + r"|fin|csn|har|visit\s*\#|invoice(?:\s+no\.?)?\s+inv|invoice|iban|routing|aba|"
                r"(?:credit|debit|charge|payment|bank)\s+card|visa|mastercard|amex|discover|card" + _NO + r"|bank\s+account|swift",
                r"(?=(?:[A-Z\- ]*\d){3})" + _GROUPS + r"|\d{4}",
            ),
            0.84,
        ),
        (r"(?<![\w\-])(?:4\d{3}|5[1-5]\d{2}|6011|3[47]\d{2})[ \-]?\d{4,6}[ \-]?\d{4,5}(?:[ \-]?\d{4})?(?![\w\-])", 0.75),
        (r"(?<!\w)(?-i:[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,4})?)(?!\w)", 0.7),
    ],
    "licence": [
        (
            _after(
                r"npi|national\s+provider(?:\s+identifier)?|dea|upin|clia|cdl|dl(?=\s*[:#n])|gmc|nmc|"
                r"lic(?:en[sc]e)?s?(?!\s*plate)(?:\s+to\s+practi[cs]e)?\.?|permit|"
                r"driv(?:er|ing)'?s?'?\s+(?:lic\w*|permit)\.?|cert(?:ificat(?:e|ion))?(?!\w)\.?|passport|visa" + _NO + r"|"
                r"(?:state|medical|nursing|pharmacy|board|pilot|professional|marriage|birth|death)\s+(?:lic\w*|cert\w*|registration)",
                r"(?=(?:[A-Z\-. ]*\d){3})" + _GROUPS,
            ),
            0.83,
        ),
        (r"\b(?-i:[A-HJ-MP-UX][A-Z9])\d{7}\b", 0.55),
    ],
    "vehicle": [
        (r"(?<![A-Z0-9])(?=[A-Z]*\d)(?=\d*[A-Z])(?=(?:[A-Z]*\d){3})[A-HJ-NPR-Z0-9]{17}(?![A-Z0-9])", 0.88),
        (
            _after(
                r"v\s?i\s?n|vehicle(?:\s+(?:identification|id|serial|reg(?:istration)?|tag|licen[sc]e|number|no))+|"
                r"(?:lic(?:en[sc]e)?\.?\s+|number\s+)?plates?|(?:license|vehicle|motorcycle|car|truck|dealer|temporary)\s+tags?|tag(?=\s*(?:\#|no|num))|"
                r"(?:vehicle\s+|car\s+)?reg(?:istration)?(?:\s+no)?\.?(?!\s*nurse)|(?:handicap(?:ped)?|disabled|parking)(?:\s+parking)?\s+(?:placard|permit|tag)|"
                r"(?:ambulance|vehicle|unit|truck|bus|squad|medic)" + _NO,
                r"[A-HJ-NPR-Z0-9]{17}|" + _PLATE + r"|" + _CODE,
                r"(?:[\s:#=.,(\-–]++|\b(?:numbers?|nos?|num|id|is|was|of|the|reads?)\b){0,6}?",
            ),
            0.84,
        ),
    ],
    "device": [
        (
            r"\bUDI(?:-?[DP]I)?[\s:#]*\K(?:\(\d{2,3}\)[A-Z0-9\-]+){1,6}|(?:\(\d{2}\)[A-Z0-9\-]{3,20}){2,6}",
            0.92,
        ),
        (
            _after(
                r"serials?(?:\s*(?:numbers?|nos?\b\.?|num\b\.?|\#))?|ser\.?\s*(?:no|num|\#)\.?|s/n|sn(?=\s*[:#]?\s*[A-Z]{0,3}\d)|lot(?:\s*(?:numbers?|nos?\b\.?|\#))?|udi(?:-?[dp]i)?|"
                r"imei|meid|mac(?:\s+addr(?:ess)?)?|asset(?:\s+tag)?|"
                r"(?:device|model|implant|equipment|catalog(?:ue)?|ref)" + _NO + r"|device(?:\s+id(?:entifier)?)?\.?|di|pi(?=\s*\()|ref(?=[:\s]+\d{3,}-)",
                r"[0-9A-F]{2}(?:[:\-][0-9A-F]{2}){5}|(?:\(\d{2,3}\)[A-Z0-9\-]+){1,6}|" + _CODE,
            ),
            0.85,
        ),
        (rf"\b(?:{_IMPLANTS})\b[^.;\n]{{0,30}}?(?:\#|\bid\b|\bnumber\b|\bno\.|\bserial\b|\btag\b)[\s:.#]*\K{_CODE}{_END}", 0.84),
        (r"(?<![\w:])(?:[0-9A-F]{2}[:\-]){5}[0-9A-F]{2}(?![\w:])", 0.8),
    ],
    "biometric": [
        (
            rf"\b(?:{_FINGERS})(?:[\s:#=.,(\-–/]++|\b(?:numbers?|nos?|num|ids?|identifier|is|was|on|file|the|stored|{_BIO_WORDS})\b){{0,9}}?\K{_CODE}{_END}",
            0.9,
        ),
    ],
    "photo": [
        (rf"(?<![\w/\\.])(?:[A-Z]:)?[\\/]?(?:[\w\-.'’]+[\\/])*[\w\-.()']*\w\.{_FILE}\b", 0.91),
        (rf"\b(?:image|photo(?:graph)?|picture|video|scan|file|img|attached)(?:s|\s+file)?(?:\s+as)?[\s:]+\K[\w\-]+(?: [\w\-]+){{1,3}}\.{_FILE}\b", 0.92),
        (
            _after(
                r"(?:full[\s\-]?face\s+)?(?:photo(?:graph)?s?|image|images|picture|pictures|pic|portrait|headshot|mugshot|snapshot|img|selfie)",
                _CODE,
                r"(?:[\s:#=.,(\-–]++|\b(?:numbers?|nos?|num|id|is|was|on|file|the|as|stored|saved|see|taken)\b){0,8}?(?=[A-Z\-_]*\d[A-Z\-_]*\d[A-Z\-_]*\d)",
            ),
            0.82,
        ),
    ],
    "other_id": [
        (
            _after(
                r"(?:study|subject|participant|trial|protocol|research|enrol\w*|randomi[sz]ation|accession|specimen|sample|biopsy|pathology|case|"
                r"(?:police|incident|crash|accident)\s+report|report|claim|order|requisition|req|prescription|rx|script|job|document|doc|dictation|transcription|"
                r"confirmation|reference|ref|badge|employee|emp|staff|student|school|military|service|dod|inmate|prisoner|booking|docket|file|tracking|"
                r"donor|recipient|unos|blood\s+unit|registry|tax|voucher|ticket|appointment|referral|authori[sz]ation|auth|worker|user|login|"
                r"personal|national|citizen|identity|voter|alien|veteran|va|tribal|family|household|device|kit|box|locker|slide|block|cassette|barcode|"
                r"tax\s?payer|client|consumer|customer|resident|caller|contact|message|session|transaction|request|workers'?\s+comp(?:ensation)?(?:\s+claim)?|"
                r"acc|c(?:onsult)?)(?:\s+(?:subject|participant|patient|report|claim|unit|kit|order|form|payer))*" + _NO,
            ),
            0.8,
        ),
        (
            _after(
                r"accession|specimen|study\s+(?:subject|participant|id)|subject|acc\b|uuid|guid|user\s?name|login|log-?in|user\s*id|tin|ein|itin|"
                r"unos|workers'?\s+comp(?:ensation)?(?:\s+claim)?|surgical\s+path(?:ology)?|pathology|cytology|slide|block|claim|badge|docket|donor|tracking",
                r"(?=(?:[A-Z\-. ]*\d){2})" + _CODE,
            ),
            0.79,
        ),
        (_after(r"user\s?name|login|log-?in|user\s*id|handle|screen\s*name", r"[a-z][\w.\-]*\d[\w.\-]*|@\w+", _CLOSE), 0.82),
        (r"(?<![\w\-])[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?![\w\-])", 0.9),
        # A label we have no name for: two or three words, then "ID", "#" or "No.", then a code.
        (rf"\b[A-Z][A-Za-z'’]+(?:\s*\#|\s+(?:ID|no\.|number|num\.?|nr\.?|id\.)(?!\w))\s?[:#=.]*\s*(?:is\s+)?\K{_LONG}{_END}", 0.5),
        # A number too long to be a measurement; counts with units are taken out in find.py.
        (r"(?<![\w.,/\-+])(?:[A-Z]{1,4}[\-]?)?\d{6,20}(?:-\d{1,8})*[A-Z]?(?![A-Z0-9_/%]|[.,]\d|-\w)", 0.4),
        (r"(?<![\w.,/\-+])\d{2,6}(?:-\d{2,8}){2,4}(?![A-Z0-9_/%]|[.,]\d|-\w)", 0.4),
        (r"(?<![\w.,/\-+])(?=[A-Z]*\d)(?=\d*[A-Z])(?=(?:[A-Z\-]*\d){5})[A-Z0-9]+(?:-[A-Z0-9]+){0,4}(?![A-Z0-9_/%]|[.,]\d|-\w)", 0.35),
    ],
}  # fmt: skip

# A number with one of these before or behind it is a count or a measurement.
MEASURED_BEFORE = r"(?:platelets?|plt|wbc|rbc|counts?|cells?|viral\s+load|copies|hcg|cpk|ck|ferritin|bnp|units?|icd-?(?:9|10)?|cpt|rs|loinc|snomed|nct|pmid)\W{0,3}(?:\s*(?:count|load|level|was|is|of|at|code|were)\b\W{0,2}){0,3}$"  # fmt: skip
MEASURED_AFTER = r"^\s*(?:mg|mcg|µg|g|kg|ml|l|dl|cc|cm|mm|u\b|iu|units?|meq|mmol|copies|cells|/|per\b|x\s?10|k\b|%|international|colon|cfu|years?|days?|weeks?|months?|hours?|times)"  # fmt: skip
