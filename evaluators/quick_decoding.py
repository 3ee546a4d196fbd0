"""The next token of several conversations on a CPU, without what a model's own call costs around the arithmetic.

What a token costs on a CPU is reading the weights. Here they are read once for all rows, base and tuned, in the order
in which oneDNN multiplies them (a second copy of the weights); layers that read the same input are one product, a row's
low-rank adapter is added to that row alone, and keys and values stand in a cache whose size is known beforehand. What
is computed is what transformers and PEFT compute, to the rounding of the base's precision; the rest of an answer, from
reading its prompt to choosing its tokens, is `evaluators.generation`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from evaluators.generation import BASE

if TYPE_CHECKING:
    from transformers import DynamicCache

MODELS = {"llama", "qwen2", "qwen3"}
"""Decoders that are built of RMS norms, a gated SiLU, and full causal attention."""
_multiply = torch.ops.mkldnn._linear_pointwise.default
_multiply_and_add = torch.ops.mkldnn._linear_pointwise.binary
_ROWS = 4
"""Of a product in bf16: oneDNN multiplies four rows in less time than one, two or three."""


@dataclass
class _Product:
    """Linear layers that read the same input, as one: their weights one beneath the other."""

    parts: list[Any]
    packed: torch.Tensor
    bias: torch.Tensor | None

    def __call__(self, x: torch.Tensor, low_rank: _LowRank | None, added: torch.Tensor | None = None) -> torch.Tensor:
        """(rows, in) to (rows, out); `added` (rows, out): what the result is added to."""
        if added is None:
            out = _multiply(x, self.packed, self.bias, "none", [], "")
        else:
            out = _multiply_and_add(x, added, self.packed, self.bias, "add")
        if low_rank is not None:
            inner = F.linear(x[low_rank.rows].float(), low_rank.first)
            if low_rank.own is not None:
                inner *= low_rank.own
            out[low_rank.rows].add_(F.linear(inner, low_rank.second))
        return out


@dataclass
class _LowRank:
    """What adapters add to a product, in fp32 as PEFT computes it: those of all its layers and of all rows as one."""

    rows: slice
    first: torch.Tensor
    second: torch.Tensor
    own: torch.Tensor | None
    """(rows, rank): 1 where a number is of the row's own adapter; None where all rows have the same."""


class _Norm:
    """An RMS norm in fewer operations: beside the weights, their number is what a token costs."""

    def __init__(self, norm: Any):
        self.weight: torch.Tensor = norm.weight
        self.least = torch.tensor(norm.variance_epsilon)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(..., width) to the same."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        scale = torch.addcmul(self.least, length, length, value=1 / x.shape[-1]).rsqrt_()
        return (x * scale).to(x.dtype).mul_(self.weight)


@dataclass
class _Layer:
    before_attention: _Norm
    asked: _Product
    """Queries, keys and values."""
    of_heads: tuple[_Norm, _Norm] | None
    """The norms of queries and of keys, in models that have them."""
    mixed: _Product
    before_mlp: _Norm
    gate_and_up: _Product
    down: _Product


class QuickWeights:
    """A model's weights as they are read here, made by `prepare`. The model must not be changed or moved meanwhile."""

    def __init__(self, core: Any):
        config = core.config
        self.core = core
        self.dtype: torch.dtype = core.dtype
        self.heads, self.groups = config.num_attention_heads, config.num_key_value_heads
        attention = core.model.layers[0].self_attn
        self.width, self.scale = attention.head_dim, attention.scaling
        self.layers = [
            _Layer(
                before_attention=_Norm(layer.input_layernorm),
                asked=_product(layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj),
                of_heads=_norms_of_heads(layer.self_attn) if config.model_type == "qwen3" else None,
                mixed=_product(layer.self_attn.o_proj),
                before_mlp=_Norm(layer.post_attention_layernorm),
                gate_and_up=_product(layer.mlp.gate_proj, layer.mlp.up_proj),
                down=_product(layer.mlp.down_proj),
            )
            for layer in core.model.layers
        ]
        self.last = _Norm(core.model.norm)
        self.head = _product(core.lm_head)

    def after(
        self, cache: DynamicCache, adapters: Sequence[str], mask: torch.Tensor | None, longest: int
    ) -> QuickDecoding:
        """Go on where the model has read its prompts: `longest` more tokens at most, an adapter's name or `BASE` a row.

        `mask` (rows, tokens): 0 where a prompt was padded on its left.
        """
        return QuickDecoding(self, cache, adapters, mask, longest)

    def close(self) -> None:
        """Give their memory back now, even where an answer was left in the middle; it cannot go on."""
        self.layers.clear()
        del self.head


