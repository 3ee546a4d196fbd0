"""The language of task templates: the part of Jinja that prints, asks and loops, in a sandbox, and bounded.

Templates come from users. What could reach out of the record or run for ever is refused when a template is read (an
allow-list of Jinja's own node types: no calls, imports, macros, assignments or arithmetic). Loops, text and time are
bounded when it is rendered.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from trainer.data.records import DataError
from trainer.data.rows import RowError

if TYPE_CHECKING:
    from jinja2 import Environment, nodes
    from jinja2.environment import Template

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


def check_nodes(name: str, tree: nodes.Template) -> None:
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


def asked_for(tree: nodes.Template) -> set[str]:
    """Fields that the template asks about (`if`, `default`, a test) before it uses them: those that may be absent."""
    from jinja2 import nodes as n

    asked: list[nodes.Node] = [condition.test for condition in tree.find_all((n.If, n.CondExpr))]
    asked += [one for one in tree.find_all(n.Filter) if one.name == "default"]
    return {
        name.name for part in asked for name in (*part.find_all(n.Name), *([part] if isinstance(part, n.Name) else []))
    }


def render_block(name: str, compiled: Template, block: str, values: dict[str, Any]) -> str:
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
def compile_template(source: str) -> Template:
    """The template, its loops counted: every `for x in list` becomes `for x in list | counted`."""
    from jinja2 import nodes as n

    jinja = environment()
    tree = jinja.parse(source)
    for loop in tree.find_all(n.For):
        loop.iter = n.Filter(loop.iter, "_counted", [], [], None, None, lineno=loop.lineno)
    return jinja.from_string(tree)


@lru_cache(maxsize=1)
def environment() -> Environment:
    from jinja2 import StrictUndefined, pass_context
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Absent(StrictUndefined):
        """A field that the record does not have: it may be asked about, and never printed."""

        def __bool__(self) -> bool:
            return False

    jinja = ImmutableSandboxedEnvironment(
        undefined=Absent,
        autoescape=False,
        loader=None,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printed,
        cache_size=0,
    )
    kept = {name: jinja.filters[name] for name in ("first", "last", "length", "lower", "upper", "trim", "default")}
    jinja.globals.clear()
    jinja.filters.clear()
    jinja.filters.update(kept)
    jinja.filters |= {"sentence": _sentence, "confidence": _confidence, "join": _join}
    jinja.filters["_counted"] = pass_context(lambda context, items: context["_turns"].over(items))
    jinja.tests = {
        "defined": jinja.tests["defined"],
        "yes": lambda value: bool(value) and str(value).strip().lower() in _YES,
    }
    return jinja


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
