"""The Helm chart, by real Helm: on the real cluster, with the operator's rights as it renders them."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from kubestudy.controller.settings import Settings
from support.cluster import images
from support.cluster.cluster import CRD, DEPLOY, ROOT, Cluster
from support.cluster.dashboards import panels
from support.cluster.deployed import make_volume
from support.cluster.helm import Helm
from support.cluster.processes import ClusterError
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
    {"storage": {"url": "sqlite:////var/lib/kubestudy/db", "persistence": {"storageClassName": "-", "size": 1}}},
    {"storage": {"persistence": {"existingClaim": "mine", "keep": False}}},
    {"replicas": 2, "storage": {"persistence": {"existingClaim": "mine", "accessModes": ["ReadWriteMany"]}}},
    {"replicas": 0, "resources": None, "operator": {"gpuResources": {"nvidia.com/gpu.shared": 0.25, "a/*": 1}}},
    {
        "prometheus": {
            "url": "http://prometheus:9090",
            "secret": "prom",
            "secretKeys": ["token", "username", "password", "ca.crt", "tls.crt", "tls.key"],
            "headers": {"X-Scope-OrgID": "team"},
            "confine": True,
            "namespaceParameter": "namespace",
        },
        "networkPolicy": {"enabled": False},
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
        "networkPolicy": {"from": [{"namespaceSelector": {}}], "dashboardFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "fullnameOverride": "x" * 50,
    },
    {
        "networkPolicy": {"metricsFrom": [{"namespaceSelector": {}}], "historyFrom": [{"ipBlock": {"cidr": "::/0"}}]},
        "priorityClassName": "high",
    },
    {"optunaDashboard": {"enabled": True}, "storage": {"urlSecret": {"name": "db", "key": "url"}}},
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
    # Words and numbers that YAML takes for something else, and what OpenShift wants left out.
    {
        "fullnameOverride": "on",
        "namespaces": ["on"],
        "priorityClassName": "1",
        "podLabels": {"team": "on"},
        "podAnnotations": {"prometheus.io/scrape": "false"},
        "storage": {"urlSecret": {"name": "1", "key": "1"}},
        "image": {"tag": "1", "digest": f"sha256:{'0' * 64}"},
        "optunaDashboard": {"enabled": True},
        "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
        "resources": {"limits": {"cpu": 1, "memory": "1e9", "ephemeral-storage": "1.5Gi"}},
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
        ({"storage": {"persistence": {"size": "foo"}}}, "/storage/persistence/size"),
        ({"resources": {"limits": {"memory": "foo"}}}, "/resources/limits/memory"),
        ({"resources": {"limit": {}}}, "'limit' not allowed"),
        ({"optunaDashboard": {"resources": {"requests": {"cpu": "1x"}}}}, "/optunaDashboard/resources/requests/cpu"),
        ({"namespaces": ["a", "a"]}, "/namespaces"),
        ({"fullnameOverride": "a.b"}, "/fullnameOverride"),
        ({"operator": {"gpuResources": {"nvidia.com/gpu": "1"}}}, "/operator/gpuResources/nvidia.com~1gpu"),
        ({"prometheusRule": {"runbookUrl": "runbooks"}}, "/prometheusRule/runbookUrl"),
        ({"replicas": 2}, "replicas: more than one needs"),
        (
            {"replicas": 2, "storage": {"persistence": {"existingClaim": "mine"}}},
            "replicas: more than one needs a claim that several pods can mount",
        ),
        (
            {"replicas": 2, "storage": {"persistence": {"enabled": False, "accessModes": ["ReadWriteMany"]}}},
            "replicas: more than one needs a storage that all of them see",
        ),
        (
            {"replicas": 2, "storage": {"url": "sqlite:////var/lib/kubestudy/db"}},
            "replicas: more than one needs a database server",
        ),
        ({"storage": {"url": "postgresql://me:s3cret@db/x"}}, "storage.url: holds a password"),
        ({"storage": {"url": "postgresql://db/x?user=me&password=s3cret"}}, "storage.url: holds a password"),
        ({"extraArgs": ["--storage=mysql://me:s3cret@db/x"]}, "extraArgs: --storage holds a password"),
        (
            {"extraEnv": [{"name": "KUBESTUDY_STORAGE", "value": "mysql://me:s3cret@db/x"}]},
            "extraEnv: KUBESTUDY_STORAGE holds a password",
        ),
        ({"prometheus": {"url": "https://me:s3cret@prometheus"}}, "prometheus.url: holds a password"),
        (
            {"prometheus": {"url": "https://prometheus", "headers": {"authorization": "Bearer s3cret"}}},
            "prometheus.headers: authorization is a secret",
        ),
        (
            {"storage": {"url": "sqlite:////var/lib/kubestudy/db", "urlSecret": {"name": "db"}}},
            "storage.url: is of no use beside storage.urlSecret",
        ),
        ({"prometheus": {"secret": "prom"}}, "prometheus.secret: is of no use without"),
        ({"prometheus": {"headers": {"a": "b"}}}, "prometheus.headers: is of no use without"),
        ({"prometheus": {"url": "http://p", "secretKeys": ["token"]}}, "prometheus.secret: names the Secret"),
        ({"prometheus": {"url": "http://p", "secret": "a", "secretKeys": ["tls.key"]}}, "tls.key needs tls.crt"),
        ({"podLabels": {"app.kubernetes.io/name": "mine"}}, "podLabels: app.kubernetes.io/name is what"),
        ({"prometheus": {"confine": "yes"}}, "/prometheus/confine"),
        ({"prometheus": {"namespaceParameter": "a b"}}, "/prometheus/namespaceParameter"),
        ({"networkPolicy": {"to": []}}, "'to' not allowed"),
        ({"service": {"port": 8082}}, "service.port: 8082 is the port of histories"),
        ({"rbac": {"create": False, "historyGroups": ["people"]}}, "rbac.historyGroups: are bound to a role"),
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
    assert "s3cret" not in said


def test_values_that_do_not_go_together_are_told_all_at_once(helm: Helm) -> None:
    values = {"replicas": 2, "podLabels": {"app.kubernetes.io/instance": "x"}, "prometheus": {"secret": "prom"}}
    said = helm("template", "1st", CHART, "-f", "-", check=False, stdin=yaml.safe_dump(values))
    for value in ("fullnameOverride: a Service's name begins", "replicas", "podLabels", "prometheus.secret"):
        assert f"- {value}" in said


@dataclass(frozen=True)
class Dry:
    """A namespace to try in what is rendered, and the service accounts that are there, as JSON."""

    namespace: str
    accounts: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def dry(cluster: Cluster) -> Iterator[Dry]:
    """A namespace of its own, beside those that the combinations name."""
    named = {name for values in COMBINATIONS for name in values.get("namespaces", [])}
    made = [cluster.new_namespace(name) for name in (f"dry-{uuid4().hex[:6]}", *sorted(named))]
    yield Dry(made[0])
    cluster.kubectl("delete", "namespace", *made, "--wait=false")


@pytest.mark.parametrize("values", COMBINATIONS, ids=itertools.count())
def test_the_api_server_takes_what_is_rendered(helm: Helm, cluster: Cluster, dry: Dry, values: dict[str, Any]) -> None:
    objects = rendered(helm, values, dry.namespace)
    # A pod is judged only where its service account is.
    accounts = {json.dumps(o) for o in objects if o["kind"] == "ServiceAccount"} - dry.accounts
    rest = [o for o in objects if o["kind"] != "ServiceAccount"]
    if accounts:
        cluster.apply(*map(json.loads, accounts), namespace=dry.namespace)
        dry.accounts.update(accounts)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": rest})
    said = cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=text)
    assert said.count("(server dry run)") == len(rest)
    for pod in (o["spec"]["template"]["spec"] for o in objects if o["kind"] == "Deployment"):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert all(c["securityContext"]["readOnlyRootFilesystem"] is True for c in pod["containers"])


@pytest.mark.parametrize("apply", ["server", "client"])
def test_two_replicas_become_one_by_upgrade_and_by_rollback(helm: Helm, cluster: Cluster, apply: str) -> None:
    namespace = cluster.new_namespace(f"replicas-{uuid4().hex[:6]}")
    how = f"--server-side={'true' if apply == 'server' else 'false'}"
    # Nothing of it runs: what the API server makes of the Deployment is what counts.
    fixed = {
        "crds": {"install": False},
        "rbac": {"aggregate": False},
        "namespaces": [namespace],
        "nodeSelector": {"nowhere": "true"},
        "storage": {"persistence": {"accessModes": ["ReadWriteMany"]}},
    }

    def strategy() -> str:
        kind: str = cluster.get("deployment", NAME, namespace=namespace)["spec"]["strategy"]["type"]
        return kind

    for verb, replicas, expected in (("install", 2, "RollingUpdate"), ("upgrade", 1, "Recreate")):
        values = yaml.safe_dump({**fixed, "replicas": replicas})
        helm(verb, RELEASE, CHART, "-n", namespace, how, "-f", "-", stdin=values)
        assert strategy() == expected
    for revision, expected in (("1", "RollingUpdate"), ("2", "Recreate")):
        helm("rollback", RELEASE, revision, "-n", namespace, how)
        assert strategy() == expected
    # All of the release is in it.
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def one(objects: list[dict[str, Any]], kind: str, name: str = NAME) -> dict[str, Any]:
    """Return the object of a kind and name."""
    (found,) = (o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name))
    return found


def variables(objects: list[dict[str, Any]]) -> dict[str, str]:
    """Return the operator's environment, as far as it is written out."""
    container = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return {v["name"]: v["value"] for v in container["env"] if "value" in v}


