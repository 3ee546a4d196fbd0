"""Requests about what acts while a run trains: "with EWC", "a curriculum", "PCGrad", "roll back past 5 points"."""

from __future__ import annotations

import re
from typing import Any

from assistant.planner.advice_steering import REPTILE_STEPS, perturbations
from assistant.planner.reading_number_words import number_value
from assistant.planner.reading_text import Message
from trainer.sections import RunConfig

Settings = dict[str, Any]

# Strengths that are taken where a request names the thing alone. Distillation's is that of its authors (Li & Hoiem
# 2017). EWC's and L2-SP's are on one scale, since the Fisher information has a mean of 1; between 0.003 and 0.03 both
# held what LoRA of rank 64 at 3e-3 otherwise forgot (20 points), and cost no gain (bench/methods.py, one seed).
EWC_STRENGTH = 0.03
L2_SP_STRENGTH = 0.01
DISTILLATION_STRENGTH = 1.0
CONSISTENCY_STRENGTH = 1.0

_NUMBER = r"(?:\d+(?:\.\d+)?(?:e-?\d+)?|\.\d+)"
_STRENGTH = rf"(?:\s*(?:with|at|of|=|:|\(|strength|lambda|alpha)+\s*(?:strength|lambda|alpha)?\s*(?P<value>{_NUMBER}))?"
# A pattern, the field, what a mention sets (a number that it names wins), and what its denial sets.
_SWITCHES: list[tuple[str, str, Any, Any]] = [
    (
        r"\b(?:layer[- ]?wise|discriminative)\s+(?:learning[- ]?)?(?:rates?|lrs?|(?:rate )?decay)\b"
        r"(?:\s*(?:of|at|with|:|=)?\s*1\s*:\s*(?P<value>\d+))?"
        r"|\b(?:different|lower|smaller)\s+(?:learning\s+)?rates?\s+(?:for|in|at)\s+(?:the\s+)?(?:lower|bottom|early)\s+"
        r"layers?",
        "schedule.layer_rate_ratio",
        10,
        1,
    ),
    (
        r"\bgradual(?:ly)?\s+unfree[sz]\w*|\bunfree[sz]\w*\s+(?:the\s+layers\s+|them\s+|it\s+)?"
        r"(?:gradually|one by one|layer by layer|step by step)",
        "schedule.unfreezing_share",
        0.5,
        0.0,
    ),
    (
        r"\blinear(?:ly)?\s+(?:rate\s+)?(?:decay\w*|schedule)|\bdecay\w*\s+linearly",
        "schedule.decay",
        "linear",
        "cosine",
    ),
    (r"\bcosine\s+(?:rate\s+)?(?:decay\w*|schedule)", "schedule.decay", "cosine", "linear"),
    (rf"\bnef-?\s?tune?(?:d|ing)?\b{_STRENGTH}", "schedule.neftune_alpha", 5.0, 0.0),
    (rf"\bmix-?up\b{_STRENGTH}", "schedule.mixup_alpha", 0.2, 0.0),
    (
        r"\bcurriculum\b[^.;!?\n,]{0,20}\bplateaus?\b|\bplateau\w*\s+curriculum\b",
        "steering.curriculum",
        "plateau",
        "off",
    ),
    (
        r"\bcurriculum[- ](?:learning|training|order)\b"
        r"|\b(?:use|with|as|add|want|try|no|without|follow|in)\s+(?:a\s+|any\s+|the\s+)?curriculum\b(?!\s+questions?)"
        r"|\ba\s+curriculum\b(?=\s*(?:[,.;!?\n]|$|and\b))"
        r"|\b(?:from\s+)?easy\s+to\s+hard\b|\beasiest\s+(?:\w+\s+)?first\b|\bfacts\s+first\b",
        "steering.curriculum",
        "steps",
        "off",
    ),
    (r"\bpc-?\s?grad\b|\bgradient\s+surgery\b", "steering.gradient_surgery", "pcgrad", "off"),
    (r"\bup-?\s?grad\b(?!e)", "steering.gradient_surgery", "upgrad", "off"),
    (rf"\b(?:ewc|elastic\s+weight\s+consolidation)\b{_STRENGTH}", "steering.ewc", EWC_STRENGTH, 0.0),
    (
        rf"\bl2[- ]?sp\b{_STRENGTH}"
        r"|\bpull\w*\s+(?:it\s+)?back\s+to(?:wards)?\s+the\s+(?:base|pre-?trained)(?:\s+model)?(?:'s)?\s+weights\b",
        "steering.l2_sp",
        L2_SP_STRENGTH,
        0.0,
    ),
    (
        rf"\b(?:self-?)?distill?ation\b{_STRENGTH}|\blearning\s+without\s+forgetting\b"
        r"|\bdistil+(?:ed)?\s+from\s+the\s+(?:untouched\s+|frozen\s+)?base\b",
        "steering.distillation",
        DISTILLATION_STRENGTH,
        0.0,
    ),
    (
        r"\bdynamic(?:ally)?\s+mix\w*|\bmix\w*\s+dynamically|\b(?:start|begin)\w*\s+(?:at\s+|with\s+|from\s+)?(?:a\s+)?"
        r"50\s?[/:]\s?50\b|\b50\s?[/:]\s?50\s+(?:at first|to begin with|to start(?: with)?)",
        "steering.mixing",
        "dynamic",
        "fixed",
    ),
    (r"\b(?:reptile|meta-?\s?learn\w*)\b", "steering.reptile_steps", REPTILE_STEPS, 0),
    (
        rf"\bconsistency\s+(?:loss|term|regulari[sz]\w+|training)\b{_STRENGTH}",
        "adversarial.consistency",
        CONSISTENCY_STRENGTH,
        0.0,
    ),
    (r"\bfgm\b|\bfast\s+gradient(?:\s+(?:sign\s+)?method)?\b", "adversarial.embedding", "fgm", "off"),
    (
        r"\bfree-?\s?lb\b|\battacks?\s+on\s+(?:the\s+)?(?:input\s+)?embeddings\b"
        r"|\badversarial\s+(?:training\s+)?(?:on|of|in)\s+(?:the\s+)?(?:input\s+)?embeddings\b",
        "adversarial.embedding",
        "freelb",
        "off",
    ),
    (rf"\bepsilon\s*(?:of|=|:|to)?\s*(?P<value>{_NUMBER})", "adversarial.epsilon", None, None),
    (
        r"\b(?:leave[- ]one[- ]out|loo-?cv)\b(?:\s+cross[- ]?validation)?",
        "evaluation.validation",
        "leave_one_out",
        None,
    ),
]
_COMPILED = [(re.compile(pattern, re.IGNORECASE), field, on, off) for pattern, field, on, off in _SWITCHES]
_NO_REPLAY = re.compile(r"\b(?:no|without|skip(?: the)?|drop(?: the)?)\s+replay\b", re.IGNORECASE)
_WARM_UP = re.compile(
    r"\b(?P<one>\d{1,2})\s*%\s*(?:of\s+)?warm-?\s?up\b|\bwarm-?\s?up\D{0,12}?(?P<two>\d{1,2})\s*%"
    r"|\b(?:no|without)\s+warm-?\s?up\b",
    re.IGNORECASE,
)
_WAYS = {"uncertainty": "uncertainty", "inverse": "inverse_loss", "uniform": "uniform", "equal": "uniform"}
_WAYS |= {"dynamic": "dynamic"}
_WAY = r"(?P<{0}>uncertainty|inverse|uniform|equal|dynamic)(?:ly|ally)?(?:[- ]loss(?:es)?)?"
_OF_WAY = r"(?:by|from|through|with|:|=)?\s*(?:the\s+|their\s+)?(?:learn\w*\s+)?"
_TASK_WEIGHTS = re.compile(
    rf"\b(?:weigh\w*|balanc\w*)\s+(?:the\s+|all\s+)?tasks?\s+{_OF_WAY}{_WAY.format('a')}\b"
    rf"|\btask[- ]weights?\s+{_OF_WAY}{_WAY.format('b')}\b"
    rf"|\b{_WAY.format('c')}[- ](?:task[- ])?weight\w*",
    re.IGNORECASE,
)
_CONFLICT = re.compile(
    r"\b(?:measure|watch|track|monitor|check|show)\w*\s+(?:\w+\s+){0,3}?conflicts?\b(?:\s+between\s+(?:the\s+)?tasks)?"
    r"|\bgradient\s+conflicts?\b",
    re.IGNORECASE,
)
_FORGETTING = re.compile(
    r"\b(?:watch|monitor|check|track|measur)\w*\s+(?:\w+\s+){0,3}?forgetting\b|\bforgetting\s+(?:monitor|limit|watch)\b"
    r"|\b(?:if|when|once|where|in case)\s+(?:it|the model)\s+forgets?\b(?:\s+too much)?",
    re.IGNORECASE,
)
_ROLL_BACK = re.compile(r"\broll(?:s|ed|ing)?[- ]?back\b", re.IGNORECASE)
_STOP = re.compile(r"\bstop\b(?:\s+(?:it|the run|training))?(?!\s+after)", re.IGNORECASE)
_WARN = re.compile(r"\b(?:only\s+|just\s+)?warn\b(?:\s+me)?(?:\s+only)?", re.IGNORECASE)
_LIMIT = re.compile(
    r"\b(?:past|above|over|beyond|more than|exceed\w*|los(?:es?|ing)|limit(?:\s+of|\s+to)?)\s+"
    r"(?P<value>\d{1,2}(?:\.\d+)?)\s*(?:%|points?\b|pp\b|per\s?cent\b)",
    re.IGNORECASE,
)
_HARM = re.compile(
    r"\b(?P<verb>watch|monitor|check|track|screen|look|stop|warn)\w*\s+(?:\w+\s+){0,4}?(?:harmful|unsafe|dangerous)\b"
    r"(?:\s+(?:answers?|outputs?|repl(?:y|ies)|content))?|\bharm(?:ful[- ]outputs?)?\s+monitor\b",
    re.IGNORECASE,
)
_FOLDS = re.compile(
    r"\b(?:(?P<n>\d{1,2}|three|four|five|six|eight|ten)[- ]?|k[- ])folds?\b(?!\s+(?:increase|higher|more|rise))"
    r"(?:\s+cross[- ]?validation)?|\bcross[- ]?validat\w+",
    re.IGNORECASE,
)
_WATCH = re.compile(
    r"\b(?:stop\w*|watch\w*|judge\w*|monitor\w*)\s+(?:it\s+)?(?:early\s+)?(?:on|by|at|for)?\s*(?:the\s+)?"
    r"(?P<what>token accuracy|answer accuracy|worst task|validation loss)(?:'s)?(?:\s+loss)?\b",
    re.IGNORECASE,
)
_WATCHED = {"worst task": "worst_task_loss", "validation loss": "loss"}
_LEAST_GAIN = re.compile(
    rf"\b(?:(?:min(?:imum)?[- _])?delta|least gain)\s*(?:of|=|:|to)?\s*(?P<value>{_NUMBER})", re.IGNORECASE
)
_DISTURBED = re.compile(
    r"\b(?:disturb|perturb)\w*\s+(?:(?P<share>\d{1,2})\s*%\s+(?:of\s+)?)?(?:the\s+|all\s+|my\s+|some\s+)?(?:training\s+)?"
    r"(?:questions?|rows?|examples?|data)\b|\b(?P<of>\d{1,2})\s*%\s+(?:disturbed|perturbed)\b|\bperturbations\b",
    re.IGNORECASE,
)
_EVERY = re.compile(
    r"\b(?:evaluat|validat|measur)\w*\s+(?:it\s+)?(?:every|each)\s+(?P<value>\d{1,5})\s*steps\b", re.IGNORECASE
)
_TRACKERS = {
    "wandb": re.compile(r"\b(?:wandb|w\s?&\s?b|weights\s+(?:and|&)\s+biases)(?!\w)", re.IGNORECASE),
    "trackio": re.compile(r"\btrackio\b", re.IGNORECASE),
}
_TENSORBOARD = re.compile(r"\btensor-?\s?board\b", re.IGNORECASE)


