"""The stages of one trial's Job, and what leads from one to the next beside looking at it. Pure.

    Creating -> Present -> Ended -> Releasing -> (nothing)
        \\---------\\-> Stopping -/

A stage holds what the API server's objects alone do not tell: that a Job was asked for, told to stop, let go of.
`trial_job.step` reads everything else from the objects, each time anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kubestudy.api.reasons import Hindrance
from kubestudy.cluster.job_view import JobView
from kubestudy.cluster.origin import Origin, stranger
from kubestudy.cluster.pods import PodView
from kubestudy.cluster.trial_objects import TrialJob
from kubestudy.study.trial import Observed, Wait, WaitKind


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
        pods: Its pods that there are, each with the uid of the Job that controls it.
    """

    job: JobView | None = None
    pods: tuple[tuple[str, PodView], ...] = ()

    def of(self, uid: str | None) -> Objects:
        """Return what belongs to the Job of a uid."""
        job = self.job if self.job is not None and self.job.uid == uid else None
        return Objects(job, tuple(pair for pair in self.pods if pair[0] == uid))

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


def uid_of(stage: Stage | None) -> str | None:
    """Return the uid of the Job that a stage is about; None where it is not known."""
    return None if stage is None or isinstance(stage, Creating) else stage.uid


def adoption(name: str, job: TrialJob | None, own: Origin, previous: str | None) -> Wait | None:
    """Return what keeps a Job that exists from being taken for a trial's own; None if nothing.

    Args:
        name: Its name.
        job: The Job; None if the study is not its controller.
        own: What a Job of the trial's own says.
        previous: The uid of the trial's earlier Job.
    """
    if job is not None and (job.view.deleting or job.uid == previous):
        return being_deleted(name)
    why = "the study is not its controller" if job is None else stranger(job.origin, own)
    if why is None:
        return None
    remedy = "is there another operator that runs this study? The trial waits until that Job is gone"
    message = f"cannot create Job {name}: there is one of that name that is not this trial's: {why}; {remedy}"
    return Wait(WaitKind.REFUSED, message, Hindrance.JOB_OF_ANOTHER)


def being_deleted(name: str) -> Wait:
    """Return what a trial waits for whose earlier Job is not gone yet."""
    message = f"cannot create Job {name} yet: an older one of that name is being deleted"
    return Wait(WaitKind.REFUSED, message, Hindrance.JOB_BEING_DELETED)


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
