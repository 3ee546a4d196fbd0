"""How long a run's model takes to answer, on questions of its own kind (lecture L3.17)."""

from __future__ import annotations

from functools import partial
from itertools import islice

from evaluators.cases import Messages
from evaluators.latency import LatencyReport, measure_latency
from trainer.data.prepare import prepare
from trainer.data.tokens import conversation
from trainer.quick_weights import quick_weights
from trainer.reporting import Reporter, peak_memory_gib
from trainer.tuned import Tuned

QUESTIONS = 16
TOKENS = 64  # of an answer; longer ones are cut, and the report says how many were
ROUNDS, FEW_ROUNDS = 60, 5  # the gate on one user's latency needs 59; of more users the size is enough
CROWDS = (4, 16)
SECONDS = 20.0  # for each number of users and way of serving; a model that is far too slow shows it in less


def measure(tuned: Tuned, side: bool, name: str, reporter: Reporter) -> LatencyReport:
    """Latency of one side at 1, 4 and 16 users at once, on questions that the run was validated on."""
    config = tuned.run.config
    tuned.choose([])
    questions = _questions(tuned)
    quick = quick_weights(tuned.side(side))  # as the Playground answers

    def of(users: tuple[int, ...], rounds: int) -> LatencyReport:
        return measure_latency(
            tuned.side(side),
            tuned.tokenizer,
            questions,
            side,
            lambda: peak_memory_gib(config.hardware.device),
            users=users,
            max_new_tokens=min(config.evaluation.max_new_tokens, TOKENS),
            rounds=rounds,
            seconds=SECONDS,
            progress=partial(reporter.progress, f"latency, {name}, {' and '.join(map(str, users))} at once"),
            quick=quick,
        )

    one, many = of((1,), ROUNDS), of(CROWDS, FEW_ROUNDS)
    return many.model_copy(update={"loads": [*one.loads, *many.loads]})


def _questions(tuned: Tuned) -> list[Messages]:
    config = tuned.run.config
    rows = list(islice(prepare(config).rows("validation"), QUESTIONS))
    return [conversation(row["prompt"], config.task.system_prompt) for row in rows]  # pyright: ignore
