"""The search space: parameters in the order of their conditions, suggested one by one.

Source: Optuna's define-by-run spaces: what is not suggested in a trial is not part of it, so a conditional parameter is
simply suggested only where its condition holds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from kubestudy.api.problems import Problem
from kubestudy.api.study import Parameter
from kubestudy.api.values import Value, same

if TYPE_CHECKING:
    import optuna

MAX_GRID = 100_000


def in_tree_order(parameters: Sequence[Parameter]) -> list[Parameter]:
    """Sort parameters so that each comes after those its condition names, in the manifest's order otherwise.

    Args:
        parameters: A valid space: no unknown names and no circle in the conditions.
    """
    ordered: list[Parameter] = []
    placed: set[str] = set()
    left = list(parameters)
    while left:
        ready = next(p for p in left if placed.issuperset(p.when or ()))
        left.remove(ready)
        placed.add(ready.name)
        ordered.append(ready)
    return ordered


def is_active(parameter: Parameter, params: Mapping[str, Value]) -> bool:
    """Tell whether a parameter's condition holds, given the parameters chosen before it."""
    return all(
        parent in params and any(same(params[parent], value) for value in values)
        for parent, values in (parameter.when or {}).items()
    )


def suggest(trial: optuna.Trial, ordered: Sequence[Parameter]) -> dict[str, Value]:
    """Suggest every active parameter of a trial.

    Args:
        trial: A running trial. A parameter that it already has comes back unchanged.
        ordered: The space, in tree order.
    """
    params: dict[str, Value] = {}
    for parameter in ordered:
        if is_active(parameter, params):
            params[parameter.name] = _suggest_one(trial, parameter)
    return params


def _suggest_one(trial: optuna.Trial, parameter: Parameter) -> Value:
    if parameter.type == "categorical":
        chosen: Value = trial.suggest_categorical(parameter.name, parameter.choices or [])  # type: ignore[assignment]
        return chosen
    low, high = parameter.low or 0.0, parameter.high or 0.0
    if parameter.type == "int":
        step = int(parameter.step or 1)
        return trial.suggest_int(parameter.name, int(low), int(high), step=step, log=parameter.log)
    return trial.suggest_float(parameter.name, low, high, step=parameter.step, log=parameter.log)


def is_conditional(parameters: Sequence[Parameter]) -> bool:
    """Tell whether any parameter has a condition."""
    return any(parameter.when for parameter in parameters)


def grid_problems(parameters: Sequence[Parameter]) -> list[Problem]:
    """Say why a space has no grid: a float without steps, or more points than anyone could run."""
    problems = [
        Problem(f"spec.parameters[{i}].step", "is required by the grid sampler: it tries low, low + step, ...")
        for i, parameter in enumerate(parameters)
        if parameter.type == "float" and parameter.step is None
    ]
    if not problems:
        points = math.prod(_count(parameter) for parameter in parameters if not parameter.when)
        if points > MAX_GRID:
            problems.append(
                Problem(
                    "spec.parameters",
                    f"make a grid of {points} points or more: {MAX_GRID} at most; use larger steps",
                )
            )
        elif _more_than(grid(parameters), MAX_GRID):
            problems.append(Problem("spec.parameters", f"make a grid of more than {MAX_GRID} points: use larger steps"))
    return problems


def _more_than(points: Iterator[dict[str, Value]], limit: int) -> bool:
    return next(itertools.islice(points, limit, None), None) is not None


def _count(parameter: Parameter) -> int:
    if parameter.type == "categorical":
        return len(parameter.choices or ())
    low, high, step = parameter.low or 0.0, parameter.high or 0.0, parameter.step or 1.0
    steps = (high - low) / step + 1e-9
    return math.floor(steps) + 1 if math.isfinite(steps) else MAX_GRID + 1


def _points(parameter: Parameter) -> Iterator[Value]:
    if parameter.type == "categorical":
        yield from parameter.choices or ()
        return
    low, high, step = parameter.low or 0.0, parameter.high or 0.0, parameter.step or 1.0
    for i in range(_count(parameter)):
        yield int(low) + i * int(step) if parameter.type == "int" else min(high, low + i * step)


def grid(parameters: Sequence[Parameter]) -> Iterator[dict[str, Value]]:
    """Go through every distinct combination of active parameters, in the manifest's order.

    A conditional parameter multiplies only the points where it is active, so no two points are alike.
    """

    def below(ordered: Sequence[Parameter], chosen: dict[str, Value]) -> Iterator[dict[str, Value]]:
        if not ordered:
            yield dict(chosen)
            return
        first, rest = ordered[0], ordered[1:]
        if not is_active(first, chosen):
            yield from below(rest, chosen)
            return
        for value in _points(first):
            yield from below(rest, {**chosen, first.name: value})

    return below(in_tree_order(parameters), {})
