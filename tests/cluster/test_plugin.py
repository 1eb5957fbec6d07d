"""`kubectl study`, as a user with the roles that the manifests bring, no administrator.

The operator is a pod here: the API server's proxy leads to pods only. Trials are simulated, but for one with a log.
"""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from support.cluster import images
from support.cluster.cluster import NAMESPACE
from support.cluster.deployed import Deployed, end, start_again
from support.cluster.studies import Study, container_study, simulated_study
from support.wait import until

pytestmark = pytest.mark.timeout(900)

SERVICE = f"/api/v1/namespaces/{NAMESPACE}/services/kubestudy-operator:history/proxy"

SCRIPT = "import time; print('epoch 1', flush=True); time.sleep(600)"
TALKING = {"name": "trainer", "image": images.TRAINER, "command": ["python", "-c", SCRIPT]}


class User:
    """Somebody with the role `edit` in one namespace, who may read histories."""

    def __init__(self, deployed: Deployed, folder: Path, *, history: bool = True) -> None:
        cluster, namespace, name = deployed.cluster, deployed.namespace, f"user-{uuid4().hex[:6]}"
        account = f"--serviceaccount={namespace}:{name}"
        cluster.kubectl("create", "serviceaccount", name, "-n", namespace)
        cluster.kubectl("create", "rolebinding", name, "--clusterrole=edit", account, "-n", namespace)
        if history:
            cluster.kubectl("create", "rolebinding", name, "--role=kubestudy-history", account, "-n", NAMESPACE)
        token = cluster.kubectl("create", "token", name, "-n", namespace).strip()
        self._kubeconfig = cluster.access.kubeconfig_for(token, folder / "user.kubeconfig", namespace)
        self._kubectl = cluster.access.programs.folder
        self._folder = folder

    def study(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `kubectl study ...`."""
        running = self.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = running.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, running.returncode, out, err)

    def start(self, *arguments: str, **streams: Any) -> subprocess.Popen[str]:
        """Start `kubectl study ...`."""
        path = f"{Path(sys.executable).parent}:{self._kubectl}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "KUBECONFIG": str(self._kubeconfig)}
        return subprocess.Popen(
            ["kubectl", "study", *arguments], cwd=self._folder, env=environment, text=True, **streams
        )


class Admin(User):
    """The cluster's administrator."""

    def __init__(self, deployed: Deployed, folder: Path) -> None:
        self._kubeconfig = deployed.cluster.access.kubeconfig
        self._kubectl = deployed.cluster.access.programs.folder
        self._folder = folder


@pytest.fixture
def user(deployed: Deployed, tmp_path: Path) -> User:
    return User(deployed, tmp_path)


@pytest.fixture
def study(deployed: Deployed, user: User) -> Iterator[Study]:
    """A study that is not there yet, of a name of its own."""
    made = Study(deployed.cluster, deployed.namespace, f"sim-{uuid4().hex[:6]}")
    yield made
    deployed.cluster.kubectl("delete", "hps", made.name, "-n", made.namespace, "--ignore-not-found")


def test_a_study_followed_to_its_end_and_looked_at(study: Study, user: User, tmp_path: Path) -> None:
    study.apply(simulated_study(study.name, parallelism=1, budget={"maxTrials": 4}, suspend=True))
    study.until_phase("Suspended")
    seen = tmp_path / "seen"
    with seen.open("w") as file:
        following = user.start("wait", study.name, "--timeout=90s", stdout=subprocess.PIPE, stderr=file)
        until(lambda: f"{study.name}: 0/4 trials ended" in seen.read_text(), what="the first line")
        study.patch(suspend=False)
        followed, _ = following.communicate(timeout=120)
    assert following.returncode == 0, seen.read_text()
    assert followed.startswith(f"{study.name}: Complete: maxTrials (4) is reached\n  trial ")
    assert "4 complete, 0 pruned, 0 failed" in followed
    assert "NewBest: trial" in seen.read_text()

    listed = user.study("list").stdout.splitlines()
    assert listed[0].split() == ["NAME", "PHASE", "TRIALS", "RUNNING", "BEST", "AGE"]
    row = next(line for line in listed if line.startswith(study.name))
    assert row.split()[:4] == [study.name, "Complete", "4/4", "0"]

    trials = json.loads(user.study("trials", study.name, "-o", "json").stdout)
    assert [trial["number"] for trial in trials] == list(range(4))
    assert {trial["state"] for trial in trials} == {"Complete"}
    best = json.loads(user.study("best", study.name, "-o", "json").stdout)
    assert best == min(trials, key=lambda trial: trial["values"]["y"])
    assert best["number"] == study.status["best"]["number"]

    described = user.study("describe", study.name).stdout
    for part in (
        "minimize y",
        "4 of 4 trials",
        f"trial {best['number']} (Job {study.name}-",
        "MaxTrialsReached",
        "Events:",
    ):
        assert part in described

    reported = user.study("report", study.name)
    assert reported.stdout == f"{study.name}.html\n"
    assert "<html" in (tmp_path / f"{study.name}.html").read_text()


def test_suspend_resume_and_stop(study: Study, user: User) -> None:
    study.apply(simulated_study(study.name, run_for="1s", budget={"maxTrials": 1000}))
    until(lambda: study.status.get("trials", {}).get("complete"), what="a complete trial")
    assert user.study("suspend", study.name).stderr == f"{study.name} suspended\n"
    study.until_phase("Suspended")
    waiting = json.loads(user.study("trials", study.name, "-o", "json").stdout)
    assert "Waiting" in {trial["state"] for trial in waiting}
    assert user.study("resume", study.name).returncode == 0
    study.until_phase("Running")
    assert user.study("stop", study.name).returncode == 0
    status = study.until_phase("Complete")
    assert study.condition("Complete")["reason"] == "StopRequested"
    assert status["trials"]["running"] == 0
    done = status["trials"]["complete"]
    assert user.study("resume", study.name).returncode == 0
    until(lambda: study.status["trials"]["complete"] > done, what="another trial after it was resumed")


def test_a_log_that_is_gone_says_what_would_have_kept_it(study: Study, user: User) -> None:
    study.apply(
        simulated_study(
            study.name,
            annotations={"exit-code": "3", "message": "bad luck"},
            budget={"maxTrials": 1},
            failedJobsHistoryTTL="1s",
        )
    )
    study.until_phase("Failed")
    until(lambda: not study.jobs, what="no Job")
    refused = user.study("logs", study.name, "0")
    assert refused.returncode == 1
    assert f"trial 0 of {study.name} is Failed" in refused.stderr
    assert "exit code 3: bad luck" in refused.stderr
    assert "ttlSecondsAfterFinished" in refused.stderr
    assert "failedJobsHistoryTTL" in refused.stderr
    assert "no trial 7" in user.study("logs", study.name, "7").stderr


def test_jobs_stay_as_long_as_the_template_says(study: Study) -> None:
    study.apply(simulated_study(study.name, job={"ttlSecondsAfterFinished": 600}))
    study.until_phase("Complete")
    assert len(study.jobs) == 6


def test_wrong_input_names_the_remedy(study: Study, user: User) -> None:
    study.apply(simulated_study(study.name, budget={"maxTrials": 2}))
    study.until_phase("Complete")
    unknown = user.study("best", "sin").stderr
    assert f"no study sin in namespace {study.namespace}" in unknown
    assert study.name in unknown
    assert "--timeout" in user.study("wait", study.name, "--timeout=soon").stderr
    elsewhere = user.study("list", "-n", "kube-system")
    assert elsewhere.returncode == 1
    assert "cannot list resource" in elsewhere.stderr
    assert user.study("list", "--context=nowhere").returncode == 1


def test_without_the_role_for_histories_none_is_shown(deployed: Deployed, study: Study, tmp_path: Path) -> None:
    user = User(deployed, tmp_path, history=False)
    study.apply(simulated_study(study.name, budget={"maxTrials": 2}, suspend=True))
    until(lambda: study.status.get("historyService"), what="a status")
    seen = tmp_path / "seen"
    with seen.open("w") as file:
        following = user.start("wait", study.name, stdout=file, stderr=file)
        until(lambda: "running trials are not listed" in seen.read_text(), what="a remark")
        study.patch(suspend=False)
        assert following.wait(120) == 0
    refused = user.study("trials", study.name)
    assert refused.returncode == 1
    assert "services/proxy" in refused.stderr
    assert "--storage" in refused.stderr


def test_a_history_is_only_for_who_knows_the_uid(deployed: Deployed, study: Study) -> None:
    study.apply(simulated_study(study.name, budget={"maxTrials": 2}))
    study.until_phase("Complete")
    uid, base = study.body["metadata"]["uid"], f"{SERVICE}/studies"
    raw = partial(deployed.cluster.kubectl, "get", "--raw", check=False)
    assert "kubestudy:spec" in raw(f"{base}/{study.namespace}/{study.name}/{uid}/history")
    for path in (
        f"{study.namespace}/{study.name}/00000000-0000-0000-0000-000000000000/history",
        f"..%2f..%2fetc/passwd/{uid}/history",
        f"{study.namespace}/{study.name}/..%2f..%2f..%2fetc%2fpasswd/history",
    ):
        assert not raw(f"{base}/{path}")


def test_the_log_of_a_running_trial(study: Study, user: User) -> None:
    study.apply(container_study(study.name, TALKING))
    said = until(lambda: user.study("logs", study.name, "0").stdout, what="a log")
    assert said == "epoch 1\n"


def test_with_the_plain_role_edit_the_best_trial_and_a_log_are_seen(
    deployed: Deployed, study: Study, tmp_path: Path
) -> None:
    user = User(deployed, tmp_path, history=False)
    script = "import time; print('epoch 1', flush=True); time.sleep(600)"
    running = Study(deployed.cluster, deployed.namespace, f"{study.name}-log")
    running.apply(
        container_study(running.name, {"name": "trainer", "image": images.TRAINER, "command": ["python", "-c", script]})
    )
    try:
        study.apply(simulated_study(study.name, budget={"maxTrials": 3}))
        status = study.until_phase("Complete")
        best = json.loads(user.study("best", study.name, "-o", "json").stdout)
        assert (best["number"], best["values"], best["params"]) == tuple(
            status["best"][key] for key in ("number", "values", "params")
        )
        assert f"{best['values']['y']:.6g}" in user.study("best", study.name).stdout
        gone = user.study("logs", study.name, "0")
        assert gone.returncode == 1
        assert f"trial 0 of {study.name} has no Job any more" in gone.stderr
        assert f"{study.name} has no trial 77" in user.study("logs", study.name, "77").stderr
        said = until(lambda: user.study("logs", running.name, "0").stdout, what="a log")
        assert said == "epoch 1\n"
    finally:
        deployed.cluster.kubectl("delete", "hps", running.name, "-n", running.namespace)


def test_a_hindrance_is_told_by_every_command_that_shows_the_study(study: Study, user: User) -> None:
    study.apply(simulated_study(study.name, annotations={"waiting": "ErrImagePull"}))
    until(lambda: study.holds("Degraded"), what="Degraded")
    reason = study.condition("Degraded")["reason"]
    for command in (["list"], ["trials", study.name], ["wait", study.name, "--timeout=1s"]):
        said = user.study(*command)
        assert f"{study.name}: Degraded: {reason}: " in said.stderr, command
    assert "; Degraded: " in said.stderr.splitlines()[-1]  # what the time was up for
    assert reason in user.study("status", study.name).stdout


def test_data_of_studies_and_trials_are_csv_too(study: Study, user: User) -> None:
    study.apply(simulated_study(study.name, budget={"maxTrials": 2}))
    study.until_phase("Complete")
    rows = list(csv.DictReader(io.StringIO(user.study("list", "-o", "csv").stdout)))
    (row,) = (row for row in rows if row["name"] == study.name)
    assert (row["namespace"], row["phase"], row["complete"]) == (study.namespace, "Complete", "2")
    trials = list(csv.DictReader(io.StringIO(user.study("trials", study.name, "-o", "csv").stdout)))
    assert [(trial["number"], trial["state"]) for trial in trials] == [("0", "Complete"), ("1", "Complete")]


def test_delete_takes_the_study_and_says_what_stays(study: Study, user: User) -> None:
    study.apply(simulated_study(study.name, budget={"maxTrials": 2}))
    study.until_phase("Complete")
    assert user.study("delete", study.name).returncode == 2  # nobody is there to be asked
    deleted = user.study("delete", study.name, "--yes")
    assert deleted.returncode == 0
    assert deleted.stderr.startswith(f"{study.name} deleted; its history stays in the operator's storage")
    until(lambda: study.body is None, what="no study")
    assert user.study("delete", study.name, "--yes").returncode == 1


def test_histories_of_deleted_studies_are_listed_and_purged(
    deployed: Deployed, study: Study, user: User, tmp_path: Path
) -> None:
    admin = Admin(deployed, tmp_path)
    study.apply(simulated_study(study.name, budget={"maxTrials": 2}))
    study.until_phase("Complete")
    uid = study.body["metadata"]["uid"]

    def listed(*arguments: str) -> dict[str, str]:
        done = admin.study("history", "list", "-o", "json", *arguments)
        assert done.returncode == 0, done.stderr
        return {each["uid"]: each["study"] for each in json.loads(done.stdout)}

    assert uid not in listed()
    assert listed("--all")[uid] == "there"
    refused = admin.study("history", "purge", uid, "--yes")
    assert refused.returncode == 1
    assert f"{study.namespace}/{study.name} is still there: delete the study first" in refused.stderr
    assert user.study("history", "list").returncode == 1  # who may edit studies may not enter the operator's pod

    assert user.study("delete", study.name, "--yes").returncode == 0
    until(lambda: study.body is None, what="no study")
    assert listed()[uid] == "gone"
    purged = admin.study("history", "purge", uid, "--yes")
    assert purged.returncode == 0, purged.stderr
    assert f"{study.namespace}/{study.name} ({uid}) purged" in purged.stderr
    assert uid not in listed("--all")
    assert f"no history of {uid} is kept here" in admin.study("history", "purge", uid, "--yes").stderr
    elsewhere = admin.study("history", "list", "--operator-namespace=default")
    assert (
        "kubectl exec -it -n default POD -c operator -- /opt/kubestudy/bin/kubestudy history list" in elsewhere.stderr
    )


@pytest.fixture
def no_operator(deployed: Deployed) -> Iterator[Deployed]:
    """The operator, which is told to end when a test begins to wait for that, and started again after the test."""
    yield deployed
    start_again(deployed)


def test_that_no_operator_is_answering_is_said(no_operator: Deployed, study: Study, user: User) -> None:
    study.apply(simulated_study(study.name, budget={"maxTrials": 3}))
    status = study.until_phase("Complete")
    end(no_operator)
    absent = f"no operator is answering: none holds the Lease {NAMESPACE}/kubestudy-operator"
    assert absent in user.study("list").stderr
    assert f"Operator:    {absent}" in user.study("status", study.name).stdout
    trials = user.study("trials", study.name)
    assert trials.returncode == 1
    assert "no operator is answering at the Service" in trials.stderr
    assert "any more" not in trials.stderr  # its history is not gone
    best = user.study("best", study.name, "-o", "json")
    assert json.loads(best.stdout)["values"] == status["best"]["values"]

    study.patch(budget={"maxTrials": 5})
    waited = user.study("wait", study.name, "--timeout=3s")
    assert waited.returncode == 1
    assert f"{study.name}: {absent}" in waited.stderr
    suspended = user.study("suspend", study.name)
    assert suspended.returncode == 0
    assert f"{study.name} is to be suspended, but {absent}" in suspended.stderr

    # One that was killed gave nothing back.
    lease = {"holderIdentity": "killed_1", "renewTime": "2026-01-31T12:00:00.000000Z", "leaseDurationSeconds": 10}
    no_operator.cluster.patch("lease", "kubestudy-operator", {"spec": lease}, NAMESPACE)
    assert f"the Lease {NAMESPACE}/kubestudy-operator was renewed last" in user.study("list").stderr
    start_again(no_operator)
    # It leads once the Lease of the one that was killed has run out.
    until(lambda: "no operator" not in user.study("list").stderr, every=1, what="an operator that leads")
    assert user.study("resume", study.name).stderr == f"{study.name} resumed\n"
    study.until_phase("Complete")


def test_a_study_that_no_operator_looks_after_is_told_without_a_lease_to_read(
    no_operator: Deployed, study: Study, tmp_path: Path
) -> None:
    end(no_operator)
    user = User(no_operator, tmp_path, history=False)
    study.apply(simulated_study(study.name, budget={"maxTrials": 3}))
    said = f"{study.name}: no operator has taken up this study for "
    until(lambda: said in user.study("list").stderr, 90, 2, what="the remark")
