"""The search that the planner proposes: the lecture's ranges, what goes with the run file, and a budget of time."""

from __future__ import annotations

import pytest

from assistant.planner import draft_of_run, drafts, starter_run
from assistant.planner.advice import advise
from assistant.planner.advice_search import LEAST_TOKENS, Proposal, propose
from assistant.planner.answers import Answers
from assistant.planner.dialogue import show
from trainer import config as run_config
from trainer.hardware import Machine
from trainer.sections import RunConfig

TWO_CORES = Machine(cpu_name="test", cores=2, memory_gib=24, cpu_bf16=True)


def proposed(changes: dict[str, str], minutes: float = 60) -> Proposal:
    return propose(run_config.with_values(RunConfig(), changes), TWO_CORES, minutes)


def test_each_range_is_the_lectures_and_has_its_source():
    found = proposed({"schedule.learning_rate": "1e-3"})
    space = found.request.space.root
    assert list(space) == [
        "schedule.learning_rate",
        "method.rank",
        "method.dropout",
        "schedule.weight_decay",
        "schedule.warmup_share",
        "schedule.layer_rate_ratio",
        "schedule.max_grad_norm",
    ]
    rate = space["schedule.learning_rate"]
    assert (rate.low, rate.high, rate.log) == (1e-4, 5e-3, True)
    assert space["method.rank"].choices == [4, 8, 16, 32, 64]
    sources = {reason.field: reason.source for reason in found.reasons}
    assert sources["method.rank"] == "lecture L1.9" and sources["trials"] == "lecture L3.10"
    assert set(space) | {"trials", "tokens", "method", "objectives"} == set(sources)
    assert found.request.faults() == [] and found.request.space.values_of(found.request.run) is not None


def test_the_run_files_own_value_is_always_among_those_searched():
    found = proposed({"method.rank": "6", "schedule.learning_rate": "0.02", "schedule.weight_decay": "0"})
    space = found.request.space
    assert space.root["method.rank"].choices == [4, 6, 8, 16, 32, 64]
    assert space.root["schedule.learning_rate"].high == 0.02 and space.root["schedule.weight_decay"].low == 0
    assert space.values_of(found.request.run) is not None


@pytest.mark.parametrize(
    ("kind", "searched", "left_out"),
    [
        ("full", {"schedule.layer_rate_ratio"}, {"method.rank", "method.dropout"}),
        ("prefix", {"method.length"}, {"method.rank", "schedule.layer_rate_ratio"}),
        ("adapter", {"method.width", "method.dropout"}, {"method.rank"}),
        ("ia3", set(), {"method.rank", "schedule.layer_rate_ratio"}),
    ],
)
def test_what_does_not_go_with_the_method_is_left_out(kind: str, searched: set[str], left_out: set[str]):
    found = proposed({"method.kind": kind})
    assert searched <= set(found.request.space.root) and not left_out & set(found.request.space.root)
    assert found.request.faults() == []
    if kind == "full":
        rate = found.request.space.root["schedule.learning_rate"]
        assert (rate.low, rate.high) == (1e-5, 2e-4), "L1.1's, and the run file's own 2e-4"


def test_trials_and_their_tokens_fit_into_the_time():
    hour = proposed({}).request
    # 20 x 19,000 tokens at 175 tokens a second, of which training is 0.6: 60 minutes.
    assert (hour.trials, hour.tokens, hour.method) == (20, 19_000, "tpe")
    night = proposed({}, minutes=600).request
    assert (night.trials, night.tokens) == (50, 76_000)
    assert proposed({}, minutes=1).request.tokens == LEAST_TOKENS
    unknown = proposed({"model.name": "somebody/some-model"})
    assert unknown.request.tokens == 20_000
    assert "not known" in next(one.why for one in unknown.reasons if one.field == "tokens")


def test_what_was_found_opens_as_a_plan_with_its_run_file():
    config = advise(Answers(task="question_answering", dataset="starter", gpu="cpu"), TWO_CORES).config
    config.schedule.learning_rate = 0.003
    draft = draft_of_run.draft_of(config, "Plan with what was found.", "It found a rate.")
    kept = drafts.load(draft.id)
    assert kept.title == "Plan with what was found." and kept.answers.dataset == "starter"
    turn = show(kept)
    assert turn.missing == [] and turn.config is not None and kept.edited_yaml is not None
    assert run_config.parse_yaml(kept.edited_yaml) == config
    assert turn.config.data.sources == starter_run.SOURCES
    config.data.sources = [*config.data.sources[:1], config.data.sources[0].model_copy(update={"name": "rows.jsonl"})]
    assert show(draft_of_run.draft_of(config, "", "")).missing == []
