"""A merged model's folder as one GGUF file for llama.cpp and what is built on it, in f16 or quantised.

Names of tensors, their order of bytes and the quantisers are those of the package `gguf`; what each family of models
needs besides stands in `_Family`. Tensors pass through memory one at a time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from trainer.export import ExportError
from trainer.export.gguf_tokenizer import Vocabulary, vocabulary
from trainer.models import Progress

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType, GGUFWriter
    from transformers import PreTrainedConfig

Type = Literal["f16", "q8_0", "q5_0", "q4_0"]
TYPES: tuple[Type, ...] = get_args(Type)
"""From the largest to the smallest; bits a weight: 16, 8.5, 5.5, 4.5.

q4_1 and q5_1 are left out: the embedded model's weights were made from q4_1, so that they lie on its steps, and what
a run changes is smaller than half a step. Rounded to the same steps 6 % of the change is left, and the tuned model
answers as its base does (perplexity of its own answers: 6.2 times as large); q5_1, with steps between these, makes
1.6 times the change of it. The other types keep 84 to 100 %."""


@dataclass
class _Family:
    """What llama.cpp calls a family of models, and how its weights are changed for it."""

    name: str
    turned: bool = False
    """Queries' and keys' rows are put in the order of llama.cpp's rotary embedding (pairs side by side)."""
    gemma: bool = False
    """Its norms hold their distance to one, where llama.cpp wants the scale itself, and its activation is GELU."""
    full_every: int = 1
    """Every so many layers one looks back on everything, the others no further than a window."""


_FAMILIES = {
    "llama": _Family("llama", turned=True),
    "mistral": _Family("llama", turned=True),
    "qwen2": _Family("qwen2"),
    "qwen3": _Family("qwen3"),
    "gemma2": _Family("gemma2", gemma=True, full_every=2),
    "gemma3_text": _Family("gemma3", gemma=True, full_every=6),
}
"""By `model_type` of transformers."""


def write(model: Path, file: Path, kind: Type, name: str, progress: Progress = lambda stage, done, total: None) -> None:
    """Write the model in folder `model` (safetensors, tokenizer.json, chat template) as the GGUF file `file`.

    `name` is what it is called in the file. Matrices get the type asked for, where their rows divide into its blocks
    of 32, else f16; of the four- and five-bit types, embeddings and output layer get q8_0, which llama.cpp's own tool
    also keeps finer. Raises `ExportError` for a model that llama.cpp would compute otherwise.
    """
    import gguf
    from transformers import AutoConfig, AutoTokenizer

    config = AutoConfig.from_pretrained(model, trust_remote_code=False)
    family = _family(config)
    words = vocabulary(model, config.vocab_size)
    names = gguf.get_tensor_name_map(_architecture(family), config.num_hidden_layers)
    tensors = _tensors(model, config, family, names)
    writer = gguf.GGUFWriter(file, family.name)
    _say_what_it_is(writer, name, kind)
    _say_shape(writer, config, family)
    _say_tokenizer(writer, words, AutoTokenizer.from_pretrained(model, trust_remote_code=False), model)
    for one in tensors:
        as_type = _type_of(one, kind)
        stored = gguf.quant_shape_to_byte_shape(one.shape, as_type)
        plain = {gguf.GGMLQuantizationType.F32: np.float32, gguf.GGMLQuantizationType.F16: np.float16}.get(as_type)
        writer.add_tensor_info(
            one.name, one.shape if plain else stored, np.dtype(plain or np.uint8), math.prod(stored), raw_dtype=as_type
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for number, one in enumerate(tensors, 1):
        as_type, values = _type_of(one, kind), one.read()
        stored = gguf.quantize(values, as_type)
        if not np.isfinite(values).all() or (stored.dtype == np.float16 and not np.isfinite(stored).all()):
            writer.close()
            raise ExportError(f"{one.name} holds numbers that f16 has no place for; export it with --as merged.")
        writer.write_tensor_data(stored)
        progress(f"writing {kind}", number, len(tensors))
    writer.close()


@dataclass
class _Tensor:
    """One tensor as it will be called, and how its values (float32) are read."""

    name: str
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


def _family(config: PreTrainedConfig) -> _Family:
    kind = config.model_type
    if kind not in _FAMILIES:
        raise ExportError(
            f"Models of the kind {kind} are not written as GGUF here; {', '.join(sorted(_FAMILIES))} are. Take the "
            "merged model (--as merged), and llama.cpp's own convert_hf_to_gguf.py."
        )
    family, rope = _FAMILIES[kind], _rope(config)
    activation = getattr(config, "hidden_activation", None) or getattr(config, "hidden_act", "")
    windows = getattr(config, "layer_types", None) or []
    expected = ["sliding_attention", "full_attention"]
    full = [(number + 1) % family.full_every == 0 for number in range(len(windows))]
    odd = {
        f"rotary embedding ({rope['rope_type']})": rope["rope_type"] not in ("default", "linear", "llama3"),
        f"activation ({activation})": activation != ("gelu_pytorch_tanh" if family.gemma else "silu"),
        "scale of queries": family.gemma and not _usual_scale(config),
        "order of attention windows": family.gemma and windows != [expected[one] for one in full],
        "attention window": not family.gemma and bool(getattr(config, "use_sliding_window", False)),
    }
    if found := next((what for what, is_so in odd.items() if is_so), ""):
        raise ExportError(
            f"This model's {found} is one that llama.cpp computes otherwise in this family. Take the merged model "
            "(--as merged)."
        )
    return family


def _usual_scale(config: Any) -> bool:
    """Whether Gemma's queries are divided as llama.cpp does it: by the head's width, in the 27-billion models by the
    share of the model's width that a head has."""
    largest = config.num_hidden_layers in (46, 62)
    width = config.hidden_size / config.num_attention_heads if largest else config.head_dim
    return config.query_pre_attn_scalar == width


def _rope(config: Any) -> dict[str, Any]:
    """The rotary embedding's settings, of the layers that look back on everything."""
    said = dict(config.rope_parameters)
    return {"rope_type": "default", **said.get("full_attention", said)}


def _architecture(family: _Family) -> Any:
    import gguf

    return next(one for one, name in gguf.MODEL_ARCH_NAMES.items() if name == family.name)


def _say_what_it_is(writer: GGUFWriter, name: str, kind: Type) -> None:
    import gguf

    writer.add_type("model")
    writer.add_name(name)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind.upper()}"])


