"""k-center greedy by hand, and a model's own states as embeddings."""

from pathlib import Path

import numpy as np
import pytest

from evaluators.diversity import Centre, k_center, own_embeddings
from trainer import models
from trainer.sections import RunConfig


def test_the_furthest_point_comes_next_beside_what_is_labelled():
    points = np.array([[0.0], [1.0], [2.0], [10.0], [6.0]])
    # From 0: 10 is furthest; then 6 (4 from 10), then 2 (2 from 0), 1, and 0 itself, which stands on a centre.
    assert k_center(points, 9, np.array([[0.0]])) == [
        Centre(3, 10.0),
        Centre(4, 4.0),
        Centre(2, 2.0),
        Centre(1, 1.0),
        Centre(0, 0.0),
    ]


def test_without_a_labelled_point_the_one_in_the_middle_comes_first():
    points = np.array([[0.0], [1.0], [2.0], [10.0]])  # mean 3.25
    assert k_center(points, 3) == [Centre(2, 0.0), Centre(3, 8.0), Centre(0, 2.0)]
    assert k_center(points, 3, np.zeros((0, 1))) == k_center(points, 3)


def test_equal_points_are_each_chosen_once():
    assert [one.place for one in k_center(np.ones((4, 2)), 4)] == [0, 1, 2, 3]
    assert k_center(np.ones((0, 2)), 3) == []


def test_what_is_left_is_at_most_twice_as_far_as_need_be():
    # Three tight groups: any best choice of three leaves less than 0.2, so that greedy leaves less than 0.4.
    draw = np.random.default_rng(0)
    points = np.concatenate([centre + draw.uniform(-0.1, 0.1, (20, 1)) for centre in (0.0, 5.0, 9.0)])
    chosen = points[[one.place for one in k_center(points, 3)]]
    assert np.abs(points - chosen.T).min(axis=1).max() < 0.4


def test_own_states_tell_questions_apart_and_do_not_depend_on_the_batch(tiny_model: Path):
    model, tokenizer, _ = models.load_base(
        RunConfig.model_validate({"model": {"name": str(tiny_model)}, "hardware": {"precision": "fp32"}})
    )
    texts = ["Is 4 even?", "How is warfarin monitored?", "Is 4 even?", "Is 6 even?"]
    chats = [[{"role": "user", "content": text}] for text in texts]
    found = own_embeddings(model.eval(), tokenizer, chats, tuned=True)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1.0)
    cosines = found @ found.T
    assert cosines[0, 2] == pytest.approx(1.0, abs=1e-5)
    assert cosines[0, 3] > cosines[0, 1] + 0.5
    one_by_one = own_embeddings(model, tokenizer, chats, tuned=True, batch_size=1)
    assert found == pytest.approx(one_by_one, abs=1e-4)
