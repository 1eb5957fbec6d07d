"""A cluster's studies, as whoever uses kubectl sees them: the objects and what is about them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any

from pydantic import ValidationError

from kubestudy.api.contract import HISTORY_TOKEN_VARIABLE, LABEL_STUDY_UID, LABEL_TRIAL, TOKEN_HEADER, live_path
from kubestudy.api.crd import PLURAL
from kubestudy.api.study import API_VERSION, HyperparameterStudy
from kubestudy.cli.operator_state import Lease, lease_in
from kubestudy.cli.target import OPERATOR_NAME, OPERATOR_NAMESPACE, OPERATOR_SELECTOR, Target
from kubestudy.cluster.api import ApiError, KubeApi, NotFoundError, namespace_in
from kubestudy.cluster.paths import collection, proxied
from kubestudy.study.ports import StudyError
from kubestudy.study.view import LiveTrial, live_from_data

_EVENTS = "500"
_LEASES = "coordination.k8s.io/v1"


class Remote:
    """Studies of one namespace.

    Args:
        api: The API server.
        namespace: The namespace.
    """

    def __init__(self, api: KubeApi, namespace: str) -> None:
        self._api = api
        self.namespace = namespace

    async def studies(self, *, everywhere: bool = False) -> list[dict[str, Any]]:
        """Return all studies of the namespace, or of all namespaces."""
        found = await self._api.get(collection(API_VERSION, PLURAL, None if everywhere else self.namespace))
        items: list[dict[str, Any]] = found["items"]
        return items

    async def look(self, name: str) -> dict[str, Any] | None:
        """Return a study; None if there is none of that name."""
        try:
            return await self._api.get(self._path(name))
        except NotFoundError:
            return None

    async def study(self, name: str) -> dict[str, Any]:
        """Return a study.

        Raises:
            StudyError: There is none of that name; those that are there are named.
        """
        found = await self.look(name)
        if found is not None:
            return found
        there = ""
        with contextlib.suppress(ApiError):
            known = ", ".join(body["metadata"]["name"] for body in await self.studies())
            there = f"; there are {known}" if known else "; there is none in it (-n names another namespace)"
        raise StudyError(f"no study {name} in namespace {self.namespace}{there}")

    async def change(self, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Merge changes into a study's spec."""
        return await self._api.patch(self._path(name), {"spec": spec})

    async def jobs(self, body: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
        """Return a study's Jobs by trial."""
        selector = f"{LABEL_STUDY_UID}={body['metadata']['uid']}"
        found = await self._api.get(collection("batch/v1", "jobs", self.namespace), labelSelector=selector)
        return {int(job["metadata"]["labels"][LABEL_TRIAL]): job for job in found["items"]}

    async def events(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return what was told of a study, oldest first."""
        selector = f"involvedObject.uid={body['metadata']['uid']}"
        path = collection("v1", "events", self.namespace)
        found = await self._api.get(path, fieldSelector=selector, limit=_EVENTS)
        return sorted(found["items"], key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))

    async def live(self, body: Mapping[str, Any]) -> list[LiveTrial]:
        """Return a study's living trials, by the operator.

        Raises:
            ApiError: It cannot be asked.
            StudyError: The study names no operator.
        """
        metadata, service = body["metadata"], service_of(body)
        if service is None:
            raise StudyError(f"the status of {metadata['name']} names no historyService")
        said = await self.ask(service, live_path(metadata["namespace"], metadata["name"], metadata["uid"]))
        return [live_from_data(data) for data in json.loads(said)]

    async def pods(self, body: Mapping[str, Any], trial: int) -> list[dict[str, Any]]:
        """Return a trial's pods, oldest first."""
        selector = f"{LABEL_STUDY_UID}={body['metadata']['uid']},{LABEL_TRIAL}={trial}"
        found = await self._api.get(collection("v1", "pods", self.namespace), labelSelector=selector)
        return sorted(found["items"], key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    async def delete(self, name: str) -> None:
        """Delete a study; its trials go with it."""
        await self._api.delete(self._path(name))

    async def lease(self, service: str | None = None) -> Lease | None:
        """Return the operator's Lease; None where it may not be read, or there is none.

        Args:
            service: The operator's Service, as studies carry it: the Lease is called like it, in the same namespace.
        """
        place, _, _ = (service or f"{OPERATOR_NAMESPACE}/{OPERATOR_NAME}").partition(":")
        namespace, _, name = place.partition("/")
        try:
            return lease_in(await self._api.get(f"{collection(_LEASES, 'leases', namespace)}/{name}"))
        except ApiError:
            return None

    async def operator_pods(self) -> list[str]:
        """Return the running pods of operators in the namespace, oldest first."""
        path, running = collection("v1", "pods", self.namespace), "status.phase=Running"
        found = await self._api.get(path, labelSelector=OPERATOR_SELECTOR, fieldSelector=running)
        pods = sorted(found["items"], key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
        return [pod["metadata"]["name"] for pod in pods]

    async def ask(self, service: str, path: str) -> bytes:
        """Return what a Service behind the API server's proxy answers.

        Raises:
            ApiError: It cannot be asked, or refuses.
        """
        token = os.environ.get(HISTORY_TOKEN_VARIABLE)
        return await self._api.read(proxied(service, path), {TOKEN_HEADER: token} if token else None)

    def _path(self, name: str) -> str:
        return f"{collection(API_VERSION, PLURAL, self.namespace)}/{name}"


@contextlib.asynccontextmanager
async def connected(target: Target) -> AsyncIterator[Remote]:
    """Connect to a cluster.

    Raises:
        ApiError: No cluster is configured.
    """
    api = await KubeApi.from_environment(None, target.kubeconfig, target.context)
    try:
        yield Remote(api, target.namespace or namespace_in(target.kubeconfig, target.context))
    finally:
        await api.close()


def as_study(body: Mapping[str, Any]) -> HyperparameterStudy:
    """Read a study.

    Raises:
        StudyError: It is not what this version knows as a study.
    """
    try:
        return HyperparameterStudy.model_validate(
            {key: body[key] for key in ("apiVersion", "kind", "metadata", "spec", "status") if key in body},
            by_alias=True, by_name=False,
        )  # fmt: skip
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise StudyError(f"{body['metadata']['name']} is not valid: {where}: {first['msg']}") from error


def service_of(body: Mapping[str, Any]) -> str | None:
    """Return the Service by which a study's operator is asked, namespace/name:port; None if it named none."""
    found = (body.get("status") or {}).get("historyService")
    return None if found is None else str(found)
