"""`kubectl study`, as a user with the roles that the manifests bring, no administrator.

The operator is a pod here: the API server's proxy leads to pods only. Trials are simulated, but for one with a log.
"""

from __future__ import annotations

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
from support.cluster.deployed import Deployed
from support.cluster.studies import Study, simulated_study
from support.wait import until

pytestmark = pytest.mark.timeout(900)

SERVICE = f"/api/v1/namespaces/{NAMESPACE}/services/kubestudy-operator:history/proxy"


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
        simulated_study(study.name, annotations={"exit-code": "3", "message": "bad luck"}, budget={"maxTrials": 1})
    )
    study.until_phase("Failed")
    until(lambda: not study.jobs, what="no Job")
    refused = user.study("logs", study.name, "0")
    assert refused.returncode == 1
    assert f"trial 0 of {study.name} is Failed" in refused.stderr
    assert "exit code 3: bad luck" in refused.stderr
    assert "ttlSecondsAfterFinished" in refused.stderr
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
    script = "import time; print('epoch 1', flush=True); time.sleep(600)"
    container = {"name": "trainer", "image": images.TRAINER, "command": ["python", "-c", script]}
    manifest = simulated_study(study.name, budget={"maxTrials": 1})
    manifest["spec"]["jobTemplate"] = {"spec": {"template": {"spec": {"containers": [container]}}}}
    study.apply(manifest)
    said = until(lambda: user.study("logs", study.name, "0").stdout, what="a log")
    assert said == "epoch 1\n"
