"""A cluster that has no room, or that does not let trials start: what waits, what fails, and what is said of it."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import pytest

from support.cluster.cluster import Cluster
from support.cluster.simulated import PREFIX, node
from support.cluster.studies import Study, simulated_study
from support.wait import until

pytestmark = pytest.mark.usefixtures("operator")

GPU = {"resources": {"limits": {"nvidia.com/gpu": 1}}}


@pytest.fixture
def study(cluster: Cluster, namespace: str) -> Study:
    return Study(cluster, namespace)


def on(name: str) -> dict[str, Any]:
    """Return the part of a pod that keeps it to a node."""
    return {"nodeSelector": {"kubernetes.io/hostname": name}}


class Watched:
    """Looks at a study's status again and again until it is told to stop."""

    def __init__(self, study: Study) -> None:
        self._study, self._stop = study, threading.Event()
        self.statuses: list[Any] = []
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _look(self) -> None:
        while not self._stop.wait(0.2):
            self.statuses.append(self._study.status)

    def conditions(self, kind: str) -> list[Any]:
        return [c for status in self.statuses for c in status.get("conditions", []) if c["type"] == kind]


def test_a_full_cluster_costs_a_study_nothing(cluster: Cluster, study: Study, namespace: str) -> None:
    """Two GPUs, four trials at once, each longer than trialStartTimeout."""
    small = f"small-{namespace[-6:]}"
    cluster.apply(node(small, 2))
    with Watched(study) as watched:
        study.apply(
            simulated_study(
                pod=on(small), container=GPU, run_for="5s", parallelism=4, trialStartTimeout="3s",
                budget={"maxTrials": 8, "maxGpuHours": 10},
            )
        )  # fmt: skip
        counts = study.until_phase("Complete", seconds=120)["trials"]
    assert (counts["complete"], counts["failed"], counts["total"]) == (8, 0, 8)
    said = {c["message"] for c in watched.conditions("Progressing") if c["reason"] == "WaitingForRoom"}
    assert any("2 trials run, 2 wait for room" in text and "Insufficient nvidia.com/gpu" in text for text in said)
    assert not any("preemption" in text for text in said)
    assert not any(c["status"] == "True" for c in watched.conditions("Degraded"))
    assert {re.findall(r"(\d+) waits? for room", text)[0] for text in said if "no trials" not in text} <= {"1", "2"}


def test_a_node_that_appears_late_is_waited_for(cluster: Cluster, study: Study, namespace: str) -> None:
    late = f"late-{namespace[-6:]}"
    study.apply(simulated_study(pod=on(late), parallelism=20, trialStartTimeout="5s", budget={"maxTrials": 8}))
    until(lambda: study.waits_for_room, what="WaitingForRoom")
    time.sleep(7)  # longer than trialStartTimeout
    assert len(study.jobs) == 4, "the first round alone was asked for"
    cluster.apply(node(late, 2))
    counts = study.until_phase("Complete")["trials"]
    assert (counts["complete"], counts["failed"]) == (8, 0)


def test_what_no_node_can_ever_hold_is_said_and_mended(study: Study) -> None:
    limits = {"resources": {"limits": {"nvidia.com/gpu": 100000}}}
    study.apply(simulated_study(container=limits, budget={"maxTrials": 2}))
    until(lambda: (study.condition("Degraded") or {}).get("reason") == "NeverFits", what="NeverFits")
    assert "lower the request" in study.condition("Degraded")["message"]
    mended = {"name": "trainer", "image": "simulated", "args": ["--x=$(x)"], **GPU}
    study.patch(jobTemplate={"spec": {"template": {"spec": {"containers": [mended]}}}})
    counts = study.until_phase("Complete")["trials"]
    assert (counts["complete"], counts["failed"]) == (2, 0)
    assert not study.holds("Degraded")


def test_pods_that_are_not_allowed_are_told_of_in_the_words_of_the_one_who_refuses(
    cluster: Cluster, study: Study, namespace: str
) -> None:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    study.apply(simulated_study(budget={"maxTrials": 2}))
    until(lambda: (study.condition("Degraded") or {}).get("reason") == "PodsRefused", what="PodsRefused")
    message = study.condition("Degraded")["message"]
    assert 'violates PodSecurity "restricted:latest"' in message and "runAsNonRoot" in message
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce-")
    counts = study.until_phase("Complete", seconds=120)["trials"]
    assert (counts["complete"], counts["failed"]) == (2, 0)


