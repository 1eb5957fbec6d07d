"""Looking at one trial's Job: what is observed of the trial, and what is to be requested for it. Pure.

One step from stage, objects and time to the next stage, what is observed, the requests, and when to look again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from kubestudy.api.reasons import Failure, Hindrance
from kubestudy.cluster.ends import end_of, end_without_pods
from kubestudy.cluster.job_stages import (
    Creating,
    DeleteJob,
    Ended,
    ListEvents,
    ListPods,
    Objects,
    Present,
    Releasing,
    Request,
    Rules,
    Stage,
    Stopping,
)
from kubestudy.cluster.job_view import JobView
from kubestudy.cluster.pods import PodView, gpu_seconds, merged
from kubestudy.study.message import parse_message
from kubestudy.study.trial import End, Observed, Result, TrialPhase, Wait, WaitKind

# A Job is over before the watch on pods has told of its pod's end.
POD_LAG_SECONDS = 5.0
# A Job is over soon after its pod, and a watch tells of a deletion soon after it was asked for.
OVER_SECONDS = 5.0
GONE_SECONDS = 60.0
# The Job controller makes a pod at once, unless it may not; what it says of that is in its events.
NO_POD_SECONDS = 2.0
# A kubelet that waits for a volume or a sandbox says so in events alone.
SILENT_START_SECONDS = 20.0
EVENTS_AGAIN_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Step:
    """What a look at a trial comes to.

    Attributes:
        stage: Where it is now; None once there is nothing more to do or to know.
        observed: What the study is shown of it; None of a trial whose end was recorded.
        requests: What is to be asked of the API server.
        look_at: Unix time at which time alone may change something; None if it cannot.
    """

    stage: Stage | None
    observed: Observed | None = None
    requests: tuple[Request, ...] = field(default=())
    look_at: float | None = None


def found(objects: Objects) -> Present:
    """Return the stage of a trial that nothing is known of but its objects: after a restart."""
    return Present(objects.job.uid if objects.job is not None else next((owner for owner, _ in objects.pods), ""))


def step(stage: Stage, number: int, objects: Objects, now: float, rules: Rules) -> Step:
    """Look at a trial.

    Args:
        stage: Where it was.
        number: Its number.
        objects: What the watches have last told of it.
        now: Unix time.
        rules: What of the study bears on it.
    """
    match stage:
        case Creating(previous):
            fresh = objects.without(previous)
            if fresh.job is not None and not fresh.job.deleting:
                return _present(Present(fresh.job.uid), number, fresh, now, rules)
            return Step(stage, Observed(number, TrialPhase.PENDING, wait=stage.hindrance))
        case Present(uid):
            return _present(stage, number, objects.of(uid), now, rules)
        case Stopping(uid):
            return _stopping(stage, number, objects.of(uid) if uid is not None else objects, now, rules)
        case Ended():
            return Step(stage, stage.observed)
        case Releasing(uid):
            return _releasing(stage, objects.of(uid) if uid is not None else objects, now)


def _present(stage: Present, number: int, objects: Objects, now: float, rules: Rules) -> Step:
    pods, job = merged(stage.pods, objects.views, now), objects.job
    stage = replace(stage, pods=pods)
    if job is None:
        # Its Job was deleted by hand; it lives until its pods are gone. Whether they are its own only a Job could tell:
        # nothing they say is taken.
        if any(not pod.over for pod in pods):
            return Step(stage, replace(_alive(number, pods, rules), metrics_url=None))
        spent = gpu_seconds(pods, rules.gpus)
        return _ended(stage, number, End(False, True, Failure.JOB_DELETED, "its Job was deleted", None, spent))
    end = end_of(job, pods, rules.gpus)
    if end is not None:
        return _ended(stage, number, end)
    if job.over:
        return _lagging(stage, number, job, now)
    if any(pod.phase == "Running" and not pod.over for pod in pods):
        return Step(stage, _alive(number, pods, rules))
    return _pending(stage, number, job, now, rules)


def _ended(stage: Present | Stopping, number: int, end: End, deleted_at: float | None = None) -> Step:
    started = min((p.started for p in stage.pods if p.started is not None), default=None)
    at = max((p.finished for p in stage.pods if p.finished is not None), default=None)
    names = tuple(pod.name for pod in stage.pods)
    observed = Observed(number, TrialPhase.ENDED, started, end=replace(end, at=at), pods=names)
    return Step(Ended(stage.uid, observed, deleted_at), observed)


def _alive(number: int, pods: Sequence[PodView], rules: Rules) -> Observed:
    """Return a trial that has a pod which is not over: running, unless none of its pods ever ran."""
    running = next((p for p in reversed(pods) if p.phase == "Running" and p.started is not None and not p.over), None)
    if running is not None:
        url = f"http://{_host(running.address)}:{rules.port}/metrics" if running.address else None
        return Observed(number, TrialPhase.RUNNING, running.started, rules.gpus, url, pod=running.name)
    started = min((p.started for p in pods if p.started is not None), default=None)
    phase = TrialPhase.PENDING if started is None else TrialPhase.RUNNING
    placed = any(pod.placed_at is not None for pod in pods if not pod.over)
    return Observed(number, phase, started, rules.gpus if started is not None else 0, placed=placed)


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _lagging(stage: Present, number: int, job: JobView, now: float) -> Step:
    """The Job is over; wait a little for the watch on pods to tell how its pod ended, then ask for it."""
    if stage.listed:
        return _ended(stage, number, end_without_pods(job))
    since = now if stage.over_since is None else stage.over_since
    stage = replace(stage, over_since=since)
    started = min((p.started for p in stage.pods if p.started is not None), default=None)
    observed = Observed(number, TrialPhase.RUNNING, started)
    due = since + POD_LAG_SECONDS
    if now < due:
        return Step(stage, observed, look_at=due)
    return Step(stage, observed, (ListPods(),))


def _pending(stage: Present, number: int, job: JobView, now: float, rules: Rules) -> Step:
    pod = next((p for p in reversed(stage.pods) if not p.over), None)
    if pod is None and job.suspended:
        wait = Wait(WaitKind.ROOM, "its Job is suspended")
        return Step(replace(stage, words=None), Observed(number, TrialPhase.PENDING, wait=wait))
    if pod is None:
        observed = Observed(number, TrialPhase.PENDING, wait=stage.words)
        since = max((job.created, *(p.finished or 0.0 for p in stage.pods)))
        return _asking(stage, observed, job.uid, since + NO_POD_SECONDS, now)
    if pod.placed_at is None:
        wait_for_room = _room(pod) if pod.why_waiting else None
        return Step(replace(stage, words=None), Observed(number, TrialPhase.PENDING, wait=wait_for_room))
    return _starting(stage, number, pod, pod.placed_at, now, rules)


def _room(pod: PodView) -> Wait:
    said = pod.why_waiting or ""
    if not pod.too_large:
        return Wait(WaitKind.ROOM, said)
    remedy = "no node can hold it, even an empty one: lower the request, or add a node that can"
    return Wait(WaitKind.ROOM, f"{said}; {remedy}", Hindrance.NEVER_FITS)


def _starting(stage: Present, number: int, pod: PodView, placed_at: float, now: float, rules: Rules) -> Step:
    """A pod that has its node: it has to run soon."""
    words = stage.words if stage.words is not None and stage.words.kind is WaitKind.START else None
    wait = Wait(WaitKind.START, pod.why_waiting, Hindrance.TRIAL_WAITING) if pod.why_waiting else words
    deadline = placed_at + rules.start_timeout
    if now >= deadline:
        detail = wait.message if wait is not None else "its pod did not start"
        why = f"it did not start within {rules.start_timeout:g} s after it got its node: {detail}"
        return _ended(stage, number, End(False, False, Failure.START_TIMEOUT, why, None, never_started=True))
    observed = Observed(number, TrialPhase.PENDING, placed=True, wait=wait)
    if pod.why_waiting:
        return Step(stage, observed, look_at=deadline)
    asked = _asking(stage, observed, pod.uid, placed_at + SILENT_START_SECONDS, now)
    return replace(asked, look_at=min(deadline, asked.look_at or deadline))


def _asking(stage: Present, observed: Observed, uid: str, first: float, now: float) -> Step:
    """Ask what events say of an object, at a moment and every now and then after it."""
    due = first if stage.asked_at is None else max(first, stage.asked_at + EVENTS_AGAIN_SECONDS)
    if now < due:
        return Step(stage, observed, look_at=due)
    return Step(replace(stage, asked_at=now), observed, (ListEvents(uid),), look_at=now + EVENTS_AGAIN_SECONDS)


def _stopping(stage: Stopping, number: int, objects: Objects, now: float, rules: Rules) -> Step:
    """A trial that was told to stop lives until its pods are gone, or all have ended."""
    pods = merged(stage.pods, objects.views, now)
    stage = replace(stage, pods=pods)
    if stage.deleted_at is None:
        # It may have ended by itself in the meantime: that is exact.
        end = end_of(objects.job, pods, rules.gpus) if objects.job is not None else None
        return Step(stage, _alive(number, pods, rules)) if end is None else _ended(stage, number, end)
    if any(not pod.over for pod in pods):
        return Step(stage, _alive(number, pods, rules))
    spent = gpu_seconds(pods, rules.gpus)
    words = _last_words(pods) if stage.uid is not None else None
    end = End(False, True, Failure.STOPPED, "it was told to stop", words, spent)
    return _ended(stage, number, end, stage.deleted_at)


def _last_words(pods: Sequence[PodView]) -> Result | None:
    return next((parse_message(pod.message) for pod in reversed(pods) if pod.message), None)


def _releasing(stage: Releasing, objects: Objects, now: float) -> Step:
    """Get rid of the Job once the Job controller is done with it; let go of the trial once it is gone."""
    if not stage.asked:
        due = stage.since + OVER_SECONDS
        over = objects.job is None or objects.job.over
        if not over and now < due:
            return Step(stage, look_at=due)
        return Step(replace(stage, asked=True), requests=() if stage.request is None else (stage.request,))
    if stage.done_at is None:
        return Step(stage)
    # A Job that is left to itself is there for long; one that was deleted and is still told of is looked at anew.
    tired = isinstance(stage.request, DeleteJob) and now > stage.done_at + GONE_SECONDS
    return Step(None if objects.empty or tired else stage)
