"""A Prometheus server beside a cluster, with the chart's own scrape configuration."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from support.cluster import processes
from support.cluster.cluster import ROOT, Cluster, Operator, start_operator
from support.cluster.tools import PROMETHEUS
from support.wait import until

SCRAPE = ROOT / "charts" / "kubestudy" / "files" / "scrape.yaml"
_READY_SECONDS = 180


class Prometheus:
    """A server; discovers pods by the API server.

    Args:
        cluster: The cluster.
        folder: Where its data and log are.
        interval: How often it scrapes.
    """

    def __init__(self, cluster: Cluster, folder: Path, interval: str = "1s") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.url = f"http://127.0.0.1:{processes.free_port()}"
        configuration = yaml.safe_load(SCRAPE.read_text())
        for job in configuration["scrape_configs"]:
            job["scrape_interval"] = interval
            for rule in job["relabel_configs"]:
                if rule.get("regex") == "kubestudy-system":  # tests install operators in several namespaces
                    rule["regex"] = "kubestudy-.+"
            for discovery in job["kubernetes_sd_configs"]:
                discovery["kubeconfig_file"] = str(cluster.access.kubeconfig)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))

    def up(self) -> Prometheus:
        """Start it, or start it again."""
        program = PROMETHEUS.programs() / "prometheus"
        address = self.url.removeprefix("http://")
        command: list[str | Path] = [
            program,
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address={address}",
        ]
        processes.start("prometheus", command, self.folder)
        until(
            lambda: processes.answers(f"{self.url}/-/ready"),
            _READY_SECONDS,
            what="Prometheus",
            error=processes.ClusterError,
        )
        return self

    def down(self) -> None:
        """End it; its data stay."""
        processes.end(self.folder / "prometheus.pid")

    def range(self, expression: str, since: float, step: float = 2.0) -> list[Any]:
        """Return the series that an expression gives from a Unix time until now."""
        form = {"query": expression, "start": since, "end": time.time(), "step": step}
        url = f"{self.url}/api/v1/query_range?{urllib.parse.urlencode(form)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            found: list[Any] = json.load(answer)["data"]["result"]
        return found


def operator_with(prometheus: Prometheus, cluster: Cluster, namespace: str, folder: Path) -> Operator:
    """Start an operator that looks after one namespace and asks a server; trials settle within a second."""
    flags = (f"--namespace={namespace}", "--no-leader-election", f"--prometheus-url={prometheus.url}")
    return start_operator(cluster, folder, *flags, environment={"KUBESTUDY_PROMETHEUS_SETTLING_SECONDS": "1"})
