"""Back-translation: the mechanics on a tiny model of random weights, and the checks on made-up round trips."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from evaluators.rewording import faithful
from trainer.data.augmentation import Counts, augment, augment_rows
from trainer.data.augmentation.rewriting_models import load_paraphraser, load_translator
from trainer.data.records import DataError
from trainer.data.rows import Row, question

LONG = "Rest, fluids and time are what helps most people with it get well again. " * 5


def row(ask: str, answer: str = LONG) -> Row:
    return Row(prompt=[{"role": "user", "content": ask}], completion=[{"role": "assistant", "content": answer}])


@pytest.fixture(scope="module")
def tiny_marian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Marian model of two layers with random weights, and a tokenizer of single bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import MarianConfig, MarianMTModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-marian")
    words = ["<pad>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    core = Tokenizer(models.BPE(vocab={word: index for index, word in enumerate(words)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore
    core.decoder = decoders.ByteLevel()  # pyright: ignore
    core.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])  # pyright: ignore
    PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>", pad_token="<pad>").save_pretrained(folder)
    torch.manual_seed(0)
    config = MarianConfig(
        vocab_size=len(words),
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=64,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        forced_eos_token_id=1,
    )
    MarianMTModel(config).save_pretrained(folder)
    return folder


def test_a_tiny_model_there_and_back(tiny_marian: Path):
    translate = load_translator(str(tiny_marian), str(tiny_marian))
    texts = ["Is it safe?", "Take it. Then rest.", "x" * 200, "Is it safe?"]
    turned = translate(texts)
    assert len(turned) == 4 and turned[0] == turned[3] != texts[0]
    assert turned[2] == texts[2], "too long for the model, so it comes back as it was"
    assert translate(texts[:1]) == turned[:1], "a text by itself gives the same as among others"


def test_a_text_is_translated_by_sentences_and_keeps_its_lines(tiny_marian: Path, monkeypatch: pytest.MonkeyPatch):
    from trainer.data.augmentation import rewriting_models

    seen: list[list[str]] = []

    def load(name: str):
        def upper(texts: list[str]) -> list[str]:
            seen.append(texts)
            return [text.upper() for text in texts]

        return upper

    monkeypatch.setattr(rewriting_models, "_load", load)
    assert load_translator("a", "b")(["One is here. Two?\n\nThree 2.5 mg"]) == ["ONE IS HERE. TWO?\n\nTHREE 2.5 MG"]
    assert seen[0] == ["One is here.", "Two?", "Three 2.5 mg"]


def test_folders_that_are_no_translation_model(tmp_path: Path, tiny_marian: Path):
    with pytest.raises(DataError, match="There is no model in 'Helsinki/opus'"):
        load_translator("Helsinki/opus", str(tiny_marian))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(DataError, match=r"has no \.safetensors file"):
        load_translator(str(tiny_marian), str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(DataError, match="cannot be loaded: "):
        load_translator(str(tiny_marian), str(tmp_path))


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        ("Give 500 mg twice a day", "Twice each day, give 500 mg", []),
        ("He has two kidneys", "He has 2 kidneys", []),
        ("He denies chest pain", "He has no chest pain", []),
        ("1,000 units", "1000 unit", []),
        ("50 percent", "50 %", []),
        ("Give 500 mg", "Give 50 mg", ["number 50", "number 500"]),
        ("Give 0.5 mg", "Give 0.5 g", ["unit g", "unit mg"]),
        ("Give 5 mcg", "Give 5 mg", ["unit mcg", "unit mg"]),
        ("for 3 days", "for 3 weeks", ["time day", "time week"]),
        ("no chest pain", "chest pain", ["negation"]),
        ("it doesn't hurt", "it hurts", ["negation"]),
        ("pain in the left arm", "pain in the arm", ["side left"]),
        ("left eye", "right eye", ["side left", "side right"]),
        ("on warfarin", "on heparin", ["drug heparin", "drug warfarin"]),
        ("takes Lipitor", "takes the drug", ["drug lipitor"]),
        ("[NAME] is well", "[name] is well", ["placeholder [NAME]", "placeholder [name]"]),
    ],
)
def test_what_a_round_trip_must_keep(before: str, after: str, lost: list[str]):
    assert faithful.lost(before, after) == lost


def test_negations_of_other_languages():
    assert faithful.lost("sin fiebre", "con fiebre", "es") == ["negation"]
    assert faithful.lost("没有发烧", "有发烧", "zh") == ["negation"]
    assert faithful.lost("sin fiebre", "fiebre", "") == []


def test_an_unfaithful_round_trip_is_no_row():
    source = row("Should he take 5 mg of warfarin with his left knee pain?")
    kept = "5 mg of warfarin with his left knee pain"
    for back in (
        f"Should he take {kept.replace('5', '50')}?",
        question(source).upper(),
        f"He should take {kept}.",
        f"Should he take {kept}?" + " Should he, should he, should he, should he?" * 3,
        "",
    ):
        assert (
            augment(source, ["back_translation"], random.Random(0), {"back_translation": lambda _, back=back: [back]})
            is None
        )
    good = "For his left knee pain, should he take warfarin 5 mg?"
    made = augment(source, ["back_translation"], random.Random(0), {"back_translation": lambda _: [good]})
    assert made is not None and question(made) == good
    assert made.get("about", {}).get("origin", {}).get("how") == "back_translation"
    cited = row("Take out the drug: he takes warfarin for clots.", "for clots: warfarin")
    assert (
        augment(
            cited,
            ["back_translation"],
            random.Random(0),
            {"back_translation": lambda _: ["Take out the drug: warfarin."]},
        )
        is None
    )


def test_options_are_not_translated_and_a_row_is_translated_once():
    asked = "Which drug is best?\n\nA. Warfarin\nB. Aspirin"
    seen: list[str] = []

    def translate(texts: list[str]) -> list[str]:
        seen.extend(texts)
        return ["What drug is the best?" for _ in texts]

    (made,) = augment_rows([row(asked, "B. Aspirin")], ["back_translation"], 2.0, 0, {"back_translation": translate})
    assert seen == ["Which drug is best?"]
    assert question(made) == "What drug is the best?\n\nA. Warfarin\nB. Aspirin"


def test_rows_are_translated_in_batches_and_dropped_ones_counted():
    calls: list[int] = []

    def translate(texts: list[str]) -> list[str]:
        calls.append(len(texts))
        return [text.replace("What", "Tell me what").replace("7 mg", "70 mg") for text in texts]

    rows = [row(f"What dose is used in case {number}, {number % 10} mg?") for number in range(100)]
    counts = Counts()
    added = list(augment_rows(rows, ["back_translation"], 1.0, 0, {"back_translation": translate}, counts))
    assert len(added) == 90 and counts.by_way == {"back_translation": 90} and counts.unfaithful == 10
    assert max(calls) <= 32 and len(calls) <= 8
    assert counts.notes() == [
        "10 questions that a model rewrote were dropped: a number, unit, time, side, negation or drug did not survive."
    ]
    assert all(question(made).startswith("Tell me what dose") for made in added)


def test_a_paraphrase_is_checked_like_a_translation(tiny_marian: Path):
    source = row(
        "Should I take 5 mg of bisoprolol each morning with food or without it?", "Take it as prescribed. " * 20
    )
    said = "Is it better to take 5 mg of bisoprolol each morning with food or without?"
    made = augment(source, ["paraphrase"], random.Random(0), {"paraphrase": lambda _: [said]})
    assert made is not None and made.get("about", {}).get("origin", {}).get("how") == "paraphrase"
    lost = {"paraphrase": lambda _: [said.replace("5 mg", "50 mg")]}
    assert augment(source, ["paraphrase"], random.Random(0), lost) is None
    texts = ["A cold.", "A long cough?"]
    assert len(load_paraphraser(str(tiny_marian))(texts)) == 2
    with pytest.raises(DataError, match="There is no model in"):
        load_paraphraser("nowhere")


def test_two_models_take_turns():
    models = {
        "back_translation": lambda texts: [f"{text} So?" for text in texts],
        "paraphrase": lambda texts: [f"So: {text}" for text in texts],
    }
    rows = [
        row(f"What helps against a cough of kind {number}?", "Rest, and plenty of it. " * 20) for number in range(10)
    ]
    added = list(augment_rows(rows, list(models), 1.0, 0, models))
    ways = [str(one.get("about", {}).get("origin", {}).get("how")) for one in added]
    assert sorted(ways) == ["back_translation"] * 5 + ["paraphrase"] * 5
