"""Events that `kubectl describe` shows. Rare by design: what happens often is told in one event for many."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from kubestudy.api.study import API_VERSION, KIND
from kubestudy.cluster.api import ApiError, KubeApi, collection
from kubestudy.cluster.jobs import Owner
from kubestudy.study.ports import Event

log = logging.getLogger(__name__)

COMPONENT = "kubestudy-operator"
# Of each reason: so many at once, then one in so many seconds; those between are counted into the next.
BURST = 5
REFILL_SECONDS = 60.0
_MESSAGE_LENGTH = 1000
_UNTOLD = frozenset({"TrialStopped", "TrialRequeued"})
_FOR_MANY = frozenset({"TrialPruned"})


class EventRecorder:
    """Tells events of one study.

    Args:
        owner: The study.
        api: The API server.
        clock: Unix time.
    """

    def __init__(self, owner: Owner, api: KubeApi, clock: Callable[[], float] = time.time) -> None:
        self._owner = owner
        self._api = api
        self._now = clock
        self._tokens: dict[str, tuple[float, float]] = {}
        self._held: dict[str, int] = {}
        self._queue: asyncio.Queue[Event] = asyncio.Queue(maxsize=100)
        self._task: asyncio.Task[None] | None = None

    def tell(self, event: Event) -> None:
        """Take an event; it is written soon, or counted into a later one of its reason."""
        if event.reason in _UNTOLD:
            return
        if not self._allowed(event.reason, 1 if event.reason in _FOR_MANY else BURST):
            self._held[event.reason] = self._held.get(event.reason, 0) + 1
            return
        held = self._held.pop(event.reason, 0)
        message = f"{event.message} (and {held} more before)" if held else event.message
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait(Event(event.reason, message[:_MESSAGE_LENGTH], event.warning))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write())

    async def flush(self, seconds: float) -> None:
        """Wait until everything is written, a limited time."""
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task], timeout=seconds)

    def _allowed(self, reason: str, burst: int) -> bool:
        now = self._now()
        tokens, last = self._tokens.get(reason, (float(burst), now))
        tokens = min(burst, tokens + max(0.0, now - last) / REFILL_SECONDS)
        allowed = tokens >= 1
        self._tokens[reason] = (tokens - 1 if allowed else tokens, now)
        return allowed

    async def _write(self) -> None:
        events = collection("v1", "events", self._owner.namespace)
        while not self._queue.empty():
            try:
                await self._api.create(events, self._body(self._queue.get_nowait()))
            except ApiError as error:
                # An event is a courtesy: the status says the same.
                log.warning("an event of %s/%s was not written: %s", self._owner.namespace, self._owner.name, error)

    def _body(self, event: Event) -> dict[str, Any]:
        at = datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        owner = self._owner
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{owner.name[:200]}.{uuid4().hex[:16]}", "namespace": owner.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": owner.name,
                "namespace": owner.namespace,
                "uid": owner.uid,
            },
            "reason": event.reason,
            "message": event.message,
            "type": "Warning" if event.warning else "Normal",
            "source": {"component": COMPONENT},
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }
