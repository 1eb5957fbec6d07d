"""What becomes of a trial that ended: a pure decision from how it ended and why it was told to stop, if it was."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kubestudy.api import contract
from kubestudy.api.reasons import Failure
from kubestudy.api.study import StudySpec
from kubestudy.planning.plan import StopCause
from kubestudy.study.trial import Curve, End, Result

_NO_RESULT = (
    "it ended without a result: a trial writes its final values at its end, by trial.finish(...) of"
    " kubestudy_trainer or as JSON to the file that KUBESTUDY_TERMINATION_LOG names"
)

_CERTAIN = frozenset(
    {
        Failure.BAD_PARAMETERS,
        Failure.COMMAND_NOT_FOUND,
        Failure.NO_RESULT,
        Failure.INVALID_RESULT,
        Failure.MISSING_METRIC,
    }
)
_BY_EXIT_CODE = {
    contract.EXIT_BAD_PARAMETERS: Failure.BAD_PARAMETERS,
    contract.EXIT_NON_FINITE: Failure.NON_FINITE_METRIC,
    contract.EXIT_OUT_OF_MEMORY: Failure.OUT_OF_MEMORY,
    **dict.fromkeys(contract.EXITS_NO_COMMAND, Failure.COMMAND_NOT_FOUND),
}
_EXPECTED = 'expected is {"version": 1, "values": {"METRIC": NUMBER, ...}}'


@dataclass(frozen=True, slots=True)
class Complete:
    """It has a final value of every objective.

    Attributes:
        values: The values, in the order of the objectives.
        curve: What it reported on its way.
        violations: By constraint, by how much it is broken; zero or less where it is kept.
        metrics: The final value of every metric that it reported. So for the other outcomes.
    """

    values: tuple[float, ...]
    curve: Curve
    violations: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def feasible(self) -> bool:
        """Whether it keeps every constraint."""
        return all(violation <= 0 for violation in self.violations.values())


@dataclass(frozen=True, slots=True)
class Pruned:
    """It was stopped early as hopeless."""

    curve: Curve
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """It failed by its own fault."""

    reason: str
    message: str
    curve: Curve
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def certain(self) -> bool:
        """Whether a trial that fails with the same words has the same fault, whatever its parameters."""
        return self.reason in _CERTAIN


@dataclass(frozen=True, slots=True)
class Stopped:
    """It was stopped because the study ended."""

    curve: Curve
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Requeue:
    """It runs again, with the same number and parameters."""

    why: str


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """Prometheus gave no number for one of its expressions."""

    reason: str
    message: str


Measures = Mapping[str, float] | Unmeasured
Outcome = Complete | Pruned | Failed | Stopped | Requeue


def reason_of_exit(code: int) -> Failure:
    """Return why a program failed that ended with an exit code and said nothing itself."""
    return _BY_EXIT_CODE.get(code, Failure.ERROR)


def to_be_measured(end: End, cause: StopCause | None, spec: StudySpec) -> bool:
    """Tell whether what becomes of a trial that ended hangs on Prometheus: with its numbers it would be complete."""
    supposed = dict.fromkeys(spec.expressions, 0.0)
    return bool(supposed) and isinstance(outcome_of(end, cause, spec, supposed), Complete)


def outcome_of(
    end: End, cause: StopCause | None, spec: StudySpec, measures: Measures = MappingProxyType({})
) -> Outcome:
    """Decide what becomes of a trial.

    A trial that was told to stop but finished in the meantime counts as finished: its values are exact.

    Args:
        end: How its execution ended.
        cause: Why it was told to stop; None if it was not.
        spec: The study, whose objectives and constraints say which final values are needed.
        measures: What Prometheus has of it, by the names of the study's expressions.
    """
    outcome = _outcome(end, cause, spec, measures)
    if isinstance(outcome, Requeue) or end.result is None:
        return outcome
    return replace(outcome, metrics=end.result.values)


def _outcome(end: End, cause: StopCause | None, spec: StudySpec, measures: Measures) -> Outcome:
    result = end.result or Result()
    reports = any(measured.metric is not None for measured in spec.measured)
    if end.succeeded and (result.values or not reports):
        return _finished(result, spec, measures)
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
            return Failed(Failure.INVALID_RESULT, f"its result {result.invalid} ({_EXPECTED})", result.curve)
        return Failed(Failure.NO_RESULT, result.message or _NO_RESULT, result.curve)
    return Failed(result.reason or end.reason, result.message or end.detail, result.curve)


def _finished(result: Result, spec: StudySpec, measures: Measures) -> Complete | Failed:
    if isinstance(measures, Unmeasured):
        return Failed(measures.reason, measures.message, result.curve)
    found = {**result.values, **measures}
    missing = list(dict.fromkeys(measured.name for measured in spec.measured if measured.name not in found))
    if missing and result.invalid is not None:
        return Failed(Failure.INVALID_RESULT, f"its result {result.invalid} ({_EXPECTED})", result.curve)
    if missing:
        return Failed(
            Failure.MISSING_METRIC,
            f"it finished with {_listed(sorted(found)) or 'nothing'} but without {_listed(missing)}, which the study's"
            f" {'objectives' if _objective_in(missing, spec) else 'constraints'} name",
            result.curve,
        )
    for measured in spec.measured:
        if not math.isfinite(found[measured.name]):
            return Failed(Failure.NON_FINITE_METRIC, f"its {measured.name} is {found[measured.name]}", result.curve)
    values = tuple(found[objective.name] for objective in spec.objectives)
    return Complete(values, result.curve, {c.name: c.violation(found[c.name]) for c in spec.constraints})


def _objective_in(names: Sequence[str], spec: StudySpec) -> bool:
    return any(objective.name in names for objective in spec.objectives)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
