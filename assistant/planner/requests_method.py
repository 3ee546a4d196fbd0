"""Requests about the method in words: "use prefix tuning", "full fine-tuning", "with DoRA", "one adapter per task"."""

from __future__ import annotations

import re
from typing import Any

from assistant.planner.reading_text import Message
from trainer.method_sections import METHOD_KINDS

Settings = dict[str, Any]

# A variant of LoRA: what it sets, and what its denial sets.
_VARIANTS: list[tuple[str, Settings, Settings]] = [
    (
        r"\brs-?\s?lora\b|\brank[- ]stabili[sz]ed\b(?: (?:lora|scaling))?",
        {"method.scaling": "rank_stabilised"},
        {"method.scaling": "standard"},
    ),
    (r"\b(?:q-?)?dora\b", {"method.dora": True}, {"method.dora": False}),
    (r"\bpissa\b(?: init\w*)?", {"method.init": "pissa"}, {"method.init": "zero"}),
    (r"\b(?-i:EVA)\b(?: init\w*)?|\beva init\w*", {"method.init": "eva"}, {"method.init": "zero"}),
    (r"\blora\s?\+(?!\w)|\blora[- ]?plus\b", {"method.rate_ratio": 16}, {"method.rate_ratio": 1}),
    (
        r"\b(?:rank[- ]search|automatic rank)\b"
        r"|\b(?:find|search(?: for)?|look for|choose|pick|determine|tune)\s+(?:me\s+)?(?:the\s+|a\s+)?"
        r"(?:(?:best|right|good|optimal|ideal)\s+)?rank\b(?!\s*(?:=|of)?\s*\d)",
        {"method.search_rank": True},
        {"method.search_rank": False},
    ),
]
_KINDS = [
    ("adalora", r"\bada-?\s?lora\b"),
    (
        "full",
        r"\bfull(?:y)?[- ](?:parameter[- ]|model[- ])?(?:fine[- ]?tun\w*|tun(?:e|ed|ing)|training)\b"
        r"|\b(?:fine[- ]?tune|tune|train|update) (?:all|every|the whole|the entire) (?:of )?(?:the |its )?"
        r"(?:weights?|parameters?|layers?|model)\b",
    ),
    (
        "prefix",
        r"\bprefix[- ]tun(?:e|ed|ing)\b|\b(?:use|with|train|try|want|take) (?:a |trained )?prefix(?:es)?\b"
        r"|\bprefixes\b",
    ),
    ("p_tuning", r"\bp[- ]tun(?:e|ed|ing)\b"),
    ("prompt", r"\bprompt[- ]tun(?:e|ed|ing)\b|\bsoft[- ]prompts?\b"),
    ("ia3", r"\bia\s?\^?3\b|\(ia\)\s?\^?3"),
    (
        "layer_norm",
        r"\b(?:layer[- ]?norm|ln)[- ]tun(?:e|ed|ing)\b"
        r"|\b(?:tune|train)\w*\s+(?:only |just )?(?:the )?(?:layer[- ]?)?norms?\b(?: only| alone)?",
    ),
    (
        "adapter",
        r"\b(?:(?:sequential|serial|parallel)\s+(?:bottleneck\s+|houlsby\s+)?adapters?"
        r"|(?:bottleneck|houlsby)(?:[- ]style)?\s+(?:adapters?|layers?)"
        r"|adapter[- ](?:modules?|layers?|tuning)"
        r"|(?:use|with|try|take|want|switch to)\s+adapters(?!\s+(?:on|of|for)\b))\b",
    ),
]
_COMPILED = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _KINDS]
_COMPILED_VARIANTS = [(re.compile(pattern, re.IGNORECASE), on, off) for pattern, on, off in _VARIANTS]
_LORA = re.compile(
    r"\b(?:use|with|take|try|want|prefer|switch to|(?:go )?back to|plain|normal|standard|ordinary)\s+"
    r"(?:plain |normal |standard |ordinary |just )?(?<!q)lora\b",
    re.IGNORECASE,
)
_OWN = r"(?P<what>prefix|adapter|(?:layer[- ]?)?norm)(?:es|s)?"
_PER = re.compile(
    rf"\b(?:one|an?|separate|own|different|another)\s+(?:own\s+)?(?:bottleneck\s+)?{_OWN}\s+"
    r"(?:per|a|for (?:each|every))\s+(?P<per>task|special(?:i)?ty)\b"
    rf"|\b(?P<per2>task|special(?:i)?ty)[- ]specific\s+{_OWN.replace('what', 'what2')}\b"
    rf"|\b{_OWN.replace('what', 'what3')}\s+(?:per|for (?:each|every))\s+(?P<per3>task|special(?:i)?ty)\b",
    re.IGNORECASE,
)
_LENGTH = re.compile(
    r"\b(?P<what>prefix|prompt)(?:[- ]tuning)?\s+(?:(?:with|of|a|length|size)\s+)*(?:=\s*|:\s*)?"
    r"(?P<value>\d{1,3})\b(?:\s+(?:virtual\s+)?tokens?)?"
    r"|(?<![\w.-])(?P<tokens>\d{1,3})\s+virtual\s+tokens?",
    re.IGNORECASE,
)
_WIDTH = re.compile(
    r"\b(?:(?:bottleneck|adapter)s?\s+)?(?:width|bottleneck(?: (?:size|dimension))?)\s*(?:=|:|of\b|to\b|is\b)?\s*"
    r"(?P<value>\d{1,4})\b",
    re.IGNORECASE,
)
_PLACED = re.compile(
    r"\b(?P<place>parallel|sequential|serial)\s+(?=(?:bottleneck |houlsby )?adapters?\b|placement)"
    r"|\badapters?\s+(?:placed\s+)?in\s+(?P<place2>parallel|sequence|series)\b",
    re.IGNORECASE,
)
_PROJECTION = re.compile(r"\b(?:prefix )?(?:projection|reparametri[sz]ation)\b", re.IGNORECASE)
_OFFLOAD = re.compile(r"\b(?:cpu[- ])?off-?load\w*(?: (?:it )?to (?:the )?(?:cpu|ram))?", re.IGNORECASE)
_RUN = r"(?P<run>[\w~./-]*[\d/][\w./-]*)"
_START = re.compile(
    r"\b(?:start|begin|go on|continue|carry on|transfer)(?:ing|s)?\s+(?:training\s+)?(?:from|with)\s+"
    rf"(?:the\s+|my\s+)?(?:trained\s+|earlier\s+)?(?:run|adapter)\s+(?:in\s+|at\s+)?{_RUN}",
    re.IGNORECASE,
)
_STACK = re.compile(
    r"\bstack(?:ed)?\s+(?:it\s+|them\s+|the adapters?\s+)?(?:on top of|on|onto|upon|over)\s+"
    rf"(?:the\s+)?(?:run\s+|adapter\s+)?{_RUN}",
    re.IGNORECASE,
)


