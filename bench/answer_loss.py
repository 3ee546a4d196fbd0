"""Our loss (`trainer.objectives.answer_loss`) against TRL's own: seconds a step on the same batches, in turn.

`python bench/answer_loss.py [ROUNDS]` trains the embedded model for eight steps of starter data with each.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl.trainer.sft_trainer import SFTTrainer

from trainer import models
from trainer.data.tokenised import tokenise
from trainer.jobs import RunState
from trainer.method_sections import LoraMethod
from trainer.methods import lora
from trainer.objectives import sft
from trainer.objectives.answer_trainer import AnswerTrainer
from trainer.objectives.settings import Parts
from trainer.reporting import Reporter
from trainer.sections import RunConfig
from trainer.steering import steering

RUN = RunConfig.model_validate(
    {
        "data": {"sources": [{"name": "starter/clinical", "rows": 40}, {"name": "starter/lab", "rows": 40}]},
        "schedule": {"max_steps": 8, "batch_size": 4, "accumulation": 1, "learning_rate": 0.001},
        "evaluation": {"every": 1000},
    }
)


class Clock(TrainerCallback):
    """Seconds of each step, evaluation and saving left out."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, *args: object, **kwargs: object) -> None:
        self.began = time.perf_counter()

    def on_step_end(self, *args: object, **kwargs: object) -> None:
        self.seconds.append(time.perf_counter() - self.began)


def trl_loss(self: Any, model: Any, inputs: dict[str, Any], *arguments: Any, **options: Any) -> Any:
    """TRL's own loss; what is known of the rows is only looked at by ours."""
    plain = {name: value for name, value in inputs.items() if name not in steering.COLUMNS}
    return SFTTrainer.compute_loss(self, model, plain, *arguments, **options)


def measure(ours: bool) -> tuple[float, float]:
    """Seconds of all steps but the first (which warms up), and the last loss."""
    base, tokenizer, _ = models.load_base(RUN)
    model = lora.apply(base, LoraMethod())
    clock = Clock()
    own = AnswerTrainer.compute_loss
    try:
        if not ours:
            AnswerTrainer.compute_loss = trl_loss
        with tempfile.TemporaryDirectory() as folder:
            prepared, reporter = tokenise(RUN, tokenizer), Reporter(Path(folder), RunState())
            acting = steering.assemble(RUN, model, prepared, reporter.silent())
            trainer = sft.build(Parts(RUN, model, tokenizer, prepared, acting, Path(folder), [clock], False))
            trainer.remove_callback(PrinterCallback)
            trainer.train()
            losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    finally:
        AnswerTrainer.compute_loss = own
    return sum(clock.seconds[1:]), losses[-1]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    ratios = []
    print(f"{'round':>5} {'TRL, s':>8} {'ours, s':>8} {'ratio':>6} {'loss TRL':>9} {'loss ours':>9}")
    for number in range(1, rounds + 1):
        (theirs, their_loss), (ours, our_loss) = measure(False), measure(True)
        ratios.append(theirs / ours)
        print(f"{number:5} {theirs:8.1f} {ours:8.1f} {ratios[-1]:6.2f} {their_loss:9.4f} {our_loss:9.4f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
