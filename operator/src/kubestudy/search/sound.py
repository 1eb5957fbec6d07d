"""Whether what a storage says of a study and its trials can be right: looked at once, before anything reckons with it.

A disk, a person or another program can put anything into a record. What is wrong here would come up much later, as an
error of the code that uses it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from pydantic import ConfigDict, TypeAdapter

from kubestudy.planning.plan import StopCause
from kubestudy.search.attributes import (
    ATTR_END,
    ATTR_GPU_SECONDS,
    ATTR_GPU_UTILIZATION,
    ATTR_METRICS,
    ATTR_PROGRESS,
    ATTR_SPEC,
    ATTR_STOP,
    progress_in,
)
from kubestudy.search.trial_metrics import metrics_in
from kubestudy.study.progress import Progress

_LARGEST = 2**63


class DamagedRecordError(ValueError):
    """A record cannot be right; its text says which and why."""


def check_study(attributes: Mapping[str, Any], objectives: int, metric_names: Any) -> None:
    """Refuse a study whose records cannot be right.

    Args:
        attributes: Its user attributes.
        objectives: How many objectives its storage says there are.
        metric_names: What they are called; None if nobody has said yet.

    Raises:
        DamagedRecordError: They cannot.
    """
    if objectives < 1:
        raise DamagedRecordError("the study has no objectives")
    if metric_names is not None and not (
        isinstance(metric_names, list)
        and len(metric_names) == objectives
        and all(isinstance(name, str) for name in metric_names)
    ):
        raise DamagedRecordError("the names of its objectives are wrong")
    if not isinstance(attributes.get(ATTR_SPEC, {}), dict):
        raise DamagedRecordError(f"its {ATTR_SPEC} is wrong")
    _try(ATTR_PROGRESS, lambda: _PROGRESS.validate_python(progress_in(attributes)))


def check_trials(trials: Iterable[FrozenTrial], objectives: int) -> None:
    """Refuse trials whose records cannot be right.

    Args:
        trials: The trials.
        objectives: How many objectives their study has.

    Raises:
        DamagedRecordError: Those of one cannot; the text names it.
    """
    for trial in trials:
        try:
            _check_trial(trial, objectives)
        except DamagedRecordError as error:
            raise DamagedRecordError(f"of trial {trial.number}, {error}") from error


def _check_trial(trial: FrozenTrial, objectives: int) -> None:
    if trial.state is TrialState.COMPLETE:
        # What tells of several values tells of one, too; it raises where there is none.
        values = _try("value", lambda: trial.values)
        if not _are_numbers(values) or len(values) != objectives or any(math.isnan(value) for value in values):
            raise DamagedRecordError("the final values are wrong")
    steps = trial.intermediate_values
    if not all(isinstance(step, int) for step in steps) or not _are_numbers(list(steps.values())):
        raise DamagedRecordError("the intermediate values are wrong")
    constraints = _try("constraints", lambda: trial.constraints)
    if not isinstance(constraints, dict) or not _are_numbers(list(constraints.values())):
        raise DamagedRecordError("the constraints are wrong")
    for key, adapter in _OF_TRIALS.items():
        if key in trial.user_attrs:
            _try(key, partial(adapter.validate_python, trial.user_attrs[key]))
    _try(ATTR_METRICS, lambda: metrics_in(trial.user_attrs.get(ATTR_METRICS, {})))


def _try(what: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError, RuntimeError) as error:
        raise DamagedRecordError(f"the {what} is wrong") from error


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(_is_number(value) for value in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) < _LARGEST)


_STRICT = ConfigDict(allow_inf_nan=False)
_PROGRESS = TypeAdapter(Progress)
_OF_TRIALS: Mapping[str, TypeAdapter[Any]] = {
    ATTR_STOP: TypeAdapter(StopCause),
    ATTR_END: TypeAdapter(dict[str, str]),
    ATTR_GPU_SECONDS: TypeAdapter(dict[str, float], config=_STRICT),
    ATTR_GPU_UTILIZATION: TypeAdapter(float, config=_STRICT),
}
