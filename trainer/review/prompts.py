"""Questions to be answered and judged."""

from __future__ import annotations

from pydantic import BaseModel

from trainer.data.rows import Message


class Prompt(BaseModel):
    """A conversation up to its question, without the system prompt, and what is known of it."""

    messages: list[Message]
    group: str = ""
    """Specialty, task or the like."""
    source: str = ""
    """Where it came from: "cases.jsonl, row 12"."""
    chosen_by: str = ""
    """Why it is to be judged, where something chose it."""

    @property
    def question(self) -> str:
        return self.messages[-1]["content"]
