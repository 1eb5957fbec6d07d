"""Runs trials as Jobs (implements the loop's `Runtime` port): wiring of stages, requests and the cache.

Nothing is decided here: `trial_job` says what the objects of a trial come to and what is to be requested, `requests`
makes the requests, the cache holds what the watches told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from kubestudy.api.quantity import seconds_of
from kubestudy.api.study import StudySpec
from kubestudy.cluster import job_stages, trial_job
from kubestudy.cluster.api import KubeApi
from kubestudy.cluster.cache import Cache
from kubestudy.cluster.job_stages import (
    Answer,
    Creating,
    DeleteJob,
    ExpireJob,
    Hindered,
    ListEvents,
    ListPods,
    Objects,
    Present,
    Releasing,
    Request,
    Rules,
    Stage,
    uid_of,
)
from kubestudy.cluster.jobs import TTL_SECONDS, Owner, metrics_port, trainer_in
from kubestudy.cluster.names import job_name
from kubestudy.cluster.objects import ObjectReader
from kubestudy.cluster.origin import Origin, parameters_of
from kubestudy.cluster.requests import Attempt, RequestChains
from kubestudy.cluster.trial_objects import StudyKey
from kubestudy.cluster.trial_requests import TrialRequests
from kubestudy.study.trial import Observed, Suggestion, TrialPhase, Wait

log = logging.getLogger(__name__)

_DRAIN_SECONDS = 10.0
_DRAIN_STEP_SECONDS = 0.1
_SHORTEST_WAIT_SECONDS = 0.05


class ClusterRuntime:
    """Trials of one study as Jobs. Only ever used from the event loop.

    Args:
        owner: The study.
        spec: Its spec.
        api: The API server.
        cache: What the watches told.
        gpus: How many GPUs a trial holds.
        clock: Unix time.
        launched: Told, when a Job that takes an ended one's place is created, how long ago that end was recorded.
        storage: The identity of the storage that the study's trials are recorded in; empty where it has none.
    """

    def __init__(
        self,
        owner: Owner,
        spec: StudySpec,
        api: KubeApi,
        cache: Cache,
        gpus: float = 0,
        clock: Callable[[], float] = time.time,
        launched: Callable[[float], None] | None = None,
        storage: str = "",
    ) -> None:
        self._launched = launched
        self._storage = storage
        # When ends were recorded whose place no launch has taken yet, since the last wait.
        self._ends: list[float] = []
        self.owner = owner
        self.spec = spec
        self._gpus = gpus
        self._cache = cache
        self._now = clock
        self._key = StudyKey(owner.namespace, owner.name, owner.uid)
        self._changed = cache.subscribe(self._key)
        self._requests = TrialRequests(owner, api, cache, storage)
        self._chains = RequestChains()
        self._stages: dict[int, Stage] = {}
        self._readers: dict[int, ObjectReader] = {}
        self._observed: dict[int, Observed] = {}
        self._look_at: dict[int, float] = {}
        # What tells the parameters of each trial without an end.
        self._parameters: dict[int, str] = {}

    async def close(self) -> None:
        """Give up requests under way; the trials themselves go on."""
        self._cache.unsubscribe(self._key)
        await self._chains.close()

    async def renew(self, owner: Owner, spec: StudySpec, gpus: float) -> None:
        """Take a newer spec; trials that wait to start are started anew by a changed template, which may be mended."""
        old, self.owner, self.spec, self._gpus = self.owner, owner, spec, gpus
        if owner.template == old.template:
            return
        self._readers.clear()
        for number, observed in list(self._observed.items()):
            if observed.phase is TrialPhase.PENDING and isinstance(self._stages.get(number), Present):
                log.info("trial %d waits to start: it is started anew by the changed template", number)
                await self.stop(number)

    # --- the Runtime port ------------------------------------------------------------------------------------------

    def capacity(self) -> int | None:
        """Return None: how many a cluster takes shows in how they start."""
        return None

    def job_of(self, number: int) -> str:
        """Return the name of a trial's Job."""
        return job_name(self.owner.name, self.owner.uid, number)

    async def expect(self, trials: Sequence[Suggestion]) -> None:
        """Take the trials that have no end yet: a Job is one's own only if it carries its parameters."""
        self._parameters = {trial.number: parameters_of(trial.params) for trial in trials}
        self._look()

    async def observe(self) -> Sequence[Observed]:
        """Return every trial that has a Job or pods, or whose Job is being created, as the last look showed it."""
        return list(self._observed.values())

    async def launch(self, trial: Suggestion) -> None:
        """Create the trial's Job, in the background; one that exists is taken over."""
        number, known = trial.number, self._stages.get(trial.number)
        self._parameters[number] = parameters_of(trial.params)
        if known is not None and not isinstance(known, Releasing):
            return
        if isinstance(known, Releasing) and not (known.asked and isinstance(known.request, DeleteJob)):
            self._request(number, DeleteJob())
        previous = known.uid if known is not None else None
        self._stages[number] = Creating(previous)
        replaced = self._ends.pop() if self._ends else None
        self._create(trial, previous, replaced)
        self._look_at_one(number)

    async def stop(self, number: int) -> None:
        """Delete the trial's Job: its pods get SIGTERM and their grace period."""
        known = self._stages.get(number)
        stopping = None if known is None else job_stages.stopped(known)
        if stopping is None:
            return
        self._chains.give_up(number)  # its creation, or a question about it
        self._stages[number] = stopping
        self._request(number, DeleteJob())
        self._look_at_one(number)

    async def forget(self, number: int, *, failed: bool = False) -> None:
        """Let go of a trial whose end was recorded; its Job goes soon, after what is launched in its place."""
        known = self._stages.get(number)
        if not isinstance(known, job_stages.Ended):
            return
        now = self._now()
        job = self._objects(number).of(known.uid).job
        self._stages[number] = job_stages.released(known, now, self._rules(), job, failed=failed)
        self._ends.append(now)
        self._observed.pop(number, None)
        self._look_at[number] = now

    async def wait(self, seconds: float) -> None:
        """Return when something of the study changed, and after `seconds` at the latest."""
        self._ends.clear()
        due = min(self._look_at.values(), default=self._now() + seconds) - self._now()
        with contextlib.suppress(TimeoutError):
            # Not `wait_for`, which swallows a cancellation that comes together with what it waits for.
            async with asyncio.timeout(min(seconds, max(_SHORTEST_WAIT_SECONDS, due))):
                await self._changed.wait()
        self._changed.clear()
        self._look()

    async def drain(self) -> None:
        """Finish what is under way, a limited time: requests, and the deletion of Jobs that are all but over."""
        deadline = self._now() + _DRAIN_SECONDS
        while self._now() < deadline:
            asking = any(isinstance(stage, Releasing) and not stage.asked for stage in self._stages.values())
            if not asking and not self._chains.busy():
                return
            await self.wait(_DRAIN_STEP_SECONDS)

    # --- looking ---------------------------------------------------------------------------------------------------

    def _rules(self) -> Rules:
        template = self.owner.template["spec"]
        return Rules(
            gpus=self._gpus,
            port=metrics_port(trainer_in(template["template"]["spec"])),
            start_timeout=seconds_of(self.spec.trial_start_timeout),
            keeps_jobs="ttlSecondsAfterFinished" in template,
            failed_ttl=seconds_of(self.spec.failed_jobs_history_ttl),
            default_ttl=TTL_SECONDS,
        )

    def _look(self) -> None:
        """Look at every trial: what it has come to, and what is to be requested for it."""
        rules = self._rules()
        for number in self._stages.keys() | self._cache.trials(self._key).keys():
            self._look_at_one(number, rules)

    def _look_at_one(self, number: int, rules: Rules | None = None) -> None:
        objects = self._objects(number)
        stage = self._stages.get(number)
        if stage is None:
            if objects.empty:  # what there is of that name is another's
                return
            stage = trial_job.found(objects)
        step = trial_job.step(stage, number, objects, self._now(), rules or self._rules())
        for known, new in ((self._stages, step.stage), (self._observed, step.observed), (self._look_at, step.look_at)):
            _keep(known, number, new)
        if step.stage is None:
            self._readers.pop(number, None)
        for request in step.requests:
            # A question that waits for an answer is not asked again.
            if isinstance(request, DeleteJob | ExpireJob) or not self._chains.busy(number):
                self._request(number, request)

    def _objects(self, number: int) -> Objects:
        reader = self._readers.get(number)
        if reader is None:
            trainer = trainer_in(self.owner.template["spec"]["template"]["spec"])["name"]
            reader = self._readers[number] = ObjectReader(trainer)
        accepted = uid_of(self._stages.get(number))
        return reader.read(self._cache.trials(self._key).get(number), self._own(number), accepted)

    def _own(self, number: int) -> Origin:
        """Return what a Job of a trial's own says."""
        return Origin(self._storage, self._parameters.get(number, ""))

    def _told(self, number: int, answer: Answer) -> None:
        """Take in the answer to a request; the next look goes by it."""
        stage = self._stages.get(number)
        if stage is not None:
            self._stages[number] = job_stages.acknowledge(stage, answer, self._now())
        self._changed.set()

    # --- requests --------------------------------------------------------------------------------------------------

    def _put(self, number: int, what: str, attempt: Attempt) -> None:
        def hindered(wait: Wait | None) -> None:
            self._told(number, Hindered(wait))

        self._chains.put(number, f"{what} {self.job_of(number)}", attempt, hindered)

    def _request(self, number: int, request: Request) -> None:
        """Make a request that a trial's stage asks for."""
        uid, own = uid_of(self._stages.get(number)), self._own(number)

        async def attempt() -> None:
            self._told(number, await self._requests.make(number, uid, own, request))

        what = {
            DeleteJob: "delete Job",
            ExpireJob: "set ttlSecondsAfterFinished of Job",
            ListPods: "list the pods of Job",
            ListEvents: "list the events about Job",
        }[type(request)]
        self._put(number, what, attempt)

    def _create(self, trial: Suggestion, previous: str | None, replaced: float | None) -> None:
        own = self._own(trial.number)

        async def attempt() -> Wait | None:
            # Built anew each time: what the API server refuses may be mended meanwhile.
            wait, is_new = await self._requests.create(self.owner, self.spec, trial, own, previous)
            if is_new and self._launched is not None and replaced is not None:
                self._launched(max(0.0, self._now() - replaced))
            self._changed.set()
            return wait

        self._put(trial.number, "create Job", attempt)


def _keep(known: dict[int, Any], number: int, value: object) -> None:
    if value is None:
        known.pop(number, None)
    else:
        known[number] = value
