"""Requests to the API server: plain dictionaries in and out, errors as what they mean, retries with a limit.

Source: Kubernetes API concepts; the client is kubernetes.aio, whose models are passed by (parsing a Job costs 217 us
through them and 13 us as JSON).
"""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import OpenApiException

from kubestudy import __version__
from kubestudy.api.limits import API_ANSWER_BYTES, HISTORY_BYTES, REFUSAL_BYTES
from kubestudy.cluster.answers import (
    RETRY_AFTER_LIMIT,
    AnswerTooLargeError,
    ApiError,
    ConflictError,
    NotFoundError,
    UnreachableError,
    continue_of,
    items_of,
    object_in,
    read_bounded,
    refusal,
    version_of,
)
from kubestudy.cluster.paths import resource_in
from kubestudy.planning.backoff import Backoff

log = logging.getLogger(__name__)

REQUEST_SECONDS = 30.0
_READ_SECONDS = 300.0
_ATTEMPTS = 4
_BACKOFF = Backoff(first=0.25, limit=RETRY_AFTER_LIMIT)
_CONNECTIONS = 64
_MERGE_PATCH = "application/merge-patch+json"
# Whom `managedFields` names as the one who wrote a field.
FIELD_MANAGER = "kubestudy"
_USER_AGENT = f"{FIELD_MANAGER}/{__version__}"
# What a request without an answer comes to: ValueError for what no HTTP client can make sense of.
_NO_ANSWER = (
    aiohttp.ClientError, OpenApiException, config.ConfigException, TimeoutError, OSError, ValueError, RuntimeError,
)  # fmt: skip
__all__ = [
    "AnswerTooLargeError", "ApiError", "ConflictError", "KubeApi", "NotFoundError", "UnreachableError",
    "continue_of", "items_of", "namespace_here", "namespace_in", "version_of",
]  # fmt: skip

Observer = Callable[[str, str, int, float], None]


