"""A form for every field of a run file, made from `RunConfig` itself, so that nothing is declared a second time."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import gradio as gr
import yaml
from pydantic.fields import FieldInfo

from trainer import yaml_text
from trainer.config import ConfigError, Fault, of_kind, parse
from trainer.method_names import kind_name
from trainer.objective_names import objective_name
from trainer.sections import TAGGED, RunConfig

_KNOWN = [("not known", "unknown"), ("no", "no"), ("yes", "yes")]
_KNOWN_VALUES = {"unknown": None, "no": False, "yes": True}
Kind = Literal["choice", "choices", "switch", "known", "integer", "number", "text", "lines", "yaml"]


KIND = "kind"
"""In a section of several kinds, the entry that decides which others of it are shown."""
_SPOKEN = {"method": kind_name, "objective": objective_name}
_FOLDED = ("steering", "adversarial", "evaluation", "hardware", "output")
"""Sections that most runs leave as the planner made them."""


@dataclass
class Entry:
    """One field in the form: where it stands in the run file, how it is entered, and whether it may be empty.

    A name that several kinds of a section have is one entry; `of_kinds` gives its field in each (empty elsewhere).
    """

    section: str
    name: str
    kind: Kind
    info: FieldInfo
    options: tuple[Any, ...]
    may_be_empty: bool
    of_kinds: dict[str, FieldInfo] = field(default_factory=dict)
    component: Any = None


def entries() -> list[Entry]:
    """Every field of the run file that leaves a choice, in its order; those of all kinds, where there are several."""
    found = []
    for section, outer in RunConfig.model_fields.items():
        if section in TAGGED:
            found += _of_all_kinds(section)
            continue
        inner = getattr(outer.annotation, "model_fields", None)
        for name, info in (inner or {}).items():
            kind, options, may_be_empty = _kind(info.annotation)
            if not (kind == "choice" and len(options) == 1):
                found.append(Entry(section, name, kind, info, options, may_be_empty))
    return found


def _of_all_kinds(section: str) -> list[Entry]:
    kinds = TAGGED[section]
    first = next(iter(kinds.values()))
    found = [Entry(section, KIND, "choice", first.model_fields[KIND], tuple(kinds), False)]
    names = dict.fromkeys(name for one in kinds.values() for name in one.model_fields)
    for name in names:
        if name != KIND:
            of_kinds = {kind: one.model_fields[name] for kind, one in kinds.items() if name in one.model_fields}
            info = next(iter(of_kinds.values()))
            kind, options, may_be_empty = _kind(info.annotation)
            found.append(Entry(section, name, kind, info, options, may_be_empty, of_kinds))
    return found


def draw(form: list[Entry]) -> None:
    """Draw the form, a group a section; those that are seldom changed are folded."""
    for section in dict.fromkeys(entry.section for entry in form):
        with (
            gr.Accordion(section.capitalize(), open=section not in _FOLDED, elem_id=f"form-{section}"),
            gr.Row(equal_height=False, elem_classes="bs-form"),
        ):
            for entry in form:
                if entry.section == section:
                    entry.component = _component(entry)


def to_form(form: list[Entry], config: RunConfig) -> dict[Any, Any]:
    """The updates that make the form show this run file; fields of other kinds are hidden."""
    data = config.model_dump(mode="json")
    updates = {}
    for entry in form:
        chosen = data[entry.section].get(KIND, "")
        if entry.of_kinds and chosen not in entry.of_kinds:
            updates[entry.component] = gr.update(visible=False)
            continue
        value = _shown(entry, data[entry.section][entry.name])
        info = entry.of_kinds.get(chosen, entry.info)
        updates[entry.component] = gr.update(value=value, visible=True, info=info.description)
    return updates


def from_form(form: list[Entry], values: list[Any], another_kind: str = "") -> RunConfig:
    """The run file that the form shows; raises `ConfigError` with every fault.

    `another_kind` is the section whose kind has just been changed, if any: its fields are not shown yet, and take their
    defaults.
    """
    # Fields that leave no choice keep their one value.
    data = RunConfig().model_dump(mode="json")
    chosen = {entry.section: value for entry, value in zip(form, values, strict=True) if decides(entry)}
    for section, kind in chosen.items():
        data[section] = of_kind(section, data[section], kind)
    faults = []
    for entry, value in zip(form, values, strict=True):
        if entry.of_kinds and (entry.section == another_kind or chosen[entry.section] not in entry.of_kinds):
            continue
        try:
            data[entry.section][entry.name] = _meant(entry, value)
        except yaml.YAMLError:
            faults.append(Fault(field=f"{entry.section}.{entry.name}", message="is not valid YAML; mend this field."))
    try:
        config = parse(data)
    except ConfigError as error:
        raise ConfigError([*faults, *error.faults]) from None
    if faults:
        raise ConfigError(faults)
    return config


def decides(entry: Entry) -> bool:
    """Whether its value decides which others of its section are shown."""
    return entry.section in TAGGED and entry.name == KIND


def _kind(annotation: Any) -> tuple[Kind, tuple[Any, ...], bool]:
    """How a value of this type is entered, its options, and whether it may be empty."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        rest = [one for one in inside if one is not type(None)]
        if rest == [bool]:
            return "known", (), True
        if len(rest) == 1:
            kind, options, _ = _kind(_bare(rest[0]))
            return kind, options, True
        return "yaml", (), type(None) in inside
    if origin is Literal:
        return "choice", inside, False
    if origin is list:
        kind, options, _ = _kind(_bare(inside[0]))
        of_many: dict[Kind, Kind] = {"choice": "choices", "text": "lines"}
        return of_many.get(kind, "yaml"), options, False
    simple: dict[Any, Kind] = {bool: "switch", int: "integer", float: "number", str: "text"}
    return simple.get(annotation, "yaml"), (), False


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation


