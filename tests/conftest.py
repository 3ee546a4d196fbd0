"""What several tests need: a home of their own, a tiny random model, and the embedded one."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from chatml import CHATML

from trainer import runs
from trainer.runs import Run
from trainer.sections import HeldOutSet, RunConfig

ROOT = Path(__file__).resolve().parent.parent
LONG = ("test_pages_data.py", "test_pages.py", "test_training.py", "test_several_processes.py", "test_every_way.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take longest come first, so that no process is left with one when the others have ended."""
    items.sort(key=lambda item: item.path.name not in LONG)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Chance is the same whatever ran before; a test that needs a GPU is skipped, and said, where there is none."""
    import torch

    torch.manual_seed(0)
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device, and this machine has none")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a home of its own and never asks a model hub."""
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "home"


class Shown(NamedTuple):
    """What a command ended with."""

    status: Any
    out: str
    err: str


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Shown]:
    """`bedside` with these arguments, in this process."""
    from assistant import cli

    def call(*arguments: str) -> Shown:
        monkeypatch.setattr(sys, "argv", ["bedside", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return Shown(ended.value.code, printed.out, printed.err)

    return call


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random two-layer Llama and a byte-level tokenizer with the ChatML template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-model")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *alphabet]
    bytes_only = Tokenizer(models.BPE(vocab={word: index for index, word in enumerate(words)}, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore
    bytes_only.decoder = decoders.ByteLevel()  # pyright: ignore
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_only,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=CHATML,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=2048,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
            tie_word_embeddings=True,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def embedded_cache() -> Iterator[Path]:
    """Cache of the converted embedded model, kept between test runs: converting takes some seconds."""
    import os

    folder = ROOT / ".cache" / "models"
    before = os.environ.get("BEDSIDE_CACHE")
    os.environ["BEDSIDE_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["BEDSIDE_CACHE"]
    else:
        os.environ["BEDSIDE_CACHE"] = before


@pytest.fixture
def tiny_data(tmp_path: Path) -> Path:
    """Forty short question-answer rows in a JSONL file."""
    return _even_rows(tmp_path / "rows.jsonl", range(40))


@pytest.fixture
def tiny_run(tiny_model: Path, tiny_data: Path) -> RunConfig:
    """A run of twelve steps in fp32 on the tiny model: what is tested is the machinery, not the answers."""
    return _tiny_run(tiny_model, tiny_data)


@pytest.fixture(scope="session")
def asked_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve held-out rows of the same kind as `tiny_data`."""
    return _even_rows(tmp_path_factory.mktemp("asked") / "asked.jsonl", range(100, 112))


@pytest.fixture(scope="session")
def trained_folder(tiny_model: Path, asked_rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of four steps that holds back `asked_rows`, trained once for all tests."""
    from trainer import engine
    from trainer.reporting import Reporter

    home = tmp_path_factory.mktemp("trained")
    config = _tiny_run(tiny_model, _even_rows(home / "rows.jsonl", range(40)))
    config.schedule.max_steps = 4
    config.evaluation.held_out = [HeldOutSet(name=str(asked_rows), metric="exact_match", items=12)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEDSIDE_HOME", str(home))
        patch.setenv("HF_HUB_OFFLINE", "1")
        run = runs.create(config)
        engine.train(config, Reporter(run.folder, run.status))
    return run.folder


@pytest.fixture
def finished_run(trained_folder: Path) -> Run:
    """That run in this test's own home."""
    shutil.copytree(trained_folder, runs.runs_folder() / trained_folder.name)
    return runs.get(trained_folder.name)


def _even_rows(path: Path, numbers: range) -> Path:
    rows = [{"question": f"Is {number} even?", "answer": "yes" if number % 2 == 0 else "no"} for number in numbers]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _tiny_run(model: Path, data: Path) -> RunConfig:
    return RunConfig.model_validate(
        {
            "model": {"name": str(model)},
            "data": {"sources": [{"name": str(data)}], "contains_phi": False},
            "method": {"kind": "lora", "rank": 4, "alpha": 8, "dropout": 0.1},
            "schedule": {
                "max_steps": 12,
                "batch_size": 4,
                "accumulation": 1,
                "learning_rate": 0.01,
                "checkpoint_every": 4,
            },
            "evaluation": {
                "every": 6,
                "sample_every": 6,
                "sample_prompts": ["Is 4 even?"],
                "forgetting": False,
                "max_new_tokens": 8,
            },
            "hardware": {"precision": "fp32"},
            "output": {"name": "tiny"},
        }
    )
