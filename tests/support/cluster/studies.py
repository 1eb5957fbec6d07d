"""Studies whose trials are simulated pods, and what tests ask of them."""

from __future__ import annotations

import copy
import sysconfig
from typing import Any

from support.cluster.cluster import Cluster
from support.cluster.simulated import LABEL, PREFIX, TOLERATION
from support.wait import until


def simulated_study(
    name: str = "sim",
    *,
    pod: dict[str, Any] | None = None,
    job: dict[str, Any] | None = None,
    run_for: str = "0s",
    annotations: dict[str, str] | None = None,
    container: dict[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """Return a study of one float `x`, minimised as `y`, on simulated nodes; keyword arguments replace parts."""
    marks = {f"{PREFIX}/run-for": run_for, **{f"{PREFIX}/{key}": value for key, value in (annotations or {}).items()}}
    pod_spec = {
        "nodeSelector": dict(LABEL),
        "tolerations": [dict(TOLERATION)],
        "containers": [{"name": "trainer", "image": "simulated", "args": ["--x=$(x)"], **(container or {})}],
        "terminationGracePeriodSeconds": 1,
        **(pod or {}),
    }
    return {
        "apiVersion": "kubestudy.dev/v1alpha1",
        "kind": "HyperparameterStudy",
        "metadata": {"name": name},
        "spec": {
            "objectives": [{"metric": "y", "goal": "minimize"}],
            "parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}],
            "sampler": {"name": "random", "seed": 1},
            "parallelism": 3,
            "budget": {"maxTrials": 6},
            "jobTemplate": {
                "spec": {"template": {"metadata": {"annotations": marks}, "spec": pod_spec}, **(job or {})}
            },
            **copy.deepcopy(spec),
        },
    }


# A pod of a test on the real node, which should go as soon as it is told to.
ON_REAL_NODE = {"terminationGracePeriodSeconds": 2, "nodeSelector": {"kubernetes.io/hostname": "node1"}}


def container_study(
    name: str, container: dict[str, Any], pod: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """Return a study of one float whose trials run a container; one trial unless told otherwise."""
    return {
        "apiVersion": "kubestudy.dev/v1alpha1",
        "kind": "HyperparameterStudy",
        "metadata": {"name": name},
        "spec": {
            "objectives": [{"metric": "y", "goal": "minimize"}],
            "parameters": [{"name": "x", "type": "float", "low": -1, "high": 1}],
            "budget": {"maxTrials": 1},
            "jobTemplate": {"spec": {"template": {"spec": {"containers": [container], **(pod or {})}}}},
            **spec,
        },
    }


def torch_volume() -> dict[str, Any]:
    """Return the volume from which the tests' trainer image takes PyTorch: this machine's own."""
    return {"name": "torch", "hostPath": {"path": sysconfig.get_path("purelib")}}


def with_torch(container: dict[str, Any]) -> dict[str, Any]:
    """Return a container with that volume mounted."""
    return container | {"volumeMounts": [{"name": "torch", "mountPath": "/opt/torch", "readOnly": True}]}


class Study:
    """One study in a cluster, as its user sees it."""

    def __init__(self, cluster: Cluster, namespace: str, name: str = "sim") -> None:
        self.cluster, self.namespace, self.name = cluster, namespace, name

    def apply(self, manifest: dict[str, Any]) -> Study:
        self.cluster.apply(manifest, namespace=self.namespace)
        return self

    def patch(self, **spec: Any) -> None:
        self.cluster.patch("hps", self.name, {"spec": spec}, self.namespace)

    @property
    def body(self) -> Any:
        return self.cluster.get("hps", self.name, namespace=self.namespace)

    @property
    def status(self) -> Any:
        return (self.body or {}).get("status") or {}

    def condition(self, kind: str) -> Any:
        return next((c for c in self.status.get("conditions", []) if c["type"] == kind), None)

    def holds(self, kind: str) -> bool:
        found = self.condition(kind)
        return bool(found and found["status"] == "True")

    @property
    def waits_for_room(self) -> str | None:
        """What it says of waiting for room, while it does."""
        progressing = self.condition("Progressing")
        return progressing["message"] if progressing and progressing["reason"] == "WaitingForRoom" else None

    def until_phase(self, phase: str, seconds: float = 300) -> Any:
        """Wait until its phase is shown for its newest generation; return the status."""

        def there() -> Any:
            body = self.body or {}
            status = body.get("status") or {}
            new = status.get("observedGeneration") == body["metadata"]["generation"]
            return status if status.get("phase") == phase and new else None

        return until(there, seconds, what=f"phase {phase} of {self.name} ({self.status.get('phase')})")

    @property
    def jobs(self) -> list[Any]:
        found = self.cluster.get("jobs", "-l", f"kubestudy.dev/study={self.name}", namespace=self.namespace)
        items: list[Any] = (found or {}).get("items", [])
        return items

    @property
    def events(self) -> list[tuple[str, str]]:
        found = self.cluster.get(
            "events", "--field-selector=involvedObject.kind=HyperparameterStudy", namespace=self.namespace
        )
        return [(item["reason"], item["message"]) for item in (found or {}).get("items", [])]