def test_gpu_shares_reach_the_operator_names_before_patterns(helm: Helm) -> None:
    shares = {"a.example/*": 1, "nvidia.com/gpu.shared": 0.25, "z.example/whole": 8}
    told = variables(rendered(helm, {"operator": {"gpuResources": shares}}))["KUBESTUDY_GPU_RESOURCES"]
    assert json.loads(told) == shares
    assert list(json.loads(told)) == ["nvidia.com/gpu.shared", "z.example/whole", "a.example/*"]
    assert "KUBESTUDY_GPU_RESOURCES" not in variables(rendered(helm, {}))


def test_the_operator_knows_every_variable_that_the_chart_sets(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "namespaces": ["team-a", "team-b"],
        "operator": {"gpuResources": {"a.example/*": 1, "nvidia.com/gpu.shared": 0.25}},
        "prometheus": {
            "url": "http://prometheus",
            "headers": {"X-Scope-OrgID": "team"},
            "settlingSeconds": 15,
            "confine": False,
            "namespaceParameter": "namespace",
        },
        "logFormat": "json",
        "resyncSeconds": 60,
    }
    told = variables(rendered(helm, values))
    names = {name.removeprefix("KUBESTUDY_").lower() for name in told}
    assert names <= Settings.model_fields.keys()
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.namespaces == ("team-a", "team-b")
    assert settings.service == f"{NAMESPACE}/{NAME}:history"
    assert settings.prometheus_headers == {"X-Scope-OrgID": "team"}
    assert (settings.confined, settings.prometheus_namespace_parameter) == (False, "namespace")
    assert (settings.resync_seconds, settings.prometheus_settling_seconds, settings.log_format) == (60, 15, "json")
    assert list(settings.gpu_resources)[:2] == ["nvidia.com/gpu.shared", "a.example/*"]


