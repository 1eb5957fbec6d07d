"""One thread of the operator's pool, and the calls that it runs one after the other."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False, slots=True)
class Call:
    """A call, and how it goes.

    Attributes:
        key: The study it is for.
        work: What is to be run.
        future: What it comes to.
        seconds: How long it may take.
        began: When it was handed to a thread.
        slow: Whether its thread's place was taken by another.
        stuck: Whether it was given up.
        timers: What looks at it as time goes by.
    """

    key: str
    work: Callable[[], Any]
    future: asyncio.Future[Any]
    seconds: float
    began: float = 0.0
    slow: bool = False
    stuck: bool = False
    timers: list[asyncio.TimerHandle] = field(default_factory=list)


class WorkThread:
    """One thread, which runs what it is handed.

    Args:
        slot: Its number.
        name: What it and its like are called.
        done: Told, in the thread, of each call what it came to.
    """

    def __init__(
        self, slot: int, name: str, done: Callable[[WorkThread, Call, Any, BaseException | None], None]
    ) -> None:
        self.slot = slot
        self._done = done
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=f"{name}-{slot}", daemon=True).start()

    def hand(self, call: Call | None) -> None:
        """Hand it a call; None ends it."""
        self._calls.put(call)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            result, error = None, None
            try:
                result = call.work()
            except BaseException as raised:
                error = raised
            self._done(self, call, result, error)
            del call, result, error  # nothing of a study is kept until the next call comes
