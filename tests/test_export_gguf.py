"""GGUF files: opened by llama.cpp they answer as transformers does, and read back in they are the same model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from chatml import CHATML
from gguf import GGUFReader
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma2Config,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from trainer import runs
from trainer.export import ExportError, gguf
from trainer.export.gguf_tokenizer import vocabulary
from trainer.export.llama_cpp import opened
from trainer.export.merge import merge
from trainer.export.prompts import compare_prompts, own_tokenizer
from trainer.export.quantisation import quantisation_loss
from trainer.export.questions import questions
from trainer.model_refs import ModelRef
from trainer.runs import Run
from trainer.sections import RunConfig

SHAPE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
}
GEMMA: dict[str, Any] = {**SHAPE, "tie_word_embeddings": True, "query_pre_attn_scalar": 32, "sliding_window": 16}
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEXT = "Is potassium 6.8 mmol/L, in 2026, dangerous? It's   urgent!\n\nÄrztin: 你好 🙂"
ASKED = [
    [{"role": "system", "content": "You are a clinical assistant."}, {"role": "user", "content": TEXT}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
]


@pytest.fixture(scope="module")
def merged_once(trained_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of `finished_run`, merged once for all tests."""
    home = tmp_path_factory.mktemp("merged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEDSIDE_HOME", str(home))
        shutil.copytree(trained_folder, runs.runs_folder() / trained_folder.name)
        return merge(ModelRef(run=trained_folder.name), home / "merged").folder


@pytest.fixture
def merged(merged_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(merged_once, tmp_path / "merged"))


def greedy(folder: Path, messages: list[dict[str, str]], count: int) -> str:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    asked = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    said = model.generate(asked, attention_mask=torch.ones_like(asked), max_new_tokens=count, do_sample=False)
    return tokenizer.decode(said[0, asked.shape[1] :], skip_special_tokens=True)


def test_llama_cpp_answers_as_the_merged_model(finished_run: Run, merged: Path, tmp_path: Path):
    file = tmp_path / "tiny-f16.gguf"
    gguf.write(merged, file, "f16", "tiny")
    asked = questions(finished_run.config)
    model = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32).eval()
    prompt, answer = [1, 60, 70, 80], [90, 2, 33]
    with torch.inference_mode():
        chances = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    with opened(file) as llama:
        compare_prompts(llama.render, llama.tokens, own_tokenizer(finished_run), asked, file.name)
        for messages in asked[:4]:
            assert llama.chat(messages, 12).strip() == greedy(merged, messages, 12).strip()
        expected = float(chances[torch.arange(3), torch.tensor(answer)].sum())
        assert llama.log_likelihood(prompt, answer) == pytest.approx(expected, abs=0.01)


def test_what_each_type_loses(finished_run: Run, merged: Path, tmp_path: Path):
    files: dict[gguf.Type, Path] = {kind: tmp_path / f"tiny-{kind}.gguf" for kind in ("f16", "q4_0")}
    for kind, file in files.items():
        gguf.write(merged, file, kind, "tiny")
    rows, notes = quantisation_loss(finished_run.config, merged, files, 4)
    assert notes == []
    assert [row.kind for row in rows] == ["merged", "f16", "q4_0"]
    plain, f16, q4 = rows
    assert f16.equal_answers is not None and f16.equal_answers.score == 1.0
    assert f16.log_likelihood == pytest.approx(plain.log_likelihood, abs=0.002)
    assert abs(f16.log_likelihood - plain.log_likelihood) < abs(q4.log_likelihood - plain.log_likelihood) < 0.3
    assert plain.bytes > f16.bytes > q4.bytes
    assert {row.right.n for row in rows} == {4}


def test_a_file_of_other_weights_is_caught(finished_run: Run, merged: Path, tmp_path: Path):
    other = shutil.copytree(merged, tmp_path / "other")
    (weights,) = other.glob("*.safetensors")
    values = load_file(weights)
    values["model.norm.weight"] *= -1  # what the run learnt to say becomes what it says last
    save_file(values, weights, metadata={"format": "pt"})
    gguf.write(other, tmp_path / "wrong.gguf", "f16", "tiny")
    with pytest.raises(ExportError, match=r"wrong\.gguf is not the merged model: .* explains 0\.02"):
        quantisation_loss(finished_run.config, merged, {"f16": tmp_path / "wrong.gguf"}, 4)


def test_a_template_that_the_file_renders_otherwise_is_caught(finished_run: Run, merged: Path, tmp_path: Path):
    template = merged / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|im_end|>\n{% endfor %}", "<|im_end|>{% endfor %}"))
    gguf.write(merged, tmp_path / "other.gguf", "f16", "tiny")
    with opened(tmp_path / "other.gguf") as model, pytest.raises(ExportError, match="They part at character"):
        compare_prompts(
            model.render, model.tokens, own_tokenizer(finished_run), questions(finished_run.config), "other.gguf"
        )


