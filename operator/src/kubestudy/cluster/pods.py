"""What a trial's pods tell of themselves. Pure. Source: core/v1 PodStatus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

from kubestudy.api.limits import POD_CONTAINERS, POD_MESSAGES, STATUS_TEXT, STATUS_WORD
from kubestudy.api.text import clean
from kubestudy.cluster.scheduling import in_short, never_fits
from kubestudy.cluster.timestamps import unix

_DISRUPTIONS = frozenset({"Evicted", "NodeLost", "Preempting", "Shutdown", "Terminated"})
_STARTING = frozenset({"ContainerCreating", "PodInitializing"})
_ADDRESS_LENGTH = 100


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


@dataclass(frozen=True, slots=True)
class ContainerState:
    """How far a container of a pod has come.

    Attributes:
        name: Its name.
        started: Unix time at which it first began to run.
        finished: Unix time at which it ended.
        exit_code: Its exit code.
        reason: Why it ended, in the kubelet's word.
        message: Its termination message.
    """

    name: str
    started: float | None = None
    finished: float | None = None
    exit_code: int | None = None
    reason: str | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What is kept of a pod, bounded: all that is read of it.

    Attributes:
        pod: The pod, without what only its trainer tells.
        containers: Its containers, one of which is the trainer.
    """

    pod: PodView
    containers: tuple[ContainerState, ...]


def pod_facts(body: Mapping[str, Any]) -> PodFacts:
    """Read a pod, as the API server sends it.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: It is none.
    """
    metadata, status = body["metadata"], body.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    why, too_large = _why_waiting(status, conditions)
    reason = _word(status.get("reason"))
    pod = PodView(
        name=str(metadata["name"]),
        uid=str(metadata.get("uid", "")),
        created=unix(metadata.get("creationTimestamp")) or 0.0,
        phase=_word(status.get("phase")) or "Pending",
        address=_address(status.get("podIP")),
        placed_at=_placed_at(body, conditions),
        disrupted=conditions.get("DisruptionTarget", {}).get("status") == "True" or reason in _DISRUPTIONS,
        why_waiting=why,
        too_large=too_large,
        pod_reason=reason,
        pod_message=_cut(status.get("message")),
        deleted_at=_deleted_at(metadata),
    )
    return PodFacts(pod, tuple(_containers(status.get("containerStatuses") or [])))


def _containers(statuses: Sequence[Mapping[str, Any]]) -> Iterator[ContainerState]:
    left = POD_MESSAGES.value
    for known in statuses[: POD_CONTAINERS.value]:
        state, before = known.get("state") or {}, (known.get("lastState") or {}).get("terminated") or {}
        terminated, running = state.get("terminated") or {}, state.get("running") or {}
        code = terminated.get("exitCode")
        message = str(terminated.get("message") or "")[:left]
        left -= len(message)
        yield ContainerState(
            name=str(known.get("name"))[: STATUS_WORD.value],
            started=unix(before.get("startedAt") or terminated.get("startedAt") or running.get("startedAt")),
            finished=unix(terminated.get("finishedAt")),
            exit_code=None if code is None else int(code),
            reason=_word(terminated.get("reason")),
            message=message,
        )


def _cut(text: Any) -> str | None:
    return None if text is None else str(text)[: STATUS_TEXT.value]


def _word(text: Any) -> str | None:
    return None if text is None else clean(str(text), STATUS_WORD.value)


def _address(text: Any) -> str | None:
    """Return a pod's address; it becomes part of a URL, so nothing else will do."""
    if not isinstance(text, str) or len(text) > _ADDRESS_LENGTH or "%" in text:  # a zone may be any text
        return None
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def pod_view(facts: PodFacts, trainer: str) -> PodView:
    """Return a pod with what its trainer tells.

    Args:
        facts: What is kept of the pod.
        trainer: The name of the container that trains.
    """
    known = next((state for state in facts.containers if state.name == trainer), None)
    if known is None:
        return facts.pod
    return replace(
        facts.pod,
        started=known.started,
        finished=known.finished,
        exit_code=known.exit_code,
        reason=known.reason,
        message=known.message,
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
        said = _cut(scheduled.get("message")) or ""
        return f"{_word(scheduled.get('reason')) or 'Unschedulable'}: {clean(in_short(said))}", never_fits(said)
    for group in ("initContainerStatuses", "containerStatuses"):
        for container in (status.get(group) or [])[: POD_CONTAINERS.value]:
            waiting = (container.get("state") or {}).get("waiting") or {}
            reason = _word(waiting.get("reason"))
            if reason and reason not in _STARTING:
                said = clean(_cut(waiting.get("message")) or "")
                return f"{reason} (container {_word(container['name'])}): {said}", False
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
