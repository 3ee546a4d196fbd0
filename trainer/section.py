"""What every section of the run file is made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

Task = Literal[
    "diagnosis",
    "treatment",
    "test_interpretation",
    "patient_education",
    "summarization",
    "report_generation",
    "ner",
    "question_answering",
    "classification",
    "reasoning",
    "drug_information",
    "dialogue",
]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Section(BaseModel):
    """A part of the run file; unknown fields are faults, so that a misspelt one is never silently ignored."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)
