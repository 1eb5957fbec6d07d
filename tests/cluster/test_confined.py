"""An operator with rights in one namespace only, and studies made to break one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.cluster.cluster import ACCOUNT, DEPLOY, Cluster, Operator, start_operator
from support.cluster.processes import ClusterError
from support.cluster.studies import Study, simulated_study
from support.wait import until


def _rendered(cluster: Cluster, folder: Path, namespace: str) -> list[dict[str, Any]]:
    """Return the manifests of the namespaced operator, as a kustomization of one's own moves them elsewhere."""
    base = os.path.relpath(DEPLOY.with_name("deploy-namespaced"), folder)
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({"namespace": namespace, "resources": [base]}))
    return [d for d in yaml.safe_load_all(cluster.kubectl("kustomize", folder)) if d]


def test_an_operator_needs_no_right_outside_its_namespace(own_cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    cluster = own_cluster
    manifests = _rendered(cluster, tmp_path, namespace)
    cluster.apply(
        *(m for m in manifests if m["kind"] in ("ServiceAccount", "Role", "RoleBinding")), namespace=namespace
    )
    (deployment,) = (m for m in manifests if m["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {
        "name": "KUBESTUDY_NAMESPACES",
        "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}},
    } in container["env"]
    account = f"system:serviceaccount:{namespace}:{ACCOUNT}"
    token = cluster.kubectl("create", "token", ACCOUNT, "-n", namespace).strip()
    kubeconfig = cluster.access.kubeconfig_for(token, tmp_path / "kubeconfig", namespace)
    operator = start_operator(
        cluster, tmp_path / "operator", f"--namespace={namespace}", f"--lease-namespace={namespace}",
        environment={"KUBECONFIG": str(kubeconfig)},
    )  # fmt: skip
    study = Study(cluster, namespace).apply(simulated_study())
    assert study.until_phase("Complete")["trials"]["complete"] == 6
    until(lambda: not study.jobs, what="no Jobs")
    assert operator.stop() == 0
    asked = cluster.audit(account)
    assert {entry["objectRef"]["resource"] for entry in asked if "objectRef" in entry} >= {"jobs", "pods", "leases"}
    assert not [entry for entry in asked if '"Forbidden"' in json.dumps(entry["responseStatus"])]


def _nested(depth: int) -> Any:
    inner: Any = 1
    for _ in range(depth):
        inner = {"a": inner}
    return inner


def _many(count: int) -> list[dict[str, Any]]:
    return [{"name": f"p{number}", "type": "float", "low": 0, "high": 1} for number in range(count)]


HUGE = {"name": "x", "type": "categorical", "choices": [f"{number}" * 3000 for number in range(90)]}
HOSTILE: dict[str, dict[str, Any]] = {
    "ten-thousand-parameters": {"parameters": _many(10_000)},
    "a-hundred-parameters": {"parameters": [*_many(99), {"name": "x", "type": "float", "low": 0, "high": 1}]},
    "deep-options": {"sampler": {"name": "tpe", "options": _nested(150)}},
    "deep-template": {"job": {"podFailurePolicy": _nested(500)}},
    "huge-choices": {"parameters": [HUGE]},
    "control-characters": {
        "parameters": [{"name": "x", "type": "categorical", "choices": ["\u202e\u0007" * 100, "b", "$(PATH)", "c\nd"]}],
        "container": {"args": ["$(" * 5000]},
    },
    "unicode-name": {"parameters": [{"name": "λ\u200b", "type": "float", "low": 0, "high": 1}]},
    "infinite-range": {"parameters": [{"name": "x", "type": "float", "low": -1.7e308, "high": 1.7e308}]},
    "enormous-grid": {
        "sampler": {"name": "grid"},
        "parameters": [{"name": f"p{n}", "type": "int", "low": 0, "high": 10**6} for n in range(20)],
    },
    "huge-options": {"pruner": {"name": "median", "options": {"n_warmup_steps": 10**300}}},
    "huge-parallelism": {"parallelism": 10**9},
    "no-containers": {"pod": {"containers": []}},
    "odd-resources": {"container": {"resources": {"limits": {"nvidia.com/gpu": "1e99"}}}},
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_studies_are_refused_or_told_of_and_others_go_on(
    cluster: Cluster, operator: Operator, namespace: str, name: str
) -> None:
    odd = Study(cluster, namespace, "odd")
    try:
        odd.apply(simulated_study("odd", **HOSTILE[name]))
    except ClusterError as refusal:
        assert "odd" in str(refusal)
    else:
        until(lambda: odd.status.get("phase") in ("Running", "Complete", "Failed"), what="a phase")
        told = odd.condition("Failed")
        assert told["status"] == "False" or told["message"]
    fine = Study(cluster, namespace, "fine").apply(simulated_study("fine", budget={"maxTrials": 1}))
    fine.until_phase("Complete")
    assert operator.process.poll() is None
    cluster.kubectl("delete", "hps", "--all", "-n", namespace, "--timeout=120s")
