"""Whether an export answers as the run does: same tokens of the prompt, same logits, same greedy answers.

The folder is loaded as a stranger would load it: plain transformers (and PEFT for an adapter), its own tokenizer, its
own chat template. The run's side is its adapter on the unquantised base, not merged. Both compute in fp32 where that
fits into memory, so that what differs is the export's weights and not how they are multiplied.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from evaluators import generation
from evaluators.generation import Messages
from trainer import models, runs
from trainer.export import ExportError
from trainer.export.merge import Precision, in_full, load_adapted, own_precision
from trainer.export.prompts import compare_prompts, own_tokenizer, render, stranger_tokenizer
from trainer.export.questions import ANSWER_TOKENS, questions
from trainer.methods import saved
from trainer.model_refs import ModelRef
from trainer.models import Progress
from trainer.runs import Run
from trainer.tuned import Tuned

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

TOLERANCE: dict[Precision, float] = {"fp32": 1e-3, "fp16": 0.02, "bf16": 0.15}
"""How far a logit may be off, in standard deviations of a prompt's logits, by the coarser of the precisions that the
weights are saved and compared in.

A weight that is rounded is off by up to 2^-9 of itself in bf16, 2^-12 in fp16. Over the layers of a model that adds up
to a few hundredths of the logits' spread for the largest of some 50,000 logits: 0.04 was measured with the embedded
model in bf16, and four times that is allowed. In fp32 only the order of additions differs."""
LOST = 0.5
"""Largest share of what the tuning changed that rounding may take away."""
_NEXT = 5  # likeliest tokens of each place that are kept, to tell a tie from a difference


class Against(BaseModel):
    """The merged model against the run as it was trained and measured, on its 4-bit base; told, not judged."""

    largest_difference: float
    equal_answers: int


class Parity(BaseModel):
    """What the check found. Differences are of next-token logits, of centred ones, after each question."""

    questions: int
    saved_in: Precision
    compared_in: Precision
    largest_difference: float
    tolerance: float
    """In logits: `TOLERANCE` times their standard deviation here."""
    equal_answers: int
    """Of the questions: greedy answers that are equal token by token."""
    ties: int
    """Answers that part at two tokens that were as likely, within the tolerance."""
    error: float
    """Root mean square difference to the run's side."""
    effect: float | None = None
    """Root mean square difference between the run's tuned and base model; None for a base."""
    as_trained: Against | None = None

    def sentence(self) -> str:
        """The result in words."""
        said = (
            f"{self.equal_answers} of {self.questions} greedy answers equal the run's, logits at most "
            f"{self.largest_difference:.2g} apart (allowed {self.tolerance:.2g}, saved in {self.saved_in})."
        )
        if self.ties:
            said += f" The other {self.ties} part at two words that were as likely, within that rounding."
        if self.as_trained:
            said += (
                f" The run as it was trained, on its 4-bit base, gives {self.as_trained.equal_answers} of these answers"
                f" (logits up to {self.as_trained.largest_difference:.2g} apart)."
            )
        return said


def check(
    model: ModelRef,
    folder: Path,
    progress: Progress = lambda stage, done, total: None,
    *,
    adapter: str | None = None,
    saved_in: Precision = "fp32",
) -> Parity:
    """Compare an export with its run on 20 questions; `saved_in`: the precision of its weights.

    Raises `ExportError` that says where they differ: prompts rendered otherwise, logits further apart than the
    precision explains, an answer that parts where the run was sure, or rounding that takes away what was learnt.
    """
    run = runs.get(model.run)
    asked = questions(run.config)
    progress("comparing the chat templates", 0, 1)
    theirs = stranger_tokenizer(folder)
    compare_prompts(
        lambda messages: render(theirs, messages),
        lambda prompt: theirs(prompt, add_special_tokens=False)["input_ids"],
        own_tokenizer(run),
        asked,
        folder.name,
    )
    device, compared_in = _place(run, folder, saved_in)
    total = len(asked)
    progress("the run answers", 0, total)
    here, base = _of_run(run, model, adapter, compared_in, device, asked, progress)
    progress("the export answers", 0, total)
    there = _of_folder(run, folder, adapter, compared_in, device, asked, progress)
    spread = sum(float(one.first.std()) for one in here) / total
    found = _compared(here, there, TOLERANCE[max(saved_in, compared_in, key=TOLERANCE.__getitem__)] * spread)
    result = Parity(
        questions=total,
        saved_in=saved_in,
        compared_in=compared_in,
        effect=_rms(here, base) if base else None,
        **found,
    )
    _judge(result, here, there, asked)
    if run.config.model.quantization != "none" and not model.is_base:
        progress("the run answers on its 4-bit base", 0, total)
        trained = Tuned(run, part=model.part)
        trained.choose([adapter] if adapter else [])
        quantised = _replies(trained.side(tuned=True), trained.tokenizer, asked, True, _limit(run))
        result.as_trained = Against(
            largest_difference=_largest(quantised, there),
            equal_answers=sum(one.tokens == two.tokens for one, two in zip(quantised, there, strict=True)),
        )
    return result


