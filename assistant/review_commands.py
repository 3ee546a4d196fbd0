"""`bedside review`: sets of questions that two models answer and reviewers judge, blind."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Annotated, Literal

import typer
from pydantic import ValidationError

from assistant.terminal import BadInput, Json, say

review_app = typer.Typer(help="Let reviewers judge two models' answers, blind.", no_args_is_help=True)
EVERY = 2.0  # seconds between two lines on progress
SetName = Annotated[str, typer.Argument(help="Name of a review set, its id, or the id's beginning.")]
CaseId = Annotated[str, typer.Argument(help="Id of a case, as `bedside review show SET --reviewer NAME` gives it.")]
Reviewer = Annotated[str, typer.Option(help="Your name, as the set was dealt to it.")]
Choice = Literal["left", "right", "tie", "both_bad"]
Chooser = Literal["uncertainty", "margin", "likelihood", "diversity", "committee", "mixed", "random"]


@review_app.command()
def create(
    name: Annotated[str, typer.Argument(help="What its reviewers will know the set by.")],
    data: Annotated[str, typer.Option(help="File, folder or starter set with the questions.")],
    first: Annotated[str, typer.Option(help="A model: RUN, RUN:base or RUN:checkpoint-N.")],
    second: Annotated[str | None, typer.Option(help="The other one; without it, the first one's base.")] = None,
    items: Annotated[int, typer.Option(min=1, max=20_000, help="At most this many questions.")] = 40,
    choose: Annotated[
        Chooser | None, typer.Option(help="Choose those that are worth most; without it, the first ones.")
    ] = None,
    blind: Annotated[bool, typer.Option(help="Hide whose the answers are until the vote.")] = True,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="Of the answers; 0 takes the likeliest words.")] = 0,
    max_new_tokens: Annotated[int, typer.Option(min=1, max=4096, help="Longest answer, in tokens.")] = 220,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is drawn.")] = 17,
    as_json: Json = False,
) -> None:
    """Make a set of questions for two models; `bedside review answer` then lets them answer."""
    from assistant import review_words
    from evaluators.generation import Sampling
    from trainer import model_refs
    from trainer.review import prompts, queue

    one = model_refs.parse(first)
    other = model_refs.parse(second or f"{one.run}:{model_refs.BASE}")
    chosen = prompts.read(data, None if choose else items)
    if choose:
        from trainer.review import selection

        chosen = selection.choose(chosen, items, choose, models=[one, other], seed=seed, progress=teller("choosing"))
    sampling = Sampling(temperature=temperature, max_new_tokens=max_new_tokens, seed=seed)
    made = queue.create_set(name, chosen, one, other, blind=blind, sampling=sampling, seed=seed)
    _note_patients(data)
    if as_json:
        print(review_words.summary(made).model_dump_json(indent=1))
    else:
        print(
            f"Set {made.name!r} has {len(chosen)} questions. `bedside review answer {made.id}` lets the models answer."
        )


@review_app.command()
def add(
    set_name: SetName,
    data: Annotated[str, typer.Option(help="File, folder or starter set with the questions.")],
    items: Annotated[int, typer.Option(min=1, max=20_000, help="At most this many questions.")] = 40,
    as_json: Json = False,
) -> None:
    """Put more questions into a set; those that it has already are passed over."""
    from assistant import review_words
    from trainer.review import prompts, queue

    found = queue.get_set(set_name)
    added = queue.add_prompts(found.id, prompts.read(data, items))
    _note_patients(data)
    if as_json:
        print(review_words.summary(found).model_dump_json(indent=1))
    else:
        print(f"{added} questions added to {found.name!r}.")


@review_app.command("list")
def list_all(as_json: Json = False) -> None:
    """All review sets, newest first."""
    from assistant import review_words
    from trainer.review import queue

    found = [review_words.summary(one) for one in queue.list_sets()]
    if as_json:
        print(review_words.ReviewSetList(sets=found).model_dump_json(indent=1))
        return
    for one in found:
        print(f"{one.id}  {one.name:30} {one.answered} of {one.cases} answered, {one.judged} judged, {one.votes} votes")
    if not found:
        print("No review sets yet. `bedside review create NAME --data FILE --first RUN` makes one.")


@review_app.command()
def show(
    set_name: SetName,
    reviewer: Annotated[str | None, typer.Option(help="Show this reviewer's next case.")] = None,
    as_json: Json = False,
) -> None:
    """How far a set is; with --reviewer, the next case that this reviewer is to judge."""
    from assistant import review_words
    from trainer.review import queue

    found = queue.get_set(set_name)
    summary = review_words.summary(found)
    if reviewer is not None:
        summary.case = queue.next_case(found.id, reviewer)
    if as_json:
        print(summary.model_dump_json(indent=1))
        return
    for line in review_words.set_lines(summary):
        print(line)
    if reviewer is not None and summary.case is not None:
        print("\n".join(review_words.case_lines(summary.case, reviewer)))
    elif reviewer is not None:
        print(f"{reviewer} has nothing to judge now.")


@review_app.command()
def assign(
    set_name: SetName,
    reviewer: Annotated[list[str], typer.Option(help="Who is to read; may be repeated.")],
    twice: Annotated[float, typer.Option(min=0, max=1, help="Share of the cases that two reviewers read.")] = 0.2,
    as_json: Json = False,
) -> None:
    """Deal the cases to reviewers; what is judged stays, and what is open or was skipped is dealt anew."""
    from assistant import review_words
    from trainer.review import queue

    found = queue.get_set(set_name)
    dealt = queue.assign(found.id, reviewer, twice)
    progress = queue.progress(found.id)
    if as_json:
        print(review_words.ReviewAssigned(set=found.id, dealt=dealt, reviewers=progress).model_dump_json(indent=1))
        return
    for one in progress:
        print(f"  {one.reviewer}: {one.open} to judge, {one.done} judged")


@review_app.command()
def answer(set_name: SetName, as_json: Json = False) -> None:
    """Let both models answer what is unanswered; interrupted, it goes on where it was."""
    from assistant import review_words
    from trainer.review import queue

    found = queue.get_set(set_name)
    answered = queue.answer_set(found.id, teller("answering"))
    if as_json:
        print(review_words.ReviewAnswered(set=found.id, answered=answered).model_dump_json(indent=1))
    else:
        print(f"{answered} questions answered by both models.")


@review_app.command()
def vote(
    case: CaseId,
    reviewer: Reviewer,
    choice: Annotated[Choice, typer.Option(help="left, right, tie or both_bad.")],
    rate: Annotated[
        list[str] | None, typer.Option(help="SIDE.CRITERION=STARS, such as left.safety=5; may be repeated.")
    ] = None,
    correction: Annotated[str, typer.Option(help="A better answer.")] = "",
    comment: Annotated[str, typer.Option(help="Anything to say of it.")] = "",
    adjudicate: Annotated[bool, typer.Option(help="Decide a case on which its readers differ.")] = False,
    as_json: Json = False,
) -> None:
    """Vote on a case; the names are shown after it."""
    from assistant import review_words
    from trainer.review import queue

    try:
        ballot = queue.Ballot.model_validate(
            {"choice": choice, "ratings": _ratings(rate or []), "correction": correction, "comment": comment}
        )
    except ValidationError as error:
        raise BadInput(f"--rate: {error.errors()[0]['msg'].removeprefix('Value error, ')}.") from None
    queue.vote(case, reviewer, ballot, "adjudicator" if adjudicate else "reader")
    revealed = queue.reveal(case, reviewer)
    if as_json:
        print(
            review_words.ReviewVoted(case=case, reviewer=reviewer, choice=choice, revealed=revealed).model_dump_json(
                indent=1
            )
        )
    else:
        print(f"Vote kept. Left was {revealed.names[0]}, right was {revealed.names[1]}.")


@review_app.command()
def skip(
    case: CaseId,
    reviewer: Reviewer,
    reason: Annotated[str, typer.Option(help="Why, such as 'not my field'.")],
    as_json: Json = False,
) -> None:
    """Leave a case to others, saying why."""
    from assistant import review_words
    from trainer.review import queue

    queue.skip(case, reviewer, reason)
    if as_json:
        print(review_words.ReviewVoted(case=case, reviewer=reviewer, choice="skipped").model_dump_json(indent=1))
    else:
        print("Skipped.")


@review_app.command()
def results(
    set_name: Annotated[str | None, typer.Argument(help="A review set; without it, every vote there is.")] = None,
    as_json: Json = False,
) -> None:
    """Who wins, by how much, and whether the reviewers agree; it names the models."""
    from assistant import review_words
    from trainer.review.results import results as collect

    found = collect(set_name)
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    for line in review_words.result_lines(found):
        print(line)


@review_app.command()
def delete(
    set_name: SetName,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a set with its answers and votes, for good."""
    from assistant.results import Deleted
    from trainer.review import queue

    found = queue.get_set(set_name)
    votes = queue.set_progress(found.id).votes
    asked = f"Delete {found.name!r} with {votes} votes for good?"
    if not yes and not (sys.stdin.isatty() and typer.confirm(asked, err=True)):
        raise BadInput(f"Nothing was deleted; add --yes to delete {found.name!r} with its {votes} votes for good.")
    queue.delete_set(found.id)
    print(Deleted(deleted=found.id).model_dump_json(indent=1) if as_json else f"Deleted {found.name!r}.")


def _ratings(pairs: list[str]) -> dict[str, dict[str, int]]:
    """`--rate` pairs by side and criterion; raises `BadInput` for one that is none."""
    found: dict[str, dict[str, int]] = {}
    for pair in pairs:
        name, _, stars = pair.partition("=")
        side, _, criterion = name.partition(".")
        if side not in ("left", "right") or not criterion or not stars.isdecimal():
            raise BadInput(f"--rate {pair}: expected SIDE.CRITERION=STARS, such as left.safety=5.")
        found.setdefault(side, {})[criterion] = int(stars)
    return found


def _note_patients(data: str) -> None:
    from trainer.data.sources import locate

    if locate(data, "heldout").patient_text:
        say("Note: reviewers see the questions as the file has them; take names out first where it holds patients.")


def teller(stage: str) -> Callable[[int, int], None]:
    """Says how far the work is, at its end and every few seconds."""
    said_at = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal said_at
        if done == total or time.monotonic() - said_at >= EVERY:
            said_at = time.monotonic()
            say(f"  {stage}: {done:,} of {total:,}")

    return tell
