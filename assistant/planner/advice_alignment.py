"""Which alignment a run takes by what data there is, and with which values; each with its reason and source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assistant.planner.advice_data import CHARACTERS_PER_TOKEN, TEMPLATE_TOKENS, DataFound, characters
from assistant.planner.advice_method import learning_rate
from assistant.planner.advice_models import Reason
from assistant.planner.advice_training import LENGTH_STEPS
from assistant.planner.answers import Answers
from trainer import catalogue
from trainer.combinations import faults
from trainer.config import ConfigError
from trainer.data.row_files import read
from trainer.data_sections import DataSection, DataSource
from trainer.duration import total_steps
from trainer.jobs import RunError
from trainer.methods import continued
from trainer.model_refs import ModelRef
from trainer.objective_sections import (
    PAIRED,
    AnyObjective,
    DpoObjective,
    GrpoObjective,
    KtoObjective,
    OrpoObjective,
    RlooObjective,
    Rule,
)
from trainer.runs import Run
from trainer.sections import RunConfig, ScheduleSection
from trainer.steering_sections import AdversarialSection, SteeringSection

if TYPE_CHECKING:
    from trainer.review.preferences import Saved

FEW_PAIRS = 20
"""Pairs below which DPO would drive the few apart without end, so that its bounded form is taken."""
DOUBLY_READ = 10
"""Readers' pairs from which their disagreement says something."""
MANY_WRONG = 0.1
"""Expected share of wrong pairs from which the robust loss is taken."""
MOST_WRONG = 0.4
"""Above it the robust loss, which divides by 1 - 2 x the share, would blow up its gradients."""
RATE_SHARE, HIGH_RATE_SHARE = 0.1, 0.5
"""Of the rate of supervised tuning; the second for ORPO, and for adapters of the smallest models (`SMALLEST`)."""
SMALLEST = 0.3
"""Billions of parameters below which a tenth moves nothing. Measured on the embedded model with 18 to 24 pairs in 16 to
24 steps: at a tenth, none of 18 unseen answers had changed; at half, 16 of 36 were preferred, and none was worse."""
IPO_BETA = 0.02
"""A lead of 25 nats. At 0.1 it is 5, which 18 pairs of the embedded model reached at once, and no answer changed."""
SFT_WEIGHT = 1.0
"""Of the good answers' own cross-entropy beside DPO's or KTO's loss (Pang et al. 2024: 1). Without it KTO told 66
answers of the embedded model apart to a loss of 1e-4, and of 36 unseen answers not one was better than before."""
_RULES: list[Rule] = ["structure", "safety", "length"]
_REINFORCED_STEPS = 100
_MOST_AT_ONCE = 4
_DPO = "Rafailov et al. 2023; lecture L3.4"
NO_PAIRS = "Nothing is preferred among these examples: each has one answer, and none is called good or bad."
_BETA = "The papers' usual value: near enough to the reference that little else is lost."
_SFT = "The better answers are learnt as such too, so that they do not become unlikely together with the worse."
# What the aligned run keeps of the other's steering, and what it does not keep, which belongs to supervised rows.
_LIMITS = ("forgetting_limit", "forgetting_action", "harm_limit", "harm_action")
_OF_ITS_ROWS = ("test_share", "validation_share", "split", "balance", "augment", "canaries")
_OF_ITS_TRAINING = (
    "max_steps",
    "layer_rate_ratio",
    "unfreezing_share",
    "neftune_alpha",
    "mixup_alpha",
    "patience",
    "max_grad_norm",
)