def _say_shape(writer: GGUFWriter, config: Any, family: _Family) -> None:
    import gguf

    rope = _rope(config)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    window: Any = getattr(config, "sliding_window", None)
    # Mistral's first models look back no further than a window, which llama.cpp does not know of: up to there they
    # are the same.
    limited = window if family.name == "llama" else None
    writer.add_context_length(min(config.max_position_embeddings, limited or config.max_position_embeddings))
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if family.gemma:
        writer.add_sliding_window(window)
    if family.name == "gemma3":
        writer.add_rope_freq_base_swa(config.rope_parameters["sliding_attention"]["rope_theta"])
    if family.name == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)


def _say_tokenizer(writer: GGUFWriter, words: Vocabulary, tokenizer: Any, folder: Path) -> None:
    writer.add_tokenizer_model(words.kind)
    writer.add_tokenizer_pre(words.pre)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.types)
    writer.add_token_merges(words.merges)
    writer.add_token_scores(words.scores)
    if words.space_first is not None:
        writer.add_add_space_prefix(words.space_first)
    ends = _ends(folder, tokenizer)
    named = {
        writer.add_bos_token_id: tokenizer.bos_token_id,
        writer.add_eos_token_id: ends[0],
        writer.add_eot_token_id: ends[1] if len(ends) > 1 else None,
        writer.add_pad_token_id: tokenizer.pad_token_id,
        writer.add_unk_token_id: tokenizer.unk_token_id,
    }
    for say, number in named.items():
        if number is not None:
            say(number)
    # llama.cpp would otherwise put a token before prompts that the template does not begin with.
    begins = tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id] and tokenizer.apply_chat_template(
        [{"role": "user", "content": "a"}], tokenize=False
    ).startswith(tokenizer.bos_token)
    writer.add_add_bos_token(begins)
    writer.add_add_eos_token(False)
    writer.add_chat_template(tokenizer.chat_template)


def _ends(folder: Path, tokenizer: Any) -> list[int]:
    """The tokens that end an answer, the tokenizer's own first."""
    path = folder / "generation_config.json"
    said = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") if path.exists() else None
    others = said if isinstance(said, list) else [said]
    return [tokenizer.eos_token_id, *(one for one in others if one not in (None, tokenizer.eos_token_id))]


def _type_of(tensor: _Tensor, kind: Type) -> GGMLQuantizationType:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    if len(tensor.shape) == 1:
        return GGMLQuantizationType.F32
    finer = kind not in ("f16", "q8_0") and tensor.name in ("token_embd.weight", "output.weight")
    wanted = GGMLQuantizationType[("q8_0" if finer else kind).upper()]
    return wanted if tensor.shape[-1] % GGML_QUANT_SIZES[wanted][0] == 0 else GGMLQuantizationType.F16


def _tensors(model: Path, config: Any, family: _Family, names: Any) -> list[_Tensor]:
    """All tensors as llama.cpp calls and orders them; their values are read when they are needed."""
    from safetensors import safe_open

    found = []
    for path in sorted(model.glob("*.safetensors")):
        with safe_open(str(path), framework="pt") as file:
            for key in file.keys():  # noqa: SIM118  (no mapping)
                name = names.get_name(key, try_suffixes=(".weight", ".bias"))
                if name is None:
                    raise ExportError(
                        f"{path.name}: {key} has no name in llama.cpp's {family.name}. Take the merged model "
                        "(--as merged)."
                    )
                shape = tuple(file.get_slice(key).get_shape())
                found.append(_Tensor(name, shape, _reader(path, key, config, family)))
    rope = _rope(config)
    if rope["rope_type"] == "llama3":
        factors = _llama3_factors(config, rope)
        found.append(_Tensor("rope_freqs.weight", factors.shape, lambda: factors))
    return found


def _reader(path: Path, key: str, config: Any, family: _Family) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        from safetensors import safe_open

        with safe_open(str(path), framework="pt") as file:
            values = file.get_tensor(key).float().numpy()
        if family.gemma and key.endswith("norm.weight"):
            return values + 1
        if family.turned and ".q_proj." in key:
            return _turned(values, config.num_attention_heads)
        if family.turned and ".k_proj." in key:
            return _turned(values, config.num_key_value_heads)
        return values

    return read


def _turned(values: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys in llama.cpp's order: a head's row i and row i + d/2, which turn together, side by side.

    transformers turns halves of a head against each other, llama.cpp's Llama neighbours (Su et al. 2021 as published).
    """
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))


def _llama3_factors(config: Any, rope: dict[str, Any]) -> np.ndarray:
    """By how much each of Llama 3.1's rotary frequencies is divided: 1 for short waves, `factor` for long ones.

    Between them it goes over smoothly (Grattafiori et al. 2024; the rule is that of transformers' `llama3` type).
    """
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    frequencies = rope["rope_theta"] ** (-np.arange(0, head, 2, dtype=np.float64) / head)
    turns = rope["original_max_position_embeddings"] * frequencies / (2 * math.pi)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / rope["factor"] + smooth)).astype(np.float32)
