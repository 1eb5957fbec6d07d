"""Trials read through a real Prometheus, which discovers their pods by the real API server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.cluster import images
from support.cluster.cluster import Cluster, Operator, start_operator
from support.cluster.prometheus import Prometheus
from support.cluster.studies import Study, container_study
from support.wait import until

pytestmark = pytest.mark.timeout(1800)  # the first time it builds Prometheus

SCRIPT = """
import time
from kubestudy_trainer import Trial
trial = Trial.current()
for step in range(1, 41):
    trial.report(step, y=trial.params["x"])
    time.sleep(0.5)
trial.finish(y=trial.params["x"])
"""


@pytest.fixture
def prometheus(real: Cluster, tmp_path: Path) -> Iterator[Prometheus]:
    server = Prometheus(real, tmp_path / "prometheus").up()
    yield server
    server.down()


@pytest.fixture
def operator(prometheus: Prometheus, real: Cluster, namespace: str, tmp_path: Path) -> Iterator[Operator]:
    flags = (f"--namespace={namespace}", "--no-leader-election", f"--prometheus-url={prometheus.url}")
    running = start_operator(real, tmp_path / "operator", *flags)
    yield running
    assert running.stop() == 0


def study_of(pruner: dict[str, Any], trials: int) -> dict[str, Any]:
    made = container_study(
        "curves",
        {"name": "trainer", "image": images.TRAINER, "command": ["python", "-c", SCRIPT]},
        parameters=[{"name": "x", "type": "float", "low": 0, "high": 1}],
        sampler={"name": "random", "seed": 1},
        pruner=pruner,
        parallelism=2,
        budget={"maxTrials": trials},
    )
    made["spec"]["jobTemplate"]["spec"]["template"]["spec"] |= {
        "terminationGracePeriodSeconds": 2,
        "nodeSelector": {"kubernetes.io/hostname": "node1"},
    }
    return made


@pytest.mark.usefixtures("operator")
def test_hopeless_trials_are_pruned_by_what_prometheus_saw_though_it_is_away_for_a_while(
    real: Cluster, prometheus: Prometheus, namespace: str
) -> None:
    pruner = {"name": "median", "options": {"n_startup_trials": 2, "n_warmup_steps": 2}}
    study = Study(real, namespace, "curves").apply(study_of(pruner, 10))
    until(lambda: study.status.get("trials", {}).get("pruned"), 180, 1, "a pruned trial")
    prometheus.down()
    until(lambda: (study.condition("Degraded") or {}).get("reason") == "MetricsUnavailable", 60, 1, "Degraded")
    done = study.status["trials"]["complete"]
    until(lambda: study.status["trials"]["complete"] > done, 120, 1, "a trial that ends without Prometheus")
    prometheus.up()
    status = study.until_phase("Complete", seconds=240)
    counts = status["trials"]
    assert counts["failed"] == 0
    assert counts["complete"] + counts["pruned"] == 10
    assert not study.holds("Degraded")
    # Random sampling with this seed: the third of the suggestions is by far the best.
    assert status["best"]["number"] == 2
    assert status["best"]["values"]["y"] == pytest.approx(0.000114, abs=1e-5)
