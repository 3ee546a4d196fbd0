"""Task templates: how the columns of a record become a question and an answer (lecture L2.3, L2.4).

A template is a Jinja file with two blocks, `question` and `answer`, and a comment in front that says what it is for:

    {#
    description: What the row teaches.
    task: diagnosis
    lecture: L2.3
    fields:
      symptoms: What the patient complains of.
    #}
    {% block question %}Given symptoms: {{ symptoms }} …{% endblock %}
    {% block answer %}…{% endblock %}

A column is named in lower case with underscores ("Chief complaint" is `chief_complaint`). An empty cell is the same as
an absent column: `{% if history %}` leaves its part out, a field that is printed without asking is needed. A list is
printed with commas. Filters: `sentence` (capital letter and full stop), `confidence` (high, moderate or low, or a
fault), `join`, `first`, `last`, `length`, `lower`, `upper`, `trim`, `default`; test: `is yes` (true, yes, y, 1).

What else of Jinja a template may use, and how it is bounded: `template_language`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainer import config, yaml_text
from trainer.data import template_language
from trainer.data.records import DataError
from trainer.data.rows import About, Message, Row, RowError
from trainer.section import Task

if TYPE_CHECKING:
    from jinja2 import nodes

_FOLDER = Path(__file__).resolve().parent / "templates"
_SUFFIX = ".jinja"
_FRONT_MATTER = re.compile(r"\A\ufeff?\s*\{#-?(.*?)-?#\}", re.DOTALL)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")

LARGEST_TEMPLATE = 20_000
"""Characters of a template's source."""


class TaskTemplate(BaseModel):
    """A template that was checked: it can be rendered for every record that has what it `needs`."""

    model_config = ConfigDict(frozen=True)

    name: str
    description: str = ""
    task: Task | None = None
    """What rows of this template train."""
    lecture: str = ""
    """Rule of the lecture that it follows."""
    fields: dict[str, str] = Field(default_factory=dict)
    """What each field means, where the template says so."""
    needs: tuple[str, ...]
    """Fields that every record must have, in alphabetical order."""
    may_use: tuple[str, ...]
    """Fields that are used where a record has them."""
    source: str
    """The template's text, for an editor."""


class _FrontMatter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    description: str = ""
    task: Task | None = None
    lecture: str = ""
    fields: dict[str, str] = Field(default_factory=dict)


def builtin() -> list[TaskTemplate]:
    """The templates that come with Bedside, in alphabetical order."""
    return [load(path.stem) for path in sorted(_FOLDER.glob(f"*{_SUFFIX}"))]


