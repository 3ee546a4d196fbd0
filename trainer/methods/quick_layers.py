"""The layers of a decoder for training on a CPU: their passes written out by hand, and nothing computed for padding.

On two cores a step of a small model goes half into matrix products and half into everything around them. Here adapters
multiply in the base's precision and share one copy of their input, norms and gates keep one tensor for the backward
pass where transformers keeps five, and attention goes row by row, so that rows of unequal length need no padding and
what they begin with is computed once (`trainer.methods.flat_rows`). What is computed is what transformers and PEFT
compute, to the rounding of the base's precision; with the adapter switched off, its layers are the base's own.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch.nn import functional as F
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from trainer.method_sections import LoraMethod
from trainer.methods.flat_rows import Row
from trainer.sections import RunConfig

ROWS = "rows"
"""Name of the attention for rows that stand one behind the other."""

MODELS = {"llama", "qwen2", "qwen3"}
"""Decoders that are built of RMS norms, a gated SiLU, and full causal attention."""

LONGEST = 1024
"""Tokens of a row up to which its attention is computed here; beyond that PyTorch's own is as fast, and keeps less."""
KEPT = 512
"""Tokens of a row up to which the backward pass finds attention's weights kept; beyond that it computes them again."""
BLOCK = 128
"""Queries, about, that are computed together."""


def fits(run: RunConfig, settings: Any) -> bool:
    """Whether `quicken` is for this run, whose model has these settings (transformers'). Several processes wrap it."""
    return knows(run, settings) and run.hardware.processes * run.hardware.machines == 1


def knows(run: RunConfig, settings: Any) -> bool:
    """Whether this run's model is one that `quicken` knows, however many processes train it: what goes by this is the
    same with one as with two.

    Of a 4-bit base the products are bitsandbytes' own, and EWC asks for gradients of the frozen weights too.
    """
    plain = isinstance(run.method, LoraMethod) and not run.method.dora and run.model.quantization == "none"
    return (
        plain
        and run.hardware.device == "cpu"
        and not run.steering.ewc
        and settings.model_type in MODELS
        and settings.hidden_act == "silu"
        and "sliding_attention" not in (getattr(settings, "layer_types", None) or ())
    )


