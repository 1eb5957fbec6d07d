"""Steps at which trials are compared while they run.

Pruners compare trials at equal steps, but scrapes see only some of each trial's steps, and never the same ones. So
reports are made at rungs: a step is rounded down to its six leading binary digits. Up to 64 every step is a rung of
its own; beyond, a rung is at most 3.2 % below the step, and trials of any length meet on few hundred rungs.
"""

from __future__ import annotations

DIGITS = 6


def rung(step: int) -> int:
    """Return the rung of a step, the step rounded down to six leading binary digits.

    Args:
        step: A step, zero or above.
    """
    shift = max(0, step.bit_length() - DIGITS)
    return step >> shift << shift
