"""What users do, on a real node: pods in real containers, from images built of this repository's Dockerfiles."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.cluster import images
from support.cluster.cluster import NAMESPACE, ROOT
from support.cluster.deployed import Deployed
from support.cluster.studies import Study, container_study, torch_volume, with_torch

pytestmark = pytest.mark.timeout(900)

TRAINER = images.TRAINER


def _example(name: str) -> dict[str, Any]:
    """Return an example with PyTorch mounted into its pods."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "examples" / f"{name}.yaml").read_text())
    pod = found["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod |= {"volumes": [torch_volume()], "containers": [with_torch(pod["containers"][0])]}
    return found


def test_the_digits_study_runs_in_containers_with_the_operator_in_a_pod(deployed: Deployed) -> None:
    example = _example("digits-mlp")
    example["spec"]["budget"]["maxTrials"] = 4
    example["spec"]["parallelism"] = 2
    study = Study(deployed.cluster, deployed.namespace, example["metadata"]["name"]).apply(example)
    status = study.until_phase("Complete", seconds=600)
    counts = status["trials"]
    assert counts["complete"] + counts["pruned"] == 4
    assert status["best"]["values"]["val_accuracy"] > 0.8
    assert counts["failed"] == 0


def test_a_users_own_script_in_an_own_image_under_the_restricted_profile(deployed: Deployed, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import os\nfrom kubestudy_trainer import Trial\n"
        "trial = Trial.current()\nx = trial.params['x']\ntrial.report(1, y=x)\ntrial.finish(y=x * x)\n"
    )
    (tmp_path / "Dockerfile").write_text(
        'ARG BASE\nFROM ${BASE}\nCOPY train.py /app/train.py\nENTRYPOINT ["python", "/app/train.py"]\n'
    )

    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    own = images.image("own:1", "Dockerfile", {"BASE": "localhost/trainer:1"}, tmp_path)
    assert deployed.cluster.node is not None
    deployed.cluster.node.import_image(own, "localhost/own:1")
    container = {
        "name": "trainer",
        "image": "localhost/own:1",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    manifest = container_study("own", container, budget={"maxTrials": 4}, parallelism=2)
    study = Study(deployed.cluster, deployed.restricted, "own").apply(manifest)
    status = study.until_phase("Complete", seconds=400)
    assert status["trials"]["complete"] == 4
    assert status["best"]["values"]["y"] == pytest.approx(status["best"]["params"]["x"] ** 2)


def test_a_crashing_script_shows_its_last_words(deployed: Deployed) -> None:
    container = {"name": "trainer", "image": TRAINER, "command": ["python", "-c", "raise ValueError('no such file')"]}
    manifest = container_study("crash", container)
    study = Study(deployed.cluster, deployed.namespace, "crash").apply(manifest)
    study.until_phase("Failed", seconds=400)
    assert "exit code 1: ValueError: no such file" in study.condition("Failed")["message"]


def test_a_command_that_is_not_in_the_image_is_told_apart(deployed: Deployed) -> None:
    container = {"name": "trainer", "image": TRAINER, "command": ["no-such-program"]}
    manifest = container_study("nocommand", container)
    study = Study(deployed.cluster, deployed.namespace, "nocommand").apply(manifest)
    study.until_phase("Failed", seconds=400)
    message = study.condition("Failed")["message"]
    assert "StartError" in message
    assert "no-such-program" in message


def test_the_operators_pod_is_restricted_and_has_no_torch(deployed: Deployed) -> None:
    pods = deployed.cluster.get("pods", "-l", "app.kubernetes.io/name=kubestudy-operator", namespace=NAMESPACE)["items"]
    (pod,) = [p for p in pods if p["status"]["phase"] == "Running"]
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    said = deployed.cluster.kubectl("logs", pod["metadata"]["name"], "-n", NAMESPACE)
    assert any(
        f" {deployed.namespace}/" in line and line.endswith(": looking after the study") for line in said.splitlines()
    )
    found = deployed.cluster.kubectl(
        "exec", pod["metadata"]["name"], "-n", NAMESPACE, "--", "/opt/kubestudy/bin/python", "-c",
        "import importlib.util as u, json; print(json.dumps(u.find_spec('torch') is None))",
    )  # fmt: skip
    assert json.loads(found) is True


def test_images_say_what_they_are_and_run_as_nobody() -> None:
    for archive, title in (
        (images.image("operator:1", "operator/Dockerfile"), "KubeStudy operator"),
        (images.image("trainer:1", "trainer-image/Dockerfile", {"TORCH_PATH": "/opt/torch"}), "KubeStudy trainer"),
    ):
        with tarfile.open(archive) as tar:
            (manifest,) = json.load(tar.extractfile("manifest.json") or io.BytesIO())
            bill = _bill_of_materials(tar, manifest["Layers"])
            config = json.load(tar.extractfile(manifest["Config"]) or io.BytesIO())["config"]
        assert bill["bomFormat"] == "CycloneDX"
        held = {component["name"] for component in bill["components"]}
        assert "prometheus_client" in held
        # A PostgreSQL for studies' histories is one setting, and no image of one's own.
        assert ("psycopg" in held) == (title == "KubeStudy operator")
        labels = config["Labels"]
        assert labels["org.opencontainers.image.title"] == title
        assert labels["org.opencontainers.image.version"] == "0.1.0"
        assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
        assert config["User"] == "65532:65532"
        assert config["Entrypoint"][0] not in ("sh", "/bin/sh", "bash")


def _bill_of_materials(archive: tarfile.TarFile, layers: list[str]) -> Any:
    """Return what an image says of the Python packages in it."""
    for layer in layers:
        with tarfile.open(fileobj=archive.extractfile(layer)) as files:
            for file in files:
                if file.name.endswith("/sbom.cdx.json"):
                    return json.load(files.extractfile(file) or io.BytesIO())
    raise AssertionError("the image holds no bill of materials")
