"""Further training rows from the ones there are: the question in other words, the same answer (lecture L3.9).

Five ways: `synonyms` (heart attack, myocardial infarction), `abbreviations` (HTN, hypertension), `brand_generic`
(Lipitor, atorvastatin), and by local models of the user's own `back_translation` (into another language and back) and
`paraphrase` (by one model that rewrites).

Only the last message of the user is rewritten. What is trained, the answer, is kept to the letter: somebody may have
approved it. A row is left alone where the rewriting could make its answer wrong:

- the question is about words ("What does HTN stand for?"), or, for brand_generic, about brand or generic names;
- the answer takes words from the question (entities, classes, orders, notes; every answer under 40 words; and any drug
  name): then no word may change that the answer has, and none may come in;
- the row is not English (other languages are rewritten by models only).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, cast, get_args

from pydantic import BaseModel, Field

from evaluators.rewording import eligibility, faithful, wording
from evaluators.rewording.substitution import TableWay, rewritings
from trainer.data.records import DataError
from trainer.data.rows import About, Message, Origin, Row, question, row_id

Way = Literal["synonyms", "abbreviations", "brand_generic", "back_translation", "paraphrase"]
BY_MODEL = {"back_translation": "data.translation_models", "paraphrase": "data.paraphrase_model"}
"""Ways that a model of the user's does, and the field that names it."""
Rewrite = Callable[[list[str]], list[str]]
"""Texts in other words, in the same order: a translation there and back, or a paraphrase."""

_CITING_TASKS = {"ner", "classification", "summarization", "report_generation"}
_BATCH = 16


class Counts(BaseModel):
    """What `augment_rows` did, filled while its rows are taken."""

    rows: int = 0
    """Rows that were read."""
    wanted: int = 0
    by_way: dict[str, int] = Field(default_factory=dict)
    """Added rows."""
    unfaithful: int = 0
    """Back-translations that were dropped because a number, unit, time, side, negation or drug did not survive."""

    @property
    def added(self) -> int:
        return sum(self.by_way.values())

    def notes(self) -> list[str]:
        """What a reader should be told: too few rows, a way that did nothing, dropped translations."""
        said = []
        if self.added < 0.9 * self.wanted:
            said.append(
                f"Augmentation added {self.added:,} rows of the {self.wanted:,} asked for: the other rows have "
                "nothing that can be reworded without touching what their answer rests on."
            )
        said += [f"The way {way} added no row." for way, count in self.by_way.items() if not count]
        if self.unfaithful:
            said.append(
                f"{self.unfaithful:,} questions that a model rewrote were dropped: a number, unit, time, side, "
                "negation or drug did not survive."
            )
        return said


def augment(
    row: Row, ways: Sequence[str], draw: random.Random, models: Mapping[str, Rewrite] | None = None
) -> Row | None:
    """A new row with the question said otherwise in one of the `ways`, or None where none of them can change it.

    The new row's `about` is the old one's with an id of its own, an `origin` that names the old row and the change, and
    no `expert_validated`: nobody has validated the new wording. Raises `DataError` for a way that is not known, and for
    a way of `BY_MODEL` without its model.
    """
    models = _checked(ways, models)
    order = list(ways)
    draw.shuffle(order)
    for way in order:
        text = _question_of(row, way)
        if text is None:
            continue
        if way not in BY_MODEL:
            made = _reworded(row, text, cast(TableWay, way), draw, {text})
        else:
            made = _by_model(row, way, text, models[way]([wording.stem(text)])[0])
        if isinstance(made, dict):
            return made
    return None


def augment_rows(
    rows: Iterable[Row],
    ways: Sequence[str],
    share: float,
    seed: int,
    models: Mapping[str, Rewrite] | None = None,
    counts: Counts | None = None,
) -> Iterator[Row]:
    """The rows to be added to `rows`: about `share` of them, spread over rows and ways as evenly as they allow.

    Rows are taken one at a time, so any number of them passes. Where a row cannot be changed, the next ones make up for
    it, each with at most twice the share (at least one row). `counts` is filled on the way. Raises `DataError` as
    `augment` does.
    """
    models = _checked(ways, models)
    counts = counts if counts is not None else Counts()
    counts.by_way |= {way: counts.by_way.get(way, 0) for way in ways}
    most = max(1, round(2 * share))
    owed = 0
    wanted = 0.0
    waiting: list[tuple[Row, str, str]] = []
    for row in rows:
        counts.rows += 1
        wanted += share
        draw = random.Random(f"{seed}/augment/{row_id(row)}")
        owed += int(share) + (draw.random() < share % 1)
        counts.wanted = round(wanted)
        used: set[str] = set()
        for _ in range(min(owed, most)):
            for way in sorted(ways, key=lambda way: counts.by_way[way]):
                text = _question_of(row, way)
                if text is None:
                    continue
                if way in BY_MODEL:
                    if any(one is row and by == way for one, by, _ in waiting[-len(BY_MODEL) :]):
                        continue  # once a row: a model gives the same words again
                    waiting.append((row, way, text))
                else:
                    made = _reworded(row, text, cast(TableWay, way), draw, used | {text})
                    if made is None:
                        continue
                    used.add(question(made))
                    yield made
                counts.by_way[way] += 1
                owed -= 1
                break
            else:
                break
        if len(waiting) >= _BATCH:
            rewritten = list(_rewritten(waiting, models, counts))
            owed += len(waiting) - len(rewritten)
            waiting.clear()
            yield from rewritten
    yield from _rewritten(waiting, models, counts)


