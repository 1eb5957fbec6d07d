"""Writing a study's status: one writer, at most one patch a second, only when something changed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from kubestudy.api.crd import PLURAL
from kubestudy.api.status import StudyStatus
from kubestudy.api.study import API_VERSION
from kubestudy.cluster.api import ApiError, KubeApi, NotFoundError, UnreachableError, collection
from kubestudy.cluster.jobs import Owner

log = logging.getLogger(__name__)

PATCH_SECONDS = 1.0
_RETRY_LIMIT_SECONDS = 60.0


class StatusWriter:
    """Keeps one study's status on the API server equal to the newest one it was given.

    Args:
        owner: The study.
        api: The API server.
        known: The status as it is there now; what does not differ from it is not written.
    """

    def __init__(self, owner: Owner, api: KubeApi, known: Mapping[str, Any] | None) -> None:
        self._path = f"{collection(API_VERSION, PLURAL, owner.namespace)}/{owner.name}/status"
        self._uid = owner.uid
        self._api = api
        self._written: Mapping[str, Any] = known or {}
        self._wanted: Mapping[str, Any] = self._written
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def want(self, status: StudyStatus) -> None:
        """Take a newer status; it is written soon."""
        self._wanted = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        if self._wanted != self._written:
            self._news.set()
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._write())

    async def flush(self, seconds: float) -> None:
        """Wait until the newest status is written, a limited time."""
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task], timeout=seconds)

    async def close(self) -> None:
        """Stop writing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _write(self) -> None:
        wait = PATCH_SECONDS
        while self._wanted != self._written:
            wanted = self._wanted
            began = time.monotonic()
            try:
                await self._api.patch(self._path, {"metadata": {"uid": self._uid}, "status": self._changes(wanted)})
                self._written = wanted
                wait = PATCH_SECONDS
            except NotFoundError:
                return  # the study is gone
            except ApiError as error:
                if not isinstance(error, UnreachableError) and error.status == 409:
                    return  # another study of this name took its place
                wait = min(wait * 2, _RETRY_LIMIT_SECONDS)
                log.warning("the status of %s is not written: %s; again in %.0f s", self._path, error, wait)
            await asyncio.sleep(max(0.0, wait - (time.monotonic() - began)))

    def _changes(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return a merge patch: the fields that are new or differ, and null for those that went."""
        return merge_patch(self._written, wanted)


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return what turns one object into another by JSON merge patch (RFC 7386)."""
    changes: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if inner := merge_patch(before, value):
                changes[key] = inner
        elif value != before or key not in old:
            changes[key] = value
    return changes