def test_a_sqlite_file_is_on_the_volume(helm: Helm) -> None:
    objects = rendered(helm, {"storage": {"url": "sqlite:////var/lib/kubestudy/db"}})
    assert one(objects, "PersistentVolumeClaim")
    volumes = one(objects, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert {"name": "storage", "persistentVolumeClaim": {"claimName": NAME}} in volumes


def test_the_lease_is_called_as_the_service_and_each_release_has_its_own(helm: Helm) -> None:
    objects = rendered(helm, {})
    told = variables(objects)
    assert told["KUBESTUDY_LEASE_NAME"] == one(objects, "Service")["metadata"]["name"]
    assert told["KUBESTUDY_SERVICE"] == f"{NAMESPACE}/{NAME}:history"
    rules = one(objects, "Role", f"{NAME}-lease")["rules"]
    assert {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [NAME],
            "verbs": ["get", "patch", "update"]} in rules  # fmt: skip


def test_labels_and_annotations_of_the_values_go_before_the_charts(helm: Helm) -> None:
    mine = {"app.kubernetes.io/managed-by": "argo", "release": "prometheus"}
    values = {
        "podAnnotations": {"prometheus.io/port": "9"},
        "serviceMonitor": {"enabled": True, "labels": mine},
        "dashboards": {"enabled": True, "labels": mine},
    }
    objects = rendered(helm, values)
    assert one(objects, "Deployment")["spec"]["template"]["metadata"]["annotations"] == {"prometheus.io/port": "9"}
    for labels in (o["metadata"]["labels"] for o in objects if o["kind"] in ("ServiceMonitor", "ConfigMap")):
        assert labels.items() >= {**mine, "app.kubernetes.io/instance": RELEASE}.items()


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
    mine = rendered(helm, {"prometheusRule": {"enabled": True, "runbookUrl": "https://wiki.example/kubestudy"}})
    links = {
        rule["annotations"]["runbook_url"].partition("#")[0]
        for o in mine if o["kind"] == "PrometheusRule" for group in o["spec"]["groups"]
        for rule in group["rules"] if "alert" in rule
    }  # fmt: skip
    assert links == {"https://wiki.example/kubestudy"}
    pods = found["PodMonitor"]["spec"]
    assert pods["namespaceSelector"] == {"matchNames": ["team-a"]}
    assert pods["podMetricsEndpoints"][0]["port"] == "metrics"


def test_monitors_bound_and_relabel_as_the_scrape_configuration_does(helm: Helm) -> None:
    """That one is tried on a real Prometheus, in tests/prometheus/test_forged.py."""

    def camel(name: str) -> str:
        first, *others = name.split("_")
        return first + "".join(other.capitalize() for other in others)

    objects = rendered(helm, {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}})
    jobs = {j["job_name"]: j for j in yaml.safe_load((CHART / "files" / "scrape.yaml").read_text())["scrape_configs"]}
    for kind, job, endpoints in (
        ("PodMonitor", jobs["kubestudy-trials"], "podMetricsEndpoints"),
        ("ServiceMonitor", jobs["kubestudy-operator"], "endpoints"),
    ):
        (spec,) = (o["spec"] for o in objects if o["kind"] == kind)
        (endpoint,) = spec[endpoints]
        limits = {camel(name): value for name, value in job.items() if name.endswith("_limit")}
        assert len(limits) == 5
        assert limits.items() <= spec.items()
        assert endpoint["honorLabels"] is job["honor_labels"] is False
        rules = [{camel(name): value for name, value in rule.items()} for rule in job["metric_relabel_configs"]]
        assert [{"action": "replace"} | rule for rule in endpoint["metricRelabelings"]] == [
            {"action": "replace"} | rule for rule in rules
        ]


