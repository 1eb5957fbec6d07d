"""What is kept of a trial's Jobs and pods: small typed records, made of what the API server sends as soon as it comes.

An object belongs to a trial by more than its labels, which anybody can write. A Job has the trial's exact name, is in
the study's namespace, and the study is its controller; a pod's controller is a Job of that name. Pure.

Source: metav1 ObjectMeta, OwnerReference; batch/v1 Job; core/v1 Pod.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kubestudy.api.contract import ANNOTATION_STORAGE, LABEL_STUDY_UID, LABEL_TRIAL
from kubestudy.api.study import GROUP, KIND
from kubestudy.cluster.job_view import JobView, job_view
from kubestudy.cluster.names import job_name
from kubestudy.cluster.origin import Origin, parameters_in
from kubestudy.cluster.pods import PodFacts, pod_facts

_NUMBER_DIGITS = 7
_IDENTITY_LENGTH = 100
# What reading a body of the wrong shape comes to: something in front of the API server made it up.
_WRONG_SHAPE = (LookupError, TypeError, ValueError, AttributeError, OverflowError)


@dataclass(frozen=True, slots=True)
class StudyKey:
    """A study, as its Jobs know it.

    Attributes:
        namespace: Its namespace.
        name: Its name.
        uid: Its uid.
    """

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class TrialJob:
    """What is kept of a Job.

    Attributes:
        number: The trial's number.
        uid: Its uid.
        view: What it tells of itself.
        origin: Whose trial it runs.
        version: Its resource version.
    """

    number: int
    uid: str
    view: JobView
    origin: Origin
    version: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class TrialPod:
    """What is kept of a pod.

    Attributes:
        number: The trial's number.
        uid: Its uid.
        job: The uid of the Job that controls it.
        facts: What it tells of itself.
        version: Its resource version.
    """

    number: int
    uid: str
    job: str
    facts: PodFacts
    version: int = field(default=0, compare=False)


def study_of(body: Any) -> tuple[str, str] | None:
    """Return the namespace and the study's uid that an object names; None if it names none."""
    try:
        metadata = body["metadata"]
        return str(metadata["namespace"]), str(metadata["labels"][LABEL_STUDY_UID])
    except _WRONG_SHAPE:
        return None


def uid_of(body: Any) -> str:
    """Return an object's uid; empty if it has none."""
    try:
        return str(body["metadata"]["uid"])[:_IDENTITY_LENGTH]
    except _WRONG_SHAPE:
        return ""


def read_job(body: Any, study: StudyKey, before: TrialJob | None = None) -> TrialJob | None:
    """Read a Job; None if it is no Job of a study's trial.

    Args:
        body: The object, as the API server sends it.
        study: The study.
        before: What was kept of an earlier version of it: what never changes is not read again.
    """
    try:
        metadata = body["metadata"]
        number = _number_in(metadata, study)
        if number is None or metadata["name"] != job_name(study.name, study.uid, number):
            return None
        controller = _controller(metadata)
        group = str(controller["apiVersion"]).partition("/")[0]
        if (controller["kind"], group, controller["uid"]) != (KIND, GROUP, study.uid):
            return None
        view = job_view(body)
        if not view.uid:
            return None
        known = before is not None and before.uid == view.uid
        parameters = before.origin.parameters if before is not None and known else parameters_in(body)
        storage = str((metadata.get("annotations") or {}).get(ANNOTATION_STORAGE) or "")[:_IDENTITY_LENGTH]
        return TrialJob(number, view.uid, view, Origin(storage, parameters), _version(metadata))
    except _WRONG_SHAPE:
        return None


def read_pod(body: Any, study: StudyKey) -> TrialPod | None:
    """Read a pod; None if it is no pod of a Job that a study's trial may have.

    Args:
        body: The object, as the API server sends it.
        study: The study.
    """
    try:
        metadata = body["metadata"]
        number = _number_in(metadata, study)
        if number is None:
            return None
        controller = _controller(metadata)
        owner = (controller["kind"], str(controller["apiVersion"]).partition("/")[0], controller["name"])
        if owner != ("Job", "batch", job_name(study.name, study.uid, number)):
            return None
        job, uid = str(controller["uid"])[:_IDENTITY_LENGTH], uid_of(body)
        return TrialPod(number, uid, job, pod_facts(body), _version(metadata)) if job and uid else None
    except _WRONG_SHAPE:
        return None


def _number_in(metadata: Mapping[str, Any], study: StudyKey) -> int | None:
    """Return the number of the trial that an object names, if it is one of the study's."""
    if (metadata["namespace"], metadata["labels"][LABEL_STUDY_UID]) != (study.namespace, study.uid):
        return None
    text = metadata["labels"][LABEL_TRIAL]
    plain = len(text) <= _NUMBER_DIGITS and text.isascii() and text.isdigit()
    return int(text) if plain and str(int(text)) == text else None


def _controller(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the reference to an object's controller, of which the API server allows one; empty if it has none."""
    owners: list[Mapping[str, Any]] = metadata.get("ownerReferences") or []
    none = {"kind": "", "apiVersion": "", "uid": "", "name": ""}
    return next((owner for owner in owners if owner.get("controller") is True), none)


def _version(metadata: Mapping[str, Any]) -> int:
    # Kubernetes 1.35 and later promise that versions of one resource can be compared as numbers.
    return int(metadata.get("resourceVersion") or 0)
