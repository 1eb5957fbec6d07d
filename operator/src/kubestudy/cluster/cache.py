"""The Jobs and pods of all studies, as the watches last told; a study is woken when something of its own changed."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any

from kubestudy.api.contract import LABEL_STUDY_UID, LABEL_TRIAL

# So many uids of what is gone are remembered: an answer to a request may come after the news of its deletion.
_GONE_KEPT = 2000
# Conditions of a pod that follow from others, or that no trial depends on.
_TELL_NOTHING = frozenset({"Initialized", "Ready", "ContainersReady", "PodReadyToStartContainers"})


class TrialObjects:
    """The objects of one trial: its Job and pods by name."""

    __slots__ = ("job", "pods")

    def __init__(self) -> None:
        self.job: Mapping[str, Any] | None = None
        self.pods: dict[str, Mapping[str, Any]] = {}


class Cache:
    """What the watches told, by study and trial. Only ever used from the event loop."""

    def __init__(self) -> None:
        self._studies: dict[str, dict[int, TrialObjects]] = defaultdict(dict)
        self._wakers: dict[str, asyncio.Event] = {}
        self._gone: deque[str] = deque(maxlen=_GONE_KEPT)

    def subscribe(self, uid: str) -> asyncio.Event:
        """Return what is set whenever something of a study changed."""
        return self._wakers.setdefault(uid, asyncio.Event())

    def unsubscribe(self, uid: str) -> None:
        """Stop waking a study."""
        self._wakers.pop(uid, None)

    def trials(self, uid: str) -> Mapping[int, TrialObjects]:
        """Return a study's trials that have objects."""
        return self._studies.get(uid, {})

    def take_in(self, kind: str, deleted: bool, body: Mapping[str, Any]) -> None:
        """Take in an event.

        Args:
            kind: Job or Pod.
            deleted: Whether the object is gone.
            body: The object.
        """
        found = _owner(body)
        if found is None:
            return
        uid, number = found
        if deleted:
            self._gone.append(_identity(body))
        trials = self._studies[uid]
        trial = trials.setdefault(number, TrialObjects())
        name = body["metadata"]["name"]
        before = trial.job if kind == "Job" else trial.pods.get(name)
        if kind == "Job":
            trial.job = None if deleted else body
        elif deleted:
            trial.pods.pop(name, None)
        else:
            trial.pods[name] = body
        if trial.job is None and not trial.pods:
            del trials[number]
        if not trials:
            del self._studies[uid]
        waker = self._wakers.get(uid)
        if waker is not None and (deleted or before is None or _telling(before) != _telling(body)):
            waker.set()

    def learn(self, kind: str, body: Mapping[str, Any]) -> None:
        """Take in an object from the answer to a request, unless the watches have told something newer of it."""
        known = self._known(kind, body)
        newer = known is None or _identity(known) != _identity(body) or _version(known) < _version(body)
        if newer and _identity(body) not in self._gone:
            self.take_in(kind, False, body)

    def replace(self, jobs: Iterable[Mapping[str, Any]], pods: Iterable[Mapping[str, Any]], began: int) -> None:
        """Put a fresh listing in place of everything that is older than it.

        Args:
            jobs: All Jobs with our labels.
            pods: All pods with our labels.
            began: The listing's resource version: what the watches brought since is newer, and stays.
        """
        listed = {"Job": {_identity(b) for b in jobs}, "Pod": {_identity(b) for b in pods}}
        for kind, bodies in (("Job", jobs), ("Pod", pods)):
            for body in bodies:
                known = self._known(kind, body)
                if known is None or _version(known) < _version(body):
                    self.take_in(kind, False, body)
        for kind, body in self._all():
            if _identity(body) not in listed[kind] and _version(body) <= began:
                self.take_in(kind, True, body)

    def _known(self, kind: str, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        found = _owner(body)
        trial = self._studies.get(found[0], {}).get(found[1]) if found else None
        if trial is None:
            return None
        return trial.job if kind == "Job" else trial.pods.get(body["metadata"]["name"])

    def _all(self) -> list[tuple[str, Mapping[str, Any]]]:
        trials = [trial for study in self._studies.values() for trial in study.values()]
        jobs = [("Job", trial.job) for trial in trials if trial.job is not None]
        return [*jobs, *(("Pod", pod) for trial in trials for pod in trial.pods.values())]


def _telling(body: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what of a Job or pod can change what its trial is taken for: most updates are about other things."""
    metadata, status = body["metadata"], body.get("status") or {}
    return (
        metadata["uid"],
        metadata.get("deletionTimestamp"),
        body["spec"].get("suspend"),
        [(c["type"], c["status"], c.get("reason"), c.get("message")) for c in status.get("conditions") or []
         if c["type"] not in _TELL_NOTHING],
        *(status.get(key) for key in ("startTime", "phase", "reason", "podIP")),
        [c.get("state") for c in status.get("containerStatuses") or []],
        [c.get("state") for c in status.get("initContainerStatuses") or []],
    )  # fmt: skip


def _owner(body: Mapping[str, Any]) -> tuple[str, int] | None:
    labels = body["metadata"].get("labels") or {}
    try:
        return labels[LABEL_STUDY_UID], int(labels[LABEL_TRIAL])
    except (KeyError, ValueError):
        return None


def _identity(body: Mapping[str, Any]) -> str:
    return str(body["metadata"]["uid"])


def _version(body: Mapping[str, Any]) -> int:
    # Kubernetes 1.35 and later promise that versions of one resource can be compared as numbers.
    return int(body["metadata"].get("resourceVersion") or 0)
