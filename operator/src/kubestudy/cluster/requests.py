"""Requests to the API server that are made in the background: one chain for each key, tried until they succeed.

What is asked for under one key is done in order; a slow API server holds up no decision. A request is tried again,
with a back-off, until it succeeds or is given up: what it stands for is recorded already, so to stop would lose it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence

from kubestudy.api.reasons import Hindrance
from kubestudy.api.text import clean
from kubestudy.cluster.api import ApiError, UnreachableError
from kubestudy.planning.backoff import Backoff
from kubestudy.study.trial import Wait, WaitKind

log = logging.getLogger(__name__)

BACKOFF = Backoff(first=1.0, limit=60.0)
# A quota has room again as soon as something else ends.
QUOTA_BACKOFF = Backoff(first=1.0, limit=10.0)

Attempt = Callable[[], Awaitable[Wait | None]]
Hinder = Callable[[Wait | None], None]


class RequestChains:
    """Requests under way, by key."""

    def __init__(self) -> None:
        # Of each key those that are not done, oldest first: all but the first wait for those before them.
        self._chains: dict[Hashable, list[asyncio.Task[None]]] = {}

    def put(self, key: Hashable, what: str, attempt: Attempt, hindered: Hinder) -> None:
        """Make a request once all others of its key are done.

        Args:
            key: Whose it is.
            what: What it does, for people: `create Job x`.
            attempt: Tries it; returns what is in its way, so that it is tried again; None once it is done. May raise
                ApiError.
            hindered: Told what is in its way, and None once nothing is.
        """
        chain = self._chains.setdefault(key, [])
        task = asyncio.create_task(self._insist(tuple(chain), what, attempt, hindered))
        chain.append(task)
        task.add_done_callback(lambda done: self._forget(key, done))

    def _forget(self, key: Hashable, task: asyncio.Task[None]) -> None:
        chain = self._chains[key]
        chain.remove(task)
        if not chain:
            del self._chains[key]
        if not task.cancelled() and task.exception() is not None:
            log.error("a request failed for a fault of this program's own", exc_info=task.exception())

    def busy(self, key: Hashable | None = None) -> bool:
        """Tell whether a request is under way: of a key, or any."""
        return bool(self._chains) if key is None else key in self._chains

    def give_up(self, key: Hashable) -> None:
        """Give up what was last asked for under a key, done or not."""
        chain = self._chains.get(key)
        if chain:
            chain[-1].cancel()

    async def close(self) -> None:
        """Give up everything under way, and what waits for it."""
        tasks = [task for chain in self._chains.values() for task in chain]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _insist(
        self, previous: Sequence[asyncio.Task[None]], what: str, attempt: Attempt, hindered: Hinder
    ) -> None:
        if previous:
            await asyncio.wait(previous)  # whatever became of it, which it told itself
        failures = 0
        while True:
            try:
                wait = await attempt()
            except ApiError as error:
                wait = hindrance_of(what, error)
            if wait is None:
                break
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
    message = f"cannot {what}: {clean(str(error), 1000)}"
    if isinstance(error, UnreachableError):
        return Wait(WaitKind.REFUSED, message, Hindrance.API_SERVER)
    if error.over_quota:
        return Wait(WaitKind.ROOM, message)
    return Wait(WaitKind.REFUSED, message, Hindrance.JOB_REFUSED)
