"""Attack, augment, train again, attack again: what follows an evaluation that is asked to harden (lecture L3.5-L3.7).

Each link is a job of its own, so that every one can be watched, stopped and resumed: this evaluation; the run that is
trained with the adversarial section, rows like the failed cases more often; and an evaluation of it against the old
model, on variants that were drawn anew. `follow.json` in the first one's folder names the other two.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from evaluators.cases import Case
from trainer import events, runs
from trainer.atomic import write_atomically
from trainer.evaluation import evaluations
from trainer.evaluation.request import EvaluationRequest
from trainer.sections import RunConfig
from trainer.steering_sections import AdversarialSection

if TYPE_CHECKING:
    from trainer.reporting import Reporter

FOLLOW, HARD_CASES = "follow.json", "hard_cases.jsonl"
ATTACKED = ("robustness", "consistency")
TRAINED = ("typos", "synonyms", "style", "irrelevant_context", "paraphrase")


class Followed(BaseModel):
    """What an evaluation that hardens set going."""

    run: str
    evaluation: str | None = None


def usual(config: RunConfig) -> RunConfig:
    """The run file with the adversarial section that hardening takes where nobody says otherwise.

    Half of the ways of disturbing a question are trained with; the others are kept to attack with afterwards, so that
    the second attack shows what carries over. Embeddings are left to who asks for them: they double a step's time.
    """
    section = AdversarialSection(perturbations=list(TRAINED), share=0.5, consistency=1.0)
    return config.model_copy(update={"adversarial": section})


def followed(folder: Path) -> Followed | None:
    """What the evaluation in `folder` set going, or None."""
    path = folder / FOLLOW
    return Followed.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None


def follow(request: EvaluationRequest, reporter: Reporter) -> None:
    """Start the hardened run, and the evaluation that waits for it; what was started before is started once only.

    The new variants have another seed, and of the suites those on variants are asked again, and whatever tells whether
    something else was lost. Raises `RunError` where the run cannot be made.
    """
    assert request.harden is not None
    folder = reporter.folder
    done = followed(folder)
    if done is None:
        section = request.harden.model_copy(update={"hard_cases": _failed(folder, request.harden)})
        old = runs.get(request.run)
        output = old.config.output.model_copy(update={"name": f"{old.config.output.name} hardened"[:80]})
        run = runs.create(old.config.model_copy(update={"adversarial": section, "output": output}))
        done = Followed(run=run.id)
        write_atomically(folder / FOLLOW, done.model_dump_json(indent=1))
        runs.start(run)
        reporter.event(events.ProgressEvent(stage=f"training again, as run {run.id}", done=0, total=0))
    if done.evaluation is None:
        again = request.model_copy(
            update={"run": done.run, "against": request.run, "harden": None, "seed": request.seed + 1}
        )
        evaluation = evaluations.create(again)
        done.evaluation = evaluation.id
        write_atomically(folder / FOLLOW, done.model_dump_json(indent=1))
        evaluations.start(evaluation)


def _failed(folder: Path, section: AdversarialSection) -> str | None:
    """A file of the cases that the tuned model failed on under attack; None where it failed on none."""
    failed: list[Case] = []
    for path in sorted((folder / evaluations.CASES).glob("*.tuned.jsonl")):
        name = path.name.removesuffix(".tuned.jsonl")
        if name.partition("-")[2] in ATTACKED:
            failed += [case for case in evaluations.read_cases(folder, name, "tuned") if case.right is False]
    if not failed:
        return section.hard_cases
    target = folder / HARD_CASES
    write_atomically(target, "".join(case.model_dump_json(exclude_defaults=True) + "\n" for case in failed))
    return str(target)
