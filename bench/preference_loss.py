"""Our DPO step (`trainer.objectives.preference_trainer`) against TRL's own: CPU seconds of the same batch, in turn.

`python bench/preference_loss.py [ROUNDS]` asks the embedded model about four pairs of 100 tokens of question and 50 of
answer, and goes back through it. The reference is known to both; TRL computes in the base's bf16 too.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
from datasets import Dataset
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.utils import disable_dropout_in_model

from trainer import models
from trainer.data.tokens import IGNORED
from trainer.methods import quick_layers
from trainer.methods.apply import apply
from trainer.objective_sections import DpoObjective
from trainer.objectives import answer_loss, reference
from trainer.objectives.preference_losses import judge_pairs
from trainer.sections import RunConfig

PAIRS, ASKED, SAID = 4, 100, 50
RUN = RunConfig()


def steps() -> dict[str, Callable[[], float]]:
    """A step of each: forward, loss and backward; returns the loss."""
    tokenizer: Any = None
    made: list[Any] = []
    for _ in range(2):
        base, tokenizer, _ = models.load_base(RUN)
        made.append(apply(base, RUN, [], 1))
        disable_dropout_in_model(made[-1])  # as both trainers do
    model, plain = made
    quick_layers.quicken(model)  # as a run of this kind on a CPU
    draw = random.Random(0)
    prompts = [draw.choices(range(100, 40000), k=ASKED) for _ in range(PAIRS)]
    lines = [(prompt, draw.choices(range(100, 40000), k=SAID)) for prompt in prompts * 2]
    inputs = reference.padded(lines, tokenizer.pad_token_id)
    labels = inputs["labels"]
    known, tokens = reference.score(model, inputs).chunk(2), (labels != IGNORED).sum(1).chunk(2)

    def ours() -> float:
        losses, rows = answer_loss.read(model, inputs).losses(labels)
        likely = reference.likelihoods(losses, rows, len(labels)).chunk(2)
        loss = judge_pairs(DpoObjective(), *likely, *tokens, *known).losses.mean()
        loss.backward()
        return loss.item()

    theirs_known = reference.score(plain, inputs).chunk(2)  # in bf16 both ways round differently
    rows = Dataset.from_dict({"prompt": ["a"], "chosen": ["b"], "rejected": ["c"]})
    settings = DPOConfig(
        tempfile.mkdtemp(), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none", disable_tqdm=True
    )
    trainer = DPOTrainer(plain, args=settings, train_dataset=rows, processing_class=tokenizer)
    plain.delete_adapter("ref")
    trainer.precompute_ref_logps = True
    batch = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    batch |= {
        "completion_mask": (labels != IGNORED).long(),
        "ref_chosen_logps": theirs_known[0],
        "ref_rejected_logps": theirs_known[1],
    }

    def theirs() -> float:
        loss = trainer.compute_loss(plain, batch)
        loss.backward()
        return loss.item()

    def clean(trained: Any, step: Callable[[], float]) -> Callable[[], float]:
        def run() -> float:
            trained.train()
            trained.zero_grad()
            return step()

        return run

    return {"ours": clean(model, ours), "TRL": clean(plain, theirs)}


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    both = steps()
    seconds: dict[str, list[float]] = {"ours": [], "TRL": []}
    loss = {}
    for _ in range(rounds):
        for name, step in both.items():
            began = time.process_time()
            loss[name] = step()
            seconds[name].append(time.process_time() - began)
    print("| DPO step | CPU seconds, median | spread | loss |\n|---|---|---|---|")
    for name, found in seconds.items():
        spread = f"{min(found):.2f}-{max(found):.2f}"
        print(f"| {name} | {statistics.median(found):.2f} | {spread} | {loss[name]:.4f} |")
    ratios = [theirs / ours for ours, theirs in zip(seconds["ours"], seconds["TRL"], strict=True)]
    print(f"TRL takes {statistics.median(ratios):.2f} times as long ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
