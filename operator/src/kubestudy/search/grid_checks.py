"""Whether a space has a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kubestudy.api.limits import GRID_POINTS
from kubestudy.api.problems import Problem
from kubestudy.api.study import Parameter
from kubestudy.search.grid import Grid, GridTooLargeError, count_of


def grid_problems(parameters: Sequence[Parameter]) -> list[Problem]:
    """Say why a space has no grid: a float without steps, or more points than anyone could run."""
    problems = [
        Problem(f"spec.parameters[{i}].step", "is required by the grid sampler: it tries low, low + step, ...")
        for i, parameter in enumerate(parameters)
        if parameter.type == "float" and parameter.step is None
    ]
    if problems:
        return problems
    points = math.prod(count_of(parameter) for parameter in parameters if not parameter.when)
    if points > GRID_POINTS.value:
        said = f"at least {points}" if points < 10**18 else "more than 10^18"
        return [
            Problem(
                "spec.parameters",
                f"make a grid of {said} points: {GRID_POINTS.value} at most; use larger steps",
            )
        ]
    try:
        Grid(parameters)
    except GridTooLargeError:
        return [
            Problem(
                "spec.parameters",
                f"make a grid of more than {GRID_POINTS.value} points, or one whose conditions cannot be counted:"
                " use larger steps, or fewer conditions",
            )
        ]
    return []
