"""What an operator leaves behind, for others to go by: names in managedFields, log lines, events, ports, GPU time."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.cluster.cluster import Cluster, Operator, start_operator
from support.cluster.studies import Study, simulated_study
from support.wait import until

SHARES = {"nvidia.com/gpu": 0.5, "gpu.test": 0.25}


@pytest.fixture
def telling(cluster: Cluster, namespace: str, folder: Path) -> Iterator[Operator]:
    """An operator that writes its log as JSON, takes the Lease, and counts GPUs in its own way."""
    cluster.kubectl(
        "create", "rolebinding", "lease", "-n", namespace, "--clusterrole=cluster-admin",
        "--serviceaccount=kubestudy-system:kubestudy-operator",
    )  # fmt: skip
    operator = start_operator(
        cluster, folder, f"--namespace={namespace}", f"--lease-namespace={namespace}", "--log-format=json",
        environment={"KUBESTUDY_GPU_RESOURCES": json.dumps(SHARES), "KUBESTUDY_SERVICE": "ns/svc:history"},
    )  # fmt: skip
    yield operator
    assert operator.stop() == 0


@pytest.fixture
def study(cluster: Cluster, namespace: str) -> Study:
    return Study(cluster, namespace)


def _managers(body: Any) -> set[tuple[str, str]]:
    """Return who manages fields of an object, and by which subresource."""
    return {(entry["manager"], entry.get("subresource", "")) for entry in body["metadata"]["managedFields"]}


def _shown(cluster: Cluster, *what: str, namespace: str) -> Any:
    return json.loads(cluster.kubectl("get", *what, "-n", namespace, "-o", "json", "--show-managed-fields"))


@pytest.mark.usefixtures("telling")
def test_whatever_the_operator_writes_has_its_name(cluster: Cluster, study: Study) -> None:
    study.apply(simulated_study(run_for="never", budget={"maxTrials": 1}))
    job = until(lambda: study.jobs, what="a Job")[0]
    until(lambda: study.status.get("trials", {}).get("running"), what="a running trial")
    names = study.namespace, job["metadata"]["name"]
    assert ("kubestudy", "") in _managers(_shown(cluster, "job", names[1], namespace=names[0]))
    assert ("kubestudy", "status") in _managers(_shown(cluster, "hps", "sim", namespace=names[0]))
    events = until(lambda: _shown(cluster, "events", namespace=names[0])["items"], what="events")
    ours = [event for event in events if event["involvedObject"]["kind"] == "HyperparameterStudy"]
    assert ours and all(_managers(event) == {("kubestudy", "")} for event in ours)
    lease = _shown(cluster, "lease", "kubestudy-operator", namespace=names[0])
    assert _managers(lease) == {("kubestudy", "")}
    assert lease["spec"]["holderIdentity"]


def test_log_lines_say_which_study_they_are_about(telling: Operator, study: Study) -> None:
    study.apply(simulated_study(budget={"maxTrials": 3}))
    study.until_phase("Complete")
    lines = [json.loads(line) for line in telling.log.read_text().splitlines()]
    about = [line for line in lines if re.match(r"trial \d+ ended|looking after|MaxTrialsReached", line["message"])]
    assert len(about) == 5
    assert all((line["namespace"], line["study"]) == (study.namespace, "sim") for line in about)
    assert any(line["message"].startswith("leading as") and "study" not in line for line in lines)


def _code(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_histories_have_a_port_of_their_own_and_the_status_names_it(telling: Operator, study: Study) -> None:
    study.apply(simulated_study(budget={"maxTrials": 1}))
    assert study.until_phase("Complete")["historyService"] == "ns/svc:history"
    path = f"/studies/{study.namespace}/sim/{study.body['metadata']['uid']}"
    for what in ("history", "trials"):
        assert _code(telling.history_port, f"{path}/{what}") == 200
        assert _code(telling.port, f"{path}/{what}") == 404
    assert (_code(telling.port, "/metrics"), _code(telling.history_port, "/metrics")) == (200, 404)


@pytest.mark.usefixtures("telling")
def test_events_are_listed_in_their_order_and_the_last_best_is_among_them(cluster: Cluster, study: Study) -> None:
    objectives = [{"metric": "y", "goal": "minimize"}]
    study.apply(simulated_study(objectives=objectives, budget={"maxTrials": 60}, parallelism=20))
    best = study.until_phase("Complete")["best"]

    def told() -> list[str]:
        listed = cluster.kubectl("describe", "hps", "sim", "-n", study.namespace)
        return re.findall(r"NewBest .*  trial (\d+): y=", listed)

    until(lambda: told()[-1:] == [str(best["number"])], what="the best trial as the last NewBest")
    values = [float(m.partition("y=")[2].split(" ")[0]) for reason, m in study.events if reason == "NewBest"]
    assert values == sorted(values, reverse=True) and len(values) == len(set(values))


def test_gpus_count_by_the_shares_that_are_set(cluster: Cluster, telling: Operator, study: Study) -> None:
    limits = {"resources": {"limits": {"nvidia.com/gpu": 2}}}
    study.apply(simulated_study(container=limits, run_for="4s", budget={"maxTrials": 1}))
    assert 3.5 <= study.until_phase("Complete")["used"]["gpuSeconds"] <= 6


def _device_class() -> dict[str, Any]:
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceClass",
        "metadata": {"name": "gpu.test"},
        "spec": {"selectors": [{"cel": {"expression": "device.driver == 'driver.test'"}}]},
    }


def _slice(node: str) -> dict[str, Any]:
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": f"{node}-gpus"},
        "spec": {
            "driver": "driver.test",
            "nodeName": node,
            "pool": {"name": node, "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": f"gpu-{number}"} for number in range(8)],
        },
    }


def _claim_template(count: int) -> dict[str, Any]:
    requests = [{"name": "gpus", "exactly": {"deviceClassName": "gpu.test", "count": count}}]
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": "four"},
        "spec": {"spec": {"devices": {"requests": requests}}},
    }


def test_devices_of_claims_count_and_a_template_that_is_missing_is_named_and_waited_for(
    cluster: Cluster, telling: Operator, study: Study
) -> None:
    cluster.apply(_device_class(), *(_slice(f"simulated-{number}") for number in range(2)))
    pod = {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "four"}]}
    container = {"resources": {"claims": [{"name": "gpu"}]}}
    study.apply(simulated_study(pod=pod, container=container, run_for="4s", budget={"maxTrials": 1}))
    until(lambda: (study.condition("Degraded") or {}).get("reason") == "ResourceClaimMissing", what="Degraded")
    assert "resourceClaims[0].resourceClaimTemplateName four: there is none" in study.condition("Degraded")["message"]
    cluster.apply(_claim_template(4), namespace=study.namespace)
    used = study.until_phase("Complete")["used"]
    assert 3.5 <= used["gpuSeconds"] <= 6  # four of a quarter each
    assert not study.holds("Degraded")
    cluster.kubectl(
        "delete", "deviceclass/gpu.test", "resourceslice/simulated-0-gpus", "resourceslice/simulated-1-gpus"
    )
