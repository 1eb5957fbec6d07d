"""Runs trials as Jobs (implements the loop's `Runtime` port).

What the watches tell is joined with what was asked for and is not seen yet: a Job that is being created or deleted.
Requests go on in the background, so that a slow API server holds up no decision.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubestudy.api.contract import LABEL_STUDY_UID, LABEL_TRIAL
from kubestudy.api.gpus import gpus_in
from kubestudy.api.quantity import seconds_of
from kubestudy.api.study import StudySpec
from kubestudy.cluster.api import ApiError, ConflictError, KubeApi, NotFoundError, UnreachableError, collection
from kubestudy.cluster.cache import Cache, TrialObjects
from kubestudy.cluster.jobs import Owner, job_of, metrics_port, trainer_in
from kubestudy.cluster.names import job_name
from kubestudy.cluster.pods import (
    NEVER_STARTED,
    PodView,
    condition,
    failure_without_pods,
    gpu_seconds,
    observe,
    pod_view,
    unix,
)
from kubestudy.study.message import parse_message
from kubestudy.study.ports import Trouble
from kubestudy.study.trial import End, Observed, Result, Suggestion, TrialPhase

log = logging.getLogger(__name__)

BATCH = "batch/v1"
# Several trials in a row that cannot start say that the study, not a trial, is at fault.
START_FAILURES_TOLERATED = 3
_PROBE_SECONDS = 60.0
_PROBE_LIMIT_SECONDS = 600.0
_BACKOFF_SECONDS = 1.0
_BACKOFF_LIMIT_SECONDS = 60.0
# A Job is complete before the watch on pods has told of its pod's end.
_POD_LAG_SECONDS = 5.0
# A watch tells of a deletion soon after it was asked for.
_GONE_SECONDS = 60.0
# A Job is over soon after its pod.
_OVER_SECONDS = 5.0
_DRAIN_SECONDS = 10.0
_DRAIN_STEP_SECONDS = 0.1
_ENDS_KEPT = 1000


@dataclass(slots=True)
class _Trial:
    """A trial in this runtime's hands.

    Attributes:
        request: The request under way for it.
        seen: Whether the watch has told of its Job.
        deleted: When its Job's deletion was acknowledged; until the watch tells, what it tells is old.
        stopping: Whether it was told to stop.
        forgotten: When its end was recorded: it is of no interest any more.
        kept: Whether its Job is left to `ttlSecondsAfterFinished`, as the user wrote.
        deleting: Whether its Job's deletion was asked for since.
        ended: How it ended, once that was decided here rather than read from its Job.
        created_at: When its Job's creation was acknowledged.
        complete_at: When its Job was first seen to be over without its pod's end.
        looked: Whether its pods were asked for since.
        old: The uid of an earlier Job of the same name; what the watches still tell of that is of no interest.
        views: Its pods as last read, by name and version.
        trouble: What keeps its Job from being created.
    """

    request: asyncio.Task[None] | None = None
    created_at: float | None = None
    seen: bool = False
    old: str | None = None
    looked: bool = False
    deleted: float | None = None
    stopping: bool = False
    forgotten: float | None = None
    kept: bool = False
    deleting: bool = False
    ended: End | None = None
    complete_at: float | None = None
    views: dict[tuple[str, str], PodView] = field(default_factory=dict)
    last: Observed | None = None
    trouble: Trouble | None = None

    @property
    def busy(self) -> bool:
        """Whether a request for it is under way."""
        return self.request is not None and not self.request.done()

    @property
    def to_delete(self) -> bool:
        """Whether its end was recorded and its Job is still to be deleted."""
        return self.forgotten is not None and not (self.kept or self.stopping or self.deleting)


class ClusterRuntime:
    """Trials of one study as Jobs.

    Args:
        owner: The study.
        spec: Its spec.
        api: The API server.
        cache: What the watches told.
        clock: Unix time.
        launched: Told, when a Job that takes an ended one's place is created, how long ago that end was recorded.
    """

    def __init__(
        self,
        owner: Owner,
        spec: StudySpec,
        api: KubeApi,
        cache: Cache,
        clock: Callable[[], float] = time.time,
        launched: Callable[[float], None] | None = None,
    ) -> None:
        self._launched = launched
        self._ends: deque[float] = deque(maxlen=_ENDS_KEPT)
        self.owner = owner
        self.spec = spec
        self._api = api
        self._cache = cache
        self._now = clock
        self._changed = cache.subscribe(owner.uid)
        self._trials: dict[int, _Trial] = {}
        self._start_failures = 0
        self._probe_after = 0.0

    async def close(self) -> None:
        """Give up requests under way; the trials themselves go on."""
        self._cache.unsubscribe(self.owner.uid)
        tasks = [t.request for t in self._trials.values() if t.request is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def drain(self) -> None:
        """Finish what is under way, a limited time: requests, and the deletion of Jobs that are all but over."""
        deadline = self._now() + _DRAIN_SECONDS
        while self._now() < deadline:
            await self.observe()
            trials = self._trials.values()
            if not any(trial.busy or trial.to_delete for trial in trials):
                return
            await self.wait(_DRAIN_STEP_SECONDS)

    async def renew(self, owner: Owner, spec: StudySpec) -> None:
        """Take a newer spec; trials that wait to start are started anew by a changed template, which may be mended."""
        old, self.owner, self.spec = self.owner, owner, spec
        if owner.template == old.template:
            return
        self._start_failures, self._probe_after = 0, 0.0
        for number, trial in list(self._trials.items()):
            waits = trial.last is not None and trial.last.phase is TrialPhase.PENDING and trial.created_at is not None
            if waits and trial.ended is None:
                log.info("trial %d waits to start: it is started anew by the changed template", number)
                await self.stop(number)

    # --- the Runtime port ------------------------------------------------------------------------------------------

    def capacity(self) -> int | None:
        """Return 0 while Jobs cannot be created or trials cannot start, one at a time to try again; else no limit."""
        if any(t.trouble is not None and t.forgotten is None for t in self._trials.values()):
            return 0
        if self._start_failures < START_FAILURES_TOLERATED:
            return None
        living = any(t.forgotten is None and t.ended is None for t in self._trials.values())
        return 0 if living or self._now() < self._probe_after else 1

    def trouble(self) -> Trouble | None:
        """Return what keeps trials from starting, if anything does."""
        for trial in self._trials.values():
            if trial.trouble is not None and trial.forgotten is None:
                return trial.trouble
        waiting = next((why for t in self._trials.values() if (why := self._why_waiting(t))), None)
        if self._start_failures >= START_FAILURES_TOLERATED:
            return Trouble(
                "TrialsCannotStart",
                f"{self._start_failures} trials in a row could not start; {waiting or 'trying again, one at a time'}",
            )
        return Trouble("TrialWaiting", waiting) if waiting else None

    def job_of(self, number: int) -> str | None:
        """Return the name of a trial's Job."""
        return job_name(self.owner.name, self.owner.uid, number)

    async def observe(self) -> Sequence[Observed]:
        """Return every trial that has a Job or pods, or whose Job is being created."""
        seen = self._cache.trials(self.owner.uid)
        for number in seen.keys() - self._trials.keys():
            self._trials[number] = _Trial()
        found = []
        for number, trial in list(self._trials.items()):
            observed = self._observed(number, trial, seen.get(number))
            if observed is not None:
                found.append(observed)
        return found

    async def launch(self, trial: Suggestion) -> None:
        """Create the trial's Job, in the background; one that exists is taken over."""
        known = self._trials.get(trial.number)
        if known is not None and known.forgotten is None:
            return
        fresh = _Trial()
        before = self._cache.trials(self.owner.uid).get(trial.number)
        if known is not None and before is not None and before.job is not None:
            fresh.old = before.job["metadata"]["uid"]
        self._trials[trial.number] = fresh
        previous = None
        if known is not None:
            previous = known.request
            if not (known.stopping or known.deleting):
                previous = asyncio.create_task(self._delete(trial.number, known, previous))
        fresh.request = asyncio.create_task(self._create(trial, fresh, previous))

    async def stop(self, number: int) -> None:
        """Delete the trial's Job: its pods get SIGTERM and their grace period."""
        trial = self._trials.get(number)
        if trial is None or trial.stopping or trial.forgotten is not None:
            return
        trial.stopping = True
        previous = trial.request
        trial.request = asyncio.create_task(self._delete(number, trial, previous))

    async def forget(self, number: int) -> None:
        """Let go of a trial whose end was recorded; its Job is deleted soon, after what is launched in its place."""
        trial = self._trials.get(number)
        if trial is None or trial.forgotten is not None:
            return
        trial.forgotten = self._now()
        self._ends.append(trial.forgotten)
        end = trial.ended or (trial.last.end if trial.last is not None else None)
        # Only what runs again under the same name has to go when the user wrote how long Jobs are to stay.
        trial.kept = self._keeps_jobs and end is not None and not end.interrupted

    async def wait(self, seconds: float) -> None:
        """Return when something of the study changed, and after `seconds` at the latest."""
        timeout = min(seconds, self._next_deadline())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout)
        self._changed.clear()

    # --- requests --------------------------------------------------------------------------------------------------

    async def _create(self, suggestion: Suggestion, trial: _Trial, previous: asyncio.Task[None] | None) -> None:
        await _quietly(previous)
        jobs = collection(BATCH, "jobs", self.owner.namespace)
        name = job_name(self.owner.name, self.owner.uid, suggestion.number)

        async def attempt() -> bool:
            try:
                # Built anew each time: what the API server refuses may be mended meanwhile.
                await self._api.create(jobs, job_of(self.owner, self.spec, suggestion))
            except ConflictError:
                return await self._adopt(f"{jobs}/{name}", trial)
            trial.created_at = self._now()
            if self._launched is not None and self._ends:
                self._launched(max(0.0, self._now() - self._ends.popleft()))
            return True

        await self._insist(attempt, trial, f"create Job {name}")

    async def _adopt(self, path: str, trial: _Trial) -> bool:
        """Take over a Job that exists; one that is on its way out has to be gone first."""
        try:
            found = await self._api.get(path)
        except NotFoundError:
            return False
        if "deletionTimestamp" in found["metadata"] or found["metadata"]["uid"] == trial.old:
            return False
        self._cache.take_in("Job", False, found)
        trial.created_at = self._now()
        return True

    async def _delete(self, number: int, trial: _Trial, previous: asyncio.Task[None] | None) -> None:
        if previous is not None and trial.created_at is None and trial.stopping:
            previous.cancel()
        await _quietly(previous)
        trial.trouble = None
        name = job_name(self.owner.name, self.owner.uid, number)

        async def attempt() -> bool:
            await self._api.delete(f"{collection(BATCH, 'jobs', self.owner.namespace)}/{name}")
            trial.deleted = self._now()
            return True

        await self._insist(attempt, trial, f"delete Job {name}")

    async def _look(self, number: int, trial: _Trial) -> None:
        """Ask for a trial's pods: the watch may have missed them."""
        selector = f"{LABEL_STUDY_UID}={self.owner.uid},{LABEL_TRIAL}={number}"

        async def attempt() -> bool:
            found = await self._api.get(collection("v1", "pods", self.owner.namespace), labelSelector=selector)
            for pod in found["items"]:
                self._cache.take_in("Pod", False, pod)
            trial.looked = True
            return True

        await self._insist(attempt, trial, f"list the pods of trial {number}")

    async def _insist(self, attempt: Callable[[], Awaitable[bool]], trial: _Trial, what: str) -> None:
        """Try until it succeeds, with a back-off: the trial is recorded already, so giving up would lose it."""
        tries = 0
        while True:
            try:
                if await attempt():
                    break
                why = Trouble("JobBeingDeleted", f"cannot {what} yet: an older Job of that name is being deleted")
            except UnreachableError as error:
                why = Trouble("ApiServerUnavailable", f"cannot {what}: {error}")
            except ApiError as error:
                reason = "QuotaExceeded" if error.over_quota else "JobRefused"
                why = Trouble(reason, f"cannot {what}: {error}")
            wait = min(_BACKOFF_SECONDS * 2**tries, _BACKOFF_LIMIT_SECONDS)
            tries += 1
            if tries > 1 or why.reason != "JobBeingDeleted":
                trial.trouble = why
                log.warning("%s; again in %.0f s", why.message, wait)
            self._changed.set()
            await asyncio.sleep(wait)
        trial.trouble = None
        self._changed.set()

    # --- observing -------------------------------------------------------------------------------------------------

    def _observed(self, number: int, trial: _Trial, objects: TrialObjects | None) -> Observed | None:
        if trial.ended is not None and trial.forgotten is None:
            return Observed(number, TrialPhase.ENDED, end=trial.ended)
        if objects is not None and trial.old is not None:
            objects = _without(objects, trial.old)
        if trial.forgotten is not None:
            self._tidy(number, trial, trial.forgotten, objects)
            return None
        job = objects.job if objects is not None else None
        pods = self._pods(trial, objects)
        if trial.stopping:
            return self._stopped(number, trial, job, pods)
        if job is None:
            if objects is None and trial.request is None:
                del self._trials[number]
                return None
            if trial.request is not None and not (trial.request.done() and trial.seen):
                return self._awaited(number, trial)
            # Its Job was deleted by hand; it lives until its pods are gone.
            if any(not pod.over for pod in pods):
                return self._alive(number, pods)
            return Observed(number, TrialPhase.ENDED, end=End(False, True, "JobDeleted", "its Job was deleted", None))
        trial.seen = True
        port, gpus = self._port(), self._gpus
        observed = observe(number, job, pods, gpus, port)
        trial.last = observed
        return self._judged(trial, observed, job, pods)

    def _tidy(self, number: int, trial: _Trial, since: float, objects: TrialObjects | None) -> None:
        """Delete a forgotten trial's Job, once the Job controller is done with it; let go of it once it is gone."""
        if trial.to_delete:
            job = objects.job if objects is not None else None
            over = job is None or condition(job, "Complete") or condition(job, "Failed")
            if over or self._now() >= since + _OVER_SECONDS:
                trial.deleting = True
                trial.request = asyncio.create_task(self._delete(number, trial, trial.request))
            return
        gone = objects is None and (trial.request is None or trial.request.done())
        if gone or (trial.deleted is not None and self._now() > trial.deleted + _GONE_SECONDS):
            del self._trials[number]

    def _judged(self, trial: _Trial, observed: Observed, job: Any, pods: Sequence[PodView]) -> Observed:
        """Add what time alone tells to what the trial's objects tell."""
        if observed.end is None and (condition(job, "Complete") or condition(job, "Failed")):
            return self._lagging(trial, observed, job)
        if observed.phase is TrialPhase.PENDING:
            self._judge_start(trial, job, pods)
            if trial.ended is not None:
                return Observed(observed.number, TrialPhase.ENDED, end=trial.ended)
        elif observed.end is not None and observed.end.reason in NEVER_STARTED:
            self._count_start_failure(trial)
        elif observed.phase is TrialPhase.RUNNING or observed.end is not None:
            self._start_failures = 0
        return observed

    def _awaited(self, number: int, trial: _Trial) -> Observed | None:
        """Its Job is being created, or was and the watch has not told yet."""
        if trial.created_at is not None and self._now() > trial.created_at + _GONE_SECONDS:
            # Created and gone before any watch told of it.
            return Observed(number, TrialPhase.ENDED, end=End(False, True, "JobDeleted", "its Job was deleted", None))
        return Observed(number, TrialPhase.PENDING)

    def _alive(self, number: int, pods: Sequence[PodView]) -> Observed:
        started = min((p.started for p in pods if p.started is not None), default=None)
        return Observed(
            number, TrialPhase.RUNNING if started else TrialPhase.PENDING, started, self._gpus if started else 0
        )

    def _stopped(self, number: int, trial: _Trial, job: Any, pods: Sequence[PodView]) -> Observed | None:
        """A trial that was told to stop lives until its pods are gone, or all have ended."""
        if job is not None and trial.deleted is None:
            ended = observe(number, job, pods, self._gpus, self._port())
            if ended.end is not None:
                return ended
        if trial.busy:
            return self._alive(number, pods)
        if any(not pod.over for pod in pods):
            return self._alive(number, pods)
        last = trial.last.end if trial.last is not None else None
        finished = [p for p in (pods or list(trial.views.values())) if p.over]
        spent = gpu_seconds(list(trial.views.values()), self._gpus)
        end = last or End(False, True, "Stopped", "it was told to stop", _last_words(finished), spent)
        trial.ended = end
        return Observed(number, TrialPhase.ENDED, trial.last.started if trial.last else None, end=end)

    def _lagging(self, trial: _Trial, observed: Observed, job: Any) -> Observed:
        """The Job is over; wait a little for the watch on pods to tell how its pod ended, then ask for it."""
        now = self._now()
        trial.complete_at = trial.complete_at or now
        if not trial.looked:
            if now >= trial.complete_at + _POD_LAG_SECONDS and not trial.busy:
                trial.request = asyncio.create_task(self._look(observed.number, trial))
            return Observed(observed.number, TrialPhase.RUNNING, observed.started)
        return Observed(observed.number, TrialPhase.ENDED, observed.started, end=failure_without_pods(job))

    def _pods(self, trial: _Trial, objects: TrialObjects | None) -> list[PodView]:
        """Read the pods, oldest first; each version of a pod once."""
        if objects is None:
            return []
        trainer = trainer_in(self.owner.template["spec"]["template"]["spec"])["name"]
        views = {}
        for name, pod in objects.pods.items():
            key = (name, str(pod["metadata"].get("resourceVersion")))
            views[key] = trial.views.get(key) or pod_view(pod, trainer)
        trial.views = views
        return sorted(views.values(), key=lambda view: view.created)

    @property
    def _gpus(self) -> float:
        return gpus_in(self.spec.job_template.spec.template.spec)

    def _port(self) -> int:
        return metrics_port(trainer_in(self.owner.template["spec"]["template"]["spec"]))

    # --- trials that cannot start ----------------------------------------------------------------------------------

    @property
    def _keeps_jobs(self) -> bool:
        return "ttlSecondsAfterFinished" in self.owner.template["spec"]

    @property
    def _start_timeout(self) -> float:
        return seconds_of(self.spec.trial_start_timeout)

    def _judge_start(self, trial: _Trial, job: Any, pods: Sequence[PodView]) -> None:
        """End a trial whose pod does not start in time. A suspended Job waits as long as it takes."""
        since = self._waits_since(job)
        if since is None or self._now() < since + self._start_timeout:
            return
        why = next((p.why_waiting for p in reversed(pods) if p.why_waiting), None)
        detail = why or ("its pod did not start" if pods else "its Job got no pod: is a quota in the way?")
        self._count_start_failure(trial)
        # One trial may be at fault; when none can start, none of them is.
        interrupted = self._start_failures > START_FAILURES_TOLERATED
        limit = self.spec.trial_start_timeout
        trial.ended = End(False, interrupted, "StartTimeout", f"it did not start within {limit}: {detail}", None)

    def _count_start_failure(self, trial: _Trial) -> None:
        if trial.ended is not None:
            return
        self._start_failures += 1
        extra = max(0, self._start_failures - START_FAILURES_TOLERATED)
        self._probe_after = self._now() + min(_PROBE_SECONDS * 2**extra, _PROBE_LIMIT_SECONDS)

    def _waits_since(self, job: Any) -> float | None:
        status = job.get("status") or {}
        suspended = next((c for c in status.get("conditions") or [] if c["type"] == "Suspended"), None)
        if job["spec"].get("suspend") or (suspended is not None and suspended["status"] == "True"):
            return None  # as long as Kueue, or whoever suspended it, likes
        resumed = suspended["lastTransitionTime"] if suspended is not None else None
        return unix(resumed or status.get("startTime") or job["metadata"].get("creationTimestamp"))

    def _why_waiting(self, trial: _Trial) -> str | None:
        if trial.forgotten is not None or trial.last is None or trial.last.phase is not TrialPhase.PENDING:
            return None
        return next((view.why_waiting for view in trial.views.values() if view.why_waiting), None)

    def _next_deadline(self) -> float:
        """Seconds until time alone may change what is observed."""
        times = [self._probe_after] if self._start_failures >= START_FAILURES_TOLERATED else []
        seen = self._cache.trials(self.owner.uid)
        for number, trial in self._trials.items():
            if trial.forgotten is not None:
                if trial.to_delete:
                    times.append(trial.forgotten + _OVER_SECONDS)
                continue
            if trial.ended is not None:
                continue  # time changes nothing about what is over
            if trial.complete_at is not None and not trial.looked:
                times.append(trial.complete_at + _POD_LAG_SECONDS)
            if trial.last is not None and trial.last.phase is TrialPhase.PENDING and number in seen:
                job = seen[number].job
                since = None if job is None else self._waits_since(job)
                if since is not None:
                    times.append(since + self._start_timeout)
        now = self._now()
        return min((max(0.05, at - now) for at in times), default=_GONE_SECONDS)


def _without(objects: TrialObjects, uid: str) -> TrialObjects:
    """Return a trial's objects but for a Job that is gone, or going, and its pods."""
    rest = TrialObjects()
    if objects.job is not None and objects.job["metadata"]["uid"] != uid:
        rest.job = objects.job
    rest.pods = {name: pod for name, pod in objects.pods.items() if not _owned_by(pod, uid)}
    return rest


def _owned_by(pod: Mapping[str, Any], uid: str) -> bool:
    return any(owner.get("uid") == uid for owner in pod["metadata"].get("ownerReferences") or [])


def _last_words(pods: Sequence[PodView]) -> Result | None:
    return next((parse_message(p.message) for p in reversed(pods) if p.message), None)


async def _quietly(task: asyncio.Task[None] | None) -> None:
    """Wait for an earlier request; its troubles were told already."""
    if task is not None:
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await asyncio.shield(task) if not task.cancelled() else None
