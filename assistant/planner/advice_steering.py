"""What acts while a run trains, and how it is validated: proposed where the lecture and the situation call for it.

A proposal gives way to what was asked for, and to whatever it cannot go with (`trainer.combinations`).
"""

from __future__ import annotations

from typing import Any

from assistant.planner import starter_run
from assistant.planner.advice_data import DataFound, fitting_template
from assistant.planner.advice_method import FEW_SHOT
from assistant.planner.advice_models import Reason
from assistant.planner.answers import Answers, uses_starter
from evaluators.attacks.cases import PRESERVING
from trainer.combinations import faults
from trainer.data import recipes
from trainer.duration import trainings
from trainer.method_sections import FullMethod
from trainer.sections import RunConfig
from trainer.sizing import Estimate

_SMALL = 1000
"""Rows below which fully tuned layers overfit first, so that the lower ones move less and join later (L1.7)."""
_FOR_A_CURRICULUM = 500
"""Rows below which the four levels have too few each."""
_REASONING = ("reasoning", "diagnosis")
_PATIENT_FACING = ("patient_education", "dialogue")
_CITING = ("ner", "classification", "summarization", "report_generation")
"""Tasks whose answers cite the question: rewriting it would hardly ever keep them right."""
_LEAVE_ONE_OUT = 20
"""Rows up to which each is held out once; with more, folds say the same in less time."""
_MOST_HOURS = 2.0
"""That all trainings of a validation by folds may take together."""
REPTILE_STEPS = 100
_EXCHANGING = ("synonyms", "abbreviations", "brand_generic", "paraphrase")
"""Ways of disturbing a question that exchange its words, which an answer that cites it hardly ever allows."""


class _Proposals:
    """Values set one by one on a run file, each kept only where it goes with the rest."""

    def __init__(self, config: RunConfig, answers: Answers):
        self.config, self.asked = config, answers.settings
        self.reasons: list[Reason] = []

    def add(self, field: str, value: Any, why: str, source: str) -> None:
        section, _, name = field.partition(".")
        part = getattr(self.config, section)
        if field in self.asked or not hasattr(part, name):
            return
        before, known = getattr(part, name), len(faults(self.config))
        setattr(part, name, value)
        if len(faults(self.config)) > known:
            setattr(part, name, before)
            return
        self.reasons.append(Reason(field=field, value=value, why=why, source=source))


def steering(config: RunConfig, answers: Answers, data: DataFound) -> list[Reason]:
    """Few examples, several tasks, a curriculum, forgetting and harm: what fits of it. The default run stays as it is.

    Comes after the rhythm of the measurements, which the looks at forgetting and harm follow.
    """
    found, tasks = _Proposals(config, answers), [config.task.name, *config.task.other_tasks]
    if answers.objective == "adversarial":
        _against_attacks(found)
    if starter_run.is_default_run(config, answers):
        return found.reasons
    if config.objective.kind != "sft":
        # What follows is for supervised rows; how far an alignment goes too far is seen by looking.
        _looks(found, "Answers that please can cost refusals, so those to harmful requests are looked at now and then.")
        return found.reasons
    if data.rows is not None and data.rows <= FEW_SHOT:
        _few_examples(found, answers)
    if isinstance(config.method, FullMethod) and data.rows is not None and data.rows <= _SMALL:
        _layers_of_a_small_set(found)
    if len(tasks) > 1 and getattr(config.method, "per", "run") == "run":
        _several_tasks(found)
    if data.levels and (data.rows or 0) >= _FOR_A_CURRICULUM and any(task in _REASONING for task in tasks):
        why = "The rows tell their level: facts first, then concepts, reasoning and judgement."
        found.add("steering.curriculum", "steps", why, "lecture L2.7")
    if not uses_starter(answers):
        patients = "Patients will read the answers, so those to harmful requests are looked at now and then."
        _looks(found, patients if any(task in _PATIENT_FACING for task in tasks) else "")
    return found.reasons


def validation(config: RunConfig, answers: Answers, rows: int | None, estimate: Estimate | None) -> list[Reason]:
    """For few examples: each row, or each fifth or third of them, held out once, as far as the time allows (L3.3)."""
    few = rows is not None and rows <= FEW_SHOT and not starter_run.is_default_run(config, answers)
    few = few and config.objective.kind == "sft"
    if not few or rows is None or "evaluation.validation" in answers.settings:
        return []
    once = estimate.hours.high / trainings(config, rows) if estimate and estimate.hours else 0.0
    found, evaluation = _Proposals(config, answers), config.evaluation
    ways = [("leave_one_out", rows)] if rows <= _LEAVE_ONE_OUT else []
    folds = answers.settings.get("evaluation.folds")
    ways += [("k_fold", folds)] if folds else [("k_fold", 5), ("k_fold", 3)]
    way = next(((name, times) for name, times in ways if once * (times + 1) <= _MOST_HOURS and times <= rows), None)
    if way is None:
        why = f"So few rows call for folds (L3.3), but one training takes up to {once:.1f} hours; ask for them if that "
        why += "is no matter. One small share held back says little."
        return [Reason(field="evaluation.validation", value=evaluation.validation, why=why, source="lecture L3.3")]
    name, times = way
    why = (
        f"{rows} rows are too few to hold a share of them back: the model is trained {times} times, each time without "
    )
    why += "one row" if name == "leave_one_out" else f"another {_ORDINAL.get(times, f'1/{times}')} of them"
    why += ", then once on all, and the spread is told."
    found.add("evaluation.validation", name, why, "lecture L3.3")
    if name == "k_fold" and found.reasons:
        why = "Five is usual." if times == 5 else "Fewer than the usual five, for the time they take."
        found.add("evaluation.folds", times, why, "lecture L3.3")
    return found.reasons


