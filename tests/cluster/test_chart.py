"""The Helm chart, by real Helm: on the real cluster, with the operator's rights as it renders them."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from support.cluster import images
from support.cluster.cluster import CRD, DEPLOY, ROOT, Cluster
from support.cluster.dashboards import panels
from support.cluster.deployed import make_volume
from support.cluster.helm import Helm
from support.cluster.prometheus import Prometheus
from support.cluster.studies import ON_REAL_NODE, Study, container_study, simulated_study
from support.cluster.tools import HELM_DOCS
from support.wait import until

pytestmark = pytest.mark.timeout(900)

CHART = ROOT / "charts" / "kubestudy"
NAMESPACE, RELEASE = "kubestudy-helm", "tuning"
NAME = f"{RELEASE}-kubestudy"
# Every switch of the values that changes what is rendered.
COMBINATIONS: list[dict[str, Any]] = [
    {},
    {"namespaces": ["team-a", "team-b"], "rbac": {"historyGroups": ["people"]}},
    {"replicas": 2, "storage": {"urlSecret": {"name": "db", "key": "url"}}},
    {"replicas": 2, "storage": {"persistence": {"accessModes": ["ReadWriteMany"], "storageClassName": "nfs"}}},
    {"storage": {"url": "sqlite:////var/lib/kubestudy/db", "persistence": {"enabled": False}}},
    {"storage": {"persistence": {"existingClaim": "mine", "keep": False}}},
    {
        "prometheus": {
            "url": "http://prometheus:9090",
            "secret": "prom",
            "secretKeys": ["token", "username", "password", "ca.crt", "tls.crt", "tls.key"],
            "headers": {"X-Scope-OrgID": "team"},
        }
    },
    {"crds": {"install": False}, "rbac": {"create": False, "aggregate": False}, "serviceAccount": {"create": False}},
    {"crds": {"keep": False}, "networkPolicy": {"enabled": True}, "fullnameOverride": "other"},
    {
        "optunaDashboard": {"enabled": True},
        "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Tuning"}},
    },
    {"optunaDashboard": {"enabled": True}, "networkPolicy": {"enabled": True}},
    {
        "optunaDashboard": {"enabled": True},
        "storage": {"urlSecret": {"name": "db", "key": "url"}},
        "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {}}]},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "fullnameOverride": "x" * 50,
    },
    {"networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {}}]}, "priorityClassName": "high"},
    {
        "imagePullSecrets": [{"name": "regcred"}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "podLabels": {"team": "a"},
        "podAnnotations": {"note": "b"},
        "extraEnv": [{"name": "A", "value": "b"}],
        "extraArgs": ["--log-format=json"],
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "serviceAccount": {"annotations": {"a": "b"}, "name": "robot"},
        "service": {"annotations": {"a": "b"}, "port": 80},
    },
]


def rendered(helm: Helm, values: dict[str, Any], namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    text = helm("template", RELEASE, CHART, "-n", namespace, "-f", "-", stdin=yaml.safe_dump(values))
    return [document for document in yaml.safe_load_all(text) if document]


@pytest.fixture(scope="module")
def helm(cluster: Cluster) -> Helm:
    return Helm(cluster.access.kubeconfig)


def test_lint_finds_nothing(helm: Helm) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART)


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"replicas": "two"}, "/replicas"),
        ({"logFormat": "xml"}, "/logFormat"),
        ({"storage": {"persistence": {"size": "5 gigs"}}}, "/storage/persistence/size"),
        ({"storage": {"url": "not-a-url"}}, "/storage/url"),
        ({"namespaces": ["Team A"]}, "/namespaces/0"),
        ({"prometheus": {"secretKeys": ["secret"]}}, "/prometheus/secretKeys/0"),
        ({"storrage": {}}, "storrage"),
        ({"replicas": 2}, "replicas: more than one needs"),
        ({"prometheus": {"secret": "prom"}}, "prometheus.secret: is of no use without"),
        (
            {"optunaDashboard": {"enabled": True}, "storage": {"url": "sqlite:////var/lib/kubestudy/db"}},
            "optunaDashboard.enabled: cannot open a SQLite file",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_value_is_refused_with_its_path(helm: Helm, values: dict[str, Any], path: str) -> None:
    said = helm("template", RELEASE, CHART, "-f", "-", check=False, stdin=yaml.safe_dump(values))
    assert path in said


@pytest.mark.parametrize("values", COMBINATIONS, ids=itertools.count())
def test_the_api_server_takes_what_is_rendered(helm: Helm, cluster: Cluster, values: dict[str, Any]) -> None:
    namespace = f"dry-{uuid4().hex[:6]}"
    made = [cluster.new_namespace(name) for name in (namespace, *values.get("namespaces", []))]
    try:
        objects = rendered(helm, values, namespace)
        for document in objects:
            # A pod is judged only where its service account is.
            trying = () if document["kind"] == "ServiceAccount" else ("--dry-run=server",)
            cluster.kubectl("apply", *trying, "-f", "-", stdin=json.dumps(document))
        for pod in (o["spec"]["template"]["spec"] for o in objects if o["kind"] == "Deployment"):
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert all(c["securityContext"]["readOnlyRootFilesystem"] is True for c in pod["containers"])
    finally:
        for name in made:
            cluster.kubectl("delete", "namespace", name, "--wait=false")


def test_the_chart_and_the_plain_manifests_give_the_same_rights(helm: Helm) -> None:
    def rights(objects: list[dict[str, Any]], *kinds: str) -> set[str]:
        found = (o for o in objects if o["kind"] in kinds and not o["metadata"].get("annotations"))
        return {json.dumps({**rule, "resourceNames": None}, sort_keys=True) for o in found for rule in o["rules"]}

    files = ("rbac.yaml", "users.yaml")
    plain = [d for name in files for d in yaml.safe_load_all((DEPLOY / name).read_text())]
    everywhere = rendered(helm, {})
    assert rights(everywhere, "ClusterRole", "Role") == rights(plain, "ClusterRole", "Role")
    confined = rendered(helm, {"namespaces": ["team-a"], "rbac": {"aggregate": False}})
    assert not rights(confined, "ClusterRole")


def test_the_chart_brings_the_same_crd(helm: Helm) -> None:
    assert (CHART / "files" / CRD.name).read_text() == CRD.read_text()
    (crd,) = (o for o in rendered(helm, {"crds": {"keep": False}}) if o["kind"] == "CustomResourceDefinition")
    assert crd == yaml.safe_load(CRD.read_text())


def test_monitors_and_rules_are_rendered_for_the_prometheus_operator(helm: Helm) -> None:
    """Its CRDs are not here; what they hold is looked at instead, and the rules are tested by promtool."""
    on = {"enabled": True, "labels": {"release": "prometheus"}}
    objects = rendered(helm, {"serviceMonitor": on, "podMonitor": on, "prometheusRule": on, "namespaces": ["team-a"]})
    found = {o["kind"]: o for o in objects if o["apiVersion"].startswith("monitoring.coreos.com/")}
    assert found.keys() == {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
    assert all(o["metadata"]["labels"]["release"] == "prometheus" for o in found.values())
    assert found["PrometheusRule"]["spec"] == yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
    pods = found["PodMonitor"]["spec"]
    assert pods["namespaceSelector"] == {"matchNames": ["team-a"]}
    assert pods["podMetricsEndpoints"][0]["port"] == "metrics"


def test_dashboards_are_rendered_for_the_sidecar_and_for_the_grafana_operator(helm: Helm) -> None:
    """The Grafana operator's CRD is not here; every panel's expression is tried in test_dashboards.py."""
    objects = rendered(helm, {"dashboards": {"enabled": True, "grafanaOperator": {"enabled": True}}})
    texts = {path.name: path.read_text() for path in (CHART / "dashboards").glob("*.json")}
    maps = [o for o in objects if o["kind"] == "ConfigMap"]
    assert {text for o in maps for text in o["data"].values()} == set(texts.values())
    assert all(o["metadata"]["labels"]["grafana_dashboard"] == "1" for o in maps)
    assert {o["spec"]["json"] for o in objects if o["kind"] == "GrafanaDashboard"} == set(texts.values())


def test_the_readme_is_what_helm_docs_makes_of_the_values(tmp_path: Path) -> None:
    copy = shutil.copytree(CHART, tmp_path / CHART.name)
    (copy / "README.md").unlink()
    subprocess.run([HELM_DOCS.programs() / "helm-docs", f"--chart-search-root={tmp_path}"], check=True, timeout=60)
    assert (copy / "README.md").read_text() == (CHART / "README.md").read_text(), "run make chart"
    assert "|  |" not in (copy / "README.md").read_text(), "every value is described"


@pytest.fixture(scope="module")
def release(helm: Helm, real: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A release in charge of one namespace, which it returns."""
    volume = tmp_path_factory.mktemp("helm-volume")
    volume.chmod(0o777)
    make_volume(real, volume, NAMESPACE, NAME)
    real.new_namespace(NAMESPACE)
    real.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    looked_after = real.new_namespace("helm-studies")
    # The CRD is there already, by kubectl.
    said = helm(
        "install", RELEASE, CHART, "-n", NAMESPACE, "--set", f"namespaces[0]={looked_after}",
        "--set=optunaDashboard.enabled=true", "--take-ownership", "--force-conflicts", "--wait", "--timeout=3m",
    )  # fmt: skip
    assert f"helm test {RELEASE} -n {NAMESPACE}" in said
    assert f"kubectl rollout status deployment/{NAME} -n {NAMESPACE}" in said
    yield looked_after
    helm("uninstall", RELEASE, "-n", NAMESPACE, "--ignore-not-found")


