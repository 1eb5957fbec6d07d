"""What signals do to a run: the first stops its trials, a second one kills them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable


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

    def install(self) -> None:
        """Hear signals, in the event loop that runs. What was started with nohup does not hear SIGHUP."""
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        for number in numbers:
            asyncio.get_running_loop().add_signal_handler(number, self._hear, number)

    def _hear(self, number: signal.Signals) -> None:
        if not self.happened:
            self.happened = True
            self._stop()
        elif number is not signal.SIGHUP:
            self._kill()