class KubeApi:
    """The API server, as one client of it. Close it after use.

    Args:
        configuration: Where it is, and who asks.
        observer: Told of each answered request: verb, resource, HTTP status (0: no answer), seconds.
        before_change: Called directly before a request that changes something is sent; raises ApiError to prevent it.
    """

    def __init__(
        self,
        configuration: client.Configuration,
        observer: Observer | None = None,
        before_change: Callable[[], None] | None = None,
    ) -> None:
        configuration.connection_pool_maxsize = _CONNECTIONS
        # Each client its own: the same configuration serves others, which may change what they like.
        configuration.trace_configs = [] if before_change is None else [_asking(before_change)]
        self._client = client.ApiClient(configuration)
        self._configuration = configuration
        self._observer = observer

    @classmethod
    async def from_environment(
        cls,
        observer: Observer | None = None,
        file: str | None = None,
        context: str | None = None,
        before_change: Callable[[], None] | None = None,
    ) -> KubeApi:
        """Return the cluster that KUBECONFIG names, else that of the pod's service account, else ~/.kube/config.

        Args:
            observer: Told of each answered request.
            file: A kubeconfig, instead.
            context: The context of the kubeconfig; the current one if left out.
            before_change: Called directly before a request that changes something is sent.

        Raises:
            ApiError: No cluster is configured.
        """
        configuration = client.Configuration()
        try:
            in_cluster = not os.environ.get("KUBECONFIG") and os.environ.get("KUBERNETES_SERVICE_HOST")
            if in_cluster and file is None and context is None:
                config.load_incluster_config(client_configuration=configuration)
            else:
                if not any(Path(part).expanduser().exists() for part in _kubeconfigs(file)):
                    raise ApiError(0, "NoCluster", "no cluster is configured: there is no kubeconfig; set KUBECONFIG")
                await config.load_kube_config(file, context, client_configuration=configuration)
        except (config.ConfigException, OSError) as error:
            raise ApiError(0, "NoCluster", f"no cluster is configured: {error}; set KUBECONFIG") from error
        return cls(configuration, observer, before_change)

    def another(self) -> KubeApi:
        """Return another client of the same server, with connections of its own, which asks nobody before a change.

        Close it after use.
        """
        return KubeApi(copy.copy(self._configuration), self._observer)

    @property
    def configuration(self) -> client.Configuration:
        """Where the API server is, and who asks."""
        return self._configuration

    @property
    def client(self) -> client.ApiClient:
        """The client itself, for other parts of the kubernetes package."""
        return self._client

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """Return an object, or a list."""
        return await self.request("GET", path, query)

    async def create(self, path: str, body: Mapping[str, Any], **query: str) -> dict[str, Any]:
        """Create an object in a collection."""
        return await self.request("POST", path, {"fieldManager": FIELD_MANAGER, **query}, body)

    async def replace(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace an object; a body with a resourceVersion only if it is still as it was then."""
        return await self.request("PUT", path, {"fieldManager": FIELD_MANAGER}, body)

    async def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Merge changes into an object."""
        return await self.request("PATCH", path, {"fieldManager": FIELD_MANAGER}, body, _MERGE_PATCH)

    async def delete(self, path: str, uid: str | None = None) -> None:
        """Delete an object; what depends on it goes in the background. One that is gone already is no error.

        Args:
            path: The object.
            uid: Its uid, if no other object of that name is to be deleted.

        Raises:
            ConflictError: The object of that name has another uid.
        """
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        try:
            await self.request("DELETE", path, {}, body)
        except NotFoundError as error:
            if error.reason != "NotFound":
                raise  # who knows whose word that is
            return

    async def read(self, path: str, headers: Mapping[str, str] | None = None) -> bytes:
        """Return what a Service behind the API server's proxy answers; ask again a few times where it is busy.

        Args:
            path: The path, the proxy's part of it included.
            headers: More headers, for the Service.

        Raises:
            ApiError: It cannot be asked, or refuses.
        """
        url = self._configuration.host + path
        for attempt in range(_ATTEMPTS):
            try:
                return await self._once(
                    "GET", url, path, None, "application/json", _READ_SECONDS, HISTORY_BYTES.value, headers
                )
            except UnreachableError as error:
                if error.status != HTTPStatus.TOO_MANY_REQUESTS or attempt == _ATTEMPTS - 1:
                    raise
                await asyncio.sleep(max(_BACKOFF.after(attempt + 1), error.retry_after))
        raise AssertionError("unreachable")

    async def request(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Make a request; try again a few times when the server does not answer or asks for patience.

        Raises:
            NotFoundError, ConflictError: As named.
            UnreachableError: After the last attempt.
            ApiError: Any other refusal.
        """
        url = self._configuration.host + path + (f"?{urlencode(query)}" if query else "")
        for attempt in range(_ATTEMPTS):
            try:
                return object_in(await self._once(verb, url, path, body, content_type))
            except UnreachableError as error:
                if attempt == _ATTEMPTS - 1:
                    raise
                wait = max(_BACKOFF.after(attempt + 1), error.retry_after)
                log.warning("%s %s: %s; again in %.1f s", verb, path, error, wait)
                await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    async def _once(
        self,
        verb: str,
        url: str,
        path: str,
        body: Mapping[str, Any] | None,
        content_type: str,
        timeout: float = REQUEST_SECONDS,
        most: int | None = None,
        more: Mapping[str, str] | None = None,
    ) -> bytes:
        headers = {
            "Accept": "application/json",
            "Content-Type": content_type,
            "User-Agent": _USER_AGENT,
            **(more or {}),
        }
        began = time.monotonic()
        status = 0
        try:
            settings: dict[str, Any] = dict(await self._configuration.auth_settings())
            headers |= {str(setting["key"]): str(setting["value"]) for setting in settings.values()}
            asked = await self._client.rest_client.request(
                verb, url, headers=headers, body=body, _request_timeout=timeout
            )
            response = asked.response
            try:
                good = HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES
                bound = (most or API_ANSWER_BYTES.value) if good else REFUSAL_BYTES.value
                data = await read_bounded(response, bound, whole=good)
            finally:
                response.close()
            status = response.status
        except _NO_ANSWER as error:
            why = f"the API server does not answer ({type(error).__name__}: {error})"
            raise UnreachableError(0, "", why) from error
        finally:
            if self._observer is not None:
                self._observer(verb, resource_in(path), status, time.monotonic() - began)
        if not good:
            raise refusal(status, data, response.headers)
        return data


def _asking(before_change: Callable[[], None]) -> aiohttp.TraceConfig:
    """Return what makes a session ask before it sends a change, after whatever wait for a connection there was.

    Headers are held back until there is a body, which every change has: it goes out in the step that asks for it.
    """

    async def look(
        _session: object,
        _context: object,
        sent: aiohttp.TraceRequestHeadersSentParams | aiohttp.TraceRequestChunkSentParams,
    ) -> None:
        if sent.method != "GET":
            before_change()

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(look)
    trace.on_request_chunk_sent.append(look)
    return trace


def _kubeconfigs(file: str | None) -> list[str]:
    return [file] if file else (os.environ.get("KUBECONFIG") or "~/.kube/config").split(os.pathsep)


def namespace_in(file: str | None, context: str | None) -> str:
    """Return the namespace that a kubeconfig's context names, else `default`."""
    try:
        contexts, active = config.list_kube_config_contexts(file)
    except (config.ConfigException, OSError):
        return namespace_here()
    chosen = next((c for c in contexts if c["name"] == context), None) if context else active
    return str(((chosen or {}).get("context") or {}).get("namespace") or "default")


def namespace_here() -> str:
    """Return the namespace this process runs in: its pod's, else `default`."""
    try:
        return Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read_text().strip()
    except OSError:
        return "default"