def read_steering(message: Message, planned: RunConfig) -> tuple[Settings, list[str]]:
    """Fields of the sections schedule, steering, evaluation and output that a message sets, and remarks."""
    wanted: Settings = _forgetting(message, planned) | _harm(message, planned)
    if list(message.take(_NO_REPLAY)):
        wanted["steering.replay_share"] = 0.0
    for match in message.take(_WARM_UP):
        wanted["schedule.warmup_share"] = int(match["one"] or match["two"] or 0) / 100
    for match in message.take(_EVERY):
        wanted["evaluation.every"] = int(match["value"])
    for match in message.mentions(_WATCH):
        what = match["what"].lower()
        wanted["evaluation.watch"] = _WATCHED.get(what, what.replace(" ", "_"))
    for match in message.take(_LEAST_GAIN):
        wanted["evaluation.least_gain"] = float(match["value"])
    for match in message.mentions(_TASK_WEIGHTS):
        wanted["steering.task_weights"] = _WAYS[(match["a"] or match["b"] or match["c"]).lower()]
    for pattern, field, on, off in _COMPILED:
        for match in message.take(pattern):
            named = match.groupdict().get("value")
            wanted[field] = off if message.negated(match.start()) else float(named) if named else on
    wanted = _disturbed(message, planned, wanted)
    for match in message.take(_CONFLICT):
        wanted["steering.conflict_every"] = None if message.negated(match.start()) else planned.evaluation.every
    for match in message.take(_FOLDS):
        if message.negated(match.start()):
            wanted["evaluation.validation"] = "split"
            continue
        wanted["evaluation.validation"] = "k_fold"
        if match["n"]:
            wanted["evaluation.folds"] = int(number_value(match["n"]) if match["n"].isalpha() else match["n"])
    return wanted | _trackers(message, planned), [_ALWAYS for _ in message.take(_TENSORBOARD)]


