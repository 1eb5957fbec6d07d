"""The threads in which the operator does what blocks for its studies: opening storages, asking, telling.

A study has one call at a time, in one thread; studies take turns, so that one with many calls does not hold up others.
A call that takes long has its thread's place taken by another thread, and one that does not come back in time is given
up: its caller is told, its thread is waited for no more, and the study has no other until that one is back, since two
threads in one study's storage would do harm. There are so many threads and no more. Where all of them are stuck
although others came back meanwhile, the operator is to restart itself: nothing else ends a thread.

Used from the event loop alone; the threads only run what they are handed. They are daemons: a stuck one does not keep
the process from ending, as one of `concurrent.futures` would.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from kubestudy.api.limits import SEARCH_CALL_SECONDS, SEARCH_SLOW_SECONDS, SEARCH_SPARE_THREADS, SEARCH_THREADS
from kubestudy.controller.work_thread import Call, WorkThread
from kubestudy.study.ports import StudyError

log = logging.getLogger(__name__)

# If nothing at all comes back for so long, a restart is worth a try even where it is the storage that hangs.
_SILENCE_SECONDS = 900.0
_CLOSE_SECONDS = 5.0
_CLOSE_STEP_SECONDS = 0.02

T = TypeVar("T")


class StuckError(StudyError):
    """A call did not come back in time, or one of the same study before it has not come back yet."""


class Noting(Protocol):
    """Who is told what each thread works on."""

    def begins(self, slot: int, key: str) -> None:
        """A thread begins to work on a study."""

    def ends(self, slot: int) -> None:
        """It has come to its end."""


class NotNoting:
    """Takes no notes."""

    def begins(self, slot: int, key: str) -> None:
        """Take no note."""

    def ends(self, slot: int) -> None:
        """Take no note."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How much of everything there is.

    Attributes:
        threads: Threads for calls that come back soon.
        spare: Threads for those that do not.
        slow: Seconds after which a call does not count as one that comes back soon.
        seconds: Seconds after which a call is given up.
    """

    threads: int = SEARCH_THREADS.value
    spare: int = SEARCH_SPARE_THREADS.value
    slow: float = SEARCH_SLOW_SECONDS.value
    seconds: float = SEARCH_CALL_SECONDS.value


class WorkPool:
    """The pool.

    Args:
        noting: Told what each thread works on.
        limits: How much of everything there is.
        name: What its threads are called.

    Attributes:
        exhausted: Set when all threads are stuck, so that the operator should be restarted.
    """

    def __init__(self, noting: Noting | None = None, limits: PoolLimits | None = None, name: str = "search") -> None:
        self._noting: Noting = noting or NotNoting()
        self._limits = limits or PoolLimits()
        self._name = name
        self._idle: list[WorkThread] = []
        self._count = 0
        self._waiting: dict[str, deque[Call]] = {}
        self._turns: deque[str] = deque()
        self._working: dict[str, tuple[WorkThread, Call]] = {}
        self._closed = False
        self._newest_return = self._last_return = 0.0
        self.exhausted = asyncio.Event()

    @property
    def threads(self) -> int:
        """How many threads there are."""
        return self._count

    @property
    def waiting(self) -> int:
        """How many studies have a call that waits for its turn."""
        return len(self._turns)

    @property
    def stuck(self) -> list[str]:
        """The studies whose call was given up and has not come back."""
        return [key for key, (_, call) in self._working.items() if call.stuck]

    async def call(self, key: str, work: Callable[[], T], seconds: float | None = None) -> T:
        """Run something in a thread.

        Args:
            key: The study it is for, by uid.
            work: What to run.
            seconds: After how long it is given up, counted from when it begins.

        Raises:
            StuckError: It did not come back in time, or one of the same study before it has not yet.
            Exception: What it raises.
        """
        known = self._working.get(key)
        if known is not None and known[1].stuck:
            raise StuckError(self._still_stuck(known[1]))
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()  # by which log lines know their study
        limit = self._limits.seconds if seconds is None else seconds
        call = Call(key, partial(context.run, work), loop.create_future(), limit)
        self._waiting.setdefault(key, deque()).append(call)
        if key not in self._working and key not in self._turns:
            self._turns.append(key)
        self._hand_out()
        result: T = await call.future
        return result

    async def close(self, seconds: float = _CLOSE_SECONDS) -> None:
        """Begin nothing more; wait for calls under way, a limited time. What is left of them ends with the process.

        Of those that are not stuck it is noted that nothing is to be blamed on them.

        Args:
            seconds: How long to wait.
        """
        self._closed = True
        for calls in self._waiting.values():
            for call in calls:
                call.future.cancel()
        self._waiting.clear()
        self._turns.clear()
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while any(not call.stuck for _, call in self._working.values()) and loop.time() < until:
            await asyncio.sleep(_CLOSE_STEP_SECONDS)
        for thread, call in self._working.values():
            _cancel(call.timers)
            if not call.stuck:
                self._noting.ends(thread.slot)
        for thread in self._idle:
            thread.hand(None)
        self._count -= len(self._idle)
        self._idle.clear()

    # --- whose turn it is ------------------------------------------------------------------------------------------

    def _hand_out(self) -> None:
        while self._turns and not self._closed and (thread := self._free_thread()) is not None:
            key = self._turns.popleft()
            calls = self._waiting[key]
            call = calls.popleft()
            if not calls:
                del self._waiting[key]
            if call.future.done():  # its caller is gone
                self._idle.append(thread)
                if key in self._waiting:
                    self._turns.append(key)
                continue
            self._begin(thread, call)

    def _free_thread(self) -> WorkThread | None:
        prompt = sum(not call.slow for _, call in self._working.values())
        if prompt >= self._limits.threads:
            return None
        if self._idle:
            return self._idle.pop()
        if self._count >= self._limits.threads + self._limits.spare:
            return None
        loop = asyncio.get_running_loop()

        def done(thread: WorkThread, call: Call, result: Any, error: BaseException | None) -> None:
            # The loop may be closed: the process is about to end then, and nobody waits.
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._returned, thread, call, result, error)

        self._count += 1
        return WorkThread(self._count - 1, self._name, done)

    def _begin(self, thread: WorkThread, call: Call) -> None:
        loop = asyncio.get_running_loop()
        call.began = loop.time()
        call.timers = [
            loop.call_later(self._limits.slow, self._is_slow, call),
            loop.call_later(call.seconds, self._is_stuck, call),
        ]
        self._working[call.key] = thread, call
        self._noting.begins(thread.slot, call.key)
        thread.hand(call)

    # --- what becomes of a call ------------------------------------------------------------------------------------

    def _returned(self, thread: WorkThread, call: Call, result: Any, error: BaseException | None) -> None:
        _cancel(call.timers)
        now = asyncio.get_running_loop().time()
        self._newest_return, self._last_return = max(self._newest_return, call.began), now
        del self._working[call.key]
        self._noting.ends(thread.slot)
        if call.stuck:
            log.warning("a call that was given up came back after %.0f s", now - call.began)
        if not call.future.done():
            if error is None:
                call.future.set_result(result)
            else:
                call.future.set_exception(error)
        if self._closed:
            thread.hand(None)
            self._count -= 1
            return
        self._idle.append(thread)
        if call.key in self._waiting:
            self._turns.append(call.key)
        self._hand_out()

    def _is_slow(self, call: Call) -> None:
        call.slow = True
        self._hand_out()

    def _is_stuck(self, call: Call) -> None:
        call.slow = call.stuck = True
        error = StuckError(
            f"a call to the study's search did not come back within {call.seconds:.0f} s: options of its sampler that"
            " cost less, or a storage that answers, would mend that; it goes on once the call is back"
        )
        for each in (call, *self._waiting.pop(call.key, ())):
            if not each.future.done():
                each.future.set_exception(error)
        if len(self.stuck) >= self._limits.spare and self._restart_helps():
            self.exhausted.set()
        self._hand_out()

    def _restart_helps(self) -> bool:
        """Tell whether these studies are stuck, and not the storage: then others came back meanwhile."""
        now = asyncio.get_running_loop().time()
        began = sorted(call.began for _, call in self._working.values() if call.stuck)
        return self._newest_return > began[len(began) // 2] or now - self._last_return > _SILENCE_SECONDS

    def _still_stuck(self, call: Call) -> str:
        for_now = asyncio.get_running_loop().time() - call.began
        return f"a call to the study's search has not come back for {for_now:.0f} s; the study goes on once it has"


class StudyWorker:
    """One study's way to the pool (implements the loop's `Worker` port).

    Args:
        pool: The pool.
        uid: The study.
    """

    def __init__(self, pool: WorkPool, uid: str) -> None:
        self._pool, self._uid = pool, uid

    async def call(self, work: Callable[[], T]) -> T:
        """Return what the work returns, or raise what it raises."""
        return await self._pool.call(self._uid, work)

    def close(self) -> None:
        """Do nothing: a call whose caller is gone does not begin."""


def _cancel(timers: list[asyncio.TimerHandle]) -> None:
    for timer in timers:
        timer.cancel()
