"""How questions are worded: the phrases by which a row's task and level are told."""

from __future__ import annotations

from functools import cache

from trainer.catalogue import CatalogueRow, table


class DrugNames(CatalogueRow):
    endings: tuple[str, ...]
    names: frozenset[str]


class PatientWords(CatalogueRow):
    ages: tuple[str, ...]
    people: frozenset[str]
    measured: frozenset[str]


class QuestionWording(CatalogueRow):
    """Phrases by task and by level, in the order in which they are tried."""

    tasks: dict[str, list[str]]
    levels: dict[str, list[str]]
    drugs: DrugNames
    patient: PatientWords


@cache
def question_wording() -> QuestionWording:
    return QuestionWording.model_validate(table("question_wording.yaml"))
