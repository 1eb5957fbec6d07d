"""What becomes of a trial whose execution ended, and what its end says of how trials start. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kubestudy.api.reasons import Failure
from kubestudy.api.study import StudySpec
from kubestudy.planning.backoff import Backoff
from kubestudy.planning.starts import Starts
from kubestudy.study.active import GONE, ActiveTrial
from kubestudy.study.outcome import Failed, Measures, Outcome, Requeue, outcome_of
from kubestudy.study.trial import Observed

# A trial that is preempted, evicted or lost runs again: at once, then after longer and longer waits.
INTERRUPTIONS_TOLERATED = 20
INTERRUPTION_SECONDS = 5.0
INTERRUPTION_LIMIT_SECONDS = 300.0
_WAITS = Backoff(INTERRUPTION_SECONDS, INTERRUPTION_LIMIT_SECONDS)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What an end comes to.

    Attributes:
        outcome: What becomes of the trial.
        trial: Its record; of use where it runs again.
        starts: What is known of how trials start.
    """

    outcome: Outcome
    trial: ActiveTrial
    starts: Starts


def conclude(
    trial: ActiveTrial, ended: Observed, starts: Starts, spec: StudySpec, measures: Measures, now: float
) -> Conclusion:
    """Decide what becomes of a trial.

    Args:
        trial: Its record.
        ended: How its execution ended.
        starts: What is known of how trials start.
        spec: The study.
        measures: What Prometheus has of it, by the names of the study's expressions.
        now: Unix time.
    """
    end = ended.end or GONE
    outcome = outcome_of(end, trial.stop_cause, spec, measures)
    if trial.stop_cause is not None:
        return Conclusion(outcome, trial, starts)
    if end.never_started and isinstance(outcome, Failed):
        return _after_failed_start(trial, outcome, starts, now)
    if isinstance(outcome, Requeue):
        return _after_interruption(trial, outcome, starts, now)
    return Conclusion(outcome, trial, starts)


def _after_failed_start(trial: ActiveTrial, outcome: Failed, starts: Starts, now: float) -> Conclusion:
    """Blame a trial for not starting, unless none can start."""
    why = f"{outcome.reason}: {outcome.message}"
    after = starts.after_failure(trial.number, why, now)
    if not starts.blocked:
        return Conclusion(outcome, trial, after)
    return Conclusion(Requeue(why), replace(trial, not_before=after.retry_at), after)


def _after_interruption(trial: ActiveTrial, outcome: Requeue, starts: Starts, now: float) -> Conclusion:
    """Let a trial that was interrupted wait longer each time, and give it up when that has no end."""
    times = trial.interruptions + 1
    if times > INTERRUPTIONS_TOLERATED:
        why = f"it was interrupted {times} times; the last time: {outcome.why}"
        return Conclusion(Failed(Failure.INTERRUPTED_TOO_OFTEN, why, {}), trial, starts)
    again = replace(trial, interruptions=times, not_before=now + _WAITS.after(times - 1))
    return Conclusion(outcome, again, starts)
