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

Templates come from users, so everything that could reach out of the record or run for ever is refused when a template
is read: calls, imports, macros, assignments, arithmetic. Loops, time and text are bounded when it is rendered.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evaluators.metrics import STRUCTURE
from trainer.config import Task
from trainer.data.records import DataError
from trainer.data.rows import About, Message, Row, RowError

if TYPE_CHECKING:
    from jinja2 import Environment, nodes
    from jinja2.environment import Template

_FOLDER = Path(__file__).resolve().parent / "templates"
_SUFFIX = ".jinja"
_FRONT_MATTER = re.compile(r"\A\ufeff?\s*\{#-?(.*?)-?#\}", re.DOTALL)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")

LARGEST_TEMPLATE = 20_000
"""Characters of a template's source."""
LARGEST_TEXT = 200_000
"""Characters of a record's fields together, and of a rendered question or answer: more is no training row."""
MOST_TURNS = 2_000
"""Turns of all loops together in one rendering."""
LONGEST_SECONDS = 2.0
"""Stops what no honest template comes near; the other bounds do not depend on the machine."""

CONFIDENCES = ("high", "moderate", "low")
_YES = {"true", "yes", "y", "1"}

_ALLOWED_NODES = re.findall(
    r"\w+",
    "Template Output TemplateData Name Const Block If For CondExpr Filter Test Getattr Getitem Slice "
    "Not And Or Compare Operand List Tuple",
)
_INSTEAD = {
    "Call": "call nothing; use a filter such as join, or loop over a list",
    "Assign": "print the field where it is needed",
    "AssignBlock": "print the field where it is needed",
    "Concat": "write two {{ }} one after the other",
    "Add": "write two {{ }} one after the other",
}


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
        path = Path(name_or_path).expanduser()
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
        tree = _environment().parse(source)
        _check_nodes(name, tree)
        _compiled(source)
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
    optional = _asked_for(tree)
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
    compiled = _compiled(template.source)
    question = _render_block(template.name, compiled, "question", values)
    return question, _render_block(template.name, compiled, "answer", values)


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
    from trainer.runs import write_atomically

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


def missing_structure(answer: str, critical: bool = False) -> list[str]:
    """Which parts of the taught structure (lecture L2.4) an answer lacks, in the structure's order.

    A part counts where its label begins a line, in any case and also in bold or as a heading, and text follows it
    before the next label. Confidence has to be high, moderate or low. The disclaimer is asked for where the answer is
    on a `critical` decision.
    """
    wanted = (*STRUCTURE, "Disclaimer") if critical else STRUCTURE
    found: dict[str, str] = {}
    label = re.compile(rf"^[ \t#>*_-]*({'|'.join((*STRUCTURE, 'Disclaimer'))})[ \t*_]*:", re.IGNORECASE | re.MULTILINE)
    labels = list(label.finditer(answer))
    for index, match in enumerate(labels):
        end = labels[index + 1].start() if index + 1 < len(labels) else len(answer)
        found.setdefault(match[1].capitalize(), answer[match.end() : end].strip(" \t\n*_#>-"))
    if found.get("Confidence", "").rstrip(".").lower() not in CONFIDENCES:
        found.pop("Confidence", None)
    return [part for part in wanted if not found.get(part)]


def _front_matter(name: str, source: str) -> _FrontMatter:
    """What the comment in front says; a comment in plain words is the description."""
    match = _FRONT_MATTER.match(source)
    if match is None:
        return _FrontMatter()
    try:
        content = yaml.safe_load(match[1])
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


def _check_nodes(name: str, tree: nodes.Template) -> None:
    """Refuse everything but text, fields, filters, conditions and loops (an allow-list, by Jinja's own node types)."""
    from jinja2 import nodes as n

    def refuse(node: nodes.Node, what: str, instead: str) -> NoReturn:
        raise DataError(f"Template {name}, line {node.lineno}: {what} cannot be used in a task template; {instead}.")

    pending: list[nodes.Node] = [tree]
    while pending:
        node = pending.pop()
        kind = type(node).__name__
        if kind not in _ALLOWED_NODES:
            refuse(node, kind.lower(), _INSTEAD.get(kind, "use fields, filters, if and for"))
        if isinstance(node, n.For) and node.recursive:
            refuse(node, "a recursive loop", "nest two loops")
        if isinstance(node, n.Name | n.Getattr) and (node.name if isinstance(node, n.Name) else node.attr)[0] == "_":
            refuse(node, "a name that begins with an underscore", "rename the column")
        if isinstance(node, n.Name) and node.name in ("self", "super"):
            refuse(node, repr(node.name), "write the text where it is needed")
        if isinstance(node, n.Block) and node not in tree.body:
            refuse(node, "a block within another", "write the blocks one after the other")
        if isinstance(node, n.Block) and node.name not in ("question", "answer"):
            refuse(node, f"block {node.name!r}", "there are question and answer")
        pending += node.iter_child_nodes()
    for node in tree.body:
        if isinstance(node, n.Block):
            continue
        text = node.nodes[0] if isinstance(node, n.Output) and len(node.nodes) == 1 else node
        found = text.data.strip("\ufeff \t\r\n") if isinstance(text, n.TemplateData) else "{"
        if found:
            refuse(node, f"text outside the two blocks ({found[:30]!r})", "move it into question or answer")


