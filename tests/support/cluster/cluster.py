"""The cluster that tests and `make cluster` use: the one KUBECONFIG names, else one of our own."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import forks
from support.cluster import images, processes, simulated
from support.cluster.access import Access
from support.cluster.control_plane import ControlPlane
from support.cluster.node import Node, install_packages, why_not_here
from support.cluster.tools import cache_folder
from support.wait import until

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "operator" / "deploy"
CRD = ROOT / "crds" / "hyperparameterstudies.kubestudy.dev.yaml"
NAMESPACE = "kubestudy-system"
ACCOUNT = "kubestudy-operator"
OPERATOR_SECONDS = 180


class Cluster:
    """A Kubernetes cluster with our CRD and RBAC in it.

    Args:
        folder: Where its files are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        given = os.environ.get("KUBECONFIG")
        self.number = None if given else self._number()
        self._own: ControlPlane | None = None
        self.node: Node | None = None
        if given:
            self.access = Access(Path(given))
            return
        if self.number is None:
            self._own = ControlPlane(folder)
        else:
            self._own = ControlPlane(folder, f"10.240.{self.number}.1", f"10.245.{self.number}")
            self.node = Node(self._own, self.number)
        self.access = self._own

    @property
    def control_plane(self) -> ControlPlane:
        """The control plane; none where the cluster is the one KUBECONFIG names.

        Raises:
            ClusterError: It is not ours.
        """
        if self._own is None:
            raise processes.ClusterError("this needs a control plane of its own: unset KUBECONFIG")
        return self._own

    @property
    def is_own(self) -> bool:
        """Whether the control plane is ours, so that it may be stopped, and its audit log read."""
        return self._own is not None

    def _number(self) -> int | None:
        """Return what keeps a real node apart from others of this machine; None where there can be no real node."""
        kept = self.folder / "number"
        if kept.exists():
            return int(kept.read_text())
        if why_not_here() is not None:
            return None
        number = next(n for n in range(1, 250) if self._reserve(n))
        kept.write_text(str(number))
        return number

    def _reserve(self, number: int) -> bool:
        """Take a number unless a cluster has it, or another process is about to start one of that number."""
        folder = cache_folder() / "numbers"
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / str(number)).open("w")
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not Path(f"/sys/class/net/kube{number}").exists():
                self._reserved = lock  # held as long as this process lives
                return True
        lock.close()
        return False

    def up(self) -> Cluster:
        """Start it, with simulated nodes, the CRD and the operator's RBAC."""
        if self.number is not None:
            install_packages()
            Node.make_interfaces(self.number)
        if self._own is not None:
            self._own.up()
        simulated.up(self.access, self.folder)
        self.kubectl("apply", "-f", DEPLOY / "namespace.yaml", "-f", CRD, "-f", DEPLOY / "rbac.yaml")
        self.kubectl("wait", "--for=condition=Established", "crd/hyperparameterstudies.kubestudy.dev", "--timeout=180s")
        # kubectl learns of a new resource a moment after it is there.
        until(lambda: "No resources" in self._said("get", "hps", "-A"), what="the CRD in discovery")
        return self

    def _said(self, *arguments: str) -> str:
        try:
            return self.kubectl(*arguments) or "No resources"
        except processes.ClusterError as error:
            return str(error)

    def start_node(self, gpus: int = 2) -> Node:
        """Start the real node.

        Args:
            gpus: What it is to report as `nvidia.com/gpu`: none is there, but scheduling goes by it.

        Raises:
            ClusterError: There can be none on this machine; the message says what to do instead.
        """
        if self.node is None:
            raise processes.ClusterError(why_not_here() or "no real node")
        self.node.up([images.pause(), images.base()])
        path = "/status/capacity/nvidia.com~1gpu"
        patch = json.dumps([{"op": "add", "path": path, "value": str(gpus)}])
        self.kubectl("patch", "node", "node1", "--subresource=status", "--type=json", "-p", patch)
        return self.node

    def down(self) -> None:
        """End it."""
        if self.node is not None:
            self.node.down()
        simulated.down(self.folder)
        if self._own is not None:
            self._own.down()

    def kubectl(self, *arguments: str | Path, **options: Any) -> str:
        """Run kubectl as the administrator."""
        return self.access.kubectl(*arguments, **options)

    def get(self, *arguments: str, namespace: str = "default") -> Any:
        """Return what `kubectl get ... -o json` prints; None if there is no such object."""
        return self.access.get(*arguments, namespace=namespace)

    def apply(self, *objects: Mapping[str, Any], namespace: str = "default") -> None:
        """Apply objects."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl("apply", "-n", namespace, "-f", "-", stdin=text)

    def patch(self, kind: str, name: str, changes: Mapping[str, Any], namespace: str = "default") -> None:
        """Merge changes into an object."""
        self.kubectl("patch", kind, name, "-n", namespace, "--type=merge", "-p", json.dumps(changes))

    def new_namespace(self, name: str) -> str:
        """Make a namespace."""
        self.kubectl("create", "namespace", name)
        return name

    def operator_kubeconfig(self) -> Path:
        """Return a kubeconfig of the operator's own service account: it has the rights of its Role, no more."""
        token = self.kubectl("create", "token", ACCOUNT, "-n", NAMESPACE, "--duration=24h").strip()
        return self.access.kubeconfig_for(token, self.folder / "operator.kubeconfig", NAMESPACE)

    def audit(self, user: str = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}") -> list[dict[str, Any]]:
        """Return what the audit log has of a user, after giving the API server time to write it."""
        time.sleep(2)
        with self.control_plane.audit_log.open() as log:
            entries = (json.loads(line) for line in log if user in line)
            return [entry for entry in entries if entry["user"]["username"] == user]


@dataclass
class Operator:
    """A running `kubestudy operator`, as a process of this machine.

    Attributes:
        process: The process.
        port: The port of its probes and metrics.
        history_port: The port of studies' histories.
        log: Its log.
    """

    process: forks.Process
    port: int
    history_port: int
    log: Path

    @property
    def ready(self) -> bool:
        """Whether it says that it is ready."""
        return processes.answers(f"http://127.0.0.1:{self.port}/readyz")

    def kill(self) -> None:
        """End it at once, as a lost node would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(OPERATOR_SECONDS)


def start_operator(
    cluster: Cluster,
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
) -> Operator:
    """Start an operator with the rights of its service account.

    Args:
        cluster: Where.
        folder: Its storage and log.
        arguments: More flags.
        environment: More variables.
    """
    port, history_port = processes.free_port(), processes.free_port()
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "operator.log"
    command = [
        "operator", f"--storage={folder / 'storage'}", f"--health-port={port}", f"--history-port={history_port}",
        "--health-address=127.0.0.1", f"--lease-namespace={NAMESPACE}", *arguments,
    ]  # fmt: skip
    variables = {"KUBECONFIG": str(cluster.operator_kubeconfig()), **(environment or {})}
    with log.open("ab") as file:
        return Operator(forks.start(command, folder, variables, file), port, history_port, log)
