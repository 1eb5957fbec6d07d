"""Paths of the API server. Source: Kubernetes API concepts, resource URIs."""

from __future__ import annotations

from urllib.parse import quote


def resource_in(path: str) -> str:
    """Return the resource a path is about, without names: `jobs`, `hyperparameterstudies/status`."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if len(rest) > 2 and rest[0] == "namespaces":
        rest = rest[2:]
    return "/".join(rest[:1] + rest[2:]) or "discovery"


def collection(group: str, plural: str, namespace: str | None = None) -> str:
    """Return the path of a collection: `collection("batch/v1", "jobs", "default")`."""
    base = f"/api/{group}" if "/" not in group else f"/apis/{group}"
    return f"{base}/{plural}" if namespace is None else f"{base}/namespaces/{quote(namespace)}/{plural}"


def proxied(service: str, path: str) -> str:
    """Return the path by which the API server's proxy passes a request on.

    Args:
        service: namespace/name:port.
        path: The path there.
    """
    namespace, _, name = service.partition("/")
    return f"{collection('v1', 'services', namespace)}/{name}/proxy{path}"
