"""What goes wrong around an operator: the API server, the storage, the operator itself."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

from support.cluster.access import write_kubeconfig
from support.cluster.cluster import ACCOUNT, NAMESPACE, Cluster, start_operator
from support.cluster.faulty import BY_PROXY, FaultyProxy, HangingProxy, LyingProxy, RefusingProxy
from support.cluster.studies import Study, simulated_study
from support.wait import until


def _metrics(port: int, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def test_an_api_server_that_goes_away_for_a_while_costs_nothing(
    own_cluster: Cluster, namespace: str, folder: Path
) -> None:
    cluster = own_cluster
    operator = start_operator(cluster, folder, f"--namespace={namespace}", "--no-leader-election")
    study = Study(cluster, namespace).apply(simulated_study(run_for="2s", budget={"maxTrials": 8}, parallelism=2))
    until(lambda: study.status.get("trials", {}).get("complete"), what="a complete trial")
    cluster.control_plane.stop_api_server()
    time.sleep(15)  # longer than one request's retries last
    cluster.control_plane.start_api_server()
    status = study.until_phase("Complete", seconds=300)
    assert (status["trials"]["total"], status["trials"]["complete"]) == (8, 8)
    assert operator.process.poll() is None
    assert operator.stop() == 0


def test_a_crowded_api_server_and_watches_that_break_cost_nothing(
    own_cluster: Cluster, namespace: str, folder: Path
) -> None:
    cluster = own_cluster
    token = cluster.kubectl("create", "token", ACCOUNT, "-n", NAMESPACE).strip()
    with FaultyProxy(cluster.control_plane.url, cluster.control_plane.folder / "ca.crt") as proxy:
        folder.mkdir(exist_ok=True)
        kubeconfig = write_kubeconfig(folder / "kubeconfig", {"server": proxy.url}, token)
        operator = start_operator(
            cluster, folder, f"--namespace={namespace}", "--no-leader-election",
            environment={"KUBECONFIG": str(kubeconfig)},
        )  # fmt: skip
        study = Study(cluster, namespace).apply(simulated_study(run_for="1s", budget={"maxTrials": 12}, parallelism=3))
        status = study.until_phase("Complete", seconds=300)
        assert (status["trials"]["total"], status["trials"]["complete"]) == (12, 12)
        until(lambda: not study.jobs, what="no Jobs")
        assert operator.stop() == 0
        assert proxy.counts["jobs"] >= 24
        assert proxy.counts["watches"] >= 3
    assert "too many requests" in operator.log.read_text()
    pods = [
        entry
        for entry in cluster.audit("system:serviceaccount:kube-system:job-controller")
        if entry["verb"] == "create"
        and entry["objectRef"]["resource"] == "pods"
        and entry["objectRef"]["namespace"] == namespace
    ]
    assert len(pods) == 12


def test_whatever_a_proxy_answers_in_the_servers_place_costs_nothing(
    own_cluster: Cluster, namespace: str, folder: Path
) -> None:
    cluster = own_cluster
    token = cluster.kubectl("create", "token", ACCOUNT, "-n", NAMESPACE).strip()
    with LyingProxy(cluster.control_plane.url, cluster.control_plane.folder / "ca.crt") as proxy:
        folder.mkdir(exist_ok=True)
        kubeconfig = write_kubeconfig(folder / "kubeconfig", {"server": proxy.url}, token)
        operator = start_operator(
            cluster, folder, f"--namespace={namespace}", "--no-leader-election",
            environment={"KUBECONFIG": str(kubeconfig)},
        )  # fmt: skip
        study = Study(cluster, namespace).apply(simulated_study(run_for="1s", budget={"maxTrials": 6}, parallelism=2))
        status = study.until_phase("Complete", seconds=400)
        assert (status["trials"]["total"], status["trials"]["complete"]) == (6, 6)
        until(lambda: not study.jobs, seconds=200, what="no Jobs")
        assert operator.process.poll() is None
        assert operator.stop() == 0
    pods = [
        entry
        for entry in cluster.audit("system:serviceaccount:kube-system:job-controller")
        if entry["verb"] == "create"
        and entry["objectRef"]["resource"] == "pods"
        and entry["objectRef"]["namespace"] == namespace
    ]
    assert len(pods) == 6


def test_a_storage_that_goes_away_leaves_the_running_trials_alone(
    cluster: Cluster, namespace: str, folder: Path
) -> None:
    operator = start_operator(cluster, folder, f"--namespace={namespace}", "--no-leader-election")
    study = Study(cluster, namespace).apply(simulated_study(run_for="8s", budget={"maxTrials": 4}, parallelism=2))
    until(lambda: study.status.get("trials", {}).get("running") == 2, what="two running trials")
    before = {job["metadata"]["uid"] for job in study.jobs}
    storage, aside = folder / "storage", folder / "aside"
    storage.rename(aside)
    until(lambda: (study.condition("Degraded") or {}).get("reason") == "StorageUnavailable", what="Degraded")
    assert {job["metadata"]["uid"] for job in study.jobs} == before
    assert "kubestudy_storage_errors_total" in _metrics(operator.port)
    if storage.exists():
        storage.rename(folder / "empty")
    aside.rename(storage)
    status = study.until_phase("Complete", seconds=300)
    assert (status["trials"]["total"], status["trials"]["complete"]) == (4, 4)
    assert not study.holds("Degraded")
    assert operator.stop() == 0


def test_an_empty_storage_is_not_mistaken_for_a_new_study(cluster: Cluster, namespace: str, folder: Path) -> None:
    flags = (f"--namespace={namespace}", "--no-leader-election")
    operator = start_operator(cluster, folder, *flags)
    study = Study(cluster, namespace).apply(simulated_study(run_for="never", budget={"maxTrials": 2}, parallelism=2))
    until(lambda: study.status.get("trials", {}).get("running") == 2, what="two running trials")
    operator.kill()
    (folder / "storage").rename(folder / "aside")
    operator = start_operator(cluster, folder, *flags)
    until(lambda: (study.condition("Degraded") or {}).get("reason") == "StorageUnavailable", what="Degraded")
    assert "is the right volume mounted?" in study.condition("Degraded")["message"]
    assert len(study.jobs) == 2
    assert operator.stop() == 0


def test_a_killed_operator_is_followed_by_its_standby_and_the_trials_go_on(
    cluster: Cluster, namespace: str, folder: Path
) -> None:
    flags = (f"--namespace={namespace}", f"--lease-namespace={namespace}")
    cluster.kubectl(
        "create", "rolebinding", "lease", "-n", namespace, "--clusterrole=cluster-admin",
        "--serviceaccount=kubestudy-system:kubestudy-operator",
    )  # fmt: skip
    first = start_operator(cluster, folder, *flags)
    study = Study(cluster, namespace).apply(simulated_study(run_for="3s", budget={"maxTrials": 20}, parallelism=2))
    until(lambda: study.status.get("trials", {}).get("complete"), what="a complete trial")
    second = start_operator(cluster, folder, *flags)
    until(lambda: second.ready, what="a ready standby")
    time.sleep(3)  # the standby has looked at the Lease once, as it would have for long
    done = study.status["trials"]["complete"]
    first.kill()
    killed = time.monotonic()
    until(lambda: study.status["trials"]["complete"] > done + 2, seconds=60, what="progress by the standby")
    assert time.monotonic() - killed < 40  # 15 s for the lease, the rest for trials of 3 s to end on a busy machine
    status = study.until_phase("Complete", seconds=300)
    assert (status["trials"]["total"], status["trials"]["complete"]) == (20, 20)
    assert second.stop() == 0


def test_a_stopped_operator_leaves_its_trials_running_and_deletion_needs_none(
    cluster: Cluster, namespace: str, folder: Path
) -> None:
    operator = start_operator(cluster, folder, f"--namespace={namespace}", "--no-leader-election")
    manifest = simulated_study(run_for="never", budget={"maxTrials": 2}, parallelism=2, historyPolicy="Delete")
    study = Study(cluster, namespace).apply(manifest)
    until(lambda: study.status.get("trials", {}).get("running") == 2, what="two running trials")
    assert _metrics(operator.port, "/healthz") == "ok\n"
    assert f'kubestudy_study_trials{{namespace="{namespace}",state="running",study="sim"}} 2.0' in _metrics(
        operator.port
    )
    begun = time.monotonic()
    assert operator.stop() == 0
    assert time.monotonic() - begun < 25
    assert len(study.jobs) == 2
    cluster.kubectl("delete", "hps", "sim", "-n", namespace, "--timeout=60s")
    until(lambda: not study.jobs, what="no Jobs")
    journals = list((folder / "storage").glob("*/*.log"))
    assert journals
    operator = start_operator(cluster, folder, f"--namespace={namespace}", "--no-leader-election")
    until(lambda: not any(path.exists() for path in journals), what="the history to be deleted")
    assert operator.stop() == 0


def _writes_of_studies(cluster: Cluster, namespace: str) -> list[bool]:
    """Return of each write about the namespace's studies, in order, whether it came by a proxy."""
    writes = [
        entry
        for entry in cluster.audit()
        if entry["verb"] in ("create", "patch", "delete", "update")
        and entry["objectRef"].get("namespace") == namespace
        and entry["objectRef"]["resource"] != "leases"
    ]
    writes.sort(key=lambda entry: entry["requestReceivedTimestamp"])
    return [BY_PROXY in entry["userAgent"] for entry in writes]


