"""The run's system prompt within the chat template: a stranger who sends none is answered as the run was trained."""

from __future__ import annotations

import json


def with_default_system(template: str, system_prompt: str) -> str:
    """The template with this system prompt before a conversation that brings none; with one, it is as it was.

    Without it many templates put in a prompt of their own ("You are a helpful AI assistant named SmolLM"), which the
    run never saw.
    """
    # A JSON string is a string of Jinja too; letters stay as they are, since not all of its readers know \u.
    said = json.dumps(system_prompt, ensure_ascii=False)
    return (
        "{% if messages[0]['role'] != 'system' %}"
        "{% set messages = [{'role': 'system', 'content': " + said + "}] + messages %}"
        "{% endif %}" + template
    )