def test_helm_test_runs_two_trials(helm: Helm, release: str) -> None:
    said = helm("test", RELEASE, "-n", NAMESPACE, "--timeout=4m")
    assert "Succeeded" in said


WATCHED = """
import time
from kubestudy_trainer import Trial
trial = Trial.current()
if trial.number == 1:
    raise SystemExit(1)
for step in range(1, 41):
    trial.report(step, y=trial.params["x"])
    time.sleep(0.4)  # a step's work
trial.finish(y=trial.params["x"])
"""


def test_every_panel_of_the_dashboards_shows_something(real: Cluster, release: str, prometheus: Prometheus) -> None:
    """Every expression, its variables filled in, on a real Prometheus that watched a real study and its operator."""
    try:
        made = container_study(
            "watched",
            {"name": "trainer", "image": images.TRAINER, "command": ["python", "-c", WATCHED]},
            pod=ON_REAL_NODE,
            parameters=[{"name": "x", "type": "float", "low": 0, "high": 1}],
            sampler={"name": "random", "seed": 1},
            pruner={"name": "median", "options": {"n_startup_trials": 1}},
            parallelism=2,
            budget={"maxTrials": 5},
        )
        began = time.time()
        study = Study(real, release, "watched").apply(made)
        counts = study.until_phase("Complete", seconds=240)["trials"]
        assert counts["failed"] == 1 and counts["pruned"]
        time.sleep(3)  # two more scrapes
        values = {"namespace": release, "study": "watched", "metric": "y"}
        tried = list(panels(CHART / "dashboards", values))
        assert len(tried) > 25
        empty = [f"{what}: {expr}" for what, expr in tried if not prometheus.range(expr, began)]
        assert empty == []
    finally:
        real.kubectl("delete", "hps", "watched", "-n", release, "--timeout=30s")


