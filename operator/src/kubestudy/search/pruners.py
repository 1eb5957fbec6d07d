"""Pruners by name: their options checked, and the pruner made. Source: optuna.pruners.

Importing this does not import Optuna: a manifest whose pruner has no options is checked without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubestudy.api.algorithms import NO_PRUNER, PRUNERS
from kubestudy.api.problems import Problem, did_you_mean
from kubestudy.api.study import Pruner
from kubestudy.search.classes import class_of
from kubestudy.search.options import check_options, trying

if TYPE_CHECKING:
    import optuna


def pruner_problems(pruner: Pruner, path: str = "spec.pruner") -> list[Problem]:
    """Check a pruner's options, by trying them."""
    algorithm, options = PRUNERS[pruner.name], dict(pruner.options)
    if not options and not algorithm.required:
        return []
    taken: frozenset[str] = frozenset()
    problems: list[Problem] = []
    if algorithm.wraps is not None:
        taken = frozenset({algorithm.wraps})
        problems += _wrapped_problems(options.pop(algorithm.wraps, None), f"{path}.options.{algorithm.wraps}")
    problems += check_options(f"{path}.options", algorithm, options, taken)
    if not problems:
        problems += trying(f"{path}.options", algorithm, lambda: make_pruner(pruner))
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
    inner = [known for known, algorithm in PRUNERS.items() if known != NO_PRUNER and algorithm.wraps is None]
    if name not in inner:
        return [Problem(f"{path}.name", f"{name!r} cannot be wrapped: {did_you_mean(str(name), inner)}")]
    return pruner_problems(Pruner(name=name, options=wrapped.get("options", {})), path)


def make_pruner(pruner: Pruner) -> optuna.pruners.BasePruner:
    """Make a pruner from its checked options."""
    algorithm, options = PRUNERS[pruner.name], dict(pruner.options)
    if algorithm.wraps is not None:
        wrapped = options.pop(algorithm.wraps, None)
        options[algorithm.wraps] = None if wrapped is None else make_pruner(Pruner.model_validate(wrapped))
    made: optuna.pruners.BasePruner = class_of(algorithm)(**options)
    return made