@dataclass
class _Reply:
    """One answer: the logits after the question (vocabulary; centred), its tokens, and each place's likeliest."""

    first: torch.Tensor
    tokens: list[int] = field(default_factory=list)
    likeliest: list[dict[int, float]] = field(default_factory=list)


def _of_run(
    run: Run,
    model: ModelRef,
    adapter: str | None,
    precision: Precision,
    device: str,
    asked: list[Messages],
    progress: Progress,
) -> tuple[list[_Reply], list[_Reply] | None]:
    """The run's replies, and its base's to the first token (None where the base is what is exported)."""
    loaded, tokenizer = load_adapted(run, model, precision, adapter, device)
    found = _replies(
        loaded, tokenizer, asked, True, _limit(run), lambda done: progress("the run answers", done, len(asked))
    )
    if model.is_base:
        return found, None
    if getattr(loaded, "is_fully_tuned", False):
        loaded = None
        gc.collect()
        loaded, tokenizer, _ = models.load_base(in_full(run.config, precision, device))
    return found, _replies(loaded.eval(), tokenizer, asked, False, 1)


def _of_folder(
    run: Run,
    folder: Path,
    adapter: str | None,
    precision: Precision,
    device: str,
    asked: list[Messages],
    progress: Progress,
) -> list[_Reply]:
    from transformers import AutoModelForCausalLM

    gc.collect()
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        models.find(run.config.model.name).folder if _is_adapter(folder) else folder,
        dtype=models.resolve_dtype(precision, device),
        device_map=device,
        use_safetensors=True,
        trust_remote_code=False,
    )
    if run.config.method.kind == "adapter":
        loaded = saved.load(loaded, folder)  # of a kind that PEFT alone does not know
        saved.choose(loaded, [adapter] if adapter else saved.names(folder)[:1])
    elif _is_adapter(folder):
        from peft import PeftModel

        own = folder / (adapter or "")
        loaded = PeftModel.from_pretrained(loaded, str(own if own.is_dir() else folder))
    tokenizer = stranger_tokenizer(folder)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return _replies(
        loaded.eval(),
        tokenizer,
        asked,
        True,
        _limit(run),
        lambda done: progress("the export answers", done, len(asked)),
    )


def _is_adapter(folder: Path) -> bool:
    return any(folder.glob(f"**/{saved.CONFIG}"))


def _replies(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    asked: list[Messages],
    tuned: bool,
    limit: int,
    progress: Any = lambda done: None,
) -> list[_Reply]:
    found: dict[int, _Reply] = {}

    def observe(places: list[int], logits: torch.Tensor) -> None:
        for place, row in zip(places, logits.detach().float().cpu(), strict=True):
            reply = found.setdefault(place, _Reply(row - row.mean()))
            values, tokens = row.topk(_NEXT)
            reply.likeliest.append(dict(zip(tokens.tolist(), values.tolist(), strict=True)))

    generation.answer_all(model, tokenizer, asked, limit, tuned, progress, observe=observe)
    ends = generation.end_tokens(model, tokenizer)
    for reply in found.values():
        chosen = [max(one, key=one.__getitem__) for one in reply.likeliest]
        reply.tokens = list(takewhile(lambda token: token not in ends, chosen))
        # The end mark is a choice as well.
        reply.tokens += chosen[len(reply.tokens) : len(reply.tokens) + 1]
    return [found[place] for place in range(len(asked))]


