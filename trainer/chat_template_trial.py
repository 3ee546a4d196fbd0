"""Renders a chat template once, in a process of its own with bounds: `python chat_template_trial.py < TEMPLATE`.

A template comes with a model, from whoever made it, and is a program: the sandbox of Jinja keeps it from everything
else, and not from looping for ever or from filling the memory. Nothing of Bedside or of transformers is imported.
"""

from __future__ import annotations

import json
import resource
import sys
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

SECONDS = 2
"""Of computing, Python's start included; an honest template takes a hundredth of a second."""
MEMORY = 512 << 20
"""Bytes."""
TOO_MUCH = 3
"""Exit status where it took too much memory or wrote too much; of too much time it dies by a signal."""
LONGEST = 1_000_000
"""Characters of a conversation of three thousand."""
_SAID = "What is the dose, and how often? " * 30
_CONVERSATIONS = [
    [("user", _SAID)],
    [("system", _SAID), ("user", _SAID)],
    [("system", _SAID), ("user", _SAID), ("assistant", _SAID), ("user", _SAID), ("assistant", _SAID)],
]


class _Generation(Extension):
    """The tag {% generation %}, by which transformers finds an assistant's words."""

    tags = {"generation"}  # noqa: RUF012  (as Jinja declares it)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def main() -> int:
    """Render it for some conversations; returns the exit status."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    if sys.platform == "linux":  # others do not keep to it
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    jinja = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"]
    )
    jinja.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, default=str)
    jinja.globals |= {
        "raise_exception": _refuse,
        "strftime_now": lambda form: datetime.now().strftime(form),
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    try:
        template = jinja.from_string(sys.stdin.buffer.read().decode())
        for conversation in _CONVERSATIONS:
            messages = [{"role": role, "content": content} for role, content in conversation]
            for begins in (True, False):
                if len(template.render(messages=messages, add_generation_prompt=begins)) > LONGEST:
                    return TOO_MUCH
    except (MemoryError, RecursionError):
        return TOO_MUCH
    except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        pass  # whoever uses it is told
    return 0


def _refuse(message: Any = "") -> NoReturn:
    raise TemplateError(message)


if __name__ == "__main__":
    sys.exit(main())
