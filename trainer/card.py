"""The model card that a run writes into its folder: what it is, what it was trained on, how it scored."""

from __future__ import annotations

from evaluators.metrics import Proportion
from evaluators.scores import Measure
from trainer.data.manifest import RunManifest
from trainer.method_names import method_name, method_size
from trainer.objective_names import objective_name
from trainer.report import Report
from trainer.sections import RunConfig

METRICS = {
    "structure": "answered in the taught structure",
    "exact_match": "equal to the reference",
    "label": "right class",
}


def percent(value: Proportion) -> str:
    """A share with its 95 % interval, in whole per cent: `72 % (59-83)`."""
    return f"{100 * value.score:.0f} % ({100 * value.low:.0f}-{100 * value.high:.0f})"


def comparison_rows(report: Report) -> list[list[str]]:
    """The report's comparison as text cells: set, what counts, n, base, prompted base, tuned, majority class."""
    return [
        [
            row.name,
            METRICS[row.metric],
            str(row.n),
            percent(row.base),
            percent(row.prompted),
            percent(row.tuned),
            "-" if row.majority is None else f"{100 * row.majority:.0f} %",
        ]
        for row in report.table
    ]


COMPARISON_HEADER = ["held-out set", "counted as right", "n", "base", "base, 2 examples", "tuned", "majority class"]


def model_card(config: RunConfig, manifest: RunManifest, report: Report) -> str:
    """Markdown card with the facts of this run; it claims nothing that was not measured."""
    share = f"{100 * report.trainable_share:.2f} % of the parameters"
    trained = [part for part in (method_size(config), share) if part]
    lines = [
        f"# {config.output.name}",
        "",
        f"{config.model.name} ({report.model_origin}, weights {report.weights_sha256[:12]}) tuned with "
        f"{method_name(config)} ({', '.join(trained)}) by Bedside; what was minimised: "
        f"{objective_name(config.objective.kind)}.",
        "",
        "A research model, not a medical device. No clinician has approved it.",
        "",
        "## Data",
        "",
        *[f"- {one.name}: {one.rows_used} rows ({one.role}), {one.licence}" for one in manifest.sources],
        f"- {manifest.train_rows} rows trained ({manifest.replay_rows} of them replay), "
        f"{manifest.validation_rows} held back for validation, {manifest.trained_tokens} trained tokens",
        "",
        "## Measured",
        "",
        f"Validation loss {report.validation_loss.before:.3f} before, {report.validation_loss.after:.3f} after.",
        "",
    ]
    if report.pairs_won:
        won = report.pairs_won
        what = "judged answers on the right side" if config.objective.kind == "kto" else "pairs won"
        lines += [
            f"Validation {what}: {percent(won.before)} before, {percent(won.after)} after (n = {won.after.n}).",
            "",
        ]
    if report.held_out_pairs:
        found = report.held_out_pairs.ranking
        lines += [
            f"Pairs of the {report.held_out_pairs.side} rows ranked as people did: {_measured(found.accuracy)}, "
            f"n = {found.pairs}; calibration error {_measured(found.calibration_error)}. It rates answers and gives "
            "none.",
            "",
        ]
    if report.reward_gain:
        gain = report.reward_gain
        lines += [
            f"Mean reward of answers to validation questions: {_measured(gain.before)} of the base, "
            f"{_measured(gain.after)} tuned (n = {gain.after.n}). A reward is what was aimed at, not whether answers "
            "are good.",
            "",
        ]
    if report.table:
        lines += [*_table([COMPARISON_HEADER, *comparison_rows(report)]), ""]
    if report.forgetting:
        lost = report.forgetting
        lines += [
            f"General questions right: {percent(lost.questions_before)} before, {percent(lost.questions_after)} after "
            f"(n = {lost.questions_before.n}). Perplexity of general text: {lost.perplexity.before:.1f} before, "
            f"{lost.perplexity.after:.1f} after.",
            "",
        ]
    lines += ["Shares carry their 95 % interval (Wilson).", ""]
    return "\n".join(lines)


def _measured(one: Measure) -> str:
    if one.value is None:
        return "not measured"
    return f"{one.value:.3f}" + ("" if one.low is None else f" ({one.low:.3f} to {one.high:.3f})")


def _table(rows: list[list[str]]) -> list[str]:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return [head, "|" + "---|" * len(rows[0]), *body]
