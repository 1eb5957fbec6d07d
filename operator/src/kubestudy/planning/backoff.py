"""How long to wait before trying again what failed. Pure."""

from __future__ import annotations

from dataclasses import dataclass

_MOST_DOUBLINGS = 60


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double with each failure in a row, up to a limit.

    Attributes:
        first: Seconds to wait after the first failure.
        limit: Seconds to wait at most.
    """

    first: float
    limit: float

    def after(self, failures: int) -> float:
        """Return the seconds to wait after so many failures in a row; none after none."""
        if failures <= 0:
            return 0.0
        return min(self.first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), self.limit)
