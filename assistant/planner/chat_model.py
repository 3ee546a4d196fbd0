"""An optional chat model beside the deterministic reading: it may only propose answers, which pass the same validator.

`BEDSIDE_CHAT_MODEL=http://127.0.0.1:8000/v1#name` names a model behind an OpenAI-compatible address (`transformers
serve`, Ollama, vLLM); `propose` takes any langchain-core chat model. Without one, nothing here is imported.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from assistant.planner.answers import Answers
from evaluators import chat_client
from trainer import catalogue

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

VARIABLE = "BEDSIDE_CHAT_MODEL"
# Not proposed: values of the run file are asked for in plain words, and "not sure" is read from the user alone.
_KEPT_BACK = {"settings", "unknown"}
_IDENTIFIER = re.compile(
    r"[\w.+-]+@[\w-]+\.\w+|\b\d{1,2}[./-]\d{1,2}[./-](?:19|20)?\d\d\b|\b(?:19|20)\d\d-\d\d-\d\d\b|(?<![\d,.])\d{7,}(?![\d,.])"
    r"|\b\d{3}[-. ]\d{2,3}[-. ]\d{4}\b|\b(?:mr|mrs|ms|miss|dr)\.?\s+[A-Z][a-z]+|\b(?:mrn|dob|nhs|ssn)\b\W*\d"
    r"|\b(?:date of birth|born on)\b",
    re.IGNORECASE,
)
_TASK = (
    "You read one message of a person who wants to fine-tune a medical language model, and fill in what it says. "
    "Answer with one JSON object and nothing else. Use only these keys, and only those that the message itself "
    "tells:\n{keys}\n"
    "Known so far: {known}"
)


class Proposal(BaseModel):
    """What a chat model read; `remark` says why it was not used, where it was not."""

    changes: dict[str, Any] = {}
    remark: str = ""


def configured() -> str | None:
    """The address that the user set, or None."""
    return os.environ.get(VARIABLE) or None


def warning(address: str, contains_phi: bool | None) -> str:
    """What must stand in sight while a remote model reads along and patient data is in play; empty where neither is."""
    host = chat_client.remote_host(address)
    if not host or contains_phi is False:
        return ""
    return (
        f"Note: a chat model on {host} reads this conversation, and the data may hold patient data. Write nothing here "
        f"that could identify anyone, or unset {VARIABLE}."
    )


def propose(model: BaseChatModel, text: str, known: Answers, timeout: float = chat_client.TIMEOUT_SECONDS) -> Proposal:
    """Ask the model what the message says. Its JSON is validated as `Answers`; whatever does not pass is not used.

    Text that seems to identify a person is not sent. A wrong, slow or absent model gives an empty proposal and the
    reason, in a sentence for the user.
    """
    from langchain_core.output_parsers import JsonOutputParser

    if _IDENTIFIER.search(text):
        return Proposal(remark="That seems to identify a person, so the chat model was not shown it; I read it myself.")
    fields = {
        name: field for name, field in Answers.model_json_schema()["properties"].items() if name not in _KEPT_BACK
    }
    task = _TASK.format(keys=json.dumps(fields), known=known.model_dump_json(exclude_defaults=True))
    asked = [("system", task), ("user", text)]
    try:
        said = chat_client.ask(model | JsonOutputParser(), asked, timeout)
    except TimeoutError:
        return Proposal(remark=f"The chat model took longer than {timeout:g} seconds; I read that myself.")
    except chat_client.AddressRefused as error:
        return Proposal(remark=f"{error} I read that myself.")
    except Exception as error:  # whatever a model or its server raises, the planner goes on without it
        kind = "could not be reached" if isinstance(error, OSError) else "gave no usable answer"
        return Proposal(remark=f"The chat model {kind}; I read that myself.")
    return _validated(said)


def _validated(said: Any) -> Proposal:
    if not isinstance(said, dict):
        return Proposal(remark="The chat model gave no usable answer; I read that myself.")
    told = {name: value for name, value in said.items() if value not in (None, [], "") and name not in _KEPT_BACK}
    # Only a person may say that data holds no patient data.
    if told.get("contains_phi") is False:
        del told["contains_phi"]
    try:
        Answers.model_validate(told)
    except ValidationError:
        return Proposal(remark="The chat model's answer did not pass the check; I read that myself.")
    for name, look_up in (("gpu", catalogue.gpu), ("base_model", catalogue.base_model)):
        if name in told and told[name] != "cpu":
            row = look_up(told[name])
            told |= {name: row.name} if row else {}
            if row is None:
                del told[name]
    return Proposal(changes=told)
