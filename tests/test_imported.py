"""An adapter that was trained elsewhere: what it becomes, and what is refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from trainer import models, pairing, runs
from trainer.errors import ModelError
from trainer.evaluation.respondent import model_key
from trainer.events import WarningEvent
from trainer.imported import CONFIG, WEIGHTS, import_adapter
from trainer.model_refs import ModelRef, known
from trainer.sections import RunConfig


@pytest.fixture(scope="module")
def trained_elsewhere(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What PEFT itself saves of a LoRA of the tiny model on two kinds of layers."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("elsewhere") / "my-lora"
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    torch.manual_seed(3)
    settings = LoraConfig(
        task_type="CAUSAL_LM", r=4, lora_alpha=16, target_modules=["q_proj", "v_proj"], init_lora_weights=False
    )
    get_peft_model(base, settings).save_pretrained(str(folder))
    return folder


@pytest.fixture
def adapter(trained_elsewhere: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(trained_elsewhere, tmp_path / "my-lora"))


def test_it_answers_as_it_does_where_it_was_trained(adapter: Path, tiny_model: Path):
    from peft import PeftModel

    run = import_adapter(adapter, str(tiny_model), "from the lab")
    assert (run.status.state, run.config.output.name, run.config.method.kind) == ("done", "from the lab", "lora")
    assert run.config.method.model_dump()["target_modules"] == ["q_proj", "v_proj"]
    assert ModelRef(run=run.id) in known()
    pair = pairing.load(ModelRef(run=run.id, part="base"), ModelRef(run=run.id))
    assert pair.together and not pair.can_prompt
    base, _, _ = models.load_base(
        RunConfig.model_validate({"model": {"name": str(tiny_model)}, "hardware": {"precision": "auto"}})
    )
    ids = torch.tensor([[5, 9, 11, 40]])
    with torch.inference_mode():
        expected = PeftModel.from_pretrained(base, str(adapter))(input_ids=ids).logits
        assert torch.equal(pair.halves["second"].model(input_ids=ids).logits, expected)
    assert model_key(run, side=True) != model_key(run, side=False)
    (told,) = [event.message for event in run.events() if isinstance(event, WarningEvent)]
    assert "imported from my-lora" in told and str(tiny_model) in told


def test_an_archive_is_taken_as_a_folder_is(adapter: Path, tiny_model: Path, tmp_path: Path):
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for name in (CONFIG, WEIGHTS):
            archive.write(adapter / name, f"some/folder/{name}")
        archive.writestr("some/folder/evil.py", "raise SystemExit")
    run = import_adapter(packed, str(tiny_model), "packed")
    assert sorted(one.name for one in run.adapter.iterdir()) == [CONFIG, WEIGHTS]
    with pytest.raises(ModelError, match="is no folder and no zip archive"):
        import_adapter(adapter / CONFIG, str(tiny_model), "x")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"peft_type": "VERA"}, "peft_type is 'VERA'; LORA and IA3 can be imported"),
        ({"task_type": "SEQ_CLS"}, "task_type is 'SEQ_CLS'; only CAUSAL_LM gives answers"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is set, which cannot be imported"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights is 'pissa', which changes the base's weights"),
        ({"bias": "all"}, "bias is 'all'"),
        ({"target_modules": ["nowhere"]}, "does not fit .*: Target modules"),
        ({"r": 8}, r"lora_A.weight is \[4, 64\], and the base needs \[8, 64\]"),
    ],
)
def test_what_cannot_be_taken_is_said_in_a_sentence(
    adapter: Path, tiny_model: Path, changes: dict[str, Any], said: str
):
    settings = json.loads((adapter / CONFIG).read_text())
    (adapter / CONFIG).write_text(json.dumps(settings | changes))
    with pytest.raises(ModelError, match=said):
        import_adapter(adapter, str(tiny_model), "x")
    assert runs.list_runs() == ([], []) and list(runs.runs_folder().iterdir()) == []


def test_another_base_a_pickle_and_damage_are_refused(adapter: Path, tiny_model: Path, tmp_path: Path):
    state = load_file(adapter / WEIGHTS)
    save_file({name: one[..., :32].contiguous() for name, one in state.items()}, adapter / WEIGHTS)
    with pytest.raises(ModelError, match=r"does not fit .*lora_A.weight is \[4, 32\], and the base needs \[4, 64\]"):
        import_adapter(adapter, str(tiny_model), "x")
    (adapter / WEIGHTS).write_bytes(b"not safetensors at all")
    with pytest.raises(ModelError, match=f"{WEIGHTS} is damaged"):
        import_adapter(adapter, str(tiny_model), "x")
    (adapter / WEIGHTS).rename(adapter / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"adapter_model.bin is a pickle, which may run whatever it likes"):
        import_adapter(adapter, str(tiny_model), "x")
    with pytest.raises(ModelError, match="has no name"):
        import_adapter(adapter, str(tiny_model), " ")
