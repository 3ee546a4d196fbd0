"""How fast two models answer in the Playground: to the first token, and both together against the tuned one alone.

    BEDSIDE_HOME=... python bench/playground.py RUN [--against MODEL] [--tokens 64] [--rounds 5]

Wanted: under 2 s to the first token once the models are loaded, and both answers together in at most 1.2 times the time
of the tuned answer alone, token for token. Rounds alternate, so that what else the machine does falls on both alike;
the median of the rounds' ratios is told with their range.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from typing import Any

from evaluators.generation import Sampling, stream
from trainer import model_refs, pairing
from trainer.data.tokens import conversation
from trainer.model_refs import BASE, ModelRef

QUESTION = (
    "58-year-old man, long-standing hypertension, abrupt ripping pain between the shoulder blades that has moved to "
    "the low back. BP 190/105 in the right arm, 150/90 in the left. Leading diagnosis?"
)
FIRST_TOKEN_SECONDS, BOTH_TO_ALONE = 2.0, 1.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a run's id or its beginning, 'latest', or RUN:checkpoint-N")
    parser.add_argument("--against", help="the other model; the run's base if left out")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    second = model_refs.parse(asked.model)
    first = model_refs.parse(asked.against) if asked.against else ModelRef(run=second.run, part=BASE)

    began = time.perf_counter()
    pair = pairing.load(first, second)
    print(f"{first} and {second}: loaded in {time.perf_counter() - began:.1f} s, in one batch: {pair.together}")
    tuned = pair.halves["second"]
    messages = [{"role": "user", "content": QUESTION}]
    # No token ends an answer here: both ways say the same number of tokens.
    tuned.model.generation_config.eos_token_id = None
    tuned.tokenizer.eos_token = None
    sampling = Sampling(max_new_tokens=asked.tokens)
    with_system = [conversation(messages, pair.system)]

    def alone() -> Iterator[Any]:
        return stream(tuned.model, tuned.tokenizer, with_system, tuned.names([]), sampling)

    def both() -> Iterator[Any]:
        return pair.ask(messages, sampling)

    timed(both())
    timed(alone())
    rounds = [(timed(both()), timed(alone())) for _ in range(asked.rounds)]
    firsts = {name: [one[place][0] for one in rounds] for place, name in enumerate(("both", "alone"))}
    totals = {name: [one[place][1] for one in rounds] for place, name in enumerate(("both", "alone"))}
    print(f"{'':10}{'first token (s)':>18}{'all (s)':>10}{'tokens/s':>10}   median of {asked.rounds} rounds")
    for name in ("both", "alone"):
        whole = statistics.median(totals[name])
        print(f"{name:10}{statistics.median(firsts[name]):18.3f}{whole:10.2f}{asked.tokens / whole:10.1f}")
    ratios = sorted(one / other for one, other in zip(totals["both"], totals["alone"], strict=True))
    ratio, slowest = statistics.median(ratios), max(firsts["both"])
    print(f"both together / tuned alone: {ratio:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}), at most {BOTH_TO_ALONE}: "
          f"{'yes' if ratio <= BOTH_TO_ALONE else 'NO'}")  # fmt: skip
    print(f"slowest first token: {slowest:.2f} s, under {FIRST_TOKEN_SECONDS:g}: "
          f"{'yes' if slowest < FIRST_TOKEN_SECONDS else 'NO'}")  # fmt: skip


def timed(answers: Iterator[Any]) -> tuple[float, float]:
    """Seconds to the first token and to the last."""
    began = time.perf_counter()
    next(answers)
    first = time.perf_counter() - began
    for _ in answers:
        pass
    return first, time.perf_counter() - began


if __name__ == "__main__":
    main()
