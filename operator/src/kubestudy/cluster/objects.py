"""What the cache holds of a trial, as its stages look at it: each version of a pod is read once."""

from __future__ import annotations

from kubestudy.cluster.cache import TrialObjects
from kubestudy.cluster.job_stages import Objects
from kubestudy.cluster.origin import Origin, stranger
from kubestudy.cluster.pods import PodView, pod_view
from kubestudy.cluster.trial_objects import TrialPod


class ObjectReader:
    """Reads the objects of one trial.

    Args:
        trainer: The name of the container that trains.
    """

    def __init__(self, trainer: str) -> None:
        self._trainer = trainer
        self._pods: dict[str, tuple[TrialPod, PodView]] = {}

    def read(self, objects: TrialObjects | None, own: Origin, accepted: str | None) -> Objects:
        """Return what the cache holds of the trial.

        Args:
            objects: That; None: nothing.
            own: The storage and parameters of the trial: what another's Job tells, and its pods, are left out.
            accepted: The uid of a Job that is known to be the trial's own.
        """
        if objects is None:
            self._pods = {}
            return Objects()
        job = objects.job
        if job is not None and job.uid != accepted and stranger(job.origin, own) is not None:
            foreign, job = job.uid, None
        else:
            foreign = None
        self._pods = {pod.uid: (pod, self._view(pod)) for pod in objects.pods.values() if pod.job != foreign}
        pairs = tuple((pod.job, view) for pod, view in self._pods.values())
        return Objects(job.view if job is not None else None, pairs)

    def _view(self, pod: TrialPod) -> PodView:
        known = self._pods.get(pod.uid)
        if known is not None and known[0] is pod:
            return known[1]
        return pod_view(pod.facts, self._trainer)
