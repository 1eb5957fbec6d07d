"""Listings are asked for and taken in page by page."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any, cast

import pytest

from kubestudy.api.limits import LIST_PAGE
from kubestudy.cluster.api import AnswerTooLargeError, KubeApi, UnreachableError
from kubestudy.cluster.cache import Cache
from kubestudy.cluster.names import job_name, labels
from kubestudy.cluster.trial_objects import StudyKey
from kubestudy.controller.listing import fill, list_studies

STUDY = StudyKey("ns", "demo", "0b2f7714-0000-4000-8000-000000000000")
MEGABYTE = 1_000_000


class Api:
    """Has some Jobs of a megabyte, made as they are asked for; no answer holds more than `most` of them."""

    def __init__(self, jobs: int, most: int) -> None:
        self.jobs, self.most = jobs, most
        self.asked: list[tuple[str, int]] = []

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        limit, begin = int(query["limit"]), int(query.get("continue", "0"))
        self.asked.append((path, limit))
        if not path.endswith("/jobs"):
            return {"items": [], "metadata": {"resourceVersion": "7"}}
        count = min(limit, self.jobs - begin)
        if count > self.most:
            raise AnswerTooLargeError(200, "", "too long")
        more = begin + count
        metadata = {"resourceVersion": "7", **({"continue": str(more)} if more < self.jobs else {})}
        return {"items": [self._job(number) for number in range(begin, more)], "metadata": metadata}

    def _job(self, number: int) -> dict[str, Any]:
        owner = {"apiVersion": "kubestudy.dev/v1alpha1", "kind": "HyperparameterStudy", "name": "demo"}
        metadata = {
            "name": job_name(STUDY.name, STUDY.uid, number), "namespace": "ns", "uid": f"job-{number}",
            "resourceVersion": "5", "labels": labels(STUDY.name, STUDY.uid, number),
            "ownerReferences": [{**owner, "uid": STUDY.uid, "controller": True}],
            "annotations": {"large": chr(65 + number % 26) * MEGABYTE},
        }  # fmt: skip
        return {"metadata": metadata, "spec": {"suspend": True, "template": {"spec": {"containers": []}}}}


def test_a_listing_of_large_jobs_never_lies_in_memory_as_a_whole() -> None:
    cache = Cache()
    cache.look_after(STUDY)
    api = Api(jobs=60, most=15)
    tracemalloc.start()
    try:
        asyncio.run(fill(cache, cast("KubeApi", api), ["ns"]))
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert set(cache.trials(STUDY)) == set(range(60))
    assert all(trial.job is not None and trial.job.view.suspended for trial in cache.trials(STUDY).values())
    assert kept < MEGABYTE and most < 35 * MEGABYTE
    sizes = [limit for path, limit in api.asked if path.endswith("/jobs")]
    assert sizes[0] == LIST_PAGE.value and sizes[-1] <= 15 and sizes == sorted(sizes, reverse=True)


def test_one_object_that_is_too_large_is_told() -> None:
    with pytest.raises(AnswerTooLargeError):
        asyncio.run(fill(Cache(), cast("KubeApi", Api(jobs=1, most=0)), ["ns"]))


def test_what_is_no_list_is_no_empty_list() -> None:
    class Lying:
        async def get(self, path: str, **query: str) -> dict[str, Any]:
            return {"kind": "Status", "status": "Success"}

    with pytest.raises(UnreachableError, match="no list"):
        asyncio.run(list_studies(cast("KubeApi", Lying()), []))