def align(saved: Saved | None, run: Run, as_labels: bool = False) -> tuple[RunConfig, list[Reason]]:
    """The run file that aligns what `run` trained with this preference data, and why each value is as it is.

    Without data (None) answers are rated by rules; `as_labels` learns from single answers also where there are pairs.
    Raises `RunError` for a run that holds a reward model, and
    `ConfigError` where the values do not go together.
    """
    if run.config.objective.kind == "reward":
        raise RunError(f"Run {run.id} holds a reward model, which answers nothing; name the run that is to be aligned.")
    config = _kept(run)
    started, start = _start(config, run)
    reasons = [start]
    rows, longest = None, 0
    if saved is not None:
        counts = saved.manifest.counts
        pairs = 0 if as_labels else counts["pairs"]
        path = saved.pairs if pairs else saved.labels
        config.data.sources = [DataSource(name=str(path))]
        why = f"{saved.id}: {_counted(saved, pairs)}, from {saved.manifest.source}."
        reasons.append(Reason(field="data.sources", value=[str(path)], why=why, source="lecture L3.4"))
        rows = pairs or counts["good"] + counts["bad"]
        longest = max(map(characters, read(path)))
    config.objective, found = choose(saved, started, as_labels)
    reasons += found + schedule(config, rows, longest) + _watch(config, rows)
    config.output.name = f"{run.config.output.name[:70]} {config.objective.kind}"
    if against := faults(config):
        raise ConfigError(against)
    return config, reasons


def planned(config: RunConfig, answers: Answers, data: DataFound) -> list[Reason]:
    """What a planned run minimises, by what was said and what the file holds; its reasons.

    Pairs are learnt from also where nobody said so: as answers alone, half of them would be wasted.
    """
    wanted = answers.objective == "preference"
    labels = data.kind == "unpaired_preference"
    if answers.objective in ("sft", "adversarial") or not (
        data.kind in ("preference", "unpaired_preference") or (wanted and data.kind is None)
    ):
        return [_supervised(answers)]
    of = f"{data.rows:,} " if data.rows else ""
    if labels:
        config.objective, reasons = labelled(f"{of}answers that are good or bad")
    elif "method.start_from" in answers.settings:
        config.objective = DpoObjective(sft_weight=SFT_WEIGHT)
        why = "Pairs of a better and a worse answer, and a run to start from."
        reasons = _of(config.objective, why, _DPO, beta=_BETA, sft_weight=_SFT)
    else:
        config.objective, reasons = unstarted(f"There are {of}pairs")
    config.steering.replay_share = 0.0
    why = "General rows belong to supervised tuning; that nothing is lost is looked at while the run trains."
    return [*reasons, Reason(field="steering.replay_share", value=0.0, why=why, source="lecture L2.9")]


def _supervised(answers: Answers) -> Reason:
    why, source = "Examples with answers are learnt by supervised fine-tuning.", "lecture L2.1"
    if answers.objective == "preference":
        why, source = f"{NO_PAIRS} This is the supervised run that an alignment starts from.", "lecture L3.4"
    if answers.objective == "adversarial":
        why = (
            "Adversarial training is supervised too: the same answers to clean and to disturbed questions. Refusing "
            "harmful requests is another thing, learnt from rows that refuse."
        )
        source = "lecture L3.5-L3.7"
    return Reason(field="objective.kind", value="sft", why=why, source=source)


def choose(saved: Saved | None, started: bool, as_labels: bool = False) -> tuple[AnyObjective, list[Reason]]:
    """The objective by what data there is; `started`: whether the run goes on from supervised tuning.

    `as_labels`: single answers are wanted, whatever pairs there are.
    """
    if saved is None:
        objective = GrpoObjective(rewards=_RULES)
        why = (
            "There are no votes: the model answers its own training questions, and rules rate the answers by "
            "structure, safety and length. It learns to please the rules; collect votes where you can."
        )
        return objective, _of(objective, why, "Shao et al. 2024", rewards="What can be told without a reader.")
    counts, agreement = saved.manifest.counts, saved.manifest.agreement
    pairs = counts["pairs"]
    if not pairs or as_labels:
        return labelled(_counted(saved, 0), bool(pairs))
    if not started:
        return unstarted(f"{pairs} pairs")
    wrong = agreement.wrong_pairs or 0.0
    if agreement.doubly_read >= DOUBLY_READ and wrong >= MANY_WRONG:
        objective = DpoObjective(loss="robust", wrong_votes=round(min(wrong, MOST_WRONG), 2), sft_weight=SFT_WEIGHT)
        told = f"Two readers of one comparison differed {agreement.differ} of {agreement.doubly_read} times"
        why = f"{told}, so that some of the {pairs} pairs are the wrong way round."
        wrongly = f"{told}: by that, about {wrong:.0%} of the pairs are wrong."
        source = "Chowdhury et al. 2024"
        return objective, _of(objective, why, source, loss=why, wrong_votes=wrongly, beta=_BETA, sft_weight=_SFT)
    if pairs < FEW_PAIRS:
        objective = DpoObjective(loss="ipo", beta=IPO_BETA, sft_weight=SFT_WEIGHT)
        why = f"{pairs} pairs are very few: DPO's own loss would go on driving them apart, IPO's stops at a margin."
        margin = f"It stops at a lead of 1 / (2 x beta) = {0.5 / IPO_BETA:g} nats for a whole answer."
        return objective, _of(objective, why, "Azar et al. 2023", loss=why, beta=margin, sft_weight=_SFT)
    objective = DpoObjective(sft_weight=SFT_WEIGHT)
    why = f"{pairs} pairs of a better and a worse answer, and a run to start from."
    return objective, _of(objective, why, _DPO, beta=_BETA, sft_weight=_SFT)