def test_only_the_operators_own_container_has_a_token(helm: Helm, cluster: Cluster, dry: Dry) -> None:
    """As the API server would make the pod, with whatever it adds by itself."""
    objects = rendered(helm, {"optunaDashboard": {"enabled": True}}, dry.namespace)
    cluster.apply(one(objects, "ServiceAccount"), namespace=dry.namespace)
    template = one(objects, "Deployment")["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"]}
    pod["metadata"] = {"name": "operator", "namespace": dry.namespace}
    made = json.loads(
        cluster.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(pod))
    )  # fmt: skip
    tokens = {
        volume["name"] for volume in made["spec"]["volumes"]
        if any("serviceAccountToken" in source for source in volume.get("projected", {}).get("sources", []))
    }  # fmt: skip
    mounts = {c["name"]: {m["name"] for m in c["volumeMounts"]} & tokens for c in made["spec"]["containers"]}
    assert mounts == {"operator": tokens, "optuna-dashboard": set()}
    assert len(tokens) == 1


def test_a_network_policy_says_who_reaches_which_port(helm: Helm) -> None:
    def allowed(values: dict[str, Any], name: str = NAME) -> dict[str, Any]:
        policy = one(rendered(helm, values), "NetworkPolicy", name)["spec"]
        assert policy["policyTypes"] == ["Ingress"]
        return {rule["ports"][0]["port"]: rule.get("from", "anybody") for rule in policy["ingress"]}

    dashboard = {"optunaDashboard": {"enabled": True}}
    database = {**dashboard, "storage": {"urlSecret": {"name": "db", "key": "url"}}}
    a, b, c = ({"ipBlock": {"cidr": f"10.{n}.0.0/16"}} for n in range(3))
    assert allowed({}) == allowed(dashboard) == {"http": "anybody", "history": "anybody"}
    assert allowed(database, f"{NAME}-optuna-dashboard") == {}
    peers = {"networkPolicy": {"from": [a], "historyFrom": [b], "dashboardFrom": [c]}}
    assert allowed({**dashboard, **peers}) == {"http": [a], "history": [a, b], "optuna": [a, c]}
    assert allowed({**database, **peers}, f"{NAME}-optuna-dashboard") == {"optuna": [a, c]}
    assert allowed({"networkPolicy": {"metricsFrom": [a]}}) == {"http": [a], "history": "anybody"}
    off = rendered(helm, {"networkPolicy": {"enabled": False}, **database})
    assert not [o for o in off if o["kind"] == "NetworkPolicy"]


