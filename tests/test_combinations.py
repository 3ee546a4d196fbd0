"""Which values go together: an impossible pair is refused with both fields and a way out; the docs say the same."""

from typing import Any

import pytest

from trainer import config, impossible_pairs
from trainer.combinations import faults
from trainer.features import DEVICES, METHODS, OBJECTIVES, OPTIONS, Feature, switched_on
from trainer.impossible_pairs import IMPOSSIBLE, Impossible

FEATURES = {feature.name: feature for feature in METHODS + OBJECTIVES + OPTIONS + DEVICES}


@pytest.mark.parametrize("pair", IMPOSSIBLE, ids=lambda pair: f"{pair.first} with {pair.second}")
def test_an_impossible_pair_names_both_fields_and_the_nearest_possible(pair: Impossible):
    first, second = FEATURES[pair.first], FEATURES[pair.second]
    told = [fault for fault in faults(switched_on(first, second)) if pair.why in fault.message]
    assert [fault.field for fault in told] == [second.field]
    assert f"({first.field})" in told[0].message and told[0].message.endswith(pair.instead)
    for one in (first, second):
        assert not any(pair.why in fault.message for fault in faults(switched_on(one))), "either alone is no fault"


@pytest.mark.parametrize("feature", METHODS + OBJECTIVES + OPTIONS + DEVICES, ids=lambda feature: feature.name)
def test_each_feature_is_on_where_it_is_switched_on_and_off_by_default(feature: Feature):
    assert feature.on(switched_on(feature))
    assert feature.name == "LoRA" or not feature.on(switched_on())


def test_a_variant_shares_the_fate_of_its_method():
    prefixes = switched_on(FEATURES["prefix for each task"], FEATURES["gradient checkpointing"])
    assert [fault.field for fault in faults(prefixes)] == ["schedule.gradient_checkpointing"]
    row = next(line for line in impossible_pairs.table().splitlines() if line.startswith("| prefix for each task |"))
    crossed = [(OPTIONS + DEVICES)[place].name for place, cell in enumerate(row.split("|")[2:-1]) if "✗" in cell]
    assert {"gradient checkpointing", "EWC", "meta-learning", "gradient surgery"} <= set(crossed)
    assert "distillation" not in crossed


def test_the_table_in_the_docs_is_the_one_that_the_rules_make():
    written = impossible_pairs.DOCS.read_text(encoding="utf-8")
    assert written == impossible_pairs.table(), "run `python -m trainer.impossible_pairs`"


@pytest.mark.parametrize(
    ("settings", "field", "said"),
    [
        ({"method.kind": "full", "method.offload": "true"}, "method.offload", "there is no GPU"),
        ({"method.kind": "adalora", "method.rank": "16"}, "method.start_rank", "is 12, below method.rank (16)"),
        ({"steering.distillation": "1", "steering.replay_share": "0"}, "steering.distillation", "replay_share is 0"),
        ({"steering.ewc": "1", "data.general_sources": "[]"}, "steering.ewc", "data.general_sources is empty"),
        ({"steering.mixing": "dynamic", "data.general_sources": "[]"}, "steering.mixing", "is empty"),
        ({"method.kind": "lorra"}, "method.kind", "found 'lorra'; it should be one of lora, adalora, full, prefix"),
        ({"method.kind": "prefix", "method.length": "0"}, "method.length", "found 0; it should be greater than"),
        (
            {"objective.kind": "dpo", "objective.precompute_reference": "false", "method.kind": "full"},
            "objective.precompute_reference",
            "(method.kind: full tuning changes the only copy of it)",
        ),
        (
            {"objective.kind": "dpo", "objective.precompute_reference": "false", "method.start_from": "A_RUN"},
            "objective.precompute_reference",
            "(method.start_from: it is the adapter",
        ),
        (
            {"objective.kind": "kto", "evaluation.watch": "token_accuracy"},
            "evaluation.watch",
            "take loss or answer_accuracy or worst_task_loss",
        ),
        ({"objective.kind": "orpo", "data.canaries": "5"}, "data.canaries", "orpo learns from pairs"),
        ({"objective.kind": "dpo", "steering.conflict_every": "5"}, "steering.conflict_every", "leave it empty"),
    ],
)
def test_what_does_not_fit_is_told_by_its_field(settings: dict[str, str], field: str, said: str):
    with pytest.raises(config.ConfigError) as caught:
        config.with_values(switched_on(), settings)
    (fault,) = caught.value.faults
    assert fault.field == field and said in fault.message


def test_another_kind_of_method_begins_with_its_own_defaults():
    made = config.with_values(switched_on(), {"method.length": "12", "method.kind": "prefix"})
    expected: Any = {"kind": "prefix", "start_from": None, "length": 12, "projection": False, "per": "run"}
    assert made.method.model_dump() == expected
    with pytest.raises(config.ConfigError, match=r"method\.rank: there is no such field"):
        config.with_values(made, {"method.rank": "8"})
    assert config.parse({"method": {"rank": 4}}).method.kind == "lora", "a section without a kind is LoRA's"
