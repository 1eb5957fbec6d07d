"""Standard streams that are closed, full, or know few letters: one sentence, where Python has a traceback."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from kubestudy.cli.exits import Exit

# Handlers that raise, or that write what no reader expects, for a letter that the stream's encoding lacks.
_RAISING = frozenset({"strict", "surrogateescape"})
_ESCAPED = "backslashreplace"


class _Output(io.FileIO):
    """A descriptor to write to, which remembers why it could not be written to."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write what fits."""
        try:
            return super().write(data)
        except OSError as error:
            self.failure = error
            raise


def run_command_line(command_line: Callable[[], object]) -> NoReturn:
    """Run a command line to its exit.

    A reader that goes away (`| head`) ends it quietly; any other output that cannot be written is one sentence.

    Args:
        command_line: What to run; it ends by SystemExit.
    """
    output = _mend()
    code: str | int | None = Exit.COMPLETED
    try:
        command_line()
    except SystemExit as end:
        code = end.code
    except OSError:
        if output.failure is None:
            raise
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    if output.failure is not None:
        code = Exit.FAILED
        if output.failure.errno != errno.EPIPE:
            with contextlib.suppress(OSError):
                print(f"error: cannot write the output: {output.failure.strerror}", file=sys.stderr)
        # The interpreter's own last flush is to succeed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)


def _mend() -> _Output:
    """Put something in the place of each stream that is closed, and have unknown letters written as escapes.

    A closed descriptor would be given to the next file that is opened, and output would go into that file.

    Returns:
        What is beneath stdout now.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # Lower ones are taken, so it becomes this one. What cannot be written to stdout has to be told.
            os.open(os.devnull, os.O_WRONLY if descriptor == 2 else os.O_RDONLY)
    # Python has None for a stream that was closed when it started.
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False, errors=_ESCAPED)
    output = _Output(1, "w", closefd=False)
    before = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(output),
        encoding=before.encoding,
        errors=_ESCAPED if before.errors in _RAISING else before.errors,
        line_buffering=output.isatty(),
    )
    return output
