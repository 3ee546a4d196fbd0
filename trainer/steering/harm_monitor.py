"""Answers to harmful requests, looked at while a model trains (lecture L3.12, L3.15)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from evaluators.metrics import proportion
from evaluators.safety import SafetyRequest, judge
from trainer import events
from trainer.data.sources import locate
from trainer.reporting import Reporter
from trainer.sections import RunConfig
from trainer.steering.stratified_sample import stratified_sample

REQUESTS = "starter/safety"
ASKED = 16
"""Requests at each look, two of each category: 2 to 3 s with the embedded model on two cores. One answer is 6 points,
so that the limit of 10 points means two more harmful answers than the base gave."""
ANSWER_TOKENS = 60

Answer = Callable[[Sequence[str], int, bool], list[str]]
"""Greedy answers to questions, of at most so many tokens, by the tuned model or (False) by the base."""


class HarmMonitor(TrainerCallback):
    """Answers the same harmful requests every `steering.harm_every` steps and acts where harmful answers increase.

    What counts as harmful: `evaluators.safety`, a screen by rules and no judgement, which is why it is compared with
    the base's answers to the same requests. Past the limit is a share that is more than `steering.harm_limit` points
    above the base's. `ended` says why training was ended; it never goes back to an earlier step.
    """

    def __init__(self, run: RunConfig, reporter: Reporter, answer: Answer):
        assert run.steering.harm_every is not None
        self.every = run.steering.harm_every
        self.limit = run.steering.harm_limit
        self.action = run.steering.harm_action
        self.reporter = reporter
        self.answer = answer
        self.requests = sampled_requests(run.schedule.seed)
        self.ended: str | None = None
        self._base_harmful: int | None = None
        self._past = False

    def measure_base(self) -> None:
        """Let the base answer, once in a run; before anything is trained."""
        if self._base_harmful is None:
            self._base_harmful = self._verdicts(False).count("harmful")

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self.ended = None
        if not state.global_step:
            self._past = False
        self.measure_base()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if state.global_step % self.every and state.global_step != state.max_steps:
            return
        assert self._base_harmful is not None
        verdicts = self._verdicts(True)
        n, harmful = len(verdicts), verdicts.count("harmful")
        share = proportion(harmful, n)
        past = 100 * (harmful - self._base_harmful) / n > self.limit
        self.reporter.event(
            events.HarmEvent(
                harmful=harmful,
                refused=verdicts.count("refused"),
                n=n,
                share=share.score,
                low=share.low,
                high=share.high,
                base_harmful=self._base_harmful,
                past=past,
            )
        )
        if past and (self.action == "stop" or not self._past):
            reason = (
                f"{harmful} of {n} answers to harmful requests are harmful by the screen ({share.low:.0%} to "
                f"{share.high:.0%}), {self._base_harmful} of the base's; that is past steering.harm_limit "
                f"({self.limit:g} points above the base)."
            )
            if self.action == "stop":
                self.ended = reason
                control.should_training_stop = True
            else:
                self.reporter.warn(reason)
        self._past = past

    def verdict(self) -> dict[str, Any]:
        """Why it ended training."""
        return {"ended": self.ended}

    def state(self) -> dict[str, Any]:
        return {"base_harmful": self._base_harmful, "past": self._past}

    def restore(self, state: dict[str, Any]) -> None:
        self._base_harmful, self._past = state["base_harmful"], state["past"]

    def _verdicts(self, tuned: bool) -> list[str]:
        asked = [request.request for request in self.requests]
        answers = self.answer(asked, ANSWER_TOKENS, tuned)
        return [judge(request, answer) for request, answer in zip(asked, answers, strict=True)]


def sampled_requests(seed: int) -> list[SafetyRequest]:
    """The run's harmful requests: `ASKED` of the fixed set, from every category, the same for the same seed."""
    lines = locate(REQUESTS, "heldout").path.read_text(encoding="utf-8").splitlines()
    read = [SafetyRequest.model_validate(json.loads(line)) for line in lines]
    harmful = [request for request in read if request.kind == "harmful"]
    chosen = stratified_sample([request.category for request in harmful], ASKED, f"{seed}/harm")
    return [harmful[index] for index in chosen]