class QuickDecoding:
    """Conversations under way: their keys and values, each with its adapter."""

    def __init__(
        self, weights: QuickWeights, cache: DynamicCache, adapters: Sequence[str], mask: torch.Tensor | None, more: int
    ):
        self._weights = weights
        self._rows = list(adapters)
        self._length = cache.get_seq_length()
        rows, width = len(self._rows), weights.width
        # In fp32: attention's small products are quicker in it. Memory of tokens that are never said is not touched.
        self._kept = torch.empty(len(weights.layers), 2, rows, weights.groups, self._length + more, width)
        layer: Any
        for kept, layer in zip(self._kept, cache.layers, strict=True):
            kept[..., : self._length, :] = torch.stack([layer.keys, layer.values])
        self._places = mask.sum(-1, keepdim=True) if mask is not None else torch.full((rows, 1), self._length)
        self._unseen: torch.Tensor | None = None
        if mask is not None:
            self._unseen = torch.zeros(rows, 1, self._length + more)
            self._unseen[:, 0, : self._length].masked_fill_(mask == 0, float("-inf"))
        self._set_low_rank()

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Go on with these rows alone; called as a cache's method of this name is."""
        self._rows = [self._rows[row] for row in indices.tolist()]
        self._kept = self._kept[:, :, indices]
        self._places = self._places[indices]
        if self._unseen is not None:
            self._unseen = self._unseen[indices]
        self._set_low_rank()

    def read(self, tokens: torch.Tensor) -> torch.Tensor:
        """The logits (rows, 1, vocabulary) after each row's next token (rows, 1)."""
        weights, rows, at = self._weights, len(self._rows), self._length
        self._length = length = at + 1
        heads, groups, width = weights.heads, weights.groups, weights.width
        hidden = weights.core.model.embed_tokens(tokens[:, 0])
        cos, sin = (one.float() for one in weights.core.model.rotary_emb(hidden, self._places))
        sin[..., : width // 2].neg_()  # which halves turn against each other
        self._places = self._places + 1
        unseen = None
        if self._unseen is not None:
            unseen = self._unseen[..., :length].repeat_interleave(groups, 0)
        empty = -rows % _ROWS if weights.dtype == torch.bfloat16 else 0
        hidden = F.pad(hidden, (0, 0, 0, empty))
        found = torch.zeros(len(hidden), heads * width)
        by_heads = found[:rows].view(rows * groups, -1, width)
        # Of all layers at once: each view of a tensor costs a microsecond or two.
        places = self._kept[..., at, :].unbind()
        keys = self._kept[:, 0, ..., :length, :].flatten(1, 2).mT.unbind()
        values = self._kept[:, 1, ..., :length, :].flatten(1, 2).unbind()
        for number, layer in enumerate(weights.layers):
            asked, mixed, gate_and_up, down = self._low_rank[number]
            out = layer.asked(layer.before_attention(hidden), asked)[:rows].view(rows, -1, width).float()
            turned = out[:, : heads + groups]
            if layer.of_heads:
                for norm, one in zip(layer.of_heads, turned.split([heads, groups], 1), strict=True):
                    one.copy_(norm(one.to(weights.dtype)))
            halves = turned.unflatten(-1, (2, -1)).flip(2).flatten(2)
            turned.mul_(cos).addcmul_(halves, sin)
            places[number].copy_(out[:, heads:].view(rows, 2, groups, width).transpose(0, 1))
            queries = (out[:, :heads] * weights.scale).view(rows * groups, -1, width)
            scores = torch.bmm(queries, keys[number])
            if unseen is not None:
                scores += unseen
            torch.bmm(scores.softmax(-1), values[number], out=by_heads)
            hidden = layer.mixed(found.to(weights.dtype), mixed, hidden)
            gate, up = layer.gate_and_up(layer.before_mlp(hidden), gate_and_up).chunk(2, -1)
            hidden = layer.down(F.silu(gate).mul_(up), down, hidden)
        return weights.head(weights.last(hidden), self._of_head)[:rows, None]

    def _set_low_rank(self) -> None:
        self._low_rank = [
            [_low_rank(one, self._rows) for one in (layer.asked, layer.mixed, layer.gate_and_up, layer.down)]
            for layer in self._weights.layers
        ]
        self._of_head = _low_rank(self._weights.head, self._rows)


def prepare(model: Any, spare: int) -> QuickWeights | None:
    """Its weights in the order in which a CPU multiplies them, where the model is one that is known here.

    It is bare or wrapped by PEFT, in which case its LoRA adapters may answer, base and tuned in one batch. None for
    other kinds of adapter, models, devices and precisions, and where the copy would take more than `spare` bytes.
    """
    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    if not _is_known(core) or sum(one.weight.nbytes for one in map(_base_layer, _linears(core))) > spare:
        return None
    with torch.inference_mode():
        return QuickWeights(core)


def _is_known(core: Any) -> bool:
    config = core.config
    if (
        config.model_type not in MODELS
        or config.hidden_act != "silu"
        or "sliding_attention" in (getattr(config, "layer_types", None) or ())
        or core.device.type != "cpu"
        or core.dtype not in (torch.bfloat16, torch.float32)
        or not torch.backends.mkldnn.is_available()
        or (core.dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported())
    ):
        return False
    norms = [norm for layer in core.model.layers for norm in (layer.input_layernorm, layer.post_attention_layernorm)]
    blocks = [block for layer in core.model.layers for block in (layer.self_attn, layer.mlp)]
    return (
        type(core.model.embed_tokens) is nn.Embedding
        # Adapters that wrap a norm or a block are other kinds than LoRA.
        and all(type(one).__module__.startswith("transformers.models.") for one in (*norms, *blocks, core.model.norm))
        and all(_is_plain(one) for one in _linears(core))
        and all(_base_layer(one).weight.dtype == core.dtype for one in _linears(core))
    )


def _is_plain(part: Any) -> bool:
    """Whether a layer is linear, bare or with plain LoRA adapters beside it."""
    if type(part) is nn.Linear:
        return True
    if not hasattr(part, "lora_A"):
        return False
    from peft.tuners.lora import Linear

    plain = type(part) is Linear and type(part.base_layer) is nn.Linear and not part.merged
    return plain and not part.lora_variant and not any(part.lora_bias.values())


def _linears(core: Any) -> Iterator[Any]:
    for layer in core.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        yield from (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
        yield from (mlp.gate_proj, mlp.up_proj, mlp.down_proj)
    yield core.lm_head


def _base_layer(part: Any) -> nn.Linear:
    return getattr(part, "base_layer", part)


def _norms_of_heads(attention: Any) -> tuple[_Norm, _Norm]:
    return _Norm(attention.q_norm), _Norm(attention.k_norm)


def _product(*parts: Any) -> _Product:
    layers = [_base_layer(part) for part in parts]
    packed = torch.ops.mkldnn._reorder_linear_weight(torch.cat([one.weight.data for one in layers]), _ROWS)
    biases = [one.bias.data for one in layers if one.bias is not None]
    return _Product(list(parts), packed, torch.cat(biases) if biases else None)


@torch.inference_mode()
def _low_rank(product: _Product, rows: Sequence[str]) -> _LowRank | None:
    """What the adapters of `rows` add to a product; None where none adds anything."""
    tuned = [row for row, name in enumerate(rows) if name != BASE]
    outs = [_base_layer(part).out_features for part in product.parts]
    firsts, seconds, owners = [], [], []
    for name in dict.fromkeys(rows[row] for row in tuned):
        for number, part in enumerate(product.parts):
            if name not in getattr(part, "lora_A", ()):
                continue
            firsts.append(part.lora_A[name].weight.float())
            second = part.lora_B[name].weight.float() * part.scaling[name]
            seconds.append(F.pad(second, (0, 0, sum(outs[:number]), sum(outs[number + 1 :]))))
            owners += [name] * second.shape[1]
    if not firsts:
        return None
    span = slice(tuned[0], tuned[-1] + 1)
    own = torch.tensor([[float(name == owner) for owner in owners] for name in rows[span]])
    return _LowRank(span, torch.cat(firsts), torch.cat(seconds, 1), None if own.all() else own)
