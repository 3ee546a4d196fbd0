"""YAML that people wrote, read into plain values within bounds: run files, recipes, requests, values of `--set`.

PyYAML's safe loader runs no code, and still a few lines can fill the memory (an alias stands for all that it names, and
may name others), end in other errors than its own, or take minutes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import yaml
from yaml.events import AliasEvent
from yaml.nodes import Node, ScalarNode

MOST_CHARACTERS = 50_000
"""Of one file; a run file has about 6,000. PyYAML reads about 30,000 a second."""
DEEPEST = 20
"""Levels of lists and sections; a run file has 5."""
LONGEST_NUMBER = 60
"""Characters of a whole number. Python would read one of thousands of digits slowly, and refuse to show it."""


def read(text: str) -> Any:
    """The values of a YAML text; raises `yaml.YAMLError`, with the place where there is one, for whatever is wrong."""
    if len(text) > MOST_CHARACTERS:
        _refuse(f"it has more than {MOST_CHARACTERS:,} characters, which are not read")
    try:
        return yaml.load(text, _Loader)
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
        # Of a value that looks like a date or a number and is none: 2024-13-45.
        _refuse(f"a value cannot be read: {str(error) or type(error).__name__}")


def text_of(path: Path) -> str:
    """A file's text, no more of it than shows that it is too long. Raises `OSError` and `UnicodeDecodeError`."""
    with path.open(encoding="utf-8") as file:
        return file.read(MOST_CHARACTERS + 1)


class _Loader(yaml.SafeLoader):
    _depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        if self.check_event(AliasEvent):
            event = self.peek_event()
            _refuse("an alias (*name) is not read; write the value itself", event.start_mark)
        self._depth += 1
        if self._depth > DEEPEST:
            _refuse(f"more than {DEEPEST} levels are not read", self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        # The scanner runs far ahead of the composer, and takes the square of these levels in time.
        if self.flow_level > DEEPEST:
            _refuse(f"more than {DEEPEST} levels are not read", self.get_mark())
        super().fetch_flow_collection_start(TokenClass)

    def whole_number(self, node: ScalarNode) -> int:
        if len(node.value) > LONGEST_NUMBER:
            _refuse(f"a number of {len(node.value):,} characters is not read", node.start_mark)
        return self.construct_yaml_int(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.whole_number)


def _refuse(problem: str, mark: Any = None) -> NoReturn:
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
