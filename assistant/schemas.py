"""What each verb prints with `--json`: the models behind `bedside schema VERB`."""

from __future__ import annotations

import importlib
from typing import Any

from assistant.terminal import BadInput

_RESULTS = "assistant.results"
_EXPORTS = "assistant.export_words"
_PREFERENCES, _REVIEW, _VERSIONS = "assistant.preference_words", "assistant.review_words", "assistant.version_words"
_SEARCH, _PEOPLE = "assistant.search_words", "assistant.people_commands"
# By module and class, since most of them are not wanted in a call.
_MODELS = {
    "run": ("trainer.sections", "RunConfig"),
    "plan": ("assistant.planner.dialogue", "Turn"),
    "train": (_RESULTS, "RunSummary"),
    "ask": (_RESULTS, "AskResult"),
    "doctor": (_RESULTS, "DoctorResult"),
    "eval": ("assistant.evaluation_words", "EvaluationDetails"),
    "attack": ("assistant.evaluation_words", "EvaluationDetails"),
    "align": (_PREFERENCES, "Aligned"),
    "launch": ("assistant.launch_commands", "Launch"),
    "dossier": ("trainer.dossier.dossier", "Dossier"),
    "reproduce": ("trainer.reproduce", "Reproduction"),
    "runs list": (_RESULTS, "RunList"),
    "runs show": (_RESULTS, "RunDetails"),
    "runs stop": (_RESULTS, "RunSummary"),
    "runs queue": ("trainer.queue", "Queue"),
    "runs move": ("trainer.queue", "Queue"),
    "runs resume": (_RESULTS, "RunSummary"),
    "runs clone": (_RESULTS, "RunSummary"),
    "runs import": (_RESULTS, "RunSummary"),
    "runs compare": (_VERSIONS, "RunsCompared"),
    "runs delete": (_RESULTS, "Deleted"),
    "plans list": (_RESULTS, "PlanList"),
    "plans export": (_RESULTS, "PlanConversation"),
    "plans delete": (_RESULTS, "Deleted"),
    "data inspect": ("trainer.data.survey", "Survey"),
    "data prepare": (_RESULTS, "PreparedData"),
    "data sets": (_RESULTS, "PublishedSets"),
    "data list": (_RESULTS, "DataKept"),
    "data delete": (_RESULTS, "Deleted"),
    "export": (_EXPORTS, "ExportDetails"),
    "exports list": (_EXPORTS, "ExportList"),
    "exports show": (_EXPORTS, "ExportDetails"),
    "exports push": ("trainer.export.hub", "Push"),
    "exports delete": (_RESULTS, "Deleted"),
    "evaluations list": (_RESULTS, "EvaluationList"),
    "evaluations show": ("assistant.evaluation_words", "EvaluationDetails"),
    "evaluations stop": (_RESULTS, "EvaluationSummary"),
    "evaluations resume": ("assistant.evaluation_words", "EvaluationDetails"),
    "evaluations delete": (_RESULTS, "Deleted"),
    "evaluations forget": (_RESULTS, "Forgotten"),
    "review create": (_REVIEW, "ReviewSetSummary"),
    "review add": (_REVIEW, "ReviewSetSummary"),
    "review list": (_REVIEW, "ReviewSetList"),
    "review show": (_REVIEW, "ReviewSetSummary"),
    "review assign": (_REVIEW, "ReviewAssigned"),
    "review answer": (_REVIEW, "ReviewAnswered"),
    "review vote": (_REVIEW, "ReviewVoted"),
    "review skip": (_REVIEW, "ReviewVoted"),
    "review results": ("trainer.review.results", "ReviewResults"),
    "review delete": (_RESULTS, "Deleted"),
    "preferences make": (_PREFERENCES, "PreferenceMade"),
    "preferences import": (_PREFERENCES, "PreferenceMade"),
    "preferences list": (_PREFERENCES, "PreferenceList"),
    "preferences show": (_PREFERENCES, "PreferenceDetails"),
    "preferences export": (_PREFERENCES, "PreferenceExported"),
    "preferences delete": (_RESULTS, "Deleted"),
    "serve": ("assistant.serve_commands", "Served"),
    "people list": (_PEOPLE, "PeopleList"),
    "people add": (_PEOPLE, "PersonDetails"),
    "people remove": (_PEOPLE, "PersonRemoved"),
    "people role": (_PEOPLE, "PersonDetails"),
    "people password": (_PEOPLE, "PersonDetails"),
    "audit": (_RESULTS, "AuditLog"),
    "search start": (_SEARCH, "SearchDetails"),
    "search propose": ("assistant.planner.advice_search", "Proposal"),
    "search list": (_SEARCH, "SearchList"),
    "search show": (_SEARCH, "SearchDetails"),
    "search stop": (_SEARCH, "SearchDetails"),
    "search resume": (_SEARCH, "SearchDetails"),
    "search work": (_SEARCH, "SearchDetails"),
    "search promote": (_SEARCH, "Promoted"),
    "search sweep": (_SEARCH, "SweepWritten"),
    "search delete": (_RESULTS, "Deleted"),
    "storage list": (_RESULTS, "StorageList"),
    "storage delete": ("trainer.storage", "Removed"),
    "versions list": (_VERSIONS, "VersionList"),
    "versions show": (_VERSIONS, "VersionDetails"),
    "versions register": (_VERSIONS, "VersionDetails"),
    "versions use": (_VERSIONS, "InUse"),
    "versions rollback": (_VERSIONS, "InUse"),
    "versions compare": ("trainer.versions.compatibility", "Compatibility"),
    "versions update": (_VERSIONS, "UpdatePlanned"),
    "versions ab begin": ("trainer.versions.ab_test", "State"),
    "versions ab list": (_VERSIONS, "ABTestList"),
    "versions ab show": ("trainer.versions.ab_test", "State"),
    "versions ab arm": (_VERSIONS, "ArmOf"),
    "versions ab record": (_VERSIONS, "ArmOf"),
    "versions ab end": ("trainer.versions.ab_test", "State"),
}


def schema_of(verb: str) -> dict[str, Any]:
    """The JSON Schema of the run file (`run`), or of what a verb prints; raises `BadInput` for one that has none."""
    if verb not in _MODELS:
        raise BadInput(f"There is no schema for {verb!r}; there are: {', '.join(_MODELS)}.")
    module, name = _MODELS[verb]
    return getattr(importlib.import_module(module), name).model_json_schema()
