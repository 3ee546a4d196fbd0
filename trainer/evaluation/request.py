"""What an evaluation is to measure: `request.yaml` in its folder. The form, `bedside eval` and the worker read it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import Field, ValidationError

from trainer import yaml_text
from trainer.errors import UserError
from trainer.section import Section, Text
from trainer.steering_sections import AdversarialSection

Suite = Literal[
    "multiple_choice",
    "pubmedqa",
    "entities",
    "summarisation",
    "answers",
    "structured",
    "general",
    "safety",
    "over_refusal",
    "memorisation",
    "consistency",
    "robustness",
    "gradient",
    "search",
]
OWN = "own"
"""As a suite's source: the rows that the run kept aside for the last test (data.test_share), or planted."""


class RequestError(UserError):
    """An evaluation or a search cannot be made as it is asked for; the text says what is wrong and what to do."""


class SuiteChoice(Section):
    """One suite on one set of items."""

    suite: Suite = Field(description="What is measured.")
    source: Text = Field(
        description="A file or folder in a published format, starter/general and the like, a published set, or own."
    )
    items: int | None = Field(
        default=200, ge=1, le=20_000, description="At most this many, drawn with the seed; all if empty."
    )

    @property
    def title(self) -> str:
        return f"{self.suite.replace('_', ' ')} on {Path(self.source).name}"


class EvaluationRequest(Section):
    """An evaluation of one run: its base and its tuned model on the same items."""

    run: Text = Field(description="Id of the run.")
    against: Text | None = Field(
        default=None, description="A run whose tuned model it is compared with; its own base model if empty."
    )
    suites: list[SuiteChoice] = Field(min_length=1, description="What is measured, in this order.")
    variants: int = Field(
        default=5, ge=1, le=50, description="Rewritten questions for each one, for consistency and robustness."
    )
    kinds: list[Text] = Field(
        default_factory=list, description="Ways of rewriting for these two; all that there are if empty."
    )
    latency: bool = Field(default=True, description="Measure the time to the first token and to the whole answer.")
    seed: int = Field(default=17, ge=0, le=2**31 - 1, description="Seed of what is drawn.")
    judge: Text | None = Field(
        default=None,
        description="A chat model that judges harm beside the rules: http://127.0.0.1:8000/v1#name, OpenAI-compatible.",
    )
    verdicts: Text | None = Field(
        default=None, description="File of clinicians' verdicts on harm: id, verdict (refused, harmful or neither)."
    )
    harden: AdversarialSection | None = Field(
        default=None,
        description="Then train again with this section of the run file, and attack the old and the new model with "
        "disturbances that neither has seen.",
    )
    price_per_hour: float | None = Field(
        default=None, gt=0, description="What an hour of the serving machine costs, for the cost of 1,000 answers."
    )


R = TypeVar("R", bound=Section)


def to_yaml(request: Section) -> str:
    """The file's text."""
    return yaml.safe_dump(request.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def load(path: Path) -> EvaluationRequest:
    """Read a request; raises `RequestError` naming the file and the first field that is wrong."""
    return read(path, EvaluationRequest)


def read(path: Path, kind: type[R]) -> R:
    """Read a request of this kind, as `load` does."""
    try:
        return kind.model_validate(yaml_text.read(yaml_text.text_of(path)))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RequestError(f"{path.name}: {field}: {first['msg']} (found {first['input']!r}).") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RequestError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
