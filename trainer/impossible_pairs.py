"""Pairs of methods, objectives and options that cannot go together, why, and the way out; every other pair works.

The same list makes faults of a run file (`trainer.combinations`) and the table in the docs (`python -m
trainer.impossible_pairs`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainer.features import DEVICES, METHODS, OBJECTIVES, OPTIONS, Feature, switched_on

DOCS = Path(__file__).resolve().parent.parent / "docs" / "combinations.md"


@dataclass(frozen=True)
class Impossible:
    """Two features (by name) that cannot go together, why, and the nearest that can."""

    first: str
    second: str
    why: str
    instead: str


_NO_LAYERS = ("prefix tuning", "prompt tuning", "P-tuning")
_NO_WEIGHTS = (*_NO_LAYERS, "IA3", "bottleneck adapters")
_OWN_WEIGHTS = ("prefix for each task", "layer norm for each task", "bottleneck adapter for each task")

_NOT_SHARED_OUT = (
    ("4-bit base", "4-bit weights cannot be cut into shares", "leave model.quantization at none"),
    ("PiSSA", "it takes whole weights apart", "leave method.init at zero"),
    ("EVA", "it begins with activations of the whole base", "leave method.init at zero"),
    ("DoRA", "it rescales columns of whole weights", "leave method.dora off"),
    ("preferences or rewards", "the reference needs the whole base", "take objective.kind sft"),
    ("EWC", "it looks at gradients of the whole base", "set steering.ewc to 0"),
    ("L2-SP", "it compares whole weights", "set steering.l2_sp to 0"),
    ("distillation", "it needs the output layer beside the model", "set steering.distillation to 0"),
    ("consistency loss", "it needs the output layer beside the model", "leave adversarial.consistency at 0"),
)

IMPOSSIBLE = (
    Impossible(
        "full tuning",
        "4-bit base",
        "4-bit weights cannot be trained",
        "take method.kind lora, which with nf4 is QLoRA, or leave model.quantization at none.",
    ),
    Impossible(
        "full tuning",
        "distillation",
        "it needs the untouched base beside the model, and full tuning changes the one copy there is",
        "use steering.ewc or steering.l2_sp, or method.kind lora.",
    ),
    Impossible(
        "PiSSA",
        "4-bit base",
        "it takes the largest directions out of the base's weights, which 4 bits cannot hold",
        "leave method.init at zero, which is QLoRA, or model.quantization at none.",
    ),
    Impossible(
        "PiSSA",
        "distillation",
        "with the adapter off the model is not the base",
        "leave method.init at zero, or use steering.l2_sp.",
    ),
    Impossible(
        "PiSSA",
        "DoRA",
        "the two together cannot be turned back into a plain adapter of the original base",
        "leave method.init at zero, or method.dora off.",
    ),
    *(
        Impossible(
            init,
            "start from an adapter",
            "an adapter can only begin in one way",
            "leave method.init at zero, or method.start_from empty.",
        )
        for init in ("PiSSA", "EVA")
    ),
    Impossible(
        "rank search",
        "start from an adapter",
        "the adapter to go on from has a rank already",
        "set method.rank to it and leave method.search_rank off, or method.start_from empty.",
    ),
    Impossible(
        "prefix projection",
        "start from an adapter",
        "a trained prefix is kept without the network that made it",
        "leave method.projection off, or method.start_from empty.",
    ),
    Impossible(
        "P-tuning",
        "start from an adapter",
        "what it trained is kept without the network that made it",
        "leave method.start_from empty, or take method.kind prompt.",
    ),
    Impossible(
        "AdaLoRA",
        "gradual unfreezing",
        "a layer that does not train yet seems unimportant and loses its ranks",
        "leave schedule.unfreezing_share at 0, or take method.kind lora.",
    ),
    Impossible(
        "words to begin with",
        "start from an adapter",
        "virtual tokens can only begin in one way",
        "leave one of method.init_text and method.start_from empty.",
    ),
    Impossible(
        "prefix tuning",
        "gradient checkpointing",
        "a layer that is computed again no longer has the prefix",
        "halve schedule.batch_size instead, or take method.kind prompt.",
    ),
    *(
        Impossible(
            method,
            option,
            "its weights do not belong to single layers",
            "leave this at its default, or take method.kind lora.",
        )
        for method in _NO_LAYERS
        for option in ("layer-wise rates", "gradual unfreezing")
    ),
    *(
        Impossible(
            method,
            option,
            "it leaves every weight of the base as it is, so that there is no change to hold back",
            "use steering.replay_share or steering.distillation, or method.kind lora.",
        )
        for method in _NO_WEIGHTS
        for option in ("EWC", "L2-SP")
    ),
    *(
        Impossible(
            "DoRA",
            option,
            "it rescales whole columns, so that its change is not scale x BA",
            "leave method.dora off, or use steering.distillation.",
        )
        for option in ("EWC", "L2-SP")
    ),
    *(
        Impossible(
            method,
            option,
            "every task has weights of its own there, which cannot conflict"
            if option == "gradient surgery"
            else "it looks for one common start",
            "set method.per to run, or leave this at its default.",
        )
        for method in _OWN_WEIGHTS
        for option in ("gradient surgery", "meta-learning")
    ),
    Impossible(
        "mixup",
        "consistency loss",
        "half of each row that is read is another one, which its clean twin lacks",
        "leave one of schedule.mixup_alpha and adversarial.consistency at 0.",
    ),
    *(
        Impossible("preferences or rewards", option, why, f"{instead}, or take objective.kind sft.")
        for option, why, instead in (
            ("rank search", "it goes by when the answers' cross-entropy settles", "leave method.search_rank off"),
            ("NEFTune", "answers would be compared under different noise", "leave schedule.neftune_alpha at 0"),
            ("mixup", "two answers mixed are neither good nor bad", "leave schedule.mixup_alpha at 0"),
            ("curriculum", "pairs and rewards have no levels", "leave steering.curriculum off"),
            ("dynamic mixing", "no general rows are mixed in", "leave steering.mixing fixed"),
            ("task weights", "they weigh the cross-entropy of answers", "leave steering.task_weights at rows"),
            ("gradient surgery", "it takes the cross-entropy of answers apart", "leave steering.gradient_surgery off"),
            (
                "EWC",
                "it is weighed against the cross-entropy of answers",
                "set steering.ewc to 0 and raise objective.beta",
            ),
            (
                "L2-SP",
                "it is weighed against the cross-entropy of answers",
                "set steering.l2_sp to 0 and raise objective.beta",
            ),
            ("distillation", "no general rows are mixed in", "set steering.distillation to 0 and raise objective.beta"),
            ("consistency loss", "it compares single good answers", "leave adversarial.consistency at 0"),
            ("FGM", "its gradient is that of the cross-entropy", "leave adversarial.embedding off"),
            ("FreeLB", "its gradient is that of the cross-entropy", "leave adversarial.embedding off"),
            ("meta-learning", "it learns from single good answers", "leave steering.reptile_steps at 0"),
            ("several folds", "each fold would need a reference of its own", "leave evaluation.validation at split"),
        )
    ),
    *(
        Impossible(
            other,
            attack,
            why,
            f"leave {field}, or adversarial.embedding off; adversarial.perturbations goes with both.",
        )
        for other, why, field in (
            ("mixup", "each pass of the attack would mix other rows", "schedule.mixup_alpha at 0"),
            (
                "gradient surgery",
                "it takes each task's gradient apart once, and the attack needs that of several passes",
                "steering.gradient_surgery off",
            ),
        )
        for attack in ("FGM", "FreeLB")
    ),
    *(
        Impossible(
            feature,
            "several processes",
            why,
            f"{instead}, or set hardware.processes and hardware.machines to 1.",
        )
        for feature, why, instead in (
            ("rank search", "its trials are made by one process", "search on one device and set method.rank"),
            ("several folds", "each fold is trained by one process", "leave evaluation.validation at split"),
            ("meta-learning", "it moves the weights of one process", "leave steering.reptile_steps at 0"),
            ("task weights", "each process would learn weights of its own", "leave steering.task_weights at rows"),
            (
                "gradient surgery",
                "each process would take other conflicts out of its gradient",
                "leave steering.gradient_surgery off",
            ),
            ("mixup", "each process would draw its own mixtures", "leave schedule.mixup_alpha at 0"),
            ("FGM", "a process without a question to attack would not wait", "leave adversarial.embedding off"),
            ("FreeLB", "a process without a question to attack would not wait", "leave adversarial.embedding off"),
        )
    ),
    *(
        Impossible(
            method,
            "several processes",
            "in a step the processes would train different weights",
            "set method.per to run, or hardware.processes and hardware.machines to 1.",
        )
        for method in _OWN_WEIGHTS
    ),
    *(
        Impossible(
            feature,
            "shared-out weights",
            why,
            f"{instead}, or set hardware.strategy to ddp.",
        )
        for feature, why, instead in _NOT_SHARED_OUT
    ),
)


def table() -> str:
    """The table in the docs: methods and objectives down, options across, and below it why a pair cannot be."""
    lines = [
        "# What goes together",
        "",
        "Made from the rules that check a run file (`python -m trainer.impossible_pairs`). Every pair that is not "
        "crossed out works.",
        "",
        "| | " + " | ".join(option.name for option in OPTIONS + DEVICES) + " |",
        "|---" * (len(OPTIONS + DEVICES) + 1) + "|",
    ]
    pairs = {(one.first, one.second) for one in IMPOSSIBLE}
    for feature in METHODS + OBJECTIVES:
        cells = ["✗" if _crossed(feature, option, pairs) else "✓" for option in OPTIONS + DEVICES]
        lines.append(f"| {feature.name} | " + " | ".join(cells) + " |")
    lines += ["", "## Why", ""]
    fields = {feature.name: feature.field for feature in METHODS + OBJECTIVES + OPTIONS + DEVICES}
    for one in IMPOSSIBLE:
        names = f"**{one.first}** (`{fields[one.first]}`) and **{one.second}** (`{fields[one.second]}`)"
        lines.append(f"- {names}: {one.why}; {one.instead}")
    return "\n".join(lines) + "\n"


def _crossed(feature: Feature, option: Feature, pairs: set[tuple[str, str]]) -> bool:
    # A variant shares the fate of its method: "prefix for each task" is prefix tuning too.
    run = switched_on(feature)
    return any((one.name, option.name) in pairs for one in METHODS + OBJECTIVES if one.on(run))


if __name__ == "__main__":
    DOCS.write_text(table(), encoding="utf-8")
