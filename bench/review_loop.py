"""From votes to a better model, on real parts: is the aligned model preferred on questions that nobody has seen?

    python bench/review_loop.py [--seed 17] [--as-labels] [--json]

On the embedded model, in a home of its own that is removed afterwards:

1. Version 1.0.0 is tuned on lab values and a few clinical rows, and keeps to the taught structure now and then. A
   second run has learnt it on more rows.
2. Both answer questions of the starter set that neither was trained on, in a blind review set. Three simulated
   reviewers give 40 votes by a known preference: an answer in the taught structure in which the screen finds no
   critical error is better than one that is not both. One vote in twenty is given the wrong way round. Where they find
   both bad, they write what a good answer would have been: the starter set's own.
3. The votes become pairs (with --as-labels, single answers that are good or bad), the planner chooses an alignment of
   version 1.0.0 with them, and it is trained.
4. Version 1.0.0 and the aligned one answer the held-out clinical questions in another blind set, judged by the same
   preference without errors.
5. What the aligned model has forgotten is measured, and it is registered as the next version with its changelog.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from evaluators.generation import Sampling
from evaluators.metrics import Proportion, has_structure, proportion
from evaluators.screens.critical_errors import screen
from trainer import runs
from trainer.model_refs import ModelRef
from trainer.runs import Run
from trainer.sections import RunConfig

REVIEWERS = ("reviewer one", "reviewer two", "reviewer three")
CASES, TWICE = 32, 0.25  # 40 votes
ERRORS = 0.05
FEW, MANY = 24, 148  # clinical rows of version 1.0.0, and of the other run
ANSWER = Sampling(max_new_tokens=220)
STARTER = Path(__file__).resolve().parent.parent / "examples" / "data"


class Loop(BaseModel):
    """What came of one turn of the loop."""

    seed: int
    votes: int
    alpha: float | None
    """Krippendorff's, of the readers."""
    pairs: int
    labels: int
    """Single answers that are good or bad."""
    objective: str
    minutes: float
    """Of the alignment's training."""
    won: Proportion
    """Share of the questions on which the aligned model's answer is the better one."""
    win_share: Proportion
    """The same with a tie, or both bad, as half a win: as rankings of models count."""
    lost: int
    tied: int
    structured: tuple[int, int]
    """Answers in the taught structure: of version 1.0.0, and of the aligned one."""
    points_lost: float
    """On general questions, from the base on."""
    lab: tuple[float, float]
    """Right lab values: of version 1.0.0, and of the aligned one."""
    version: str
    changelog: str


def better(question: str, left: str, right: str) -> str:
    """The known preference: left, right, tie (both are good), or both_bad."""
    good = [has_structure(answer) and not screen(question, answer).findings for answer in (left, right)]
    if good[0] != good[1]:
        return "left" if good[0] else "right"
    return "tie" if good[0] else "both_bad"


def vote_on_all(
    set_id: str, reviewers: Sequence[str], seed: int, errors: float, corrections: Mapping[str, str] | None = None
) -> int:
    """Every reviewer judges every case that was dealt to them; returns the votes.

    `corrections` are the good answers, by question, that they write where both are bad.
    """
    from trainer.review import queue
    from trainer.review.ballots import Ballot

    given = 0
    for reviewer in reviewers:
        chance = random.Random(f"{seed}/{reviewer}")
        while shown := queue.next_case(set_id, reviewer):
            question = shown.messages[-1]["content"]
            choice = better(question, shown.left, shown.right)
            if chance.random() < errors:
                choice = {"left": "right", "right": "left"}.get(choice, "left")
            correction = (corrections or {}).get(question, "") if choice == "both_bad" else ""
            ballot = Ballot.model_validate({"choice": choice, "correction": correction})
            queue.vote(shown.comparison_id, reviewer, ballot)
            given += 1
    return given


def clinical(part: str) -> list[dict[str, Any]]:
    """Rows of the starter's clinical set."""
    return [json.loads(line) for line in (STARTER / f"clinical.{part}.jsonl").read_text(encoding="utf-8").splitlines()]


def train(config: RunConfig) -> Run:
    """Train in a process of its own, to its end; raises `SystemExit` with the reason where it fails."""
    run = runs.start(runs.create(config))
    while run.status.state not in ("done", "failed", "stopped"):
        time.sleep(1)
        run = runs.get(run.id)
    if run.status.state != "done":
        raise SystemExit(f"{run.id} is {run.status.state}: {run.status.error}")
    return run


def supervised(name: str, sources: list[dict[str, Any]], seed: int) -> RunConfig:
    """A supervised run on these sources, measured on lab values."""
    return RunConfig.model_validate(
        {
            "data": {
                "sources": sources,
                "contains_phi": False,
                "validation_share": 0.05,
            },
            "schedule": {
                "epochs": 1,
                "batch_size": 4,
                "accumulation": 1,
                "learning_rate": 1e-3,
                "max_grad_norm": 0.25,
                "max_length": 512,
                "checkpoint_every": 100,
                "seed": seed,
            },
            "evaluation": {
                "every": 100,
                "sample_every": 1000,
                "held_out": [{"name": "starter/lab", "metric": "label", "items": 60}],
            },
            "output": {"name": name},
        }
    )