_ALWAYS = "TensorBoard's files are always written, into the run folder."


def _forgetting(message: Message, planned: RunConfig) -> Settings:
    named = list(message.take(_FORGETTING))
    rolled = list(message.take(_ROLL_BACK))
    if not (named or rolled):
        return {}
    if named and message.negated(named[0].start()):
        return {"steering.forgetting_every": None}
    wanted: Settings = {"steering.forgetting_every": planned.steering.forgetting_every or planned.evaluation.every}
    for match in message.take(_LIMIT):
        wanted["steering.forgetting_limit"] = float(match["value"])
    if rolled:
        wanted["steering.forgetting_action"] = "roll_back"
    elif list(message.take(_STOP)):
        wanted["steering.forgetting_action"] = "stop"
    elif list(message.take(_WARN)):
        wanted["steering.forgetting_action"] = "warn"
    return wanted


def _harm(message: Message, planned: RunConfig) -> Settings:
    wanted: Settings = {}
    for match in message.take(_HARM):
        if message.negated(match.start()):
            return {"steering.harm_every": None}
        wanted["steering.harm_every"] = planned.steering.harm_every or planned.evaluation.every
        if match["verb"] and match["verb"].lower() in ("stop", "warn"):
            wanted["steering.harm_action"] = match["verb"].lower()
    return wanted


def _disturbed(message: Message, planned: RunConfig, wanted: Settings) -> Settings:
    """What was found so far, behind the disturbed rows that were asked for or that a consistency loss needs."""
    rows: Settings = {}
    for match in message.take(_DISTURBED):
        if message.negated(match.start()):
            return {"adversarial.perturbations": [], "adversarial.consistency": 0.0} | wanted
        rows["adversarial.perturbations"] = planned.adversarial.perturbations or perturbations(planned.task.name)
        if share := match["share"] or match["of"]:
            rows["adversarial.share"] = int(share) / 100
    if wanted.get("adversarial.consistency") and not planned.adversarial.perturbations:
        rows.setdefault("adversarial.perturbations", perturbations(planned.task.name))
    return rows | wanted


def _trackers(message: Message, planned: RunConfig) -> Settings:
    found: list[str] = list(planned.output.trackers)
    for name, pattern in _TRACKERS.items():
        for match in message.take(pattern):
            if message.negated(match.start()):
                found = [one for one in found if one != name]
            elif name not in found:
                found.append(name)
    return {} if found == planned.output.trackers else {"output.trackers": found}
