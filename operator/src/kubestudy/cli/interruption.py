"""What signals do to a run: the first stops its trials, a second one kills them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence

_TERMINAL = (1, 2)


class Interruption:
    """Hears SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal was closed) once it is installed.

    Args:
        stop: Called at the first signal.
        kill: Called at each further one. A SIGHUP never kills: a shell that ends sends it again.
    """

    def __init__(self, stop: Callable[[], None], kill: Callable[[], None]) -> None:
        self.happened = False
        self._stop = stop
        self._kill = kill
        self._terminals: Sequence[int] = ()

    def install(self) -> None:
        """Hear signals, in the event loop that runs. What was started with nohup does not hear SIGHUP."""
        self._terminals = [fd for fd in _TERMINAL if os.isatty(fd)]
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        for number in numbers:
            asyncio.get_running_loop().add_signal_handler(number, self._hear, number)

    def _hear(self, number: signal.Signals) -> None:
        if number is signal.SIGHUP:
            self._leave_terminal()
        if not self.happened:
            self.happened = True
            self._stop()
        elif number is not signal.SIGHUP:
            self._kill()

    def _leave_terminal(self) -> None:
        """Write nothing more to a terminal that is gone: each write would fail, and end the run before its trials."""
        for fd in self._terminals:
            if not os.isatty(fd):
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, fd)
                os.close(nothing)
