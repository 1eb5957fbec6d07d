"""The trials of a study that have no end yet: one record each, and what follows from them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from kubestudy.api.reasons import Failure
from kubestudy.planning.facts import Facts
from kubestudy.planning.plan import StopCause
from kubestudy.planning.starts import OnTheirWay
from kubestudy.planning.tally import Tally
from kubestudy.study.progress import Progress
from kubestudy.study.trial import End, Observed, Suggestion, TrialPhase, WaitKind

GONE = End(succeeded=False, interrupted=True, reason=Failure.GONE, detail="it ended unobserved", result=None)


class Stage(StrEnum):
    """Where a trial without an end is."""

    QUEUED = "Queued"  # it has its parameters and waits to be launched (again)
    LIVE = "Live"  # in the runtime's hands
    MEASURING = "Measuring"  # it ended well, and Prometheus is to be asked what it came to


@dataclass(frozen=True, slots=True)
class ActiveTrial:
    """A trial without an end.

    Attributes:
        suggestion: Its number and parameters.
        stage: Where it is.
        observed: How the runtime saw it last; of a trial being measured, how it ended; None while queued.
        stop_cause: Why it was told to stop, if it was.
        hopeless: Whether the pruner gave it up.
        started: Whether this execution is known to have begun to run.
        interruptions: How many times it was interrupted.
        not_before: Unix time before which it is not launched again.
    """

    suggestion: Suggestion
    stage: Stage = Stage.QUEUED
    observed: Observed | None = None
    stop_cause: StopCause | None = None
    hopeless: bool = False
    started: bool = False
    interruptions: int = 0
    not_before: float = 0.0

    @property
    def number(self) -> int:
        """Its number."""
        return self.suggestion.number

    def launched(self) -> ActiveTrial:
        """Return it as it is right after its launch."""
        observed = Observed(self.number, TrialPhase.PENDING)
        return replace(self, stage=Stage.LIVE, observed=observed, started=False)

    def queued(self) -> ActiveTrial:
        """Return it as it waits to be launched again."""
        return replace(self, stage=Stage.QUEUED, observed=None, stop_cause=None, hopeless=False, started=False)


Trials = Mapping[int, ActiveTrial]


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the runtime shows.

    Attributes:
        trials: The trials without an end, as they are now.
        started: Those that turned out to have begun to run.
        ended: Executions that ended, lost ones included.
        strangers: What the runtime still holds of trials whose end was recorded before a restart.
    """

    trials: Trials
    started: tuple[int, ...] = ()
    ended: tuple[Observed, ...] = ()
    strangers: tuple[Observed, ...] = field(default=())


def classify(trials: Trials, observed: Sequence[Observed]) -> Look:
    """Join what the runtime shows with what is known, by the trials' numbers.

    Args:
        trials: The trials without an end.
        observed: Every trial that the runtime knows.
    """
    now = dict(trials)
    started, ended, strangers = [], [], []
    for seen in observed:
        known = now.get(seen.number)
        if known is None:
            strangers.append(seen)
        elif known.stage is Stage.MEASURING:
            continue
        else:
            ran = seen.started is not None and (seen.end is None or not seen.end.never_started)
            if ran and not known.started:
                started.append(seen.number)
            now[seen.number] = replace(known, stage=Stage.LIVE, observed=seen, started=known.started or ran)
            if seen.end is not None:
                ended.append(seen)
    shown = {seen.number for seen in observed}
    # Taken away from under the study: its Job was deleted by hand, its machine was lost.
    lost = sorted(n for n, trial in now.items() if trial.stage is Stage.LIVE and n not in shown)
    ended += [Observed(number, TrialPhase.ENDED, end=GONE) for number in lost]
    return Look(now, tuple(started), tuple(ended), tuple(strangers))


def in_stage(trials: Trials, stage: Stage) -> frozenset[int]:
    """Return the numbers of the trials in a stage."""
    return frozenset(number for number, trial in trials.items() if trial.stage is stage)


def living(trials: Trials) -> list[Observed]:
    """Return the trials in the runtime's hands, as they were last observed."""
    return [t.observed for t in trials.values() if t.stage is Stage.LIVE and t.observed is not None]


def on_their_way(trials: Trials) -> OnTheirWay:
    """Return how many launched trials are where."""
    seen = living(trials)
    pending = [trial for trial in seen if trial.phase is TrialPhase.PENDING]
    unplaced = [trial for trial in pending if not trial.placed]
    kinds = [trial.wait.kind for trial in unplaced if trial.wait is not None]
    return OnTheirWay(
        placed=len(seen) - len(unplaced),
        starting=len(pending) - len(unplaced),
        unplaced=len(unplaced),
        waiting=kinds.count(WaitKind.ROOM),
        refused=kinds.count(WaitKind.REFUSED),
    )


def facts_of(
    trials: Trials, tally: Tally, progress: Progress, now: float, measured: Iterable[Observed], *, exhausted: bool
) -> Facts:
    """Return what planning looks at.

    Args:
        trials: The trials without an end.
        tally: Those with one.
        progress: What the study remembers beside its trials.
        now: Unix time.
        measured: The trials being measured, as they ended.
        exhausted: Whether the sampler has nothing new to suggest.
    """
    live = living(trials)
    running = sum(max(0.0, now - t.started) * t.gpus for t in live if t.started is not None)
    measuring = sum(trial.end.gpu_seconds for trial in measured if trial.end is not None)
    waits = [t.wait for t in live if t.wait is not None and t.wait.kind is WaitKind.ROOM]
    return Facts(
        live=in_stage(trials, Stage.LIVE),
        stopping=frozenset(n for n, t in trials.items() if t.stage is Stage.LIVE and t.stop_cause is not None),
        hopeless=frozenset(number for number, trial in trials.items() if trial.hopeless),
        measuring=in_stage(trials, Stage.MEASURING),
        queued=tuple(sorted(in_stage(trials, Stage.QUEUED))),
        held=frozenset(n for n, t in trials.items() if t.stage is Stage.QUEUED and t.not_before > now),
        complete=tally.complete,
        infeasible=tally.infeasible,
        pruned=tally.pruned,
        failed=tally.failed,
        stopped=tally.stopped,
        since_improvement=tally.since_improvement,
        target_reached=tally.target_reached,
        exhausted=exhausted,
        seconds=progress.clock.read(now),
        gpu_seconds=tally.gpu_seconds + running + measuring,
        ending_since=progress.ending_since,
        last_failure=tally.last_failure,
        alike=tally.alike,
        fault=tally.fault,
        forgiven=progress.forgiven,
        waiting=len(waits),
        waiting_for=waits[0].message if waits else None,
    )