_ORDINAL = {5: "fifth", 3: "third"}


def _few_examples(found: _Proposals, answers: Answers) -> None:
    why = "So few rows are soon learnt by heart: "
    found.add("schedule.weight_decay", 0.1, f"{why}the high end of 0.01-0.1.", "lecture L1.8")
    if found.config.method.kind in ("lora", "adalora"):
        found.add("method.dropout", 0.1, f"{why}the low end of 0.1-0.3 for adapters.", "lecture L1.8")
    noise = f"{why}noise on the embeddings, at its authors' smallest strength, makes that harder."
    found.add("schedule.neftune_alpha", 5.0, noise, "NEFTune, Jain et al. 2023")
    if found.config.task.other_tasks:
        start = "Meta-learning over the tasks first, for a start from which few examples are enough."
        found.add("steering.reptile_steps", REPTILE_STEPS, start, "lecture L3.3; Reptile, Nichol et al. 2018")
    if uses_starter(answers) or (answers.dataset and recipes.is_recipe(answers.dataset)):
        return  # the starter sets are as they are measured; a recipe's rows were decided on the Data page
    if found.config.task.name not in _CITING:
        more = "As many rows again: the questions in other words, the answers to the letter."
        found.add("data.augment", ["synonyms", "abbreviations"], more, "lecture L3.9")
        if "data.augment" in (reason.field for reason in found.reasons):
            found.add("data.augment_share", 1.0, "One rewritten row for each, where one can be made.", "lecture L3.9")
    for source in found.config.data.sources:
        if source.template is None and (template := fitting_template(source.name, found.config.task.name)):
            source.template = template
            why = f"The file that you named; its columns fit the task template “{template}”, whose words stay the same "
            why += "from row to row, so that few rows show what is asked."
            names = [one.name for one in found.config.data.sources]
            found.reasons.append(Reason(field="data.sources", value=names, why=why, source="lecture L3.3"))


def _layers_of_a_small_set(found: _Proposals) -> None:
    why = "Fully tuned on a small set, the lower layers, which hold general language, move a tenth as fast as the top."
    found.add("schedule.layer_rate_ratio", 10.0, why, "lecture L1.7")
    why = "Over the first third of the steps the layers join in, the top ones first."
    found.add("schedule.unfreezing_share", 0.3, why, "lecture L1.7")


def perturbations(task: str) -> list[str]:
    """The ways of disturbing questions that fit a task: all that keep the meaning, or those that exchange no word."""
    return [kind for kind in PRESERVING if task not in _CITING or kind not in _EXCHANGING]


def _against_attacks(found: _Proposals) -> None:
    kinds = perturbations(found.config.task.name)
    why = (
        "Questions with typos, in another style, with asides and planted instructions, and the same answers: the model "
        "learns to read over what does not change the meaning. Noise on the embeddings (NEFTune) is no defence."
    )
    if len(kinds) < len(PRESERVING):
        why += " None exchanges words, since these answers cite the question."
    found.add("adversarial.perturbations", kinds, why, "lecture L3.5, L3.7, L3.9")
    if found.config.adversarial.perturbations:
        why = "One disturbed question for each clean one, so that nothing of the clean ones is lost; training takes "
        why += "twice as long."
        found.add("adversarial.share", 0.5, why, "Goodfellow et al. 2015")


def _several_tasks(found: _Proposals) -> None:
    why = "Every task counts the same; else the one with the longest answers would decide."
    found.add("steering.task_weights", "uniform", why, "lecture L2.5")
    why = "Whether the tasks pull the weights apart is measured together with the validation loss of each."
    found.add("steering.conflict_every", found.config.evaluation.every, why, "lecture L2.6")


def _looks(found: _Proposals, harm: str) -> None:
    """Looks at forgetting; at harmful answers where `harm` says why."""
    every = found.config.evaluation.every
    why = "General and general medical questions, at every second measurement: a run that forgets is ended, and not "
    found.add("steering.forgetting_every", 2 * every, f"{why}only reported.", "lecture L2.9")
    if any(reason.field == "steering.forgetting_every" for reason in found.reasons):
        steering = found.config.steering
        why = "Absolute points of accuracy, on either kind of question."
        found.add("steering.forgetting_limit", steering.forgetting_limit, why, "lecture L2.9")
        why = "Past the limit the run ends and keeps the last checkpoint that was within it."
        found.add("steering.forgetting_action", steering.forgetting_action, why, "lecture L2.9")
    if harm:
        looks = 5 if found.config.hardware.device == "cpu" else 2  # whole answers are written, which a CPU does slowly
        found.add("steering.harm_every", looks * every, harm, "lecture L3.15")
