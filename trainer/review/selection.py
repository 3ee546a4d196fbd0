"""Which questions people should judge or answer next: active learning (lecture L3.8).

- uncertainty, margin, likelihood: those of whose answer the model is least sure (`evaluators.uncertainty`);
- diversity: those that are least like what is labelled and chosen already (`evaluators.diversity`);
- committee: those on which several models disagree, or one model with its dropout on (`evaluators.committee`);
- mixed: of the `CANDIDATES` times as many that are least sure, those that are least alike;
- random: by chance, what every other strategy has to beat (`bench/active.py`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from contextlib import nullcontext
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from evaluators.cases import Progress, silent
from trainer import runs
from trainer.data.rows import Message
from trainer.data.tokens import conversation
from trainer.model_refs import TUNED, ModelRef
from trainer.review.prompts import Prompt, ReviewError
from trainer.tuned import Tuned

if TYPE_CHECKING:
    import numpy as np

    from evaluators.committee import Disagreement
    from evaluators.uncertainty import Uncertainty

Measure = Literal["uncertainty", "margin", "likelihood"]
Strategy = Literal["uncertainty", "margin", "likelihood", "diversity", "committee", "mixed", "random"]
CANDIDATES = 4
"""With mixed, this many times as many of the least sure questions as are wanted are looked at for likeness."""
ANSWER_TOKENS = 48
"""Of the answers by which a model's uncertainty is measured: how a long one begins says enough."""
PASSES = 5
"""Readings with dropout on that make a committee of one model."""
_BATCH = 32
_OPTION = re.compile(r"^([A-Z])[.)] \S", re.MULTILINE)


def choose(
    prompts: Sequence[Prompt],
    count: int,
    strategy: Strategy,
    *,
    models: Sequence[ModelRef] = (),
    labelled: Sequence[Prompt] = (),
    seed: int = 17,
    progress: Progress = silent,
) -> list[Prompt]:
    """The `count` prompts that are worth most, the best first, each with `chosen_by` in words.

    A prompt is chosen once, and none that is among the `labelled`: there may be fewer than `count`. Uncertainty is that
    of the first of `models`; a committee is all of them, which have to share one vocabulary. `progress` hears how many
    prompts have been read, of how many readings there are. Raises `ReviewError`, and as the models are loaded,
    `ModelError` and `RunError`.
    """
    if count < 1:
        raise ReviewError(f"{count} questions cannot be chosen; ask for 1 or more.")
    if not models and strategy not in ("random", "diversity"):
        raise ReviewError(f"{strategy.capitalize()} is a model's: name the model, or choose by diversity or random.")
    known = {_key(one) for one in labelled}
    pool = list({_key(one): one for one in prompts if _key(one) not in known}.values())
    if not pool:
        return []
    chosen = _choose(pool, min(count, len(pool)), strategy, models, labelled, seed, progress)
    return [pool[one.place].model_copy(update={"chosen_by": one.why}) for one in chosen]


class Chosen(NamedTuple):
    """A place in the list, and why it was chosen."""

    place: int
    why: str

    def noted(self, note: str) -> Chosen:
        return Chosen(self.place, self.why + note)


def least_sure(found: Sequence[Uncertainty], count: int, by: Measure) -> list[Chosen]:
    """The `count` places where a model is least sure, the least sure first."""
    if by == "uncertainty":
        values, words = [one.entropy for one in found], "uncertain: entropy {:.2f} nats a token"
    elif by == "margin":
        values, words = [-one.margin for one in found], "uncertain: margin {:.2f} between the two likeliest tokens"
    else:
        values, words = [-one.likelihood for one in found], "uncertain: log-likelihood {:.2f} nats a token"
    sign = 1 if by == "uncertainty" else -1
    return [Chosen(place, words.format(sign * values[place])) for place in _largest(values, count)]


