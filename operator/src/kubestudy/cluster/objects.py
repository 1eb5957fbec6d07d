"""Reading a trial's objects from the cache, each version of an object once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubestudy.cluster.cache import TrialObjects
from kubestudy.cluster.job_stages import Objects
from kubestudy.cluster.job_view import JobView, job_view
from kubestudy.cluster.pods import PodView, pod_view


class ObjectReader:
    """Reads the objects of one trial.

    Args:
        trainer: The name of the container that trains.
    """

    def __init__(self, trainer: str) -> None:
        self._trainer = trainer
        self._job: tuple[Mapping[str, Any], JobView] | None = None
        self._pods: dict[str, tuple[Mapping[str, Any], tuple[str | None, PodView]]] = {}

    def read(self, objects: TrialObjects | None) -> Objects:
        """Return what the cache holds of the trial; None: nothing."""
        if objects is None:
            self._job, self._pods = None, {}
            return Objects()
        if objects.job is None:
            self._job = None
        elif self._job is None or self._job[0] is not objects.job:
            self._job = (objects.job, job_view(objects.job))
        self._pods = {name: self._pod(name, body) for name, body in objects.pods.items()}
        return Objects(self._job[1] if self._job is not None else None, tuple(pair for _, pair in self._pods.values()))

    def _pod(self, name: str, body: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[str | None, PodView]]:
        known = self._pods.get(name)
        if known is not None and known[0] is body:
            return known
        return body, (_owner_of(body), pod_view(body, self._trainer))


def _owner_of(pod: Mapping[str, Any]) -> str | None:
    owners = pod["metadata"].get("ownerReferences") or []
    return next((str(owner["uid"]) for owner in owners if owner.get("uid")), None)
