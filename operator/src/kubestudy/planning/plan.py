"""From facts to what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kubestudy.api.study import StudySpec
from kubestudy.planning.ending import Ending, ending, is_over
from kubestudy.planning.facts import Facts


class StopCause(StrEnum):
    """Why a running trial is told to stop; decides what becomes of it."""

    PRUNED = "Pruned"  # hopeless: told to the sampler as pruned
    ENDED = "StudyEnded"  # the study is over: it never runs again
    SUSPENDED = "Suspended"  # it runs again with the same number and parameters


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do next.

    Attributes:
        relaunch: Queued trials to start, by number.
        launch: How many new trials to ask for and start.
        stop: Which running trials to tell to stop, and why.
        drop: Queued trials that will never run, since the study ends early.
        ending: Why no new trial is started, if so.
        over: Whether the study is over: it ends and nothing is live or queued.
        suspended: Whether the study is to stand still.
        wake_in: Seconds after which time alone may change the plan; None if only events can.
    """

    relaunch: tuple[int, ...] = ()
    launch: int = 0
    stop: tuple[tuple[int, StopCause], ...] = ()
    drop: tuple[int, ...] = ()
    ending: Ending | None = None
    over: bool = False
    suspended: bool = False
    wake_in: float | None = None


def plan(spec: StudySpec, facts: Facts, *, suspended: bool = False, capacity: int | None = None) -> Plan:
    """Decide what to do next.

    Args:
        spec: What the user wants now.
        facts: Where the study is.
        suspended: Whether the study is to stand still, by `spec.suspend` or because its runner is being stopped.
        capacity: How many trials can be started now, beside those that live; None for as many as parallelism allows.

    Returns:
        The plan. Whatever the facts, it never leads to more trials than maxTrials or, of its own doing, to more live
        ones than parallelism, nor to more than twice that together with those being measured.
    """
    end = ending(spec, facts)
    alive = facts.live - facts.stopping
    if end is not None and is_over(facts, end):
        return Plan(ending=end, over=True, drop=facts.queued)
    if suspended:
        return Plan(stop=_stop(alive, StopCause.SUSPENDED), ending=end, suspended=True)
    if end is not None and end.early:
        return _wind_down(spec, facts, end, alive)
    # Those being measured hold no place, but suggestions need results: both together are twice parallelism at most.
    free = max(0, spec.parallelism - len(facts.live) - max(0, len(facts.measuring) - spec.parallelism))
    if capacity is not None:
        free = min(free, capacity)
    relaunch = tuple(number for number in facts.queued if number not in facts.held)[:free]
    launch = 0
    if end is None:
        left = spec.budget.max_trials - facts.total if spec.budget.max_trials is not None else free
        launch = max(0, min(free - len(relaunch), left))
    return Plan(
        relaunch=relaunch,
        launch=launch,
        stop=_stop(facts.hopeless & alive, StopCause.PRUNED),
        ending=end,
        wake_in=_until_budget(spec, facts) if facts.live else None,
    )


def _wind_down(spec: StudySpec, facts: Facts, end: Ending, alive: frozenset[int]) -> Plan:
    """No new trials; those that run finish by themselves, or are stopped once `gracePeriod` is over."""
    grace = spec.budget.grace_seconds
    if spec.stop and grace is None:
        grace = 0.0
    hopeless = _stop(facts.hopeless & alive, StopCause.PRUNED)
    if grace is None:
        return Plan(stop=hopeless, drop=facts.queued, ending=end)
    since = facts.ending_since if facts.ending_since is not None else facts.seconds
    left = grace - (facts.seconds - since)
    if left <= 0:
        return Plan(stop=_stop(alive, StopCause.ENDED), drop=facts.queued, ending=end)
    return Plan(stop=hopeless, drop=facts.queued, ending=end, wake_in=left)


def _stop(numbers: frozenset[int], cause: StopCause) -> tuple[tuple[int, StopCause], ...]:
    return tuple((number, cause) for number in sorted(numbers))


def _until_budget(spec: StudySpec, facts: Facts) -> float | None:
    limit = spec.budget.max_seconds
    return None if limit is None else max(0.0, limit - facts.seconds)
