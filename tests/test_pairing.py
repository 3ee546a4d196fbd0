"""Two models side by side: each answers as it would alone, whatever they share, and the base is the base."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from evaluators.generation import PROMPTED, Answer, Sampling, answer_all
from trainer import config as run_config
from trainer import models, pairing, runs
from trainer.data.tokens import conversation
from trainer.errors import ModelError
from trainer.model_refs import ModelRef
from trainer.objectives.run_trainer import WEIGHTS
from trainer.pairing import Pairing
from trainer.runs import CHECKPOINTS, COMPLETE, Run
from trainer.sections import RunConfig

ASK = [{"role": "user", "content": "Is 4 even?"}]
LONGER = [*ASK, {"role": "assistant", "content": "yes"}, {"role": "user", "content": "And 5, which comes after it?"}]
SHORT = Sampling(max_new_tokens=10)


def another(run: Run, name: str, seed: int, **config: Any) -> Run:
    """A copy of the run whose adapter says something else."""
    folder = runs.runs_folder() / f"20260101-000000-{name}"
    shutil.copytree(run.folder, folder)
    changed = run_config.with_values(run.config, config)
    (folder / "run.yaml").write_text(run_config.to_yaml(changed))
    disturb(folder / "adapter" / "adapter_model.safetensors", seed)
    return runs.get(folder.name)


def disturb(path: Path, seed: int) -> None:
    """Noise on the trained numbers, so that the model says something else than the base."""
    generator = torch.Generator().manual_seed(seed)
    state = load_file(path)
    for name in sorted(state):
        state[name] = state[name] + 0.4 * torch.randn(state[name].shape, generator=generator)
    save_file(state, path, metadata={"format": "pt"})


def alone(ref: ModelRef, messages: list[dict[str, str]], system: str) -> str:
    half = pairing._alone(ref, runs.get(ref.run))
    return answer_all(half.model, half.tokenizer, [conversation(messages, system)], 10, half.tuned)[0]


def last(steps: Any) -> Any:
    *_, found = steps
    return found


@pytest.fixture
def run(finished_run: Run) -> Run:
    disturb(finished_run.adapter / "adapter_model.safetensors", 1)
    return finished_run


def test_every_two_models_of_one_base_share_a_batch_and_answer_as_each_alone(run: Run):
    second = another(run, "second", 2)
    refs = [ModelRef(run=run.id), ModelRef(run=run.id, part="base"), ModelRef(run=second.id)]
    expected = {ref: alone(ref, ASK, run.config.task.system_prompt) for ref in refs}
    assert len(set(expected.values())) == 3, "models that all say the same would show nothing"
    for one, two in [(refs[1], refs[0]), (refs[0], refs[2]), (refs[2], refs[1])]:
        pair = pairing.load(one, two)
        assert pair.together and pair.remarks == []
        sides = last(pair.ask(ASK, SHORT))
        assert [sides["first"].text.strip(), sides["second"].text.strip()] == [expected[one], expected[two]]
        assert pair.answer_all([ASK, LONGER], 10)[0] == (expected[one], expected[two])


def test_without_memory_to_spare_the_answers_are_the_same(run: Run, monkeypatch: pytest.MonkeyPatch):
    refs = ModelRef(run=run.id, part="base"), ModelRef(run=run.id)
    pair = pairing.load(*refs)
    assert all(half.quick for half in pair.halves.values()), "a copy of the weights, for quick answers"
    quick = last(pair.ask(ASK, SHORT))
    monkeypatch.setattr("trainer.room.spare_gib", lambda device: 1e-6)
    slow = pairing.load(*refs)
    assert not any(half.quick for half in slow.halves.values())
    answers = last(slow.ask(ASK, SHORT))
    assert {name: one.text for name, one in answers.items()} == {name: one.text for name, one in quick.items()}
    answering, weights = pair.ask(ASK, SHORT), pair.halves["first"].quick
    next(answering)
    pair.close()
    assert weights and not weights.layers, "an answer that was left in the middle would keep its memory"


def test_the_base_in_a_pair_of_adapters_is_the_base_to_the_bit(run: Run):
    second = another(run, "second", 2)
    plain, _, _ = models.load_base(run.config)
    half = pairing.load(ModelRef(run=run.id), ModelRef(run=second.id)).halves["second"]
    ids = torch.tensor([[5, 9, 11, 40]])
    with torch.inference_mode():
        expected = plain(input_ids=ids).logits
        with half.model.disable_adapter():
            assert torch.equal(half.model(input_ids=ids).logits, expected)
        mixed = half.model(input_ids=ids.repeat(3, 1), adapter_names=["__base__", "tuned", "second_tuned"]).logits
        assert torch.equal(mixed[0], plain(input_ids=ids.repeat(3, 1)).logits[0])
    apart = [(mixed[one] - mixed[two]).abs().max().item() for one, two in [(0, 1), (0, 2), (1, 2)]]
    assert min(apart) > 0.1, apart


def test_a_checkpoint_answers_as_the_run_did_then(run: Run, tiny_model: Path):
    checkpoint = next((run.folder / CHECKPOINTS).glob(f"*/{COMPLETE}")).parent
    earlier = ModelRef(run=run.id, part=checkpoint.name)
    disturb(checkpoint / WEIGHTS, 3)
    # The same numbers, put where a run puts what it ends with.
    end = another(run, "end", 2)
    path = end.adapter / "adapter_model.safetensors"
    trained = load_file(checkpoint / WEIGHTS)
    save_file({name: trained[name.replace(".weight", ".default.weight")] for name in load_file(path)}, path)
    wanted = alone(ModelRef(run=end.id), ASK, run.config.task.system_prompt)

    pair = pairing.load(ModelRef(run=run.id), earlier)
    sides = last(pair.ask(ASK, SHORT))
    assert pair.together
    assert sides["second"].text.strip() == wanted != sides["first"].text.strip()
    os.truncate(checkpoint / WEIGHTS, 1000)
    with pytest.raises(ModelError, match=rf"{checkpoint.name} of the run {run.id} is damaged"):
        pairing.load(ModelRef(run=run.id), earlier)
    shutil.rmtree(checkpoint)
    with pytest.raises(ModelError, match=rf"{checkpoint.name} of the run {run.id} is not there any more"):
        pairing.load(ModelRef(run=run.id), earlier)


def test_each_side_goes_on_with_its_own_conversation(run: Run):
    refs = ModelRef(run=run.id, part="base"), ModelRef(run=run.id)
    system = run.config.task.system_prompt
    sides = last(pairing.load(*refs).ask(ASK, SHORT, second_messages=LONGER))
    assert sides["first"].text.strip() == alone(refs[0], ASK, system)
    assert sides["second"].text.strip() == alone(refs[1], LONGER, system) != alone(refs[1], ASK, system)


def test_several_seeds_at_once_are_what_each_gives_alone(run: Run):
    pair = pairing.load(ModelRef(run=run.id, part="base"), ModelRef(run=run.id))
    hot = SHORT.model_copy(update={"temperature": 1.0})
    drawn = last(pair.draws(ASK, hot, [3, 4]))
    assert drawn[0]["second"].text != drawn[1]["second"].text
    for seed, sides in zip([3, 4], drawn, strict=True):
        one = last(pair.ask(ASK, hot.model_copy(update={"seed": seed})))
        assert {name: answer.text for name, answer in sides.items()} == {
            name: answer.text for name, answer in one.items()
        }


def test_two_bases_take_turns_and_are_told_apart(run: Run, tiny_model: Path, tmp_path: Path):
    other = tmp_path / "other-model"
    shutil.copytree(tiny_model, other)
    disturb(other / "model.safetensors", 5)
    second = another(run, "second", 2, **{"model.name": str(other), "task.system_prompt": "Answer in one word."})
    pair = pairing.load(ModelRef(run=run.id), ModelRef(run=second.id))
    assert not pair.together
    assert pair.system == "Answer in one word."
    assert pair.remarks == [
        pairing.TURNS,
        "They were trained with different system prompts; both are asked with: “Answer in one word.”.",
    ]
    sides = last(pair.ask(ASK, SHORT))
    assert sides["first"].text.strip() == alone(ModelRef(run=run.id), ASK, pair.system)
    assert sides["second"].text.strip() == alone(ModelRef(run=second.id), ASK, pair.system)
    base = pairing.load(ModelRef(run=run.id), ModelRef(run=second.id, part="base"))
    assert base.system == run.config.task.system_prompt, "a base was trained on no system prompt"


@pytest.mark.parametrize(
    "kind",
    [
        "pissa",
        *(pytest.param(one, marks=pytest.mark.soak) for one in ("full", "prefix", "p_tuning", "adalora", "adapter")),
    ],
)
def test_any_method_s_checkpoint_is_what_was_saved_at_that_step(tiny_run: RunConfig, kind: str):
    """The run ends at the step of its last checkpoint: what it saved and what the checkpoint gives must agree."""
    from trainer import engine
    from trainer.reporting import Reporter

    methods: dict[str, dict[str, Any]] = {
        "prefix": {"kind": "prefix", "length": 4, "projection": True},
        "pissa": {"kind": "lora", "rank": 4, "alpha": 4, "init": "pissa"},
        "adalora": {"kind": "adalora", "rank": 2, "start_rank": 4},
        "adapter": {"kind": "adapter", "width": 8},
    }
    config = RunConfig.model_validate(tiny_run.model_dump(mode="json") | {"method": methods.get(kind, {"kind": kind})})
    config.schedule.max_steps, config.schedule.checkpoint_every = 4, 2
    config.schedule.learning_rate = 0.02
    config.evaluation.every, config.evaluation.sample_prompts = 4, []
    made = runs.create(config)
    engine.train(config, Reporter(made.folder, made.status))
    run = runs.get(made.id)
    refs = [ModelRef(run=run.id, part=part) for part in ("tuned", "checkpoint-4", "checkpoint-2", "base")]
    logits = [_logits(pairing._alone(ref, run)) for ref in refs]
    assert torch.allclose(logits[0], logits[1], atol=2e-4), (logits[0] - logits[1]).abs().max()
    assert (logits[0] - logits[2]).abs().max() > 1e-3, "an earlier step is another model"
    pair = pairing.load(refs[3], refs[2])
    assert pair.together == (kind in ("pissa", "adapter"))
    assert torch.equal(_logits(pair.halves["first"]), logits[3]), "beside a tuned model the base is the base"
    assert torch.allclose(_logits(pair.halves["second"]), logits[2], atol=2e-4)


def _logits(half: pairing.Half) -> torch.Tensor:
    from evaluators.sides import side

    half.switch()
    with torch.inference_mode(), side(half.model, half.tuned) as answering:
        ids = torch.tensor([[5, 9, 11, 40, 8]])
        return answering.core(input_ids=ids, past_key_values=answering.cache).logits


def test_the_prompted_base_is_asked_beside_them(run: Run, monkeypatch: pytest.MonkeyPatch):
    asked, plain = [], pairing.stream_alone

    def seen(model: Any, tokenizer: Any, messages: Any, *rest: Any, **more: Any) -> Any:
        asked.append(messages)
        return plain(model, tokenizer, messages, *rest, **more)

    monkeypatch.setattr(pairing, "stream_alone", seen)
    pair = pairing.load(ModelRef(run=run.id, part="base"), ModelRef(run=run.id))
    assert pair.can_prompt
    sides: dict[str, Answer] = last(pair.ask(ASK, SHORT, prompted=True))
    assert list(sides) == ["first", "second", PROMPTED]
    ((*_, question, answer, other, reply, last_question),) = asked
    assert [one["role"] for one in (question, answer, other, reply)] == ["user", "assistant"] * 2
    assert {answer["content"], reply["content"]} <= {"yes", "no"} and last_question["content"] == ASK[0]["content"]
    # The tiny base may say the same; it is not as sure of it after two worked examples. Which these are goes by the
    # path of the run's data, and after some of them it is very nearly as sure.
    assert sides[PROMPTED].tokens and sides[PROMPTED].confidence != pytest.approx(sides["first"].confidence, rel=2e-6)
    both = pairing.load(ModelRef(run=run.id), ModelRef(run=another(run, "second", 2).id))
    assert not both.can_prompt
    with pytest.raises(ModelError, match="choose a base"):
        next(both.ask(ASK, SHORT, prompted=True))


def test_what_cannot_answer_says_so(run: Run):
    with pytest.raises(ModelError, match=f"There is no adapter 'x' in {run.id}; it has tuned"):
        pair = pairing.load(ModelRef(run=run.id, part="base"), ModelRef(run=run.id))
        next(pair.ask(ASK, SHORT, adapters={"second": ["x"]}))
    reward = another(run, "reward", 2, **{"objective.kind": "reward", "evaluation.held_out": "[]"})
    shutil.rmtree(reward.adapter)
    with pytest.raises(ModelError, match="is a reward model: it rates answers and gives none"):
        pairing.load(ModelRef(run=run.id), ModelRef(run=reward.id))
    shutil.rmtree(run.adapter)
    with pytest.raises(ModelError, match=f"{run.id} has trained nothing yet"):
        pairing.load(ModelRef(run=run.id, part="base"), ModelRef(run=run.id))


def test_confidence_is_the_mean_probability_of_the_tokens(run: Run):
    pair: Pairing = pairing.load(ModelRef(run=run.id, part="base"), ModelRef(run=run.id))
    answer = last(pair.ask(ASK, SHORT))["first"]
    half = pair.halves["first"]
    tokenizer: Any = half.tokenizer
    asked = tokenizer.apply_chat_template(conversation(ASK, pair.system), add_generation_prompt=True)["input_ids"]
    said = tokenizer(answer.text, add_special_tokens=False)["input_ids"]
    if len(said) != answer.tokens:
        pytest.fail("the tiny model's answer does not decode to its tokens; choose another question")
    with torch.inference_mode(), half.model.disable_adapter():
        shares = half.model(input_ids=torch.tensor([[*asked, *said]])).logits[0].softmax(-1)
    expected = sum(float(shares[len(asked) - 1 + at, token]) for at, token in enumerate(said)) / len(said)
    assert answer.confidence == pytest.approx(expected, abs=1e-4)
