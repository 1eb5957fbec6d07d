"""How a trial's Job ended, by what it and its pods tell. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kubestudy.api import contract
from kubestudy.api.limits import LOG_END_BYTES
from kubestudy.api.reasons import Failure
from kubestudy.api.text import clean
from kubestudy.cluster.job_view import JobView
from kubestudy.cluster.pods import PodView, gpu_seconds
from kubestudy.study.message import parse_message, reason_in
from kubestudy.study.outcome import reason_of_exit
from kubestudy.study.trial import End, Result

_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit)(:|$)")
_DISRUPTED = "its pod was disrupted (preempted, evicted or lost with its node)"
_TAKEN_AWAY = "its pod was deleted"
_NEVER_STARTED = frozenset({Failure.START_ERROR, Failure.CANNOT_RUN})


def end_of(job: JobView, pods: Sequence[PodView], gpus: float) -> End | None:
    """Say how a trial's Job ended; None while it goes on, or while its last pod's end is not known yet.

    Args:
        job: The Job.
        pods: Its pods, oldest first, those that are gone included.
        gpus: How many GPUs a pod holds.
    """
    spent = gpu_seconds(pods, gpus)
    done = next((p for p in reversed(pods) if p.phase == "Succeeded"), None)
    # Where one pod is all there is to a Job, its success is the Job's: the Job controller tells of it a little later.
    if done is not None and (job.complete or job.one_pod):
        result = parse_message(done.message)
        if (done.disrupted or done.taken_away) and (result is None or not result.values):
            # Its script took SIGTERM for a good end: it said nothing of having finished.
            return _taken_away(done, result, spent)
        return End(True, False, "Completed", "it ended by itself", result, spent)
    if job.failed is None:
        return None
    if job.failed == Failure.DEADLINE:
        why = f"it ran longer than activeDeadlineSeconds ({job.deadline})"
        return End(False, False, Failure.DEADLINE, why, None, spent)
    last = next((p for p in reversed(pods) if p.over), None)
    return None if last is None else _failure(last, spent)


def end_without_pods(job: JobView) -> End:
    """Say how a Job ended whose pods are gone: somebody deleted them, and their last words with them."""
    if job.complete:
        return End(True, False, "Completed", "it ended, and its pod was deleted before its result was read", None)
    return End(False, True, Failure.POD_DELETED, _TAKEN_AWAY, None)


def _taken_away(pod: PodView, result: Result | None, spent: float) -> End:
    if pod.disrupted:
        why = clean(pod.pod_message or _DISRUPTED)
        return End(False, True, reason_in(pod.pod_reason) or Failure.DISRUPTED, why, result, spent)
    return End(False, True, Failure.POD_DELETED, _TAKEN_AWAY, result, spent)


def _failure(pod: PodView, spent: float) -> End:
    result = parse_message(pod.message)
    if pod.disrupted or pod.taken_away:
        return _taken_away(pod, result, spent)
    if pod.exit_code is None:
        reason = reason_in(pod.pod_reason) or Failure.ERROR
        return End(False, False, reason, clean(pod.pod_message or "its pod failed"), result, spent)
    said = ""
    if result is not None and result.invalid is not None and not result.values:
        # No termination message of ours: the kubelet put the end of the log there.
        said, result = last_line(pod.message), None
    how = f"exit code {pod.exit_code}: {said}" if said else f"exit code {pod.exit_code}"
    if pod.reason == Failure.OOM_KILLED:
        return End(False, False, Failure.OOM_KILLED, Failure.OOM_KILLED.meaning, result, spent)
    if pod.reason in _NEVER_STARTED:
        return End(False, False, str(pod.reason), said or how, None, spent, never_started=True)
    if pod.pod_reason == Failure.DEADLINE:
        return End(False, False, Failure.DEADLINE, "it ran longer than activeDeadlineSeconds", None, spent)
    if pod.exit_code == contract.EXIT_STOPPED and result is None:
        return End(False, True, Failure.STOPPED, "it was told to stop", None, spent)
    return End(False, False, reason_of_exit(pod.exit_code), how, result, spent)


def last_line(text: str) -> str:
    """Return the line of a log's end that tells most: an exception's last line, else the last that says anything.

    Standard output and standard error reach the log by two ways, so the last line need not be what was written last.
    """
    lines = [line for line in text[-LOG_END_BYTES.value :].splitlines() if line.strip()]
    telling = next((line for line in reversed(lines) if _EXCEPTION.match(line)), None)
    return clean(telling or (lines[-1] if lines else ""))
