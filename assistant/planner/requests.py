"""Requests about the run file in words: "use rank 32", "no quantisation", "train longer", "I ran out of memory"."""

from __future__ import annotations

import re
from typing import Any

from assistant.planner.reading_number_words import number_value
from assistant.planner.reading_text import Message
from assistant.planner.requests_method import read_method
from assistant.planner.requests_steering import read_steering
from trainer import config as run_config
from trainer.config import ConfigError
from trainer.method_names import method_name
from trainer.sections import HardwareSection, RunConfig

_IS = r"\s*(?:=|:|\bof\b|\bto\b|\bis\b|\bat\b)?\s*"
_NUMBER = r"(?:\d+(?:\.\d+)?(?:e-?\d+)?|\.\d+)"
_COUNT = r"(?:\d{1,5}|one|two|three|four|five|six|eight|ten|twelve|sixteen|twenty)"
_NAMED = [
    ("method.rank", rf"\b(?:rank|r(?=\s*[=:]|\s+\d)){_IS}(?P<value>{_COUNT})\b(?!\.\d)"),
    ("method.alpha", rf"\balpha{_IS}(?P<value>{_COUNT})\b"),
    ("method.dropout", rf"\bdropout{_IS}(?P<value>{_NUMBER})"),
    ("schedule.learning_rate", rf"\b(?:learning[\s-]rate|lr){_IS}(?P<value>{_NUMBER})"),
    ("schedule.epochs", rf"(?<![\w.-])(?P<value>\d+(?:\.\d+)?|{_COUNT})\s*epochs?\b"),
    ("schedule.epochs", rf"\bepochs?{_IS}(?P<value>\d+(?:\.\d+)?)\b"),
    ("schedule.batch_size", rf"\bbatch(?:[\s-]*size)?{_IS}(?P<value>{_COUNT})\b"),
    ("schedule.accumulation", rf"\b(?:gradient )?accumulation(?: steps)?{_IS}(?P<value>{_COUNT})\b"),
    ("schedule.max_steps", r"(?<![\w.-])(?P<value>\d{1,6})\s*(?:training )?steps\b"),
    (
        "schedule.max_length",
        r"\b(?:max(?:imum)?[\s_-]*(?:sequence[\s-]*)?length|sequence[\s-]*length|context length)"
        rf"{_IS}(?P<value>\d{{2,6}})\b",
    ),
    ("schedule.max_length", r"(?<![\w.-])(?P<value>\d{3,6})\s*tokens?\b(?!\s*(?:/|per|a)\s*s)"),
    ("schedule.patience", rf"\bpatience{_IS}(?P<value>{_COUNT})\b"),
    ("schedule.seed", rf"\bseed{_IS}(?P<value>\d{{1,9}})\b"),
    ("schedule.weight_decay", rf"\bweight[\s-]decay{_IS}(?P<value>{_NUMBER})"),
]
_PATTERNS = [(field, re.compile(pattern, re.IGNORECASE)) for field, pattern in _NAMED]
_REPLAY = re.compile(r"\b(\d{1,2})\s*%\s*(?:of\s+)?replay|\breplay\D{0,12}?(\d{1,2})\s*%", re.IGNORECASE)
_TEST = re.compile(r"\b(\d{1,2})\s*%\s*(?:of (?:the )?rows )?(?:for|as|to) (?:the |a )?test\b", re.IGNORECASE)
_IDENTIFIERS = r"(?:the |all |any )?(?:names|identifiers|patient data|phi|personal data)"
_DEIDENTIFY = [
    (
        "surrogate",
        r"\b(?:use|with) surrogates\b|\bsurrogate (?:names|values|identifiers)\b"
        rf"|\breplace {_IDENTIFIERS} (?:with|by) (?:invented|made-up|fake|surrogate)\b",
    ),
    ("mask", rf"\bmask {_IDENTIFIERS}|\buse (?:masks|masking)\b"),
    (
        "drop",
        rf"\b(?:drop|leave out|remove) (?:the |all |any )?rows (?:with|that (?:hold|have|contain)) {_IDENTIFIERS}",
    ),
]
_BALANCE = re.compile(r"\bbalance (?:the )?(classes|labels|specialties|tasks)\b", re.IGNORECASE)
_BALANCED = {"classes": "label", "labels": "label", "specialties": "specialty", "tasks": "task"}
_GROW = [
    ("synonyms", r"\baugment\w* (?:it |the (?:data|rows) )?(?:with|by|through) (?:medical )?synonyms\b"),
    ("abbreviations", r"\baugment\w* (?:it |the (?:data|rows) )?(?:with|by|through) abbreviations\b"),
    ("brand_generic", r"\baugment\w* (?:it |the (?:data|rows) )?(?:with|by|through) (?:brand|generic) names\b"),
]
_WHOLE = re.compile(
    r"\b(?:no|without|skip|drop|avoid|don't (?:use|want))\s+(?:any\s+)?(?:quanti[sz]\w*|4[\s-]?bits?|q-?lora|nf4)"
    r"|\b(?:full|16[\s-]?bit) precision|\bin 16[\s-]?bits?\b|\bunquanti[sz]ed\b",
    re.IGNORECASE,
)
_NF4 = re.compile(r"\b(?:q-?lora|4[\s-]?bits?|nf4)\b|\bquanti[sz]e (?:it|the (?:base|model))\b", re.IGNORECASE)
_CHECKPOINTING = re.compile(r"\b(?:gradient|activation) checkpointing\b", re.IGNORECASE)
_MODULES = re.compile(
    r"\b((?:(?:q|k|v|o|gate|up|down)_proj)(?:\s*(?:,|and|/|\+|&)\s*(?:(?:q|k|v|o|gate|up|down)_proj))*)\b"
    r"|\b((?:q|k|v|o)(?:\s*(?:/|,|and)\s*(?:q|k|v|o))+)\s+(?:only|projections?|alone)",
    re.IGNORECASE,
)
_LONGER = re.compile(
    r"\btrain(?:ing)?\s+(?:it\s+)?(?:for\s+)?(?:longer|more)\b|\bmore epochs\b|\blonger training\b", re.IGNORECASE
)
_SHORTER = re.compile(
    r"\btrain(?:ing)?\s+(?:it\s+)?(?:for\s+)?(?:shorter|less|not so long)\b|\b(?:fewer|less) epochs\b", re.IGNORECASE
)
_MEMORY = re.compile(
    r"\bout of (?:gpu |cuda )?(?:memory|vram|ram)\b|\b(?:oom|oomed)\b|\b(?:use|needs?|take) less (?:memory|vram|ram)\b"
    r"|\btoo much (?:memory|vram|ram)\b|\b(?:won't|doesn't|does not|will not) fit\b",
    re.IGNORECASE,
)
_BACK = re.compile(
    r"\b(?:forget|reset|drop|remove)\s+(?:my|the|that)\s+(rank|alpha|dropout|learning rate|epochs?|batch size|"
    r"max length|length|seed|quanti[sz]ation|checkpointing|steps|method|offload|curriculum|ewc|replay|folds?)\b",
    re.IGNORECASE,
)
_FIELDS = {
    "rank": "method.rank",
    "alpha": "method.alpha",
    "dropout": "method.dropout",
    "learning rate": "schedule.learning_rate",
    "epoch": "schedule.epochs",
    "batch size": "schedule.batch_size",
    "max length": "schedule.max_length",
    "length": "schedule.max_length",
    "seed": "schedule.seed",
    "quantization": "model.quantization",
    "checkpointing": "schedule.gradient_checkpointing",
    "step": "schedule.max_steps",
    "method": "method.kind",
    "offload": "method.offload",
    "curriculum": "steering.curriculum",
    "ewc": "steering.ewc",
    "replay": "steering.replay_share",
    "fold": "evaluation.validation",
}
LEAST_LENGTH = 256


