"""Two versions side by side: the split is fixed, names are not kept, users count once, and it ends as it says."""

from __future__ import annotations

import pytest
from sqlmodel import select
from versions_made import run_like

from trainer.runs import Run
from trainer.store import Outcome, session
from trainer.versions import VersionError, ab_test, registry


@pytest.fixture
def line(finished_run: Run) -> str:
    """A line with 1.0.0 in use and 1.0.1 beside it."""
    registry.register("labs", finished_run, "data")
    registry.register("labs", run_like(finished_run, "second"), "fix")
    registry.put_in_use("labs", "1.0.0", "first")
    return "labs"


def users_of(test: ab_test.ABTest, arm: str, count: int) -> list[str]:
    """Names whose users are in this arm."""
    return [name for at in range(200 * count) if ab_test.arm(test, name := f"user {at}") == arm][:count]


def test_a_user_always_has_the_same_arm_and_the_share_is_kept(line: str):
    test = ab_test.begin(line, "1.0.1", share=0.2)
    arms = [ab_test.arm(test, f"user {at}") for at in range(3000)]
    again = ab_test.get(test.id)
    assert arms == [ab_test.arm(again, f" user {at} ") for at in range(3000)]
    assert 0.17 < arms.count("second") / 3000 < 0.23, "four standard errors around 0.2"
    other = ab_test.ABTest(id="another", line=line, first="1.0.0", second="1.0.1", share=0.2)
    moved = sum(one != ab_test.arm(other, f"user {at}") for at, one in enumerate(arms))
    assert 0.27 < moved / 3000 < 0.37, "another test deals users anew: 2 x 0.2 x 0.8 change sides"
    version = ab_test.version_for(line, users_of(test, "second", 1)[0])
    assert version is not None and version.number == "1.0.1"


def test_no_name_is_kept(line: str):
    test = ab_test.begin(line, "1.0.1")
    ab_test.record(test, "Dr. Ada Example", True)
    with session() as open_:
        kept = open_.exec(select(Outcome)).one()
    assert "Ada" not in kept.model_dump_json() and len(kept.user) == 64
    import hashlib

    assert kept.user != hashlib.sha256(f"{test.id}/Dr. Ada Example".encode()).hexdigest(), (
        "guessing names does not help"
    )


def test_each_user_counts_once_and_further_outcomes_are_told(line: str):
    test = ab_test.begin(line, "1.0.1")
    mine, other = users_of(test, "first", 1)[0], users_of(test, "second", 1)[0]
    for good in (True, False, False):
        assert ab_test.record(test, mine, good) == "first"
    ab_test.record(test, other, False)
    found = ab_test.state(test)
    assert (found.first.users, found.first.good, found.first.further) == (1, 1, 2)
    assert (found.second.users, found.second.good, found.second.further) == (1, 0, 0)
    assert (found.test.pairs, found.test.lost, found.test.decision) == (1, 1, "undecided")
    assert found.words.startswith(
        "Undecided after 1 pairs of users (1.0.0: 1 of 1 users had a good answer, 1.0.1: 0 of"
    )


def test_it_is_decided_concluded_in_words_and_takes_no_more(line: str):
    test = ab_test.begin(line, "1.0.1", usual=0.5, smallest=0.25, alpha=0.1, beta=0.1)
    for mine, other in zip(users_of(test, "first", 8), users_of(test, "second", 8), strict=True):
        ab_test.record(test, mine, False)
        ab_test.record(test, other, True)
    ended = ab_test.end(test)
    assert ended.conclusion.startswith(
        "1.0.1 gives good answers more often than 1.0.0: decided after 8 pairs of users, 8 of which differed (1.0.0: 0 "
        "of 8 users had a good answer, 1.0.1: 8 of 8 users had a good answer; error rates 10 % and 10 %)."
    )
    version = registry.in_use(line)
    assert version is not None and version.number == "1.0.0", "a conclusion puts nothing into use by itself"
    with pytest.raises(VersionError, match="has ended; outcomes are no longer taken"):
        ab_test.record(test, "late", True)
    with pytest.raises(VersionError, match="has ended already"):
        ab_test.end(test)
    assert ab_test.running(line) is None and ab_test.begin(line, "1.0.1")


def test_an_undecided_test_ends_for_a_reason_only(line: str):
    test = ab_test.begin(line, "1.0.1")
    with pytest.raises(VersionError, match=r"^The test is undecided: .* Say why it is to end now"):
        ab_test.end(test)
    assert ab_test.end(test, "the ward closed").conclusion.endswith("Ended: the ward closed")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"second": "1.0.0"}, "labs 1.0.0 is in use already"),
        ({"second": "3.0.0"}, "labs has no version 3.0.0; it has 1.0.1, 1.0.0."),
        ({"second": "1.0.1", "share": 1.0}, "share is 1; give the share of users who get 1.0.1"),
        ({"second": "1.0.1", "usual": 0.95}, "usual (0.95) and smallest (0.1) together have to stay below 1"),
        ({"second": "1.0.1", "alpha": 0.0}, "alpha: Input should be greater than 0."),
    ],
)
def test_what_does_not_fit_is_said(line: str, wanted: dict, said: str):
    with pytest.raises(VersionError) as error:
        ab_test.begin(line, **wanted)
    assert said in str(error.value)


def test_one_test_at_a_time_and_only_beside_something_in_use(line: str, finished_run: Run):
    ab_test.begin(line, "1.0.1")
    with pytest.raises(VersionError, match=r"labs has a test already \(1.0.0 against 1.0.1\); end it"):
        ab_test.begin(line, "1.0.1")
    registry.register("other", finished_run, "data")
    with pytest.raises(VersionError, match="No version of other is in use"):
        ab_test.begin("other", "1.0.0")
    with pytest.raises(VersionError, match="name is empty"):
        ab_test.arm(ab_test.tests(line)[0], " ")
