"""What planning looks at: counts and clocks of one study at one moment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Facts:
    """One study at one moment.

    Attributes:
        live: Numbers of the trials that are started and have not ended, those being stopped included.
        stopping: Those of them that were told to stop.
        hopeless: Live trials that the pruner gives up.
        measuring: Trials that ended and whose expressions are being evaluated; they hold nothing any more.
        queued: Numbers of trials that have their parameters and wait to be started (again), lowest first.
        held: Those of them whose time has not come yet.
        complete: Trials with a final value.
        infeasible: Those of them that break a constraint.
        pruned: Trials stopped early as hopeless.
        failed: Trials that failed by their own fault.
        stopped: Trials stopped because the study ended.
        since_improvement: Complete and pruned trials in a row, up to the last that ended, without a better one.
        target_reached: Whether some trial reached every target that is set.
        exhausted: Whether the sampler has nothing new to suggest.
        seconds: Running time of the study, suspended time not counted.
        gpu_seconds: GPUs times seconds, live trials included.
        ending_since: `seconds` at the moment when the study began to end; None before.
        last_failure: Why the last failed trial failed, in a sentence.
        alike: How many trials in a row failed for the same fault, one that every other trial will have too.
        fault: That fault.
        forgiven: How many of the failed trials came before the study was last started again after its end.
        waiting: How many trials wait for room.
        waiting_for: What is said of that, by the scheduler, a quota or a queue.
    """

    live: frozenset[int] = frozenset()
    stopping: frozenset[int] = frozenset()
    hopeless: frozenset[int] = frozenset()
    measuring: frozenset[int] = frozenset()
    queued: tuple[int, ...] = ()
    held: frozenset[int] = frozenset()
    complete: int = 0
    infeasible: int = 0
    pruned: int = 0
    failed: int = 0
    stopped: int = 0
    since_improvement: int = 0
    target_reached: bool = False
    exhausted: bool = False
    seconds: float = 0.0
    gpu_seconds: float = 0.0
    ending_since: float | None = None
    last_failure: str | None = None
    alike: int = 0
    fault: str | None = None
    forgiven: int = 0
    waiting: int = 0
    waiting_for: str | None = None

    @property
    def finished(self) -> int:
        """Trials that ended for good."""
        return self.complete + self.pruned + self.failed + self.stopped

    @property
    def total(self) -> int:
        """All trials that were ever asked for."""
        return self.finished + len(self.live) + len(self.measuring) + len(self.queued)