def read_requests(
    message: Message, planned: RunConfig | None, asked: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Fields of the run file that a message sets (None: leave it to the planner again), and remarks.

    `planned` is the run file so far, which "longer" and "less memory" start from; `asked` are the fields set by earlier
    messages. A value that does not go with these is not set; the remark gives the fault.
    """
    kind = planned.method.kind if planned else asked.get("method.kind", "lora")
    wanted: dict[str, Any] = {_FIELDS[_singular(match[1])]: None for match in message.take(_BACK)}
    wanted |= read_method(message, kind)
    # Without a plan there may still be a GPU; where there is none, the plan says so.
    so_far = planned or RunConfig(hardware=HardwareSection(device="cuda"))
    steering, remarks = read_steering(message, so_far)
    wanted |= steering
    for field, pattern in _PATTERNS:
        for match in message.mentions(pattern):
            wanted[field] = _value(match["value"])
    for match in message.take(_REPLAY):
        wanted["steering.replay_share"] = int(match[1] or match[2]) / 100
    for match in message.take(_TEST):
        wanted["data.test_share"] = int(match[1]) / 100
    for action, pattern in _DEIDENTIFY:
        if list(message.mentions(re.compile(pattern, re.IGNORECASE))):
            wanted["data.deidentify"] = action
    for match in message.take(_BALANCE):
        wanted["data.balance"] = _BALANCED[match[1].lower()]
    ways = [way for way, pattern in _GROW if list(message.mentions(re.compile(pattern, re.IGNORECASE)))]
    if ways:
        wanted["data.augment"] = ways
    if list(message.take(_WHOLE)):
        wanted["model.quantization"] = "none"
    for match in message.take(_NF4):
        denied = message.negated(match.start())
        wanted.setdefault("model.quantization", "none" if denied else "nf4")
        if "lora" in match[0].lower() and kind != "lora" and not denied:
            wanted.setdefault("method.kind", "lora")
    for match in message.take(_CHECKPOINTING):
        wanted["schedule.gradient_checkpointing"] = not message.negated(match.start())
    for match in message.take(_MODULES):
        names = re.findall(r"[a-z]+_proj|\b[qkvo]\b", match[0].lower())
        wanted["method.target_modules"] = [name if "_" in name else f"{name}_proj" for name in names]
    more, said = _relative(message, planned)
    return _checked(wanted | more, so_far, asked, [*remarks, *said])


def _relative(message: Message, planned: RunConfig | None) -> tuple[dict[str, Any], list[str]]:
    longer, shorter = list(message.take(_LONGER)), list(message.take(_SHORTER))
    memory = list(message.take(_MEMORY))
    if not (longer or shorter or memory):
        return {}, []
    if planned is None:
        return {}, ["There is no plan yet to change; once there is one, say that again."]
    if memory:
        return _less_memory(planned)
    if longer and planned.schedule.max_steps is not None:
        return {"schedule.max_steps": planned.schedule.max_steps * 2}, []
    factor = 2 if longer else 0.5
    return {"schedule.epochs": min(100.0, max(0.1, planned.schedule.epochs * factor))}, []


def _less_memory(planned: RunConfig) -> tuple[dict[str, Any], list[str]]:
    """The next lever on memory, the cheapest first (lecture L1.11).

    What already saves memory is kept, or the planner would give it up in exchange for the smaller batch.
    """
    changes, remark = _next_lever(planned)
    if planned.model.quantization == "nf4":
        changes = {"model.quantization": "nf4"} | changes
    if planned.schedule.gradient_checkpointing:
        changes = {"schedule.gradient_checkpointing": True} | changes
    return changes, [remark]


def _next_lever(planned: RunConfig) -> tuple[dict[str, Any], str]:
    schedule = planned.schedule
    if schedule.batch_size > 1:
        half = schedule.batch_size // 2
        effective = schedule.batch_size * schedule.accumulation
        return {"schedule.batch_size": half, "schedule.accumulation": max(1, effective // half)}, (
            f"Less memory: batches of {half} instead of {schedule.batch_size}, and {effective} rows a step as before "
            "(lecture L1.11)."
        )
    if not schedule.gradient_checkpointing:
        return {"schedule.gradient_checkpointing": True}, (
            "Less memory: gradient checkpointing, about half the memory for a fifth more time (lecture L1.11)."
        )
    if planned.model.quantization == "none" and planned.hardware.device == "cuda":
        return {"model.quantization": "nf4"}, "Less memory: the base in 4 bits (QLoRA, lecture L1.3)."
    if schedule.max_length > LEAST_LENGTH:
        half = max(LEAST_LENGTH, schedule.max_length // 2)
        return {"schedule.max_length": half}, f"Less memory: rows of at most {half} tokens; longer ones are cut."
    return {}, "Every lever on memory is turned already; a smaller base model is what is left."


def _checked(
    wanted: dict[str, Any], planned: RunConfig, asked: dict[str, Any], remarks: list[str]
) -> tuple[dict[str, Any], list[str]]:
    """Only what goes with the machine, the data and what was asked for before, each field tried by itself.

    What the planner chose for itself is no obstacle: it chooses anew.
    """
    kept = {}
    standing = {name: value for name, value in asked.items() if name not in wanted}
    # The kind of the method first, since the other fields of its section depend on it.
    for name, value in sorted(wanted.items(), key=lambda one: one[0] != "method.kind"):
        if value is not None:
            section, _, field = name.partition(".")
            data = _standing(planned, standing | kept)
            if field not in data[section]:
                method = method_name(RunConfig.model_validate({"method": data["method"]}))
                remarks = [*remarks, f"I left {name} as it was: {method} has no {field.replace('_', ' ')}."]
                continue
            try:
                run_config.parse(_standing(planned, standing | kept | {name: value}))
            except ConfigError as error:
                remarks = [*remarks, f"I left {name} as it was: {error.faults[0].message}"]
                continue
        kept[name] = value
    return kept, remarks


def _standing(planned: RunConfig, settings: dict[str, Any]) -> dict[str, Any]:
    """A run file of the plan's task, data and machine with these values, and all else at its defaults."""
    data = RunConfig(task=planned.task, data=planned.data, hardware=planned.hardware).model_dump(mode="json")
    data["method"] = run_config.of_kind("method", data["method"], settings.get("method.kind") or "lora")
    for name, value in settings.items():
        section, _, field = name.partition(".")
        if value is not None and field in data[section]:
            data[section][field] = value
    # As the planner does: saved when it is measured, and AdaLoRA begins above the rank that is left.
    data["schedule"]["checkpoint_every"] = data["evaluation"]["every"]
    if "start_rank" in data["method"] and "method.start_rank" not in settings:
        data["method"]["start_rank"] = round(1.5 * data["method"]["rank"])
    return data


def _value(text: str) -> int | float:
    number = number_value(text) if text.isalpha() else float(text)
    return int(number) if number == int(number) and "." not in text and "e" not in text.lower() else number


def _singular(name: str) -> str:
    return re.sub(r"s(?=ation\b)", "z", name.lower().removesuffix("s"))
