"""The Job of one trial, built from the study's template as plain dictionaries. Pure.

Source: batch/v1 Job. What the user wrote is kept; defaults stand in only where the user left a field out.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from kubestudy.api import contract
from kubestudy.api.job import TRAINER_CONTAINER, trainer_among
from kubestudy.api.study import API_VERSION, KIND, StudySpec
from kubestudy.cluster.names import job_name, labels
from kubestudy.study.trial import Suggestion
from kubestudy.study.trial_environment import trial_environment

# Longer than an operator is ever away: a finished Job holds a trial's result until it was read.
TTL_SECONDS = 7 * 24 * 3600
METRICS_PORT = 9464
_METRICS_PORT_NAME = "metrics"
_DEFAULT_MESSAGE_PATH = "/dev/termination-log"
# A volume of this name, mounted into the trainer, is where trials keep their checkpoints.
CHECKPOINT_VOLUME = "checkpoints"


@dataclass(frozen=True, slots=True)
class Owner:
    """The study that a Job belongs to.

    Attributes:
        name: Its name.
        namespace: Its namespace.
        uid: Its uid.
        template: `spec.jobTemplate` as the API server keeps it.
    """

    name: str
    namespace: str
    uid: str
    template: dict[str, Any]


def job_of(owner: Owner, spec: StudySpec, trial: Suggestion, storage: str = "") -> dict[str, Any]:
    """Return the Job of a trial.

    Args:
        owner: The study.
        spec: Its spec.
        trial: The trial's number and parameters.
        storage: The identity of the storage that the trial is recorded in; empty where it has none.
    """
    template = copy.deepcopy(owner.template)
    own = labels(owner.name, owner.uid, trial.number)
    written = template.get("metadata") or {}
    job = template.setdefault("spec", {})
    pod_template = job.setdefault("template", {})
    pod = pod_template.setdefault("spec", {})
    container = trainer_in(pod)
    name = job_name(owner.name, owner.uid, trial.number)
    _equip(container, owner, spec, trial, name)
    _fill_in(job, pod, container)
    pod_metadata = pod_template.get("metadata") or {}
    pod_template["metadata"] = {
        **pod_metadata,
        "labels": {**(pod_metadata.get("labels") or {}), **own},
        "annotations": _scrape(metrics_port(container)) | (pod_metadata.get("annotations") or {}),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": {**(written.get("labels") or {}), **own},
            "annotations": (written.get("annotations") or {})
            | ({contract.ANNOTATION_STORAGE: storage} if storage else {}),
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": job,
    }


def _scrape(port: int) -> dict[str, str]:
    """Return what a Prometheus without the Prometheus operator usually goes by."""
    return {"prometheus.io/scrape": "true", "prometheus.io/port": str(port), "prometheus.io/path": "/metrics"}


def owner_reference(owner: Owner) -> dict[str, Any]:
    """Return the reference by which garbage collection takes a study's Jobs with it."""
    return {"apiVersion": API_VERSION, "kind": KIND, "name": owner.name, "uid": owner.uid, "controller": True}


def trainer_in(pod: dict[str, Any]) -> dict[str, Any]:
    """Return the container that trains."""
    containers: list[dict[str, Any]] = pod["containers"]
    return containers[trainer_among([container.get("name") for container in containers])]


def metrics_port(container: dict[str, Any]) -> int:
    """Return the port a trainer serves its metrics on: its own port named `metrics`, else the usual one."""
    ports = container.get("ports") or []
    return next((int(p["containerPort"]) for p in ports if p.get("name") == _METRICS_PORT_NAME), METRICS_PORT)


def _equip(container: dict[str, Any], owner: Owner, spec: StudySpec, trial: Suggestion, name: str) -> None:
    """Add the trial's environment, before the user's own, whose values may refer to it."""
    port = metrics_port(container)
    mounts = container.get("volumeMounts") or []
    checkpoints = next((m["mountPath"] for m in mounts if m.get("name") == CHECKPOINT_VOLUME), None)
    known = trial_environment(
        owner.name,
        spec,
        trial,
        message=container.get("terminationMessagePath") or _DEFAULT_MESSAGE_PATH,
        checkpoint=None if checkpoints is None else f"{checkpoints.rstrip('/')}/{name}",
        address="0.0.0.0",  # noqa: S104  (of its own pod)
        port=port,
    )
    written = [variable for variable in container.get("env") or [] if variable.get("name") not in known]
    # `$` doubled: a parameter's text is no reference to another variable.
    ours = [{"name": key, "value": value.replace("$", "$$")} for key, value in known.items()]
    container["env"] = [*ours, *written]
    ports = container.get("ports") or []
    if not any(p.get("name") == _METRICS_PORT_NAME for p in ports):
        container["ports"] = [*ports, {"name": _METRICS_PORT_NAME, "containerPort": port, "protocol": "TCP"}]


def _fill_in(job: dict[str, Any], pod: dict[str, Any], container: dict[str, Any]) -> None:
    """Set what a trial needs where the user left it out."""
    container.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    never = pod.setdefault("restartPolicy", "Never") == "Never"
    job.setdefault("backoffLimit", 0)
    job.setdefault("ttlSecondsAfterFinished", TTL_SECONDS)
    if never and "podFailurePolicy" not in job:
        # The API server accepts a policy only together with these two.
        if job.setdefault("podReplacementPolicy", "Failed") == "Failed":
            job["podFailurePolicy"] = _failure_policy(container.get("name", TRAINER_CONTAINER))
    elif never:
        job.setdefault("podReplacementPolicy", "Failed")


def _failure_policy(container: str) -> dict[str, Any]:
    values = sorted(contract.EXITS_NOT_RETRIED)
    return {
        "rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {
                "action": "FailJob",
                "onExitCodes": {"containerName": container, "operator": "In", "values": values},
            },
        ]
    }