def test_dashboards_are_rendered_for_the_sidecar_and_for_the_grafana_operator(helm: Helm) -> None:
    """The Grafana operator's CRD is not here; every panel's expression is tried in test_dashboards.py."""
    objects = rendered(helm, {"dashboards": {"enabled": True, "grafanaOperator": {"enabled": True}}})
    texts = {path.name: path.read_text() for path in (CHART / "dashboards").glob("*.json")}
    maps = [o for o in objects if o["kind"] == "ConfigMap"]
    assert {text for o in maps for text in o["data"].values()} == set(texts.values())
    assert all(o["metadata"]["labels"]["grafana_dashboard"] == "1" for o in maps)
    of_the_operator = [o for o in objects if o["kind"] == "GrafanaDashboard"]
    assert {o["spec"]["json"] for o in of_the_operator} == set(texts.values())
    assert all(o["spec"]["allowCrossNamespaceImport"] for o in of_the_operator)


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
        "--take-ownership", "--force-conflicts", "--wait", "--timeout=3m",
    )  # fmt: skip
    assert f"helm test {RELEASE} -n {NAMESPACE}" in said
    assert f"kubectl rollout status deployment/{NAME} -n {NAMESPACE}" in said
    yield looked_after
    helm("uninstall", RELEASE, "-n", NAMESPACE, "--ignore-not-found")


def test_helm_test_runs_two_trials(helm: Helm, release: str) -> None:
    said = helm("test", RELEASE, "-n", NAMESPACE, "--timeout=4m")
    assert "Succeeded" in said


def test_people_see_what_their_roles_say(real: Cluster, release: str) -> None:
    """With the plain roles a study and its trials' logs; with the role of histories those, and no metrics."""
    study = Study(real, release, "shared").apply(simulated_study("shared", budget={"maxTrials": 1}))
    study.until_phase("Complete")
    for role in ("view", "edit"):
        real.kubectl("create", "serviceaccount", role, "-n", release)
        account = f"--serviceaccount={release}:{role}"
        real.kubectl("create", "rolebinding", role, f"--clusterrole={role}", account, "-n", release)

    def person(role: str) -> str:
        return f"--as=system:serviceaccount:{release}:{role}"

    def may(role: str, *what: str) -> bool:
        return real.kubectl("auth", "can-i", *what, "-n", release, person(role), check=False).strip() == "yes"

    uid = study.body["metadata"]["uid"]
    at = f"/api/v1/namespaces/{NAMESPACE}/services/{NAME}"
    history, metrics = f"{at}:history/proxy/studies/{release}/shared/{uid}/history", f"{at}:http/proxy/metrics"
    for role in ("view", "edit"):
        seen = json.loads(real.kubectl("get", "hps", "shared", "-n", release, "-o", "json", person(role)))
        assert seen["status"]["best"]["values"]["y"] == study.status["best"]["values"]["y"]
        assert (
            may(role, "get", "pods", "--subresource=log") and may(role, "list", "jobs") and may(role, "list", "events")
        )
        assert may(role, "patch", "hps") is (role == "edit")
        with pytest.raises(ClusterError, match="services/proxy"):
            real.kubectl("get", "--raw", history, person(role))
    account = f"--serviceaccount={release}:edit"
    real.kubectl("create", "rolebinding", "histories", f"--role={NAME}-history", account, "-n", NAMESPACE)
    assert '"op_code"' in real.kubectl("get", "--raw", history, person("edit"))
    with pytest.raises(ClusterError, match="Forbidden"):
        real.kubectl("get", "--raw", metrics, person("edit"))
    assert real.kubectl("get", "lease", NAME, "-n", NAMESPACE, person("edit"))