def load(name_or_path: str) -> TaskTemplate:
    """A template by the name of a built-in one, or from a `.jinja` file.

    Raises `DataError` naming the line where its text is at fault, or the built-in names where there is no such file.
    """
    path = _FOLDER / f"{name_or_path}{_SUFFIX}"
    if not (_NAME.fullmatch(name_or_path) and path.is_file()):
        path = config.path_of(name_or_path)
        if path.suffix != _SUFFIX or not path.is_file():
            have = ", ".join(sorted(file.stem for file in _FOLDER.glob(f"*{_SUFFIX}")))
            raise DataError(
                f"There is no task template {name_or_path!r}; take one of {have}, or give the path of a {_SUFFIX} file."
            )
    if path.stat().st_size > 4 * LARGEST_TEMPLATE:
        raise DataError(f"{path.name} has {path.stat().st_size:,} bytes; a template has at most {LARGEST_TEMPLATE:,}.")
    try:
        return parse(path.stem, path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise DataError(f"{path.name} is not UTF-8 text; save it as UTF-8.") from None


def parse(name: str, source: str) -> TaskTemplate:
    """Check a template's text; raises `DataError` naming the template, the line, what was found and what to do."""
    from jinja2 import TemplateSyntaxError, meta
    from jinja2 import nodes as n

    if len(source) > LARGEST_TEMPLATE:
        raise DataError(f"Template {name} has {len(source):,} characters; the most is {LARGEST_TEMPLATE:,}.")
    front = _front_matter(name, source)
    try:
        tree = template_language.environment().parse(source)
        template_language.check_nodes(name, tree)
        template_language.compile_template(source)
    except TemplateSyntaxError as error:
        message = (error.message or "is not a template").rstrip(".")
        raise DataError(f"Template {name}, line {error.lineno}: {message}; correct it.") from None
    except RecursionError:
        raise DataError(f"Template {name} is nested too deeply; write it with fewer brackets and conditions.") from None
    blocks = {block.name for block in tree.find_all(n.Block)}
    for wanted in ("question", "answer"):
        if wanted not in blocks:
            raise DataError(
                f"Template {name} has no block {wanted!r}; write {{% block {wanted} %}}…{{% endblock %}} into it."
            )
    used = meta.find_undeclared_variables(tree)
    if front.fields:
        unknown = sorted(used - front.fields.keys())
        if unknown:
            raise DataError(
                f"Template {name}, line {_line_of(tree, unknown[0])}: {unknown[0]!r} is not among its fields "
                f"({', '.join(front.fields)}); correct the name, or describe it in the comment in front."
            )
    optional = template_language.asked_for(tree)
    return TaskTemplate(
        name=name,
        **front.model_dump(),
        needs=tuple(sorted(used - optional)),
        may_use=tuple(sorted(used & optional)),
        source=source,
    )


def render(template: TaskTemplate, record: dict[str, Any]) -> tuple[str, str]:
    """Question and answer of one record; raises `RowError` naming the field that is missing or does not fit."""
    values = _values(record)
    for field in template.needs:
        if field not in values:
            have = ", ".join(sorted(values)[:12]) or "nothing"
            raise RowError(
                field,
                f"is missing or empty, and template {template.name} needs it; the row has {have}. "
                "Fill it in, name the column in the source's columns, or take another template",
            )
    compiled = template_language.compile_template(template.source)
    question = template_language.render_block(template.name, compiled, "question", values)
    return question, template_language.render_block(template.name, compiled, "answer", values)


def to_row(template: TaskTemplate, record: dict[str, Any]) -> Row:
    """The row that a template makes of a record; raises `RowError` as `render` does."""
    question, answer = render(template, record)
    row = Row(prompt=[Message(role="user", content=question)], completion=[Message(role="assistant", content=answer)])
    if template.task:
        row["about"] = About(task=template.task)
    return row


def preview(source: str, records: Sequence[dict[str, Any]]) -> list[tuple[str, str] | str]:
    """What a template that is being edited makes of some records: question and answer, or a sentence on the fault.

    A fault in the template itself is one sentence, whatever the records.
    """
    try:
        template = parse("being edited", source)
    except DataError as error:
        return [str(error)]
    shown: list[tuple[str, str] | str] = []
    for number, record in enumerate(records, start=1):
        try:
            shown.append(render(template, record))
        except RowError as error:
            shown.append(f"Row {number}, field {error.field}: {error}.")
    return shown


def save(name: str, text: str, folder: Path) -> Path:
    """Check a template and write it as `<folder>/<name>.jinja`, whole or not at all; returns the path.

    Raises `DataError` where the text is at fault, or the name is not of small letters, digits and underscores, or is
    that of a built-in template.
    """
    from trainer.atomic import write_atomically

    if not _NAME.fullmatch(name):
        raise DataError(
            f"A template cannot be called {name!r}: use small letters, digits and underscores, a letter first."
        )
    if (_FOLDER / f"{name}{_SUFFIX}").is_file():
        raise DataError(f"There is a built-in template {name!r}; give yours another name.")
    parse(name, text)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{name}{_SUFFIX}"
    write_atomically(path, text)
    return path


def _front_matter(name: str, source: str) -> _FrontMatter:
    """What the comment in front says; a comment in plain words is the description."""
    match = _FRONT_MATTER.match(source)
    if match is None:
        return _FrontMatter()
    try:
        content = yaml_text.read(match[1])
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = source[: match.start(1)].count("\n") + mark.line + 1 if mark else 1
        raise DataError(
            f"Template {name}, line {line}: the comment in front is not YAML; write lines such as 'task: diagnosis'."
        ) from None
    if not isinstance(content, dict):
        return _FrontMatter(description=str(content or "").strip())
    try:
        return _FrontMatter.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        known = ", ".join(get_args(Task) if field == "task" else _FrontMatter.model_fields)
        raise DataError(
            f"Template {name}: the comment in front has {field}: {str(first['input'])[:40]!r}, which does not fit; "
            f"known are {known}."
        ) from None


def _line_of(tree: nodes.Template, name: str) -> int:
    from jinja2 import nodes as n

    return min(node.lineno for node in tree.find_all(n.Name) if node.name == name)


def column_name(column: str) -> str:
    """How a template names a column: lower case, and underscores for everything that is no letter or digit."""
    return re.sub(r"\W+", "_", column.strip().lower()).strip("_")


def _values(record: dict[str, Any]) -> dict[str, Any]:
    """The filled fields of a record by their names in a template."""
    values: dict[str, Any] = {}
    for column, value in record.items():
        if value is None or (isinstance(value, str | list | dict) and not value):
            continue
        if isinstance(value, str):
            value = value.strip()
            if not value:
                continue
        name = column_name(str(column))
        if name in values:
            raise RowError(
                str(column), f"two columns are called {name!r} in a template; rename one of them, or leave it out"
            )
        values[name] = value
    size = sum(len(str(value)) for value in values.values())
    if size > template_language.LARGEST_TEXT:
        largest = max(values, key=lambda name: len(str(values[name])))
        raise RowError(
            largest,
            f"the row has {size:,} characters; a template takes at most {template_language.LARGEST_TEXT:,}. Shorten it",
        )
    return values