def test_upgrade_rollback_and_uninstall_with_a_study_running(helm: Helm, real: Cluster, release: str) -> None:
    study = Study(real, release, "going").apply(simulated_study("going", run_for="2s", budget={"maxTrials": 500}))
    until(lambda: study.status.get("trials", {}).get("complete"), what="a complete trial")

    def goes_on() -> None:
        done = study.status["trials"]["complete"]
        until(lambda: study.status["trials"]["complete"] > done, 90, what="another trial")

    helm("upgrade", RELEASE, CHART, "-n", NAMESPACE, "--reuse-values", "--set=logFormat=json", "--wait", "--timeout=3m")
    goes_on()
    said = real.kubectl("logs", f"deployment/{NAME}", "-n", NAMESPACE, "--tail=1")
    assert json.loads(said)["logger"].startswith("kubestudy")
    helm("rollback", RELEASE, "1", "-n", NAMESPACE, "--wait", "--timeout=3m")
    goes_on()
    at = f"/api/v1/namespaces/{NAMESPACE}/services/{NAME}-optuna-dashboard:optuna/proxy/api/studies"
    shown = json.loads(real.kubectl("get", "--raw", at))["study_summaries"]
    assert f"{release}/going/{study.body['metadata']['uid']}" in {one["study_name"] for one in shown}
    helm("uninstall", RELEASE, "-n", NAMESPACE, "--wait", "--timeout=2m")
    total = study.status["trials"]["total"]
    assert real.get("pvc", NAME, namespace=NAMESPACE), "the histories stay"
    helm(
        "install", RELEASE, CHART, "-n", NAMESPACE, "--set", f"namespaces[0]={release}", "--take-ownership",
        "--force-conflicts", "--wait", "--timeout=3m",
    )  # fmt: skip
    goes_on()
    assert study.status["trials"]["total"] >= total
    helm("uninstall", RELEASE, "-n", NAMESPACE, "--wait", "--timeout=2m")
    real.kubectl("delete", "hps", "going", "-n", release, "--timeout=30s")
    until(lambda: not study.jobs, what="no Jobs")
