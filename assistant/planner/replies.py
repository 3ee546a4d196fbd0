"""What the planner says: what it understood, the next question, or the plan in a few plain sentences."""

from __future__ import annotations

from typing import Any

from assistant.planner.advice import Plan
from assistant.planner.advice_alignment import NO_PAIRS
from assistant.planner.answers import Answers
from trainer import catalogue
from trainer.data import recipes
from trainer.hardware import Machine
from trainer.method_names import kind_name, method_name
from trainer.objective_names import objective_name
from trainer.sizing import Range, host_gib

TASK_WORDS = {
    "diagnosis": "suggesting diagnoses",
    "treatment": "suggesting treatments",
    "test_interpretation": "interpreting test results",
    "patient_education": "explaining things to patients",
    "summarization": "summarising records",
    "report_generation": "drafting reports",
    "ner": "finding terms such as drugs and doses in text",
    "question_answering": "answering questions",
    "classification": "sorting texts into classes",
    "reasoning": "clinical reasoning step by step",
    "drug_information": "drug information",
    "dialogue": "conversations, such as replies to patients' messages",
}
EXAMPLE = "For example: “summarise discharge notes, about 3,000 of them, de-identified, on a 4090”."


def greeting(machine: Machine) -> str:
    """The first words of a conversation, which offer this machine."""
    return (
        "Tell me in your own words what the model is for, what examples you have, and which GPU you can use. "
        f"{machine.describe()} Say “this machine” to use it. {EXAMPLE} "
        "To try it at once, say “use the starter data on this machine, to answer clinical questions”."
    )


def question(name: str, machine: Machine) -> str:
    """The question for something that is missing."""
    return {
        "task": "What should the model do? For instance draft reports, summarise notes, "
        "answer questions, pull drug names "
        "out of text, sort messages, or explain things to patients.",
        "examples": "About how many examples do you have, or what is the file called? Say “starter "
        "data” to try with ours.",
        "gpu": f"Which GPU can you use? {machine.describe()} Say “this machine” to use it.",
        "contains_phi": "Does the data contain anything about real patients that could identify them?",
    }[name]


def understood(changes: Answers, machine: Machine) -> str:
    """What a message changed, in plain words; empty where it changed nothing."""
    new = changes.model_fields_set
    parts: list[str] = []
    if changes.task:
        tasks = " and ".join(TASK_WORDS[task] for task in [changes.task, *changes.other_tasks])
        parts.append(f"a model for {tasks}")
    elif changes.other_tasks:
        parts.append("also for " + " and ".join(TASK_WORDS[task] for task in changes.other_tasks))
    if changes.specialty:
        parts.append(f"the specialty {changes.specialty}")
    if changes.examples:
        parts.append("1 example" if changes.examples == 1 else f"{changes.examples:,} examples")
    if changes.dataset:
        parts.append(
            "the starter data" if changes.dataset == "starter" else f"the data in {recipes.shown(changes.dataset)}"
        )
    if changes.gpu or changes.vram_gib:
        parts.append(_hardware(changes))
    if changes.base_model:
        parts.append(f"the base model {changes.base_model}")
    if changes.model_params_b:
        parts.append(f"a base model of about {changes.model_params_b:g} billion parameters")
    if "contains_phi" in new and changes.contains_phi is not None:
        parts.append("data with patient data in it" if changes.contains_phi else "no patient data")
    if changes.objective:
        parts.append(
            {"preference": "learning from preferences", "adversarial": "robustness", "sft": "supervised tuning"}[
                changes.objective
            ]
        )
    if changes.priority:
        parts.append(
            {"speed": "speed first", "quality": "quality first", "balanced": "a balance of speed and quality"}[
                changes.priority
            ]
        )
    if changes.adaptation:
        parts.append(f"{changes.adaptation} adaptation to medicine")
    for field, value in changes.settings.items():
        name = "method" if field == "method.kind" else field.partition(".")[2].replace("_", " ")
        told = kind_name(value) if field == "method.kind" and value else _plain(value)
        parts.append(f"{name} left to the planner" if value is None else f"{name} {told}")
    gone = {"gpu": "the GPU", "examples": "the number of examples", "dataset": "the data set"}
    gone |= {"specialty": "the specialty", "base_model": "the base model", "task": "the task"}
    parts += [
        f"{words} forgotten"
        for name, words in gone.items()
        if name in new and getattr(changes, name) is None and name not in changes.unknown
    ]
    unsure = {
        "task": "what it is for",
        "examples": "how many examples",
        "gpu": "which GPU",
        "contains_phi": "patient data",
    }
    parts += [
        f"not sure about {unsure[name]}" if name == "contains_phi" else f"not known: {unsure[name]}"
        for name in changes.unknown
    ]
    return f"Understood: {'; '.join(parts)}." if parts else ""


