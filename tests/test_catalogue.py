"""The tables hold together: shapes give the parameter counts on the cards, and names lead to one row each."""

import pytest

from trainer import catalogue
from trainer.sizing import linear_shapes


@pytest.mark.parametrize("row", catalogue.base_models(), ids=lambda row: row.name)
def test_the_shape_of_a_model_gives_the_number_on_its_card(row):
    matrices = sum(inside * outside for inside, outside in linear_shapes(row).values())
    embeddings = row.vocab * row.hidden * (1 if row.tied_embeddings else 2)
    counted = row.layers * (matrices + 2 * row.hidden) + row.hidden + embeddings
    assert counted / 1e9 == pytest.approx(row.params_b, rel=0.001)


def test_every_name_and_alias_leads_to_its_own_row():
    for rows, find in ((catalogue.base_models(), catalogue.base_model), (catalogue.gpus(), catalogue.gpu)):
        for row in rows:
            for name in (row.name, row.name.upper(), *row.aliases):
                assert find(name) == row, name


def test_there_are_enough_rows_and_a_gated_one_is_marked():
    assert len(catalogue.base_models()) >= 12
    assert len(catalogue.gpus()) >= 14
    assert {row.name for row in catalogue.base_models() if row.gated} == {
        "llama-3.2-1b-instruct",
        "llama-3.2-3b-instruct",
        "llama-3.1-8b-instruct",
        "mistral-7b-instruct-v0.3",
    }


@pytest.mark.parametrize(
    ("name", "memory", "bandwidth", "bf16"),
    [
        ("rtx-4090", 24, 1008, True),
        ("t4", 15, 320, False),
        ("a100-40gb", 40, 1555, True),
        ("h100-80gb", 79.6, 3350, True),
    ],
)
def test_figures_of_data_sheets(name, memory, bandwidth, bf16):
    row = catalogue.gpu(name)
    assert row is not None
    assert (row.memory_gib, row.bandwidth_gb_s, row.bf16) == (memory, bandwidth, bf16)


def test_a_hub_id_is_a_name_too_and_an_unknown_one_is_none():
    row = catalogue.base_model("HuggingFaceTB/SmolLM2-135M-Instruct")
    assert row is not None and row.name == "smollm2-135m-instruct"
    assert catalogue.base_model("someone/else-7b") is None
    assert catalogue.gpu("rx-7900") is None


def test_a_card_known_by_its_memory_gets_the_speed_of_the_slowest_like_it():
    row = catalogue.gpu("24gb")
    assert row is not None
    slowest = min(gpu.bf16_tflops for gpu in catalogue.gpus() if 0.8 * 24 <= gpu.memory_gib <= 1.25 * 24)
    assert (row.name, row.memory_gib, row.bf16_tflops) == ("24gb", 24.0, slowest)
    assert catalogue.gpu("0gb") is None


@pytest.mark.parametrize(
    ("device", "memory", "name"),
    [
        ("NVIDIA A100-SXM4-80GB", 80.0, "a100-80gb"),
        ("NVIDIA A100-PCIE-40GB", 40.0, "a100-40gb"),
        ("NVIDIA GeForce RTX 4090", 23.99, "rtx-4090"),
        ("NVIDIA H100 80GB HBM3", 79.6, "h100-80gb"),
        ("Tesla T4", 15.0, "t4"),
        ("NVIDIA L40S", 44.99, "l40s"),
        ("NVIDIA L4", 22.49, "l4"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 16.0, None),
        ("NVIDIA GeForce RTX 4070 Ti", 12.0, None),
        ("NVIDIA A10", 22.5, None),
    ],
)
def test_a_driver_s_name_leads_to_the_row_of_the_same_chip(device, memory, name):
    row = catalogue.gpu_of_device(device, memory)
    assert (row.name if row else None) == name
