"""What the study's loop shows of itself: the status, and the running trials beside it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from kubestudy.api.reasons import ConditionType, Going, Hindrance
from kubestudy.api.status import (
    PARETO_FRONT_SHOWN,
    BestTrial,
    Condition,
    Phase,
    StudyStatus,
    TrialCounts,
    Used,
)
from kubestudy.api.study import HyperparameterStudy, Metadata, Objective
from kubestudy.api.text import clean
from kubestudy.api.values import Value
from kubestudy.planning.facts import Facts
from kubestudy.planning.plan import Plan
from kubestudy.planning.starts import Starts
from kubestudy.planning.tally import Scored, Tally
from kubestudy.study.active import ActiveTrial, Stage
from kubestudy.study.ports import Trouble
from kubestudy.study.progress import Progress
from kubestudy.study.trial import Observed, Sample, TrialPhase

# The conditions that whoever looks after a study writes; others are left as they are.
OWN_CONDITIONS = tuple(kind for kind in ConditionType if kind is not ConditionType.CONTESTED)
_MESSAGE_LENGTH = 2000
_TEXT_LENGTH = 256


@dataclass(frozen=True, slots=True)
class LiveTrial:
    """A trial that lives now.

    Attributes:
        number: The trial's number.
        phase: Pending or running.
        started: Unix time at which it began to run.
        params: Its parameters.
        step: The step it last reported.
        values: The last value of each metric it reported.
        stopping: Whether it was told to stop.
        waits_for: Why it does not run yet, where something is known of it.
    """

    number: int
    phase: TrialPhase
    started: float | None
    params: Mapping[str, Value]
    step: int | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    stopping: bool = False
    waits_for: str | None = None


def live_trial(trial: ActiveTrial, samples: Mapping[str, Sample]) -> LiveTrial:
    """Return a trial that was launched, for people.

    Args:
        trial: The trial; not one that is queued.
        samples: What it last reported, by metric.
    """
    observed = trial.observed or Observed(trial.number, TrialPhase.PENDING)
    return LiveTrial(
        number=trial.number,
        phase=TrialPhase.MEASURING if trial.stage is Stage.MEASURING else observed.phase,
        started=observed.started,
        params=trial.suggestion.params,
        step=max((sample.step for sample in samples.values()), default=None),
        values={sample.metric: sample.value for sample in samples.values()},
        stopping=trial.stop_cause is not None,
        waits_for=None if observed.wait is None else clean(observed.wait.message),
    )


def live_as_data(trial: LiveTrial) -> dict[str, Any]:
    """Return a living trial as what JSON can hold."""
    return asdict(trial)


def live_from_data(data: Mapping[str, Any]) -> LiveTrial:
    """Return a living trial from its data."""
    return LiveTrial(**{**data, "phase": TrialPhase(data["phase"])})


@dataclass(frozen=True, slots=True)
class View:
    """A study at one moment, for people.

    Attributes:
        status: What a cluster shows as the object's status.
        live: The trials that live now.
    """

    status: StudyStatus
    live: Sequence[LiveTrial] = ()


def timestamp(unix: float | None) -> str | None:
    """Write a Unix time as Kubernetes does: `2026-01-31T12:00:00Z`."""
    return None if unix is None else datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def status_of(
    study: HyperparameterStudy,
    tally: Tally,
    facts: Facts,
    plan: Plan,
    progress: Progress,
    live: Sequence[LiveTrial],
    now: float,
    before: Sequence[Condition] = (),
    trouble: Trouble | None = None,
    job_of: Callable[[int], str | None] | None = None,
) -> StudyStatus:
    """Compute the status.

    Args:
        study: The object.
        tally: The finished trials.
        facts: Where the study is.
        plan: What was decided from that.
        progress: What the study remembers.
        live: The trials that live now.
        now: Unix time.
        before: The conditions shown last, whose times stay while they do not change.
        trouble: What keeps trials from starting.
        job_of: Returns the name of a trial's Job.
    """
    objectives = study.spec.objectives
    phase = _phase(facts, plan)
    best = tally.front[0] if len(objectives) == 1 and tally.front else None
    several = len(objectives) > 1
    running = sum(trial.phase is TrialPhase.RUNNING for trial in live)
    ended = facts.finished
    limit = study.spec.budget.max_trials
    return StudyStatus(
        observed_generation=study.metadata.generation,
        phase=phase,
        conditions=[
            *_conditions(study.metadata.generation, phase, plan, facts, running, _since(plan, progress, now), before),
            degraded(study.metadata.generation, None if plan.over else trouble, now, before),
        ],
        progress=f"{ended}/{limit}" if limit is not None else str(ended),
        trials=TrialCounts(
            total=facts.total,
            running=running,
            pending=len(facts.live) - running + len(facts.queued),
            measuring=len(facts.measuring),
            complete=facts.complete,
            infeasible=facts.infeasible,
            pruned=facts.pruned,
            failed=facts.failed,
            stopped=facts.stopped,
        ),
        best=None if best is None else _shown(best, objectives, job_of),
        best_value=_best_value(tally, objectives),
        pareto_front=[_shown(t, objectives, job_of) for t in tally.front[:PARETO_FRONT_SHOWN]] if several else None,
        pareto_front_size=len(tally.front) if several else None,
        used=Used(
            trials=facts.total,
            failed_trials=facts.failed,
            seconds=round(facts.seconds, 1),
            gpu_seconds=round(facts.gpu_seconds, 1),
            trials_since_improvement=facts.since_improvement,
        ),
        start_time=timestamp(progress.started),
        completion_time=timestamp(progress.completed) if plan.over else None,
    )


def trouble_of(starts: Starts, live: Sequence[Observed], *others: Trouble | None) -> Trouble | None:
    """Return what somebody must mend, if anything: what weighs most.

    Args:
        starts: How trials start.
        live: The trials in the runtime's hands.
        others: Further troubles, which follow in this order.
    """
    waits = [trial.wait for trial in live if trial.wait is not None and trial.wait.hindrance is not None]
    said = waits[0].message if waits else ""
    if starts.blocked:
        tried = f"{len(starts.failed)} trials in a row could not start"
        return Trouble(Hindrance.CANNOT_START, f"{tried} and are tried one at a time; {said or starts.why}")
    own = [Trouble(wait.hindrance, wait.message) for wait in waits if wait.hindrance is not None]
    return next((trouble for trouble in (*own, *others) if trouble is not None), None)


def _since(plan: Plan, progress: Progress, now: float) -> float:
    """Return when a condition that is new now came to hold: a study that ended before did not end again."""
    return progress.completed if plan.over and progress.completed is not None else now


def _phase(facts: Facts, plan: Plan) -> Phase:
    if plan.over and plan.ending is not None:
        return "Failed" if plan.ending.failed else "Complete"
    if plan.suspended and not facts.live:
        return "Suspended"  # before that its trials are being stopped, and hold what they hold
    return "Running" if facts.total else "Pending"


def _conditions(
    generation: int | None,
    phase: Phase,
    plan: Plan,
    facts: Facts,
    running: int,
    now: float,
    before: Sequence[Condition],
) -> list[Condition]:
    end = plan.ending
    reason: str
    if phase in ("Complete", "Failed") and end is not None:
        reason, message = end.reason, end.message
    elif phase == "Suspended":
        reason, message = Going.SUSPENDED, "the study is suspended: its running trials go on later"
    elif phase == "Pending" and end is None:
        reason, message = Going.STARTING, Going.STARTING.meaning
    elif facts.waiting and (end is None or not end.early):
        reason, message = Going.WAITING_FOR_ROOM, _waiting(running, facts)
    elif end is not None:
        reason, message = end.reason, f"{end.message}; waiting for the running trials"
    else:
        reason, message = Going.TRIALS_RUNNING, Going.TRIALS_RUNNING.meaning
    truth = {
        ConditionType.PROGRESSING: phase in ("Running", "Pending"),
        ConditionType.COMPLETE: phase == "Complete",
        ConditionType.FAILED: phase == "Failed",
        ConditionType.SUSPENDED: phase == "Suspended",
    }
    # What does not hold needs no more of a reason than what holds instead.
    return [
        _condition(kind, holds, reason if holds else phase, message if holds else "", generation, now, before)
        for kind, holds in truth.items()
    ]


def _waiting(running: int, facts: Facts) -> str:
    waits = "1 waits" if facts.waiting == 1 else f"{facts.waiting} wait"
    runs = "1 trial runs" if running == 1 else f"{running or 'no'} trials run"
    return f"{runs}, {waits} for room: {clean(facts.waiting_for or '')}"


def degraded(
    generation: int | None, trouble: Trouble | None, now: float, before: Sequence[Condition] = ()
) -> Condition:
    """Return the condition that tells of a trouble, or of none."""
    reason, message = (Hindrance.NONE.value, "") if trouble is None else (trouble.reason, trouble.message)
    return _condition(ConditionType.DEGRADED, trouble is not None, reason, message, generation, now, before)


def failed(study: Metadata, reason: str, message: str, now: float, before: StudyStatus | None = None) -> StudyStatus:
    """Return the status of a study that cannot be run as it is written; what it came to before stays."""
    shown = before or StudyStatus()
    last = shown.conditions
    here = ConditionType.FAILED
    conditions = [
        _condition(
            kind, kind is here, reason if kind is here else here, message if kind is here else "",
            study.generation, now, last,
        )
        for kind in OWN_CONDITIONS if kind is not ConditionType.DEGRADED
    ]  # fmt: skip
    conditions.append(degraded(study.generation, None, now, last))
    return shown.model_copy(
        update={"observed_generation": study.generation, "phase": "Failed", "conditions": conditions}
    )


def _condition(
    kind: ConditionType,
    holds: bool,
    reason: str,
    message: str,
    generation: int | None,
    now: float,
    before: Sequence[Condition],
) -> Condition:
    status: Literal["True", "False"] = "True" if holds else "False"
    last = next((condition for condition in before if condition.type == kind), None)
    same = last is not None and last.status == status
    return Condition(
        type=kind.value,
        status=status,
        reason=str(reason),
        message=message[:_MESSAGE_LENGTH],
        observed_generation=generation,
        last_transition_time=last.last_transition_time if last is not None and same else timestamp(now) or "",
    )


def _shown(trial: Scored, objectives: Sequence[Objective], job_of: Callable[[int], str | None] | None) -> BestTrial:
    values = {o.name: value for o, value in zip(objectives, trial.values, strict=True)}
    # A status has to stay small whatever the choices are; the storage holds them whole.
    params = {n: v[:_TEXT_LENGTH] if isinstance(v, str) else v for n, v in trial.params.items()}
    job = None if job_of is None else job_of(trial.number)
    return BestTrial(number=trial.number, values=values, params=params, job=job)


def _best_value(tally: Tally, objectives: Sequence[Objective]) -> str | None:
    if not tally.front:
        return None
    if len(objectives) == 1:
        return f"{tally.front[0].values[0]:.6g}"
    return f"{len(tally.front)} on the Pareto front"
