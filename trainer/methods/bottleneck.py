"""Bottleneck adapters as a PEFT tuner of our own: small trained layers on the outputs of attention and MLP.

PEFT has none, so its interface is met here: a configuration, a layer and a tuner, entered into PEFT's tables when this
module is imported. Saving, loading, switching, disabling and mixed batches then work as for every other adapter; who
loads one with `PeftModel.from_pretrained` imports this module first. Sequential: Houlsby et al. 2019; parallel: He et
al. 2022; both in lecture L1.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from peft import PeftConfig
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from torch import nn

from trainer.method_sections import AdapterMethod
from trainer.methods import MethodError, groups
from trainer.methods.groups import BENEATH

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

KIND = "BOTTLENECK"
"""What stands as `peft_type` in adapter_config.json."""
BLOCKS = ("self_attn", "mlp")
"""What a layer's attention and MLP are called in Llama-like models (all of the catalogue)."""


@dataclass
class BottleneckConfig(PeftConfig):
    """What adapter_config.json says of one adapter, beside PEFT's own fields."""

    width: int = 64
    placement: Literal["sequential", "parallel"] = "sequential"
    dropout: float = 0.0
    below: list[str] = field(default_factory=list)
    """Names of the adapters that act before this one wherever it is active, lowest first."""
    target_modules: str | None = None
    """A pattern that the adapted blocks' full names match."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # A plain string: PEFT's enum of kinds is closed, and its tables are looked up by the string all the same.
        self.peft_type = KIND  # pyright: ignore[reportAttributeAccessIssue]


class BottleneckLayer(nn.Module, BaseTunerLayer):
    """An attention or MLP block with bottlenecks on its output; which of them act is PEFT's `active_adapters`."""

    adapter_layer_names = ("bottleneck_down", "bottleneck_up")
    other_param_names = ("bottleneck_dropout", "configs")

    def __init__(self, base_layer: nn.Module, hidden: int) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.hidden = hidden
        self.bottleneck_down = nn.ModuleDict()
        self.bottleneck_up = nn.ModuleDict()
        self.bottleneck_dropout = nn.ModuleDict()
        self.configs: dict[str, BottleneckConfig] = {}
        self.rows: list[str] | None = None
        """In a mixed batch, the adapter of each row."""

    def add(self, name: str, config: BottleneckConfig) -> None:
        """A new adapter that changes nothing yet: its second matrix is zero. In fp32, whatever the base's precision."""
        device = next(self.base_layer.parameters()).device
        down = nn.Linear(self.hidden, config.width, device=device, dtype=torch.float32)
        up = nn.Linear(config.width, self.hidden, device=device, dtype=torch.float32)
        nn.init.zeros_(up.weight)
        nn.init.zeros_(up.bias)
        self.bottleneck_down[name], self.bottleneck_up[name] = down, up
        self.bottleneck_dropout[name] = nn.Dropout(config.dropout)
        self.configs[name] = config

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the block gives, changed by the active adapters; attention's further outputs are left as they are."""
        result = self.base_layer(*args, **kwargs)
        if self.disable_adapters:
            return result
        given = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        output = result[0] if isinstance(result, tuple) else result
        if self.rows is None:
            for name in self.active_adapters:
                output = self._adapted(name, given, output)
        else:
            output = self._adapted_by_row(self.rows, given, output)
        return (output, *result[1:]) if isinstance(result, tuple) else output

    def _adapted(self, name: str, given: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """(n, t, d) as the block was given it and gave it, to (n, t, d)."""
        for one in (*self.configs[name].below, name):
            if one not in self.configs:
                raise ValueError(f"The adapter {name} stands on {one}, which is not loaded: load the whole folder.")
            down, up = cast(nn.Linear, self.bottleneck_down[one]), self.bottleneck_up[one]
            read = given if self.configs[one].placement == "parallel" else output
            inner = self.bottleneck_dropout[one](torch.relu(down(read.to(down.weight.dtype))))
            output = output + up(inner).to(output.dtype)
        return output

    def _adapted_by_row(self, rows: list[str], given: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        if len(rows) != len(output):
            raise ValueError(f"{len(rows)} names of adapters were given for {len(output)} rows; give one for each row.")
        changed = output.clone()
        for name in set(rows) - {"__base__"}:
            at = [index for index, one in enumerate(rows) if one == name]
            changed[at] = self._adapted(name, given[at], output[at])
        return changed


class BottleneckModel(BaseTuner):
    """PEFT's tuner: puts a `BottleneckLayer` in the place of each block that the configuration names."""

    prefix = "bottleneck_"
    tuner_layer_cls = BottleneckLayer

    def _create_and_replace(
        self,
        peft_config: PeftConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        layer = target
        if not isinstance(layer, BottleneckLayer):
            config = cast("PreTrainedModel", self.model).config
            layer = BottleneckLayer(target, config.get_text_config().hidden_size)
            self._replace_module(parent, target_name, layer, target)
        layer.add(adapter_name, cast(BottleneckConfig, peft_config))

    @contextmanager
    def _enable_peft_forward_hooks(self, *args: Any, **kwargs: Any) -> Iterator[None]:
        """Where PEFT calls for a mixed batch: `adapter_names`, one for each row, `__base__` for none."""
        rows = kwargs.get("adapter_names")
        if rows is None:
            yield
            return
        if self.training:
            raise ValueError("adapter_names are for answering: put the model into evaluation mode first.")
        if unknown := set(rows) - {"__base__"} - set(self.peft_config):
            raise ValueError(
                f"There is no adapter {', '.join(sorted(unknown))}; there are {', '.join(self.peft_config)}."
            )
        layers = [module for module in self.modules() if isinstance(module, BottleneckLayer)]
        try:
            for layer in layers:
                layer.rows = list(rows)
            yield
        finally:
            for layer in layers:
                layer.rows = None


_ENTRY = cast(Any, KIND)
PEFT_TYPE_TO_CONFIG_MAPPING[_ENTRY] = BottleneckConfig
PEFT_TYPE_TO_TUNER_MAPPING[_ENTRY] = BottleneckModel
PEFT_TYPE_TO_PREFIX_MAPPING[_ENTRY] = BottleneckModel.prefix


def apply(model: PreTrainedModel, method: AdapterMethod, names: list[str], below: list[Path]) -> PeftModel:
    """Freeze the model and put untrained adapters on it; until the first step it answers exactly as what is beneath.

    One adapter for each of `names`, all of them trainable and the first active (`groups.adapter_names`). `below` are
    folders of trained adapters, lowest first, which stay frozen beneath all of them; a folder that is a stack itself
    brings what is beneath it. Sequential adapters are a chain, each reading what the one beneath it made of the block's
    output; parallel ones all read what the block reads, so their order makes no difference.

    Cost: two bottlenecks a layer, each of 2 x hidden x width + width + hidden numbers in fp32. They cannot be merged
    into the weights as LoRA can, so they are computed with every answer.
    Raises `MethodError` where the model's blocks are not named as in Llama, and for a folder that cannot be beneath.
    """
    stack = [folder for one in below for folder in _stack(one)]
    config = {
        "task_type": "CAUSAL_LM",
        "width": method.width,
        "placement": method.placement,
        "dropout": method.dropout,
        "below": [f"{BENEATH}{place}" for place in range(1, len(stack) + 1)],
        "target_modules": _pattern(model),
    }
    training = model.training
    tuned = groups.put_on(model, lambda: BottleneckConfig(**config), names)
    for place, folder in enumerate(stack, 1):
        try:
            tuned.load_adapter(folder, f"{BENEATH}{place}", torch_device="cpu")
        except RuntimeError as error:
            raise MethodError(f"method.below: {folder} was trained for a model of another shape: {error}") from None
        # What was beneath it has a place of its own in this stack.
        cast(BottleneckConfig, tuned.peft_config[f"{BENEATH}{place}"]).below = []
    # Loading a frozen adapter puts the whole model into evaluation mode.
    return tuned.train(training)


def _stack(folder: Path) -> list[Path]:
    """The folders of a saved adapter and of those beneath it, lowest first."""
    if not (folder / "adapter_config.json").is_file():
        raise MethodError(
            f"method.below: there is no adapter in {folder} (no adapter_config.json); name the run, or the folder of "
            "one adapter where there is one for each task."
        )
    config = PeftConfig.from_pretrained(str(folder))
    if not isinstance(config, BottleneckConfig):
        kind = str(getattr(config.peft_type, "value", config.peft_type)).lower()
        raise MethodError(f"method.below: {folder} holds weights of kind {kind}; only bottleneck adapters are stacked.")
    # PEFT saves the default adapter in the folder itself, any other in a subfolder beside those beneath it.
    beside = folder if (folder / f"{BENEATH}1").is_dir() else folder.parent
    return [beside / name for name in config.below] + [folder]


def _pattern(model: PreTrainedModel) -> str:
    """A pattern for the names of the language model's blocks: a tower for images is left alone."""
    decoder = model.get_decoder()
    name = next(name for name, module in model.named_modules() if module is decoder)
    pattern = re.escape(f"{name}." if name else "") + rf"layers\.\d+\.({'|'.join(BLOCKS)})"
    if not any(re.fullmatch(pattern, one) for one, _ in model.named_modules()):
        raise MethodError(
            "method.kind: adapters stand on blocks named self_attn and mlp, as in Llama, Qwen, Gemma and Mistral; "
            f"{type(model).__name__} has none of these. Use lora, which finds a model's linear layers by itself."
        )
    return pattern