# The first trial ends soon, the next one fails, the third is the best and runs until the study is stopped, and what
# comes after that is hopeless.
WATCHED = """
import time
from kubestudy_trainer import Trial
trial = Trial.current()
if trial.number == 1:
    raise SystemExit(1)
y = {0: 1.0, 2: 0.5}.get(trial.number, 2.0)
for step in range(1, 4 if trial.number == 0 else 600):
    trial.report(step, y=y)
    time.sleep(0.4)  # a step's work
trial.finish(y=y)
"""


def test_every_panel_of_the_dashboards_shows_something(real: Cluster, release: str, prometheus: Prometheus) -> None:
    """Every expression, its variables filled in, on a real Prometheus that watches a real study and its operator."""
    try:
        made = container_study(
            "watched",
            {"name": "trainer", "image": images.TRAINER, "command": ["python", "-c", WATCHED]},
            pod=ON_REAL_NODE,
            parameters=[{"name": "x", "type": "float", "low": 0, "high": 1}],
            sampler={"name": "random", "seed": 1},
            pruner={"name": "median", "options": {"n_startup_trials": 1}},
            parallelism=2,
            budget={"maxTrials": 50},
        )
        began = time.time()
        study = Study(real, release, "watched").apply(made)
        values = {"namespace": release, "study": "watched", "metric": "y"}
        tried = list(panels(CHART / "dashboards", values))
        assert len(tried) > 25

        def empty() -> list[str]:
            return [f"{what}: {expr}" for what, expr in tried if not prometheus.range(expr, began)]

        with contextlib.suppress(TimeoutError):
            until(lambda: study.status.get("trials", {}).get("pruned") and not empty(), 240, 0.5, error=TimeoutError)
        assert empty() == []
        counts = study.status["trials"]
        assert counts["failed"] == 1 and counts["pruned"] and counts["complete"]
    finally:
        real.kubectl("delete", "hps", "watched", "-n", release, "--timeout=30s")


def test_upgrade_rollback_and_uninstall_with_a_study_running(helm: Helm, real: Cluster, release: str) -> None:
    study = Study(real, release, "going").apply(
        simulated_study("going", run_for="1s", parallelism=1, budget={"maxTrials": 500})
    )
    until(lambda: study.status.get("trials", {}).get("complete"), what="a complete trial")

    def goes_on() -> None:
        done = study.status["trials"]["complete"]
        until(lambda: study.status["trials"]["complete"] > done, 90, what="another trial")

    helm(
        "upgrade", RELEASE, CHART, "-n", NAMESPACE, "--reuse-values", "--set=logFormat=json",
        "--set=optunaDashboard.enabled=true", "--wait", "--timeout=3m",
    )  # fmt: skip
    goes_on()
    said = real.kubectl("logs", f"deployment/{NAME}", "-c", "operator", "-n", NAMESPACE, "--tail=1")
    assert json.loads(said)["logger"].startswith("kubestudy")
    at = f"/api/v1/namespaces/{NAMESPACE}/services/{NAME}-optuna-dashboard:optuna/proxy/api/studies"
    shown = json.loads(until(lambda: real.kubectl("get", "--raw", at, check=False), what="Optuna Dashboard"))
    names = {one["study_name"] for one in shown["study_summaries"]}
    assert f"{release}/going/{study.body['metadata']['uid']}" in names
    token = "import pathlib; print(pathlib.Path('/var/run/secrets/kubernetes.io/serviceaccount/token').exists())"
    for container, has_one in (("operator", "True"), ("optuna-dashboard", "False")):
        at = (f"deployment/{NAME}", "-c", container, "-n", NAMESPACE)
        assert real.kubectl("exec", *at, "--", "python", "-c", token).strip() == has_one
    helm("rollback", RELEASE, "1", "-n", NAMESPACE, "--wait", "--timeout=3m")
    goes_on()
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
