"""Studies that would take the operator down with them, or its threads: they alone have trouble. Real operators."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.cluster.cluster import OPERATOR_SECONDS, ROOT, Cluster
from support.cluster.processes import free_port
from support.cluster.studies import Study, simulated_study
from support.wait import until


@contextmanager
def poisoned_operator(cluster: Cluster, folder: Path, namespace: str, **environment: str) -> Iterator[int]:
    """Run an operator that is started again whenever it ends; the value is the port of its probes."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "support.cluster.poisoned", str(folder), namespace, str(port)],
        env={
            **os.environ, "KUBECONFIG": str(cluster.operator_kubeconfig()), "PYTHONPATH": str(ROOT / "tests"),
            **environment,
        },
    )  # fmt: skip
    try:
        yield port
        process.send_signal(signal.SIGTERM)
        assert process.wait(OPERATOR_SECONDS) == 0
    finally:
        process.kill()


def test_a_study_that_kills_the_operator_is_told_so_and_the_others_go_on(
    cluster: Cluster, namespace: str, folder: Path
) -> None:
    poison = Study(cluster, namespace, "poison").apply(simulated_study("poison"))
    others = [Study(cluster, namespace, f"fine-{number}") for number in range(3)]
    for other in others:
        other.apply(simulated_study(other.name, run_for="1s", budget={"maxTrials": 12}, parallelism=2))
    with poisoned_operator(cluster, folder, namespace):
        for other in others:
            status = other.until_phase("Complete")
            assert (status["trials"]["total"], status["trials"]["complete"]) == (12, 12)
        until(lambda: "killed 3 times in a row" in (poison.condition("Degraded") or {}).get("message", ""), what="it")
        assert poison.condition("Degraded")["reason"] == "Quarantined"
        assert "Quarantined" in {reason for reason, _ in poison.events}
        assert not poison.jobs
        log = (folder / "operator.log").read_text()
        assert f"{namespace}/poison: Quarantined: the operator was killed" in log
        # Three kills, and no more of them: the pause is half a minute by now.
        assert log.count("was killed while it worked on these studies") == 3
        (folder / "mended").touch()
        poison.patch(budget={"maxTrials": 7})
        status = poison.until_phase("Complete")
        assert (status["trials"]["total"], status["trials"]["complete"]) == (7, 7)
        assert not poison.holds("Degraded")


def test_twenty_studies_whose_asks_hang_hold_up_no_other(cluster: Cluster, namespace: str, folder: Path) -> None:
    hangs = [Study(cluster, namespace, f"hangs-{number}") for number in range(20)]
    cluster.apply(*(simulated_study(study.name, budget={"maxTrials": 1}) for study in hangs), namespace=namespace)
    with poisoned_operator(cluster, folder, namespace, KUBESTUDY_SEARCH_SECONDS="8") as port:
        until(lambda: all(study.holds("Progressing") or study.holds("Degraded") for study in hangs[:3]), what="a start")
        other = Study(cluster, namespace, "fine").apply(simulated_study("fine", budget={"maxTrials": 9}))
        other.until_phase("Complete", seconds=60)
        degraded = [study.condition for study in hangs]
        until(lambda: all((c("Degraded") or {}).get("reason") == "SearchStuck" for c in degraded), what="all Degraded")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            series = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#")
        assert float(series["kubestudy_stuck_searches"]) == 20
        assert float(series["kubestudy_search_threads"]) <= 28
        (folder / "mended").touch()
        for study in hangs:
            assert study.until_phase("Complete")["trials"]["complete"] == 1
