"""Writing a study's status: one writer, at most one patch a second, only when something changed.

How urgent a change is decides when it is written: a phase or a condition at once; counts when it is this study's turn
among all of an operator's studies; time that passed only now and then, or together with something else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any

from kubestudy.api.crd import PLURAL
from kubestudy.api.status import StudyStatus
from kubestudy.api.study import API_VERSION
from kubestudy.cluster.api import ApiError, ConflictError, KubeApi, NotFoundError
from kubestudy.cluster.jobs import Owner
from kubestudy.cluster.paths import collection
from kubestudy.planning.backoff import Backoff

log = logging.getLogger(__name__)

PATCH_SECONDS = 1.0
# All studies together: the API server validates each object whole, which costs it some milliseconds.
PATCHES_A_SECOND = 10.0
TIME_SECONDS = 30.0
# What the API server says of a write to an object that has another uid by now.
_OTHER_UID = "UID in precondition"
# The field that tells who looks after the study: written beside all else, and no reason to write.
STAMPED = "operator"
_BACKOFF = Backoff(first=2 * PATCH_SECONDS, limit=60.0)


class Pace:
    """Takes turns among the studies of an operator, so that many of them do not keep the API server busy.

    Args:
        rate: Turns a second.
    """

    def __init__(self, rate: float = PATCHES_A_SECOND) -> None:
        self._seconds = 1 / rate
        self._next = 0.0

    def take(self) -> float:
        """Take the next turn that is free; return how many seconds it is away."""
        now = time.monotonic()
        mine = max(now, self._next)
        self._next = mine + self._seconds
        return mine - now


class Urgency(IntEnum):
    """How soon a change is to be written."""

    NONE = 0
    TIME = 1
    COUNTS = 2
    STATE = 3


def urgency(old: Mapping[str, Any], new: Mapping[str, Any]) -> Urgency:
    """Say how soon a status is to take another's place."""
    if old == new:
        return Urgency.NONE
    if any(old.get(key) != new.get(key) for key in ("phase", "observedGeneration")):
        return Urgency.STATE
    if _truths(old) != _truths(new):
        return Urgency.STATE
    used = {**(old.get("used") or {}), **{key: (new.get("used") or {}).get(key) for key in ("seconds", "gpuSeconds")}}
    return Urgency.TIME if {**old, "used": used} == new else Urgency.COUNTS


def _truths(status: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return a status' conditions without their sentences, which may hold counts."""
    return [tuple(c.get(key) for key in ("type", "status", "reason")) for c in status.get("conditions") or []]


class StatusWriter:
    """Keeps one study's status on the API server equal to the newest one it was given.

    Args:
        owner: The study.
        api: The API server.
        known: The status as it is there now; what does not differ from it is not written.
        pace: The turns of all studies.
        stamp: Returns fields that are written beside all else, whenever a status is written; they are no reason to.
    """

    def __init__(
        self,
        owner: Owner,
        api: KubeApi,
        known: Mapping[str, Any] | None,
        pace: Pace,
        stamp: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._stamp = stamp
        self._renewing = False
        self._pace = pace
        self._written_at = 0.0
        self._closing = False
        self._path = f"{collection(API_VERSION, PLURAL, owner.namespace)}/{owner.name}/status"
        self._uid = owner.uid
        self._api = api
        self._written: Mapping[str, Any] = _unstamped(known or {})
        self._wanted: Mapping[str, Any] = self._written
        self._news = asyncio.Event()
        self._urgent = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def want(self, status: StudyStatus) -> None:
        """Take a newer status; it is written soon."""
        self._wanted = _unstamped(status.model_dump(mode="json", by_alias=True, exclude_none=True))
        self._write_soon()

    def renew(self) -> None:
        """Write the stamp, even where nothing else is new."""
        self._renewing = True
        self._write_soon()

    async def start_over(self, known: Mapping[str, Any]) -> None:
        """Give up what is to be written; from now on the status is known to be as given."""
        await self.close()
        self._renewing = False
        self._written = self._wanted = _unstamped(known)

    def _write_soon(self) -> None:
        how = self._urgency()
        if how is Urgency.NONE:
            return
        if how is not Urgency.TIME:
            self._news.set()
        if how is Urgency.STATE:
            self._urgent.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write())

    def _urgency(self) -> Urgency:
        least = Urgency.COUNTS if self._renewing else Urgency.NONE
        return max(least, urgency(self._written, self._wanted))

    async def flush(self, seconds: float) -> None:
        """Wait until the newest status is written, a limited time; time that passed alone is left out."""
        self._closing = True
        self._news.set()
        self._urgent.set()
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task], timeout=seconds)

    async def close(self) -> None:
        """Stop writing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _write(self) -> None:
        failures = 0
        while (how := self._urgency()) is not Urgency.NONE:
            if how is Urgency.TIME:
                if self._closing:
                    return
                self._news.clear()
                if await _set_within(self._news, self._written_at + TIME_SECONDS - time.monotonic()):
                    continue
            if how is not Urgency.STATE:
                await _set_within(self._urgent, self._pace.take())
            self._urgent.clear()
            began = time.monotonic()
            try:
                if not await self._patch(self._wanted):
                    return
                failures = 0
            except Exception as error:
                failures += 1
                again = f"again in {_BACKOFF.after(failures):.0f} s"
                if isinstance(error, ApiError):
                    log.warning("the status of %s is not written: %s; %s", self._path, error, again)
                else:
                    log.exception("the status of %s is not written; %s", self._path, again)
            wait = _BACKOFF.after(failures) or PATCH_SECONDS
            await asyncio.sleep(max(0.0, wait - (time.monotonic() - began)))

    async def _patch(self, wanted: Mapping[str, Any]) -> bool:
        """Write a status; return whether the study is still there."""
        self._renewing = False
        changes = {**self._changes(wanted), **self._stamp()}
        try:
            await self._api.patch(self._path, {"metadata": {"uid": self._uid}, "status": changes})
        except NotFoundError:
            return False
        except ConflictError as error:
            if _OTHER_UID not in str(error):
                raise  # somebody else's write came first; which is no more than a reason to try again
            return False  # another study of this name took its place
        self._written, self._written_at = wanted, time.monotonic()
        return True

    def _changes(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return a merge patch: the fields that are new or differ, and null for those that went."""
        return merge_patch(self._written, wanted)


def _unstamped(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return a status without what is stamped on it whenever it is written."""
    return {key: value for key, value in status.items() if key != STAMPED}


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, a limited time; tell whether it came."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        return False
    return True


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
