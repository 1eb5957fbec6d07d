"""The running count of finished trials: how many of each kind, the best ones, how long ago they were found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kubestudy.api.study import Objective
from kubestudy.api.values import Value


@dataclass(frozen=True, slots=True)
class Scored:
    """A complete trial.

    Attributes:
        number: The trial's number.
        values: Its final values, in the order of the objectives.
        params: Its parameters.
        feasible: Whether it keeps every constraint.
    """

    number: int
    values: tuple[float, ...]
    params: Mapping[str, Value]
    feasible: bool = True


@dataclass(frozen=True, slots=True)
class Tally:
    """What finished trials add up to.

    Attributes:
        complete: Trials with a final value.
        infeasible: Those of them that break a constraint.
        pruned: Trials stopped early as hopeless.
        failed: Trials that failed by their own fault.
        stopped: Trials stopped because the study ended.
        front: The feasible trials that no other beats in every objective; with one objective the best trial alone, the
            earliest of equals.
        since_improvement: Complete and pruned trials that ended since the front last changed.
        target_reached: Whether some trial reached every target that is set.
        gpu_seconds: GPUs times seconds of all attempts that ended.
        last_failure: Why the last failed trial failed.
        alike: How many trials in a row, up to the last that ended, failed for the same certain fault, one that every
            other trial will have too.
        fault: That fault.
    """

    complete: int = 0
    infeasible: int = 0
    pruned: int = 0
    failed: int = 0
    stopped: int = 0
    front: tuple[Scored, ...] = ()
    since_improvement: int = 0
    target_reached: bool = False
    gpu_seconds: float = 0.0
    last_failure: str | None = None
    alike: int = 0
    fault: str | None = None

    @property
    def finished(self) -> int:
        """Trials that ended for good."""
        return self.complete + self.pruned + self.failed + self.stopped

    def with_complete(self, objectives: Sequence[Objective], trial: Scored) -> Tally:
        """Return the tally with one more complete trial."""
        better = trial.feasible and not any(
            _at_least_as_good(objectives, other.values, trial.values) for other in self.front
        )
        front = self.front
        if better:
            kept = tuple(o for o in front if not _at_least_as_good(objectives, trial.values, o.values))
            front = (*kept, trial)
        return replace(
            self,
            complete=self.complete + 1,
            infeasible=self.infeasible + (not trial.feasible),
            front=front,
            since_improvement=0 if better else self.since_improvement + 1,
            target_reached=self.target_reached or (trial.feasible and reaches_targets(objectives, trial.values)),
            alike=0,
            fault=None,
        )

    def with_pruned(self) -> Tally:
        """Return the tally with one more pruned trial."""
        return replace(self, pruned=self.pruned + 1, since_improvement=self.since_improvement + 1, alike=0, fault=None)

    def with_failed(self, why: str, fault: str | None = None) -> Tally:
        """Return the tally with one more failed trial.

        Args:
            why: Why it failed, its number included.
            fault: The same without the number, if the fault is certain to be every other trial's too.
        """
        alike = 0 if fault is None else self.alike + 1 if fault == self.fault else 1
        return replace(self, failed=self.failed + 1, last_failure=why, alike=alike, fault=fault)

    def with_stopped(self) -> Tally:
        """Return the tally with one more trial that the study's end stopped."""
        return replace(self, stopped=self.stopped + 1)

    def with_gpu_seconds(self, seconds: float) -> Tally:
        """Return the tally with more GPU time."""
        return replace(self, gpu_seconds=self.gpu_seconds + seconds)


def reaches_targets(objectives: Sequence[Objective], values: Sequence[float]) -> bool:
    """Tell whether values reach every target that is set, and at least one is."""
    aimed = [
        (objective, value, objective.target)
        for objective, value in zip(objectives, values, strict=True)
        if objective.target is not None
    ]
    return bool(aimed) and all(
        value >= target if objective.goal == "maximize" else value <= target for objective, value, target in aimed
    )


def _at_least_as_good(objectives: Sequence[Objective], a: Sequence[float], b: Sequence[float]) -> bool:
    """Tell whether `a` is no worse than `b` in every objective (equal counts)."""
    return all(
        x >= y if objective.goal == "maximize" else x <= y for objective, x, y in zip(objectives, a, b, strict=True)
    )
