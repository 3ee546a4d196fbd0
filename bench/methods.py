"""Ways of tuning beside each other: methods, what holds against forgetting, and the order and weight of tasks.

    python bench/methods.py --table methods|retention|order [--tokens 30000] [--seeds 17 18 19] [--out FILE]

Every row of a table is an ordinary run of the embedded model on the starter data, in a process of its own, so that its
peak of memory is its own: one pass over the same rows, about `--tokens` tokens. The rows of a seed have the same
validation rows and held-out items. What is finished stands in `--out` (bench/methods.jsonl in the home) and is not run
again; the runs are made in a home beside it, and removed.

methods: each at the rate that is usual for it, which the table names.

retention: a setting in which the model really forgets, since one that forgets nothing shows nothing: LoRA of rank 64
at three times the usual rate, on lab values and orders alone, whose answers are a few words. EWC looks at general rows
that are never trained on; with replay and distillation 20 % of the rows are general, in as many steps.
`gain lost` is how much less the validation loss falls than with nothing against forgetting, as a share of that fall;
`forgotten` the points of accuracy lost on general questions, and as a share of those lost with nothing against it.

order: the rows as they come, with a curriculum (which sees some rows twice and others not), and with each weighting of
the tasks; three seeds, and the difference to the rows as they come with the same seed, mean ± standard deviation.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any, TypeVar, get_args

from method_tables import Measured, Table, print_methods, print_order, print_retention
from pydantic import BaseModel

from trainer import config, events, models, runs
from trainer.jobs import ACTIVE
from trainer.report import Report
from trainer.runs import Run
from trainer.sections import RunConfig

Changes = dict[str, dict[str, Any]]
Row = TypeVar("Row", bound=BaseModel)

TOKENS_A_ROW = {"starter/clinical": 230, "starter/lab": 67, "starter/orders": 71}
"""Mean length with the embedded model's template, measured."""
SHARES = {"starter/clinical": 0.6, "starter/lab": 0.25, "starter/orders": 0.15}
NARROW = {"starter/lab": 0.6, "starter/orders": 0.4}
HELD_OUT = {
    "starter/clinical": {"name": "starter/clinical", "metric": "structure", "items": 12},
    "starter/lab": {"name": "starter/lab", "metric": "exact_match", "items": 40},
    "starter/orders": {"name": "starter/orders", "metric": "exact_match", "items": 40},
}
BATCH = 4
BATCHES: dict[Table, int] = {"methods": 2, "retention": BATCH, "order": 2}
"""So small that 30,000 tokens are steps enough to learn the clinical answers' structure: with 4 no answer had it, with
2 two of three had."""
VALIDATION = 0.1
NEVER = 100_000  # steps: measured before the first step and after the last one only


def method(kind: str, rate: float, model: dict[str, Any] | None = None, **fields: Any) -> Changes:
    changes: Changes = {"method": {"kind": kind, **fields}, "schedule": {"learning_rate": rate}}
    return changes | ({"model": model} if model else {})


