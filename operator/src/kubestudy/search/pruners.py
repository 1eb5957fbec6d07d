"""Pruners by name. Source: optuna.pruners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna

from kubestudy.api.problems import Problem, did_you_mean
from kubestudy.api.study import Pruner, PrunerName
from kubestudy.search.options import check_options

_CLASSES: Mapping[PrunerName, type[optuna.pruners.BasePruner]] = {
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
    "percentile": optuna.pruners.PercentilePruner,
    "successivehalving": optuna.pruners.SuccessiveHalvingPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
    "patient": optuna.pruners.PatientPruner,
}
# PatientPruner's first argument is another pruner: written as {name: ..., options: {...}}.
_WRAPPED = "wrapped_pruner"


def pruner_problems(pruner: Pruner, path: str = "spec.pruner") -> list[Problem]:
    """Check a pruner's options, by trying them."""
    options = dict(pruner.options)
    taken: frozenset[str] = frozenset()
    problems: list[Problem] = []
    if pruner.name == "patient":
        taken = frozenset({_WRAPPED})
        problems += _wrapped_problems(options.pop(_WRAPPED, None), f"{path}.options.{_WRAPPED}")
    problems += check_options(f"{path}.options", _CLASSES[pruner.name], options, taken)
    if not problems:
        try:
            make_pruner(pruner)
        except (TypeError, ValueError) as error:
            problems.append(Problem(f"{path}.options", f"{pruner.name} refuses them: {error}"))
    return problems


def _wrapped_problems(wrapped: Any, path: str) -> list[Problem]:
    if wrapped is None:
        return []
    if not isinstance(wrapped, dict) or not isinstance(wrapped.get("options", {}), dict):
        return [Problem(path, "is no pruner: write {name: median, options: {...}}")]
    unknown = wrapped.keys() - {"name", "options"}
    if unknown:
        return [Problem(f"{path}.{key}", "there is no such field: known here: name, options") for key in unknown]
    name = wrapped.get("name")
    inner = [known for known in _CLASSES if known not in ("none", "patient")]
    if name not in inner:
        return [Problem(f"{path}.name", f"{name!r} cannot be wrapped: {did_you_mean(str(name), inner)}")]
    return pruner_problems(Pruner(name=name, options=wrapped.get("options", {})), path)


def make_pruner(pruner: Pruner) -> optuna.pruners.BasePruner:
    """Make a pruner from its checked options."""
    options = dict(pruner.options)
    if pruner.name == "patient":
        wrapped = options.pop(_WRAPPED, None)
        options[_WRAPPED] = None if wrapped is None else make_pruner(Pruner.model_validate(wrapped))
    return _CLASSES[pruner.name](**options)
