"""What a trial's pods tell of themselves. Pure. Source: core/v1 PodStatus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kubestudy.api.text import shorten
from kubestudy.cluster.scheduling import in_short, never_fits
from kubestudy.cluster.timestamps import unix

_DISRUPTIONS = frozenset({"Evicted", "NodeLost", "Preempting", "Shutdown", "Terminated"})
_STARTING = frozenset({"ContainerCreating", "PodInitializing"})


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod of a trial.

    Attributes:
        name: Its name.
        uid: Its uid.
        created: Unix time of its creation.
        phase: Its phase.
        address: Its IP address, once it has one.
        placed_at: Unix time at which it got its node; None before.
        started: Unix time at which the trainer first began to run.
        finished: Unix time at which the trainer ended.
        exit_code: The trainer's exit code.
        reason: Why the trainer ended, in the kubelet's word: Completed, Error, OOMKilled, ...
        message: The trainer's termination message.
        disrupted: Whether it was evicted, preempted, or lost with its node.
        why_waiting: Why it has not started, if something is known of it.
        too_large: Whether no node could hold it, even an empty one.
        pod_reason: The pod's own reason, for instance Evicted.
        pod_message: The pod's own message.
        deleted_at: Unix time at which its deletion was asked for; None if it was not.
        gone: Whether it is not there any more.
    """

    name: str
    created: float
    phase: str
    uid: str = ""
    address: str | None = None
    placed_at: float | None = None
    started: float | None = None
    finished: float | None = None
    exit_code: int | None = None
    reason: str | None = None
    message: str = ""
    disrupted: bool = False
    why_waiting: str | None = None
    too_large: bool = False
    pod_reason: str | None = None
    pod_message: str | None = None
    deleted_at: float | None = None
    gone: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.gone or self.phase in ("Succeeded", "Failed")

    @property
    def taken_away(self) -> bool:
        """Whether somebody deleted it before its program had ended by itself."""
        if self.deleted_at is None:
            return self.gone and self.phase not in ("Succeeded", "Failed")
        # Times are of whole seconds.
        return self.finished is None or self.finished >= self.deleted_at - 1


def pod_view(pod: Mapping[str, Any], trainer: str) -> PodView:
    """Read a pod.

    Args:
        pod: The object, as the API server sends it.
        trainer: The name of the container that trains.
    """
    metadata, status = pod["metadata"], pod.get("status") or {}
    statuses = status.get("containerStatuses") or []
    known: Mapping[str, Any] = next((s for s in statuses if s.get("name") == trainer), {})
    state, before = known.get("state") or {}, (known.get("lastState") or {}).get("terminated") or {}
    terminated, running = state.get("terminated") or {}, state.get("running") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    why, too_large = _why_waiting(status, conditions)
    return PodView(
        name=metadata["name"],
        uid=str(metadata.get("uid", "")),
        created=unix(metadata.get("creationTimestamp")) or 0.0,
        phase=status.get("phase", "Pending"),
        address=status.get("podIP"),
        placed_at=_placed_at(pod, conditions),
        started=unix(before.get("startedAt") or terminated.get("startedAt") or running.get("startedAt")),
        finished=unix(terminated.get("finishedAt")),
        exit_code=terminated.get("exitCode"),
        reason=terminated.get("reason"),
        message=terminated.get("message") or "",
        disrupted=(
            conditions.get("DisruptionTarget", {}).get("status") == "True" or status.get("reason") in _DISRUPTIONS
        ),
        why_waiting=why,
        too_large=too_large,
        pod_reason=status.get("reason"),
        pod_message=status.get("message"),
        deleted_at=_deleted_at(metadata),
    )


def _deleted_at(metadata: Mapping[str, Any]) -> float | None:
    """Return when a deletion was asked for: the timestamp is when its grace period ends."""
    ends = unix(metadata.get("deletionTimestamp"))
    return None if ends is None else ends - float(metadata.get("deletionGracePeriodSeconds") or 0)


def _placed_at(pod: Mapping[str, Any], conditions: Mapping[str, Any]) -> float | None:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "True":
        return unix(scheduled.get("lastTransitionTime")) or unix(pod["metadata"].get("creationTimestamp"))
    has_node = bool((pod.get("spec") or {}).get("nodeName"))
    return unix(pod["metadata"].get("creationTimestamp")) if has_node else None


def _why_waiting(status: Mapping[str, Any], conditions: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Return why a pod has not started, and whether that is for its size."""
    if status.get("phase", "Pending") != "Pending":
        return None, False
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        said = scheduled.get("message", "")
        return f"{scheduled.get('reason', 'Unschedulable')}: {shorten(in_short(said))}", never_fits(said)
    for group in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(group) or []:
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") and waiting["reason"] not in _STARTING:
                said = shorten(waiting.get("message", ""))
                return f"{waiting['reason']} (container {container['name']}): {said}", False
    return None, False


def merged(before: Sequence[PodView], told: Sequence[PodView], now: float) -> tuple[PodView, ...]:
    """Return a trial's pods, oldest first: as last told, and those that are not there any more as they were.

    Args:
        before: The pods as known before.
        told: The pods that there are.
        now: Unix time.
    """
    there = {pod.name for pod in told}
    gone = [pod if pod.gone else _as_gone(pod, now) for pod in before if pod.name not in there]
    return tuple(sorted((*gone, *told), key=lambda pod: pod.created))


def _as_gone(pod: PodView, now: float) -> PodView:
    ran = pod.started is not None and pod.finished is None
    return replace(pod, gone=True, finished=now if ran else pod.finished)


def gpu_seconds(pods: Sequence[PodView], gpus: float) -> float:
    """Return GPUs times seconds of the pods that ended, by the kubelet's own times."""
    return gpus * sum(p.finished - p.started for p in pods if p.started is not None and p.finished is not None)
