"""What Jobs and pods tell of a trial."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kubestudy.cluster.ends import end_of, last_line
from kubestudy.cluster.job_stages import Objects, Present, Rules
from kubestudy.cluster.job_view import JobView, job_view
from kubestudy.cluster.pods import PodView, pod_facts, pod_view
from kubestudy.cluster.trial_job import step
from kubestudy.study.trial import Observed, TrialPhase

AT = "2026-01-31T12:00:00Z"
LATER = "2026-01-31T12:00:10Z"


def pod(phase: str, state: dict[str, Any] | None = None, **status: Any) -> PodView:
    containers = [
        {"name": "sidecar", "state": {"running": {"startedAt": AT}}},
        {"name": "trainer", "state": state or {}},
    ]
    body = {
        "metadata": {"name": "demo-0-abc", "creationTimestamp": AT},
        "status": {"phase": phase, "containerStatuses": containers, **status},
    }
    return pod_view(pod_facts(body), "trainer")


def terminated(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {
        "terminated": {"exitCode": code, "reason": reason, "message": message, "startedAt": AT, "finishedAt": LATER}
    }


def job(kind: str | None = None, reason: str = "") -> JobView:
    conditions = [{"type": kind, "status": "True", "reason": reason, "message": "m"}] if kind else []
    return job_view({"metadata": {}, "spec": {"activeDeadlineSeconds": 60}, "status": {"conditions": conditions}})


def observe(number: int, job: JobView, pods: list[PodView], gpus: float, port: int) -> Observed:
    objects = Objects(job, tuple((job.uid, pod) for pod in pods))
    observed = step(Present(job.uid), number, objects, 0.0, Rules(gpus=gpus, port=port)).observed
    assert observed is not None
    return observed


def test_a_running_trial_can_be_read_at_its_pods_address() -> None:
    running = pod("Running", {"running": {"startedAt": AT}}, podIP="10.0.0.7")
    observed = observe(3, job(), [running], 2, 9464)
    assert (observed.number, observed.phase, observed.gpus) == (3, TrialPhase.RUNNING, 2)
    assert observed.metrics_url == "http://10.0.0.7:9464/metrics"
    six = observe(3, job(), [pod("Running", {"running": {"startedAt": AT}}, podIP="fd00::7")], 0, 80)
    assert six.metrics_url == "http://[fd00::7]:80/metrics"


def test_a_complete_job_waits_for_the_news_of_its_pod() -> None:
    running = pod("Running", {"running": {"startedAt": AT}})
    assert end_of(job("Complete"), [running], 1) is None
    done = pod("Succeeded", terminated(0, "Completed", '{"values": {"loss": 1}}'))
    end = end_of(job("Complete"), [done], 2)
    assert end is not None and end.succeeded and end.result is not None
    assert end.result.values == {"loss": 1.0}
    assert end.gpu_seconds == 20.0


@pytest.mark.parametrize(
    ("last", "reason", "interrupted", "detail"),
    [
        (
            pod("Failed", terminated(1, message="Traceback\n  x\nValueError: bad\n\n")),
            "Error",
            False,
            "ValueError: bad",
        ),
        (pod("Failed", terminated(137, "OOMKilled")), "OOMKilled", False, "memory"),
        (pod("Failed", terminated(128, "StartError", "exec: no such file")), "StartError", False, "no such file"),
        (pod("Failed", terminated(143)), "Stopped", True, "stop"),
        (pod("Failed", None, reason="Evicted", message="low on memory"), "Evicted", True, "low on memory"),
        (
            pod("Failed", terminated(137), conditions=[{"type": "DisruptionTarget", "status": "True"}]),
            "Disrupted",
            True,
            "disrupted",
        ),
        (
            pod("Failed", None, reason="UnexpectedAdmissionError", message="no GPU"),
            "UnexpectedAdmissionError",
            False,
            "no GPU",
        ),
    ],
    ids=["error", "oom", "start", "sigterm", "evicted", "disrupted", "admission"],
)
def test_why_a_job_failed(last: PodView, reason: str, interrupted: bool, detail: str) -> None:
    end = end_of(job("Failed", "BackoffLimitExceeded"), [last], 0)
    assert end is not None
    assert (end.succeeded, end.interrupted, end.reason) == (False, interrupted, reason)
    assert detail in end.detail


def test_a_deadline_is_named() -> None:
    end = end_of(job("Failed", "DeadlineExceeded"), [pod("Failed", terminated(143))], 0)
    assert end is not None
    assert end.reason == "DeadlineExceeded"
    assert "activeDeadlineSeconds (60)" in end.detail


def test_the_trainers_own_reason_is_kept() -> None:
    said = '{"version": 1, "values": {}, "reason": "OutOfMemory", "message": "CUDA ran out"}'
    end = end_of(job("Failed"), [pod("Failed", terminated(4, message=said))], 0)
    assert end is not None and end.result is not None
    assert (end.result.reason, end.result.message) == ("OutOfMemory", "CUDA ran out")


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}]},
            "0/3",
        ),
        (
            {"containerStatuses": [{"name": "t", "state": {"waiting": {"reason": "ErrImagePull", "message": "404"}}}]},
            "404",
        ),
        ({"containerStatuses": [{"name": "t", "state": {"waiting": {"reason": "ContainerCreating"}}}]}, None),
        ({}, None),
    ],
)
def test_why_a_pod_waits(status: dict[str, Any], why: str | None) -> None:
    body = {"metadata": {"name": "demo-0-abc"}, "status": {"phase": "Pending", **status}}
    found = pod_view(pod_facts(body), "t").why_waiting
    assert (found is None) if why is None else (found is not None and why in found)


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("a\nb\n\n", "b"),
        ("Traceback (most recent call last):\n  x\nValueError: no file\nstarting\n", "ValueError: no file"),
        ("torch.cuda.OutOfMemoryError: 2 GiB\nbye", "torch.cuda.OutOfMemoryError: 2 GiB"),
        ("KeyboardInterrupt\n", "KeyboardInterrupt"),
        ("", ""),
    ],
)
def test_the_line_of_a_log_that_tells_most(log: str, line: str) -> None:
    assert last_line(log) == line


@pytest.mark.parametrize(("message", "finished"), [('{"values": {"y": 1}}', True), ("", False), ("bye", False)])
def test_a_disrupted_pod_that_exits_with_0_finished_only_if_it_says_so(message: str, finished: bool) -> None:
    """A script that takes SIGTERM for a good end has not finished."""
    ended = replace(pod("Succeeded", terminated(0, message=message)), disrupted=True)
    end = end_of(job("Complete"), [ended], 0)
    assert end is not None and (end.succeeded, end.interrupted) == (finished, not finished)