def test_a_file_that_is_none_ends_llama_cpp_and_not_us(tmp_path: Path):
    file = tmp_path / "none.gguf"
    file.write_bytes(b"GGUF" + b"\x00" * 200)
    with pytest.raises(ExportError, match=r"llama\.cpp cannot open none\.gguf"), opened(file):
        pass


def byte_level(split: list[Any], merges: list[tuple[str, str]], ignore_merges: bool = False) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with ChatML's marks, as the families' own are made."""
    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    words += [a + b for a, b in merges]
    model = models.BPE(
        vocab={word: number for number, word in enumerate(words)}, merges=merges, ignore_merges=ignore_merges
    )
    made = Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.Sequence(split)  # pyright: ignore
    made.decoder = decoders.ByteLevel()  # pyright: ignore
    return _chat(made, "<|im_end|>", "<|endoftext|>")


def with_fallback(space_first: bool) -> PreTrainedTokenizerFast:
    """BPE over characters with a fallback to bytes, as SentencePiece's are converted."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581"]
    pieces += sorted(set("abcdefghijklmnopqrstuvwxyzISABL.,?!:/0123456789|<>_\nYB"))
    merges = [("\u2581", "i"), ("i", "s"), ("\u2581", "p"), ("o", "t"), ("\u2581p", "ot"), ("\u2581", "a")]
    pieces += [a + b for a, b in merges]
    made = Tokenizer(
        models.BPE(
            vocab={piece: number for number, piece in enumerate(pieces)},
            merges=merges,
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    steps: list[Any] = [normalizers.Replace(" ", "\u2581")]
    made.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), *steps] if space_first else steps)  # pyright: ignore
    made.decoder = decoders.Sequence(  # pyright: ignore
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return _chat(made, "</s>", "<unk>", ["<|im_start|>", "<|im_end|>"])


def _chat(made: Tokenizer, end: str, pad: str, added: list[str] | None = None) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token=end,
        pad_token=pad,
        additional_special_tokens=added or ["<|im_start|>"],
        chat_template=CHATML,
    )


MERGES = [("i", "s"), ("Ġ", "p"), ("o", "t"), ("Ġp", "ot"), ("a", "s"), ("2", "0"), ("20", "2"), ("Ġ", "Ġ")]
LEVEL = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
FAMILIES: dict[str, tuple[Any, Any]] = {
    "llama 3": (
        lambda size: LlamaConfig(
            **SHAPE, vocab_size=size, attention_bias=True,
            rope_parameters={
                "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
            },
        ),
        lambda: byte_level(
            [
                pre_tokenizers.Split(Regex(QWEN_SPLIT.replace(r"|\p{N}|", r"|\p{N}{1,3}|")), "isolated"), LEVEL
            ], MERGES, True,
        ),
    ),
    "smollm": (
        lambda size: LlamaConfig(**cast(Any, SHAPE | {"tie_word_embeddings": True}), vocab_size=size),
        lambda: byte_level(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)], MERGES
        ),
    ),
    "mistral": (lambda size: MistralConfig(**SHAPE, vocab_size=size, sliding_window=400), lambda: with_fallback(True)),
    "qwen2": (
        lambda size: Qwen2Config(**cast(Any, SHAPE | {"head_dim": 16}), vocab_size=size + 9),
        lambda: byte_level([pre_tokenizers.Split(Regex(QWEN_SPLIT), "isolated"), LEVEL], MERGES),
    ),
    "qwen3": (
        lambda size: Qwen3Config(**SHAPE, vocab_size=size),
        lambda: byte_level([pre_tokenizers.Split(Regex(QWEN_SPLIT), "isolated"), LEVEL], MERGES),
    ),
    "gemma2": (
        lambda size: Gemma2Config(**GEMMA, vocab_size=size),
        lambda: with_fallback(False),
    ),
    "gemma3": (
        lambda size: Gemma3TextConfig(**GEMMA, vocab_size=size),
        lambda: with_fallback(False),
    ),
}  # fmt: skip


RARER = ("smollm", "qwen3", "gemma3", "mistral")
"""Families that `make soak` alone opens in llama.cpp: they differ from another one in little."""


