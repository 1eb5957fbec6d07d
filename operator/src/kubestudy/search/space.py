"""The search space: parameters in the order of their conditions, suggested one by one.

Source: Optuna's define-by-run spaces: what is not suggested in a trial is not part of it, so a conditional parameter is
simply suggested only where its condition holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kubestudy.api.study import Parameter
from kubestudy.api.values import Value, same

if TYPE_CHECKING:
    import optuna


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