def read_method(message: Message, kind: str) -> Settings:
    """Fields of the method section that a message sets; `kind` is what the run is tuned with so far."""
    wanted: Settings = {}
    for match in message.take(_START):
        wanted["method.start_from"] = match["run"].rstrip(".")
    for match in message.take(_STACK):
        wanted |= {"method.kind": "adapter", "method.below": [match["run"].rstrip(".")]}
    for match in message.mentions(_PER):
        what = (match["what"] or match["what2"] or match["what3"]).lower()
        per = (match["per"] or match["per2"] or match["per3"]).lower()
        wanted["method.kind"] = what if what in METHOD_KINDS else "layer_norm"
        wanted["method.per"] = "task" if per == "task" else "specialty"
    for match in message.take(_WIDTH):
        wanted["method.width"] = int(match["value"])
    for match in message.mentions(_PLACED):
        sequential = (match["place"] or match["place2"]).lower() != "parallel"
        wanted |= {"method.kind": "adapter", "method.placement": "sequential" if sequential else "parallel"}
    for match in message.take(_LENGTH):
        if match["what"]:
            wanted.setdefault("method.kind", match["what"].lower())
        wanted["method.length"] = int(match["value"] or match["tokens"])
    for pattern, on, off in _COMPILED_VARIANTS:
        for match in message.take(pattern):
            denied = message.negated(match.start())
            wanted |= off if denied else on
            if not denied:
                wanted["method.kind"] = "lora"
    for named, pattern in _COMPILED:
        for match in message.take(pattern):
            if not message.negated(match.start()):
                wanted["method.kind"] = named
            elif named == kind:
                wanted["method.kind"] = None
    for match in message.take(_PROJECTION):
        wanted |= {"method.kind": "prefix", "method.projection": not message.negated(match.start())}
    for match in message.take(_OFFLOAD):
        wanted["method.offload"] = not message.negated(match.start())
    if message.mentions(_LORA):
        wanted.setdefault("method.kind", "lora")
    if wanted.get("method.kind") == kind:
        del wanted["method.kind"]
    return wanted
