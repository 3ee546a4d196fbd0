"""Questions in other words by models on this machine: into another language and back, or paraphrased (lecture L3.9).

Any pair of folders that transformers loads as sequence-to-sequence models does, such as two of the Marian family. The
mechanics are tested with tiny models of random weights; how well real ones keep a clinical question is not measured
here, which is why every back-translation is checked (`faithful.lost`) and dropped where something is lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainer.data.records import DataError

_BATCH = 16
_LONGEST = 512
"""Tokens of one sentence, where the model gives no bound of its own."""
_PIECE = re.compile(r"(?<=[.?!。？！])\s+|\s*\n+\s*")


def load_translator(there: str, back: str) -> Callable[[list[str]], list[str]]:
    """A function that sends texts there and back. Both models are loaded once, from local folders with safetensors.

    A text is translated a sentence at a time, which is what such models are trained on, and put together again with its
    own line breaks. The search is greedy, so that equal texts give equal translations. A text with a sentence that is
    longer than the model can take comes back as it was, and is then no new row.

    Raises `DataError` where a folder is missing, holds no safetensors, or cannot be loaded.
    """
    outward, homeward = _load(there), _load(back)
    return _sentence_by_sentence(lambda pieces: homeward(outward(pieces)))


def load_paraphraser(name: str) -> Callable[[list[str]], list[str]]:
    """A function that rewrites texts with one sequence-to-sequence model that was trained to paraphrase.

    As `load_translator` in all else. Raises `DataError` as it does.
    """
    return _sentence_by_sentence(_load(name))


def _sentence_by_sentence(rewrite: Callable[[list[str]], list[str]]) -> Callable[[list[str]], list[str]]:
    def translate(texts: list[str]) -> list[str]:
        pieces = [_PIECE.split(text.strip()) for text in texts]
        gaps = [_PIECE.findall(text.strip()) for text in texts]
        flat = [piece for one in pieces for piece in one if piece]
        turned = dict(zip(flat, rewrite(flat), strict=True))
        whole = []
        for text, parts, between in zip(texts, pieces, gaps, strict=True):
            done = [turned[part] if part else "" for part in parts]
            if any(part and not new for part, new in zip(parts, done, strict=True)):
                whole.append(text)
                continue
            whole.append("".join(new + gap for new, gap in zip(done, [*between, ""], strict=True)))
        return whole

    return translate


def _load(name: str) -> Callable[[list[str]], list[str]]:
    """One direction; the function gives an empty text where a sentence is too long for the model, or nothing comes."""
    folder = Path(name).expanduser()
    if not (folder / "config.json").is_file():
        raise DataError(f"There is no model in {name!r}; give a folder with config.json and model.safetensors.")
    if not any(folder.glob("*.safetensors")):
        raise DataError(
            f"The model in {name!r} has no .safetensors file; save it again with save_pretrained. "
            "Other weight files can run code and are not read."
        )
    model, tokenizer = _open(folder)
    bound = getattr(model.config, "max_position_embeddings", _LONGEST)

    def translate(texts: list[str]) -> list[str]:
        import torch

        turned: list[str] = []
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            ids = [tokenizer(text)["input_ids"] if text else [] for text in batch]
            fitting = [text for text, tokens in zip(batch, ids, strict=True) if 0 < len(tokens) < bound]
            new: list[str] = []
            if fitting:
                encoded = tokenizer(fitting, return_tensors="pt", padding=True)
                longest = min(bound - 1, 2 * int(encoded["input_ids"].shape[1]) + 16)
                inputs = {key: encoded[key].to(model.device) for key in ("input_ids", "attention_mask")}
                with torch.inference_mode():
                    written = model.generate(
                        **inputs, do_sample=False, num_beams=1, max_length=None, max_new_tokens=longest
                    )
                new = [text.strip() for text in tokenizer.batch_decode(written, skip_special_tokens=True)]
            results = iter(new)
            turned += [next(results) if 0 < len(tokens) < bound else "" for tokens in ids]
        return turned

    return translate


def _open(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        model = AutoModelForSeq2SeqLM.from_pretrained(folder, use_safetensors=True, **options)
    except ImportError as error:
        # Marian's own tokenizer stands on a package of its own
        needs = "the package sentencepiece" if "sentencepiece" in str(error).lower() else "a package that is missing"
        raise DataError(f"The tokenizer of the model in {str(folder)!r} needs {needs}; install it.") from None
    except Exception as error:  # whatever a broken folder makes the libraries raise
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise DataError(f"The model in {str(folder)!r} cannot be loaded: {first}") from None
    return model.eval(), tokenizer
