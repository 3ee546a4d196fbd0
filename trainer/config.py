"""Reading and writing run files: YAML and settings in, a checked `RunConfig` or all its faults out; and the home."""

from __future__ import annotations

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args, get_origin

import yaml
from pydantic import ValidationError

from trainer import yaml_text
from trainer.combinations import Fault
from trainer.combinations import faults as combination_faults
from trainer.errors import UserError
from trainer.sections import FORMAT_VERSION, TAGGED, RunConfig


class ConfigError(UserError, ValueError):
    """The run file has faults; `faults` lists all of them, and the text names each field and its way out."""

    def __init__(self, faults: list[Fault]):
        self.faults = faults
        super().__init__("; ".join(str(fault) for fault in faults))


def parse(data: dict[str, Any]) -> RunConfig:
    """Check a run file's content and return it as a `RunConfig`.

    Raises `ConfigError` with every fault at once: those of single fields, and those between fields that are themselves
    in order.
    """
    try:
        config, faults = RunConfig.model_validate(data), []
    except ValidationError as error:
        faults = [_field_fault(problem) for problem in error.errors()]
        # Faults between fields are looked for as well: with the faulty values left out, the rest can still be read.
        config = _without(data, [_location(problem) for problem in error.errors()])
    known = {fault.field for fault in faults}
    if config is not None:
        faults += [fault for fault in combination_faults(config) if fault.field not in known]
    if faults:
        raise ConfigError(faults)
    assert config is not None
    return config


def parse_yaml(text: str) -> RunConfig:
    """Read a run file from YAML text; raises `ConfigError` (see `parse`)."""
    try:
        data = yaml_text.read(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else "run file"
        reason = getattr(error, "problem", None) or "it cannot be read"
        raise ConfigError([Fault(field=place, message=f"not valid YAML ({reason}); mend this line.")]) from None
    if not isinstance(data, dict):
        raise ConfigError([Fault(field="run file", message="found no sections; it starts with 'format_version: 1'.")])
    return parse(data)


def load(path: Path) -> RunConfig:
    """Read a run file; raises `ConfigError`, also where the file itself cannot be read."""
    try:
        text = yaml_text.text_of(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError([Fault(field=str(path), message=f"cannot be read ({reason}).")]) from None
    return parse_yaml(text)


def to_yaml(config: RunConfig) -> str:
    """The run file as YAML, sections in the order of the contract."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def with_values(config: RunConfig, settings: dict[str, str]) -> RunConfig:
    """A copy with some fields set from text (`{"schedule.epochs": "2"}`), as the command line and the form do.

    Raises `ConfigError` naming every unknown field and every value that does not fit.
    """
    data = config.model_dump(mode="json")
    faults = []
    for section in TAGGED:
        if kind := settings.get(f"{section}.kind"):
            data[section] = of_kind(section, data[section], kind)
    for name, text in settings.items():
        section, _, field = name.partition(".")
        if not isinstance(data.get(section), dict) or field not in data[section]:
            faults.append(Fault(field=name, message="there is no such field; `bedside schema` lists them."))
            continue
        try:
            data[section][field] = yaml_text.read(_yaml_number(text))
        except yaml.YAMLError:
            data[section][field] = text
    if faults:
        raise ConfigError(faults)
    return parse(data)


def of_kind(section: str, values: dict[str, Any], kind: str) -> dict[str, Any]:
    """A section of several kinds (`TAGGED`) for another kind: as it is where it is of that kind, else its defaults."""
    if kind == values["kind"] or kind not in TAGGED[section]:
        return values | {"kind": kind}
    return TAGGED[section][kind]().model_dump(mode="json")


def home() -> Path:
    """The folder that holds everything of the user's, readable by its owner alone; made where it is not there.

    `BEDSIDE_HOME`, else `/data/bedside` on a Hugging Face Space with storage, else `~/.bedside`.
    """
    if os.environ.get("BEDSIDE_HOME"):
        path = Path(os.environ["BEDSIDE_HOME"]).expanduser().absolute()
    elif os.environ.get("SPACE_ID") and Path("/data").is_dir():
        path = Path("/data/bedside")
    else:
        path = Path.home() / ".bedside"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def path_of(text: str) -> Path:
    """A path as people write it, ~ being one's home; of a user that there is not, it is a name like any other."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def temporary() -> TemporaryDirectory[str]:
    """A folder in the home for as long as it is needed: what is unpacked there may be patients' text.

    One that a killed process left is seen and deleted with everything else (`trainer.storage`).
    """
    folder = home() / "temporary"
    folder.mkdir(exist_ok=True, mode=0o700)
    return TemporaryDirectory(dir=folder)


def _yaml_number(text: str) -> str:
    # YAML 1.1 reads 2e-4 as a string; people write it so.
    try:
        return repr(float(text)) if "e" in text.lower() else text
    except ValueError:
        return text


def _field_fault(problem: Any) -> Fault:
    location = _location(problem)
    name = ".".join(str(part) for part in location) or "run file"
    found = problem.get("input")
    if problem["type"].startswith("union_tag"):
        found = found.get("kind") if isinstance(found, dict) else found
        kinds = ", ".join(TAGGED[name])
        return Fault(field=f"{name}.kind", message=f"found {_short(found)}; it should be one of {kinds}.")
    described = _description(location)
    if problem["type"] == "extra_forbidden":
        return Fault(field=name, message="there is no such field; remove it, or see `bedside schema` for its name.")
    if problem["type"] == "missing":
        return Fault(field=name, message=f"is missing. {described}".strip())
    if name == "format_version":
        message = f"found {found!r}; this Bedside reads version {FORMAT_VERSION}. Plan the run again with this Bedside."
        return Fault(field=name, message=message)
    if problem["type"] in ("model_type", "dict_type"):
        return Fault(
            field=name, message=f"found {_short(found)}; it should hold names with values. {described}".strip()
        )
    # Pydantic begins with the type it wanted ("Input should be", "String should have"); "it" stands for the field.
    expected = re.sub(r"^\w+ (?=should )", "", problem["msg"]).rstrip(".")
    return Fault(field=name, message=f"found {_short(found)}; it {expected}. {described}".strip())


def _location(problem: Any) -> tuple[int | str, ...]:
    """Where a problem stands in the run file; Pydantic puts a section's kind into the path as well."""
    section, *rest = problem["loc"] or ("",)
    if section in TAGGED and rest and rest[0] in TAGGED[section]:
        rest = rest[1:]
    return (section, *rest) if section else ()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _description(location: tuple[int | str, ...]) -> str:
    model: Any = RunConfig
    description = ""
    kinds = TAGGED.get(str(location[0])) if location else None
    if kinds:
        having = (kind for kind in kinds.values() if location[1:2] and location[1] in kind.model_fields)
        model, location = next(having, model), location[1:]
    for part in location:
        if isinstance(part, int):  # the place in a list
            continue
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            break
        description = fields[part].description or ""
        model = fields[part].annotation
        if get_origin(model) is list:
            model = get_args(model)[0]
    return description


def _without(data: dict[str, Any], locations: list[tuple[int | str, ...]]) -> RunConfig | None:
    pruned = yaml.safe_load(yaml.safe_dump(data)) if isinstance(data, dict) else {}
    for location in locations:
        # A fault inside a list spoils the list: its field as a whole falls back to the default.
        section, *rest = location
        if not rest or not isinstance(pruned.get(section), dict):
            pruned.pop(section, None)
        else:
            pruned[section].pop(rest[0], None)
    try:
        return RunConfig.model_validate(pruned)
    except ValidationError:
        return None