def labelled(what: str, wanted: bool = False) -> tuple[AnyObjective, list[Reason]]:
    """For single answers that are good or bad; `wanted`: they are taken though there are pairs."""
    objective = KtoObjective(sft_weight=SFT_WEIGHT)
    why = "You asked for single answers" if wanted else "There are no pairs, only single answers"
    why += f" ({what}), which KTO learns from."
    return objective, _of(objective, why, "Ethayarajh et al. 2024", beta=_BETA, sft_weight=_SFT)


def unstarted(what: str) -> tuple[AnyObjective, list[Reason]]:
    """For pairs, where nothing was tuned before."""
    objective = OrpoObjective()
    why = f"{what}, and no run to start from: ORPO learns the better answers, and against the worse ones, at once."
    return objective, _of(objective, why, "Hong et al. 2024", beta="The paper's lambda for a model that starts anew.")


def schedule(config: RunConfig, rows: int | None, longest: int) -> list[Reason]:
    """Rate, passes and batch for `rows` rows, of which the longest has so many characters (0: not known)."""
    schedule, kind = config.schedule, config.objective.kind
    usual, _, _ = learning_rate(config, False, None)
    row = catalogue.base_model(config.model.name)
    smallest = row is not None and row.params_b < SMALLEST and config.method.kind != "full"
    schedule.learning_rate = usual * (HIGH_RATE_SHARE if kind == "orpo" or smallest else RATE_SHARE)
    if kind == "orpo":
        rates, source = f"Half the rate of supervised tuning ({usual:g}), which ORPO is in part.", "Hong et al. 2024"
    elif smallest:
        rates = f"Half the rate of supervised tuning ({usual:g}): a model this small is not moved by less."
        source = "measured on this machine"
    else:
        rates = f"A tenth of the rate of supervised tuning ({usual:g}): what is there already is only to be moved."
        source = "Bedside"
    reasons = [Reason(field="schedule.learning_rate", value=schedule.learning_rate, why=rates, source=source)]
    if isinstance(config.objective, RlooObjective | GrpoObjective):
        # A batch is so many answers, in groups of `answers`.
        schedule.batch_size, schedule.accumulation = config.objective.answers, 2
        schedule.max_steps = steps = _REINFORCED_STEPS
        why = f"{steps} steps of two questions with {config.objective.answers} answers each, to begin with."
        return [
            *reasons,
            Reason(field="schedule.max_steps", value=steps, why=why, source="Bedside"),
        ]
    schedule.batch_size = max(1, min(_MOST_AT_ONCE, schedule.batch_size // 2))
    schedule.accumulation = max(1, _rows_a_step(rows) // schedule.batch_size)
    if kind != "orpo":
        schedule.epochs = _epochs(rows)
        told = f"for {rows:,} rows" if rows else "for a set of unknown size"
        why = f"Passes {told}: fewer the more there are, since an alignment soon learns its rows by heart."
        reasons.append(Reason(field="schedule.epochs", value=schedule.epochs, why=why, source="Bedside"))
    schedule.max_length = _length(config, longest)
    halved = "a pair is two rows" if kind in PAIRED else "the reference reads each row too"
    reasons += [
        Reason(
            field="schedule.batch_size",
            value=schedule.batch_size,
            why=f"At most half of the run's: {halved}.",
            source="Bedside",
        ),
    ]
    return reasons


def _watch(config: RunConfig, rows: int | None) -> list[Reason]:
    """Measurements about four times and monitors twice in a run: an alignment is short, and each look costs steps."""
    steps = total_steps(config, rows or 1000)
    every = max(1, steps // 4)
    config.evaluation.every = config.evaluation.sample_every = config.schedule.checkpoint_every = every
    # Together with a checkpoint, to which the run can go back.
    config.steering.forgetting_every = config.steering.harm_every = 2 * every
    often = f"About four times in {steps} steps."
    why = f"Twice in {steps} steps: an alignment that goes too far forgets, and the run then goes back."
    harm = "Together with it: answers that please can cost refusals."
    return [
        Reason(field="evaluation.every", value=every, why=often, source="lecture L3.11"),
        Reason(field="steering.forgetting_every", value=2 * every, why=why, source="lecture L2.9"),
        Reason(field="steering.harm_every", value=2 * every, why=harm, source="lecture L3.12, L3.15"),
    ]


def _kept(run: Run) -> RunConfig:
    """The run's file without what belongs to supervised tuning or to its own rows."""
    config = run.config.model_copy(deep=True)
    limits = {name: getattr(config.steering, name) for name in _LIMITS}
    config.steering = SteeringSection(replay_share=0.0, **limits)
    config.adversarial = AdversarialSection()
    rows, training = DataSection(), ScheduleSection(warmup_share=0.1)
    for name in _OF_ITS_ROWS:
        setattr(config.data, name, getattr(rows, name))
    for name in (*_OF_ITS_TRAINING, "warmup_share"):
        setattr(config.schedule, name, getattr(training, name))
    config.evaluation.validation, config.evaluation.watch = "split", "loss"
    return config


def _start(config: RunConfig, run: Run) -> tuple[bool, Reason]:
    """Let the run go on from what was trained, where it can; whether it does, and why."""
    why = continued.cannot(run.config.method) if run.weights else "it has trained nothing yet"
    if why:
        config.method.start_from = None
        told = f"Nothing can go on from {run.id} ({why}): the same method begins at the base."
        return False, Reason(field="method.start_from", value=None, why=told, source="Bedside")
    config.method = continued.continued(run, ModelRef(run=run.id))
    told = f"What {run.id} trained goes on; as it is now, it is the reference that answers are held to."
    return True, Reason(field="method.start_from", value=run.id, why=told, source="Rafailov et al. 2023")


def _epochs(rows: int | None) -> float:
    if rows is None or rows >= 1000:
        return 1.0
    return 3.0 if rows >= 200 else 6.0


def _rows_a_step(rows: int | None) -> int:
    return 16 if rows is None or rows >= 1000 else 8 if rows >= 200 else 4


def _length(config: RunConfig, longest: int) -> int:
    """Room for the longest row, where that is known; at least the run's own."""
    tokens = longest / CHARACTERS_PER_TOKEN + TEMPLATE_TOKENS
    row = catalogue.base_model(config.model.name)
    wanted = next((length for length in LENGTH_STEPS if length >= tokens), LENGTH_STEPS[-1])
    return max(config.schedule.max_length, min(wanted, row.context if row else wanted))


def _counted(saved: Saved, pairs: int) -> str:
    counts = saved.manifest.counts
    if pairs:
        return f"{pairs} pairs"
    return f"{counts['good']} good and {counts['bad']} bad answers"


def _of(objective: AnyObjective, why: str, source: str, **fields: str) -> list[Reason]:
    """The reason for the kind, and one for each field."""
    told = {"kind": why, **fields}
    return [
        Reason(field=f"objective.{name}", value=getattr(objective, name), why=one, source=source)
        for name, one in told.items()
    ]
