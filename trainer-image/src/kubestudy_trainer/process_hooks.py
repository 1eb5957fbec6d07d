"""What a process does at SIGTERM, at an uncaught exception and at its end."""

import atexit
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, NoReturn


class ProcessHooks:
    """Notes SIGTERM and reports how the process ends.

    Args:
        on_exception: Called with an uncaught exception; it returns the exit code with which the process
            shall end without a traceback or any other word, or None to leave the exception to the hook that
            was there before.
        on_exit: Called when the process ends, with the code that `sys.exit` was given; None where it was
            not called.
    """

    def __init__(
        self,
        on_exception: Callable[[BaseException], int | None],
        on_exit: Callable[[int | None], None],
    ) -> None:
        self.terminated = False
        self._on_exception = on_exception
        self._on_exit = on_exit
        self._exit_code: int | None = None
        self._installed = False

    def install(self) -> None:
        """Install the hooks; SIGTERM only where Python allows it, in the main thread."""
        self._previous_excepthook = sys.excepthook
        self._previous_exit = sys.exit
        # Bound methods are made anew at each access; to be recognised later they are kept.
        self._own_excepthook = self._excepthook
        self._own_exit = self._exit
        self._own_sigterm = self._sigterm
        sys.excepthook = self._own_excepthook
        sys.exit = self._own_exit
        atexit.register(self._atexit)
        self._previous_sigterm: Any = signal.SIG_DFL
        if threading.current_thread() is threading.main_thread():
            previous = signal.signal(signal.SIGTERM, self._own_sigterm)
            # None stands for a handler that was not installed from Python and cannot be put back from it.
            self._previous_sigterm = signal.SIG_DFL if previous is None else previous
        self._installed = True

    def remove(self) -> None:
        """Put back what was there before, as far as nobody has replaced the hooks since."""
        if not self._installed:
            return
        self._installed = False
        if sys.excepthook is self._own_excepthook:
            sys.excepthook = self._previous_excepthook
        if sys.exit is self._own_exit:
            sys.exit = self._previous_exit
        atexit.unregister(self._atexit)
        if signal.getsignal(signal.SIGTERM) is self._own_sigterm:
            signal.signal(signal.SIGTERM, self._previous_sigterm)

    def _sigterm(self, _signal: int, _frame: FrameType | None) -> None:
        # Nothing but a flag: the handler runs between any two instructions, inside any lock.
        self.terminated = True

    def _excepthook(self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        code = self._on_exception(error)
        if code is None:
            self._previous_excepthook(kind, error, traceback)
            return
        # The interpreter honours a SystemExit that leaves the hook.
        raise SystemExit(code)

    def _exit(self, status: Any = None, /) -> NoReturn:
        # An exit handler is not told the exit code; this is where it can be seen.
        if threading.current_thread() is threading.main_thread():
            self._exit_code = _code_of(status)
        self._previous_exit(status)

    def _atexit(self) -> None:
        self._on_exit(self._exit_code)


def _code_of(status: object) -> int:
    if status is None:
        return 0
    return status if isinstance(status, int) else 1
