"""The life of one trial's Job: named stages, and one step that says what is observed and what is to be requested. Pure.

    Creating -> Present -> Ended -> Releasing -> (nothing)
        \\---------\\-> Stopping -/

A stage holds what the API server's objects alone do not tell: that a Job was asked for, told to stop, let go of. What
was answered to a request changes the stage by `acknowledge`; everything else is read from the objects at each step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from kubestudy.api.reasons import Failure, Hindrance
from kubestudy.cluster.ends import end_of, end_without_pods
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
class Rules:
    """What of a study bears on its trials' Jobs.

    Attributes:
        gpus: How many GPUs a pod of it holds.
        port: The port that its metrics are served on.
        start_timeout: Seconds from a pod's placing on a node until its trainer has to run.
        keeps_jobs: Whether the user wrote how long Jobs are to stay.
        failed_ttl: Seconds that a failed trial's Job stays.
        default_ttl: The ttlSecondsAfterFinished of Jobs whose template names none.
    """

    gpus: float = 0
    port: int = 0
    start_timeout: float = 900.0
    keeps_jobs: bool = False
    failed_ttl: float = 3600.0
    default_ttl: int = 0


@dataclass(frozen=True, slots=True)
class Objects:
    """What the watches have last told of a trial.

    Attributes:
        job: Its Job, if there is one.
        pods: Its pods that there are, each with the uid of the Job that owns it.
    """

    job: JobView | None = None
    pods: tuple[tuple[str | None, PodView], ...] = ()

    def of(self, uid: str | None) -> Objects:
        """Return what belongs to the Job of a uid."""
        job = self.job if self.job is not None and self.job.uid == uid else None
        return Objects(job, tuple(pair for pair in self.pods if pair[0] in (uid, None)))

    def without(self, uid: str | None) -> Objects:
        """Return what does not belong to the Job of a uid."""
        if uid is None:
            return self
        job = self.job if self.job is not None and self.job.uid != uid else None
        return Objects(job, tuple(pair for pair in self.pods if pair[0] != uid))

    @property
    def views(self) -> tuple[PodView, ...]:
        """The pods alone."""
        return tuple(pod for _, pod in self.pods)

    @property
    def empty(self) -> bool:
        """Whether there is nothing of it."""
        return self.job is None and not self.pods


# --- stages --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Creating:
    """Its Job was asked for, and no watch has told of it.

    Attributes:
        previous: The uid of an earlier Job of the same name, which the watches may still tell of.
        hindrance: What keeps it from being created.
    """

    previous: str | None = None
    hindrance: Wait | None = None


@dataclass(frozen=True, slots=True)
class Present:
    """Its Job is there.

    Attributes:
        uid: The Job's uid.
        pods: Its pods, those that are gone included.
        over_since: Unix time at which the Job was first seen to be over without its pod's end.
        listed: Whether its pods were asked for since.
        words: What events say of why it waits.
        asked_at: Unix time at which events were last asked for.
    """

    uid: str
    pods: tuple[PodView, ...] = ()
    over_since: float | None = None
    listed: bool = False
    words: Wait | None = None
    asked_at: float | None = None


@dataclass(frozen=True, slots=True)
class Stopping:
    """It was told to stop: its Job's deletion was asked for. It lives until its pods have ended.

    Attributes:
        uid: The Job's uid; None if it was not known to be there.
        pods: Its pods, those that are gone included.
        deleted_at: Unix time at which the deletion was acknowledged.
    """

    uid: str | None
    pods: tuple[PodView, ...] = ()
    deleted_at: float | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended is decided, and waits to be recorded.

    Attributes:
        uid: The Job's uid.
        observed: How it ended.
        deleted_at: Unix time at which its Job's deletion was acknowledged, if it was asked for before.
    """

    uid: str | None
    observed: Observed
    deleted_at: float | None = None


@dataclass(frozen=True, slots=True)
class Releasing:
    """Its end was recorded: its Job is to go, now or later.

    Attributes:
        uid: The Job's uid.
        since: Unix time of the recording.
        request: How the Job is got rid of; None where it is left to whatever was written of it.
        asked: Whether that was asked for.
        done_at: Unix time at which it was acknowledged.
    """

    uid: str | None
    since: float
    request: DeleteJob | ExpireJob | None
    asked: bool = False
    done_at: float | None = None


Stage = Creating | Present | Stopping | Ended | Releasing


