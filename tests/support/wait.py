"""Waiting for something to become true, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def until(
    true: Callable[[], Any],
    seconds: float = 180.0,
    every: float = 0.1,
    what: str = "it",
    error: type[Exception] = AssertionError,
) -> Any:
    """Wait until something is true; return it.

    Args:
        true: What is to become true.
        seconds: How long to wait.
        every: How often to look.
        what: What an error calls it.
        error: What is raised when the time is up.
    """
    deadline = time.monotonic() + seconds
    while not (found := true()):
        if time.monotonic() > deadline:
            raise error(f"{what} did not come true within {seconds:.0f} s")
        time.sleep(every)
    return found
