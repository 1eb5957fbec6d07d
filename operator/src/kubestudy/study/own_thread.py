"""One thread for one study's search, where a process has one study."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

T = TypeVar("T")


class OwnThread:
    """A thread of its own for what blocks (implements the loop's `Worker` port); it begins with the first call."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="search")

    async def call(self, work: Callable[[], T]) -> T:
        """Return what the work returns, or raise what it raises."""
        context = contextvars.copy_context()  # by which log lines know their study
        return await asyncio.get_running_loop().run_in_executor(self._executor, partial(context.run, work))

    def close(self) -> None:
        """Begin nothing more."""
        self._executor.shutdown(wait=False, cancel_futures=True)