def least_alike(points: np.ndarray, count: int, labelled: np.ndarray) -> list[Chosen]:
    """The `count` places that cover `points` (n, d) best, beside those of what is labelled (m, d)."""
    from evaluators.diversity import k_center

    chosen = k_center(points, count, labelled)
    return [
        Chosen(one.place, f"unlike the others: distance {one.distance:.2f}" if one.distance else "in the middle of all")
        for one in chosen
    ]


def least_sure_and_alike(
    found: Sequence[Uncertainty], points: np.ndarray, count: int, labelled: np.ndarray
) -> list[Chosen]:
    """Of the `CANDIDATES` x `count` places with the most entropy, the `count` that cover them best."""
    unsure = least_sure(found, CANDIDATES * count, "uncertainty")
    alike = least_alike(points[[one.place for one in unsure]], count, labelled)
    return [Chosen(unsure[place].place, f"{unsure[place].why}; {why}") for place, why in alike]


def most_disputed(found: Sequence[Disagreement], count: int) -> list[Chosen]:
    """The `count` places where a committee's members lie furthest apart (divergence from their mean)."""
    words = "models disagree: divergence {:.2f}, vote entropy {:.2f} nats a token"
    places = _largest([one.kl for one in found], count)
    return [Chosen(place, words.format(found[place].kl, found[place].vote_entropy)) for place in places]


def _choose(
    pool: Sequence[Prompt],
    count: int,
    strategy: Strategy,
    models: Sequence[ModelRef],
    labelled: Sequence[Prompt],
    seed: int,
    progress: Progress,
) -> list[Chosen]:
    if strategy == "random":
        return [Chosen(place, "by chance") for place in random.Random(seed).sample(range(len(pool)), count)]
    if strategy == "committee":
        return most_disputed(_disputes(pool, models, seed, progress), count)
    if strategy == "diversity":
        points, before, note = _points(pool, labelled, models)
        return [one.noted(note) for one in least_alike(points, count, before)]
    found = _uncertainties(pool, models[0], progress)
    if strategy == "mixed":
        points, before, note = _points(pool, labelled, models)
        return [one.noted(note) for one in least_sure_and_alike(found, points, count, before)]
    return least_sure(found, count, strategy)


def _uncertainties(pool: Sequence[Prompt], ref: ModelRef, progress: Progress) -> list[Uncertainty]:
    """Of a multiple choice over its letters, of any other prompt over the tokens of the model's own answer."""
    from evaluators.likelihood import reply_likelihoods
    from evaluators.uncertainty import of_options, read_answers

    loaded = _load(ref)
    letters = [_letters(one.question) for one in pool]
    choices = [place for place, own in enumerate(letters) if own]
    free = [place for place, own in enumerate(letters) if not own]
    found: dict[int, Uncertainty] = {}
    for start in range(0, len(choices), _BATCH):
        batch = choices[start : start + _BATCH]
        asked, replies = [loaded.asked(pool[place]) for place in batch], [letters[place] for place in batch]
        likelihoods = reply_likelihoods(loaded.model, loaded.tokenizer, asked, replies, loaded.tuned)
        found |= {place: of_options(own) for place, own in zip(batch, likelihoods, strict=True)}
        progress(len(found), len(pool))
    read = read_answers(
        loaded.model,
        loaded.tokenizer,
        [loaded.asked(pool[place]) for place in free],
        ANSWER_TOKENS,
        loaded.tuned,
        lambda done: progress(len(choices) + done, len(pool)),
    )
    found |= {place: own.uncertainty for place, own in zip(free, read, strict=True)}
    return [found[place] for place in range(len(pool))]


