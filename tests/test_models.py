"""Finding a base model: where it was looked for, and never half of one."""

import shutil
from pathlib import Path

import pytest

from trainer import models
from trainer.config import RunConfig


def test_a_model_that_cannot_be_had_says_where_it_was_looked_for():
    with pytest.raises(models.ModelError) as caught:
        models.find("someone/no-such-model")
    assert "the folder someone/no-such-model and the Hugging Face Hub (someone/no-such-model)" in str(caught.value)
    assert "put its files" in str(caught.value)
    with pytest.raises(models.ModelError, match="the folder nonsense and the catalogue"):
        models.find("nonsense")


def test_a_folder_without_safetensors_is_refused(tmp_path: Path):
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(models.ModelError, match=r"holds no \.safetensors"):
        models.find(str(tmp_path))


def test_a_model_without_a_chat_template_is_refused(tiny_model: Path, tmp_path: Path):
    folder = tmp_path / "plain"
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(models.ModelError, match="has no chat template"):
        models.load_base(RunConfig.model_validate({"model": {"name": str(folder)}}))


def test_a_half_written_conversion_is_not_used(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BEDSIDE_CACHE", raising=False)
    calls = []

    def convert(gguf: Path, target: Path, report: object) -> None:
        calls.append(target)
        assert not target.exists()
        target.mkdir()
        (target / "model.safetensors").write_bytes(b"whole")

    monkeypatch.setattr(models, "_convert", convert)
    monkeypatch.setattr(models, "_from_hub", lambda hub_id, report: None)
    leftover = models.cache_folder() / ".smollm2-135m-instruct-1.part"
    leftover.mkdir()
    (leftover / "model.safetensors").write_bytes(b"half")
    found = models.find(models.EMBEDDED)
    assert found.origin.startswith("GGUF") and (found.folder / "model.safetensors").read_bytes() == b"whole"
    assert models.find(models.EMBEDDED).folder == found.folder and len(calls) == 1


def test_four_bit_base_stays_frozen_and_its_adapter_learns_on_a_cpu(tiny_model: Path):
    import torch

    config = RunConfig.model_validate({"model": {"name": str(tiny_model), "quantization": "nf4"}})
    base, tokenizer, _ = models.load_base(config)
    assert any(type(part).__name__ == "Linear4bit" for part in base.modules())
    model = lora_model = __import__("trainer.methods.lora", fromlist=["apply"]).apply(base, config.method)
    ids = torch.tensor([tokenizer("abc")["input_ids"]])
    model(input_ids=ids, labels=ids).loss.backward()
    trained = {name for name, parameter in lora_model.named_parameters() if parameter.grad is not None}
    assert trained and all("lora_" in name for name in trained)
