"""The API server as its administrator asks it: JSON in and out, no process a request, and no patience."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import urllib3

from support.cluster.control_plane import ADMIN_TOKEN, ControlPlane

STUDIES = "/apis/kubestudy.dev/v1alpha1/hyperparameterstudies"
# By kind: the collection of a namespace.
COLLECTIONS = {
    "HyperparameterStudy": "/apis/kubestudy.dev/v1alpha1/namespaces/{}/hyperparameterstudies",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "Pod": "/api/v1/namespaces/{}/pods",
    "ResourceQuota": "/api/v1/namespaces/{}/resourcequotas",
}
_SECONDS = 20.0
_PAGE = 200


class RefusedError(Exception):
    """The API server refuses a request, or does not answer.

    Attributes:
        status: HTTP's status; 0 if there was no answer.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Server:
    """A client of a control plane's API server. Threads may share it.

    Args:
        control_plane: The control plane.
    """

    def __init__(self, control_plane: ControlPlane) -> None:
        self._base = control_plane.url
        context = ssl.create_default_context(cafile=str(control_plane.folder / "ca.crt"))
        self._pool = urllib3.PoolManager(ssl_context=context, maxsize=16, retries=False, timeout=_SECONDS)

    def ask(self, verb: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Make a request; return what is answered.

        Raises:
            RefusedError: It is refused, or there is no answer.
        """
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": kind}
        text = None if body is None else json.dumps(body).encode(errors="surrogatepass")
        try:
            answer = self._pool.request(verb, self._base + path, body=text, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise RefusedError(f"{verb} {path}: {error}") from error
        if answer.status >= 300:
            said = answer.data[:300].decode(errors="replace")
            raise RefusedError(f"{verb} {path}: HTTP {answer.status}: {said}", answer.status)
        return json.loads(answer.data)

    def list(self, path: str) -> list[Any]:
        """Return a collection's objects, page by page."""
        found: list[Any] = []
        more = ""
        while True:
            page = self.ask("GET", f"{path}?limit={_PAGE}{more}")
            found += page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return found
            more = f"&continue={token}"

    def make_namespace(self, name: str) -> None:
        """Make a namespace, however long it takes."""
        insist(lambda: self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}}))

    def create(self, body: dict[str, Any], namespace: str) -> dict[str, Any]:
        """Create an object of one of the kinds of `COLLECTIONS`."""
        made: dict[str, Any] = self.ask("POST", COLLECTIONS[body["kind"]].format(namespace), body)
        return made

    def patch(self, body: dict[str, Any], namespace: str, changes: dict[str, Any]) -> None:
        """Merge changes into an object."""
        self.ask("PATCH", self._path(body, namespace), changes, "application/merge-patch+json")

    def delete(self, body: dict[str, Any], namespace: str) -> None:
        """Delete an object, and what it owns."""
        self.ask("DELETE", self._path(body, namespace), {"propagationPolicy": "Background"})

    def _path(self, body: dict[str, Any], namespace: str) -> str:
        return f"{COLLECTIONS[body['kind']].format(namespace)}/{body['metadata']['name']}"


def insist(act: Callable[[], Any]) -> Any:
    """Do something that an API server which is away refuses."""
    for _ in range(60):
        try:
            return act()
        except RefusedError as error:
            if error.status == HTTPStatus.CONFLICT:
                return None  # it was carried out, and its answer lost
            if error.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
                raise
            time.sleep(1.0)
    return act()