# Rates: adapters as the starter run has them (1e-3); full tuning at the top of lecture L1.1; virtual tokens and factors
# at the top of L1.6; what begins with large numbers of its own (PiSSA), or trains a part sixteen times faster (LoRA+),
# lower.
METHODS: dict[str, Changes] = {
    "LoRA": method("lora", 1e-3),
    "rsLoRA": method("lora", 1e-3, scaling="rank_stabilised"),
    "DoRA": method("lora", 1e-3, dora=True),
    "PiSSA": method("lora", 2e-4, init="pissa"),
    "EVA": method("lora", 1e-3, init="eva"),
    "LoRA+": method("lora", 2e-4, rate_ratio=16),
    "QLoRA": method("lora", 1e-3, {"quantization": "nf4"}),
    "AdaLoRA": method("adalora", 1e-3),
    "full": method("full", 5e-5),
    "prefix": method("prefix", 5e-3),
    "prefix, projected": method("prefix", 1e-3, projection=True),
    "prompt": method("prompt", 5e-3),
    "P-tuning": method("p_tuning", 1e-3),
    "IA3": method("ia3", 5e-3),
    "layer norm": method("layer_norm", 5e-3),
    "adapter": method("adapter", 1e-3),
    "adapter, parallel": method("adapter", 1e-3, placement="parallel"),
}
RETENTION: dict[str, dict[str, float]] = {
    "off": {},
    "EWC 0.003": {"ewc": 0.003},
    "EWC 0.03": {"ewc": 0.03},
    "L2-SP 0.003": {"l2_sp": 0.003},
    "L2-SP 0.03": {"l2_sp": 0.03},
    "replay 20 %": {"replay_share": 0.2},
    "distillation": {"replay_share": 0.2, "distillation": 1.0},
}
FORGETFUL = method("lora", 3e-3, rank=64, alpha=128)
ORDER: dict[str, dict[str, Any]] = {
    "as they come": {},
    "curriculum": {"curriculum": "steps"},
    "weights uniform": {"task_weights": "uniform"},
    "weights inverse loss": {"task_weights": "inverse_loss"},
    "weights uncertainty": {"task_weights": "uncertainty"},
    "weights dynamic": {"task_weights": "dynamic"},
}
SETTINGS: dict[Table, dict[str, Any]] = {"methods": METHODS, "retention": RETENTION, "order": ORDER}
SEEDS: dict[Table, list[int]] = {"methods": [17], "retention": [17], "order": [17, 18, 19]}


def main() -> int:
    parser = argparse.ArgumentParser(description="Ways of tuning beside each other.")
    parser.add_argument("--table", choices=get_args(Table), required=True)
    parser.add_argument("--tokens", type=int, default=30_000, help="about as many in each run")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--only", nargs="+", help="names of rows; all if not given")
    parser.add_argument("--out", type=Path, default=config.home() / "bench" / "methods.jsonl")
    arguments = parser.parse_args()
    table: Table = arguments.table
    seeds = arguments.seeds or SEEDS[table]
    names = arguments.only or list(SETTINGS[table])
    if unknown := [name for name in names if name not in SETTINGS[table]]:
        parser.error(f"--only: {', '.join(unknown)}; the rows of {table} are {', '.join(SETTINGS[table])}")
    out = begin(arguments.out)
    failed = 0
    for seed in seeds:
        for name in names:
            done = [row for row in finished(out, Measured) if (row.table, row.setting, row.seed) == (table, name, seed)]
            if any(row.budget == arguments.tokens for row in done):
                continue
            row = measure(table, name, seed, arguments.tokens)
            if row is None:
                failed += 1
                continue
            keep(out, row)
            print(f"{name}, seed {seed}: loss {row.loss:.3f} after {row.minutes:.1f} min", file=sys.stderr, flush=True)
    rows = [row for row in finished(out, Measured) if row.table == table and row.budget == arguments.tokens]
    rows = [row for row in rows if row.seed in seeds and row.setting in names]
    {"methods": print_methods, "retention": print_retention, "order": print_order}[table](rows)
    return 1 if failed else 0