def quicken(model: Any) -> None:
    """Let a PEFT model with LoRA adapters go through these layers from now on. It is changed in place."""
    from peft.tuners.lora import Linear

    for part in model.modules():
        if isinstance(part, Linear):
            _instead(part, _adapted)
        elif type(part).__name__.endswith("RMSNorm"):
            _instead(part, _normed)
        elif type(part).__name__.endswith("MLP"):
            _instead(part, _gated)
    ALL_ATTENTION_FUNCTIONS.register(ROWS, _attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(ROWS, sdpa_mask)
    model.get_base_model().config._attn_implementation = ROWS


def is_quick(core: Any) -> bool:
    """Whether a transformers model takes rows one behind the other (`quicken`)."""
    return core.config._attn_implementation == ROWS


def drops_out(core: Any) -> bool:
    """Whether something is dropped at random now, so that equal tokens of two rows are not computed alike."""
    return any(type(part) is torch.nn.Dropout and part.training and part.p > 0 for part in core.modules())


def _instead(part: Any, forward: Callable[..., Any]) -> None:
    part.plain_forward = part.forward
    part.forward = types.MethodType(forward, part)


def _adapted(self: Any, x: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
    names = [name for name in self.active_adapters if name in self.lora_A]
    if options or len(names) != 1 or self.disable_adapters or self.merged:
        return self.plain_forward(x, *arguments, **options)
    (name,) = names
    base, rows = self.base_layer, x.reshape(-1, x.shape[-1])
    read = self.lora_dropout[name](rows)
    factors = self.lora_A[name].weight, self.lora_B[name].weight
    out = _Adapted.apply(rows, read, base.weight, base.bias, *factors, self.scaling[name])
    assert isinstance(out, torch.Tensor)
    return out.view(*x.shape[:-1], -1)


class _Adapted(torch.autograd.Function):
    """x W' + b + s (r A') B' for a frozen W; r is x, or x with some of it dropped. All shapes are (tokens, width)."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        read: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        first: torch.Tensor,
        second: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        first, second = first.to(x.dtype), (second * scale).to(x.dtype)
        inner = read @ first.T
        ctx.save_for_backward(read, inner, weight, first, second)
        ctx.scale, ctx.same = scale, read is x
        return F.linear(x, weight, bias).addmm_(inner, second.T)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        read, inner, weight, first, second = ctx.saved_tensors
        (above,) = upstream
        at_inner = above @ second
        to_first = (at_inner.T @ read).float()
        # The other way round this takes half as long again.
        to_second = (inner.T @ above).T.float().mul_(ctx.scale)
        to_x = above @ weight if ctx.needs_input_grad[0] else None
        to_read = None
        if ctx.needs_input_grad[1]:
            if ctx.same and to_x is not None:
                to_x.addmm_(at_inner, first)
            else:
                to_read = at_inner @ first
        return to_x, to_read, None, None, to_first, to_second, None


def _normed(self: Any, x: torch.Tensor) -> torch.Tensor:
    out = _Normed.apply(x, self.weight, self.variance_epsilon)
    assert isinstance(out, torch.Tensor)
    return out


class _Normed(torch.autograd.Function):
    """The root-mean-square norm of the last dimension, times a frozen weight (Zhang and Sennrich 2019)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        exact = x.float()
        squares = torch.linalg.vector_norm(exact, dim=-1, keepdim=True).square_()
        factor = squares.div_(x.shape[-1]).add_(epsilon).rsqrt_()
        normed = (exact * factor).to(x.dtype)
        ctx.save_for_backward(normed, factor, weight)
        return normed * weight

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        normed, factor, weight = ctx.saved_tensors
        above = upstream[0] * weight
        along = (above * normed).sum(-1, keepdim=True, dtype=torch.float32).div_(normed.shape[-1])
        return torch.addcmul(above, normed, along.to(above.dtype), value=-1).mul_(factor.to(above.dtype)), None, None


def _gated(self: Any, x: torch.Tensor) -> torch.Tensor:
    return self.down_proj(_Gated.apply(self.gate_proj(x), self.up_proj(x)))


class _Gated(torch.autograd.Function):
    """silu(gate) * up; the backward pass computes silu(gate) again instead of keeping it."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gate, up = ctx.saved_tensors
        (above,) = upstream
        return torch.ops.aten.silu_backward(above * up, gate), F.silu(gate).mul_(above)


def _attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    rows: list[Row] | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """As transformers asks for it: query (1, heads, tokens, width), key and value with fewer heads.

    `rows`: those that stand one behind the other; without it, attention is transformers' own. Returns (1, tokens,
    heads, width).
    """
    if rows is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    found = []
    for row, *parts in zip(
        rows, *(one.split([row.own for row in rows], 2) for one in (query, key, value)), strict=True
    ):
        if row.places is not None:
            parts[1:] = (one.index_select(2, row.places) for one in (key, value))
        length = parts[1].shape[2]
        if length <= LONGEST:
            found.append(_Attention.apply(*parts, scaling))
        elif row.places is None:
            found.append(F.scaled_dot_product_attention(*parts, is_causal=True, scale=scaling, enable_gqa=True))
        else:
            past = torch.ones(row.own, length, dtype=torch.bool).tril_(length - row.own)
            found.append(F.scaled_dot_product_attention(*parts, attn_mask=past, scale=scaling, enable_gqa=True))
    return torch.cat(found, dim=2).transpose(1, 2), None


class _Attention(torch.autograd.Function):
    """Causal attention of a row's last tokens, or all, (1, heads, queries, width), to all of it.

    It goes by blocks of queries, each with the tokens that its last one sees: so nearly half of the products is never
    computed. The queries of all heads that share a key are one matrix. Scores are in fp32, and so is what is taken from
    them in the backward pass: both are small differences of large numbers.
    """

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
        key, value = key[0], value[0]
        groups, length, width = key.shape
        query = query.reshape(groups, -1, query.shape[2], width).contiguous()
        found, kept = [], []
        for at, seen in _blocks(query.shape[2], length):
            asked = query.narrow(2, *at).reshape(groups, -1, width)
            weights = _weights(asked, key.narrow(1, 0, seen), at[1], scale)
            found.append(torch.bmm(weights, value.narrow(1, 0, seen)).view(groups, -1, at[1], width))
            if length <= KEPT:
                kept.append(weights)
        out = _joined(found)
        ctx.save_for_backward(query, key, value, out, *kept)
        ctx.scale = scale
        return out.view(1, -1, *out.shape[2:])

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, out, *kept = ctx.saved_tensors
        groups, length, width = key.shape
        above = upstream[0].reshape(query.shape).contiguous()
        along = (above * out).sum(-1, keepdim=True, dtype=torch.float32)
        exact = value.transpose(1, 2).float()
        found = []
        to_key = to_value = key.new_empty(0)
        for number, (at, seen) in enumerate(_blocks(query.shape[2], length)):
            asked, block = (one.narrow(2, *at).reshape(groups, -1, width) for one in (query, above))
            weights = kept[number] if kept else _weights(asked, key.narrow(1, 0, seen), at[1], ctx.scale)
            to_weights = torch.bmm(block.float(), exact.narrow(2, 0, seen))
            to_scores = to_weights.sub_(along.narrow(2, *at).reshape(groups, -1, 1)).mul_(weights).mul_(ctx.scale)
            to_scores = to_scores.to(query.dtype)
            found.append(torch.bmm(to_scores, key.narrow(1, 0, seen)).view(groups, -1, at[1], width))
            if number == 0:  # the last block, which sees the whole row
                to_key = torch.bmm(to_scores.transpose(1, 2), asked)
                to_value = torch.bmm(weights.transpose(1, 2), block)
            else:
                to_key.narrow(1, 0, seen).baddbmm_(to_scores.transpose(1, 2), asked)
                to_value.narrow(1, 0, seen).baddbmm_(weights.transpose(1, 2), block)
        return _joined(found).view(1, -1, *query.shape[2:]), to_key[None], to_value[None], None


def _joined(blocks: list[torch.Tensor]) -> torch.Tensor:
    """What was computed of the blocks, (groups, heads of each, queries, width), the last one first, as one."""
    return torch.cat(blocks[::-1], 2) if len(blocks) > 1 else blocks[0]


def _blocks(asked: int, length: int) -> list[tuple[tuple[int, int], int]]:
    """Where each block of queries begins, its length, and how many of the row's tokens it sees; the last one first."""
    count = max(1, round(asked / BLOCK))
    ends = [asked * number // count for number in range(count + 1)]
    return [((begin, end - begin), length - asked + end) for begin, end in reversed([*pairwise(ends)])]


def _weights(query: torch.Tensor, key: torch.Tensor, asked: int, scale: float) -> torch.Tensor:
    """(groups, queries, length) of (groups, queries, width) and (groups, length, width); the queries of each head are
    the last `asked` tokens."""
    length = key.shape[1]
    scores = torch.bmm(query.float() * scale, key.transpose(1, 2).float()).view(len(key), -1, asked, length)
    future = torch.full((asked, length), float("-inf")).triu_(1 + length - asked)
    return scores.add_(future).softmax(-1).to(query.dtype).view(*query.shape[:2], length)
