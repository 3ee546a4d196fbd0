"""Memory and steps of every way of tuning and of what acts on a run, against hand calculations."""

import pytest

from trainer import catalogue, sizing
from trainer.catalogue import BaseModelRow
from trainer.duration import all_steps, operations_per_token
from trainer.methods.counts import linear_shapes
from trainer.sections import RunConfig


def row(name: str) -> BaseModelRow:
    found = catalogue.base_model(name)
    assert found is not None
    return found


def run(**sections) -> RunConfig:
    return RunConfig.model_validate(sections)


MISTRAL = row("mistral-7b-instruct-v0.3")
GB = 1e9 / 2**30


def tuned(method: dict, model: str = MISTRAL.name, gpu: str = "a100-80gb", **sections) -> RunConfig:
    """A run on a GPU with another method."""
    base = {"model": {"name": model}, "hardware": {"device": "cuda", "gpu": gpu}, "method": method}
    return run(**(base | sections))


def high(config: RunConfig, model: BaseModelRow = MISTRAL) -> dict[str, float]:
    return sizing.memory_parts(config, model)[1]


def test_full_tuning_of_7_billion_takes_112_gb_before_activations():
    # 16 bytes a parameter in AdamW: Rajbhandari et al. 2020, section 3.1.
    seven = MISTRAL.model_copy(update={"params_b": 7.0})
    parts = sizing.memory_parts(tuned({"kind": "full"}), seven)[0]
    assert "adapter" not in parts
    assert sum(parts[name] for name in ("weights", "gradients", "optimiser")) / GB == pytest.approx(112, rel=0.001)
    # What the card holds of it with offload, and what the computer does.
    offloaded = tuned({"kind": "full", "offload": True})
    saved = 1 - sum(high(offloaded, seven).values()) / sum(high(tuned({"kind": "full"}), seven).values())
    assert saved > 0.7  # lecture L1.11: about 70 %
    assert sizing.host_gib(offloaded, seven) / GB == pytest.approx(112, rel=0.001)
    assert sizing.host_gib(tuned({"kind": "full"}), seven) == 0


@pytest.mark.parametrize(
    ("method", "numbers"),
    [
        # 30 tokens x 2 (keys, values) x 32 layers x 1,024; 20 x 4,096; 32 x (2 x 1,024 + 14,336); two bottlenecks.
        ({"kind": "prefix"}, 30 * 2 * 32 * 1024),
        ({"kind": "prompt"}, 20 * 4096),
        ({"kind": "ia3"}, 32 * (2 * 1024 + 14336)),
        ({"kind": "adapter"}, 32 * 2 * (64 * 4096 * 2 + 64 + 4096)),
    ],
)
def test_the_optimiser_holds_eight_bytes_for_each_trained_number(method, numbers):
    assert high(tuned(method))["optimiser"] == pytest.approx(8 * numbers / 2**30)
    assert high(tuned(method))["weights"] == pytest.approx(7.248e9 * 2 / 2**30, rel=0.001)


def test_every_task_with_an_adapter_of_its_own_is_counted():
    task = {"name": "ner", "other_tasks": ["summarization", "diagnosis"]}
    shared, own = (tuned({"kind": "adapter", "per": per}, task=task) for per in ("run", "task"))
    assert high(own)["optimiser"] == pytest.approx(3 * high(shared)["optimiser"])


def test_adalora_keeps_three_scores_for_each_number_it_begins_with():
    parts = high(tuned({"kind": "adalora", "rank": 8, "start_rank": 12}))
    assert parts["rank scores"] == pytest.approx(3 * parts["adapter"])


def test_virtual_tokens_lengthen_the_rows_and_a_prefix_does_not():
    plain = high(tuned({"kind": "ia3"}))["activations"]
    assert high(tuned({"kind": "prompt", "length": 128}))["activations"] == pytest.approx(plain * (1024 + 128) / 1024)
    assert high(tuned({"kind": "prefix", "length": 128}))["activations"] == pytest.approx(plain)


def test_what_holds_a_run_back_is_counted():
    adapted = 32 * sum(inside * outside for inside, outside in linear_shapes(MISTRAL).values())
    lora, full = {"kind": "lora"}, {"kind": "full"}
    assert "held back" not in high(tuned(lora, steering={"l2_sp": 0.1}))
    assert high(tuned(lora, steering={"ewc": 1}))["held back"] == pytest.approx(4 * adapted / 2**30)
    assert high(tuned(full, steering={"l2_sp": 0.1}))["held back"] == pytest.approx(4 * 7.248e9 / 2**30, rel=0.001)
    both = high(tuned(full, steering={"ewc": 1, "l2_sp": 0.1}))["held back"]
    assert both == pytest.approx(8 * 7.248e9 / 2**30, rel=0.001)


def test_gradients_of_tasks_are_held_apart_where_they_are_compared():
    task = {"name": "ner", "other_tasks": ["summarization"]}
    assert "gradients of tasks" not in high(tuned({"kind": "lora"}, task=task))
    for steering in ({"gradient_surgery": "pcgrad"}, {"conflict_every": 10}):
        parts = high(tuned({"kind": "lora"}, task=task, steering=steering))
        assert parts["gradients of tasks"] == pytest.approx(3 * parts["gradients"])


def test_steps_of_folds_of_meta_learning_and_of_the_search_for_a_rank():
    schedule = {"epochs": 2, "batch_size": 4, "accumulation": 4}
    assert all_steps(run(schedule=schedule), 1000) == (125, 125)
    assert all_steps(run(schedule=schedule, steering={"reptile_steps": 40}), 1000) == (165, 165)
    folds = run(schedule=schedule, evaluation={"validation": "k_fold", "folds": 4})
    assert all_steps(folds, 1000) == (625, 625)
    # One trial to five, each a fifth of the run.
    search = run(schedule=schedule, method={"kind": "lora", "search_rank": True})
    assert all_steps(search, 1000) == (150, 250)
    left_out = run(schedule={"max_steps": 5}, evaluation={"validation": "leave_one_out"})
    assert all_steps(left_out, 30) == (155, 155)


def test_operations_of_a_trained_token():
    params = 7.248e9
    full = tuned({"kind": "full"})
    assert operations_per_token(full, MISTRAL) == pytest.approx(6 * params)
    # Weights that visit the card layer by layer are computed again on the way back.
    assert operations_per_token(tuned({"kind": "full", "offload": True}), MISTRAL) == pytest.approx(8 * params)
    soft = tuned({"kind": "prompt"})
    assert operations_per_token(soft, MISTRAL) == pytest.approx(4 * params, rel=0.001)
    distilled = tuned({"kind": "prompt"}, steering={"distillation": 1, "replay_share": 0.2})
    assert operations_per_token(distilled, MISTRAL) == pytest.approx(4.4 * params, rel=0.001)
    task = {"name": "ner", "other_tasks": ["summarization"]}
    surgery = tuned({"kind": "prompt"}, task=task, steering={"gradient_surgery": "pcgrad"})
    assert operations_per_token(surgery, MISTRAL) == pytest.approx(6 * params, rel=0.001)