def _rewritten(waiting: list[tuple[Row, str, str]], models: Mapping[str, Rewrite], counts: Counts) -> Iterator[Row]:
    """The faithful ones of a batch; the others are taken out of the counts again."""
    for way, rewrite in models.items():
        own = [(row, text) for row, by, text in waiting if by == way]
        for (row, text), new in zip(own, rewrite([wording.stem(text) for _, text in own]) if own else [], strict=True):
            made = _by_model(row, way, text, new)
            if isinstance(made, dict):
                yield made
            else:
                counts.by_way[way] -= 1
                counts.unfaithful += made == "unfaithful"


def _question_of(row: Row, way: str) -> str | None:
    """The text that a way may rewrite, or None where it has to leave the row alone."""
    prompt = row.get("prompt") or []
    about = row.get("about", About())
    if not prompt or prompt[-1]["role"] != "user" or "origin" in about:
        return None
    text = prompt[-1]["content"]
    if way not in BY_MODEL and not eligibility.is_english(text, about.get("language", "")):
        return None
    if eligibility.about_words(text) or (way == "brand_generic" and eligibility.about_drug_names(text)):
        return None
    return text


def _reworded(row: Row, text: str, way: TableWay, draw: random.Random, used: set[str]) -> Row | None:
    """One rewriting that is not among the texts already `used`, drawn among those that leave the answer right."""
    options = list(rewritings(text, way))
    draw.shuffle(options)
    strict = way == "brand_generic" or cites(row)
    for option in options:
        if option.text not in used and not (strict and touches_answer(row, text, option.text)):
            return new_row(row, option.text, f"{way}: {option.how}")
    return None


def _by_model(row: Row, way: str, text: str, back: str) -> Row | Literal["unfaithful", "unchanged"]:
    """The row with its question as it came back (all but the options of a multiple choice), if it is faithful."""
    back = back.strip() + text[len(wording.stem(text)) :]
    if _plain(back) == _plain(text):
        return "unchanged"
    language = row.get("about", About()).get("language") or ("en" if eligibility.is_english(text) else "")
    kept_length = 0.5 <= len(back) / len(text) <= 2
    kept_question = ("?" in text or "？" in text) == ("?" in back or "？" in back)
    if not (kept_length and kept_question) or faithful.lost(text, back, language):
        return "unfaithful"
    if cites(row) and touches_answer(row, text, back):
        return "unfaithful"
    return new_row(row, back, way)


def new_row(row: Row, text: str, how: str) -> Row:
    """The row with `text` for its question, and where it came from in its `about`; see `augment`."""
    new = cast(Row, {name: value for name, value in row.items() if name != "about"})
    prompt = row.get("prompt", [])
    new["prompt"] = [*prompt[:-1], Message(role="user", content=text)]
    old = row.get("about", About())
    about = cast(About, {name: value for name, value in old.items() if name != "expert_validated"})
    about["id"] = row_id(new)
    about["origin"] = Origin(row=old.get("id") or row_id(row), how=how)
    new["about"] = about
    return new


def _answers(row: Row) -> list[str]:
    return [message["content"] for name in ("completion", "chosen", "rejected") for message in row.get(name, [])]


def cites(row: Row) -> bool:
    """May the answer have been taken from the question's own words?"""
    if row.get("about", About()).get("task") in _CITING_TASKS:
        return True
    return any(len(answer.split()) < eligibility.SHORT_ANSWER for answer in _answers(row))


def touches_answer(row: Row, before: str, after: str) -> bool:
    """Does a word that the row's answer has leave the question, or come into it?"""
    return eligibility.touches(before, after, " ".join(_answers(row)))


def _plain(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().lower()


def _checked(ways: Sequence[str], models: Mapping[str, Rewrite] | None) -> Mapping[str, Rewrite]:
    for way in ways:
        if way not in get_args(Way):
            raise DataError(f"There is no way of augmenting called {way!r}; there are {', '.join(get_args(Way))}.")
        if way in BY_MODEL and way not in (models or {}):
            raise DataError(f"{way} needs a model on this machine; name it in {BY_MODEL[way]}.")
    return models or {}
