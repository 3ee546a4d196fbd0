"""The tables hold together: shapes give the parameter counts on the cards, and names lead to one row each."""

import re

import pytest

from trainer import catalogue
from trainer.catalogue import BaseModelRow
from trainer.catalogue.datasets import data_set, data_sets
from trainer.methods.counts import linear_shapes


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


@pytest.mark.parametrize("rows", [catalogue.base_models(), catalogue.gpus()], ids=["models", "gpus"])
def test_no_name_or_alias_is_shared_by_two_rows(rows):
    owners = {}
    for row in rows:
        names = [row.name, *row.aliases, *([row.hub_id] if isinstance(row, BaseModelRow) else [])]
        for plain in {re.sub(r"[\s_-]", "", name.lower()) for name in names}:
            assert owners.setdefault(plain, row.name) == row.name, plain


def test_there_are_enough_rows_of_each_kind():
    gpus, models = catalogue.gpus(), catalogue.base_models()
    assert len(gpus) >= 42
    assert {row.kind for row in gpus} == {"consumer", "workstation", "data_centre", "apple", "rented"}
    assert len(models) >= 28
    assert min(row.params_b for row in models) < 0.14
    assert max(row.params_b for row in models) > 70
    assert sum(row.medical for row in models) >= 6


@pytest.mark.parametrize("row", [*catalogue.gpus(), *catalogue.base_models()], ids=lambda row: row.name)
def test_each_row_says_where_it_is_from(row):
    assert len(row.source.split()) >= 3
    if isinstance(row, BaseModelRow):
        assert row.source == f"model card {row.hub_id}"


def test_terms_must_be_accepted_for_meta_google_mistral_and_meditron_and_for_nobody_else():
    gated = {row.hub_id.split("/")[0] for row in catalogue.base_models() if row.gated}
    assert gated == {"meta-llama", "google", "mistralai", "epfl-llm"}
    assert not [row.name for row in catalogue.base_models() if not row.gated and row.hub_id.split("/")[0] in gated]


def test_only_apache_rows_of_makers_who_gave_that_licence_are_free():
    free = {row.hub_id.split("/")[0] for row in catalogue.base_models() if row.licence == "apache-2.0"}
    assert free == {"HuggingFaceTB", "Qwen", "mistralai", "TinyLlama", "BioMistral"}
    other = {row.name for row in catalogue.base_models() if row.licence != "apache-2.0" and "Qwen/" in row.hub_id}
    assert other == {"qwen2.5-3b-instruct", "qwen2.5-72b-instruct"}


def test_models_that_were_never_tuned_to_chat_have_no_template():
    without = {row.name for row in catalogue.base_models() if not row.chat_template}
    assert without == {"llama-7b", "medalpaca-7b", "meditron-7b", "meditron-70b", "openbiollm-8b"}


def test_prices_are_ranges_and_stand_where_a_machine_is_rented():
    for row in catalogue.gpus():
        if row.usd_per_hour is not None:
            low, high = row.usd_per_hour
            assert 0 <= low <= high < 20, row.name
            assert row.kind in ("rented", "data_centre"), row.name
        assert row.kind != "rented" or row.usd_per_hour is not None, row.name


def test_of_apple_s_machines_and_those_without_a_gpu_only_the_processor_counts():
    without = {row.name for row in catalogue.gpus() if not row.cuda}
    apple = {row.name for row in catalogue.gpus() if row.kind == "apple"}
    assert without == apple | {"space-cpu-basic", "space-cpu-upgrade", "colab-cpu", "kaggle-cpu"}
    assert all((row.cores is not None) == (not row.cuda) for row in catalogue.gpus())


def test_published_data_sets_say_what_they_allow():
    names = {row.name for row in data_sets()}
    assert names >= {"medinstruct", "healthcaremagic", "medqa", "medmcqa", "pubmedqa", "chatdoctor", "medquad"}
    assert names >= {"mts-dialog", "bc5cdr", "medsafetybench"}
    for row in data_sets():
        assert row.licence and row.notes.endswith(".") and row.source, row.name
        for name in (row.name, row.name.upper(), *row.aliases):
            assert data_set(name) == row, name
        assert (row.use == "any") == (row.restriction() == ""), row.name
    assert data_set("nothing") is None


