"""Two operators that watch one namespace, as a cluster-wide and a namespaced release do: one looks after a study."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from support.cluster.cluster import Cluster, Operator, start_operator
from support.cluster.studies import Study, simulated_study
from support.wait import until


def _start(cluster: Cluster, folder: Path, namespace: str, lease: str) -> Operator:
    flags = (f"--namespace={namespace}", f"--lease-namespace={namespace}", f"--storage={folder / 'storage'}")
    return start_operator(cluster, folder / lease, *flags, environment={"KUBESTUDY_LEASE_NAME": lease})


def test_of_two_operators_one_looks_after_a_study_and_the_other_says_so_and_follows_when_it_is_told(
    cluster: Cluster, namespace: str, folder: Path
) -> None:
    cluster.kubectl(
        "create", "rolebinding", "lease", "-n", namespace, "--clusterrole=cluster-admin",
        "--serviceaccount=kubestudy-system:kubestudy-operator",
    )  # fmt: skip
    first, second = (_start(cluster, folder, namespace, lease) for lease in ("first", "second"))
    until(lambda: first.ready and second.ready, what="two operators that lead, each by a Lease of its own")
    names = [f"study-{number}" for number in range(4)]
    studies = [Study(cluster, namespace, name) for name in names]
    manifests = [simulated_study(name, run_for="3s", budget={"maxTrials": 30}, parallelism=3) for name in names]
    cluster.apply(*manifests, namespace=namespace)
    until(lambda: all(study.holds("Contested") for study in studies), what="the other operator's word")
    # The other's conditions stand beside it.
    until(
        lambda: all(study.holds("Progressing") and study.holds("Contested") for study in studies), what="both's words"
    )
    until(lambda: all(study.status["trials"]["complete"] for study in studies), what="complete trials")
    owners = {study.name: study.status["operator"]["name"] for study in studies}
    assert set(owners.values()) <= {f"{namespace}/first", f"{namespace}/second"}
    # Both might have some. The one that has the first is stopped; its studies stand still, and nobody touches them.
    leaving, staying = (first, second) if owners["study-0"].endswith("/first") else (second, first)
    assert leaving.stop() == 0
    left = [study for study in studies if owners[study.name] == owners["study-0"]]
    until(lambda: not any(pod["status"]["phase"] == "Running" for pod in _pods(cluster, left[0])), what="trials to end")
    total, jobs = left[0].status["trials"]["total"], {job["metadata"]["name"] for job in left[0].jobs}
    # What the condition says is what helps.
    said = left[0].condition("Contested")["message"]
    assert owners["study-0"] in said
    command = shlex.split(said[said.index("kubectl patch") :])[1:]
    assert (left[0].status["trials"]["total"], {job["metadata"]["name"] for job in left[0].jobs}) == (total, jobs)
    for study in left:
        command[command.index("hps") + 1] = study.name
        cluster.kubectl(*command)
    for study in studies:
        status = study.until_phase("Complete")
        assert (status["trials"]["total"], status["trials"]["complete"]) == (30, 30)
        assert status["best"]["values"]["y"] == status["best"]["params"]["x"]
        assert not study.condition("Contested") or owners[study.name] != owners["study-0"]
    assert staying.stop() == 0


def _pods(cluster: Cluster, study: Study) -> list[dict[str, dict[str, str]]]:
    found = cluster.get("pods", "-l", f"kubestudy.dev/study={study.name}", namespace=study.namespace)
    items: list[dict[str, dict[str, str]]] = (found or {}).get("items", [])
    return items


def test_a_study_whose_operator_is_silent_for_long_is_taken_over(
    cluster: Cluster, namespace: str, folder: Path
) -> None:
    study = Study(cluster, namespace).apply(simulated_study(budget={"maxTrials": 3}))
    gone = {"name": "elsewhere/gone", "storage": "unknown", "renewTime": "2026-01-01T00:00:00Z"}
    cluster.kubectl(
        "patch", "hps", "sim", "-n", namespace, "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": {"operator": gone}}),
    )  # fmt: skip
    operator = start_operator(cluster, folder, f"--namespace={namespace}", "--no-leader-election")
    study.until_phase("Complete")
    assert study.status["operator"]["name"] == "kubestudy-system/kubestudy-operator"
    assert study.status["operator"]["storage"] == (folder / "storage" / "storage.identity").read_text().strip()
    until(lambda: "TakenOver" in {reason for reason, _ in study.events}, what="an event")
    assert operator.stop() == 0
