"""The run file's objective section: what a run minimises, from supervised tuning to alignment with a reward."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from trainer.section import Section, Text

_KIND = "What is minimised."


class SftObjective(Section):
    """Supervised fine-tuning: cross-entropy of the answer's tokens only; the prompt is not trained."""

    kind: Literal["sft"] = Field(default="sft", description=_KIND)


class DpoObjective(Section):
    """Direct preference optimisation (Rafailov et al. 2023) on pairs of a chosen and a rejected answer.

    The reference is the model as the run begins: the base, or what method.start_from names.
    """

    kind: Literal["dpo"] = Field(default="dpo", description=_KIND)
    loss: Literal["sigmoid", "ipo", "robust"] = Field(
        default="sigmoid",
        description="sigmoid: DPO's own; ipo: does not run away with pairs that are always won (Azar et al. 2023); "
        "robust: for votes of which some are wrong (Chowdhury et al. 2024).",
    )
    beta: float = Field(
        default=0.1, gt=0, le=10, description="How close the model is held to the reference; larger is closer."
    )
    wrong_votes: float = Field(
        default=0.1, gt=0, lt=0.5, description="For robust: the share of votes that are held to be the wrong way round."
    )
    sft_weight: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="Weight of the chosen answer's own cross-entropy beside it, against answers that become unlikely "
        "altogether (Pang et al. 2024).",
    )
    precompute_reference: bool = Field(
        default=True,
        description="Ask the reference once before training, and not again in each step.",
    )


class KtoObjective(Section):
    """KTO (Ethayarajh et al. 2024) on single answers that are good or bad. The two kinds weigh the same in sum."""

    kind: Literal["kto"] = Field(default="kto", description=_KIND)
    beta: float = Field(default=0.1, gt=0, le=10, description="How close the model is held to the reference.")
    sft_weight: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="Weight of the good answers' own cross-entropy beside it, without which few answers are told apart "
        "long before the model says them (as for DPO: Pang et al. 2024).",
    )


class OrpoObjective(Section):
    """ORPO (Hong et al. 2024): supervised tuning on the chosen answer and the odds against the rejected one at once."""

    kind: Literal["orpo"] = Field(default="orpo", description=_KIND)
    beta: float = Field(default=0.1, gt=0, le=10, description="Weight of the odds ratio (the paper's lambda).")


class CpoObjective(Section):
    """CPO (Xu et al. 2024) and SimPO (Meng et al. 2024): pairs without any reference model."""

    kind: Literal["cpo"] = Field(default="cpo", description=_KIND)
    loss: Literal["simpo", "sigmoid"] = Field(
        default="simpo", description="simpo: likelihoods by the token, so that length does not pay; sigmoid: CPO's own."
    )
    beta: float = Field(default=2.0, gt=0, le=10, description="Scale of the likelihoods (SimPO: 2 to 2.5; CPO: 0.1).")
    margin: float = Field(default=1.0, ge=0, le=10, description="For simpo: by how much the chosen answer has to win.")
    sft_weight: float = Field(default=1.0, ge=0, le=10, description="Weight of the chosen answer's own cross-entropy.")


class RewardObjective(Section):
    """A reward model: the base with a head that gives an answer a number (Bradley-Terry; Ouyang et al. 2022)."""

    kind: Literal["reward"] = Field(default="reward", description=_KIND)
    centre: float = Field(
        default=0.01, ge=0, le=1, description="Pull of the rewards' sum to zero (Eisenstein et al. 2023: 0.01)."
    )


Rule = Literal["structure", "safety", "length"]


class _Reinforcement(Section):
    reward_model: Text | None = Field(
        default=None, description="Run of objective.kind reward (id or folder) that rates the answers."
    )
    rewards: list[Rule] = Field(
        default_factory=list,
        description="Rules that rate the answers: structure (the taught lines, in order), safety (no harmful answer by "
        "the screen, no refusal of a benign request), length (near the length of good answers).",
    )
    answers: int = Field(default=4, ge=2, le=64, description="Answers that are drawn to each question and compared.")
    beta: float = Field(default=0.05, ge=0, le=10, description="Weight of the KL divergence from the reference.")
    temperature: float = Field(default=1.0, gt=0, le=2, description="Of the answers that are drawn.")
    longest_answer: int = Field(default=128, ge=8, le=4096, description="Tokens of an answer that is drawn.")


class RlooObjective(_Reinforcement):
    """REINFORCE with a leave-one-out baseline (Ahmadian et al. 2024)."""

    kind: Literal["rloo"] = Field(default="rloo", description=_KIND)


class GrpoObjective(_Reinforcement):
    """Group relative policy optimisation (Shao et al. 2024)."""

    kind: Literal["grpo"] = Field(default="grpo", description=_KIND)


Objective = (
    SftObjective
    | DpoObjective
    | KtoObjective
    | OrpoObjective
    | CpoObjective
    | RewardObjective
    | RlooObjective
    | GrpoObjective
)
AnyObjective = Annotated[Objective, Field(discriminator="kind")]
OBJECTIVE_KINDS: dict[str, type[Section]] = {
    kind.model_fields["kind"].default: kind
    for kind in (
        SftObjective,
        DpoObjective,
        KtoObjective,
        OrpoObjective,
        CpoObjective,
        RewardObjective,
        RlooObjective,
        GrpoObjective,
    )
}
PAIRED = ("dpo", "orpo", "cpo", "reward")
"""Kinds that learn from pairs of a chosen and a rejected answer."""
REINFORCED = ("rloo", "grpo")
"""Kinds that learn from rewards of answers that the model draws itself."""
