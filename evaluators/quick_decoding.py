"""The next token of several conversations on a CPU, without what a model's own call costs around the arithmetic.

What a token costs on a CPU is reading the weights. Here they are read once for all rows, base and tuned, in the order
in which oneDNN multiplies them (a second copy of the weights); layers that read the same input are one product, a row's
low-rank adapter works on that row alone, and keys and values stand in a cache whose size is known beforehand. What
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

if TYPE_CHECKING:
    from transformers import DynamicCache

MODELS = {"llama", "qwen2", "qwen3"}
"""Decoders that are built of RMS norms, a gated SiLU, and full causal attention."""
_multiply = torch.ops.mkldnn._linear_pointwise.default
_multiply_and_add = torch.ops.mkldnn._linear_pointwise.binary
_ROWS = 4
"""Of a product in bf16: oneDNN multiplies four rows in less time than one, two or three."""
_COLUMNS = 32
"""Of a product: oneDNN reads weights in blocks of so many."""


@dataclass
class _Product:
    """Linear layers that read the same input, as one: their weights one beneath the other.

    Beside them stand the second matrices of their LoRA adapters, which are multiplied by what the first ones (`first`,
    in fp32 as PEFT computes it) make of the input: one pass over the weights reads both.
    """

    packed: torch.Tensor
    """(out, in + rank), filled up to whole blocks"""
    bias: torch.Tensor | None
    first: torch.Tensor | None
    """(rank, in), of all layers and adapters one beneath the other; None where no layer has an adapter."""
    owners: list[str]
    """The adapter that each of `first`'s rows is of."""
    width: int
    """in"""

    def __call__(self, given: _Input, added: torch.Tensor | None = None) -> torch.Tensor:
        """(rows, in) to (rows, out); `added` (rows, out): what the result is added to."""
        if self.first is not None and given.tuned is not None:
            inner = F.linear(given.tuned.float(), self.first)
            if given.own is not None:
                inner *= given.own
            given.inner.copy_(inner)
        if added is None:
            return _multiply(given.whole, self.packed, self.bias, "none", [], "")
        return _multiply_and_add(given.whole, added, self.packed, self.bias, "add")


class _Input:
    """What products of the same width and adapters read: the input, and behind it what adapters make of it."""

    def __init__(self, product: _Product, rows: Sequence[str], count: int, dtype: torch.dtype):
        width, owners = product.width, product.owners
        self.whole = torch.zeros(count, width + len(owners) + _empty(owners), dtype=dtype)
        self.plain = self.whole[:, :width]
        tuned = [row for row, name in enumerate(rows) if name in owners]
        self.tuned: torch.Tensor | None = None
        self.own: torch.Tensor | None = None
        """(rows, rank): 1 where a number is of the row's own adapter; None where all rows have the same."""
        if not tuned:
            return
        span = slice(tuned[0], tuned[-1] + 1)
        self.tuned, self.inner = self.plain[span], self.whole[span, width : width + len(owners)]
        own = torch.tensor([[float(name == owner) for owner in owners] for name in rows[span]])
        self.own = None if own.all() else own


def _empty(owners: Sequence[str]) -> int:
    """Columns that fill up the last block."""
    return -len(owners) % _COLUMNS


