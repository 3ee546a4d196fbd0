"""A plan made from a run file: to go on with on the Plan page what was found elsewhere."""

from __future__ import annotations

from assistant.planner import dialogue, drafts
from assistant.planner.answers import Answers, missing
from assistant.planner.drafts import Draft, Message
from trainer import catalogue
from trainer import config as run_config
from trainer.sections import RunConfig


def draft_of(config: RunConfig, asked: str, said: str) -> Draft:
    """A plan with this run file, saved; its conversation is what was asked for, and what is said of it.

    The answers are what the run file tells of them; what it does not tell is not asked.
    """
    known = catalogue.base_model(config.model.name)
    gpu = "cpu" if config.hardware.device == "cpu" else config.hardware.gpu
    answers = Answers(
        task=config.task.name,
        other_tasks=list(config.task.other_tasks),
        specialty=config.task.specialty,
        gpu=gpu,
        base_model=known.name if known else None,
        contains_phi=config.data.contains_phi,
        dataset=_dataset(config),
    )
    answers.unknown = missing(answers)  # pyright: ignore[reportAttributeAccessIssue]
    draft = dialogue.new_draft()
    messages: list[Message] = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    draft = draft.model_copy(
        update={
            "messages": [*draft.messages, *messages],
            "answers": answers,
            "offered": [],
            "edited_yaml": run_config.to_yaml(config),
        }
    )
    drafts.save(draft)
    return draft


def _dataset(config: RunConfig) -> str | None:
    names = [source.name for source in config.data.sources]
    if names and all(name.startswith("starter/") for name in names):
        return names[0] if len(names) == 1 else "starter"
    return names[0] if len(names) == 1 else None
