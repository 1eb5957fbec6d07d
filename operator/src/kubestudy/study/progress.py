"""What a study remembers beside its trials: its clock, when it began, when it ended. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kubestudy.planning.clock import StudyClock
from kubestudy.planning.facts import Facts
from kubestudy.planning.plan import Plan


@dataclass(frozen=True, slots=True)
class Progress:
    """What a study remembers beside its trials.

    Attributes:
        clock: Its running time.
        started: Unix time of its first start.
        ending_since: Running time, in seconds, at which it began to end; None while it goes on.
        completed: Unix time of its end; None while it goes on.
        forgiven: How many trials had failed when it was last started again after its end.
    """

    clock: StudyClock = StudyClock()
    started: float | None = None
    ending_since: float | None = None
    completed: float | None = None
    forgiven: int = 0


def recovered(progress: Progress, now: float, last_activity: float, *, anything_ran: bool, failed: int) -> Progress:
    """Return what a study remembers when it is started, for the first time or again.

    Args:
        progress: What it remembered.
        now: Unix time.
        last_activity: Unix time of the last thing known to have happened in it.
        anything_ran: Whether trials went on while nobody watched.
        failed: How many trials have failed so far.
    """
    return replace(
        progress,
        clock=progress.clock.recover(now, last_activity, anything_ran),
        started=now if progress.started is None else progress.started,
        forgiven=progress.forgiven if progress.completed is None else failed,
    )


def after_plan(progress: Progress, decided: Plan, facts: Facts, now: float) -> Progress:
    """Return what a study remembers once it was decided what to do next; the same if nothing of it changed.

    The clock runs or stands still by what was decided; only that, and not its reading, is worth remembering.
    """
    still = decided.over or (decided.suspended and not facts.live)
    early = decided.ending is not None and decided.ending.early
    began = facts.seconds if progress.ending_since is None else progress.ending_since
    ended = now if progress.completed is None else progress.completed
    return replace(
        progress,
        clock=progress.clock if still is progress.clock.paused else _turned(progress.clock, now, still=still),
        ending_since=began if early else None,
        completed=ended if decided.over else None,
    )


def _turned(clock: StudyClock, now: float, *, still: bool) -> StudyClock:
    return clock.pause(now) if still else clock.start(now)
