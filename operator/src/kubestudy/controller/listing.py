"""Full looks at what the operator watches: at its start, and now and then to make up for a lost event."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from kubestudy.api.contract import LABEL_STUDY_UID
from kubestudy.api.crd import PLURAL
from kubestudy.api.limits import LIST_PAGE
from kubestudy.api.study import API_VERSION
from kubestudy.cluster.api import AnswerTooLargeError, KubeApi, continue_of, items_of, version_of
from kubestudy.cluster.cache import Cache, Kind
from kubestudy.cluster.paths import collection


async def pages(
    api: KubeApi, group: str, plural: str, namespaces: Sequence[str], **query: str
) -> AsyncIterator[tuple[list[Any], int]]:
    """List a resource, page by page.

    Args:
        api: The API server.
        group: Group and version, or only the version of the core group.
        plural: The resource.
        namespaces: Where; empty for everywhere.
        query: Selectors.

    Yields:
        Some objects, and the resource version that the listing of their namespace began at.
    """
    for namespace in namespaces or (None,):
        more, size = "", LIST_PAGE.value
        while True:
            page = {"limit": str(size), **query, **({"continue": more} if more else {})}
            try:
                answer = await api.get(collection(group, plural, namespace), **page)
            except AnswerTooLargeError:
                if size == 1:
                    raise
                size //= 2
                continue
            yield items_of(answer), version_of(answer)
            more = continue_of(answer)
            if not more:
                break


async def list_studies(api: KubeApi, namespaces: Sequence[str]) -> list[dict[str, Any]]:
    """Return every study."""
    return [body async for bodies, _ in pages(api, API_VERSION, PLURAL, namespaces) for body in bodies]


async def fill(cache: Cache, api: KubeApi, namespaces: Sequence[str]) -> None:
    """Bring the cache up to date with full listings of Jobs and pods."""
    kinds: tuple[tuple[Kind, str, str], ...] = (("Job", "batch/v1", "jobs"), ("Pod", "v1", "pods"))
    for kind, group, plural in kinds:
        listing, began = cache.listing(kind), None
        async for bodies, version in pages(api, group, plural, namespaces, labelSelector=LABEL_STUDY_UID):
            listing.page(bodies)
            began = version if began is None else min(began, version)
        listing.end(began or 0)
