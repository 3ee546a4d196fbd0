"""A conversation with two models, as the page keeps it on the server: nothing in it reaches the browser by itself.

Which side of the page a model stands on is settled with the first question, by the id under which the comparison will
be kept: where it is blind, `trainer.review.blinding` decides. It is kept when somebody votes, and not before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from evaluators.generation import PROMPTED, Answer, Sampling
from trainer.data.rows import Message
from trainer.model_refs import ModelRef
from trainer.review.prompts import Prompt

if TYPE_CHECKING:
    from trainer.pairing import Answers, Pairing

SIDES = ("left", "right")
DRAWS = 8  # answers that are drawn at once, at most


@dataclass(frozen=True)
class Talk:
    """A conversation, open for a further question or a vote. `adapters` and `said` go by `first` and `second`."""

    first: ModelRef
    second: ModelRef
    identity: str
    """Of the comparison that a vote makes of it."""
    turned: bool
    """Whether the second model stands on the left."""
    sampling: Sampling
    blind: bool = False
    reviewer: str = ""
    adapters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    prompt: Prompt = field(default_factory=lambda: Prompt(messages=[]))
    """What was asked first, with what stood before it."""
    questions: tuple[str, ...] = ()
    """All of them, the first one too."""
    said: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"first": (), "second": ()})
    """Each side's whole answers so far, one for each question."""
    last: Mapping[str, Answer] = field(default_factory=dict)
    """The newest answers, as they are: under `left`, `right`, and `PROMPTED` where the prompted base was asked."""
    draws: tuple[Mapping[str, Answer], ...] = ()
    """Where several were drawn: the same for each seed."""
    voted: bool = False

    @property
    def hidden(self) -> bool:
        """Whether the page must not tell whose the answers are."""
        return self.blind and not self.voted

    @property
    def models(self) -> dict[str, ModelRef]:
        """The model on each side of the page."""
        return {side: getattr(self, place) for side, place in self.places.items()}

    @property
    def places(self) -> dict[str, str]:
        """`first` and `second` by the side of the page."""
        return dict(zip(SIDES, ("second", "first") if self.turned else ("first", "second"), strict=True))

    def messages(self, side: str) -> list[Message]:
        """The conversation up to the newest question, as the model on this side has it (without a system prompt)."""
        before = [dict(one) for one in self.prompt.messages[:-1]]
        said = self.said[self.places[side]]
        for number, question in enumerate(self.questions):
            before.append({"role": "user", "content": question})
            if number < len(self.questions) - 1:
                before.append({"role": "assistant", "content": said[number]})
        return before


def begin(
    first: ModelRef,
    second: ModelRef,
    prompt: Prompt,
    sampling: Sampling,
    adapters: Mapping[str, Sequence[str]],
    reviewer: str = "",
    blind: bool = False,
) -> Talk:
    """A new conversation with its first question. Raises `ReviewError` where it is blind and nobody says who votes."""
    from trainer import store
    from trainer.review import queue
    from trainer.review.blinding import swapped

    identity = store.new_identity()
    if blind:
        reviewer = queue.own_name(reviewer)
    return Talk(
        first=first,
        second=second,
        identity=identity,
        turned=blind and swapped(identity, reviewer),
        sampling=sampling,
        blind=blind,
        reviewer=reviewer,
        adapters=adapters,
        prompt=prompt,
        questions=(prompt.question,),
    )


def follow_up(talk: Talk, question: str) -> Talk:
    """The same conversation with one more question: each side goes on from what it said itself.

    After a vote the names are known, and what follows is another comparison, with the sides as they are.
    """
    from trainer import store

    if talk.voted:
        talk = replace(talk, identity=store.new_identity(), blind=False, voted=False)
    return replace(talk, questions=(*talk.questions, question), last={}, draws=())


def answers(talk: Talk, pairing: Pairing, prompted: bool, count: int) -> Iterator[Talk]:
    """The conversation with the answers so far, after each token; several draws, from the sampling's seed on, where
    `count` is more than one.
    """
    sides = {place: talk.messages(side) for side, place in talk.places.items()}
    if count > 1:
        seeds = [talk.sampling.seed + number for number in range(count)]
        for drawn in pairing.draws(sides["first"], talk.sampling, seeds, sides["second"], talk.adapters):
            shown = tuple(_seen(talk, one) for one in drawn)
            yield replace(talk, last=shown[0], draws=shown)
        return
    asked = pairing.ask(sides["first"], talk.sampling, sides["second"], prompted, talk.adapters)
    for found in asked:
        yield replace(talk, last=_seen(talk, found))


def answered(talk: Talk) -> Talk:
    """The conversation once its newest answers are whole, or were stopped."""
    places = talk.places
    newest = {places[side]: talk.last[side].text.strip() for side in SIDES}
    return replace(talk, said={place: (*talk.said[place], newest[place]) for place in newest})


def sides(talk: Talk, reviewer: str = "") -> tuple[str, str]:
    """The newest whole answers, left and right; what a vote is about."""
    left, right = (talk.said[talk.places[side]][-1] for side in SIDES)
    return left, right


def keep(talk: Talk, reviewer: str) -> str:
    """Keep the newest answers as a comparison under this reviewer's name, and return its id.

    In a longer conversation each side went on from its own answers, which the other has not seen: what is kept as the
    question is then the questions alone. Raises `ReviewError` without a name.
    """
    from trainer import store
    from trainer.review import queue
    from trainer.review.blinding import swapped

    reviewer = queue.own_name(reviewer)
    identity = talk.identity
    if talk.blind and reviewer != talk.reviewer:
        raise queue.ReviewError(f"The sides were shuffled for {talk.reviewer}; vote under that name, or ask again.")
    # With names on the page anybody may vote, and the id has to say for them how the sides are.
    while not talk.blind and swapped(identity, reviewer) != talk.turned:
        identity = store.new_identity()
    asked = [*talk.prompt.messages[:-1], *({"role": "user", "content": one} for one in talk.questions)]
    source = talk.prompt.source or "Playground"
    if len(talk.questions) > 1:
        source = f"{source}, question {len(talk.questions)} of a conversation"
    prompt = Prompt(messages=asked, group=talk.prompt.group, source=source)
    return queue.keep_comparison(
        prompt,
        talk.first,
        talk.second,
        talk.said["first"][-1],
        talk.said["second"][-1],
        blind=talk.blind,
        sampling=talk.sampling,
        identity=identity,
    )


def _seen(talk: Talk, found: Answers) -> dict[str, Answer]:
    seen = {side: found[place] for side, place in talk.places.items()}
    return seen | ({PROMPTED: found[PROMPTED]} if PROMPTED in found else {})
