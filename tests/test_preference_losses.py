"""The losses of preferences against what one computes by hand, and against TRL's."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.data.tokens import IGNORED
from trainer.methods.apply import apply
from trainer.objective_sections import CpoObjective, DpoObjective, KtoObjective, OrpoObjective
from trainer.objectives import preference_losses, reference
from trainer.objectives.preference_losses import judge_answers, judge_pairs
from trainer.sections import RunConfig

# Two pairs: log-likelihoods (nats) of the model and of the reference, and lengths in tokens.
CHOSEN, REJECTED = torch.tensor([-10.0, -6.0]), torch.tensor([-12.0, -5.0])
BASE_CHOSEN, BASE_REJECTED = torch.tensor([-11.0, -6.5]), torch.tensor([-11.5, -6.0])
CHOSEN_TOKENS, REJECTED_TOKENS = torch.tensor([5, 4]), torch.tensor([6, 2])
# By how much the chosen answer gained more than the rejected one: (1 - -0.5), (0.5 - 1).
LEADS = (1.5, -0.5)


def softplus(value: float) -> float:
    """-log sigmoid(-value)."""
    return math.log(1 + math.exp(value))


def dpo(**values: Any) -> list[float]:
    objective = DpoObjective(**values)
    return judge_pairs(
        objective, CHOSEN, REJECTED, CHOSEN_TOKENS, REJECTED_TOKENS, BASE_CHOSEN, BASE_REJECTED
    ).losses.tolist()


def paired(objective: OrpoObjective | CpoObjective) -> list[float]:
    return judge_pairs(objective, CHOSEN, REJECTED, CHOSEN_TOKENS, REJECTED_TOKENS).losses.tolist()


def test_dpo_sigmoid():
    # -log sigmoid(0.2 x 1.5) = log(1 + e^-0.3) = 0.554355, and log(1 + e^0.1) = 0.744397
    assert dpo(beta=0.2) == pytest.approx([0.554355, 0.744397], abs=1e-6)
    assert dpo(beta=0.2) == pytest.approx([softplus(-0.2 * lead) for lead in LEADS])


def test_ipo_is_settled_at_one_over_twice_beta():
    # 1 / (2 x 0.25) = 2: (1.5 - 2)^2 and (-0.5 - 2)^2
    assert dpo(loss="ipo", beta=0.25) == pytest.approx([0.25, 6.25])


def test_robust_takes_wrong_votes_out():
    # (0.8 x 0.554355 - 0.2 x log(1 + e^0.3)) / 0.6, where log(1 + e^0.3) = 0.854355
    assert dpo(loss="robust", beta=0.2, wrong_votes=0.2)[0] == pytest.approx(0.454355, abs=1e-6)
    right, wrong = softplus(0.1), softplus(-0.1)
    assert dpo(loss="robust", beta=0.2, wrong_votes=0.2)[1] == pytest.approx((0.8 * right - 0.2 * wrong) / 0.6)


def test_the_sft_term_is_the_chosen_answer_s_cross_entropy_by_the_token():
    # 10 nats over 5 tokens, 6 over 4
    plain, with_term = dpo(beta=0.2), dpo(beta=0.2, sft_weight=0.5)
    assert [after - before for before, after in zip(plain, with_term, strict=True)] == pytest.approx([1.0, 0.75])


def test_orpo():
    # by the token: log p = -2 and -2; -1.5 and -2.5. Odds p / (1 - p): e^-2 / (1 - e^-2) twice, so their ratio is 1.
    # The second: 0.22313 / 0.77687 = 0.287218 against 0.082085 / 0.917915 = 0.089425: ratio 3.211810
    expected = [2 + 0.1 * math.log(2), 1.5 + 0.1 * math.log(1 + 1 / 3.211810)]
    assert paired(OrpoObjective(beta=0.1)) == pytest.approx(expected, abs=1e-6)


def test_orpo_s_odds_stand_where_a_share_is_nearly_0_or_1():
    means = torch.tensor([-1e-9, -1e-6, -0.6931, -50.0], requires_grad=True)
    losses = preference_losses.orpo(means, torch.full((4,), -1.0), 0.1)
    losses.sum().backward()
    assert bool(losses.isfinite().all()) and means.grad is not None and bool(means.grad.isfinite().all())


def test_cpo_and_simpo():
    # CPO: log(1 + e^(-0.1 x 2)) and log(1 + e^(0.1 x 1)), with 2 and 1.5 of cross-entropy
    assert paired(CpoObjective(loss="sigmoid", beta=0.1, sft_weight=1)) == pytest.approx(
        [0.598139 + 2, 0.744397 + 1.5], abs=1e-6
    )
    # SimPO: 2 x (-2 - -2) - 0.5 = -0.5, and 2 x (-1.5 - -2.5) - 0.5 = 1.5
    assert paired(CpoObjective(loss="simpo", beta=2, margin=0.5, sft_weight=0)) == pytest.approx(
        [softplus(0.5), softplus(-1.5)]
    )


def test_kto_weighs_gains_against_the_drift():
    objective = KtoObjective(beta=0.2)
    good = torch.tensor([True, False])
    judged = judge_answers(objective, CHOSEN, CHOSEN_TOKENS, good, BASE_CHOSEN, torch.tensor(0.4), (1.5, 0.75))
    # Gains 1 and 0.5: 1.5 x (1 - sigmoid(0.2 x (1 - 0.4))), and 0.75 x (1 - sigmoid(0.2 x (0.4 - 0.5)))
    assert judged.losses.tolist() == pytest.approx([0.705054, 0.378750], abs=1e-6)
    assert judged.won.tolist() == [1, 0], "the bad answer gained more than the drift"
    assert judged.chosen_rewards.tolist() == pytest.approx([0.2])
    assert judged.rejected_rewards.tolist() == pytest.approx([0.1])

    objective.sft_weight = 0.5
    term = judge_answers(objective, CHOSEN, CHOSEN_TOKENS, good, BASE_CHOSEN, torch.tensor(0.4), (1.5, 0.75))
    by_hand = -0.5 * (CHOSEN / CHOSEN_TOKENS)[0].item()
    assert (term.losses - judged.losses).tolist() == pytest.approx([by_hand, 0], abs=1e-6), "of the good answer alone"


def test_a_pair_that_stands_as_in_the_reference_is_won_by_half():
    same = judge_pairs(DpoObjective(), CHOSEN, REJECTED, CHOSEN_TOKENS, REJECTED_TOKENS, CHOSEN, REJECTED)
    assert same.won.tolist() == [0.5, 0.5] and same.losses.tolist() == pytest.approx([math.log(2)] * 2)


@pytest.fixture
def tiny(tiny_run: RunConfig) -> Any:
    """The tiny model with an adapter that has moved, and its run."""
    from transformers import AutoModelForCausalLM

    tiny_run.method.dropout = 0.0  # pyright: ignore[reportAttributeAccessIssue]
    torch.manual_seed(0)
    model = apply(AutoModelForCausalLM.from_pretrained(tiny_run.model.name), tiny_run, [], 1)
    with torch.no_grad():
        for name, one in model.named_parameters():
            if "lora_B" in name:
                one.normal_(std=0.05)
    return model.eval()


LINES = [([5, 6, 7], [8, 9, 2]), ([5, 6], [20, 2]), ([5, 6, 7], [30, 31, 32, 2]), ([5, 6], [40, 41, 2])]


def test_likelihoods_are_those_of_plain_logits_with_and_without_the_adapter(tiny: Any, tiny_run: RunConfig):
    inputs = reference.padded(LINES, pad_token_id=0)
    assert inputs["labels"][1].tolist() == [IGNORED, IGNORED, 20, 2, IGNORED, IGNORED, IGNORED]

    def by_hand() -> list[float]:
        found = []
        for asked, said in LINES:
            with torch.no_grad():
                logits = tiny(torch.tensor([[*asked, *said]])).logits[0].log_softmax(-1)
            found.append(sum(float(logits[len(asked) + at - 1, token]) for at, token in enumerate(said)))
        return found

    assert reference.score(tiny, inputs).tolist() == pytest.approx(by_hand(), abs=1e-4)
    with tiny.disable_adapter():
        base = by_hand()
    with reference.asking(tiny, tiny_run):
        asked = reference.score(tiny, inputs).tolist()
    assert asked == pytest.approx(base, abs=1e-4) and asked != pytest.approx(by_hand(), abs=1e-2)


def test_dpo_s_sigmoid_and_robust_losses_are_trl_s(tiny: Any, tiny_run: RunConfig, tmp_path: Path):
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    inputs = reference.padded(LINES, pad_token_id=0)
    likely = reference.score(tiny, inputs)
    with tiny.disable_adapter():
        base = reference.score(tiny, inputs)
    tokens = (inputs["labels"] != IGNORED).sum(1)
    rows = Dataset.from_dict({"prompt": ["a"], "chosen": ["b"], "rejected": ["c"]})
    for kind in ("sigmoid", "robust"):
        settings = DPOConfig(
            str(tmp_path), use_cpu=True, bf16=False, gradient_checkpointing=False, beta=0.3, loss_type=[kind],
            label_smoothing=0.2 if kind == "robust" else 0.0, report_to="none",
        )  # fmt: skip
        theirs = DPOTrainer(
            tiny, args=settings, train_dataset=rows, processing_class=AutoTokenizer.from_pretrained(tiny_run.model.name)
        )
        tiny.delete_adapter("ref")  # a copy of the adapter as it is; ours is measured against the base
        tiny.eval()
        mask = (inputs["labels"] != IGNORED).long()
        batch = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"], "completion_mask": mask}
        with torch.no_grad():
            expected = theirs.compute_loss(tiny, batch).item()
        ours = judge_pairs(
            DpoObjective(loss=kind, beta=0.3, wrong_votes=0.2), *likely.chunk(2), *tokens.chunk(2), *base.chunk(2)
        )
        assert ours.losses.mean().item() == pytest.approx(expected, rel=1e-5)
