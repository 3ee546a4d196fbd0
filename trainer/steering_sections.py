"""The run file's sections on what acts while a run trains: steering, and training against attack."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from trainer.section import Section, Text


class SteeringSection(Section):
    replay_share: float = Field(
        default=0.1,
        ge=0,
        le=0.5,
        description="Share of the training rows that is general, non-medical text, against forgetting (lecture L2.8).",
    )
    mixing: Literal["fixed", "dynamic"] = Field(
        default="fixed",
        description="dynamic: begins with half general rows and goes down to replay_share, as long as the loss on "
        "general rows does not rise (lecture L2.11).",
    )
    curriculum: Literal["off", "steps", "plateau"] = Field(
        default="off",
        description="Facts, concepts, reasoning, judgement in this order (lecture L2.7); the next level begins after "
        "its share of the steps, or when the validation loss no longer falls.",
    )
    carry_over: float = Field(
        default=0.2, ge=0.0, le=0.9, description="Share of rows from earlier levels once a later one has begun."
    )
    task_weights: Literal["rows", "uniform", "inverse_loss", "uncertainty", "dynamic"] = Field(
        default="rows",
        description="rows: every token counts the same; uniform: every task the same; inverse_loss: by 1 / its loss; "
        "uncertainty: learnt (Kendall et al. 2018); dynamic: more for tasks that learn slowly (Liu et al. 2019) "
        "(lecture L2.5).",
    )
    gradient_surgery: Literal["off", "pcgrad", "upgrad"] = Field(
        default="off",
        description="Where the tasks' gradients conflict, the conflicting part is taken out: PCGrad (Yu et al. 2020) "
        "or UPGrad (Quinton & Rey 2024) (lecture L2.6).",
    )
    conflict_every: int | None = Field(
        default=None, ge=1, description="Steps between two measurements of how far the tasks' gradients conflict."
    )
    ewc: float = Field(
        default=0.0,
        ge=0.0,
        le=1000.0,
        description="Strength of elastic weight consolidation, whose Fisher information is taken on general rows, with "
        "a mean of 1; 0: off (Kirkpatrick et al. 2017; lecture L2.8).",
    )
    l2_sp: float = Field(
        default=0.0,
        ge=0.0,
        le=1000.0,
        description="Strength of the pull back to the base's weights; 0: off (Li et al. 2018; lecture L2.8).",
    )
    distillation: float = Field(
        default=0.0,
        ge=0.0,
        le=1000.0,
        description="Strength with which general rows keep the untouched base's answers; 0: off (Li & Hoiem 2017; "
        "lecture L2.8).",
    )
    forgetting_every: int | None = Field(
        default=None, ge=1, description="Steps between two looks at general questions while training; never if empty."
    )
    forgetting_limit: float = Field(
        default=5.0,
        gt=0,
        le=100,
        description="Absolute points of accuracy that may be lost on general or on general medical questions "
        "(lecture L2.9: 5 %).",
    )
    forgetting_action: Literal["warn", "stop", "roll_back"] = Field(
        default="roll_back",
        description="Past the limit: say it, end the run, or end it and keep the last checkpoint within the limit.",
    )
    harm_every: int | None = Field(
        default=None, ge=1, description="Steps between two looks at answers to harmful requests; never if empty."
    )
    harm_limit: float = Field(
        default=10.0,
        gt=0,
        le=100,
        description="Points by which the share of harmful answers may rise above the base's.",
    )
    harm_action: Literal["warn", "stop"] = Field(default="warn", description="Past the limit: say it, or end the run.")
    reptile_steps: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Steps of meta-learning over the tasks before training, for a start that learns from few examples; "
        "0: none (Reptile, Nichol et al. 2018; lecture L3.3).",
    )


class AdversarialSection(Section):
    perturbations: list[
        Literal[
            "typos",
            "ocr",
            "synonyms",
            "abbreviations",
            "brand_generic",
            "paraphrase",
            "style",
            "demographics",
            "irrelevant_context",
            "injection",
        ]
    ] = Field(
        default_factory=list,
        description="Ways in which questions of the training rows are disturbed without a change of meaning; each "
        "disturbed row joins its clean one, with the same answer (lecture L3.5, L3.9).",
    )
    share: float = Field(
        default=0.5,
        gt=0,
        le=0.9,
        description="Share of the own training rows that are disturbed, where perturbations are named; 0.5: one for "
        "each clean row.",
    )
    consistency: float = Field(
        default=0.0,
        ge=0.0,
        le=100.0,
        description="Strength with which the answer to a disturbed question is held to what the model says to the "
        "clean one, token by token; 0: off (as Miyato et al. 2018).",
    )
    embedding: Literal["off", "fgm", "freelb"] = Field(
        default="off",
        description="Training under attack on the question's embeddings: fgm, one step along the gradient (Miyato et "
        "al. 2017); freelb, several (Zhu et al. 2020) (lecture L3.6).",
    )
    epsilon: float = Field(
        default=0.02,
        ge=0.0,
        le=1.0,
        description="Norm of that attack on a row, as a share of the norm of its question's embeddings (Miyato et al. "
        "2017: about 0.02).",
    )
    embedding_steps: int = Field(default=3, ge=1, le=10, description="Passes of freelb over each batch.")
    hard_cases: Text | None = Field(
        default=None,
        description="File of cases that an evaluation failed on (JSON lines): training rows like them come more often.",
    )

    @field_validator("embedding", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: Any) -> Any:
        # As data.deidentify's.
        return "off" if value is False else value
