"""Full looks at what the operator watches: at its start, and now and then to make up for a lost event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kubestudy.api.contract import LABEL_STUDY_UID
from kubestudy.api.crd import PLURAL
from kubestudy.api.study import API_VERSION
from kubestudy.cluster.api import KubeApi, collection
from kubestudy.cluster.cache import Cache

_PAGE = "500"


async def list_all(
    api: KubeApi, group: str, plural: str, namespaces: Sequence[str], **query: str
) -> tuple[list[dict[str, Any]], int]:
    """List a resource, in pages.

    Args:
        api: The API server.
        group: Group and version, or only the version of the core group.
        plural: The resource.
        namespaces: Where; empty for everywhere.
        query: Selectors.

    Returns:
        The objects, and the resource version the listing (the first, of several) began at.
    """
    found: list[dict[str, Any]] = []
    began: int | None = None
    for namespace in namespaces or (None,):
        more = ""
        while True:
            page = {"limit": _PAGE, **query, **({"continue": more} if more else {})}
            answer = await api.get(collection(group, plural, namespace), **page)
            found += answer["items"]
            version = int(answer["metadata"].get("resourceVersion") or 0)
            began = version if began is None else min(began, version)
            more = answer["metadata"].get("continue") or ""
            if not more:
                break
    return found, began or 0


async def list_studies(api: KubeApi, namespaces: Sequence[str]) -> list[dict[str, Any]]:
    """Return every study."""
    bodies, _ = await list_all(api, API_VERSION, PLURAL, namespaces)
    return bodies


async def fill(cache: Cache, api: KubeApi, namespaces: Sequence[str]) -> None:
    """Bring the cache up to date with full listings of Jobs and pods."""
    jobs, began_jobs = await list_all(api, "batch/v1", "jobs", namespaces, labelSelector=LABEL_STUDY_UID)
    pods, began_pods = await list_all(api, "v1", "pods", namespaces, labelSelector=LABEL_STUDY_UID)
    cache.replace(jobs, pods, min(began_jobs, began_pods))