def _disputes(pool: Sequence[Prompt], models: Sequence[ModelRef], seed: int, progress: Progress) -> list[Disagreement]:
    """The first model answers; all of them, or it alone with its dropout on, read its answers.

    One model is in memory at a time.
    """
    import numpy as np

    from evaluators import committee, uncertainty

    alone = len(models) == 1
    if alone and models[0].is_base:
        raise ReviewError(
            f"{models[0]} cannot be a committee by itself: its adapter is off, and with it the dropout. "
            "Name a second model."
        )
    members = PASSES if alone else len(models)
    total = len(pool) * (members + 1)
    loaded = _load(models[0])
    vocabulary = loaded.tokenizer.get_vocab()
    asked = [loaded.asked(one) for one in pool]
    read = uncertainty.read_answers(
        loaded.model, loaded.tokenizer, asked, ANSWER_TOKENS, loaded.tuned, lambda done: progress(done, total)
    )
    answers = [one.ids for one in read]
    readings: list[list[committee.Reading]] = []
    for number in range(members):
        if number and not alone:
            del loaded  # gives its memory back before the next one takes it
            loaded = _load(models[number])
            if loaded.tokenizer.get_vocab() != vocabulary:
                raise ReviewError(
                    f"{models[number]} has another vocabulary than {models[0]}; a committee shares one. Leave it out."
                )
            asked = [loaded.asked(one) for one in pool]
        outcomes = [one.outcomes for one in readings[0]] if readings else None
        try:
            with committee.dropout_on(loaded.model, seed + number) if alone else nullcontext():
                readings.append(
                    committee.read_answers(loaded.model, loaded.tokenizer, asked, answers, loaded.tuned, outcomes)
                )
        except ValueError as error:
            raise ReviewError(
                f"{models[0]} cannot be a committee by itself: {error}. Name a second model, or train one with "
                "method.dropout."
            ) from None
        progress(len(pool) * (number + 2), total)
    return [
        committee.disagreement(np.stack([one.shares for one in own]), np.stack([one.votes for one in own]))
        for own in zip(*readings, strict=True)
    ]


def _points(
    pool: Sequence[Prompt], labelled: Sequence[Prompt], models: Sequence[ModelRef]
) -> tuple[np.ndarray, np.ndarray, str]:
    """Embeddings of the pool and of what is labelled, and what is to be said of them.

    By the model of sentence embeddings; where it cannot be had, by the first model's own states, which is said.
    """
    from evaluators.diversity import own_embeddings
    from evaluators.overlap import EncoderMissing, embed

    every = [*pool, *labelled]
    try:
        # The question comes first, as what is long is cut at its end.
        points, note = embed(["\n".join(one["content"] for one in reversed(prompt.messages)) for prompt in every]), ""
    except EncoderMissing as error:
        if not models:
            raise ReviewError(f"{error}; or name a model, whose own states do in its place.") from error
        loaded = _load(models[0])
        asked = [loaded.asked(one) for one in every]
        points = own_embeddings(loaded.model, loaded.tokenizer, asked, loaded.tuned)
        note = " (by the model's own states)"
    return points[: len(pool)], points[len(pool) :], note


class _Loaded(NamedTuple):
    """A model in memory; `tuned` False: its adapter is to be switched off."""

    model: Any
    tokenizer: Any
    tuned: bool
    system_prompt: str

    def asked(self, prompt: Prompt) -> list[Message]:
        return conversation(prompt.messages, self.system_prompt)


def _load(ref: ModelRef) -> _Loaded:
    run = runs.get(ref.run)
    tuned = Tuned(run, part=TUNED if ref.is_base else ref.part)
    return _Loaded(tuned.side(not ref.is_base), tuned.tokenizer, not ref.is_base, run.config.task.system_prompt)


def _letters(question: str) -> str:
    """The letters of a multiple choice whose options stand as lettered lines; empty where the question is none."""
    found = "".join(_OPTION.findall(question))
    return found if len(found) > 1 and ascii_uppercase.startswith(found) else ""


def _largest(values: Sequence[float], count: int) -> list[int]:
    """Places of the largest values, the largest first; of equal ones the first."""
    return sorted(range(len(values)), key=lambda place: -values[place])[:count]


def _key(prompt: Prompt) -> str:
    return repr([(one["role"], one["content"]) for one in prompt.messages])
