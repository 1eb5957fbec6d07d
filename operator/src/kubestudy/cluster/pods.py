"""What a trial's Job and pods tell of it. Pure.

Source: core/v1 PodStatus, batch/v1 JobStatus.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from kubestudy.api import contract
from kubestudy.api.text import shorten
from kubestudy.study.message import parse_message
from kubestudy.study.trial import End, Observed, TrialPhase

# Trials that fail for these never ran: the fault may well not be theirs.
NEVER_STARTED = frozenset({"StartTimeout", "StartError", "ContainerCannotRun"})
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit)(:|$)")
_DISRUPTED = "its pod was disrupted (preempted, evicted or lost with its node)"
_KUBELET_START_ERRORS = frozenset({"StartError", "ContainerCannotRun"})


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod of a trial.

    Attributes:
        name: Its name.
        created: Unix time of its creation.
        phase: Its phase.
        address: Its IP address, once it has one.
        started: Unix time at which the trainer began to run.
        finished: Unix time at which the trainer ended.
        exit_code: The trainer's exit code.
        reason: Why the trainer ended, in the kubelet's word: Completed, Error, OOMKilled, ...
        message: The trainer's termination message.
        disrupted: Whether it was evicted, preempted, or lost with its node.
        why_waiting: Why it has not started, if something is wrong.
        pod_reason: The pod's own reason, for instance Evicted.
        pod_message: The pod's own message.
        deleting: Whether it is being deleted.
    """

    name: str
    created: float
    phase: str
    address: str | None = None
    started: float | None = None
    finished: float | None = None
    exit_code: int | None = None
    reason: str | None = None
    message: str = ""
    disrupted: bool = False
    why_waiting: str | None = None
    pod_reason: str | None = None
    pod_message: str | None = None
    deleting: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.phase in ("Succeeded", "Failed")


def unix(timestamp: str | None) -> float | None:
    """Return a Kubernetes timestamp as Unix time."""
    return None if timestamp is None else datetime.fromisoformat(timestamp).timestamp()


def pod_view(pod: Mapping[str, Any], trainer: str) -> PodView:
    """Read a pod.

    Args:
        pod: The object, as the API server sends it.
        trainer: The name of the container that trains.
    """
    metadata, status = pod["metadata"], pod.get("status") or {}
    statuses = status.get("containerStatuses") or []
    state = next((s.get("state") or {} for s in statuses if s.get("name") == trainer), {})
    terminated, running = state.get("terminated") or {}, state.get("running") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    disruption = conditions.get("DisruptionTarget", {}).get("status") == "True"
    return PodView(
        name=metadata["name"],
        created=unix(metadata.get("creationTimestamp")) or 0.0,
        phase=status.get("phase", "Pending"),
        address=status.get("podIP"),
        started=unix(terminated.get("startedAt") or running.get("startedAt")),
        finished=unix(terminated.get("finishedAt")),
        exit_code=terminated.get("exitCode"),
        reason=terminated.get("reason"),
        message=terminated.get("message") or "",
        disrupted=disruption or status.get("reason") in ("Evicted", "NodeLost", "Preempting", "Shutdown", "Terminated"),
        why_waiting=_why_waiting(status, conditions),
        pod_reason=status.get("reason"),
        pod_message=status.get("message"),
        deleting="deletionTimestamp" in metadata,
    )


def _why_waiting(status: Mapping[str, Any], conditions: Mapping[str, Any]) -> str | None:
    if status.get("phase", "Pending") != "Pending":
        return None
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return f"{scheduled.get('reason', 'Unschedulable')}: {shorten(scheduled.get('message', ''))}"
    for group in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(group) or []:
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
                return f"{waiting['reason']} (container {container['name']}): {shorten(waiting.get('message', ''))}"
    return None


