"""A tokenizer as GGUF holds it, from the tokenizer.json of a model's folder.

llama.cpp knows two kinds that matter here: byte-level BPE ("gpt2"), whose way of cutting text into words it names, and
BPE over characters with a fallback to bytes ("llama", from SentencePiece), which it rebuilds from each token's score.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

from gguf import TokenType
from pydantic import BaseModel

from trainer.export import ExportError

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_SPACE = "\u2581"  # SentencePiece's mark for a space
_NO_MERGE = "\u2400 \u2400"
"""A merge of two signs that are no bytes, so that it never applies: llama.cpp refuses a list without any."""


class Vocabulary(BaseModel):
    """What a GGUF file says of a tokenizer: one entry of `tokens` and `types` for each row of the embeddings."""

    kind: Literal["gpt2", "llama"]
    pre: str
    """llama.cpp's name for how text is cut into words."""
    tokens: list[str]
    types: list[int]
    merges: list[str] = []
    """Of byte-level BPE, the first to be applied first: "l o"."""
    scores: list[float] = []
    """Of the other kind: the higher, the earlier a token is put together."""
    space_first: bool | None = None
    """Of the other kind: whether a space is put before the text."""


def vocabulary(folder: Path, size: int) -> Vocabulary:
    """Read the tokenizer in `folder`, for `size` rows of embeddings; raises `ExportError` for one of another kind."""
    path = folder / "tokenizer.json"
    if not path.exists():
        raise ExportError(f"{folder.name} holds no tokenizer.json, from which a GGUF file's tokenizer is made.")
    said = json.loads(path.read_text(encoding="utf-8"))
    model, added = said["model"], {one["id"]: one for one in said.get("added_tokens", [])}
    names = {number: token for token, number in dict(model["vocab"]).items()} if model["type"] == "BPE" else {}
    if not names:
        raise ExportError(
            f"The tokenizer is of kind {model['type']}, and GGUF files are made here of BPE tokenizers alone (Llama, "
            "Mistral, Qwen, Gemma, SmolLM). Take the merged model (--as merged), and llama.cpp's own "
            "convert_hf_to_gguf.py."
        )
    names |= {number: one["content"] for number, one in added.items()}
    if max(names) >= size:
        raise ExportError(f"The tokenizer has tokens up to {max(names)}, and the model embeddings for {size} alone.")
    tokens = [names.get(number, f"[PAD{number}]") for number in range(size)]
    merges = [one if isinstance(one, str) else " ".join(one) for one in model["merges"]]
    if model.get("byte_fallback"):
        return _with_fallback(said, tokens, names, added, merges, model.get("unk_token"))
    types = [_type(number, names, added) for number in range(size)]
    return Vocabulary(
        kind="gpt2", pre=_word_split(said, bool(model.get("ignore_merges"))), tokens=tokens, types=types,
        merges=merges or [_NO_MERGE],
    )  # fmt: skip


def _with_fallback(
    said: dict[str, Any],
    tokens: list[str],
    names: dict[int, str],
    added: dict[int, dict[str, Any]],
    merges: list[str],
    unknown: str | None,
) -> Vocabulary:
    first: dict[str, int] = {}
    for rank, merge in enumerate(merges):
        first.setdefault(merge.replace(" ", "", 1), rank)
    types = [_type(number, names, added) for number in range(len(tokens))]
    for number, token in enumerate(tokens):
        if types[number] == TokenType.USER_DEFINED:
            # llama.cpp looks for these in the text before it marks the spaces.
            tokens[number] = token.replace(_SPACE, " ")
        elif token == unknown:
            types[number] = TokenType.UNKNOWN
        elif _BYTE.fullmatch(token):
            types[number] = TokenType.BYTE
    # Single characters and bytes are put together of nothing, and their score is never looked at.
    scores = [float(-first.get(token, len(merges))) for token in tokens]
    return Vocabulary(
        kind="llama", pre="default", tokens=tokens, types=types, scores=scores, space_first=_space_first(said)
    )


def _type(number: int, names: dict[int, str], added: dict[int, dict[str, Any]]) -> int:
    if number not in names:
        return TokenType.UNUSED
    if number in added:
        return TokenType.CONTROL if added[number]["special"] else TokenType.USER_DEFINED
    return TokenType.NORMAL


def _word_split(said: dict[str, Any], whole_words_first: bool) -> str:
    """llama.cpp's name for the way in which a byte-level tokenizer cuts text into words before it merges."""
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    steps = _steps(said.get("pre_tokenizer"))
    # One name for each; whole words of the vocabulary are taken without merging under two of them.
    for name in ("llama-bpe", "tekken", "qwen2"):
        split = [("Split", GGUF_PRE_TOKENIZER_SPLITS[name]), ("ByteLevel", False)]
        if steps == split and whole_words_first == (name != "qwen2"):
            return name
    known = {"gpt-2": [("ByteLevel", True)], "smollm": [("Digits", True), ("ByteLevel", True)]}
    for name, split in known.items():
        if steps == split and not whole_words_first:
            return name
    raise ExportError(
        "The tokenizer cuts text into words in a way that this exporter has no name for in llama.cpp, so that the GGUF "
        "file would read prompts as other tokens. Take the merged model (--as merged), and llama.cpp's own "
        "convert_hf_to_gguf.py."
    )


def _steps(said: dict[str, Any] | None) -> list[tuple[str, Any]]:
    """A pre-tokenizer's steps in order, each as its kind and the setting that decides what it does."""
    if said is None:
        return []
    if said["type"] == "Sequence":
        return [step for one in said["pretokenizers"] for step in _steps(one)]
    if said["type"] == "Split":
        pattern = said["pattern"]
        plain = said["behavior"] == "Isolated" and not said.get("invert")
        return [("Split", pattern.get("Regex", pattern.get("String")) if plain else said)]
    if said["type"] == "ByteLevel":
        return [("ByteLevel", said.get("use_regex", True) if not said.get("add_prefix_space") else said)]
    if said["type"] == "Digits":
        return [("Digits", said.get("individual_digits", False))]
    return [(said["type"], said)]


def _space_first(said: dict[str, Any]) -> bool:
    normalizer, before = said.get("normalizer") or {}, said.get("pre_tokenizer") or {}
    steps = normalizer.get("normalizers", [normalizer])
    if any(step.get("type") == "Prepend" for step in steps):
        return True
    return before.get("type") == "Metaspace" and before.get("prepend_scheme", "always") != "never"