def made(family: str, folder: Path) -> tuple[Any, Any]:
    """A random model of the family and its tokenizer, saved in `folder`."""
    config_of, tokenizer_of = FAMILIES[family]
    tokenizer = tokenizer_of()
    torch.manual_seed(5)
    config = config_of(len(tokenizer))
    config.pad_token_id, config.eos_token_id, config.bos_token_id = tokenizer.pad_token_id, tokenizer.eos_token_id, None
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for one in model.parameters():
            # Larger than a fresh model's, and nowhere 0 or 1: also a bias or a norm that is left out is then seen.
            one.add_((0.3 if one.dim() == 1 else 0.08) * torch.randn_like(one))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=[pytest.mark.soak] if name in RARER else []) for name in FAMILIES]
)
def test_llama_cpp_computes_each_family_as_transformers_does(family: str, tmp_path: Path):
    model, tokenizer = made(family, tmp_path / "model")
    gguf.write(tmp_path / "model", tmp_path / "model.gguf", "f16", family)
    ids: list[int] = []
    with opened(tmp_path / "model.gguf") as llama:
        for messages in ASKED:
            text = str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            assert llama.render(messages) == text
            assert llama.tokens(text) == ids
        answer = [70, 71, 72, 73]
        with torch.inference_mode():
            chances = model(torch.tensor([ids + answer])).logits[0, len(ids) - 1 : -1].log_softmax(-1)
        expected = float(chances[torch.arange(4), torch.tensor(answer)].sum())
        assert llama.log_likelihood(ids, answer) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(("family", "kind", "most"), [("smollm", "f16", 0.02), ("qwen2", "q8_0", 0.5)])
def test_transformers_reads_it_back(family: str, kind: gguf.Type, most: float, tmp_path: Path):
    model, tokenizer = made(family, tmp_path / "model")
    gguf.write(tmp_path / "model", tmp_path / "model.gguf", kind, family)
    again = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype=torch.float32).eval()
    ids = torch.tensor([[1, 40, 90, 120, 70, 33, 2, 77]])
    with torch.inference_mode():
        apart = float((again(ids).logits - model(ids).logits).abs().max())
    assert apart < most
    read = AutoTokenizer.from_pretrained(tmp_path, gguf_file="model.gguf")
    text = TEXT.translate({ord(digit): None for digit in "0123456789"})  # it has no name for SmolLM's way with numbers
    assert read(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert read.chat_template == tokenizer.chat_template


def test_the_file_says_what_it_is(merged: Path, tmp_path: Path):
    gguf.write(merged, tmp_path / "tiny.gguf", "q4_0", "Lab model")
    reader = GGUFReader(tmp_path / "tiny.gguf")
    said = {name: field.contents() for name, field in reader.fields.items()}
    assert said["general.architecture"] == "llama" and said["general.name"] == "Lab model"
    assert said["llama.context_length"] == 2048 and said["tokenizer.ggml.pre"] == "gpt-2"
    assert said["tokenizer.ggml.eos_token_id"] == 2 and said["tokenizer.ggml.add_bos_token"] is False
    types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert types["blk.0.attn_q.weight"] == "Q4_0" and types["token_embd.weight"] == "Q8_0"
    assert types["output_norm.weight"] == "F32" and "output.weight" not in types


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"model_type": "phi3"}, "Models of the kind phi3 are not written as GGUF here"),
        ({"hidden_act": "gelu"}, r"activation \(gelu\) is one that llama\.cpp computes otherwise"),
        (
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}},
            r"rotary embedding \(dynamic\)",
        ),
    ],
)
def test_what_llama_cpp_would_compute_otherwise_is_refused(
    merged: Path, tmp_path: Path, changed: dict[str, Any], told: str
):
    path = merged / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(ExportError, match=told):
        gguf.write(merged, tmp_path / "tiny.gguf", "f16", "tiny")


def test_a_tokenizer_that_cuts_words_in_its_own_way_is_refused(merged: Path):
    path = merged / "tokenizer.json"
    said = json.loads(path.read_text())
    said["pre_tokenizer"] = {"type": "Whitespace"}
    path.write_text(json.dumps(said))
    with pytest.raises(ExportError, match="cuts text into words in a way that this exporter has no name for"):
        vocabulary(merged, 259)


def test_rows_that_do_not_divide_into_blocks_stay_f16(tiny_run: RunConfig, tmp_path: Path):
    config = LlamaConfig(**cast(Any, SHAPE | {"intermediate_size": 80}), vocab_size=300)
    tokenizer = byte_level([pre_tokenizers.ByteLevel(add_prefix_space=False)], MERGES)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    gguf.write(tmp_path / "model", tmp_path / "model.gguf", "q8_0", "odd")
    types = {tensor.name: tensor.tensor_type.name for tensor in GGUFReader(tmp_path / "model.gguf").tensors}
    assert (types["blk.0.ffn_down.weight"], types["blk.0.ffn_up.weight"]) == ("F16", "Q8_0")
