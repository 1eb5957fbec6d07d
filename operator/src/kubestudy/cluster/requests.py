"""Requests to the API server that are made in the background: one chain for each key, tried until they succeed.

What is asked for under one key is done in order; a slow API server holds up no decision. A request is tried again,
with a back-off, until it succeeds or is given up: what it stands for is recorded already, so to stop would lose it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable

from kubestudy.api.reasons import Hindrance
from kubestudy.api.text import shorten
from kubestudy.cluster.api import ApiError, UnreachableError
from kubestudy.planning.backoff import Backoff
from kubestudy.study.trial import Wait, WaitKind

log = logging.getLogger(__name__)

BACKOFF = Backoff(first=1.0, limit=60.0)
# A quota has room again as soon as something else ends.
QUOTA_BACKOFF = Backoff(first=1.0, limit=10.0)

Attempt = Callable[[], Awaitable[bool]]
Hinder = Callable[[Wait | None], None]


class RequestChains:
    """Requests under way, by key."""

    def __init__(self) -> None:
        self._last: dict[Hashable, asyncio.Task[None]] = {}

    def put(self, key: Hashable, what: str, attempt: Attempt, hindered: Hinder) -> None:
        """Make a request once all others of its key are done.

        Args:
            key: Whose it is.
            what: What it does, for people: `create Job x`.
            attempt: Tries it; returns False if something of the same name has to be gone first. May raise ApiError.
            hindered: Told what is in its way, and None once nothing is.
        """
        previous = self._last.get(key)
        task = asyncio.create_task(self._insist(previous, what, attempt, hindered))
        self._last[key] = task
        task.add_done_callback(lambda done: self._forget(key, done))

    def _forget(self, key: Hashable, task: asyncio.Task[None]) -> None:
        if self._last.get(key) is task:
            del self._last[key]
        if not task.cancelled() and task.exception() is not None:
            log.error("a request failed for a fault of this program's own", exc_info=task.exception())

    def busy(self, key: Hashable | None = None) -> bool:
        """Tell whether a request is under way: of a key, or any."""
        return bool(self._last) if key is None else key in self._last

    def give_up(self, key: Hashable) -> None:
        """Give up what is under way for a key, done or not."""
        task = self._last.get(key)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Give up everything under way."""
        tasks = list(self._last.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _insist(self, previous: asyncio.Task[None] | None, what: str, attempt: Attempt, hindered: Hinder) -> None:
        if previous is not None:
            await asyncio.wait([previous])  # whatever became of it, which it told itself
        failures = 0
        while True:
            try:
                if await attempt():
                    break
                wait = Wait(
                    WaitKind.REFUSED,
                    f"cannot {what} yet: an older one of that name is being deleted",
                    Hindrance.JOB_BEING_DELETED,
                )
            except ApiError as error:
                wait = hindrance_of(what, error)
            failures += 1
            seconds = (QUOTA_BACKOFF if wait.kind is WaitKind.ROOM else BACKOFF).after(failures)
            # What is being deleted is gone in a moment, most of the time.
            if failures > 1 or wait.hindrance is not Hindrance.JOB_BEING_DELETED:
                log.warning("%s; again in %.0f s", wait.message, seconds)
                hindered(wait)
            await asyncio.sleep(seconds)
        if failures:
            hindered(None)


def hindrance_of(what: str, error: ApiError) -> Wait:
    """Return what a refusal means for whatever waits for the request.

    Args:
        what: What was requested.
        error: The refusal.
    """
    message = f"cannot {what}: {shorten(str(error), 1000)}"
    if isinstance(error, UnreachableError):
        return Wait(WaitKind.REFUSED, message, Hindrance.API_SERVER)
    if error.over_quota:
        return Wait(WaitKind.ROOM, message)
    return Wait(WaitKind.REFUSED, message, Hindrance.JOB_REFUSED)
