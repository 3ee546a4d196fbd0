"""RLOO and GRPO: advantages by hand, a reward that rises, the reference, alarms, stopping and resuming."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback, set_seed

from evaluators import generation
from trainer import engine, events, reward_models, runs
from trainer.combinations import faults
from trainer.data.tokenised import tokenise
from trainer.data.tokens import IGNORED, conversation, encode
from trainer.methods import saved
from trainer.methods.apply import apply
from trainer.models import load_base
from trainer.objectives import reinforcement
from trainer.objectives.build import build
from trainer.objectives.reinforcement_trainer import alike
from trainer.objectives.settings import Parts
from trainer.reporting import Reporter, StopRequested
from trainer.runs import Run
from trainer.sections import RunConfig
from trainer.steering import steering
from trainer.steering.alignment_alarms import WINDOW, Alarms
from trainer.tuned import Tuned


@pytest.fixture(scope="module")
def learner(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with larger embeddings, which its output layer shares: an adapter can make a token likely."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("learner")
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_model)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(6)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(folder)
    return folder


@pytest.fixture
def asked(tiny_run: RunConfig, learner: Path) -> RunConfig:
    """A run that is paid for answers as long as the data's, which have two or three letters."""
    data = tiny_run.model_dump()
    data["model"]["name"] = str(learner)
    data["objective"] = {"kind": "rloo", "rewards": ["length"], "answers": 4, "longest_answer": 12, "beta": 0.01}
    data["schedule"] |= {"max_steps": 14, "batch_size": 32, "learning_rate": 0.03, "checkpoint_every": 7}
    data["evaluation"] |= {"every": 100, "sample_prompts": []}
    data["steering"] = {"replay_share": 0.0}
    return RunConfig.model_validate(data)


def train(config: RunConfig, reporter: type[Reporter] = Reporter, run: Run | None = None) -> Run:
    run = run or runs.create(config)
    engine.train(config, reporter(run.folder, run.status))
    return runs.get(run.id)


def rewards(run: Run) -> list[events.RewardEvent]:
    return [event for event in run.events() if isinstance(event, events.RewardEvent)]


def trainer_of(config: RunConfig, folder: Path) -> Any:
    run = runs.create(config)
    model, tokenizer, _ = load_base(config)
    prepared = tokenise(config, tokenizer)
    set_seed(config.schedule.seed)
    tuned = apply(model, config, prepared.groups, total_steps=1)
    acting = steering.assemble(config, tuned, prepared, Reporter(run.folder, run.status))
    return build(Parts(config, tuned, tokenizer, prepared, acting, folder, [], evaluate_first=False, saves=False))


def test_the_reward_rises_and_each_step_is_told(asked: RunConfig) -> None:
    run = train(asked)
    told = rewards(run)
    assert [one.step for one in told] == list(range(1, 15))
    assert sum(one.reward for one in told[-3:]) > 1.3 * sum(one.reward for one in told[:3])
    assert sum(one.length for one in told[-3:]) < sum(one.length for one in told[:3])
    assert all(one.by_rule == {"length": pytest.approx(one.reward)} for one in told)
    assert told[0].kl == pytest.approx(0.0, abs=1e-4) and (told[-1].kl or 0) > 0.1, "it begins as its reference"
    assert saved.names(run.adapter) == [saved.TUNED], "the reference is not kept with what was trained"

    report = run.report()
    assert report is not None
    gain = report["reward_gain"]
    assert gain["after"]["value"] > gain["before"]["value"] and gain["before"]["n"] == gain["after"]["n"] > 0
    assert gain["gained"]["value"] == pytest.approx(gain["after"]["value"] - gain["before"]["value"])


