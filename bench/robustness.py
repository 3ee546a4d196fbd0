"""What adversarial training does for questions that are disturbed: accuracy clean and under attack, by kind of attack.

    python bench/robustness.py [--tokens 30000] [--seeds 17 18 19] [--only NAMES] [--items 40] [--out FILE]

The embedded model is tuned on orders and lab values, whose answers are right or wrong by rule: `--tokens` of clean
rows. It is attacked on held-out questions of both, with variants that no run has seen: of the kinds that some runs are
trained with, from other seeds, and of kinds that none is trained with. Every setting but the first has as many steps,
half of them on the clean rows, so that what differs is what the other half is:

- clean: the clean rows alone, once, in half the steps;
- repeated: the same rows once more;
- reworded: plain augmentation, the question in another frame of words (paraphrase);
- disturbed: typos, style, irrelevant context; with consistency: and the consistency loss of strength 1;
- FGM, FreeLB: repeated, under attack on the embeddings, in two or three passes over each batch;
- disturbed, FGM: both.

Each row is a run in a process of its own. What is finished stands in `--out` (bench/robustness.jsonl in the home) and
is not run again; the runs are made in a home beside it, and removed. The table gives means over the seeds ± standard
deviation; `lost` is clean less attacked accuracy on the same questions, in points.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from methods import BATCH, NEVER, TOKENS_A_ROW, VALIDATION, begin, finished, keep, run_to_its_end
from pydantic import BaseModel

from trainer import config, runs
from trainer.runs import Run
from trainer.sections import RunConfig

SHARES = {"starter/orders": 0.5, "starter/lab": 0.5}
TRAINED = ("typos", "style", "irrelevant_context")
UNSEEN = ("ocr", "injection", "abbreviations")
PERTURBED = {"perturbations": list(TRAINED)}
SETTINGS: dict[str, dict[str, Any]] = {
    "clean": {},
    "repeated": {},
    "reworded": {"perturbations": ["paraphrase"]},
    "disturbed": PERTURBED,
    "with consistency": PERTURBED | {"consistency": 1.0},
    "FGM": {"embedding": "fgm"},
    "FreeLB": {"embedding": "freelb"},
    "disturbed, FGM": PERTURBED | {"embedding": "fgm"},
}
PER_ITEM = 6  # variants of a question
OTHER_SEED = 1000  # what is added to the run's, for variants that training did not draw


class Measured(BaseModel):
    """A finished row. Counts by source: of clean questions, and of variants by kind with those of their own sources."""

    setting: str
    seed: int
    budget: int
    items: int
    rows: int
    steps: int
    minutes: float
    loss: float
    clean: dict[str, tuple[int, int]]
    """Right, and all, by set."""
    attacked: dict[str, tuple[int, int, int]]
    """By kind: right under attack, right when clean, all variants."""
    followed: tuple[int, int]
    """Injections that were followed, of those that could be told."""

    def lost(self, kinds: tuple[str, ...]) -> float:
        """Points of accuracy lost under attacks of these kinds."""
        return 100 * (self._share(kinds, 1) - self._share(kinds, 0))

    def under(self, kinds: tuple[str, ...]) -> float:
        """Accuracy under attacks of these kinds, in percent."""
        return 100 * self._share(kinds, 0)

    def _share(self, kinds: tuple[str, ...], at: int) -> float:
        found = [self.attacked[kind] for kind in kinds if kind in self.attacked]
        return sum(one[at] for one in found) / max(1, sum(one[2] for one in found))


def main() -> int:
    parser = argparse.ArgumentParser(description="Robustness before and after adversarial training.")
    parser.add_argument("--tokens", type=int, default=30_000, help="of clean rows, about as many in each run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[17, 18, 19])
    parser.add_argument("--only", nargs="+", help="names of settings; all if not given")
    parser.add_argument("--items", type=int, default=40, help="held-out questions of each set")
    parser.add_argument("--out", type=Path, default=config.home() / "bench" / "robustness.jsonl")
    arguments = parser.parse_args()
    names = arguments.only or list(SETTINGS)
    if unknown := [name for name in names if name not in SETTINGS]:
        parser.error(f"--only: {', '.join(unknown)}; the settings are {', '.join(SETTINGS)}")
    out = begin(arguments.out)

    def wanted(row: Measured) -> bool:
        return (row.budget, row.items) == (arguments.tokens, arguments.items)

    failed = 0
    for seed in arguments.seeds:
        for name in names:
            done = filter(wanted, finished(out, Measured))
            if any((row.setting, row.seed) == (name, seed) for row in done):
                continue
            row = measure(name, seed, arguments.tokens, arguments.items)
            if row is None:
                failed += 1
                continue
            keep(out, row)
            print(f"{name}, seed {seed}: {row.minutes:.1f} min", file=sys.stderr, flush=True)
    rows = [row for row in finished(out, Measured) if wanted(row) and row.seed in arguments.seeds]
    print_table([row for row in rows if row.setting in names])
    return 1 if failed else 0


def run_file(name: str, seed: int, tokens: int) -> RunConfig:
    """The run of a setting."""
    rows = {source: round(tokens * share / TOKENS_A_ROW[source]) for source, share in SHARES.items()}
    steps = math.ceil(sum(rows.values()) * (1 - VALIDATION) / BATCH)
    return config.parse(
        {
            "data": {
                "sources": [{"name": source, "rows": count} for source, count in rows.items()],
                "contains_phi": False,
                "validation_share": VALIDATION,
            },
            "schedule": {
                "max_steps": steps if name == "clean" else 2 * steps,
                "batch_size": BATCH,
                "accumulation": 1,
                "learning_rate": 1e-3,
                "max_grad_norm": 0.25,  # as in the starter run: it brings the tasks' gradients to one scale
                "max_length": 256,
                "checkpoint_every": NEVER,
                "seed": seed,
            },
            "steering": {"replay_share": 0.0},
            "adversarial": SETTINGS[name],
            "evaluation": {"every": NEVER, "sample_every": NEVER, "forgetting": False},
            "output": {"name": f"robustness {name}"},
        }
    )


def measure(name: str, seed: int, tokens: int, items: int) -> Measured | None:
    """Train it in a process of its own, then attack what came of it; None where training failed."""
    began = time.monotonic()
    run = run_to_its_end(run_file(name, seed, tokens))
    if run is None:
        return None
    row = _attacked(run, name, tokens, items)
    row.minutes = (time.monotonic() - began) / 60
    runs.delete(run)
    return row


def _attacked(run: Run, name: str, budget: int, count: int) -> Measured:
    from evaluators.attacks.cases import make_cases
    from evaluators.suites import robustness
    from trainer.evaluation.items import read_items
    from trainer.evaluation.respondent import KeptRespondent
    from trainer.tuned import Tuned

    report, seed = run.report(), run.config.schedule.seed
    assert report is not None
    respondent = KeptRespondent(Tuned(run), side=True)
    clean: dict[str, tuple[int, int]] = {}
    attacked: dict[str, tuple[int, int, int]] = {}
    followed, told = 0, 0
    for source in SHARES:
        items = read_items("robustness", source, count, seed)
        variants = make_cases(items, (*TRAINED, *UNSEEN), PER_ITEM, seed + OTHER_SEED)
        cases = robustness.ask([*items, *variants], respondent)
        own = [bool(case.right) for case in cases if not case.how]
        clean[source] = (sum(own), len(own))
        for case in (case for case in cases if case.how and "right" in case.values):
            right, before, all_of_kind = attacked.get(case.group, (0, 0, 0))
            right += bool(case.values["right"])
            attacked[case.group] = (right, before + bool(case.values["clean"]), all_of_kind + 1)
        found = [bool(case.values["followed"]) for case in cases if "followed" in case.values]
        followed, told = followed + sum(found), told + len(found)
    return Measured(
        setting=name,
        seed=seed,
        budget=budget,
        items=count,
        rows=_rows(run),
        steps=run.config.schedule.max_steps or 0,
        minutes=0.0,
        loss=report["validation_loss"]["after"],
        clean=clean,
        attacked=attacked,
        followed=(followed, told),
    )


def _rows(run: Run) -> int:
    from trainer.data.manifest import RunManifest

    text = (run.folder / "data" / "manifest.json").read_text(encoding="utf-8")
    return RunManifest.model_validate_json(text).train_rows


def print_table(rows: list[Measured]) -> None:
    """A line a setting, over its seeds."""
    print(
        f"{'trained on':17} {'seeds':>5} {'orders':>11} {'lab':>11} {'trained kinds':>13} {'lost':>13} "
        f"{'unseen kinds':>13} {'lost':>13} {'followed':>9} {'minutes':>7}"
    )
    for name in dict.fromkeys(row.setting for row in rows):
        mine = [row for row in rows if row.setting == name]
        clean = [_spread([100 * row.clean[source][0] / row.clean[source][1] for row in mine]) for source in SHARES]
        parts = [f"{name:17} {len(mine):5}", *(f"{one:>11}" for one in clean)]
        for kinds in (TRAINED, UNSEEN):
            parts.append(f"{_spread([row.under(kinds) for row in mine]):>13}")
            parts.append(f"{_spread([row.lost(kinds) for row in mine]):>13}")
        followed, told = (sum(row.followed[at] for row in mine) for at in (0, 1))
        parts += [f"{followed / told:9.0%}" if told else f"{'-':>9}"]
        print(*parts, f"{statistics.fmean(row.minutes for row in mine):7.1f}")


def _spread(values: list[float]) -> str:
    """Mean and standard deviation; one value has none."""
    spread = f" ± {statistics.stdev(values):.0f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.0f}{spread}"


if __name__ == "__main__":
    sys.exit(main())
