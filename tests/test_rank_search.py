"""The rank search: each branch on constructed curves, a resume, and a low-rank teacher that rank 8 cannot follow."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from trainer.method_sections import LoraMethod
from trainer.steering import rank_search
from trainer.steering.rank_search import Decision, Trial, best, decide, search

GAIN = 0.01
STEPS = 60


def trial(rank: int, train: tuple[float, float, float], validation: tuple[float, float, float]) -> Trial:
    """A trial whose losses are constant within each third."""
    return Trial(
        rank=rank,
        train=[(step, train[(step - 1) * 3 // STEPS]) for step in range(1, STEPS + 1)],
        validation=[(step, validation[(step - 1) * 3 // STEPS]) for step in rank_search.measured_at(STEPS)],
    )


def learning(rank: int, end: float) -> Trial:
    return trial(rank, (end + 1, end + 0.4, end), (end + 1, end + 0.5, end + 0.1))


def flat(rank: int, end: float) -> Trial:
    return trial(rank, (end + 1, end, end - 0.02), (end + 1, end + 0.005, end))


def overfit(rank: int, end: float) -> Trial:
    return trial(rank, (2, 0.8, 0.3), (2, end - 0.1, end))


@pytest.mark.parametrize(
    ("trials", "word", "next_rank"),
    [
        ([learning(8, 1.0)], "keep", None),
        ([flat(8, 1.0)], "double", 16),
        ([overfit(8, 1.5)], "halve", 4),
        # A validation loss that stands still while the gap opens is neither.
        ([trial(8, (2, 1.0, 0.7), (2, 1.1, 1.1))], "keep", None),
        # It rises, but training does too: a rate that is too high, and not a rank.
        ([trial(8, (1, 1.0, 1.1), (1, 1.0, 1.3))], "keep", None),
        ([flat(8, 1.0), flat(16, 0.9)], "double", 32),
        ([flat(8, 1.0), flat(16, 0.995)], "keep", None),
        ([overfit(8, 1.5), overfit(4, 1.4)], "halve", 2),
        ([overfit(8, 1.5), overfit(4, 1.6)], "keep", None),
        ([overfit(8, 1.5), flat(4, 1.3)], "keep", None),
        ([overfit(8, 1.5), overfit(4, 1.4), overfit(2, 1.3)], "keep", None),
        ([flat(8, 1.0), flat(16, 0.9), flat(32, 0.8), flat(64, 0.7)], "double", 128),
        ([flat(8, 1.0), flat(16, 0.9), flat(32, 0.8), flat(64, 0.7), flat(128, 0.6)], "keep", None),
    ],
)
def test_a_decision_follows_from_the_curves(trials: list[Trial], word: str, next_rank: int | None):
    decision = decide(trials, GAIN)
    assert (decision.word, decision.next_rank) == (word, next_rank), decision.reason
    if next_rank is None:
        assert f"Rank {best(trials, GAIN).rank} is taken" in decision.reason


def test_five_trials_are_enough():
    down_and_up = [overfit(64, 1.9), overfit(32, 1.8), overfit(16, 1.7), overfit(8, 1.6)]
    assert decide(down_and_up, GAIN).next_rank == 4
    assert "5 trials" in decide([*down_and_up, overfit(4, 1.5)], GAIN).reason


def test_the_lowest_loss_at_the_end_wins_and_the_smaller_rank_on_a_tie():
    assert best([flat(8, 1.0), flat(16, 0.8), flat(32, 0.795)], GAIN).rank == 16
    assert best([flat(8, 1.0), flat(16, 0.8), flat(32, 0.7)], GAIN).rank == 32
    # What it once was does not count: that of rank 8 was lower in the middle.
    assert best([trial(8, (1, 0.5, 0.1), (1, 0.6, 0.9)), trial(4, (1, 0.8, 0.7), (1, 0.9, 0.8))], GAIN).rank == 4


def test_the_gap_is_kept_as_evidence():
    made = trial(8, (2.0, 1.0, 0.5), (2.0, 1.2, 1.3))
    assert made.gap == pytest.approx(0.8) and made.gap_growth == pytest.approx(0.6)
    assert "0.800" in decide([made], GAIN).reason


def test_a_trial_without_its_middle_is_refused():
    with pytest.raises(ValidationError, match="middle"):
        Trial(rank=8, train=[(58, 1), (59, 1), (60, 1)], validation=[(20, 1.0), (40, 1.0), (60, 1.0)])
    with pytest.raises(ValidationError, match="finite"):
        Trial(rank=8, train=[(20, 1.0), (40, float("nan")), (60, 1)], validation=[(20, 1.0), (40, 1.0), (60, 1.0)])


def test_a_trial_takes_a_fifth_of_the_steps_within_bounds():
    assert [rank_search.trial_steps(total) for total in (10, 100, 500, 5000)] == [20, 20, 100, 200]
    assert rank_search.measured_at(20) == [3, 7, 10, 13, 17, 20]


def test_the_scale_of_the_update_stays_when_the_rank_changes():
    changed = rank_search.with_rank(LoraMethod(rank=16, alpha=32), 4)
    assert (changed.rank, changed.alpha) == (4, 8)
    stabilised = rank_search.with_rank(LoraMethod(rank=16, alpha=32, scaling="rank_stabilised"), 4)
    assert (stabilised.rank, stabilised.alpha) == (4, 32)


def test_trials_that_are_done_survive_a_stop(tmp_path: Path):
    made: list[int] = []
    told: list[tuple[str, int]] = []

    def train(rank: int, steps: int) -> Trial:
        if rank == 32 and len(made) == 2:
            made.append(0)
            raise KeyboardInterrupt
        made.append(rank)
        assert steps == 100
        return flat(rank, 2 - rank / 32) if rank < 32 else learning(rank, 0.5)

    def tell(decision: Decision, made: Trial) -> None:
        told.append((decision.word, made.rank))

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, GAIN, 500, train, tell)
    assert [one["rank"] for one in json.loads((tmp_path / "rank_search.json").read_text())] == [8, 16]
    assert search(tmp_path, GAIN, 500, train, tell) == 32
    assert made == [8, 16, 0, 32] and told == [("double", 8), ("double", 16), ("keep", 32)]
    assert search(tmp_path, GAIN, 500, train, tell) == 32, "a search that is over is not made again"
    assert made == [8, 16, 0, 32] and len(told) == 3


def test_a_teacher_of_rank_twelve_is_found_to_need_more_than_eight(tiny_model: Path, tmp_path: Path):
    """The tiny model's last MLP is changed by a matrix of rank 12; an adapter on that layer has to follow it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    draw = torch.Generator().manual_seed(0)
    rows = torch.randint(3, 250, (192, 8), generator=draw)
    left, _ = torch.linalg.qr(torch.randn(64, 12, generator=draw))
    right, _ = torch.linalg.qr(torch.randn(128, 12, generator=draw))
    teacher = AutoModelForCausalLM.from_pretrained(tiny_model)
    with torch.no_grad():
        teacher.model.layers[1].mlp.down_proj.weight += 300 * left @ right.T
        wanted = teacher.model(input_ids=rows).last_hidden_state

    def train(rank: int, steps: int) -> Trial:
        torch.manual_seed(0)
        student = AutoModelForCausalLM.from_pretrained(tiny_model)
        settings = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=r".*layers\.1\.mlp\.down_proj")
        model = get_peft_model(student, settings)
        optimizer = torch.optim.Adam([one for one in model.parameters() if one.requires_grad], 0.2)

        def loss(start: int, end: int) -> torch.Tensor:
            return (student.model(input_ids=rows[start:end]).last_hidden_state - wanted[start:end]).square().mean()

        training, validation = [], []
        for step in range(1, steps + 1):
            optimizer.zero_grad()
            value = loss(0, 128)
            value.backward()
            optimizer.step()
            training.append((step, value.item()))
            if step in rank_search.measured_at(steps):
                with torch.no_grad():
                    validation.append((step, loss(128, 192).item()))
        return Trial(rank=rank, train=training, validation=validation)

    losses: dict[int, float] = {}
    found = search(tmp_path, 0.01, 1000, train, lambda decision, made: losses.update({made.rank: made.loss}))
    assert list(losses)[:2] == [8, 16] and found == 16, losses
    assert losses[16] < losses[8] / 2