def test_a_service_account_that_is_missing_is_named(cluster: Cluster, study: Study, namespace: str) -> None:
    study.apply(simulated_study(pod={"serviceAccountName": "trainer"}, budget={"maxTrials": 1}))
    until(lambda: (study.condition("Degraded") or {}).get("reason") == "PodsRefused", what="PodsRefused")
    assert 'serviceaccount "trainer" not found' in study.condition("Degraded")["message"]
    cluster.kubectl("create", "serviceaccount", "trainer", "-n", namespace)
    assert study.until_phase("Complete", seconds=120)["trials"]["complete"] == 1


def test_a_quota_on_processors_is_waited_for(cluster: Cluster, study: Study, namespace: str) -> None:
    quota = {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"},
        "spec": {"hard": {"requests.cpu": "1"}},
    }  # fmt: skip
    cluster.apply(quota, namespace=namespace)
    one = {"resources": {"requests": {"cpu": "1"}}}
    study.apply(simulated_study(container=one, run_for="10s", parallelism=2, budget={"maxTrials": 2}))
    said = until(lambda: study.waits_for_room, what="WaitingForRoom")
    assert "exceeded quota: few" in said
    assert not study.holds("Degraded")
    counts = study.until_phase("Complete", seconds=150)["trials"]
    assert (counts["complete"], counts["failed"]) == (2, 0)


def test_trials_that_cannot_start_beside_one_that_runs_for_long(study: Study) -> None:
    study.apply(
        simulated_study(
            run_for="never", parallelism=1, trialStartTimeout="2s", budget={"maxTrials": 20, "maxFailedTrials": 9}
        )
    )
    until(lambda: study.status.get("trials", {}).get("running") == 1, what="a running trial")
    marks = {f"{PREFIX}/waiting": "ErrImagePull"}
    study.patch(parallelism=3, jobTemplate={"spec": {"template": {"metadata": {"annotations": marks}}}})
    until(lambda: (study.condition("Degraded") or {}).get("reason") == "TrialsCannotStart", what="TrialsCannotStart")
    assert "ErrImagePull" in study.condition("Degraded")["message"]
    counts = study.status["trials"]
    assert (counts["running"], counts["failed"]) == (1, 3)
    assert counts["total"] <= 6
    study.patch(jobTemplate={"spec": {"template": {"metadata": {"annotations": {f"{PREFIX}/waiting": None}}}}})
    until(lambda: study.status["trials"]["running"] == 3, what="three running trials")
    assert not study.holds("Degraded")


@pytest.mark.parametrize("how", [(), ("--force", "--grace-period=0")], ids=["in peace", "by force"])
def test_a_pod_deleted_by_hand_runs_again_and_counts_as_no_failure(
    cluster: Cluster, study: Study, namespace: str, how: tuple[str, ...]
) -> None:
    study.apply(simulated_study(run_for="6s", budget={"maxTrials": 1, "maxFailedTrials": 1}))
    until(lambda: study.status.get("trials", {}).get("running"), what="a running trial")
    (pod,) = cluster.get("pods", namespace=namespace)["items"]
    cluster.kubectl("delete", "pod", pod["metadata"]["name"], "-n", namespace, *how)
    counts = study.until_phase("Complete")["trials"]
    assert (counts["complete"], counts["failed"], counts["total"]) == (1, 0, 1)


def test_a_failed_trials_job_stays_for_a_while_and_others_go(study: Study) -> None:
    study.apply(simulated_study(annotations={"exit-code": "7"}, budget={"maxTrials": 1}, failedJobsHistoryTTL="1h"))
    study.until_phase("Failed")
    (job,) = study.jobs
    assert until(lambda: study.jobs[0]["spec"]["ttlSecondsAfterFinished"] == 3600, what="the Job's time to stay")
    short = Study(study.cluster, study.namespace, "short").apply(
        simulated_study("short", annotations={"exit-code": "7"}, budget={"maxTrials": 1}, failedJobsHistoryTTL="1s")
    )
    short.until_phase("Failed")
    until(lambda: not short.jobs, what="the Job to go")
    assert [left["metadata"]["uid"] for left in study.jobs] == [job["metadata"]["uid"]]
