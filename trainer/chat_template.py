"""A chat template for every model: its own, made to bear a system prompt, or a plain one where it ships none."""

from __future__ import annotations

import subprocess
import sys
from functools import lru_cache
from typing import TYPE_CHECKING

from trainer.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PLAIN = (
    "{% if bos_token %}{{ bos_token }}{% endif %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] }}\n\n"
    "{% elif message['role'] == 'user' %}### Question\n{{ message['content'] }}\n\n"
    "{% else %}### Answer\n{{ message['content'] }}{{ eos_token }}\n\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}### Answer\n{% endif %}"
)
LARGEST = 100_000
"""Characters of a template; the longest of published models have some 20,000."""
_SYSTEM_INTO_QUESTION = (
    "{% if messages[0]['role'] == 'system' %}"
    "{% set messages = [{'role': 'user', 'content': messages[0]['content'] + '\n\n' + messages[1]['content']}]"
    " + messages[2:] %}"
    "{% endif %}"
)


def make_usable(tokenizer: PreTrainedTokenizerBase) -> str:
    """Give the tokenizer a template that renders a system prompt, a question and an answer; returns what was changed.

    A model that was never tuned to chat (LLaMA-7B) gets a plain template; where a template refuses a system prompt
    (Gemma 2, Mistral of 2023), the prompt is put before the first question. Empty where nothing was changed.
    Raises `ModelError` for a template that does not come to an end, or fills the memory.
    """
    if not tokenizer.chat_template:
        tokenizer.chat_template = PLAIN
        return "The model ships no chat template, as it was never tuned to chat; a plain one is used and saved with it."
    templates = tokenizer.chat_template
    for template in templates.values() if isinstance(templates, dict) else [templates]:
        if wrong := _fault(template):
            raise ModelError(f"The model's chat template {wrong}; take a model from somebody whom you trust.")
    if _bears_a_system_prompt(tokenizer):
        return ""
    assert isinstance(tokenizer.chat_template, str)
    tokenizer.chat_template = _SYSTEM_INTO_QUESTION + tokenizer.chat_template
    return "The model's chat template takes no system prompt; it is put before the first question instead."


@lru_cache(maxsize=64)
def _fault(template: str) -> str:
    """What makes a template a danger to whoever renders it, found by trying it out; empty where nothing does."""
    if len(template) > LARGEST:
        return f"has {len(template):,} characters, and honest ones less than {LARGEST:,}"
    from trainer import chat_template_trial

    trial = str(chat_template_trial.__file__)
    done = subprocess.run([sys.executable, "-I", trial], input=template.encode("utf-8", "replace"), capture_output=True)
    too_much = done.returncode < 0 or done.returncode == chat_template_trial.TOO_MUCH
    return "does not come to an end, or fills the memory, with a few short messages" if too_much else ""


def _bears_a_system_prompt(tokenizer: PreTrainedTokenizerBase) -> bool:
    from jinja2.exceptions import TemplateError

    probe = "7d1f-system-probe"
    try:
        text = tokenizer.apply_chat_template(
            [{"role": "system", "content": probe}, {"role": "user", "content": "?"}], tokenize=False
        )
    except TemplateError:
        return False
    except Exception as error:  # a template is a program, and raises what it likes
        raise ModelError(f"The model's chat template cannot be used: {type(error).__name__}: {error}") from None
    # Some templates leave it out without a word.
    return probe in str(text)