# --- requests and answers ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete the trial's Job; its pods get SIGTERM and their grace period."""


@dataclass(frozen=True, slots=True)
class ExpireJob:
    """Let the trial's finished Job stay for so many seconds from its end."""

    seconds: int


@dataclass(frozen=True, slots=True)
class ListPods:
    """Ask for the trial's pods: a watch may have missed them."""


@dataclass(frozen=True, slots=True)
class ListEvents:
    """Ask for the warnings about one object: the Job, or a pod of it."""

    uid: str


Request = DeleteJob | ExpireJob | ListPods | ListEvents


@dataclass(frozen=True, slots=True)
class Deleted:
    """The deletion was accepted."""


@dataclass(frozen=True, slots=True)
class Expires:
    """The Job goes by itself, later."""


@dataclass(frozen=True, slots=True)
class PodsListed:
    """The pods were asked for; the cache holds what there is."""


@dataclass(frozen=True, slots=True)
class EventsListed:
    """The warnings about an object: reason and message, newest first."""

    warnings: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Hindered:
    """A request failed, and is tried again; None once nothing is in its way any more."""

    wait: Wait | None


Answer = Deleted | Expires | PodsListed | EventsListed | Hindered


def acknowledge(stage: Stage, answer: Answer, now: float) -> Stage:
    """Return the stage after an answer to a request.

    Args:
        stage: Where the trial is.
        answer: What was answered.
        now: Unix time.
    """
    match stage, answer:
        case Creating(), Hindered(wait):
            return replace(stage, hindrance=wait)
        case Stopping(), Deleted():
            return replace(stage, deleted_at=now)
        case Ended(), Deleted():
            return replace(stage, deleted_at=now)
        case Releasing(), Deleted() | Expires():
            return replace(stage, done_at=now)
        case Present(), PodsListed():
            return replace(stage, listed=True)
        case Present(), EventsListed(warnings):
            return replace(stage, words=_words(warnings))
    return stage


def _words(warnings: Sequence[tuple[str, str]]) -> Wait | None:
    """Return what events say of why a trial waits: the Job controller's words weigh most."""
    for reason, message in warnings:
        if reason == "FailedCreate":
            if "exceeded quota" in message:
                return Wait(WaitKind.ROOM, message)
            return Wait(WaitKind.REFUSED, message, Hindrance.PODS_REFUSED)
    return next((Wait(WaitKind.START, f"{r}: {m}", Hindrance.TRIAL_WAITING) for r, m in warnings), None)


# --- what the runtime is told ----------------------------------------------------------------------------------------


def stopped(stage: Stage) -> Stopping | None:
    """Return the stage of a trial that is told to stop; None where that changes nothing."""
    match stage:
        case Creating():
            return Stopping(None)
        case Present(uid, pods):
            return Stopping(uid, pods)
    return None


def released(stage: Stage, now: float, rules: Rules, job: JobView | None, *, failed: bool) -> Stage:
    """Return the stage of a trial whose end was recorded.

    Args:
        stage: Where the trial is.
        now: Unix time.
        rules: What of the study bears on it.
        job: Its Job, if it is there.
        failed: Whether the trial failed: then its Job is kept for a while, for its log.
    """
    if not isinstance(stage, Ended):
        return stage
    if stage.deleted_at is not None:
        return Releasing(stage.uid, now, DeleteJob(), asked=True, done_at=stage.deleted_at)
    end = stage.observed.end
    # Only what runs again under the same name has to go when the user wrote how long Jobs are to stay.
    again = end is not None and end.interrupted and not failed
    over = job is not None and job.over
    left = rules.keeps_jobs or (over and job is not None and job.ttl not in (None, rules.default_ttl))
    if left and not again:
        return Releasing(stage.uid, now, None, asked=True, done_at=now)
    if failed and over and rules.failed_ttl > 0:
        return Releasing(stage.uid, now, ExpireJob(int(rules.failed_ttl)))
    return Releasing(stage.uid, now, DeleteJob())


# --- the step --------------------------------------------------------------------------------------------------------


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
    owners = [owner for owner, _ in objects.pods if owner is not None]
    return Present(objects.job.uid if objects.job is not None else next(iter(owners), ""))


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
        # Its Job was deleted by hand; it lives until its pods are gone.
        if any(not pod.over for pod in pods):
            return Step(stage, _alive(number, pods, rules))
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
    end = End(False, True, Failure.STOPPED, "it was told to stop", _last_words(pods), spent)
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
