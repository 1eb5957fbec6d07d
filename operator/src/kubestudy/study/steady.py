"""Unix time that does not jump when somebody sets the machine's clock."""

from __future__ import annotations

import time
from collections.abc import Callable


def steady_clock(
    wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
) -> Callable[[], float]:
    """Return a clock: what the wall clock says now, and from then on what really passed.

    A study's budget of time, and how long a trial waits to start, are about time that passed. Time that a sleeping
    machine slept through does not count on Linux (CLOCK_MONOTONIC).

    Args:
        wall: Unix time.
        monotonic: Seconds that passed, since whenever.
    """
    offset = wall() - monotonic()
    return lambda: offset + monotonic()
