"""A cluster's studies, as whoever uses kubectl sees them: the objects, and their history by the operator's endpoint."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from kubestudy.api.contract import LABEL_STUDY_UID, LABEL_TRIAL, history_path, live_path
from kubestudy.api.crd import PLURAL
from kubestudy.api.status import StudyStatus
from kubestudy.api.study import API_VERSION, HyperparameterStudy
from kubestudy.cli.closing import why
from kubestudy.cluster.api import ApiError, KubeApi, NotFoundError, collection, namespace_in, proxied
from kubestudy.search.archive import Record
from kubestudy.search.history import History
from kubestudy.search.storage import masked, open_storage, place_in, storage_of
from kubestudy.study.ports import StudyError
from kubestudy.study.view import LiveTrial, live_from_data

_EVENTS = "500"


@dataclass(frozen=True, slots=True)
class Target:
    """Which cluster, and where in it, by kubectl's own options.

    Attributes:
        namespace: The namespace; the context's if left out.
        context: The kubeconfig's context; the current one if left out.
        kubeconfig: The kubeconfig; KUBECONFIG's or ~/.kube/config if left out.
    """

    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None


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
        """Return a study's living trials, by the operator."""
        metadata = body["metadata"]
        path = live_path(metadata["namespace"], metadata["name"], metadata["uid"])
        said = await self._api.read(proxied(_service(body), path))
        return [live_from_data(data) for data in json.loads(said)]

    async def journal(self, body: Mapping[str, Any]) -> bytes:
        """Return a study's history as an Optuna journal, by the operator.

        Raises:
            StudyError: The operator cannot be asked; the sentence says what is missing.
        """
        metadata = body["metadata"]
        path = proxied(_service(body), history_path(metadata["namespace"], metadata["name"], metadata["uid"]))
        try:
            return await self._api.read(path)
        except NotFoundError as error:
            status = status_in(body)
            if status.trials.total == 0:
                said = ": ".join(filter(None, (status.phase, why(status))))
                raise StudyError(f"{metadata['name']} has no trials yet ({said})") from error
            raise StudyError(
                f"the operator's storage holds nothing of {metadata['name']} any more (was it kept in the pod alone?);"
                " what the study came to is in its status: kubectl study describe"
            ) from error
        except ApiError as error:
            raise StudyError(
                f"the operator's history endpoint cannot be asked ({error}). It is reached through the API server:"
                f" get on services/proxy of {_service(body)} is needed (the role kubestudy-history); or name the"
                " storage with --storage"
            ) from error

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


def opened(body: Mapping[str, Any], journal: bytes | None, storage: str | None) -> History:
    """Open a study's history.

    Args:
        body: The study.
        journal: Its journal, by the operator.
        storage: The database it is in, where that can be reached.

    Raises:
        StudyError: There is no such history.
    """
    metadata = body["metadata"]
    name = Record(metadata["namespace"], metadata["name"], metadata["uid"], "").study_name
    if storage is not None:
        if not isinstance(place_in(storage), str):
            raise StudyError(f"{storage} is no database URL; left out, the operator is asked")
        return History(open_storage(storage), name, masked(storage))
    where = "that the operator serves"
    return History(storage_of(journal or b"", where), name, where)


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


def status_in(body: Mapping[str, Any]) -> StudyStatus:
    """Return a study's status; an empty one if nobody wrote one yet."""
    return StudyStatus.model_validate(body.get("status") or {}, by_alias=True, by_name=False)


def _service(body: Mapping[str, Any]) -> str:
    service = (body.get("status") or {}).get("historyService")
    if service is None:
        raise StudyError(
            f"the status of {body['metadata']['name']} names no historyService: does an operator with --service"
            " (KUBESTUDY_SERVICE) look after it? Or name the storage with --storage"
        )
    return str(service)
