"""Cross-entropy of the answers' tokens without ever holding their logits all at once.

TRL's own loss also keeps entropy and accuracy of each token and came to 1.7 times our time on two cores. Here logits
exist for `CHUNK` positions at a time: their gradient with respect to the hidden state is taken on the spot, which is
all that is needed while the output layer is frozen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from evaluators.sides import last_position
from trainer import kernels
from trainer.launch import deepspeed
from trainer.methods import MethodError, quick_layers
from trainer.methods.flat_rows import flatten

CHUNK = 256  # positions; 256 x 49,152 fp32 logits are 48 MiB
# Decoders whose logits are nothing but hidden state times output matrix: no bias, scale or soft cap.
PLAIN_HEADS = {"llama", "mistral", "qwen2", "qwen3", "phi3"}


class _FrozenHeadLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        losses = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(hidden), CHUNK):
            part, wanted = hidden[start : start + CHUNK], labels[start : start + CHUNK, None]
            logits = (part @ weight.T).float()
            normaliser = logits.logsumexp(-1, keepdim=True)
            losses[start : start + CHUNK] = (normaliser - logits.gather(-1, wanted))[:, 0]
            if gradient is not None:
                # d loss / d logits = softmax - one-hot
                logits.sub_(normaliser).exp_().scatter_add_(-1, wanted, -torch.ones_like(wanted, dtype=logits.dtype))
                gradient[start : start + CHUNK] = logits.to(weight.dtype) @ weight
        ctx.gradient = gradient
        return losses

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return ctx.gradient * upstream[0].to(ctx.gradient.dtype)[:, None], None, None


def answer_losses(
    hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The cross-entropy (nats) of each position whose next token is labelled, and the row that each belongs to.

    Shapes: hidden (batch, length, width), weight (vocabulary, width), labels (batch, length) with -100 where nothing is
    trained; position t predicts label t + 1; both results (positions,), row by row. Gradients flow to `hidden`, and to
    `weight` where it is trained: then each chunk's logits are computed a second time in the backward pass.
    """
    following = labels[:, 1:]
    kept = following != -100
    rows = kept.nonzero()[:, 0]
    found, wanted = hidden[:, :-1][kept], following[kept]
    if not weight.requires_grad:
        losses = _FrozenHeadLosses.apply(found, weight, wanted)
    else:
        parts = zip(found.split(CHUNK), wanted.split(CHUNK), strict=True)
        losses = torch.cat([_trained_head_losses(part, weight, ends) for part, ends in parts])
    assert isinstance(losses, torch.Tensor)
    return losses, rows


def kl_of_answers(target: torch.Tensor, found: torch.Tensor, head: torch.Tensor) -> torch.Tensor:
    """Sum over positions of KL(target || found) in nats, from what the output layer reads; no gradient to `target`.

    Shapes: target and found (positions, width), head (vocabulary, width).
    """
    total = torch.zeros((), device=found.device)
    for ends, part in zip(target.detach().split(CHUNK), found.split(CHUNK), strict=True):
        # Logits are computed a second time in the backward pass, so that they never exist for all positions.
        divergence = checkpoint(_kl, ends, part, head, use_reentrant=False)
        assert isinstance(divergence, torch.Tensor)
        total = total + divergence
    return total


def _kl(target: torch.Tensor, found: torch.Tensor, head: torch.Tensor) -> torch.Tensor:
    wanted, said = ((part @ one.T).float().log_softmax(-1) for part, one in ((target, head.detach()), (found, head)))
    return torch.nn.functional.kl_div(said, wanted, reduction="sum", log_target=True)


def has_plain_head(core: Any) -> bool:
    """Whether logits are nothing but the last hidden state times the output matrix."""
    return core.config.model_type in PLAIN_HEADS


def require_plain_head(model: Any, field: str, instead: str) -> None:
    """Raises `MethodError` naming the run file's field, and the way out, for a model without a plain head."""
    core = bare(model)
    if not has_plain_head(core):
        raise MethodError(
            f"{field}: models of the type {core.config.model_type} change their logits after the output layer, which "
            f"it does not know; {instead}."
        )


def bare(model: Any) -> Any:
    """The transformers model itself, without PEFT's and without what wraps it where several processes train."""
    model = getattr(model, "module", model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def final_hidden(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """What the output layer reads: (batch, length, width) for `input_ids` and `attention_mask` (batch, length).

    The whole model is called, so that virtual tokens are in front; their own positions are cut off again.
    """
    return _run(model, inputs, logits_to_keep=last_position(bare(model)))[0]


@dataclass
class Read:
    """What a model makes of a batch: what its output layer reads, that layer, and the logits where it is not plain.

    Shapes: hidden (batch, length, width), head (vocabulary, width), logits (batch, length, vocabulary).
    """

    hidden: torch.Tensor
    head: torch.Tensor
    logits: torch.Tensor | None

    def losses(self, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As `answer_losses`, whatever the head."""
        if self.logits is None:
            return answer_losses(self.hidden, self.head, labels)
        following = labels[:, 1:]
        kept = following != -100
        losses = torch.nn.functional.cross_entropy(self.logits[:, :-1][kept].float(), following[kept], reduction="none")
        return losses, kept.nonzero()[:, 0]


def read(model: Any, inputs: dict[str, torch.Tensor]) -> Read:
    """Let the whole model read `input_ids` and `attention_mask` (batch, length); see `final_hidden`."""
    core = bare(model)
    # ZeRO-3's shares are together while their layer reads alone, so that there it has to make the logits itself.
    plain = has_plain_head(core) and not deepspeed.is_share(core.get_output_embeddings().weight)
    hidden, logits = (final_hidden(model, inputs), None) if plain else _run(model, inputs)
    # Where the weights stay in the computer's memory (method.offload) the output layer visits like the others; where
    # each process has a share of it (FSDP2), it is whole after it was read.
    return Read(hidden, core.get_output_embeddings().weight.to(inputs["input_ids"].device), logits)


def _run(model: Any, inputs: dict[str, torch.Tensor], **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    caught: list[torch.Tensor] = []
    hook = bare(model).base_model.register_forward_hook(
        lambda module, arguments, output: caught.append(output.last_hidden_state)
    )
    tokens: dict[str, Any] = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    core, flat = bare(model), None
    quick = quick_layers.is_quick(core)
    if quick or kernels.reads_without_padding(model, core):
        # Whatever acts on embeddings sees them as they are in the batch, and gets its gradient for each row.
        embedded = core.get_input_embeddings()(tokens["input_ids"])
        once = quick and not (embedded.requires_grad or quick_layers.drops_out(core))
        flat = flatten(embedded, tokens["attention_mask"].bool(), once)
        tokens = {"inputs_embeds": flat.embedded, "position_ids": flat.position_ids}
        if quick:
            tokens["rows"] = flat.rows
    try:
        # A prefix is handed over as a cache all the same; without one, nothing is to be kept for a next token.
        output = model(**tokens, use_cache=False, **options)
    finally:
        hook.remove()
    if flat:
        return flat.in_batch(caught[0]), output.logits
    length = inputs["input_ids"].shape[1]
    return caught[0][:, -length:], output.logits[:, -length:]


def _trained_head_losses(hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    def losses(hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy((hidden @ weight.T).float(), labels, reduction="none")

    found = checkpoint(losses, hidden, weight, use_reentrant=False)
    assert isinstance(found, torch.Tensor)
    return found
