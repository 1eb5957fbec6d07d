"""The operator as a pod, from its image, by the plain manifests, on the real node."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from support.cluster import images
from support.cluster.cluster import DEPLOY, NAMESPACE, Cluster

_DEPLOYMENT = "deployment/kubestudy-operator"
_SELECTOR = "app.kubernetes.io/name=kubestudy-operator"


@dataclass(frozen=True)
class Deployed:
    """An operator that looks after two namespaces.

    Attributes:
        cluster: The cluster.
        namespace: One where pods may do as they like.
        restricted: One where the restricted Pod Security profile holds.
    """

    cluster: Cluster
    namespace: str
    restricted: str


def import_images(cluster: Cluster) -> None:
    """Start the real node, and put both images on it."""
    _compile_torch()
    node = cluster.start_node()
    node.import_image(images.image("operator:1", "operator/Dockerfile"), "localhost/operator:1", images.OPERATOR)
    # PyTorch is 5 GB: the test's image takes it from a volume; everything else in it is as users build it.
    trainer = images.image("trainer:1", "trainer-image/Dockerfile", {"TORCH_PATH": "/opt/torch"})
    node.import_image(trainer, "localhost/trainer:1", images.TRAINER)


def _compile_torch() -> None:
    """Import PyTorch here once: containers, which cannot write there, find its compiled modules and start sooner."""
    if not list(Path(sysconfig.get_path("purelib"), "torch", "__pycache__").glob("__init__.*")):
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        preload = "from kubestudy_trainer.warm import preload; preload()"
        subprocess.run([sys.executable, "-c", preload], env=environment, check=True, timeout=600)


def make_volume(cluster: Cluster, folder: Path, namespace: str = NAMESPACE, claim: str = "kubestudy-storage") -> None:
    """Make the volume that an operator claims, from a folder of the node."""
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{namespace}-{claim}"},
            "spec": {
                "capacity": {"storage": "5Gi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": str(folder)},
                "claimRef": {"namespace": namespace, "name": claim},
            },
        }
    )


def deploy(cluster: Cluster, namespace: str, volume: Path) -> Deployed:
    """Deploy the operator; only here it leaves alone the namespaces of tests that bring their own.

    Args:
        cluster: Where.
        namespace: What it looks after, together with another namespace, NAMESPACE-restricted.
        volume: A folder of the node, its volume.
    """
    make_volume(cluster, volume)
    restricted = f"{namespace}-restricted"
    for name in (namespace, restricted):
        cluster.new_namespace(name)
    cluster.kubectl("label", "namespace", restricted, "pod-security.kubernetes.io/enforce=restricted")
    cluster.kubectl("apply", "-k", DEPLOY)
    cluster.kubectl("set", "env", _DEPLOYMENT, "-n", NAMESPACE, f"KUBESTUDY_NAMESPACES={namespace},{restricted}")
    cluster.kubectl("rollout", "status", _DEPLOYMENT, "-n", NAMESPACE, "--timeout=300s")
    return Deployed(cluster, namespace, restricted)


def undeploy(cluster: Cluster) -> None:
    """Take it away; its volume stays."""
    cluster.kubectl("delete", _DEPLOYMENT, "-n", NAMESPACE, "--cascade=foreground", "--timeout=180s")


def end(deployed: Deployed) -> None:
    """End the operator; what it looked after goes on without one."""
    _scale(deployed, 0)
    deployed.cluster.kubectl("wait", "--for=delete", "pod", "-l", _SELECTOR, "-n", NAMESPACE, "--timeout=180s")


def start_again(deployed: Deployed) -> None:
    """Start an operator that was ended."""
    _scale(deployed, 1)
    deployed.cluster.kubectl("rollout", "status", _DEPLOYMENT, "-n", NAMESPACE, "--timeout=120s")


def _scale(deployed: Deployed, replicas: int) -> None:
    deployed.cluster.kubectl("scale", _DEPLOYMENT, "-n", NAMESPACE, f"--replicas={replicas}")
