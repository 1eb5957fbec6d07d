"""What becomes of a trial that ended: a pure decision from how it ended and why it was told to stop, if it was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kubestudy.api.study import Objective
from kubestudy.planning.plan import StopCause
from kubestudy.study.trial import Curve, End, Result

_NO_RESULT = (
    "it ended without a result: a trial writes its final values at its end, by trial.finish(...) of"
    " kubestudy_trainer or as JSON to the file that KUBESTUDY_TERMINATION_LOG names"
)

_EXPECTED = 'expected is {"version": 1, "values": {"METRIC": NUMBER, ...}}'


@dataclass(frozen=True, slots=True)
class Complete:
    """It has a final value of every objective."""

    values: tuple[float, ...]
    curve: Curve


@dataclass(frozen=True, slots=True)
class Pruned:
    """It was stopped early as hopeless."""

    curve: Curve


@dataclass(frozen=True, slots=True)
class Failed:
    """It failed by its own fault."""

    reason: str
    message: str
    curve: Curve


@dataclass(frozen=True, slots=True)
class Stopped:
    """It was stopped because the study ended."""

    curve: Curve


@dataclass(frozen=True, slots=True)
class Requeue:
    """It runs again, with the same number and parameters."""

    why: str


Outcome = Complete | Pruned | Failed | Stopped | Requeue


def outcome_of(end: End, cause: StopCause | None, objectives: Sequence[Objective]) -> Outcome:
    """Decide what becomes of a trial.

    A trial that was told to stop but finished in the meantime counts as finished: its values are exact.

    Args:
        end: How its execution ended.
        cause: Why it was told to stop; None if it was not.
        objectives: Whose final values are needed.
    """
    result = end.result or Result()
    if end.succeeded and result.values:
        return _finished(result, objectives)
    match cause:
        case StopCause.PRUNED:
            return Pruned(result.curve)
        case StopCause.ENDED:
            return Stopped(result.curve)
        case StopCause.SUSPENDED:
            return Requeue("it was stopped for now")
    if end.interrupted:
        return Requeue(end.detail)
    if end.succeeded:
        if result.invalid is not None:
            return Failed("InvalidResult", f"its result {result.invalid} ({_EXPECTED})", result.curve)
        return Failed("NoResult", result.message or _NO_RESULT, result.curve)
    return Failed(result.reason or end.reason, result.message or end.detail, result.curve)


def _finished(result: Result, objectives: Sequence[Objective]) -> Complete | Failed:
    missing = [objective.name for objective in objectives if objective.name not in result.values]
    if missing and result.invalid is not None:
        return Failed("InvalidResult", f"its result {result.invalid} ({_EXPECTED})", result.curve)
    if missing:
        return Failed(
            "MissingMetric",
            f"it finished with {_listed(sorted(result.values))} but without {_listed(missing)}, which the study's"
            " objectives name",
            result.curve,
        )
    values = tuple(result.values[objective.name] for objective in objectives)
    for objective, value in zip(objectives, values, strict=True):
        if not math.isfinite(value):
            return Failed("NonFiniteMetric", f"its {objective.name} is {value}", result.curve)
    return Complete(values, result.curve)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
