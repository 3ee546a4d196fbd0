"""What the Playground says of two answers, as HTML. All text that comes from a model or a file is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from assistant.pages.playground_talk import SIDES, Talk
from evaluators.calibration import stated
from evaluators.generation import Answer

LETTERS = {"left": "A", "right": "B"}


def heading(letter: str, name: str = "") -> str:
    """The heading of a side: its letter, and once it may be told the model's name."""
    named = f' <span class="bs-soft">{escape(name)}</span>' if name else ""
    return f"<h3>{letter}{named}</h3>"


def before(talk: Talk, side: str) -> str:
    """The conversation of this side before its newest question; empty where there was none."""
    turns = talk.messages(side)[:-1]
    lines = "".join(
        f'<p class="bs-text bs-soft"><strong>{"Question" if one["role"] == "user" else "Answer"}</strong> '
        f"{escape(one['content'])}</p>"
        for one in turns
    )
    return f'{lines}<p class="bs-text"><strong>Question</strong> {escape(talk.questions[-1])}</p>' if turns else ""


def facts(answer: Answer, cut: str = "") -> str:
    """How long the answer is, how fast it came and how sure the model was; `cut`: why it ended, if not by itself."""
    end = f", {cut}" if cut and not answer.finished else ""
    parts = [f"{answer.tokens} tokens{end}", f"{answer.tokens_per_second:.1f} tokens/s"]
    if answer.tokens:
        parts.append(f"{answer.confidence:.0%} sure of each token on average")
    claimed = stated(answer.text)
    if claimed is not None:
        parts.append(f"says it is {claimed:.0%} sure")
    return f'<p class="bs-soft">{" · ".join(parts)}</p>'


def named(left: str, right: str) -> str:
    """The drugs, conditions and numbers in each answer; those that the other does not have are marked."""
    from evaluators.screens.conditions import find_conditions
    from evaluators.screens.drugs import find_drugs
    from evaluators.screens.quantities import find_quantities

    kinds = {
        "Drugs": [[one.name for one in find_drugs(text)] for text in (left, right)],
        "Conditions": [[one.name for one in find_conditions(text)] for text in (left, right)],
        "Numbers": [[one.text.strip() for one in find_quantities(text)] for text in (left, right)],
    }
    rows = "".join(
        f"<tr><td>{kind}</td>{_only(found[0], found[1])}{_only(found[1], found[0])}</tr>"
        for kind, found in kinds.items()
        if any(found)
    )
    if not rows:
        return '<p class="bs-soft">Neither names a drug, a condition or a number that is known here.</p>'
    return (
        '<div class="bs-scroll" tabindex="0">'
        '<table class="bs-table"><thead><tr><th></th><th>A</th><th>B</th></tr></thead>'
        f'<tbody>{rows}</tbody></table></div><p class="bs-soft">Marked is what the other does not name. Found by lists '
        "of names and patterns, which miss misspelt and rare ones.</p>"
    )


def _only(own: Sequence[str], other: Sequence[str]) -> str:
    there = {one.lower() for one in other}
    words = list(dict.fromkeys(own))
    shown = ", ".join(
        escape(one) if one.lower() in there else f'<mark class="bs-up" style="--bs-strength: 22%">{escape(one)}</mark>'
        for one in words
    )
    return f"<td>{shown or '–'}</td>"


def draws(drawn: Sequence[Mapping[str, Answer]], first_seed: int) -> str:
    """A line for each seed with both answers."""
    rows = "".join(
        f"<tr><td>{first_seed + number}</td>"
        + "".join(f'<td><p class="bs-text">{escape(one[side].text.strip())}</p></td>' for side in SIDES)
        + "</tr>"
        for number, one in enumerate(drawn)
    )
    return (
        '<div class="bs-scroll" tabindex="0">'
        '<table class="bs-table bs-draws"><thead><tr><th>Seed</th><th>A</th><th>B</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
    )