def summary(plan: Plan, answers: Answers, refusals: list[str]) -> str:
    """The plan in a few sentences, and what keeps it from being started here."""
    config, estimate = plan.config, plan.estimate
    where = f"one {config.hardware.gpu}" if config.hardware.device == "cuda" else _processor(answers)
    method = method_name(config)
    how = "with the base in 4 bits (QLoRA)" if method == "QLoRA" else f"with {method}"
    said = [f"Here is the plan: {config.model.name}, tuned {how} on {where}."]
    if any(reason.field == "evaluation.validation" for reason in plan.reasons):
        said.append(
            "So few examples take a regime of their own (lecture L3.3): many passes at a high rate, strong "
            "regularisation, and validation by folds where the time allows."
        )
    if estimate is not None:
        peak, limit = estimate.peak_gib, estimate.limit_gib
        needs = f"It needs {peak.low:.1f} to {peak.high:.1f} GiB of {limit:.3g} GiB"
        said.append(
            {
                "fits": f"{needs}, which fits with a fifth kept free.",
                "tight": f"{needs}, which is tight: a fifth should stay free.",
                "does_not_fit": f"{needs}, which does not fit.",
            }[estimate.fits]
        )
        if estimate.hours is not None:
            price = f", at {price_words(estimate.usd)} where the card is rented" if estimate.usd else ""
            said.append(f"Training takes about {time_words(estimate.hours)}{price}.")
        near = [one for one in plan.alternatives if one.label == "nearest that fits"]
        if near:
            ways = "; ".join(f"“{one.say}” ({one.estimate.peak_gib.high:.1f} GiB)" for one in near)
            said.append(f"The nearest that fit, in words that you can say: {ways}.")
    else:
        said.append("I do not know this model or card, so I cannot say what memory it needs.")
    row = catalogue.base_model(config.model.name)
    if row is not None and (own := host_gib(config, row)):
        said.append(
            f"Weights, gradients and moments stay in the computer's own memory, about {own:.0f} GiB, "
            "and visit the card layer by layer."
        )
    if config.data.contains_phi is not False:
        said.append(_REMOVED[config.data.deidentify])
    if config.objective.kind != "sft":
        why = next(reason.why for reason in plan.reasons if reason.field == "objective.kind")
        said.append(f"It learns by {objective_name(config.objective.kind)}. {why}")
    elif answers.objective == "preference":
        said.append(
            f"{NO_PAIRS} So this plan is the supervised run that an alignment starts from: let reviewers vote on its "
            "answers on the Review page, and press “Align with these votes” there; or name a file of pairs."
        )
    if config.adversarial.perturbations:
        share = config.adversarial.share
        said.append(
            f"Of the training rows {share:.0%} ask with typos, in another style or with what does not matter "
            "(section adversarial), and have the same answers; on the Release page the run can be attacked again."
        )
    if answers.objective == "adversarial":
        said.append("If it is to refuse harmful requests, your examples need some with such a refusal.")
    if not refusals:
        said.append("Look at the values and their reasons beside the chat, change what you like, and start the run.")
        return " ".join(said)
    return " ".join(said) + "\n\nBefore it can start here:\n" + "\n".join(f"- {reason}" for reason in refusals)


_REMOVED = {
    "mask": "What identifies a person is masked before anything is trained; see on the Data page what is found.",
    "surrogate": "What identifies a person is replaced by invented values; see on the Data page what is found.",
    "drop": "Rows that hold what identifies a person are left out; see on the Data page what is found.",
    "off": "Nothing that identifies a person is taken out, for the reason given in the run file.",
}


def _processor(answers: Answers) -> str:
    other = answers.gpu not in (None, "cpu")
    return f"the processor of {answers.gpu}" if other else "this machine's CPU"


NOTHING = "I did not find anything for the plan in that."
STANDS = (
    "You can still change anything, for example “actually 8k examples”, “use rank 32” or “on an A100”; ask “why r=16?” "
    "or “what if I had an A100?”. The plan stands."
)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(value) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)


def _hardware(changes: Answers) -> str:
    if changes.gpu == "cpu":
        return "no GPU (the CPU)"
    if changes.gpu is None:
        return f"a GPU with {changes.vram_gib:g} GB"
    row = catalogue.gpu(changes.gpu)
    if row is not None and not row.cuda:
        return f"{row.name}, for its {row.cores} cores and {row.memory_gib:g} GiB"
    name = changes.gpu + (f" ({row.memory_gib:g} GiB)" if row else "")
    return f"{changes.gpu_count} x {name}" if (changes.gpu_count or 1) > 1 else f"the GPU {name}"


def price_words(usd: Range) -> str:
    """A range of US dollars, to the cent below ten."""
    low, high = (f"{value:.2f}" if value < 10 else f"{value:,.0f}" for value in (usd.low, usd.high))
    return f"{low} to {high} US dollars"


def time_words(hours: Range) -> str:
    """A range of hours in the unit that reads best."""
    if hours.high < 2:
        low, high = max(1, round(hours.low * 60)), max(1, round(hours.high * 60))
        return f"{low} to {high} minutes" if low != high else f"{low} minute{'s' * (low > 1)}"
    if hours.high < 72:
        low, high = max(1, round(hours.low)), round(hours.high)
        return f"{low} to {high} hours" if low != high else f"{high} hours"
    return f"{max(1, round(hours.low / 24))} to {round(hours.high / 24)} days"
