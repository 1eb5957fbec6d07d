"""A study in a real cluster, from kubectl apply to its end, on simulated nodes."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from support.cluster.cluster import Cluster, Operator
from support.cluster.processes import ClusterError
from support.cluster.simulated import PREFIX
from support.cluster.studies import Study, simulated_study
from support.wait import until

pytestmark = pytest.mark.usefixtures("operator")


@pytest.fixture
def study(cluster: Cluster, namespace: str) -> Study:
    return Study(cluster, namespace)


def test_a_study_runs_to_its_end(cluster: Cluster, study: Study) -> None:
    study.apply(simulated_study(container={"resources": {"limits": {"nvidia.com/gpu": 2}}}, run_for="1s"))
    cluster.kubectl("wait", "--for=condition=Complete", "hps/sim", "-n", study.namespace, "--timeout=180s")
    status = study.status
    assert status["trials"] == {
        "total": 6, "running": 0, "pending": 0, "measuring": 0,
        "complete": 6, "infeasible": 0, "pruned": 0, "failed": 0, "stopped": 0,
    }  # fmt: skip
    best = status["best"]
    assert best["values"]["y"] == pytest.approx(best["params"]["x"])
    assert best["job"].startswith("sim-")
    assert 10 <= status["used"]["gpuSeconds"] <= 30
    until(lambda: not study.jobs, what="the last Job's deletion")
    line = cluster.kubectl("get", "hps", "-n", study.namespace).splitlines()
    assert line[0].split() == ["NAME", "PHASE", "TRIALS", "RUNNING", "BEST", "DEGRADED", "AGE"]
    assert line[1].split()[:4] == ["sim", "Complete", "6/6", "0"]
    reasons = until(lambda: {"Started", "NewBest", "MaxTrialsReached"} <= {r for r, _ in study.events}, what="events")
    assert reasons


def test_no_finalizer_and_no_annotation_is_left_on_a_study(study: Study) -> None:
    study.apply(simulated_study())
    study.until_phase("Complete")
    metadata = study.body["metadata"]
    assert "finalizers" not in metadata
    assert all("kopf" not in key for key in metadata.get("annotations", {}))


def test_kubectl_explain_reads_well(cluster: Cluster) -> None:
    said = cluster.kubectl("explain", "hps.spec.parameters")
    for field in ("low", "high", "choices", "when", "log"):
        assert f"  {field}\t" in said
    assert "environment variable" in said


def test_what_cannot_be_is_refused_when_it_is_applied(study: Study) -> None:
    wrong = simulated_study(parameters=[{"name": "PATH", "type": "float", "low": 2, "high": 1}], budget={})
    with pytest.raises(ClusterError) as refused:
        study.apply(wrong)
    said = str(refused.value)
    for path in ("spec.parameters[0].name", "spec.parameters[0]", "spec.budget"):
        assert path in said


def test_a_fixed_field_cannot_change_once_the_study_has_started(study: Study) -> None:
    study.apply(simulated_study())
    study.until_phase("Complete")
    with pytest.raises(ClusterError, match=r"spec.objectives cannot change once the study has started"):
        study.patch(objectives=[{"metric": "y", "goal": "maximize"}])


def test_what_only_the_operator_can_judge_fails_the_study_with_a_sentence(study: Study) -> None:
    study.apply(simulated_study(sampler={"name": "tpe", "options": {"n_startup": 1}}))
    study.until_phase("Failed")
    failed = study.condition("Failed")
    assert failed["reason"] == "InvalidSpec"
    assert "spec.sampler.options.n_startup" in failed["message"]
    assert "did you mean n_startup_trials?" in failed["message"]
    study.patch(sampler={"options": {"n_startup": None, "n_startup_trials": 1}})
    study.until_phase("Complete")


def test_a_wrong_job_template_fails_the_study_with_the_api_servers_words(study: Study) -> None:
    study.apply(simulated_study(container={"volumeMounts": [{"name": "data", "mountPath": "/data"}]}))
    study.until_phase("Failed")
    failed = study.condition("Failed")
    assert failed["reason"] == "InvalidJobTemplate"
    assert (
        'spec.jobTemplate.spec.template.spec.containers[0].volumeMounts[0].name: Not found: "data"' in failed["message"]
    )
    until(lambda: not study.jobs, what="the last Job's deletion")


def test_suspending_keeps_the_trials_and_the_time(study: Study) -> None:
    study.apply(simulated_study(run_for="never", budget={"maxTrials": 3}))
    until(lambda: study.status.get("trials", {}).get("running") == 3, what="three running trials")
    before = {job["metadata"]["labels"]["kubestudy.dev/trial"]: _params(job) for job in study.jobs}
    study.patch(suspend=True)
    status = study.until_phase("Suspended")
    assert (status["trials"]["running"], status["trials"]["pending"]) == (0, 3)
    until(lambda: not study.jobs, what="the last Job's deletion")
    until(lambda: "Suspended" in {reason for reason, _ in study.events}, what="the event Suspended")
    time.sleep(3)  # a second run of the loop, which would tell it again, comes at once
    told = [reason for reason, _ in study.events]
    assert (told.count("Suspended"), told.count("Resumed")) == (1, 0)
    study.patch(suspend=False, budget={"maxTrials": 3, "maxDuration": "1h"})
    until(lambda: study.status.get("trials", {}).get("running") == 3, what="three running trials again")
    assert {job["metadata"]["labels"]["kubestudy.dev/trial"]: _params(job) for job in study.jobs} == before
    assert study.status["used"]["seconds"] < 30
    assert "Resumed" in {reason for reason, _ in study.events}


def test_parallelism_and_budget_change_while_it_runs_and_a_larger_budget_wakes_it(study: Study) -> None:
    study.apply(simulated_study(run_for="2s", parallelism=1, budget={"maxTrials": 7}))
    until(lambda: study.status.get("trials", {}).get("running"), what="a running trial")
    study.patch(parallelism=3)
    until(lambda: study.status["trials"]["running"] + study.status["trials"]["pending"] == 3, what="three at once")
    study.until_phase("Complete")
    study.patch(budget={"maxTrials": 8})
    assert study.until_phase("Complete")["trials"]["complete"] == 8


def test_deleting_a_study_takes_its_jobs_along_and_one_of_the_same_name_begins_anew(study: Study) -> None:
    study.apply(simulated_study(run_for="never"))
    until(lambda: len(study.jobs) == 3, what="three Jobs")
    old = {job["metadata"]["name"] for job in study.jobs}
    study.cluster.kubectl("delete", "hps", "sim", "-n", study.namespace, "--timeout=60s")
    study.apply(simulated_study())
    status = study.until_phase("Complete")
    assert status["trials"]["total"] == 6
    assert status["best"]["job"] not in old
    until(lambda: not study.jobs, what="no Jobs")


@pytest.mark.parametrize(
    ("annotations", "reason", "says"),
    [
        ({"exit-code": "1", "message": "Traceback\nValueError: no such file"}, "Error", "no such file"),
        ({"exit-code": "137", "reason": "OOMKilled"}, "OOMKilled", "more memory than its limit"),
        ({"message": "no result here"}, "InvalidResult", "no result here"),
        ({"message": json.dumps({"version": 1, "values": {"z": 1}})}, "MissingMetric", "without y"),
        ({"message": json.dumps({"version": 1, "values": {"y": "NaN"}})}, "NonFiniteMetric", "nan"),
        (
            {
                "exit-code": "2",
                "message": json.dumps({"version": 1, "reason": "BadParameters", "message": "lr is odd"}),
            },
            "BadParameters",
            "lr is odd",
        ),
    ],
    ids=["error", "oom", "invalid", "missing", "nan", "bad-parameters"],
)
def test_failed_trials_end_the_study_with_their_reason(
    study: Study, annotations: dict[str, str], reason: str, says: str
) -> None:
    study.apply(simulated_study(annotations=annotations, budget={"maxTrials": 9, "maxFailedTrials": 2}, parallelism=1))
    status = study.until_phase("Failed")
    failed = study.condition("Failed")
    assert failed["reason"] == "MaxFailedTrialsReached"
    assert f": {reason}: " in failed["message"]
    assert says in failed["message"]
    assert status["trials"]["failed"] == 2
    assert any(name == "TrialFailed" and says in message for name, message in study.events)


def test_a_trial_that_cannot_start_is_told_of_while_it_waits_and_none_is_burnt(study: Study) -> None:
    study.apply(
        simulated_study(
            annotations={"waiting": "ErrImagePull"},
            budget={"maxTrials": 50, "maxFailedTrials": 20},
            parallelism=2,
            trialStartTimeout="4s",
        )
    )
    until(lambda: study.holds("Degraded"), what="Degraded")
    assert "ErrImagePull" in study.condition("Degraded")["message"]
    until(lambda: (study.condition("Degraded") or {}).get("reason") == "TrialsCannotStart", what="TrialsCannotStart")
    assert study.status["trials"]["failed"] <= 3
    assert study.status["trials"]["total"] <= 5


def test_a_mended_template_starts_waiting_trials_anew(study: Study) -> None:
    study.apply(simulated_study(annotations={"waiting": "ErrImagePull"}, budget={"maxTrials": 2}, parallelism=2))
    until(lambda: study.holds("Degraded"), what="Degraded")
    until(lambda: any(r == "TrialWaiting" and "ErrImagePull" in m for r, m in study.events), what="an event")
    study.patch(jobTemplate={"spec": {"template": {"metadata": {"annotations": {f"{PREFIX}/waiting": None}}}}})
    counts = study.until_phase("Complete")["trials"]
    assert (counts["complete"], counts["failed"], counts["total"]) == (2, 0, 2)
    assert not study.holds("Degraded")


def test_a_job_deleted_by_hand_runs_again_under_the_same_number(study: Study) -> None:
    study.apply(simulated_study(run_for="never", budget={"maxTrials": 1}))
    first = until(lambda: study.jobs, what="a Job")[0]
    study.cluster.kubectl("delete", "job", first["metadata"]["name"], "-n", study.namespace)
    until(lambda: any(j["metadata"]["uid"] != first["metadata"]["uid"] for j in study.jobs), what="the Job again")
    (again,) = study.jobs
    assert (again["metadata"]["name"], _params(again)) == (first["metadata"]["name"], _params(first))
    assert study.status["trials"]["total"] == 1


def test_an_evicted_pod_runs_again_and_counts_as_no_failure(study: Study) -> None:
    study.apply(simulated_study(run_for="6s", budget={"maxTrials": 1, "maxFailedTrials": 1}))
    until(lambda: study.status.get("trials", {}).get("running"), what="a running trial")
    pods = study.cluster.get("pods", namespace=study.namespace)["items"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pods[0]["metadata"]["name"]}}
    path = f"/api/v1/namespaces/{study.namespace}/pods/{pods[0]['metadata']['name']}/eviction"
    study.cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    status = study.until_phase("Complete")
    assert (status["trials"]["complete"], status["trials"]["failed"]) == (1, 0)


def test_a_suspended_job_is_left_alone(study: Study) -> None:
    study.apply(simulated_study(job={"suspend": True}, budget={"maxTrials": 1}, trialStartTimeout="2s"))
    job = until(lambda: study.jobs, what="a Job")[0]
    time.sleep(5)  # more than twice trialStartTimeout
    (after,) = study.jobs
    assert after["spec"]["suspend"] is True
    assert after["metadata"]["uid"] == job["metadata"]["uid"]
    study.cluster.patch("job", job["metadata"]["name"], {"spec": {"suspend": False}}, study.namespace)
    study.until_phase("Complete")


def test_a_quota_is_waited_for(cluster: Cluster, study: Study) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few"},
        "spec": {"hard": {"count/jobs.batch": "1"}},
    }
    cluster.apply(quota, namespace=study.namespace)
    study.apply(simulated_study(budget={"maxTrials": 3}, parallelism=3, run_for="2s"))
    waits = until(lambda: study.waits_for_room, what="WaitingForRoom")
    assert "exceeded quota: few" in waits
    status = study.until_phase("Complete")
    assert status["trials"]["complete"] == 3
    assert not study.holds("Degraded")


def _params(job: Any) -> str:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    found: str = next(v["value"] for v in container["env"] if v["name"] == "KUBESTUDY_TRIALS")
    return found


def test_the_operator_is_alive_and_ready(operator: Operator) -> None:
    assert operator.process.poll() is None