def _one_after_the_other(writes: list[bool]) -> bool:
    """Tell whether both wrote, and the one behind the proxy nothing any more once the other had begun."""
    return writes == sorted(writes, reverse=True) and len(set(writes)) == 2


def test_a_refused_connection_costs_a_leader_nothing_and_many_of_them_its_lease(
    own_cluster: Cluster, namespace: str, folder: Path
) -> None:
    cluster = own_cluster
    cluster.kubectl(
        "create", "rolebinding", "lease", "-n", namespace, "--clusterrole=cluster-admin",
        "--serviceaccount=kubestudy-system:kubestudy-operator",
    )  # fmt: skip
    flags = (f"--namespace={namespace}", f"--lease-namespace={namespace}")
    token = cluster.kubectl("create", "token", ACCOUNT, "-n", NAMESPACE).strip()
    with RefusingProxy(cluster.control_plane.url, cluster.control_plane.folder / "ca.crt") as proxy:
        kubeconfig = write_kubeconfig(folder / "kubeconfig", {"server": proxy.url}, token)
        first = start_operator(cluster, folder, *flags, environment={"KUBECONFIG": str(kubeconfig)})
        study = Study(cluster, namespace).apply(simulated_study(run_for="2s", budget={"maxTrials": 24}, parallelism=2))
        until(lambda: study.status.get("trials", {}).get("complete"), what="a complete trial")
        second = start_operator(cluster, folder / "second", *flags, f"--storage={folder / 'storage'}")
        until(lambda: second.ready, what="a ready standby")
        time.sleep(3)  # the standby has looked at the Lease once, as it would have for long
        proxy.refuse()
        until(lambda: "is not renewed" in first.log.read_text(), what="a renewal that was refused")
        proxy.accept()
        done = study.status["trials"]["complete"]
        until(lambda: study.status["trials"]["complete"] > done + 2, what="progress by the same leader")
        assert first.process.poll() is None and "leading as" not in second.log.read_text()
        proxy.refuse()
        assert first.process.wait(60) == 1
        until(lambda: "leading as" in second.log.read_text(), seconds=60, what="the standby's turn")
    assert _when(first.log, "is lost: it was not renewed in time") < _when(second.log, "leading as")
    status = study.until_phase("Complete", seconds=120)
    assert (status["trials"]["total"], status["trials"]["complete"]) == (24, 24)
    assert second.stop() == 0
    assert _one_after_the_other(_writes_of_studies(cluster, namespace))