def turn(seed: int, folder: Path, as_labels: bool) -> Loop:
    """One turn of the loop in the home at hand; `folder` takes the files that it writes."""
    from assistant.planner import advice_alignment
    from trainer.review import preferences, queue, results
    from trainer.review.prompts import Prompt
    from trainer.versions import registry

    rows = clinical("train")
    random.Random(seed).shuffle(rows)
    few, many = folder / "few.jsonl", folder / "many.jsonl"
    for path, part in ((few, rows[:FEW]), (many, rows[:MANY])):
        path.write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    said("training version 1.0.0, and another run on more clinical rows")
    first = train(supervised("first", [{"name": "starter/lab", "rows": 150}, {"name": str(few)}], seed))
    other = train(supervised("clinical", [{"name": str(many)}], seed))
    line = "clinic"
    begun = registry.register(line, first, "data", "Reads lab values; answers clinical questions.")
    registry.put_in_use(line, begun.number, "the first version")

    said("answers to be judged")
    prompts = [
        Prompt(messages=[{"role": "user", "content": row["prompt"]}], group=row["specialty"], source=row["id"])
        for row in rows[MANY : MANY + CASES]
    ]
    reviewed = queue.create_set("votes", prompts, ModelRef(run=first.id), ModelRef(run=other.id), sampling=ANSWER)
    queue.assign(reviewed.id, REVIEWERS, TWICE)
    queue.answer_set(reviewed.id)
    votes = vote_on_all(reviewed.id, REVIEWERS, seed, ERRORS, {row["prompt"]: row["answer"] for row in rows})
    found = results.results(reviewed.id)

    saved = preferences.save(preferences.from_votes([reviewed.id], preferences.Rules()), "votes")
    planned, _ = advice_alignment.align(saved, first, as_labels)
    planned.evaluation.held_out = first.config.evaluation.held_out
    counts = saved.manifest.counts
    said(
        f"{votes} votes, {counts['pairs']} pairs ({counts['good']} good, {counts['bad']} bad); {planned.objective.kind}"
    )
    aligned = train(planned)

    said("the same questions to both, unseen so far")
    unseen = [Prompt(messages=[{"role": "user", "content": row["prompt"]}]) for row in clinical("heldout")]
    blind = queue.create_set("unseen", unseen, ModelRef(run=first.id), ModelRef(run=aligned.id), sampling=ANSWER)
    queue.answer_set(blind.id)
    vote_on_all(blind.id, REVIEWERS[:1], seed, 0.0)
    comparisons, given, _ = preferences.judged([blind.id])
    choices = [one.choice for one in given]
    wins, losses = choices.count("second"), choices.count("first")

    version = registry.register(line, aligned, "alignment", "Answers clinical questions in the taught structure.")
    before, after = first.report() or {}, aligned.report() or {}
    structured = [
        (has_structure(one.first_answer or ""), has_structure(one.second_answer or "")) for one in comparisons
    ]
    return Loop(
        seed=seed,
        votes=votes,
        alpha=found.agreement.alpha.value,
        pairs=counts["pairs"],
        labels=counts["good"] + counts["bad"],
        objective=planned.objective.kind,
        minutes=after["training_minutes"],
        won=proportion(wins, len(choices)),
        win_share=proportion((len(choices) + wins - losses) / 2, len(choices)),
        lost=losses,
        tied=len(choices) - wins - losses,
        structured=(sum(one for one, _ in structured), sum(one for _, one in structured)),
        points_lost=after["forgetting"]["points_lost"],
        lab=(before["table"][0]["tuned"]["score"], after["table"][0]["tuned"]["score"]),
        version=version.number,
        changelog=version.changelog,
    )


def said(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def table(found: Loop) -> str:
    """What was found, in sentences."""
    won, agreed = found.won, "not defined" if found.alpha is None else f"{found.alpha:.2f}"
    return "\n".join(
        [
            f"{found.votes} votes by {len(REVIEWERS)} reviewers (alpha {agreed}), {found.pairs} pairs, {found.labels} "
            f"labels; {found.objective.upper()} in {found.minutes:.1f} min.",
            f"On {won.n} unseen questions the aligned model is preferred in {100 * won.score:.0f} % "
            f"({100 * won.low:.0f}-{100 * won.high:.0f}), version 1.0.0 in {found.lost}, neither in {found.tied}; "
            f"with neither as half a win, {100 * found.win_share.score:.0f} % "
            f"({100 * found.win_share.low:.0f}-{100 * found.win_share.high:.0f}).",
            f"In the taught structure: {found.structured[0]} of {won.n} before, {found.structured[1]} after.",
            f"Lab values right: {100 * found.lab[0]:.0f} % before, {100 * found.lab[1]:.0f} % after. "
            f"General questions: {found.points_lost:+.1f} points lost since the base.",
            f"Registered as {found.version}:",
            *(f"  {line}" for line in found.changelog.splitlines()),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--as-labels", action="store_true", help="learn from single answers and not from pairs (KTO)")
    parser.add_argument("--json", action="store_true", help="print what was found as one JSON object")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="review-loop-") as folder:
        os.environ["BEDSIDE_HOME"] = str(Path(folder) / "home")
        os.environ.pop("BEDSIDE_DATABASE", None)
        found = turn(asked.seed, Path(folder), asked.as_labels)
    print(found.model_dump_json(indent=1) if asked.json else table(found))


if __name__ == "__main__":
    main()
