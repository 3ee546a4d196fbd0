"""Finding a base model: where it was looked for, and never half of one."""

import shutil
from pathlib import Path

import pytest

from trainer import models
from trainer.data.rows import Row
from trainer.data.tokens import IGNORED, encode
from trainer.errors import ModelError
from trainer.sections import RunConfig


def test_a_model_that_cannot_be_had_says_where_it_was_looked_for():
    with pytest.raises(ModelError) as caught:
        models.find("someone/no-such-model")
    assert "the folder someone/no-such-model and the Hugging Face Hub (someone/no-such-model)" in str(caught.value)
    assert "put its files" in str(caught.value)
    with pytest.raises(ModelError, match="the folder nonsense and the catalogue"):
        models.find("nonsense")


def test_a_folder_without_safetensors_is_refused(tmp_path: Path):
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(ModelError, match=r"holds no \.safetensors"):
        models.find(str(tmp_path))


CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Is it so?"},
    {"role": "assistant", "content": "Yes."},
]


def load_with_template(tiny_model: Path, folder: Path, template: str | None):
    shutil.copytree(tiny_model, folder)
    if template is None:
        (folder / "chat_template.jinja").unlink()
    else:
        (folder / "chat_template.jinja").write_text(template)
    _, tokenizer, found = models.load_base(RunConfig.model_validate({"model": {"name": str(folder)}}))
    return tokenizer, found.template_note


def test_a_model_that_was_never_tuned_to_chat_gets_a_plain_template_and_says_so(tiny_model: Path, tmp_path: Path):
    tokenizer, note = load_with_template(tiny_model, tmp_path / "plain", None)
    assert note.startswith("The model ships no chat template")
    text = tokenizer.apply_chat_template(CHAT[:2], tokenize=False, add_generation_prompt=True)
    assert isinstance(text, str) and text.endswith("Be brief.\n\n### Question\nIs it so?\n\n### Answer\n")
    # The mask stops where the answer begins, and the end mark is trained.
    row = Row(prompt=CHAT[1:2], completion=CHAT[2:])
    encoded = encode(row, tokenizer, "Be brief.")
    trained = [token for token in encoded["labels"] if token != IGNORED]
    assert tokenizer.decode(trained) == f"Yes.{tokenizer.eos_token}"


def test_a_template_that_takes_no_system_prompt_gets_it_before_the_question(tiny_model: Path, tmp_path: Path):
    ends = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
    refuses = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + ends
    leaves_out = "{% for m in messages if m['role'] != 'system' %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
    for number, template in enumerate((refuses, leaves_out)):
        tokenizer, note = load_with_template(tiny_model, tmp_path / str(number), template)
        assert "takes no system prompt" in note
        text = tokenizer.apply_chat_template(CHAT, tokenize=False)
        assert text == "<user>Be brief.\n\nIs it so?<assistant>Yes."
        assert tokenizer.apply_chat_template(CHAT[1:], tokenize=False) == "<user>Is it so?<assistant>Yes."
    tokenizer, note = load_with_template(tiny_model, tmp_path / "bears", ends)
    assert (note, tokenizer.chat_template) == ("", ends)


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
    with torch.no_grad():  # a run is measured before it trains
        model.eval()(input_ids=ids)
    model.train()(input_ids=ids, labels=ids).loss.backward()
    trained = {name for name, parameter in lora_model.named_parameters() if parameter.grad is not None}
    assert trained and all("lora_" in name for name in trained)
    reached = {name for name, one in model.named_parameters() if one.grad is not None and one.grad.any()}
    assert reached == {name for name, _ in model.named_parameters() if "lora_B" in name}
