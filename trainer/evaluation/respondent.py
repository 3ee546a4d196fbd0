"""A run's model as the one who answers a suite, base or tuned; every answer is kept under its content.

A kept answer is found again by what it depends on (weights, system prompt, conversation, length), so an evaluation
that was stopped goes on where it was, another one of the same run asks only what is new, and a base that was asked for
one run need not be asked again for the next.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evaluators.cases import Likelihood, Messages, Progress, silent
from evaluators.generation import answer_all
from evaluators.likelihood import reply_likelihoods
from trainer import config as run_config
from trainer import models
from trainer.data.tokens import conversation
from trainer.runs import Run
from trainer.tuned import Tuned

BATCH = 32  # conversations that are answered at once; then their answers are kept
KEPT = "answers.jsonl"  # in a run's folder: what its tuned model said


class KeptRespondent:
    """One side of a run's model; see the module. A `Respondent` (`evaluators.cases`)."""

    def __init__(self, tuned: Tuned, side: bool, adapters: list[str] | None = None):
        """`side`: True the tuned model, answering with `adapters` (the first where none is named); False the base."""
        self.tuned = tuned
        self.side = side
        self.adapters = adapters or []
        self._system = tuned.run.config.task.system_prompt
        self._key = model_key(tuned.run, side, self.adapters)
        self._path = tuned.run.folder / KEPT if side else base_answers() / f"{self._key[:24]}.jsonl"
        self._kept = dict(_read(self._path))

    def answer(self, conversations: Sequence[Messages], max_new_tokens: int, progress: Progress = silent) -> list[str]:
        """Greedy answers, in order, of at most `max_new_tokens`."""
        asked = [conversation(list(one), self._system) for one in conversations]  # pyright: ignore[reportArgumentType]
        keys = [self._digest("answer", one, max_new_tokens) for one in asked]

        def work(chosen: list[int]) -> list[Any]:
            model, tokenizer = self._model()
            return answer_all(model, tokenizer, [asked[one] for one in chosen], max_new_tokens, self.side)

        return self._all(keys, [len(str(one)) for one in asked], work, progress)

    def likelihoods(
        self, conversations: Sequence[Messages], replies: Sequence[Sequence[str]], progress: Progress = silent
    ) -> list[list[Likelihood]]:
        """For each conversation, how likely each of its `replies` is as the next message."""
        asked = [conversation(list(one), self._system) for one in conversations]  # pyright: ignore[reportArgumentType]
        keys = [self._digest("likelihoods", *pair) for pair in zip(asked, map(list, replies), strict=True)]

        def work(chosen: list[int]) -> list[Any]:
            model, tokenizer = self._model()
            prompts, ends = [asked[one] for one in chosen], [replies[one] for one in chosen]
            found = reply_likelihoods(model, tokenizer, prompts, ends, self.side)
            return [[[one.total, one.tokens] for one in row] for row in found]

        kept = self._all(keys, [len(str(one)) for one in asked], work, progress)
        return [[Likelihood(total, tokens) for total, tokens in row] for row in kept]

    def _model(self) -> tuple[Any, Any]:
        self.tuned.choose(self.adapters)
        return self.tuned.side(self.side), self.tuned.tokenizer

    def _all(self, keys: list[str], lengths: list[int], work: Any, progress: Progress) -> list[Any]:
        """What is kept under each key, after `work` on the indices of those that are not, in batches of like length."""
        new = sorted({key: index for index, key in enumerate(keys) if key not in self._kept}.values())
        new.sort(key=lambda index: lengths[index])
        progress(len(keys) - len(new), len(keys))
        for start in range(0, len(new), BATCH):
            chosen = new[start : start + BATCH]
            found = {keys[index]: value for index, value in zip(chosen, work(chosen), strict=True)}
            _append(self._path, found)
            self._kept |= found
            progress(len(keys) - len(new) + start + len(chosen), len(keys))
        return [self._kept[key] for key in keys]

    def _digest(self, *asked: Any) -> str:
        content = json.dumps([self._key, *asked], ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()[:32]


def model_key(run: Run, side: bool, adapters: Sequence[str] = ()) -> str:
    """A hash of all that decides what this side says: weights, precision, quantisation, and the adapters that answer.

    Raises `ModelError` where the base cannot be had.
    """
    config = run.config
    parts: list[Any] = [
        models.find(config.model.name).weights_sha256,
        config.model.quantization,
        str(models.resolve_dtype(config.hardware.precision, config.hardware.device)),
        config.hardware.device,
    ]
    if side:
        parts += [[_file_hash(path) for path in run.weights], list(adapters)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def base_answers() -> Path:
    """Where answers of base models are kept, in the home; `forget_base_answers` removes them for good."""
    folder = run_config.home() / "answers"
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder


def forget_base_answers() -> int:
    """Remove what base models have answered; returns how many files. A run's own answers go with the run."""
    found = list(base_answers().glob("*.jsonl"))
    for path in found:
        path.unlink()
    return len(found)


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _append(path: Path, found: dict[str, Any]) -> None:
    # One write, so that a kill leaves whole lines, of which the last may be cut off: a new one begins after it.
    lines = "".join(json.dumps([key, value], ensure_ascii=False) + "\n" for key, value in found.items())
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "rb+", buffering=0) as file:
        size = os.fstat(descriptor).st_size
        cut_off = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        file.write((b"\n" if cut_off else b"") + lines.encode())


def _read(path: Path) -> Iterator[tuple[str, Any]]:
    if not path.exists():
        return
    for line in path.read_bytes().splitlines():
        try:
            key, value = json.loads(line)
        except ValueError:
            continue  # cut off by a kill or a full disk: it is asked again
        yield key, value
