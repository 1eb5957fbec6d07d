"""The requests about one study's Jobs: each method makes one, and says what came of it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from kubestudy.api.contract import LABEL_STUDY_UID, LABEL_TRIAL
from kubestudy.api.limits import EVENT_LENGTH, TRIAL_PODS
from kubestudy.api.study import StudySpec
from kubestudy.api.text import clean
from kubestudy.cluster import job_stages
from kubestudy.cluster.api import ApiError, ConflictError, KubeApi, NotFoundError, UnreachableError, items_of
from kubestudy.cluster.cache import Cache
from kubestudy.cluster.job_stages import (
    Answer,
    Deleted,
    DeleteJob,
    EventsListed,
    ExpireJob,
    Expires,
    ListEvents,
    ListPods,
    PodsListed,
    Request,
)
from kubestudy.cluster.jobs import Owner, job_of
from kubestudy.cluster.names import job_name
from kubestudy.cluster.origin import Origin, stranger
from kubestudy.cluster.paths import collection
from kubestudy.cluster.trial_objects import StudyKey, read_job
from kubestudy.study.trial import Suggestion, Wait

log = logging.getLogger(__name__)

_BATCH = "batch/v1"
_EVENTS = "100"


class TrialRequests:
    """Makes requests about the Jobs of a study. What an answer holds goes into the cache.

    Args:
        owner: The study.
        api: The API server.
        cache: Takes in the objects of answers.
        storage: The identity of the storage that the study's trials are recorded in; empty where it has none.
    """

    def __init__(self, owner: Owner, api: KubeApi, cache: Cache, storage: str) -> None:
        self._namespace = owner.namespace
        self._key = StudyKey(owner.namespace, owner.name, owner.uid)
        self._api = api
        self._cache = cache
        self._storage = storage
        self._jobs = collection(_BATCH, "jobs", owner.namespace)

    def _path(self, number: int) -> str:
        return f"{self._jobs}/{self._name(number)}"

    def _name(self, number: int) -> str:
        return job_name(self._key.name, self._key.uid, number)

    async def create(
        self, owner: Owner, spec: StudySpec, trial: Suggestion, own: Origin, previous: str | None
    ) -> tuple[Wait | None, bool]:
        """Create a trial's Job, or take over the one that exists.

        Args:
            owner: The study, as it is now: what the API server refuses may be mended meanwhile.
            spec: Its spec.
            trial: The trial.
            own: What a Job of the trial's own says.
            previous: The uid of the trial's earlier Job.

        Returns:
            What is in the way, None if nothing; and whether the Job is new.

        Raises:
            ApiError: The API server refuses, or does not answer.
        """
        try:
            made = await self._api.create(self._jobs, job_of(owner, spec, trial, self._storage))
        except ConflictError:
            return await self._adopt(trial.number, own, previous), False
        if read_job(made, self._key) is None:
            raise UnreachableError(0, "", "the answer is not the Job: nobody knows whether it was created")
        self._cache.learn("Job", made)
        return None, True

    async def _adopt(self, number: int, own: Origin, previous: str | None) -> Wait | None:
        """Take over a Job that exists; return what is in the way of that."""
        try:
            body = await self._api.get(self._path(number))
        except NotFoundError:
            return job_stages.being_deleted(self._name(number))
        wait = job_stages.adoption(self._name(number), read_job(body, self._key), own, previous)
        if wait is None:
            self._cache.learn("Job", body)
        return wait

    async def make(self, number: int, uid: str | None, own: Origin, request: Request) -> Answer:
        """Make a request that a trial's stage asks for.

        Args:
            number: The trial's number.
            uid: The uid of its Job; None where it is not known.
            own: What a Job of the trial's own says.
            request: The request.

        Raises:
            ApiError: The API server refuses, or does not answer.
        """
        match request:
            case DeleteJob():
                await self._delete(number, uid, own)
                return Deleted()
            case ExpireJob(seconds):
                changes = {"metadata": {"uid": uid}, "spec": {"ttlSecondsAfterFinished": seconds}}
                with contextlib.suppress(NotFoundError, ConflictError):  # gone, or another by now
                    await self._api.patch(self._path(number), changes)
                return Expires()
            case ListPods():
                await self._list_pods(number)
                return PodsListed()
            case ListEvents(about):
                return EventsListed(await self._warnings(about))

    async def _delete(self, number: int, uid: str | None, own: Origin) -> None:
        """Delete a trial's Job, and no other that has its name by now."""
        if not uid:
            # Its creation was given up, done or not.
            try:
                there = read_job(await self._api.get(self._path(number)), self._key)
            except NotFoundError:
                return
            if there is None or stranger(there.origin, own) is not None:
                return
            uid = there.uid
        with contextlib.suppress(ConflictError):
            await self._api.delete(self._path(number), uid)

    async def _list_pods(self, number: int) -> None:
        selector = f"{LABEL_STUDY_UID}={self._key.uid},{LABEL_TRIAL}={number}"
        pods = collection("v1", "pods", self._namespace)
        for pod in items_of(await self._api.get(pods, labelSelector=selector, limit=str(TRIAL_PODS.value))):
            self._cache.learn("Pod", pod)

    async def _warnings(self, uid: str) -> tuple[tuple[str, str], ...]:
        """Return the warnings about an object, newest first."""
        about = f"involvedObject.uid={uid},type=Warning"
        events = collection("v1", "events", self._namespace)
        try:
            listed = items_of(await self._api.get(events, fieldSelector=about, limit=_EVENTS))
        except ApiError as error:
            log.warning("what events say of a trial that waits cannot be read: %s", error)
            return ()
        newest = sorted(listed, key=_when, reverse=True)
        return tuple(
            (clean(str(event.get("reason"))), clean(str(event.get("message") or ""), EVENT_LENGTH.value))
            for event in newest
        )


def _when(event: Mapping[str, Any]) -> str:
    metadata = event.get("metadata")
    made = metadata.get("creationTimestamp") if isinstance(metadata, dict) else None
    return str(event.get("lastTimestamp") or event.get("eventTime") or made or "")
