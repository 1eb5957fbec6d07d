"""Whether this operator may still write: asked directly before each write, wherever it goes.

A process may be stopped between a decision and the write that follows from it (SIGSTOP, a machine that sleeps, a
hypervisor), for longer than its Lease lasts. When it goes on, another operator works, and no task of its own has had
the chance to notice. So whoever writes looks at the clock last thing before: the Lease's end, by a clock that goes on
while a machine sleeps, is known beforehand.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from kubestudy.cluster.answers import ApiError
from kubestudy.study.ports import StudyError

_WHY = "this operator's lease is over: another one may be at work by now"


class NotLeadingError(ApiError):
    """This operator may not write any more."""


def boot_clock() -> float:
    """Return seconds of a clock that never goes back, and goes on while the machine sleeps (Linux)."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Fence:
    """Lets writes through until a time. Threads may ask it.

    Args:
        clock: Seconds of a clock that never goes back.

    Attributes:
        clock: That.
    """

    def __init__(self, clock: Callable[[], float] = boot_clock) -> None:
        self.clock = clock
        # Without an election nobody else writes.
        self._until = math.inf

    def open_until(self, until: float) -> None:
        """Let writes through until a time of the clock."""
        self._until = until

    def close(self) -> None:
        """Let nothing through any more, until it is opened again."""
        self._until = -math.inf

    def check_request(self) -> None:
        """Look before a request that changes something.

        Raises:
            NotLeadingError: It may not be made.
        """
        if self.clock() >= self._until:
            raise NotLeadingError(0, "NotLeading", _WHY)

    def check_storage(self) -> None:
        """Look before something is written to a storage.

        Raises:
            StudyError: It may not be written.
        """
        if self.clock() >= self._until:
            raise StudyError(_WHY)
