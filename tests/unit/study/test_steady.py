"""A clock that nobody sets."""

from __future__ import annotations

from kubestudy.study.steady import steady_clock


def test_a_clock_that_is_set_does_not_move_it() -> None:
    wall, passed = [1e9], [50.0]
    now = steady_clock(lambda: wall[0], lambda: passed[0])
    assert now() == 1e9
    wall[0] += 3600
    passed[0] += 5
    assert now() == 1e9 + 5
    wall[0] -= 1e6
    assert now() == 1e9 + 5