def _when(log: Path, words: str) -> str:
    """Return the time that stands before the last line of a log that holds some words."""
    return [line for line in log.read_text().splitlines() if words in line][-1][: len("2026-01-31 12:00:00,000")]


def test_a_leader_whose_api_server_hangs_gives_way_before_its_standby_leads(
    own_cluster: Cluster, namespace: str, folder: Path
) -> None:
    cluster = own_cluster
    cluster.kubectl(
        "create", "rolebinding", "lease", "-n", namespace, "--clusterrole=cluster-admin",
        "--serviceaccount=kubestudy-system:kubestudy-operator",
    )  # fmt: skip
    flags = (f"--namespace={namespace}", f"--lease-namespace={namespace}")
    token = cluster.kubectl("create", "token", ACCOUNT, "-n", NAMESPACE).strip()
    with HangingProxy(cluster.control_plane.url, cluster.control_plane.folder / "ca.crt") as proxy:
        kubeconfig = write_kubeconfig(folder / "kubeconfig", {"server": proxy.url}, token)
        first = start_operator(cluster, folder, *flags, environment={"KUBECONFIG": str(kubeconfig)})
        study = Study(cluster, namespace).apply(simulated_study(run_for="3s", budget={"maxTrials": 12}, parallelism=2))
        until(lambda: study.status.get("trials", {}).get("complete"), what="a complete trial")
        second = start_operator(cluster, folder / "second", *flags, f"--storage={folder / 'storage'}")
        until(lambda: second.ready, what="a ready standby")
        time.sleep(3)  # the standby has looked at the Lease once, as it would have for long
        proxy.hang()
        assert first.process.wait(60) == 1
        until(lambda: "leading as" in second.log.read_text(), seconds=60, what="the standby's turn")
    assert _when(first.log, "is lost: it was not renewed in time") < _when(second.log, "leading as")
    status = study.until_phase("Complete", seconds=120)
    assert (status["trials"]["total"], status["trials"]["complete"]) == (12, 12)
    assert second.stop() == 0
    assert _one_after_the_other(_writes_of_studies(cluster, namespace))
