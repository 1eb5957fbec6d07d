"""Standard streams that are closed, full, or know few letters: one sentence, where Python has a traceback."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from kubestudy.cli.exits import Exit

# Handlers that raise, or that write what no reader expects, for a letter that the stream's encoding lacks.
_RAISING = frozenset({"strict", "surrogateescape"})


def run_command_line(command_line: Callable[[], object]) -> NoReturn:
    """Run a command line to its exit.

    A reader that goes away (`| head`) ends it quietly; any other output that cannot be written is one sentence.

    Args:
        command_line: What to run; it ends by SystemExit.
    """
    mend()
    code: object = Exit.COMPLETED
    try:
        command_line()
    except SystemExit as end:
        code = end.code
    except OSError:
        if _why_unwritable() is None:
            raise
    why = _why_unwritable()
    if why is not None:
        code = Exit.FAILED
        if why.errno != errno.EPIPE:
            with contextlib.suppress(OSError):
                print(f"error: cannot write the output: {why.strerror}", file=sys.stderr)
        _drop_output()
    sys.exit(code)  # type: ignore[arg-type]


def mend() -> None:
    """Put something in the place of each stream that is closed, and have unknown letters written as escapes.

    A closed descriptor would be given to the next file that is opened, and output would go into that file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # Lower ones are taken, so it becomes this one. What cannot be written to stdout has to be told.
            os.open(os.devnull, os.O_WRONLY if descriptor == 2 else os.O_RDONLY)
    # Python has None for a stream that was closed when it started.
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in _RAISING:
            stream.reconfigure(errors="backslashreplace")


def _why_unwritable() -> OSError | None:
    """Return why what was printed cannot be written; None if it can."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return None


def _drop_output() -> None:
    """Let the interpreter's own last flush succeed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
