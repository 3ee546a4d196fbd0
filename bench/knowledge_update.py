"""A version learns new drug facts: does it answer them, and what is left of the old ones and of general knowledge?

    python bench/knowledge_update.py [--passes 8] [--seed 17] [--home FOLDER]

The drugs are invented, so that no base model can know them. Version 1.0.0 of the embedded model is trained on the class
and the dose of eight drugs, in three wordings each; then eight further drugs are taught, by `versions.updates.plan`
with earlier and general rows replayed (1.1.0), and for comparison with neither, from the same version, at the same
rate and as many passes. Every fact is asked in a wording that none was trained in, and counts where the answer is equal
to the taught one. General questions are those of the forgetting monitor; lost are points of accuracy.

On a busy two-core machine (12 min of one core; seed 17, 95 % intervals): 1.0.0 tells 88 % (64 to 97) of the old facts
and 6 % of the new. With replay, 1.1.0 tells 100 % (81 to 100) of both; without, 94 % (72 to 99) of the new and 62 %
(39 to 82) of the old. General questions: all are 16 to 20 points better at them than the base; to 1.0.0, 1.1.0 lost 3.6
points (-0.7 to 7.9), and 2.3 (-1.6 to 6.1) without replay.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from methods import NEVER, run_to_its_end

from evaluators import forgetting, generation
from evaluators.metrics import Proportion, exact_match, proportion
from trainer import models
from trainer.data.tokens import conversation
from trainer.data_sections import DataSource
from trainer.events import Points
from trainer.runs import Run
from trainer.sections import RunConfig
from trainer.tuned import Tuned

OLD = ("Velmorix", "Tacrudine", "Zolpitran", "Brexanole", "Quintavar", "Morfadil", "Hexiprane", "Dalvuxin")
NEW = ("Kestrovan", "Ulbritide", "Pranoxil", "Wexamir", "Ogranolol", "Silbecaine", "Fintorex", "Jubraxin")
CLASSES = (
    "Loop diuretic", "Beta blocker", "Proton pump inhibitor", "Calcium channel blocker", "Statin", "Macrolide",
    "Opioid", "Anticoagulant",
)  # fmt: skip
DOSES = (
    "5 mg once daily", "10 mg twice daily", "20 mg once daily", "40 mg twice daily", "50 mg three times daily",
    "100 mg once daily", "250 mg twice daily", "500 mg four times daily",
)  # fmt: skip
TAUGHT = {
    "class": ("Which class of drug is {}?", "{} belongs to which group of drugs?", "How is {} classified?"),
    "dose": (
        "What is the usual adult dose of {}?",
        "How much {} does an adult take?",
        "State the standard dosing of {} for adults.",
    ),
}
ASKED = {"class": "To what type of medicine does {} belong?", "dose": "An adult is prescribed {}. At what dose?"}
Facts = dict[str, dict[str, str]]
"""For each drug its class and its dose."""


def main() -> int:
    parser = argparse.ArgumentParser(description="A version learns new drug facts.")
    parser.add_argument("--passes", type=float, default=8.0, help="over the rows, in each run")
    parser.add_argument("--rate", type=float, default=1e-3, help="of version 1.0.0")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--home", type=Path, help="keep the runs and versions here; else they are removed")
    arguments = parser.parse_args()
    os.environ["BEDSIDE_CACHE"] = str(models.cache_folder())
    with tempfile.TemporaryDirectory(prefix="knowledge-") as removed:
        os.environ["BEDSIDE_HOME"] = str(arguments.home.absolute() if arguments.home else removed)
        return measure(arguments.passes, arguments.rate, arguments.seed)


def measure(passes: float, rate: float, seed: int) -> int:
    """Train the three, register the two versions, and print the table; returns the exit status."""
    from trainer import config
    from trainer.versions import registry, updates

    drawn = random.Random(f"{seed}/facts")
    old, new = facts(OLD, drawn), facts(NEW, drawn)
    home = config.home()
    sources = {name: write(home / f"{name}.jsonl", one) for name, one in (("old", old), ("new", new))}

    first = train(first_version(sources["old"], passes, rate, seed))
    if first is None:
        return 1
    version = registry.register("drugs", first, "drug", "Knows eight drugs.")
    taught = [DataSource(name=sources["new"])]
    update = updates.plan(version, taught, "drug", contains_phi=False)
    bare = updates.plan(version, taught, "drug", contains_phi=False, earlier_rows=0).config
    bare.steering.replay_share = 0.0
    second, third = train(update.config), train(bare)
    if second is None or third is None:
        return 1
    kept = registry.register("drugs", second, "drug", "Eight further drugs.")
    for field, why in update.reasons.items():
        print(f"{field}: {why}")
    print(f"\n{'':16} {'old facts':>20} {'new facts':>20} {'general lost to base':>24} {'lost to 1.0.0':>24} minutes")
    answered: list[list[bool]] = []
    for name, run, minutes in (
        ("the base", None, 0.0),
        (version.number, first, MINUTES[first.id]),
        (f"{kept.number}, replay", second, MINUTES[second.id]),
        ("no replay", third, MINUTES[third.id]),
    ):
        tuned = Tuned(run or first)
        right = general(tuned, run is not None)
        lost = [
            f"{one.lost:+.1f} ({one.low:+.1f} to {one.high:+.1f})"
            for one in (Points.of(was, right) for was in answered)
        ]
        answered = [*answered, right][:2]
        scores = [shown(answers(tuned, one, run is not None)) for one in (old, new)]
        told = f"{name:16} {scores[0]:>20} {scores[1]:>20} {next(iter(lost), ''):>24} {''.join(lost[1:]):>24}"
        print(f"{told} {minutes:7.1f}", flush=True)
    print(f"General questions: n = {len(answered[0])}; the base has {sum(answered[0])} right. Below 0 is a gain.")
    print(f"\n{kept.changelog}")
    return 0


def facts(names: tuple[str, ...], drawn: random.Random) -> Facts:
    """A class and a dose for each name, each class and each dose once."""
    classes, doses = drawn.sample(CLASSES, len(names)), drawn.sample(DOSES, len(names))
    return {name: {"class": classes[place], "dose": doses[place]} for place, name in enumerate(names)}


def write(path: Path, known: Facts) -> str:
    """Every fact in each taught wording; returns the file's path."""
    rows = [
        {"question": wording.format(name), "answer": told[kind], "task": "drug_information"}
        for name, told in known.items()
        for kind, wordings in TAUGHT.items()
        for wording in wordings
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def first_version(source: str, passes: float, rate: float, seed: int) -> RunConfig:
    """A run that learns these rows by heart; nothing is measured meanwhile."""
    return RunConfig.model_validate(
        {
            "task": {"name": "drug_information"},
            "data": {"sources": [{"name": source}], "contains_phi": False, "validation_share": 0.02},
            "method": {"kind": "lora", "rank": 16, "alpha": 32},
            "schedule": {
                "epochs": passes,
                "batch_size": 8,
                "accumulation": 1,
                "learning_rate": rate,
                "checkpoint_every": NEVER,
                "seed": seed,
            },
            "steering": {"replay_share": 0.2},
            "evaluation": {"every": NEVER, "sample_every": NEVER, "forgetting": False},
            "output": {"name": "drugs"},
        }
    )


MINUTES: dict[str, float] = {}


def train(wanted: RunConfig) -> Run | None:
    began = time.monotonic()
    run = run_to_its_end(wanted)
    if run:
        MINUTES[run.id] = (time.monotonic() - began) / 60
    return run


def answers(tuned: Tuned, known: Facts, on: bool) -> Proportion:
    """The share of facts that are told right in a wording that was not trained."""
    asked = [(ASKED[kind].format(name), told) for name, one in known.items() for kind, told in one.items()]
    prompt = tuned.run.config.task.system_prompt
    chats = [conversation([{"role": "user", "content": question}], prompt) for question, _ in asked]
    said = generation.answer_all(tuned.side(on), tuned.tokenizer, chats, 12, on)
    return proportion(sum(exact_match(one, told) for one, (_, told) in zip(said, asked, strict=True)), len(asked))


def general(tuned: Tuned, on: bool) -> list[bool]:
    """Whether each general question is answered right, by likelihood."""
    asked = forgetting_questions()
    prompt = tuned.run.config.task.system_prompt
    chosen = forgetting.choose_options(tuned.side(on), tuned.tokenizer, asked, prompt, on)
    return [one.answer == choice for one, choice in zip(asked, chosen, strict=True)]


def forgetting_questions() -> list[forgetting.Question]:
    from trainer.data.prepare import FORGETTING_SET
    from trainer.data.sources import locate

    lines = locate(FORGETTING_SET, "heldout").path.read_text(encoding="utf-8").splitlines()
    return [forgetting.Question.model_validate_json(line) for line in lines]


def shown(one: Proportion) -> str:
    return f"{one.score:.0%} ({one.low:.0%} to {one.high:.0%})"


if __name__ == "__main__":
    sys.exit(main())