class _Norm:
    """An RMS norm in fewer operations: beside the weights, their number is what a token costs."""

    def __init__(self, norm: Any):
        self.weight: torch.Tensor = norm.weight
        self.least = torch.tensor(norm.variance_epsilon)

    def __call__(self, x: torch.Tensor, out: torch.Tensor) -> None:
        """(..., width) to the same, into `out`."""
        exact = x.float()
        length = torch.linalg.vector_norm(exact, dim=-1, keepdim=True)
        scale = torch.addcmul(self.least, length, length, value=1 / x.shape[-1]).rsqrt_()
        torch.mul((exact * scale).to(x.dtype), self.weight, out=out)


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
        self._set_inputs()

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Go on with these rows alone; called as a cache's method of this name is."""
        self._rows = [self._rows[row] for row in indices.tolist()]
        self._kept = self._kept[:, :, indices]
        self._places = self._places[indices]
        if self._unseen is not None:
            self._unseen = self._unseen[indices]
        self._set_inputs()

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
        hidden = F.pad(hidden, (0, 0, 0, self._count - rows))
        found = torch.zeros(len(hidden), heads * width)
        by_heads = found[:rows].view(rows * groups, -1, width)
        # Of all layers at once: each view of a tensor costs a microsecond or two.
        places = self._kept[..., at, :].unbind()
        keys = self._kept[:, 0, ..., :length, :].flatten(1, 2).mT.unbind()
        values = self._kept[:, 1, ..., :length, :].flatten(1, 2).unbind()
        for layer, given, place, key, value in zip(weights.layers, self._inputs, places, keys, values, strict=True):
            asked, mixed, gate_and_up, down = given
            layer.before_attention(hidden, asked.plain)
            out = layer.asked(asked)[:rows].view(rows, -1, width).float()
            turned = out[:, : heads + groups]
            if layer.of_heads:
                for norm, one in zip(layer.of_heads, turned.split([heads, groups], 1), strict=True):
                    norm(one.to(weights.dtype), one)
            halves = turned.unflatten(-1, (2, -1)).flip(2).flatten(2)
            turned.mul_(cos).addcmul_(halves, sin)
            place.copy_(out[:, heads:].view(rows, 2, groups, width).transpose(0, 1))
            queries = (out[:, :heads] * weights.scale).view(rows * groups, -1, width)
            scores = torch.bmm(queries, key)
            if unseen is not None:
                scores += unseen
            torch.bmm(scores.softmax(-1), value, out=by_heads)
            mixed.plain.copy_(found)
            hidden = layer.mixed(mixed, hidden)
            layer.before_mlp(hidden, gate_and_up.plain)
            gate, up = layer.gate_and_up(gate_and_up).chunk(2, -1)
            torch.mul(F.silu(gate), up, out=down.plain)
            hidden = layer.down(down, hidden)
        weights.last(hidden, self._of_head.plain)
        return weights.head(self._of_head)[:rows, None]

    def _set_inputs(self) -> None:
        """Where the products' inputs are written; one place for all layers whose adapters are alike."""
        rows, weights = self._rows, self._weights
        self._count = len(rows) + (-len(rows) % _ROWS if weights.dtype == torch.bfloat16 else 0)
        known: dict[tuple[object, ...], _Input] = {}

        def given(product: _Product) -> _Input:
            key = (product.width, *product.owners)
            if key not in known:
                known[key] = _Input(product, rows, self._count, weights.dtype)
            return known[key]

        self._inputs = [
            [given(one) for one in (layer.asked, layer.mixed, layer.gate_and_up, layer.down)]
            for layer in weights.layers
        ]
        self._of_head = given(weights.head)


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
    weight = torch.cat([one.weight.data for one in layers])
    biases = [one.bias.data for one in layers if one.bias is not None]
    outs = [one.out_features for one in layers]
    firsts, seconds, owners = [], [], []
    for name in dict.fromkeys(name for part in parts for name in getattr(part, "lora_A", ())):
        for number, part in enumerate(parts):
            if name not in getattr(part, "lora_A", ()):
                continue
            firsts.append(part.lora_A[name].weight.data.float())
            second = part.lora_B[name].weight.data.float() * part.scaling[name]
            seconds.append(F.pad(second, (0, 0, sum(outs[:number]), sum(outs[number + 1 :]))))
            owners += [name] * second.shape[1]
    first = None
    if firsts:
        first = torch.cat(firsts)
        weight = torch.cat([weight, F.pad(torch.cat(seconds, 1), (0, _empty(owners))).to(weight.dtype)], 1)
    return _Product(
        packed=torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS),
        bias=torch.cat(biases) if biases else None,
        first=first,
        owners=owners,
        width=layers[0].in_features,
    )
