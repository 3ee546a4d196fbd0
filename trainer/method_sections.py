"""The run file's `method` section: one class for each way of choosing what is trained, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from trainer.section import Section, Text

Per = Literal["run", "task", "specialty"]
_PER = (
    "run: one for all rows, shared between their tasks; task or specialty: one for each, trained on its own rows, "
    "to be chosen or composed when a question is asked"
)
_START = "A trained run (id) or adapter folder of the same method to go on from: transfer from a related task (L3.3)."


class Method(Section):
    """What every way of tuning has. The base's weights stay as they are in all but full tuning."""

    start_from: Text | None = Field(default=None, description=_START)


class LoraMethod(Method):
    """Low-rank adapters beside frozen weights: W = W0 + (alpha / rank) B A (Hu et al. 2021; lecture L1.2).

    With a 4-bit base (model.quantization: nf4) this is QLoRA (Dettmers et al. 2023; lecture L1.3).
    """

    kind: Literal["lora"] = Field(default="lora", description="How the trained weights are chosen.")
    rank: int = Field(default=16, ge=1, le=512, description="Rank r of the update (lecture L1.9: by task).")
    alpha: int = Field(default=32, ge=1, le=1024, description="Scale of the update; alpha / rank multiplies it.")
    dropout: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Dropout before the adapter's first matrix (lecture L1.8)."
    )
    target_modules: Literal["all-linear"] | list[Text] = Field(
        default="all-linear", description="Layers that get an adapter: all-linear, or names such as q_proj and v_proj."
    )
    scaling: Literal["standard", "rank_stabilised"] = Field(
        default="standard",
        description="standard: alpha / rank; rank_stabilised: alpha / sqrt(rank), which keeps high ranks learning "
        "(rsLoRA, Kalajdzievski 2023).",
    )
    dora: bool = Field(
        default=False, description="Train each column's length apart from its direction (DoRA, Liu et al. 2024)."
    )
    init: Literal["zero", "pissa", "eva"] = Field(
        default="zero",
        description="zero: starts as the base; pissa: the weights' largest singular directions (Meng et al. 2024); "
        "eva: from those of the training rows' activations (Paischer et al. 2024).",
    )
    rate_ratio: float = Field(
        default=1.0, ge=1.0, le=64.0, description="Rate of B over that of A (LoRA+, Hayou et al. 2024: 16); 1 is LoRA."
    )
    search_rank: bool = Field(
        default=False,
        description="Find the rank first: from 8, double on an early plateau, halve on overfitting (lecture L1.10).",
    )


class AdaLoraMethod(Method):
    """LoRA in the form P Λ Q whose ranks are given to the matrices that need them (Zhang et al. 2023)."""

    kind: Literal["adalora"] = Field(default="adalora", description="How the trained weights are chosen.")
    rank: int = Field(default=8, ge=1, le=512, description="Mean rank that is left at the end.")
    start_rank: int = Field(default=12, ge=1, le=768, description="Rank that every matrix begins with; 1.5 x rank.")
    alpha: int = Field(default=32, ge=1, le=1024, description="Scale of the update; alpha / rank multiplies it.")
    dropout: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Dropout before the adapter's first matrix (lecture L1.8)."
    )
    target_modules: Literal["all-linear"] | list[Text] = Field(
        default="all-linear", description="Layers that get an adapter: all-linear, or names such as q_proj and v_proj."
    )


class FullMethod(Method):
    """All weights are trained (lecture L1.1): the most memory, the lowest rates (1e-5 to 5e-5)."""

    kind: Literal["full"] = Field(default="full", description="How the trained weights are chosen.")
    offload: bool = Field(
        default=False,
        description="Weights, gradients and the optimiser stay in the computer's memory; each layer visits the GPU "
        "while it is computed: about 70 % less of the GPU's memory, 2-3 times slower (lecture L1.11).",
    )


class PrefixMethod(Method):
    """Trained keys and values before every layer's own (Li & Liang 2021; lecture L1.4)."""

    kind: Literal["prefix"] = Field(default="prefix", description="How the trained weights are chosen.")
    length: int = Field(default=30, ge=1, le=200, description="Virtual tokens (lecture L1.4: 10-100, 20-50 typical).")
    projection: bool = Field(
        default=False, description="Train them through a small network, which is steadier; it is not needed afterwards."
    )
    per: Per = Field(default="run", description=f"Prefixes. {_PER} (lecture L1.4).")


class PromptMethod(Method):
    """Trained embeddings before the input (Lester et al. 2021)."""

    kind: Literal["prompt"] = Field(default="prompt", description="How the trained weights are chosen.")
    length: int = Field(default=20, ge=1, le=200, description="Virtual tokens.")
    init_text: Text | None = Field(
        default=None, description="Words that the virtual tokens begin as; random ones of the vocabulary if empty."
    )


class PTuningMethod(Method):
    """Trained embeddings before the input, made by a small network (P-tuning, Liu et al. 2021)."""

    kind: Literal["p_tuning"] = Field(default="p_tuning", description="How the trained weights are chosen.")
    length: int = Field(default=20, ge=1, le=200, description="Virtual tokens.")
    encoder_width: int = Field(default=128, ge=8, le=4096, description="Width of the network that makes them.")


class Ia3Method(Method):
    """Trained factors on keys, values and the MLP's inner activations (IA3, Liu et al. 2022)."""

    kind: Literal["ia3"] = Field(default="ia3", description="How the trained weights are chosen.")


class LayerNormMethod(Method):
    """The norms' scales alone (Zhao et al. 2024).

    With `per: task` this is a decoder's counterpart of task-specific batch norm (lecture L2.6): decoders have layer
    norm and no batch norm.
    """

    kind: Literal["layer_norm"] = Field(default="layer_norm", description="How the trained weights are chosen.")
    per: Per = Field(default="run", description=f"Scales. {_PER} (lecture L2.6).")


class AdapterMethod(Method):
    """Small bottleneck layers in every block: down, ReLU, up (Houlsby et al. 2019; lecture L1.5)."""

    kind: Literal["adapter"] = Field(default="adapter", description="How the trained weights are chosen.")
    width: int = Field(default=64, ge=4, le=1024, description="Width of the bottleneck (lecture L1.5: 64-512).")
    placement: Literal["sequential", "parallel"] = Field(
        default="sequential",
        description="sequential: reads what attention or MLP gives (Houlsby et al. 2019); parallel: reads what they "
        "read (He et al. 2022).",
    )
    dropout: float = Field(
        default=0.1, ge=0.0, lt=1.0, description="Dropout in the bottleneck (lecture L1.8: 0.1-0.3)."
    )
    per: Per = Field(default="run", description=f"Adapters. {_PER} (lecture L1.5).")
    below: list[Text] = Field(
        default_factory=list,
        max_length=4,
        description="Trained adapter runs (ids or folders) that stay frozen beneath it: a stack (lecture L1.5).",
    )


AnyMethod = Annotated[
    LoraMethod
    | AdaLoraMethod
    | FullMethod
    | PrefixMethod
    | PromptMethod
    | PTuningMethod
    | Ia3Method
    | LayerNormMethod
    | AdapterMethod,
    Field(discriminator="kind"),
]

METHOD_KINDS: dict[str, type[Method]] = {
    kind.model_fields["kind"].default: kind
    for kind in (
        LoraMethod,
        AdaLoraMethod,
        FullMethod,
        PrefixMethod,
        PromptMethod,
        PTuningMethod,
        Ia3Method,
        LayerNormMethod,
        AdapterMethod,
    )
}