def _limit(run: Run) -> int:
    """How far answers are followed: no further than the run's own go."""
    return min(ANSWER_TOKENS, run.config.evaluation.max_new_tokens)


def _compared(here: list[_Reply], there: list[_Reply], tolerance: float) -> dict[str, Any]:
    equal = [one.tokens == two.tokens for one, two in zip(here, there, strict=True)]
    parted = [_margin(one, two) for one, two, same in zip(here, there, equal, strict=True) if not same]
    return {
        "largest_difference": _largest(here, there),
        "tolerance": tolerance,
        "equal_answers": sum(equal),
        "ties": sum(one <= 2 * tolerance for one in parted),
        "error": _rms(here, there),
    }


def _margin(one: _Reply, two: _Reply) -> float:
    """By how much the two sides disagree on which of two tokens is likelier, where their answers part.

    Each side's lead of its own token over the other's, added: at most twice the largest difference of a logit.
    """
    at = next(place for place, pair in enumerate(zip(one.tokens, two.tokens, strict=False)) if pair[0] != pair[1])
    return sum(
        side.likeliest[at][side.tokens[at]] - side.likeliest[at].get(other.tokens[at], min(side.likeliest[at].values()))
        for side, other in ((one, two), (two, one))
    )


def _largest(one: list[_Reply], two: list[_Reply]) -> float:
    return max(float((a.first - b.first).abs().max()) for a, b in zip(one, two, strict=True))


def _rms(one: list[_Reply], two: list[_Reply]) -> float:
    squares = [float((a.first - b.first).square().mean()) for a, b in zip(one, two, strict=True)]
    return (sum(squares) / len(squares)) ** 0.5


def _judge(found: Parity, here: list[_Reply], there: list[_Reply], asked: list[Messages]) -> None:
    """Raise `ExportError` where the export is not the run's model."""
    apart = [float((a.first - b.first).abs().max()) for a, b in zip(here, there, strict=True)]
    worst = max(range(len(apart)), key=apart.__getitem__)
    if not apart[worst] <= found.tolerance:  # also where a number is none
        raise ExportError(
            f"The export is not the run's model: after question {worst + 1} ({_short(asked[worst][-1]['content'])}) a "
            f"logit is {apart[worst]:.3g} off, and weights in {found.saved_in} explain {found.tolerance:.3g}. Nothing "
            "was put in place; export it again, and tell the maintainers if it stays so."
        )
    if found.effect and found.error > LOST * found.effect:
        raise ExportError(
            f"Rounding the weights to {found.saved_in} takes away what was learnt: the tuning moved the logits by "
            f"{found.effect:.3g}, and rounding moves them by {found.error:.3g}. Nothing was put in place; export it in "
            "full precision (--precision fp32), or the adapter alone (--as adapter)."
        )
    if found.equal_answers + found.ties < found.questions:
        at = next(
            place
            for place, (one, two) in enumerate(zip(here, there, strict=True))
            if one.tokens != two.tokens and _margin(one, two) > 2 * found.tolerance
        )
        raise ExportError(
            f"The export answers question {at + 1} ({_short(asked[at][-1]['content'])}) otherwise than the run, at a "
            f"word of which the run was sure, and rounding to {found.saved_in} does not explain it. Nothing was put in "
            "place."
        )


def _place(run: Run, folder: Path, saved_in: Precision) -> tuple[str, Precision]:
    """Device and precision of the comparison: fp32 on the run's device where that fits, else as it was saved."""
    import psutil
    import torch

    from trainer import hardware

    cuda = run.config.hardware.device == "cuda" and torch.cuda.is_available()
    memory = min(psutil.virtual_memory().available, hardware.detect().memory_gib * 2**30)
    free = torch.cuda.mem_get_info()[0] if cuda else memory
    base, stored = (
        (models.find(run.config.model.name).folder, own_precision(run)) if _is_adapter(folder) else (folder, saved_in)
    )
    count = sum(file.stat().st_size for file in base.glob("*.safetensors")) / (4 if stored == "fp32" else 2)
    # A fifth more for activations and what the libraries take.
    fits = 4 * count * 1.2 < free
    return "cuda" if cuda else "cpu", "fp32" if fits else saved_in


def _short(text: str) -> str:
    return f"“{text[:60]}…”" if len(text) > 60 else f"“{text}”"
