"""How many trials are brought to a cluster at once, and what failed starts mean."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kubestudy.planning.starts import (
    FIRST_ROUND,
    RETRIES,
    START_FAILURES_TOLERATED,
    OnTheirWay,
    Starts,
)


def grown(starts: Starts, launches: int) -> Starts:
    for _ in range(launches):
        starts = starts.after_launch()
    return starts


def test_an_empty_cluster_is_filled_in_five_rounds() -> None:
    starts, running, rounds = Starts(), 0, 0
    while running < 100:
        allowed = min(starts.allowed(OnTheirWay(placed=running), 0.0), 100 - running)
        starts = grown(starts, allowed)
        running, rounds = running + allowed, rounds + 1
        starts = starts.after_look(OnTheirWay(placed=running))
    assert rounds == 5


def test_rounds_grow_while_trials_follow_one_another() -> None:
    """There is always one that has no place yet, since another ended in the meantime."""
    starts = Starts()
    for _ in range(100):
        starts = starts.after_launch().after_look(OnTheirWay(placed=50, unplaced=1))
    assert starts.allowed(OnTheirWay(placed=50, unplaced=1), 0.0) >= 31


def test_on_a_full_cluster_as_many_wait_as_run() -> None:
    """Parallelism 100 on 8 GPUs: 8 run, and at most 8 wait."""
    starts, placed, waiting = Starts(), 0, 0
    for _ in range(50):
        way = OnTheirWay(placed=placed, unplaced=waiting, waiting=waiting)
        starts = starts.after_look(way)
        allowed = min(starts.allowed(way, 0.0), 100 - placed - waiting)
        starts = grown(starts, allowed)
        taken = min(allowed, 8 - placed)
        placed, waiting = placed + taken, waiting + allowed - taken
        assert waiting <= max(placed, FIRST_ROUND)
    assert (placed, waiting) == (8, 8)


def test_when_nothing_runs_one_waits_at_least_and_no_more_are_asked_for() -> None:
    assert Starts().allowed(OnTheirWay(), 0.0) == FIRST_ROUND
    assert Starts().allowed(OnTheirWay(unplaced=FIRST_ROUND, waiting=FIRST_ROUND), 0.0) == 0
    assert Starts().allowed(OnTheirWay(unplaced=1, waiting=1), 0.0) == 0


def test_what_cannot_be_created_is_followed_by_nothing() -> None:
    assert Starts().allowed(OnTheirWay(placed=3, unplaced=1, refused=1), 0.0) == 0


def test_after_three_trials_that_did_not_start_one_is_tried_at_a_time() -> None:
    starts = Starts()
    for number in range(START_FAILURES_TOLERATED):
        assert not starts.blocked
        starts = starts.after_failure(number, "no such image", 1000.0)
    assert starts.blocked and starts.retry_at == 1000.0 + RETRIES.first
    running = OnTheirWay(placed=5)
    assert starts.allowed(running, 1001.0) == 0
    assert starts.allowed(running, starts.retry_at) == 1, "whatever else runs"
    assert starts.allowed(OnTheirWay(placed=6, starting=1), starts.retry_at) == 0
    again = starts.after_failure(0, "still", starts.retry_at)
    assert again.blocked and again.retry_at == starts.retry_at + 2 * RETRIES.first
    assert not again.after_start().blocked


def test_one_trial_that_fails_again_and_again_is_one_trial() -> None:
    starts = Starts()
    for _ in range(9):
        starts = starts.after_failure(7, "its own fault", 0.0)
    assert not starts.blocked


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30))
def test_only_trials_that_failed_since_the_last_start_count(events: list[tuple[int, bool]]) -> None:
    starts, failed = Starts(), set[int]()
    for number, started in events:
        if started:
            starts, failed = starts.after_start(), set()
        else:
            starts = starts.after_failure(number, "why", 0.0)
            failed.add(number)
        assert starts.blocked == (len(failed) >= START_FAILURES_TOLERATED)
