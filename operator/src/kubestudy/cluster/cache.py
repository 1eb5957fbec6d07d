"""The Jobs and pods of all studies, as the watches last told; a study is woken when something of its own changed.

Only studies that are looked after have a place here, and only what is read of their objects is kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Literal

from kubestudy.api.limits import TRIAL_PODS
from kubestudy.cluster.trial_objects import StudyKey, TrialJob, TrialPod, read_job, read_pod, study_of, uid_of

# So many uids of what is gone are remembered: an answer to a request may come after the news of its deletion.
_GONE_KEPT = 2000

Kind = Literal["Job", "Pod"]


class TrialObjects:
    """The objects of one trial: its Job, and pods by uid. A pod may be told of before its Job, or outlive it."""

    __slots__ = ("job", "pods")

    def __init__(self) -> None:
        self.job: TrialJob | None = None
        self.pods: dict[str, TrialPod] = {}


class _StudyObjects:
    """What is kept of one study."""

    __slots__ = ("key", "trials", "waker")

    def __init__(self, key: StudyKey) -> None:
        self.key = key
        self.trials: dict[int, TrialObjects] = {}
        self.waker: asyncio.Event | None = None


class Cache:
    """What the watches told, by study and trial. Only ever used from the event loop."""

    def __init__(self) -> None:
        # By namespace and uid: an object says itself which uid it belongs to, but not which namespace it is in.
        self._studies: dict[tuple[str, str], _StudyObjects] = {}
        # Where each kept object is, by its uid.
        self._places: dict[tuple[Kind, str], tuple[_StudyObjects, int]] = {}
        self._gone: deque[str] = deque(maxlen=_GONE_KEPT)

    def look_after(self, key: StudyKey) -> None:
        """Keep a study's objects from now on; those told of before are told again by the next full listing."""
        self._studies.setdefault((key.namespace, key.uid), _StudyObjects(key))

    def let_go(self, key: StudyKey) -> None:
        """Forget a study that is gone, and its objects."""
        study = self._studies.pop((key.namespace, key.uid), None)
        if study is not None:
            self._places = {known: place for known, place in self._places.items() if place[0] is not study}

    def subscribe(self, key: StudyKey) -> asyncio.Event:
        """Return what is set whenever something of a study changed; it is looked after."""
        self.look_after(key)
        study = self._studies[key.namespace, key.uid]
        study.waker = study.waker or asyncio.Event()
        return study.waker

    def unsubscribe(self, key: StudyKey) -> None:
        """Stop waking a study."""
        study = self._studies.get((key.namespace, key.uid))
        if study is not None:
            study.waker = None

    def trials(self, key: StudyKey) -> Mapping[int, TrialObjects]:
        """Return a study's trials that have objects."""
        study = self._studies.get((key.namespace, key.uid))
        return {} if study is None else study.trials

    def take_in(self, kind: Kind, deleted: bool, body: Mapping[str, Any]) -> None:
        """Take in an event.

        Args:
            kind: Job or Pod.
            deleted: Whether the object is gone.
            body: The object.
        """
        uid = uid_of(body)
        if deleted:
            self._gone.append(uid)
            self._drop(kind, uid)
            return
        study = self._studies.get(study_of(body) or ("", ""))
        known = self._known(kind, uid)
        found: TrialJob | TrialPod | None = None
        if study is not None and kind == "Job":
            found = read_job(body, study.key, known if isinstance(known, TrialJob) else None)
        elif study is not None:
            found = read_pod(body, study.key)
        if study is None or found is None:
            self._drop(kind, uid)  # it was a trial's, and is none any more
            return
        if known is not None and known.number != found.number:
            self._drop(kind, uid)
        self._keep(study, found)
        if known != found:
            _wake(study)

    def learn(self, kind: Kind, body: Mapping[str, Any]) -> None:
        """Take in an object from the answer to a request, unless the watches have told something newer of it."""
        known = self._known(kind, uid_of(body))
        if uid_of(body) not in self._gone and (known is None or known.version < _version(body)):
            self.take_in(kind, False, body)

    def listing(self, kind: Kind) -> Listing:
        """Begin to take in a full listing of Jobs or pods, page by page."""
        return Listing(self, kind)

    def uids(self, kind: Kind) -> list[str]:
        """Return the uids of all objects of a kind."""
        return [uid for known, uid in self._places if known == kind]

    def version(self, kind: Kind, uid: str) -> int | None:
        """Return an object's version; None if it is not kept."""
        known = self._known(kind, uid)
        return None if known is None else known.version

    def _known(self, kind: Kind, uid: str) -> TrialJob | TrialPod | None:
        place = self._places.get((kind, uid))
        trial = None if place is None else place[0].trials.get(place[1])
        if trial is None:
            return None
        return trial.job if kind == "Job" else trial.pods.get(uid)

    def _keep(self, study: _StudyObjects, found: TrialJob | TrialPod) -> None:
        trial = study.trials.setdefault(found.number, TrialObjects())
        if isinstance(found, TrialPod):
            trial.pods[found.uid] = found
            self._places["Pod", found.uid] = study, found.number
            if len(trial.pods) > TRIAL_PODS.value:
                self._drop("Pod", _superfluous(trial))
            return
        if trial.job is not None and trial.job.uid != found.uid:
            if trial.job.version > found.version:
                return  # of one name there is one at a time, and that one is older
            del self._places["Job", trial.job.uid]
        trial.job = found
        self._places["Job", found.uid] = study, found.number

    def _drop(self, kind: Kind, uid: str) -> None:
        place = self._places.pop((kind, uid), None)
        if place is None:
            return
        study, number = place
        trial = study.trials[number]
        if kind == "Job":
            trial.job = None
        else:
            trial.pods.pop(uid, None)
        if trial.job is None and not trial.pods:
            del study.trials[number]
        _wake(study)


class Listing:
    """A full listing, taken in page by page, so that it never lies in memory as a whole.

    Args:
        cache: What takes it in.
        kind: Job or Pod.
    """

    def __init__(self, cache: Cache, kind: Kind) -> None:
        self._cache = cache
        self._kind: Kind = kind
        self._seen: set[str] = set()

    def page(self, bodies: list[Any]) -> None:
        """Take in some objects, unless the watches have told something newer of them."""
        for body in bodies:
            uid = uid_of(body)
            self._seen.add(uid)
            known = self._cache.version(self._kind, uid)
            if known is None or known < _version(body):
                self._cache.take_in(self._kind, False, body)

    def end(self, began: int) -> None:
        """Take away what was not listed.

        Args:
            began: The listing's resource version: what the watches brought since is newer, and stays.
        """
        for uid in self._cache.uids(self._kind):
            if uid not in self._seen and (self._cache.version(self._kind, uid) or 0) <= began:
                self._cache.take_in(self._kind, True, {"metadata": {"uid": uid}})


def _wake(study: _StudyObjects) -> None:
    if study.waker is not None:
        study.waker.set()


def _superfluous(trial: TrialObjects) -> str:
    """Return the uid of the pod that a trial with too many of them can do without."""
    job = trial.job.uid if trial.job is not None else ""
    return min(trial.pods.values(), key=lambda pod: (pod.job == job, pod.facts.pod.created, pod.uid)).uid


def _version(body: Any) -> int:
    try:
        return int(body["metadata"].get("resourceVersion") or 0)
    except (LookupError, TypeError, ValueError, AttributeError):
        return 0
