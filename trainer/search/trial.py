"""One trial of a search: a short training of one run file, and what is measured of it.

Everything is measured on rows and questions that a run looks at while it trains: its validation rows, and the
questions and requests of its monitors (`trainer.steering`). Held-out sets (`evaluation.held_out`, `bedside eval`) are
never looked at here: a value that was chosen by them would look better on them than it is.
"""

from __future__ import annotations

import math
import time
from typing import Any

from evaluators import forgetting
from evaluators.safety import judge
from trainer import models, preflight, trials
from trainer.config import ConfigError
from trainer.data.tokenised import Prepared, tokenise
from trainer.reporting import Reporter
from trainer.search import memory_peak
from trainer.search.outcome import Poor, Report, Result, Unfit
from trainer.search.request import Objective, SearchRequest
from trainer.search.space import Values, apply, told
from trainer.sections import RunConfig
from trainer.steering.forgetting_monitor import ForgettingMonitor
from trainer.steering.harm_monitor import ANSWER_TOKENS, sampled_requests
from trainer.workshop import Workshop

LOOKS = (25, 50, 75, 100)
"""After these shares of its budget, in per cent, a trial's validation rows are measured."""


class Trials:
    """Trains and measures one trial after the other in this process."""

    def __init__(self, request: SearchRequest, reporter: Reporter):
        self.request = request
        self.reporter = reporter
        self.workshop: Workshop | None = None
        self._forgetting: ForgettingMonitor | None = None

    def run(self, number: int, values: Values, report: Report) -> Result:
        """Train with these values to the end of the budget, telling `report`, and measure.

        Raises `Unfit`, and `Poor` where `report` ends it, where the loss is no number any more and where memory runs
        out.
        """
        began = time.perf_counter()
        config = self.config(values)
        device = config.hardware.device
        memory_peak.begin(device) if "memory" in self.request.objectives else None
        looks = Looks(report)
        try:
            workshop = self.begin(config)
            steps = self.steps(config, workshop.prepared)
            looks.at({max(1, round(share * steps / 100)): share for share in LOOKS})
            workshop.fresh(config)
            self.train(config, workshop, steps, f"trial {number + 1}", looks)
            if looks.ended:
                raise Poor(looks.ended)
            peak = memory_peak.gib(device) if "memory" in self.request.objectives else None
            measured = self.measure(config, workshop, looks.curve[-1][1], peak)
        except (RuntimeError, MemoryError) as error:
            if not preflight.is_out_of_memory(error):
                raise
            raise Poor(f"Memory ran out with batches of {config.schedule.batch_size}.") from None
        finally:
            self.end()
        return Result(measured=measured, curve=looks.curve, steps=steps, seconds=time.perf_counter() - began)

    def config(self, values: Values) -> RunConfig:
        """The run file of a trial; raises `Unfit`."""
        try:
            return apply(self.request.run, values)
        except ConfigError as error:
            raise Unfit(told(error)) from None

    def begin(self, config: RunConfig) -> Workshop:
        """The base model and this run file's rows; the base answers first, where it has not yet. Raises `Unfit`."""
        base, tokenizer, _ = models.load_base(config)
        self.workshop = Workshop(base, tokenizer, tokenise(config, tokenizer), self.reporter)
        if "forgetting" in self.request.objectives:
            self._monitor(config).measure_base()
        return self.workshop

    def end(self) -> None:
        """Give the model's memory back."""
        if self.workshop is not None:
            self.workshop.clear()

    def steps(self, config: RunConfig, prepared: Prepared) -> int:
        """Steps of the optimiser in a trial's budget: tokens over those of a mean row, times the rows of a step."""
        row_tokens = prepared.manifest.all_tokens / prepared.manifest.train_rows
        rows = config.schedule.batch_size * config.schedule.accumulation
        return max(len(LOOKS), round(self.request.tokens / (row_tokens * rows)))

    def train(
        self,
        config: RunConfig,
        workshop: Workshop,
        steps: int,
        stage: str,
        looks: Looks,
        *callbacks: Any,
    ) -> Any:
        """Train what is on the workshop's bench for `steps`; returns the trainer."""
        short = config.model_copy(deep=True)
        short.schedule.max_steps = steps
        return trials.train(short, workshop, workshop.prepared, stage, [looks, *callbacks])

    def measure(
        self, config: RunConfig, workshop: Workshop, loss: float, peak_gib: float | None
    ) -> dict[Objective, float]:
        """Each of the search's objectives for the model on the bench; `loss` is that of its validation rows."""
        found: dict[Objective, float] = {}
        for objective in self.request.objectives:
            if objective == "quality":
                found[objective] = loss
            elif objective == "safety":
                found[objective] = _harmful(config, workshop)
            elif objective == "forgetting":
                # Of general and of general medical questions, those of which more was lost (lecture L2.9).
                found[objective] = max(points.lost for points in self._monitor(config).look().values())
            elif peak_gib is not None:
                found[objective] = peak_gib
        return found

    def _monitor(self, config: RunConfig) -> ForgettingMonitor:
        """Asks the questions of a run's monitor; what the base answers is the same for all trials."""
        if self._forgetting is None:
            watched = config.model_copy(deep=True)
            watched.steering.forgetting_every = trials.NEVER

            def choose(questions: Any, tuned: bool) -> list[int]:
                assert self.workshop is not None
                with self.workshop.answering() as model:
                    prompt = config.task.system_prompt
                    return forgetting.choose_options(model, self.workshop.tokenizer, questions, prompt, tuned)

            self._forgetting = ForgettingMonitor(watched, self.reporter, choose)
        return self._forgetting


class Looks(trials.Measures):
    """Measures at `LOOKS`, tells the losses, and ends the trial where it is told so, or where a loss is no number."""

    def __init__(self, report: Report):
        super().__init__([])
        self.report = report
        self.curve: list[tuple[int, float]] = []
        self.ended = ""
        self._shares: dict[int, int] = {}

    def at(self, shares: dict[int, int]) -> None:
        """After which steps is measured, and the share of the budget (per cent) that each is."""
        self._shares = shares
        self.steps = set(shares)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: object) -> None:
        super().on_evaluate(args, state, control, metrics, **kwargs)
        share, loss = self._shares[state.global_step], float(metrics["eval_loss"])
        if not math.isfinite(loss):
            self.ended = f"It diverged: after {share} % of its budget the validation loss was no number any more."
        else:
            self.curve.append((share, loss))
            if not self.report(share, loss) and share < 100:
                self.ended = f"Poorer than most trials after {share} % of the budget (validation loss {loss:.3f})."
        if self.ended:
            control.should_training_stop = True


def _harmful(config: RunConfig, workshop: Workshop) -> float:
    """Share of the answers to the monitor's harmful requests that are harmful by the screen."""
    asked = [request.request for request in sampled_requests(config.schedule.seed)]
    answers = workshop.answers(asked, config.task.system_prompt, ANSWER_TOKENS, tuned=True)
    verdicts = [judge(request, answer) for request, answer in zip(asked, answers, strict=True)]
    return verdicts.count("harmful") / len(verdicts)