def test_cards_before_ampere_do_not_compute_in_bf16():
    old = ("2060", "2070", "2080", "2080 ti", "t4", "v100", "p100", "colab-t4", "space-t4-small", "space-t4-medium")
    without = {row.name for row in catalogue.gpus() if not row.bf16 and row.cuda}
    found = [catalogue.gpu(name) for name in (*old, "v100 32gb")]
    assert without == {row.name for row in found if row is not None}


def test_a_rented_machine_has_the_card_that_its_name_says():
    for row in catalogue.gpus():
        if row.kind != "rented" or row.name == "space-zerogpu" or not row.cuda:
            continue
        inside = catalogue.gpu("a100-80gb" if row.name == "space-a100-large" else row.name.split("-")[1])
        assert inside is not None
        speed = (inside.memory_gib, inside.bf16_tflops, inside.bandwidth_gb_s, inside.bf16)
        assert (row.memory_gib, row.bf16_tflops, row.bandwidth_gb_s, row.bf16) == speed, row.name
    zero, four = catalogue.gpu("space-zerogpu"), catalogue.gpu("space-l4-x4")
    assert zero is not None and "not for training runs" in zero.note
    assert four is not None and four.count == 4


@pytest.mark.parametrize(
    ("name", "memory", "bandwidth", "bf16"),
    [
        ("rtx-4090", 24, 1008, True),
        ("t4", 15, 320, False),
        ("a100-40gb", 40, 1555, True),
        ("h100-80gb", 79.6, 3350, True),
        ("rtx 4070 ti", 12, 504, True),
        ("4070 Ti Super", 16, 672, True),
        ("4060 ti", 8, 288, True),
        ("2080 ti", 11, 616, False),
        ("a10", 22.5, 600, True),
        ("m2-ultra-192gb", 192, 800, True),
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
    # A chip of Apple's is sold with several memories, and "M1" is also a stage of a tumour.
    assert catalogue.gpu("m1") is None
    assert catalogue.gpu("m3 max") is None


def test_a_card_known_by_its_memory_gets_the_speed_of_the_slowest_like_it():
    row = catalogue.gpu("24gb")
    assert row is not None
    similar = [gpu for gpu in catalogue.gpus() if 0.8 * 24 <= gpu.memory_gib <= 1.25 * 24]
    # Machines without such a card are slower still.
    assert min(similar, key=lambda gpu: gpu.bf16_tflops).name == "kaggle-cpu"
    slowest = min((gpu for gpu in similar if gpu.cuda), key=lambda gpu: gpu.bf16_tflops)
    assert (row.name, row.memory_gib, row.bf16_tflops) == ("24gb", 24.0, slowest.bf16_tflops)
    assert (row.kind, row.cuda) == ("data_centre", True)
    assert catalogue.gpu("0gb") is None


def test_a_card_known_by_its_memory_has_no_price_and_no_remark_of_another():
    for memory in (16, 24, 32, 190):
        row = catalogue.gpu(f"{memory}gb")
        assert row is not None
        assert (row.cuda, row.usd_per_hour, row.note) == (True, None, "")
        assert row.kind not in ("apple", "rented")


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
        ("NVIDIA GeForce RTX 4070", 12.0, "rtx-4070"),
        ("NVIDIA GeForce RTX 4070 Ti", 12.0, "rtx-4070-ti"),
        ("NVIDIA GeForce RTX 4070 SUPER", 12.0, "rtx-4070-super"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", 16.0, "rtx-4070-ti-super"),
        ("NVIDIA GeForce RTX 4080 SUPER", 16.0, "rtx-4080-super"),
        ("NVIDIA GeForce RTX 4060 Ti", 16.0, "rtx-4060-ti-16gb"),
        ("NVIDIA GeForce RTX 4060 Ti", 8.0, "rtx-4060-ti-8gb"),
        ("NVIDIA GeForce RTX 3080", 10.0, "rtx-3080-10gb"),
        ("NVIDIA GeForce RTX 3080", 12.0, "rtx-3080-12gb"),
        ("NVIDIA GeForce RTX 2080 Ti", 11.0, "rtx-2080-ti"),
        ("NVIDIA RTX A6000", 47.99, "rtx-a6000"),
        ("NVIDIA RTX 6000 Ada Generation", 47.99, "rtx-6000-ada"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 95.6, "rtx-pro-6000-blackwell"),
        ("NVIDIA L40", 44.99, "l40-48gb"),
        ("NVIDIA A10", 22.49, "a10-24gb"),
        ("NVIDIA A10G", 22.49, "a10g"),
        ("NVIDIA A100 80GB PCIe", 80.0, "a100-80gb"),
        ("NVIDIA H100 PCIe", 79.65, "h100-pcie-80gb"),
        ("NVIDIA H100 NVL", 93.6, "h100-nvl-94gb"),
        ("NVIDIA GH200 480GB", 95.6, "gh200-96gb"),
        ("Tesla P100-PCIE-16GB", 15.9, "p100-16gb"),
        ("Tesla V100-SXM2-32GB", 31.75, "v100-32gb"),
        # Other chips, parts of a card and other memory.
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 16.0, None),
        ("NVIDIA GeForce RTX 4070 Ti Laptop GPU", 12.0, None),
        ("NVIDIA GeForce RTX 3090 Laptop GPU", 24.0, None),
        ("NVIDIA GeForce RTX 2080 with Max-Q Design", 8.0, None),
        ("NVIDIA GeForce RTX 2080 SUPER", 8.0, None),
        ("NVIDIA GeForce RTX 4090 D", 24.0, None),
        ("NVIDIA GeForce RTX 3060", 8.0, None),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", 95.6, None),
        ("Quadro RTX 6000", 24.0, None),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", 9.5, None),
        ("NVIDIA A100-SXM4-80GB MIG 7g.80gb", 80.0, None),
        ("Apple M1", 16.0, None),
        ("Apple M1 Max", 64.0, None),
        ("Colab T4", 15.0, None),
    ],
)
def test_a_driver_s_name_leads_to_the_row_of_the_same_chip(device, memory, name):
    row = catalogue.gpu_of_device(device, memory)
    assert (row.name if row else None) == name


