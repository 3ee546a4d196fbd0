"""The prompts of an export beside its run's: rendered by its own template, read by its own tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from evaluators.generation import Messages
from trainer import models
from trainer.export import ExportError
from trainer.runs import MODEL, Run

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SHOWN = 30  # characters on either side of the place where two prompts part


def compare_prompts(
    rendered: Callable[[Messages], str],
    read: Callable[[str], list[int]],
    own: PreTrainedTokenizerBase,
    asked: list[Messages],
    name: str,
) -> None:
    """Raise `ExportError` at the first prompt that an export renders, or reads as tokens, otherwise than the run.

    `rendered` and `read` are the export's, `own` is the run's tokenizer. Each question is rendered with the run's
    system prompt and, by the export, also without one, which has to come to the same; so is a longer conversation.
    """
    further: Messages = [{"role": "assistant", "content": "It may be."}, {"role": "user", "content": "And then?"}]
    for messages in [*asked, [*asked[0], *further]]:
        expected = render(own, messages)
        for way, given in (("", messages), (" without a system prompt", messages[1:])):
            found = rendered(given)
            # llama.cpp leaves out the token that it puts before every prompt, and counts it when it reads.
            if found != expected and f"{own.bos_token or ''}{found}" != expected:
                raise ExportError(_parted(expected, found, name, way))
            ids, others = own(expected, add_special_tokens=False)["input_ids"], read(found)
            if ids != others:
                place = next(
                    (at for at, pair in enumerate(zip(ids, others, strict=False)) if pair[0] != pair[1]),
                    min(len(ids), len(others)),
                )
                raise ExportError(
                    f"{name} reads the prompt of a question as other tokens than the run: token {place + 1} of "
                    f"{len(ids)} is {own.decode(ids[place : place + 1])!r} for the run and "
                    f"{own.decode(others[place : place + 1])!r} there. Nothing was put in place; export it "
                    "again with the run's own tokenizer."
                )


def own_tokenizer(run: Run) -> PreTrainedTokenizerBase:
    """The tokenizer with which the run was trained."""
    whole = run.folder / MODEL
    return models.load_tokenizer(str(whole) if whole.is_dir() else run.config.model.name)


def stranger_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of an export as it is there, with nothing made usable; raises `ExportError` without a template."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if not tokenizer.chat_template:
        raise ExportError(f"{folder.name} holds no chat template: whoever loads it has to guess how it was asked.")
    return tokenizer


def render(tokenizer: PreTrainedTokenizerBase, messages: Messages) -> str:
    """The prompt that a tokenizer's template makes of a conversation; why it fails, where it does."""
    from jinja2.exceptions import TemplateError

    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    except TemplateError as error:
        return f"(the template fails: {error})"


def _parted(expected: str, found: str, name: str, way: str) -> str:
    place = next(
        (at for at, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1]),
        min(len(expected), len(found)),
    )
    start = max(0, place - _SHOWN)
    return (
        f"The chat template in {name} renders a prompt{way} otherwise than the run was trained with. They part "
        f"at character {place + 1}: the run has {expected[start : place + _SHOWN]!r}, the export "
        f"{found[start : place + _SHOWN]!r}. Whoever loads it would be answered worse; nothing was put in place. Give "
        "it the run's own chat_template.jinja."
    )