def condition(job: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """Return a Job's condition of a type, if it holds."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind and c["status"] == "True"), None)


def gpu_seconds(pods: Sequence[PodView], gpus: float) -> float:
    """Return GPUs times seconds of the pods that ended, by the kubelet's own times."""
    return gpus * sum(p.finished - p.started for p in pods if p.started is not None and p.finished is not None)


def observe(number: int, job: Mapping[str, Any] | None, pods: Sequence[PodView], gpus: float, port: int) -> Observed:
    """Say where a trial is.

    Args:
        number: Its number.
        job: Its Job; None once that is gone, or while it is being created.
        pods: Its pods, oldest first.
        gpus: How many GPUs a pod of it holds.
        port: The port its metrics are served on.
    """
    started = min((p.started for p in pods if p.started is not None), default=None)
    running = next((p for p in reversed(pods) if p.phase == "Running" and p.started is not None), None)
    end = end_of(job, pods, gpus) if job is not None else None
    if end is not None:
        at = max((p.finished for p in pods if p.finished is not None), default=None)
        names = tuple(p.name for p in pods)
        return Observed(number, TrialPhase.ENDED, started, 0, None, replace(end, at=at), pods=names)
    if running is None:
        return Observed(number, TrialPhase.PENDING)
    url = f"http://{_host(running.address)}:{port}/metrics" if running.address else None
    return Observed(number, TrialPhase.RUNNING, running.started, gpus, url, pod=running.name)


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def end_of(job: Mapping[str, Any], pods: Sequence[PodView], gpus: float) -> End | None:
    """Say how a trial's Job ended; None while it goes on, or while its last pod's end is not known yet."""
    spent = gpu_seconds(pods, gpus)
    done = next((p for p in reversed(pods) if p.phase == "Succeeded"), None)
    # Where one pod is all there is to a Job, its success is the Job's: the Job controller tells of it a little later.
    if done is not None and (condition(job, "Complete") or job["spec"].get("completions") == 1):
        result = parse_message(done.message)
        if done.disrupted and (result is None or not result.values):
            # Its script took SIGTERM for a good end: it said nothing of having finished.
            return End(False, True, done.pod_reason or "Disrupted", _DISRUPTED, result, spent)
        return End(True, False, "Completed", "it ended by itself", result, spent)
    if condition(job, "Complete"):
        return None
    failed = condition(job, "Failed")
    if failed is None:
        return None
    last = next((p for p in reversed(pods) if p.over), None)
    if failed.get("reason") == "DeadlineExceeded":
        limit = job["spec"].get("activeDeadlineSeconds")
        return End(False, False, "DeadlineExceeded", f"it ran longer than activeDeadlineSeconds ({limit})", None, spent)
    if last is None:
        return End(False, False, str(failed.get("reason", "Error")), shorten(failed.get("message", "")), None, spent)
    return _failure(last, spent)


def failure_without_pods(job: Mapping[str, Any]) -> End:
    """Say how a Job ended whose pods are gone: its own words are all there is."""
    if condition(job, "Complete"):
        return End(True, False, "Completed", "it ended, and its pod was deleted before its result was read", None)
    failed = condition(job, "Failed") or {}
    return End(False, False, str(failed.get("reason", "Error")), shorten(failed.get("message", "")), None)


def _failure(pod: PodView, spent: float) -> End:
    result = parse_message(pod.message)
    if pod.disrupted:
        why = pod.pod_message or _DISRUPTED
        return End(False, True, pod.pod_reason or "Disrupted", shorten(why), result, spent)
    if pod.exit_code is None:
        reason = pod.pod_reason or "Error"
        return End(False, False, reason, shorten(pod.pod_message or "its pod failed"), result, spent)
    said = ""
    if result is not None and result.invalid is not None and not result.values:
        # No termination message of ours: the kubelet put the end of the log there.
        said, result = last_line(pod.message), None
    how = f"exit code {pod.exit_code}: {said}" if said else f"exit code {pod.exit_code}"
    if pod.reason == "OOMKilled":
        return End(False, False, "OOMKilled", "it used more memory than its limit allows", result, spent)
    if pod.reason in _KUBELET_START_ERRORS:
        return End(False, False, str(pod.reason), said or how, None, spent)
    if pod.pod_reason == "DeadlineExceeded":
        return End(False, False, "DeadlineExceeded", "it ran longer than activeDeadlineSeconds", None, spent)
    if pod.exit_code == contract.EXIT_STOPPED and result is None:
        return End(False, True, "Stopped", "it was told to stop", None, spent)
    return End(False, False, "Error", how, result, spent)


def last_line(text: str) -> str:
    """Return the line of a log's end that tells most: an exception's last line, else the last that says anything.

    Standard output and standard error reach the log by two ways, so the last line need not be what was written last.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    telling = next((line for line in reversed(lines) if _EXCEPTION.match(line)), None)
    return shorten(telling or (lines[-1] if lines else ""))