def _component(entry: Entry) -> Any:
    label = entry.name.replace("_", " ")
    shared: dict[str, Any] = {
        "label": label,
        "info": entry.info.description,
        "elem_id": f"form-{entry.section}-{entry.name}",
        "min_width": 260,
    }
    match entry.kind:
        case "choice" | "choices":
            spoken = _SPOKEN[entry.section] if decides(entry) else lambda option: str(option)
            options = [(spoken(option).replace("_", " "), option) for option in entry.options]
            return gr.Dropdown(options, multiselect=entry.kind == "choices", filterable=False, **shared)
        case "known":
            return gr.Dropdown(_KNOWN, filterable=False, **shared)
        case "switch":
            return gr.Checkbox(**shared)
        case "integer":
            return gr.Number(precision=0, **shared)
        case "number":
            return gr.Number(**shared)
        case "lines":
            return gr.Textbox(lines=2, placeholder="one a line", **shared)
        case "yaml":
            return gr.Textbox(lines=2, placeholder="as in the YAML", elem_classes="bs-mono", **shared)
        case "text":
            return gr.Textbox(lines=1, **shared)


def _shown(entry: Entry, value: Any) -> Any:
    match entry.kind:
        case "known":
            return next(name for name, meaning in _KNOWN_VALUES.items() if meaning is value)
        case "lines":
            return "\n".join(value)
        case "yaml":
            return "" if value is None or value == [] else yaml.safe_dump(value, sort_keys=False).removesuffix("...\n")
        case "text":
            return value or ""
    return value


def _meant(entry: Entry, value: Any) -> Any:
    match entry.kind:
        case "known":
            return _KNOWN_VALUES[value]
        case "lines":
            return [line for line in (value or "").splitlines() if line.strip()]
        case "yaml":
            read = yaml_text.read(value or "")
            return ([] if get_origin(entry.info.annotation) is list else None) if read is None else read
        case "text":
            return None if entry.may_be_empty and not (value or "").strip() else value
    return value
