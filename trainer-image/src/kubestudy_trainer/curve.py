"""A metric's values over its steps, and how they are thinned to fit a small message."""

from collections.abc import Iterable

Point = tuple[int, float]

# Significant bits of a step that thinning keeps, finest first.
RUNG_BITS = (6, 5, 4, 3, 2, 1)

# Above this many points a curve fits no message unthinned, so the finest thinning loses nothing that could
# have been sent; and it always ends well below: 64-bit steps have fewer than 2000 rungs of 6 bits.
_COMPACT_ABOVE = 4096


class Curve:
    """The values that were reported for one metric, in a bounded amount of memory."""

    def __init__(self) -> None:
        self._values: dict[int, float] = {}

    def add(self, step: int, value: float) -> None:
        """Add a value; one that was reported for the same step before is replaced.

        Args:
            step: The step, an integer of at least 0.
            value: The metric's value at that step.
        """
        self._values[step] = value
        if len(self._values) > _COMPACT_ABOVE:
            self._values = dict(thin(self.points(), RUNG_BITS[0]))

    def points(self) -> list[Point]:
        """The points by rising step."""
        return sorted(self._values.items())


def rung(step: int, bits: int) -> int:
    """A step rounded down to its first significant bits, as rungs spaced ever wider.

    Args:
        step: An integer of at least 0.
        bits: How many significant bits to keep, at least 1.

    Returns:
        The largest integer of at most `step` that has at most `bits` significant bits.
    """
    dropped = max(step.bit_length() - bits, 0)
    return step >> dropped << dropped


def thin(points: Iterable[Point], bits: int) -> list[Point]:
    """Keep the first point of each rung, and the last point.

    Rungs of fewer bits are unions of rungs of more, so thinning what is thinned already gives the same
    as thinning the whole.

    Args:
        points: Points by rising step.
        bits: Significant bits of the rungs.
    """
    kept: list[Point] = []
    last: Point | None = None
    last_rung = -1
    for last in points:
        this_rung = rung(last[0], bits)
        if this_rung != last_rung:
            kept.append(last)
            last_rung = this_rung
    if last is not None and kept[-1] != last:
        kept.append(last)
    return kept
