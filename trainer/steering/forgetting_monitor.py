"""What a model still knows of the general world, looked at while it trains (lecture L2.9)."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from evaluators.forgetting import Question
from trainer import events
from trainer.data.sources import locate
from trainer.reporting import Reporter
from trainer.sections import RunConfig
from trainer.steering.stratified_sample import stratified_sample

QUESTIONS = "starter/questions"
ASKED = 200
"""Questions at each look, general and general medical in equal parts (as far as there are so many): 3.5 s with the
embedded model on two idle cores, and a loss of 5 points has an interval of about 6 points to either side."""
NAMES = {"general": "general questions", "general_medical": "general medical questions"}

Choose = Callable[[Sequence[Question], bool], list[int]]
"""The option that is chosen for each question, by the tuned model or (False) by the base."""


class ForgettingMonitor(TrainerCallback):
    """Asks the same questions every `steering.forgetting_every` steps and acts where too many right answers are lost.

    Lost are absolute points of accuracy, 100 x (share right before training - share right now), for general and for
    general medical questions each; past the limit is an estimate above `steering.forgetting_limit` for either. The
    questions are never trained on: they are apart from the general rows that are mixed in, and training rows that ask
    the same are told when the data is prepared.

    `ended` says why training was ended. With roll_back a checkpoint is written after each look within the limit, and
    the last of them stands in `kept` besides, since older checkpoints are removed; `restore_step` is its step (None:
    not one look was within the limit, or the action is not to roll back).
    """

    def __init__(self, run: RunConfig, reporter: Reporter, choose: Choose):
        assert run.steering.forgetting_every is not None
        self.every = run.steering.forgetting_every
        self.limit = run.steering.forgetting_limit
        self.action = run.steering.forgetting_action
        self.reporter = reporter
        self.choose = choose
        self.kept = reporter.folder / "checkpoints" / "within-limit"
        self.questions = sampled_questions(run.schedule.seed)
        self.ended: str | None = None
        self.restore_step: int | None = None
        self._base: list[int] | None = None
        self._past = False

    def measure_base(self) -> None:
        """Ask the base, once in a run; before anything is trained."""
        if self._base is None:
            self._base = self.choose(self.questions, False)

    def look(self) -> dict[str, events.Points]:
        """Ask the tuned model now; points by kind of question, on the same questions as the base."""
        assert self._base is not None
        answers = zip(self.questions, self._base, self.choose(self.questions, True), strict=True)
        right: dict[str, list[tuple[bool, bool]]] = {}
        for question, before, now in answers:
            right.setdefault(question.kind, []).append((before == question.answer, now == question.answer))
        return {kind: events.Points.of(*zip(*pairs, strict=True)) for kind, pairs in sorted(right.items())}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        # Also where a run goes on from an earlier step: what was found after it is no longer so.
        self.ended = None
        if not state.global_step:
            self.restore_step, self._past = None, False
        elif self.restore_step is not None and self._kept_step() != self.restore_step:
            self._keep()
        self.measure_base()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if state.global_step % self.every and state.global_step != state.max_steps:
            return
        scores = self.look()
        past = {kind: points for kind, points in scores.items() if points.lost > self.limit}
        self.reporter.event(events.ForgettingEvent(scores=scores, limit=self.limit, past=bool(past)))
        if not past:
            self._past = False
            if self.action == "roll_back":
                control.should_save = True
                self.restore_step = state.global_step
            return
        told = "; ".join(_sentence(kind, points) for kind, points in past.items())
        reason = f"Forgetting is past steering.forgetting_limit ({self.limit:g} points): {told}."
        if self.action == "warn":
            if not self._past:
                self.reporter.warn(reason)
            self._past = True
            return
        self.ended = reason
        control.should_training_stop = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        if state.global_step == self.restore_step:
            self._keep()

    def verdict(self) -> dict[str, Any]:
        """Why it ended training, and what is to be gone back to."""
        return {"ended": self.ended, "restore_step": self.restore_step}

    def state(self) -> dict[str, Any]:
        return {"base": self._base, "restore_step": self.restore_step, "past": self._past}

    def restore(self, state: dict[str, Any]) -> None:
        self._base, self.restore_step, self._past = state["base"], state["restore_step"], state["past"]

    def _keep(self) -> None:
        """Let the checkpoint of `restore_step` outlive the others; where it is gone, there is none to go back to."""
        partial = self.kept.with_name(f".{self.kept.name}.part")
        shutil.rmtree(partial, ignore_errors=True)
        checkpoint = self.kept.with_name(f"checkpoint-{self.restore_step}")
        if not checkpoint.exists():
            self.restore_step = None
            return
        shutil.copytree(checkpoint, partial, copy_function=_linked)
        shutil.rmtree(self.kept, ignore_errors=True)
        partial.rename(self.kept)

    def _kept_step(self) -> int | None:
        told = self.kept / "trainer_state.json"
        return json.loads(told.read_text(encoding="utf-8"))["global_step"] if told.exists() else None


def sampled_questions(seed: int) -> list[Question]:
    """The run's questions: at most half of `ASKED` of each kind, the same for the same seed."""
    lines = locate(QUESTIONS, "heldout").path.read_text(encoding="utf-8").splitlines()
    questions = [Question.model_validate(json.loads(line)) for line in lines]
    kinds = sorted({question.kind for question in questions})
    return [question for kind in kinds for question in _drawn(questions, kind, ASKED // len(kinds), seed)]


def _drawn(questions: Sequence[Question], kind: str, count: int, seed: int) -> list[Question]:
    own = [question for question in questions if question.kind == kind]
    return [own[index] for index in stratified_sample([kind] * len(own), count, f"{seed}/forgetting")]


def _linked(source: str, target: str) -> None:
    # A second name for the same bytes, where the file system has such; they stay when the checkpoint is removed.
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _sentence(kind: str, points: events.Points) -> str:
    sure = "which chance alone hardly explains" if points.low > 0 else "which may still be chance"
    return (
        f"{points.lost:.1f} points lost on {points.n} {NAMES.get(kind, kind)} (95 % interval {points.low:.1f} to "
        f"{points.high:.1f}, {sure})"
    )
