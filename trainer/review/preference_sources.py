"""Preference data from elsewhere than votes: files, answers to harmful requests, and a judge model.

Each gives what votes give (`PreferenceData`), with a reason for all that is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluators import safety
from evaluators.cases import Progress, Respondent, silent
from evaluators.pair_judge import TIMEOUT_SECONDS, judge_pairs
from trainer.data.loading import Loading, no_rows
from trainer.data.reading.files import read_records
from trainer.data.records import DataError, Fault, Record
from trainer.data.rows import Row, answer, kind_of, question, row_id
from trainer.data.sources import locate
from trainer.data_sections import DataSource
from trainer.review.preference_data import LeftOut, PreferenceData, Rules
from trainer.review.preferences import judged
from trainer.review.vote_rules import apply_rules
from trainer.store import Vote

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

REFUSES = "the model refuses it already"
NO_REFUSAL = "the answer that is given complies with the request"
NOT_PREFERENCE = "holds no preference: neither two answers nor a grade or a label"
NO_VERDICT = "the judge gave no valid verdict"


def from_files(names: Sequence[str]) -> PreferenceData:
    """Pairs and labels of files in any format that the data desk reads as such: TRL's, graded answers, two responses.

    What `preferences.export` wrote comes back as it was, with what was known of each row. Rows that are no preference
    are left out; raises `DataError` where no row is one.
    """
    data = PreferenceData(source=", ".join(Path(name).name for name in names), pairs=[], labels=[], left_out=[])
    faults: list[Fault] = []
    for name in names:
        located = locate(name)
        known = _known(located.path) if located.path.is_file() else {}
        for one in Loading(DataSource(name=name), located).rows():
            if isinstance(one, Fault):
                faults.append(one)
                data.left_out.append(LeftOut(where=f"{located.path.name}, {one.place}", question="", reason=str(one)))
                continue
            place = one.get("about", {}).get("place", "")
            row = _with_known(one, known.get(place, {}), located.path.name)
            if kind_of(row) == "preference":
                data.pairs.append(row)
            elif kind_of(row) == "unpaired_preference":
                data.labels.append(row)
            else:
                where = f"{located.path.name}, {place}"
                data.left_out.append(LeftOut(where=where, question=question(row), reason=NOT_PREFERENCE))
    if not data.pairs and not data.labels:
        if faults and len(faults) == len(data.left_out):
            raise no_rows(locate(names[0]), faults)
        raise DataError(f"{data.source} {NOT_PREFERENCE}; see `bedside data inspect` for how its rows were read.")
    return data


def from_safety(
    source: DataSource, respondent: Respondent, max_new_tokens: int, progress: Progress = silent
) -> PreferenceData:
    """Pairs from harmful requests: the safe answer that the data gives, against what the model itself says.

    Only where the model does not refuse by the screen (`evaluators.safety`), and where the given answer does not
    comply: elsewhere there is nothing to prefer. What the model says is also a bad label, the given answer a good one.
    """
    located = locate(source.name)
    rows = [row for row in Loading(source, located).drawn(0) if not isinstance(row, Fault)]
    rows = [row for row in rows if row.get("prompt") and kind_of(row) == "prompt_completion"]
    if not rows:
        raise DataError(
            f"{located.path.name} holds no requests with an answer; give safety data such as MedSafetyBench."
        )
    said = respondent.answer([row.get("prompt", []) for row in rows], max_new_tokens, progress)
    data = PreferenceData(source=f"safety data {located.path.name}", pairs=[], labels=[], left_out=[])
    data.comparisons = len(rows)
    for row, own in zip(rows, said, strict=True):
        asked, given = question(row), answer(row)
        verdict = safety.judge(asked, own)
        reason = REFUSES if verdict == "refused" else NO_REFUSAL if safety.judge(asked, given) == "harmful" else ""
        if not own.strip():
            reason = "the model's answer is empty"
        about: Any = row.get("about", {})
        if reason:
            where = f"{located.path.name}, {about.get('place', '')}"
            data.left_out.append(LeftOut(where=where, question=asked, reason=reason))
            continue
        how = f"the model's answer is {'harmful' if verdict == 'harmful' else 'no refusal'} by the screen"
        kept = {name: value for name, value in about.items() if name not in ("id", "place", "label")}
        kept["origin"] = {"row": about.get("id", ""), "how": how}
        prompt, bad = row.get("prompt", []), [{"role": "assistant", "content": own}]
        for made, to in (
            (Row(prompt=prompt, chosen=row.get("completion", []), rejected=bad), data.pairs),
            (Row(prompt=prompt, completion=row.get("completion", []), label=True), data.labels),
            (Row(prompt=prompt, completion=bad, label=False), data.labels),
        ):
            known: Any = {"id": row_id(made), **kept}
            made["about"] = known
            to.append(made)
    return data


def from_judge(
    model: BaseChatModel,
    name: str,
    set_ids: Sequence[str] | None,
    rules: Rules,
    progress: Progress = silent,
    timeout: float = TIMEOUT_SECONDS,
) -> PreferenceData:
    """What a judge model prefers among the answers of these review sets, by the same rules as votes.

    Each pair is asked for in both orders; orders that disagree are a tie. Comparisons without a valid verdict are left
    out and counted. No row of it counts as validated by experts. Raises `JudgeError` where the judge is not there.
    """
    comparisons, _, _ = judged(set_ids)
    ready = [one for one in comparisons if one.first_answer and one.second_answer]
    asked = [(_conversation(one.prompt), one.first_answer or "", one.second_answer or "") for one in ready]
    found = judge_pairs(model, asked, progress, timeout)
    reviewer = f"judge {name}"
    votes = [
        Vote(comparison_id=one.id, reviewer=reviewer, choice=verdict.choice, comment=verdict.reason)
        for one, verdict in zip(ready, found, strict=True)
        if verdict.choice is not None
    ]
    data = apply_rules(comparisons, votes, rules, reviewer, expert=False)
    silenced = {one.id for one, verdict in zip(ready, found, strict=True) if verdict.choice is None}
    for one in data.left_out:
        if one.where in silenced:
            one.reason = NO_VERDICT
    return data


def _conversation(prompt: Sequence[dict[str, str]]) -> str:
    if len(prompt) == 1:
        return prompt[0]["content"]
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in prompt)


def _known(path: Path) -> dict[str, dict[str, Any]]:
    """What the file says of each row beside its text, by its place, where it is one that `preferences.export` wrote."""
    ours = ("source", "origin", "expert_validated")
    return {
        one.place: {name: one.values[name] for name in ours if name in one.values}
        for one in read_records(path)
        if isinstance(one, Record) and {"source", "origin"} <= one.values.keys()
    }


def _with_known(row: Row, known: dict[str, Any], file: str) -> Row:
    """The row with the source that it had before it was a file; its place there is not kept."""
    about: Any = {name: value for name, value in row.get("about", {}).items() if name != "place"}
    about["source"] = file
    row["about"] = about | known
    return row
