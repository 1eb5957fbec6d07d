"""An operator that is told to stop, as each upgrade of it does."""

from __future__ import annotations

import time
from pathlib import Path

from support.cluster.cluster import Cluster, start_operator
from support.cluster.studies import Study, simulated_study
from support.wait import until


def test_an_operator_with_a_study_at_work_stops_at_once(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    operator = start_operator(cluster, tmp_path / "operator", f"--namespace={namespace}", "--no-leader-election")
    until(lambda: operator.ready, what="a ready operator")
    # Seen by the watch, after it began.
    study = Study(cluster, namespace).apply(simulated_study(run_for="600s"))
    until(lambda: study.status.get("trials", {}).get("running"), what="a running trial")
    began = time.monotonic()
    assert operator.stop() == 0
    # Five seconds is what kopf would wait for the study's task, which does not end by itself.
    assert time.monotonic() - began < 5
    assert "Traceback" not in operator.log.read_text()
    cluster.kubectl("delete", "hps", "sim", "-n", namespace)
