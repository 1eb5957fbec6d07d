"""Simulated nodes (KWOK): pods that only say what a kubelet would say, by hundreds a second.

A pod on such a node starts at once and ends after a while, with the exit code and message its annotations ask for:

    sim.kubestudy.dev/start-after, run-for   durations (0s, 100ms); a pod with run-for "never" runs until it is deleted
    sim.kubestudy.dev/exit-code              0 if left out
    sim.kubestudy.dev/message                the termination message; else the value of the container's env `x` as `y`
    sim.kubestudy.dev/reason                 the container's reason, for instance OOMKilled
    sim.kubestudy.dev/waiting                the reason for which the container never starts, for instance ErrImagePull
"""

from __future__ import annotations

import json
from pathlib import Path

from support.cluster import processes
from support.cluster.access import Access
from support.cluster.tools import KWOK

PREFIX = "sim.kubestudy.dev"
LABEL = {"kubestudy.dev/simulated": "true"}
TOLERATION = {"key": "kubestudy.dev/simulated", "operator": "Exists"}
STAGES = Path(__file__).parent / "stages.yaml"


def up(access: Access, folder: Path, nodes: int = 2, gpus: int = 1000) -> None:
    """Start the simulation and make its nodes.

    Args:
        access: The cluster.
        folder: Where its log is.
        nodes: How many nodes.
        gpus: What each reports as `nvidia.com/gpu`.
    """
    programs = KWOK.programs()
    folder.mkdir(parents=True, exist_ok=True)
    node_stages = KWOK.source("sigs.k8s.io/kwok") / "kustomize" / "stage" / "node"
    configs = [
        node_stages / "fast" / "node-initialize.yaml",
        node_stages / "heartbeat-with-lease" / "node-heartbeat-with-lease.yaml",
        STAGES,
    ]
    processes.start(
        "kwok",
        [
            programs / "kwok", f"--kubeconfig={access.kubeconfig}",
            "--manage-nodes-with-label-selector=kubestudy.dev/simulated=true",
            "--node-lease-duration-seconds=40", "--cidr=127.128.0.0/9", *(f"--config={path}" for path in configs),
        ],
        folder,
    )  # fmt: skip
    made = [node(f"simulated-{number}", gpus) for number in range(nodes)]
    access.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
    access.kubectl("wait", "--for=condition=Ready", "nodes", "-l", "kubestudy.dev/simulated", "--timeout=180s")


def node(name: str, gpus: int) -> dict[str, object]:
    """Return a simulated node of so many GPUs."""
    size = {"cpu": "10k", "memory": "10Ti", "pods": "100k", "nvidia.com/gpu": str(gpus)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {**LABEL, "kubernetes.io/hostname": name},
        },
        "spec": {"taints": [{"key": TOLERATION["key"], "effect": "NoSchedule"}]},
        "status": {"allocatable": size, "capacity": size, "phase": "Running"},
    }


def down(folder: Path) -> None:
    """End the simulation; its nodes become not ready."""
    processes.end(folder / "kwok.pid")
