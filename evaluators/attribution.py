"""Which words of a question carried an answer: gradient x input, and integrated gradients (lecture L3.14).

What is attributed is the answer's total log-likelihood given the conversation (nats). Both methods are captum's, on the
input embeddings of the question's own tokens. Gradient x input (Shrikumar et al. 2016) costs one reading and is rough.
Integrated gradients (Sundararajan et al. 2017) cost one for each step between a question of blanks ("_" in the place of
each token) and the question as it is, and add up: the words' values sum to the difference in log-likelihood between the
two, but for `delta`. Not captum's zeros: these models normalise what they read, so that a small share of a word looks
like the whole word. Of four questions to the embedded model the sum was off by up to 38 % with 16 steps, by up to 11 %
with 32 and by up to 3 % with 48.

A value says what the model's arithmetic leaned on, not why the answer is right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

from pydantic import BaseModel

from evaluators.cases import Messages, Progress, silent
from evaluators.generation import Model, Tokenizer

if TYPE_CHECKING:
    import torch

Method = Literal["gradient_x_input", "integrated_gradients"]

_CJK = "\u3040-\u30ff\u3400-\u9fff"  # written without spaces: each character is a word
_LETTER = rf"(?:(?![{_CJK}])\w)"
_WORD = re.compile(rf"[{_CJK}]|{_LETTER}+(?:[.,/'’-]{_LETTER}+)*|[^\w\s]")


class WordShare(BaseModel):
    """A word of the question, its characters, and by how much (nats) it raised the answer's log-likelihood."""

    text: str
    start: int
    end: int
    value: float


class Attribution(BaseModel):
    """The question's words and signs in order; together they cover all of it but white space."""

    words: list[WordShare]
    log_likelihood: float
    """Of the answer, given the question."""
    delta: float | None = None
    """Of integrated gradients: the sum of the values less the difference that they should add up to (nats)."""


def attribute(
    model: Model,
    tokenizer: Tokenizer,
    messages: Messages,
    answer: str,
    tuned: bool,
    method: Method = "gradient_x_input",
    steps: int = 32,
    progress: Progress = silent,
    batch_size: int = 4,
) -> Attribution:
    """What each word of the last message gave to this answer, for the base (`tuned` False: adapter off) or tuned model.

    A token's value goes to the word that its characters are part of, in equal parts where they are of several; that of
    white space to the word before it. Works with every method, also virtual tokens, which are read but get no value. No
    parameter gets a gradient. `steps` are those of integrated gradients; `progress` hears of readings.

    Raises `ValueError` for an empty answer or question, for an unknown method, and for fewer than two steps.
    """
    import torch
    from captum.attr import InputXGradient, IntegratedGradients

    from evaluators.input_embeddings import locate, logits, read_before
    from evaluators.sides import side

    if method not in get_args(Method):
        raise ValueError(f"unknown method {method!r}; there are {' and '.join(get_args(Method))}")
    if steps < 2:
        raise ValueError(f"integrated gradients need at least two steps, not {steps}")
    said = tokenizer(answer, add_special_tokens=False)["input_ids"]
    if not said:
        raise ValueError("the answer is empty: there is nothing that words could have carried")
    question = messages[-1]["content"]
    prompt = locate(tokenizer, messages, question)
    with side(model, tuned) as answering:
        prefix, read = read_before(answering, [prompt])
        row = [*prompt.ids[read:], *said]
        device = prefix.device
        # A token that the question shares with the template (white space at its ends) keeps its embedding.
        where = torch.tensor([at for at, place in enumerate(prompt.places[read:]) if place], device=device)
        embedding = answering.core.get_input_embeddings()
        with torch.no_grad():
            whole = embedding(torch.tensor([row], device=device))
            given = whole[:, where].float()
            blank = tokenizer("_", add_special_tokens=False)["input_ids"][-1]
            blanks = embedding(torch.tensor([blank], device=device)).float().expand_as(given)
        keep = torch.arange(-len(said) - 1, -1, device=device)
        wanted = torch.tensor(said, device=device)
        readings, done = (steps if method == "integrated_gradients" else 1), 0

        def log_likelihood(words: torch.Tensor) -> torch.Tensor:
            """(n, own tokens, d) to (n,): the answer's total log-likelihood with these embeddings in their place."""
            nonlocal done
            embeds = whole.repeat(len(words), 1, 1).index_copy(1, where, words.to(whole.dtype))
            found = logits(answering, prefix, [row] * len(words), embeds, keep).log_softmax(-1)
            if torch.is_grad_enabled():
                done += len(words)
                progress(done, readings)
            return found.gather(-1, wanted.expand(len(words), -1)[..., None])[..., 0].sum(-1)

        with torch.no_grad():
            total = float(log_likelihood(given))
        delta = None
        if method == "gradient_x_input":
            values = InputXGradient(log_likelihood).attribute(given.requires_grad_())
        else:
            values, gap = IntegratedGradients(log_likelihood).attribute(
                given,
                baselines=blanks,
                n_steps=steps,
                internal_batch_size=batch_size,
                return_convergence_delta=True,
            )
            delta = float(gap)
    places = [place for place in prompt.places if place]
    shift = len(question) - len(question.lstrip())
    words = by_word(question.strip(), places, values.detach().sum(-1)[0].tolist(), shift)
    return Attribution(words=words, log_likelihood=total, delta=delta)


def by_word(text: str, places: Sequence[tuple[int, int]], values: Sequence[float], shift: int = 0) -> list[WordShare]:
    """Tokens' values summed up by the words of `text`; `places` are the characters of each token.

    `shift` is added to the words' places. The words' values sum to the tokens'.
    """
    words = [(match.start(), match.end()) for match in _WORD.finditer(text)]
    if not words:
        raise ValueError("the question has no words")
    word_of = {at: number for number, (start, end) in enumerate(words) for at in range(start, end)}
    sums = [0.0] * len(words)
    last = 0
    for (start, end), value in zip(places, values, strict=True):
        shares = [word_of[at] for at in range(start, end) if at in word_of] or [last]
        for word in shares:
            sums[word] += value / len(shares)
        last = shares[-1]
    return [
        WordShare(text=text[start:end], start=start + shift, end=end + shift, value=value)
        for (start, end), value in zip(words, sums, strict=True)
    ]