def _asked_for(tree: nodes.Template) -> set[str]:
    """Fields that the template asks about (`if`, `default`, a test) before it uses them: those that may be absent."""
    from jinja2 import nodes as n

    asked: list[nodes.Node] = [condition.test for condition in tree.find_all((n.If, n.CondExpr))]
    asked += [one for one in tree.find_all(n.Filter) if one.name == "default"]
    return {
        name.name for part in asked for name in (*part.find_all(n.Name), *([part] if isinstance(part, n.Name) else []))
    }


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
    if size > LARGEST_TEXT:
        largest = max(values, key=lambda name: len(str(values[name])))
        raise RowError(
            largest, f"the row has {size:,} characters; a template takes at most {LARGEST_TEXT:,}. Shorten it"
        )
    return values


def _render_block(name: str, compiled: Template, block: str, values: dict[str, Any]) -> str:
    """One block's text, with blank lines at most one at a time; raises `RowError`."""
    from jinja2 import TemplateError
    from jinja2.exceptions import UndefinedError

    turns = _Turns()
    context = compiled.new_context({**values, "_turns": turns})
    parts, size = [], 0
    try:
        for part in compiled.blocks[block](context):
            parts.append(part)
            size += len(part)
            if size > LARGEST_TEXT:
                raise RowError(block, f"template {name} writes more than {LARGEST_TEXT:,} characters; shorten it")
    except UndefinedError as error:
        missing = re.match(r"'(\w+)' is undefined", error.message or "")
        raise RowError(
            missing[1] if missing else block,
            "is missing or empty, and template " + name + " prints it; fill it in, or ask for it with {% if %}"
            if missing
            else f"template {name}: {error.message}; correct the template",
        ) from None
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        if isinstance(error, RowError):
            raise
        raise RowError(block, f"template {name} does not fit this row ({error}); correct one of them") from None
    lines = [line.rstrip() for line in "".join(parts).strip().splitlines()]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
    if not text:
        raise RowError(block, f"template {name} writes nothing for this row; fill in its fields or remove the row")
    return text


class _Turns:
    """What the loops of one rendering may still do."""

    def __init__(self) -> None:
        self.left = MOST_TURNS
        self.deadline = time.monotonic() + LONGEST_SECONDS

    def over(self, items: Any) -> Iterator[Any]:
        if isinstance(items, str):
            raise ValueError(f"a loop needs a list, and this is text: {items[:40]!r}")
        for item in items:
            self.left -= 1
            if self.left < 0 or time.monotonic() > self.deadline:
                raise ValueError(f"its loops take more than {MOST_TURNS:,} turns")
            yield item


@lru_cache(maxsize=64)
def _compiled(source: str) -> Template:
    """The template, its loops counted: every `for x in list` becomes `for x in list | counted`."""
    from jinja2 import nodes as n

    environment = _environment()
    tree = environment.parse(source)
    for loop in tree.find_all(n.For):
        loop.iter = n.Filter(loop.iter, "_counted", [], [], None, None, lineno=loop.lineno)
    return environment.from_string(tree)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import StrictUndefined, pass_context
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Absent(StrictUndefined):
        """A field that the record does not have: it may be asked about, and never printed."""

        def __bool__(self) -> bool:
            return False

    environment = ImmutableSandboxedEnvironment(
        undefined=Absent,
        autoescape=False,
        loader=None,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printed,
        cache_size=0,
    )
    kept = {
        name: environment.filters[name] for name in ("first", "last", "length", "lower", "upper", "trim", "default")
    }
    environment.globals.clear()
    environment.filters.clear()
    environment.filters.update(kept)
    environment.filters |= {"sentence": _sentence, "confidence": _confidence, "join": _join}
    environment.filters["_counted"] = pass_context(lambda context, items: context["_turns"].over(items))
    environment.tests = {
        "defined": environment.tests["defined"],
        "yes": lambda value: bool(value) and str(value).strip().lower() in _YES,
    }
    return environment


def _printed(value: Any) -> Any:
    """How a value is written: a list with commas, everything else as its text; what is no data is refused."""
    from jinja2 import Undefined

    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if callable(value) and not isinstance(value, Undefined):
        raise ValueError("it prints something that is not a field")
    return value


def _join(value: Any, between: str = ", ") -> str:
    """A list's items with `between` them. Text stays as it is, where Jinja's own filter would part its letters."""
    return str(_printed(value)) if not isinstance(value, list | tuple) else str(between).join(map(str, value))


def _sentence(value: Any) -> str:
    """With a capital letter and a full stop; letters within stay as they are (HbA1c, MRI)."""
    text = str(_printed(value)).strip()
    text = text[:1].upper() + text[1:]
    return text if not text or text[-1] in ".!?:" else f"{text}."


def _confidence(value: Any) -> str:
    """One of the three taught words, in lower case."""
    word = str(value).strip().rstrip(".").lower()
    if word not in CONFIDENCES:
        raise RowError("confidence", f"found {str(value)[:40]!r}; use high, moderate or low")
    return word
