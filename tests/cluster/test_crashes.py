"""An operator that is killed loses no trial and repeats none, at whatever write it dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna
import pytest

from kubestudy.search.archive import Archive
from kubestudy.search.history import History
from kubestudy.search.storage import open_storage
from support.cluster.cluster import ROOT, Cluster
from support.cluster.studies import Study, simulated_study

TRIALS = 3


def _run(cluster: Cluster, base: Path, points: dict[str, int]) -> dict[str, Any]:
    base.mkdir(exist_ok=True)
    for namespace in points:
        cluster.new_namespace(namespace)
        Study(cluster, namespace).apply(simulated_study(budget={"maxTrials": TRIALS}, parallelism=2))
    done = subprocess.run(
        [sys.executable, "-m", "support.cluster.crashing", str(base), *(f"{n}={p}" for n, p in points.items())],
        env={**os.environ, "KUBECONFIG": str(cluster.operator_kubeconfig()), "PYTHONPATH": str(ROOT / "tests")},
        stdout=subprocess.PIPE,
        check=True,
        timeout=1500,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def _pods(cluster: Cluster) -> Counter[str]:
    """Return how many pods the Job controller made, by namespace: each is one run of a trial."""
    return Counter(
        entry["objectRef"]["namespace"]
        for entry in cluster.audit("system:serviceaccount:kube-system:job-controller")
        if entry["verb"] == "create"
        and entry["objectRef"]["resource"] == "pods"
        and entry["responseStatus"]["code"] == 201
    )


@pytest.mark.timeout(1800)
def test_a_kill_before_and_after_every_write_loses_nothing_and_repeats_nothing(
    own_cluster: Cluster, tmp_path: Path
) -> None:
    cluster = own_cluster
    mark = uuid4().hex[:6]
    whole = f"crash-{mark}-whole"
    undisturbed = _run(cluster, tmp_path / "whole", {whole: 0})
    assert undisturbed["phases"][whole] == "Complete"
    points = undisturbed["points"][whole]
    # Each trial is three requests and several records: a study of three is dozens of writes.
    assert points > 40
    namespaces = {f"crash-{mark}-{point:03}": point for point in range(1, points + 1)}
    base = tmp_path / "crashes"
    said = _run(cluster, base, namespaces)
    assert set(said["phases"].values()) == {"Complete"}
    ran = _pods(cluster)
    archive = Archive(base / "storage")
    for record in archive.records():
        status = Study(cluster, record.namespace).status
        assert (status["trials"]["total"], status["trials"]["complete"]) == (TRIALS, TRIALS), record
        storage = open_storage(base / "storage" / record.namespace / f"{record.uid}.log")
        history = History(storage, record.study_name, "journal")
        trials = history.study.get_trials(deepcopy=False)
        assert [t.number for t in trials] == list(range(TRIALS))
        assert {t.state for t in trials} == {optuna.trial.TrialState.COMPLETE}
        assert all(t.value == pytest.approx(t.params["x"]) for t in trials)
        assert len({t.params["x"] for t in trials}) == TRIALS
        assert status["best"]["values"]["y"] == pytest.approx(min(t.params["x"] for t in trials))
        assert ran[record.namespace] == TRIALS, record
        assert not Study(cluster, record.namespace).jobs
    assert len(archive.records()) == len(namespaces)
