"""What a pod says of itself makes it no trial of somebody else's: a real Prometheus, by the chart's own configuration.

Its Kubernetes discovery is replaced by a list of what it would discover, with the same labels; all relabelling is the
chart's. `PodMonitor` and `ServiceMonitor` have the same rules, which tests/cluster/test_chart.py compares.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from kubestudy.metrics.answers import Series
from kubestudy.metrics.expressions import PrometheusEvaluator
from kubestudy.metrics.prometheus import PrometheusMetrics
from kubestudy.metrics.promql import PromqlError, within_namespace
from kubestudy.metrics.server import Access, PrometheusServer
from kubestudy.study.trial import End, Observed, Sample, TrialPhase
from support.cluster import processes
from support.cluster.prometheus import SCRAPE
from support.cluster.tools import PROMETHEUS
from support.wait import until

pytestmark = pytest.mark.timeout(1800)  # the first time it builds Prometheus

POD, NAMESPACE = "demo-3-x", "victim"
HONEST = """
kubestudy_trial_metric{study="demo",trial="3",metric="loss"} 0.5
kubestudy_trial_step{study="demo",trial="3",metric="loss"} 7
power 100
"""
_LIE = f'namespace="{NAMESPACE}",pod="{POD}",kubestudy_dev_study="demo",kubestudy_dev_trial="3"'
FORGED = f"""
kubestudy_trial_metric{{{_LIE},study="demo",trial="3",metric="loss"}} 0.001
kubestudy_trial_step{{{_LIE},study="demo",trial="3",metric="loss"}} 900
DCGM_FI_DEV_GPU_UTIL{{{_LIE},gpu="0"}} 3
power{{{_LIE}}} 1
kubestudy:study_failure_share:ratio{{{_LIE}}} 1
kubestudy_trial_failures_total{{reason="Error"}} 1000
kubestudy_tell_seconds_sum 1000
kubestudy_study_trials{{namespace="{NAMESPACE}",study="demo",state="failed"}} 99
"""
# A node's exporter, whose own labels say which pod has its GPU, scraped as usual.
EXPORTER = f'DCGM_FI_DEV_GPU_UTIL{{namespace="{NAMESPACE}",pod="{POD}",gpu="0",UUID="a"}} 90\n'
OPERATOR = f"""
kubestudy_study_trials{{namespace="{NAMESPACE}",study="demo",state="failed"}} 1
kubestudy_studies{{phase="Running"}} 1
kubestudy_trial_metric{{{_LIE},metric="loss"}} 0.002
go_threads 3
"""


@dataclass
class Pods:
    """Programs that serve a text as their metrics."""

    servers: list[ThreadingHTTPServer] = field(default_factory=list)

    def serve(self, text: str, job: str, namespace: str, pod: str, port: str, **labels: str) -> dict[str, Any]:
        """Serve, and return what discovery would tell of it."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.servers.append(server)
        known = {"namespace": namespace, "pod_name": pod, "pod_container_port_name": port}
        known |= {f"pod_label_kubestudy_dev_{name}": value for name, value in labels.items()}
        return {
            "job": job,
            "targets": [f"127.0.0.1:{server.server_port}"],
            "labels": {f"__meta_kubernetes_{name}": value for name, value in known.items()},
        }


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that has scraped honest pods, and such as pretend to be them."""
    folder = tmp_path_factory.mktemp("forged")
    pods = Pods()
    as_trial = {"study": "demo", "trial": "3"}
    discovered = [
        pods.serve(HONEST, "kubestudy-trials", NAMESPACE, POD, "metrics", **as_trial),
        pods.serve(FORGED, "kubestudy-trials", "evil", "any", "metrics", **as_trial),
        pods.serve(FORGED, "kubestudy-trials", "evil", POD, "metrics"),
        pods.serve("x" * 2_000_000, "kubestudy-trials", "evil", "long", "metrics"),
        pods.serve("".join(f"a{n} 1\n" for n in range(2100)), "kubestudy-trials", "evil", "many", "metrics"),
        pods.serve(f'a{{b="{"x" * 2000}"}} 1\n', "kubestudy-trials", "evil", "wide", "metrics"),
        pods.serve(OPERATOR, "kubestudy-operator", "kubestudy-system", "operator-0", "http"),
        pods.serve(FORGED, "kubestudy-operator", "evil", "operator-0", "http"),
        pods.serve(EXPORTER, "dcgm", "gpu-operator", "dcgm-0", "metrics"),
    ]
    configuration = yaml.safe_load(SCRAPE.read_text())
    own_rules = [{"source_labels": [f"__meta_kubernetes_{a}"], "target_label": b}
                 for a, b in (("namespace", "namespace"), ("pod_name", "pod"))]  # fmt: skip
    configuration["scrape_configs"].append({"job_name": "dcgm", "relabel_configs": own_rules})
    for job in configuration["scrape_configs"]:
        name = job["job_name"]
        job.pop("kubernetes_sd_configs", None)
        mine = [{"targets": one["targets"], "labels": one["labels"]} for one in discovered if one["job"] == name]
        job |= {"scrape_interval": "1s", "static_configs": mine}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    found = f"http://127.0.0.1:{processes.free_port()}"
    command: list[str | Path] = [
        PROMETHEUS.programs() / "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
        f"--web.listen-address={found.removeprefix('http://')}",
    ]  # fmt: skip
    processes.start("prometheus", command, folder)
    try:
        until(lambda: processes.answers(f"{found}/-/ready"), 60, 0.5, "Prometheus")
        # `up` of every target: then each was scraped, or refused.
        until(lambda: len(ask(found, "up")) == 8 and len(ask(found, "up == 0")) == 3, 60, 0.5, "scrapes")
        yield found
    finally:
        processes.end(folder / "prometheus.pid")
        for server in pods.servers:
            server.shutdown()


def ask(url: str, expression: str) -> list[Series]:
    async def play() -> list[Series]:
        server = PrometheusServer(Access(url))
        try:
            return await server.query(expression)
        finally:
            await server.close()

    return asyncio.run(play())


def test_forged_series_are_there_under_their_own_pods_name(url: str) -> None:
    found = {(s.labels["namespace"], s.labels["pod"]): s.value for s in ask(url, "kubestudy_trial_step")}
    assert found == {(NAMESPACE, POD): 7, ("evil", "any"): 900, ("evil", POD): 900}


def test_a_trial_is_read_from_its_own_pod_and_its_gpu_from_the_nodes_exporter(url: str) -> None:
    async def play() -> dict[int, list[Sample]]:
        server = PrometheusServer(Access(url))
        metrics = PrometheusMetrics(server, NAMESPACE, "demo-", ["loss"], gpus=True)
        try:
            read = await metrics.read([Observed(3, TrialPhase.RUNNING, 0.0, pod=POD)])
        finally:
            await server.close()
        assert metrics.trouble() is None
        return {number: list(samples) for number, samples in read.items()}

    assert asyncio.run(play()) == {3: [Sample("loss", 7, 0.5), Sample("DCGM_FI_DEV_GPU_UTIL", 0, 90.0)]}


@pytest.mark.parametrize("written", ['power{pod=~"$(pods)"}', 'max(power{namespace="$(namespace)"})', "sum(power)"])
def test_an_expression_that_is_confined_reads_the_studys_own_namespace(url: str, written: str) -> None:
    async def play() -> float:
        server = PrometheusServer(Access(url))
        evaluator = PrometheusEvaluator(
            server, {"e": written}, NAMESPACE, "demo", "demo-{}".format, 0.0, confined=True
        )  # fmt: skip
        (now,) = await server.query("time()")
        end = End(True, False, "", "", None, at=now.value)
        try:
            return (await evaluator.measure(Observed(3, TrialPhase.ENDED, now.value - 5, end=end, pods=(POD,))))["e"]
        finally:
            await server.close()

    assert asyncio.run(play()) == 100.0


def test_only_the_operators_namespace_tells_of_studies(url: str) -> None:
    (found,) = ask(url, "kubestudy_study_trials")
    assert (found.value, found.labels["namespace"], found.labels["study"]) == (1, NAMESPACE, "demo")
    (studies,) = ask(url, "kubestudy_studies")
    assert (studies.labels["namespace"], studies.labels["pod"]) == ("kubestudy-system", "operator-0")
    assert ask(url, "go_threads") == []
    for name in ("kubestudy:study_failure_share:ratio", "kubestudy_trial_failures_total", "kubestudy_tell_seconds_sum"):
        assert ask(url, name) == []


def test_of_a_pod_that_serves_too_much_nothing_is_taken(url: str) -> None:
    assert {series.labels["pod"] for series in ask(url, "up == 0")} == {"long", "many", "wide"}


WORDS = [
    "foo", "bar", "sum", "by", "without", "on", "offset", "and", "or", "unless", "bool", "rate", "max", "group_left",
    "inf", "(", ")", "{", "}", "[5m]", "[5m:1m]", "5m", "1e-5", "+", "-", "^", "==", "@", "start()", ",", "\n", " ",
    "#", "# c\n",
    'a="b"', "a=~'c.*'", '"x"', "`z`", "`\\`", '"\\""', "namespace", 'namespace="other"', "=", "!=", "(foo)",
    "{}", "\r", "sum by (a) (", "rate(foo[5m])", 'foo{a="}"}', "topk(3, ", "label_replace(foo, ", ") by (x)",
    "ignoring(a) ", " foo ",
]  # fmt: skip


def selectors(node: Any) -> Iterator[list[dict[str, str]]]:
    """Return the matchers of each selector of an expression, as Prometheus itself reads it."""
    if isinstance(node, dict):
        if node.get("type") in ("vectorSelector", "matrixSelector"):
            yield node["matchers"]
        for child in node.values():
            yield from selectors(child)
    elif isinstance(node, list):
        for child in node:
            yield from selectors(child)


def parsed(url: str, text: str) -> Any:
    """Return an expression's tree, as Prometheus itself reads it; None if it refuses it."""
    try:
        answer = urllib.request.urlopen(f"{url}/api/v1/parse_query?{urllib.parse.urlencode({'query': text})}")
    except urllib.error.HTTPError:
        return None
    return json.load(answer)["data"]


def test_prometheus_itself_reads_every_selector_as_one_of_the_namespace(url: str) -> None:
    """Whatever the parser here takes an expression for: the server's own is what counts."""
    random = Random(1)
    written = [" ".join(random.choices(WORDS, k=random.randint(1, 7))) for _ in range(20_000)]
    sent = {}
    for text in (*written, *(text.replace(" ", "") for text in written)):
        with contextlib.suppress(PromqlError):
            sent[within_namespace(text, "team")] = text
    read = 0
    for confined, text in sent.items():
        tree = parsed(url, confined)
        assert tree is not None or parsed(url, text) is None, (text, confined)
        for matchers in selectors(tree):
            read += 1
            assert {"type": "=", "name": "namespace", "value": "team"} in matchers, (text, confined)
    print(f"{read} selectors in {len(sent)} expressions of {2 * len(written)} texts")
    assert read > 300
