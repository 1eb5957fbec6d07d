"""An operator that is killed, or frozen, loses no trial and repeats none, at whatever write that happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna
import pytest

from kubestudy.search.archive import Archive
from kubestudy.search.history import History
from kubestudy.search.storage import open_storage
from support.cluster.cluster import ROOT, Cluster
from support.cluster.frozen import user_agent
from support.cluster.studies import Study, simulated_study

TRIALS = 3
FROZEN_TRIALS = 1


def _run(
    cluster: Cluster,
    base: Path,
    points: dict[str, int],
    program: str = "crashing",
    *arguments: str,
    trials: int = TRIALS,
) -> dict[str, Any]:
    base.mkdir(exist_ok=True)
    for namespace in points:
        cluster.new_namespace(namespace)
        Study(cluster, namespace).apply(simulated_study(budget={"maxTrials": trials}, parallelism=2))
    named = (f"{namespace}={point}" for namespace, point in points.items())
    done = subprocess.run(
        [sys.executable, "-m", f"support.cluster.{program}", str(base), *arguments, *named],
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
    _check(cluster, base, TRIALS, len(namespaces))


def _check(cluster: Cluster, base: Path, count: int, studies: int) -> None:
    """See that each study of a storage has its trials, each told once, and run once."""
    ran = _pods(cluster)
    archive = Archive(base / "storage")
    for record in archive.records():
        status = Study(cluster, record.namespace).status
        assert (status["trials"]["total"], status["trials"]["complete"]) == (count, count), record
        path = archive.journal(record)
        assert path is not None
        storage = open_storage(path)
        history = History(storage, record.study_name, "journal")
        trials = history.study.get_trials(deepcopy=False)
        assert [t.number for t in trials] == list(range(count))
        assert {t.state for t in trials} == {optuna.trial.TrialState.COMPLETE}
        assert all(t.value == pytest.approx(t.params["x"]) for t in trials)
        assert len({t.params["x"] for t in trials}) == count
        assert status["best"]["values"]["y"] == pytest.approx(min(t.params["x"] for t in trials))
        assert ran[record.namespace] == count, record
        assert not Study(cluster, record.namespace).jobs
    assert len(archive.records()) == studies


@pytest.mark.timeout(1800)
def test_an_operator_that_is_frozen_at_any_write_writes_nothing_once_another_has_taken_over(
    own_cluster: Cluster, tmp_path: Path
) -> None:
    cluster, mark = own_cluster, uuid4().hex[:6]
    leases = cluster.new_namespace(f"freeze-{mark}-leases")
    cluster.kubectl(
        "create", "rolebinding", "lease", "-n", leases, "--clusterrole=cluster-admin",
        "--serviceaccount=kubestudy-system:kubestudy-operator",
    )  # fmt: skip
    whole = f"freeze-{mark}-whole"
    (undisturbed,) = _run(cluster, tmp_path / "whole", {whole: 0}, "frozen", leases, trials=FROZEN_TRIALS).values()
    assert undisturbed["phase"] == "Complete" and undisturbed["ended"] == 0
    points = undisturbed["points"]
    assert points > 12
    namespaces = {f"freeze-{mark}-{point:03}": point for point in range(1, points + 1)}
    base = tmp_path / "freezes"
    said = _run(cluster, base, namespaces, "frozen", leases, trials=FROZEN_TRIALS)
    assert {pair["phase"] for pair in said.values()} == {"Complete"}
    frozen = {namespace: pair for namespace, pair in said.items() if pair["thawed"] is not None}
    # Counts are written when it is their turn, so that a run has a point more or less; and on a busy machine one may
    # lose its Lease before its point.
    assert len(frozen) >= points * 3 // 4
    assert {pair["late"] for pair in frozen.values()} == {0}, frozen
    assert {pair["ended"] for pair in frozen.values()} == {1}, frozen
    asked = cluster.audit()
    for namespace, pair in frozen.items():
        # What was on its way to the server before is none of these.
        late = [
            f"{entry['verb']} {entry['requestURI']}"
            for entry in asked
            if entry.get("userAgent") == user_agent(namespace, "first")
            and entry["verb"] not in ("get", "list", "watch")
            and entry["objectRef"]["resource"] != "leases"
            and datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp() > pair["thawed"]
        ]
        assert not late, namespace
    _check(cluster, base, FROZEN_TRIALS, len(namespaces))
