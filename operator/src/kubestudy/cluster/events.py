"""Events that `kubectl describe` shows. Rare by design: what happens often is told in one event for many.

Of each reason a few are told at once, then one a minute. What is held back meanwhile is counted, and the newest of it
is told when its turn comes, before an end is told, or when the study's run ends: the last one is never lost.

Source: core/v1 Event. `kubectl` sorts by whole seconds, else by name, so names grow with time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from kubestudy.api.reasons import Ended, Told
from kubestudy.api.study import API_VERSION, KIND
from kubestudy.api.text import clean
from kubestudy.cluster.api import ApiError, ConflictError, KubeApi
from kubestudy.cluster.jobs import Owner
from kubestudy.cluster.paths import collection
from kubestudy.study.ports import Event

log = logging.getLogger(__name__)

COMPONENT = "kubestudy-operator"
# Of each reason: so many at once, then one in so many seconds.
BURST = 5
REFILL_SECONDS = 60.0
# The API server takes no more than 1024 bytes.
_MESSAGE_BYTES = 1000
_UNTOLD = frozenset[str]({Told.TRIAL_STOPPED, Told.TRIAL_REQUEUED})
_FOR_MANY = frozenset[str]({Told.TRIAL_PRUNED})
_ENDS = frozenset[str](Ended)
# While the API server does not answer, no more are kept for it than this.
_QUEUE = 100


@dataclass(frozen=True, slots=True)
class _Stamped:
    """An event and when it happened, in nanoseconds of Unix time; no two of a study at once."""

    event: Event
    at: int


@dataclass(frozen=True, slots=True)
class _Turns:
    """How many events of a reason may be told at once, as of a time, and what is held back."""

    tokens: float
    at: float
    held: _Stamped | None = None
    others: int = 0

    def refilled(self, now: float, burst: int) -> _Turns:
        """Return them at a later time: one more each minute, up to the burst."""
        passed = max(0.0, now - self.at)
        return replace(self, tokens=min(burst, self.tokens + passed / REFILL_SECONDS), at=now)

    def hold(self, stamped: _Stamped) -> _Turns:
        """Return them with a newer event held back, and the one before it counted."""
        return replace(self, held=stamped, others=self.others + (self.held is not None))


class EventRecorder:
    """Tells events of one study. Its tasks end by `close`.

    Args:
        owner: The study.
        api: The API server.
        clock: Unix time in nanoseconds.
    """

    def __init__(self, owner: Owner, api: KubeApi, clock: Callable[[], int] = time.time_ns) -> None:
        self._owner = owner
        self._api = api
        self._clock = clock
        self._last = 0
        self._turns: dict[str, _Turns] = {}
        self._queue: deque[tuple[_Stamped, int]] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._waker: asyncio.TimerHandle | None = None

    def tell(self, event: Event) -> None:
        """Take an event; it is written soon, or held back until its reason's next turn."""
        if event.reason in _UNTOLD:
            return
        if event.reason in _ENDS:
            self.release()
        self._last = max(self._clock(), self._last + 1)
        turns = self._refilled(event.reason)
        self._turns[event.reason] = turns.hold(_Stamped(event, self._last))
        self._take_turns()

    def release(self) -> None:
        """Write at once what is held back: of each reason the newest, in the order in which they happened."""
        held = [(turns.held.at, reason) for reason, turns in self._turns.items() if turns.held is not None]
        for _, reason in sorted(held):
            self._put(reason, self._turns[reason])
        self._write_soon()

    async def flush(self, seconds: float) -> None:
        """Write everything, what is held back too; wait for that a limited time."""
        self.release()
        if self._writer is not None and not self._writer.done():
            await asyncio.wait([self._writer], timeout=seconds)

    async def close(self) -> None:
        """Stop writing."""
        if self._waker is not None:
            self._waker.cancel()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    # --- whose turn it is ------------------------------------------------------------------------------------------

    def _refilled(self, reason: str) -> _Turns:
        now, burst = self._clock() / 1e9, 1 if reason in _FOR_MANY else BURST
        return self._turns.get(reason, _Turns(float(burst), now)).refilled(now, burst)

    def _take_turns(self) -> None:
        """Write what is held back of the reasons whose turn it is; look again when it is the next one's."""
        waits = []
        for reason in [reason for reason, turns in self._turns.items() if turns.held is not None]:
            turns = self._refilled(reason)
            if turns.tokens >= 1 and len(self._queue) < _QUEUE:
                self._put(reason, replace(turns, tokens=turns.tokens - 1))
            else:
                self._turns[reason] = turns
                waits.append(max(0.1, (1 - turns.tokens) * REFILL_SECONDS))
        self._write_soon()
        if self._waker is not None:
            self._waker.cancel()
            self._waker = None
        if waits:
            self._waker = asyncio.get_running_loop().call_later(min(waits), self._take_turns)

    def _put(self, reason: str, turns: _Turns) -> None:
        if turns.held is not None:
            self._queue.append((turns.held, turns.others))
        self._turns[reason] = replace(turns, held=None, others=0)

    # --- writing ---------------------------------------------------------------------------------------------------

    def _write_soon(self) -> None:
        if self._queue and (self._writer is None or self._writer.done()):
            self._writer = asyncio.create_task(self._write())

    async def _write(self) -> None:
        events = collection("v1", "events", self._owner.namespace)
        while self._queue:
            stamped, others = self._queue.popleft()
            try:
                await self._api.create(events, event_body(self._owner, stamped.event, stamped.at, others))
            except ConflictError:
                continue  # an earlier attempt, whose answer was lost, wrote it
            except ApiError as error:
                # An event is a courtesy: the status says the same.
                log.warning("the event %s was not written: %s", stamped.event.reason, error)
            except Exception:
                log.exception("the event %s was not written", stamped.event.reason)


def event_body(owner: Owner, event: Event, at: int, others: int = 0) -> dict[str, Any]:
    """Return the object.

    Args:
        owner: The study.
        event: What is told.
        at: When it happened, in nanoseconds of Unix time; no two events of a study have one.
        others: How many of its reason were held back in its favour.
    """
    message = f"{event.message} (and {others} more before)" if others else event.message
    when = datetime.fromtimestamp(at // 10**9, UTC)
    second = when.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{owner.name[:200]}.{at:016x}", "namespace": owner.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": owner.name,
            "namespace": owner.namespace,
            "uid": owner.uid,
        },
        "reason": event.reason,
        "message": _cut(message),
        "type": "Warning" if event.warning else "Normal",
        "source": {"component": COMPONENT},
        "firstTimestamp": second,
        "lastTimestamp": second,
        "count": 1,
        # What was told within a second is told apart by these.
        "eventTime": when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % 10**9 // 1000:06}Z",
        "reportingComponent": COMPONENT,
        "reportingInstance": COMPONENT,
        "action": event.reason,
    }


def _cut(message: str) -> str:
    """Shorten a message to what the API server takes, which counts bytes."""
    line = clean(message, _MESSAGE_BYTES)
    while len(line.encode()) > _MESSAGE_BYTES:
        line = clean(line, len(line) * 9 // 10)
    return line
