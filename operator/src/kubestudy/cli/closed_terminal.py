"""Writing on when the terminal is gone: a run stops its trials then, and nobody reads what it says of that."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast


class _Stream:
    """A text stream that goes nowhere once its terminal is closed; everything else is the stream's own.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        with self._surviving():
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what was buffered, or drop it."""
        with self._surviving():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _surviving(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            # What is still buffered goes there too, instead of failing again at each later write.
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self._stream.fileno())
            os.close(nothing)


@contextlib.contextmanager
def terminal_may_close() -> Iterator[None]:
    """Let writes to standard output and error go nowhere, instead of failing, once their terminal is closed."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", _Stream(stream)) if stream.isatty() else stream for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
