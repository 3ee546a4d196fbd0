"""Our DPO and KTO steps (`trainer.objectives.preference_trainer`) against TRL's own: CPU seconds of the same batch.

`python bench/preference_loss.py [ROUNDS]` asks the embedded model about eight answers of 50 tokens to questions of 100:
for DPO four pairs, for KTO four good and four bad ones and as many unrelated. Each side goes forward and back through
it, in turn. TRL computes in the base's bf16 too. It asks the reference in each step, as it does by default, and a
second time where all is known beforehand, as it is in Bedside.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from datasets import Dataset
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_config import KTOConfig
from trl.trainer.kto_trainer import KTOTrainer
from trl.trainer.utils import disable_dropout_in_model

from trainer import models
from trainer.data.tokens import IGNORED
from trainer.methods import quick_layers
from trainer.methods.apply import apply
from trainer.objective_sections import DpoObjective, KtoObjective
from trainer.objectives import answer_loss, reference
from trainer.objectives.preference_losses import judge_answers, judge_pairs
from trainer.sections import RunConfig

PAIRS, ASKED, SAID = 4, 100, 50
GOOD = torch.tensor([True] * PAIRS + [False] * PAIRS)
"""Which of the answers that KTO reads are good."""
RUN = RunConfig()
TRAINERS: dict[str, tuple[Any, Any]] = {"DPO": (DPOTrainer, DPOConfig), "KTO": (KTOTrainer, KTOConfig)}
ROWS = {
    "DPO": {"prompt": ["a"], "chosen": ["b"], "rejected": ["c"]},
    "KTO": {"prompt": ["a"] * 4, "completion": list("bcde"), "label": [True, False] * 2},
}
"""That a trainer can be made; nothing is trained on them."""
Step = Callable[[], float]
"""Forward, loss and backward; returns the loss."""


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    for method in TRAINERS:
        measure(method, steps(method), rounds)


def steps(method: str) -> dict[str, Step]:
    """A step of each side."""
    tokenizer: Any = None
    made: list[Any] = []
    for _ in range(2):
        base, tokenizer, _ = models.load_base(RUN)
        made.append(apply(base, RUN, [], 1))
        disable_dropout_in_model(made[-1])  # as both trainers do
    model, plain = made
    quick_layers.quicken(model)  # as a run of this kind on a CPU
    draw = random.Random(0)
    # The two answers of a pair are to one question; those that KTO reads are as a rule to different ones.
    prompts = [draw.choices(range(100, 40000), k=ASKED) for _ in range(PAIRS if method == "DPO" else 2 * PAIRS)]
    lines = [(prompt, draw.choices(range(100, 40000), k=SAID)) for prompt in prompts * (2 * PAIRS // len(prompts))]
    others = [(prompt, said) for (prompt, _), (_, said) in zip(lines, lines[1:] + lines[:1], strict=True)]
    batches = {part: reference.padded(part_lines, tokenizer.pad_token_id)
               for part, part_lines in (("", lines), ("KL_", others))}  # fmt: skip
    ours = our_dpo(model, batches[""]) if method == "DPO" else our_kto(model, batches[""], batches["KL_"])
    asked, known = theirs(method, plain, tokenizer, batches)
    return {
        "Bedside": cleaned(model, ours),
        "TRL": cleaned(plain, asked),
        "TRL, reference known": cleaned(plain, known),
    }


def our_dpo(model: Any, inputs: dict[str, torch.Tensor]) -> Step:
    labels = inputs["labels"]
    known, tokens = reference.score(model, inputs).chunk(2), (labels != IGNORED).sum(1).chunk(2)

    def step() -> float:
        losses, rows = answer_loss.read(model, inputs).losses(labels)
        likely = reference.likelihoods(losses, rows, len(labels)).chunk(2)
        loss = judge_pairs(DpoObjective(), *likely, *tokens, *known).losses.mean()
        loss.backward()
        return loss.item()

    return step


def our_kto(model: Any, inputs: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> Step:
    labels = inputs["labels"]
    known, unrelated, tokens = (
        reference.score(model, inputs),
        reference.score(model, others),
        (labels != IGNORED).sum(1),
    )

    def step() -> float:
        losses, rows = answer_loss.read(model, inputs).losses(labels)
        likely = reference.likelihoods(losses, rows, len(labels))
        drift = (reference.score(model, others) - unrelated).mean().clamp(min=0)
        loss = judge_answers(KtoObjective(), likely, tokens, GOOD, known, drift, (1.0, 1.0)).losses.mean()
        loss.backward()
        return loss.item()

    return step


def theirs(method: str, plain: Any, tokenizer: Any, batches: dict[str, dict[str, torch.Tensor]]) -> tuple[Step, Step]:
    """TRL's step, asking the reference, and with what it says known beforehand."""
    found = {part: reference.score(plain, inputs) for part, inputs in batches.items()}  # bf16 rounds differently here
    trainer_class, settings = TRAINERS[method]
    trainer = trainer_class(
        plain,
        args=settings(
            tempfile.mkdtemp(), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict(ROWS[method]),
        processing_class=tokenizer,
    )  # fmt: skip
    batch: dict[str, Any] = {}
    for part, inputs in batches.items() if method == "KTO" else [("", batches[""])]:
        batch |= {f"{part}{name}": inputs[name] for name in ("input_ids", "attention_mask")}
        batch[f"{part}completion_mask"] = (inputs["labels"] != IGNORED).long()
    if method == "KTO":
        batch |= {"label": GOOD, "ref_logps": found[""], "ref_KL_logps": found["KL_"]}
    else:
        batch |= dict(zip(("ref_chosen_logps", "ref_rejected_logps"), found[""].chunk(2), strict=True))

    def step(known: bool) -> float:
        trainer.precompute_ref_logps = known
        loss = trainer.compute_loss(plain, batch)
        loss.backward()
        return loss.item()

    return lambda: step(False), lambda: step(True)


def cleaned(trained: Any, step: Step) -> Step:
    def run() -> float:
        trained.train()
        trained.zero_grad()
        return step()

    return run


def measure(method: str, sides: dict[str, Step], rounds: int) -> None:
    """All sides in turn, and a table; one round before is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    loss = {}
    for number in range(rounds + 1):
        for name, step in sides.items():
            began = time.process_time()
            loss[name] = step()
            if number:
                seconds[name].append(time.process_time() - began)
    print(f"\n| {method} step | CPU seconds, median (range) | loss | Bedside is so many times as fast |")
    print("|---|---|---|---|")
    ours = seconds["Bedside"]
    for name, found in seconds.items():
        ratios = [their / our for our, their in zip(ours, found, strict=True)]
        told = spread(ratios) if name != "Bedside" else ""
        print(f"| {name} | {spread(found)} | {loss[name]:.4f} | {told} |", flush=True)


def spread(found: Sequence[float]) -> str:
    return f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