def begin(out: Path) -> Path:
    """Make the folder of `--out`, and a home beside it for runs and prepared data; returns the absolute path."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    # The converted base model is taken from where it is.
    os.environ["BEDSIDE_CACHE"] = str(models.cache_folder())
    os.environ["BEDSIDE_HOME"] = str(out.parent / "home")
    return out


def finished(out: Path, kind: type[Row]) -> list[Row]:
    """The rows that stand in the file; half a line that a kill left is passed over, and its row is run again."""
    if not out.exists():
        return []
    complete = out.read_bytes().rpartition(b"\n")[0].splitlines()
    return [kind.model_validate_json(line) for line in complete]


def keep(out: Path, row: BaseModel) -> None:
    """Add a finished row to the file."""
    with out.open("a", encoding="utf-8") as file:
        file.write(row.model_dump_json() + "\n")


def run_file(table: Table, name: str, seed: int, tokens: int) -> RunConfig:
    """The run of a table's row."""
    shares = NARROW if table == "retention" else SHARES
    rows = {source: round(tokens * share / TOKENS_A_ROW[source]) for source, share in shares.items()}
    data: Changes = {
        "data": {
            "sources": [{"name": source, "rows": count} for source, count in rows.items()],
            "contains_phi": False,
            "validation_share": VALIDATION,
        },
        "method": {"kind": "lora"},
        "schedule": {
            "epochs": 1,
            "batch_size": BATCHES[table],
            "accumulation": 1,
            "learning_rate": 1e-3,
            "max_grad_norm": 0.25,  # as in the starter run: it brings the tasks' gradients to one scale
            "max_length": 512,
            "checkpoint_every": NEVER,
            "seed": seed,
        },
        "steering": {},
        "evaluation": {
            "every": NEVER,
            "sample_every": NEVER,
            # A clinical answer takes as long as a hundred others; orders and weights are told apart by the loss.
            "held_out": [HELD_OUT[source] for source in shares if table == "methods" or source != "starter/clinical"],
            "forgetting": table != "order",
        },
        "output": {"name": f"{table} {name}"},
    }
    if table == "methods":
        changes: Changes = METHODS[name]
    elif table == "retention":
        changes = FORGETFUL | {"steering": {"replay_share": 0.0} | RETENTION[name]}
        data["schedule"]["max_steps"] = int(sum(rows.values()) * (1 - VALIDATION) / BATCHES[table])
    else:
        changes = {"steering": ORDER[name]}
    for section, fields in changes.items():
        data[section] = data.get(section, {}) | fields
    return config.parse(data)


def measure(table: Table, name: str, seed: int, tokens: int) -> Measured | None:
    """Run it and read what it tells; None where it failed."""
    began = time.monotonic()
    run = run_to_its_end(run_file(table, name, seed, tokens))
    found = run.report() if run else None
    if run is None or found is None:
        return None
    row = _measured(run, Report.model_validate(found), table, name, tokens, (time.monotonic() - began) / 60)
    runs.delete(run)
    return row


def run_to_its_end(wanted: RunConfig) -> Run | None:
    """Train in a process of its own; None where that failed, with the reason on stderr."""
    run = runs.start(runs.create(wanted))
    try:
        while run.status.state in ACTIVE:
            time.sleep(1)
            run = runs.get(run.id)
    except BaseException:
        runs.stop(run)
        raise
    if run.status.state != "done":
        named = f"{wanted.output.name}, seed {wanted.schedule.seed}"
        print(f"{named}: {run.status.error or run.status.state}; see {run.folder}", file=sys.stderr)
        return None
    return run


def _measured(run: Run, report: Report, table: Table, name: str, budget: int, minutes: float) -> Measured:
    from trainer.data.manifest import RunManifest

    told = RunManifest.model_validate_json((run.folder / "data" / "manifest.json").read_text(encoding="utf-8"))
    steps = [event for event in run.events() if isinstance(event, events.StepEvent)]
    seen = min(1.0, len(steps) * BATCHES[table] / told.train_rows)
    forgetting = report.forgetting
    return Measured(
        table=table,
        setting=name,
        seed=run.config.schedule.seed,
        budget=budget,
        tokens=round(told.all_tokens * seen),
        rate=run.config.schedule.learning_rate,
        share=report.trainable_share,
        peak_gib=steps[-1].memory_gib,  # that of training; answering questions comes after it
        tokens_per_second=report.tokens_per_second,
        before=report.validation_loss.before,
        loss=report.validation_loss.after,
        base={row.name: row.base.score for row in report.table},
        scores={row.name: row.tuned.score for row in report.table},
        forgotten=forgetting.points_lost if forgetting else None,
        perplexity_before=forgetting.perplexity.before if forgetting else None,
        perplexity=forgetting.perplexity.after if forgetting else None,
        ended=report.ended,
        minutes=minutes,
    )


if __name__ == "__main__":
    sys.exit(main())
