"""A Modelfile for Ollama: the GGUF file, its chat template in Go's template language, system prompt, stop marks.

The Go template is put together from what the chat template puts before and after each role's words. Where it is not of
that form (Gemma puts the system prompt into the first question), none is written, and Ollama reads the one in the GGUF
file, which it knows only if it is a common one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from trainer.export import ExportError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MODELFILE = "Modelfile"
ROLES = ("system", "user", "assistant")
_PROBE = "Aq7"


class Wrapping(BaseModel):
    """What a chat template puts around each role's words, and before an answer that is still to come."""

    around: dict[str, tuple[str, str]]
    opening: str


def wrapping(tokenizer: PreTrainedTokenizerBase) -> Wrapping | None:
    """What the tokenizer's template puts around each role's words; None where it does more than that.

    The system prompt is part of every conversation here, as it was in training.
    """
    from jinja2.exceptions import TemplateError

    messages = [{"role": role, "content": _PROBE} for role in (*ROLES, "user", "assistant")]
    rendered = [""]
    try:
        for count in range(1, len(messages) + 1):
            rendered.append(str(tokenizer.apply_chat_template(messages[:count], tokenize=False)))
        opened = str(tokenizer.apply_chat_template(messages[:2], tokenize=False, add_generation_prompt=True))
    except TemplateError:
        return None
    around: dict[str, tuple[str, str]] = {}
    for message, before, after in zip(messages, rendered, rendered[1:], strict=False):
        added = after.removeprefix(before)
        if not after.startswith(before) or added.count(_PROBE) != 1:
            return None
        first, last = added.split(_PROBE)
        if around.setdefault(message["role"], (first, last)) != (first, last):
            return None
    if not opened.startswith(rendered[2]):
        return None
    begin = str(tokenizer.bos_token or "")
    if begin and around["system"][0].startswith(begin) and not around["user"][0].startswith(begin):
        # Once, before all else: llama.cpp puts it there itself.
        around["system"] = (around["system"][0].removeprefix(begin), around["system"][1])
    return Wrapping(around=around, opening=opened.removeprefix(rendered[2]))


def go_template(found: Wrapping) -> str:
    """The same in Go's template language, over Ollama's `.Messages`; the system prompt is the first of them."""
    branches = "".join(
        f'{{{{ {"else " if number else ""}if eq .Role "{role}" }}}}{_go(before)}{{{{ .Content }}}}{_go(after)}'
        for number, (role, (before, after)) in enumerate(found.around.items())
    )
    return f"{{{{ range .Messages }}}}{branches}{{{{ end }}}}{{{{ end }}}}{_go(found.opening)}"


def write(folder: Path, gguf: str, tokenizer: PreTrainedTokenizerBase, system_prompt: str, licence: str) -> list[str]:
    """Write `Modelfile` into `folder`, for the GGUF file named `gguf` there; returns what has to be known of it."""
    found, notes = wrapping(tokenizer), []
    lines = [f"FROM ./{gguf}"]
    if found is None:
        notes.append(
            "The chat template cannot be put into Go's template language; Ollama reads the one in the GGUF file. Ask "
            "the model something and look at its answer before you use it there."
        )
    else:
        lines.append(f"TEMPLATE {_quoted(go_template(found))}")
        if _trims(tokenizer):
            notes.append("In Ollama, blanks before and after a message stay; the model's own template takes them away.")
    lines.append(f"SYSTEM {_quoted(system_prompt)}")
    ends = {str(tokenizer.eos_token), found.around["assistant"][1].strip() if found else ""} - {""}
    lines += [f"PARAMETER stop {_quoted(end)}" for end in sorted(ends)]
    # Greedy, as everything that was measured of the run.
    lines += ["PARAMETER temperature 0", f"LICENSE {_quoted(licence)}"]
    (folder / MODELFILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return notes


def _go(text: str) -> str:
    return text.replace("{{", '{{ "{{" }}')


def _quoted(text: str) -> str:
    if '"""' in text:
        raise ExportError(f'A Modelfile has no way to write """, which stands in {text[:60]!r}; use other quotes.')
    return f'"""{text}"""' if "\n" in text or '"' in text else f'"{text}"'


def _trims(tokenizer: PreTrainedTokenizerBase) -> bool:
    messages = [{"role": "system", "content": "a"}, {"role": "user", "content": f" {_PROBE} "}]
    return f" {_PROBE} " not in str(tokenizer.apply_chat_template(messages, tokenize=False))
