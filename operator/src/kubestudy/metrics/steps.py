"""Steps as running trials report them: a number of a stranger's, which becomes an integer or nothing."""

from __future__ import annotations

import math

from kubestudy.api.limits import TRIAL_STEP


def step_of(value: float) -> int | None:
    """Return a reported step as a storage can keep it.

    Args:
        value: What was reported: any float.

    Returns:
        The step, without what is behind the point; None for NaN, infinities, and what is below zero or past the bound.
    """
    if not math.isfinite(value) or not 0 <= value <= TRIAL_STEP.value:
        return None
    return int(value)