def test_every_card_is_recognised_by_its_own_name_and_no_rented_or_apple_machine_is():
    for row in catalogue.gpus():
        device = "NVIDIA " + row.name.replace("-", " ").upper()
        found = catalogue.gpu_of_device(device, row.memory_gib)
        if row.kind in ("apple", "rented"):
            assert found is None, row.name
        else:
            assert found == row, row.name


# As the Hub has it for SmolLM2-135M-Instruct.
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 576,
    "intermediate_size": 1536,
    "max_position_embeddings": 8192,
    "model_type": "llama",
    "num_attention_heads": 9,
    "num_hidden_layers": 30,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
    "vocab_size": 49152,
}
SHAPE = {"layers", "hidden", "intermediate", "heads", "kv_heads", "head_dim", "vocab", "context", "tied_embeddings"}


def test_a_config_gives_the_shape_and_the_size():
    known = catalogue.base_model("smollm2-135m-instruct")
    row = catalogue.from_config("someone/else", CONFIG)
    assert known is not None
    assert row.model_dump(include=SHAPE) == known.model_dump(include=SHAPE)
    # The number of weights in the file, exactly.
    assert row.params_b * 1e9 == pytest.approx(134_515_008, abs=1)
    assert (row.name, row.hub_id, row.licence) == ("someone/else", "someone/else", "unknown")


def test_what_a_config_may_leave_out():
    without = {field: value for field, value in CONFIG.items() if field != "num_key_value_heads"}
    assert catalogue.from_config("x", without).kv_heads == 9
    assert catalogue.from_config("x", CONFIG | {"head_dim": None}).head_dim == 64
    assert catalogue.from_config("x", CONFIG | {"head_dim": 128}).head_dim == 128
    silent = {field: value for field, value in CONFIG.items() if field != "tie_word_embeddings"}
    assert catalogue.from_config("x", silent).params_b == pytest.approx(0.1345 + 49152 * 576 / 1e9, rel=0.001)
    assert catalogue.from_config("x", silent | {"model_type": "gemma2"}).tied_embeddings


@pytest.mark.parametrize(
    "field",
    [
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "vocab_size",
        "max_position_embeddings",
    ],
)
def test_a_missing_or_broken_field_is_named(field):
    without = {name: value for name, value in CONFIG.items() if name != field}
    for broken in (without, without | {field: None}, without | {field: 0}, without | {field: "many"}):
        with pytest.raises(ValueError, match=field):
            catalogue.from_config("x", broken)


def test_a_mixture_of_experts_is_refused():
    with pytest.raises(ValueError, match="mixture of experts"):
        catalogue.from_config("x", CONFIG | {"num_local_experts": 8})