def test_advantages_leave_one_out_by_hand(asked: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked.objective.beta = 0.0  # pyright: ignore
    asked.schedule.batch_size = 8
    given = [1.0, 0.0, 0.0, 1.0, 0.25, 0.75, 0.5, 0.5]
    monkeypatch.setattr(reinforcement, "rates", lambda config, rows: {"length": lambda *parts: given})
    trainer = trainer_of(asked, tmp_path)
    two = trainer.train_dataset.select(range(2))
    batch = [two[place // 4] for place in range(8)]
    trainer.model.train()
    made = trainer._generate_and_score_completions(batch)
    # Each reward less the mean of the three others of its question.
    expected = [1 - 1 / 3, -2 / 3, -2 / 3, 1 - 1 / 3, 0.25 - 1.75 / 3, 0.75 - 1.25 / 3, 0.5 - 1.5 / 3, 0.5 - 1.5 / 3]
    assert made["advantages"].tolist() == pytest.approx(expected, abs=1e-6)
    told = trainer._step_told
    assert told.reward == pytest.approx(0.5) and told.spread == pytest.approx((0.5 + 0.125**0.5 / 2) / 2)
    # As drawn, an answer is as likely as it was: the loss is minus the mean advantage, and its gradient is not 0.
    loss = trainer.compute_loss(trainer.model, made)
    assert loss.item() == pytest.approx(-sum(expected) / 8, abs=1e-5)


def test_the_kl_is_taken_off_the_reward_and_the_reference_is_where_the_run_began(
    asked: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.objective.beta = 0.5  # pyright: ignore
    asked.schedule.batch_size = 4
    monkeypatch.setattr(reinforcement, "rates", lambda config, rows: {"length": lambda *parts: [0.0] * 4})
    trainer = trainer_of(asked, tmp_path)
    model = trainer.model
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if ".lora_B.default." in name:
                weights.normal_(std=0.05, generator=torch.Generator().manual_seed(len(name)))
    model.train()
    made = trainer._generate_and_score_completions([trainer.train_dataset[0]] * 4)
    ids = torch.cat([made["prompt_ids"], made["completion_ids"]], 1)
    mask = torch.cat([made["prompt_mask"], made["completion_mask"]], 1)
    size = made["completion_ids"].shape[1]

    def likely() -> torch.Tensor:
        logits = model(input_ids=ids, attention_mask=mask).logits[:, -size - 1 : -1]
        chosen = logits.log_softmax(-1).gather(-1, ids[:, -size:, None])[..., 0]
        return (chosen * made["completion_mask"]).sum(1)

    with torch.no_grad():
        now = likely()
        with model.disable_adapter():
            base = likely()
    ratio = now - base
    assert ratio.abs().max() > 0.05
    paid = -0.5 * ratio
    expected = paid - (paid.sum() - paid) / 3
    torch.testing.assert_close(made["advantages"], expected, atol=1e-3, rtol=1e-3)


def test_grpo_learns_the_same_and_takes_what_a_run_has(asked: RunConfig, tmp_path: Path) -> None:
    data = asked.model_dump()
    data["objective"] |= {"kind": "grpo", "beta": 0.02, "answers": 8}
    data["schedule"] |= {"max_steps": 12, "accumulation": 2, "batch_size": 16}
    trainer = trainer_of(RunConfig.model_validate(data), tmp_path)
    trainer.add_callback(_Counts(trainer.steering.reporter))
    trainer.train()
    told = rewards(runs.list_runs()[0][0])
    assert [one.step for one in told] == list(range(1, 13)), "once a step, however many passes it has"
    assert sum(one.reward for one in told[-3:]) > 1.2 * sum(one.reward for one in told[:3])
    assert saved.REFERENCE not in trainer.model.peft_config, "the reference goes with the end of training"


class _Counts(TrainerCallback):
    def __init__(self, reporter: Reporter):
        self.reporter = reporter

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.reporter.status.step = state.global_step


class StopsAt(Reporter):
    def stop_requested(self) -> bool:
        return self.status.step >= 3


def test_stopped_it_goes_on_from_there_with_its_reference(asked: RunConfig) -> None:
    asked.schedule.max_steps = 5
    run = runs.create(asked)
    with pytest.raises(StopRequested):
        train(asked, StopsAt, run)
    assert saved.names(run.adapter) == [saved.TUNED]
    run = train(asked, run=run)
    told = rewards(run)
    assert [one.step for one in told] == [1, 2, 3, 4, 5]
    assert told[3].kl != pytest.approx(0.0, abs=1e-3), "the reference is the beginning, not the checkpoint"


def test_an_alarm_is_told_as_it_begins_and_survives_a_checkpoint(asked: RunConfig) -> None:
    run = runs.create(asked)
    reporter = Reporter(run.folder, run.status)

    def step(alike: float) -> events.RewardEvent:
        return events.RewardEvent(reward=0.5, spread=0.1, length=10, alike=alike)

    def told() -> int:
        return sum(isinstance(event, events.AlarmEvent) for event in run.events())

    alarms = Alarms(reporter)
    for _ in range(WINDOW + 3):
        alarms.hear(step(1.0))
    assert told() == 1, "once, not at every step"
    resumed = Alarms(reporter)
    resumed.restore(json.loads(json.dumps(alarms.state())))
    resumed.hear(step(1.0))
    assert told() == 1, "and not again after a resume"
    for _ in range(3 * WINDOW):
        resumed.hear(step(0.0))
    for _ in range(WINDOW):
        resumed.hear(step(1.0))
    assert told() == 2, "again where it went and came back"
    assert len(resumed.steps) <= 2 * WINDOW, "a checkpoint stays small"


def test_answers_alike_are_counted_within_their_question() -> None:
    assert alike(["a", "A ", "b", "c", "c", "d"], 2) == pytest.approx(2 / 6)
    assert alike(["a", "A ", "b", "c", "c", "d"], 3) == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    ("objective", "schedule", "field", "words"),
    [
        ({}, {}, "objective.rewards", "nothing rates the answers"),
        ({"rewards": ["length"], "answers": 6}, {}, "schedule.batch_size", "no multiple of objective.answers (6)"),
        ({"rewards": ["length"]}, {"patience": 3}, "schedule.patience", "leave it empty"),
    ],
)
def test_run_files_that_cannot_learn_say_so(objective: dict, schedule: dict, field: str, words: str) -> None:
    run = RunConfig.model_validate(
        {"objective": {"kind": "rloo", **objective}, "schedule": schedule, "data": {"contains_phi": False}}
    )
    assert any(one.field == field and words in one.message for one in faults(run)), faults(run)


def test_drawn_answers_differ_and_can_be_drawn_again(learner: Path, asked: RunConfig) -> None:
    model, tokenizer, _ = load_base(asked)
    chats = [[{"role": "user", "content": "Is 4 even?"}]] * 3
    first, second = (generation.answer_all(model.eval(), tokenizer, chats, 12, True, temperature=1.0) for _ in range(2))
    assert first == second and len(set(first)) == 3
    assert len(set(generation.answer_all(model, tokenizer, chats, 12, True))) == 1, "greedy without a temperature"


SAID = ("yes", "no", "maybe", "ask")
LIKED = "ask"
"""Which of the answers that the base knows the simulated reviewers prefer."""


def taught(tiny_model: Path, questions: list[str], folder: Path, system_prompt: str) -> Path:
    """The tiny model once it has learnt, as a whole, to give each of `SAID` to any question about as often."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(tiny_model)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    draw = random.Random(0)
    rows = [
        encode(
            {
                "prompt": [{"role": "user", "content": question}],
                "completion": [{"role": "assistant", "content": draw.choice(SAID)}],
            },
            tokenizer,
            system_prompt,
        )
        for question in questions
    ]
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.003)
    for _ in range(120):
        batch = draw.choices(rows, k=16)
        labels = [torch.tensor(row["labels"]) for row in batch]
        model(
            **reward_models.padded([torch.tensor(row["input_ids"]) for row in batch], tokenizer.pad_token_id),
            labels=torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=IGNORED),
        ).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.soak
def test_a_reward_model_of_simulated_votes_and_rloo_on_three_seeds(
    tiny_model: Path, asked: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Answers of the model itself, judged by a known taste; a reward model of the votes; RLOO with it, three times.

    What the reviewers like has to become commoner too, and not only the reward: with a third of this beta and two and
    a half times this rate the reward rose as much, and the answer that they like was never given any more.
    """
    questions = [f"Is {number} even?" for number in range(160)]
    data = asked.model_dump()
    data["model"]["name"] = str(taught(tiny_model, questions, tmp_path / "taught", asked.task.system_prompt))
    data["method"] |= {"rank": 16, "alpha": 32, "dropout": 0.0}
    model, tokenizer, _ = load_base(RunConfig.model_validate(data))
    chats = [conversation([{"role": "user", "content": one}], asked.task.system_prompt) for one in questions]
    often = [chat for chat in chats for _ in range(4)]
    drawn = generation.answer_all(model.eval(), tokenizer, often, 12, True, temperature=1.0)
    votes = tmp_path / "votes.jsonl"
    with votes.open("w") as file:
        for place, one in enumerate(questions):
            worst, *_, best = sorted(drawn[4 * place : 4 * place + 4], key=lambda text: text == LIKED)
            if worst != LIKED and best == LIKED:
                file.write(json.dumps({"prompt": one, "chosen": best, "rejected": worst}) + "\n")
    data["data"]["sources"] = [{"name": str(votes)}]
    data["objective"] = {"kind": "reward"}
    data["schedule"] |= {"max_steps": 40, "batch_size": 8, "learning_rate": 0.005, "checkpoint_every": 100}
    judge = train(RunConfig.model_validate(data))
    ranked = (judge.report() or {})["held_out_pairs"]["ranking"]
    found: list[tuple[dict[str, Any], float, float]] = []
    table = [
        f"reward model: {ranked['accuracy']['value']:.0%} of {ranked['pairs']} held-out pairs ranked right "
        f"({ranked['accuracy']['low']:.0%} to {ranked['accuracy']['high']:.0%})",
        "seed  reward before   after  gained (95 %)            liked before   after    KL",
    ]
    for seed in (1, 2, 3):
        data["objective"] = {"kind": "rloo", "reward_model": judge.id, "longest_answer": 12, "beta": 0.3}
        data["schedule"] |= {"max_steps": 40, "batch_size": 32, "learning_rate": 0.002, "seed": seed}
        run = train(RunConfig.model_validate(data))
        gain, tuned = (run.report() or {})["reward_gain"], Tuned(run)
        before, after = (
            generation.answer_all(tuned.side(side), tokenizer, chats, 12, side, temperature=1.0).count(LIKED)
            / len(chats)
            for side in (False, True)
        )
        change, kl = gain["gained"], rewards(run)[-1].kl
        found.append((change, before, after))
        table.append(
            f"{seed:4}  {gain['before']['value']:13.2f}  {gain['after']['value']:6.2f}  "
            f"{change['value']:5.2f} ({change['low']:5.2f} to {change['high']:5.2f})  {before:14.0%}  {after:6.0%}"
            f"  {kl:4.1f}"
        )
    with capsys.disabled():
        print("", *table, sep="\n")
    assert ranked["accuracy"]["value"] > 0.9
    for change, before, after in found:
        assert change["low"] > 0, "the reward rises by more than chance"
        assert after > before + 0.3, "and so does what the reviewers like"
