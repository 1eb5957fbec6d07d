"""A terminal of a few lines: runs a program on it, types, and tells what is to be seen."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_BEGUN = re.compile(r"\x1b(\[[0-9;?]*)?$")
_ORDER = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


class Screen:
    """What is to be seen: text, with the few orders to the terminal that progress displays use.

    Args:
        columns: How wide it is; what is longer goes on in the next line.
        lines: How high it is; what is above that is kept, too.
    """

    def __init__(self, columns: int, lines: int) -> None:
        self._columns, self._height = columns, lines
        self._cells: list[list[str]] = [[]]
        self._row = self._column = 0
        self._rest = ""

    @property
    def lines(self) -> list[str]:
        """The lines, from the first that was ever written."""
        return ["".join(cells).rstrip() for cells in self._cells]

    def feed(self, text: str) -> None:
        """Take what a program writes."""
        text, at = self._rest + text, 0
        begun = _BEGUN.search(text)
        self._rest = begun[0] if begun else ""
        text = text.removesuffix(self._rest)
        while at < len(text):
            order = _ORDER.match(text, at)
            if order is None:
                self._put(text[at])
                at += 1
            else:
                self._obey(order[1], order[2])
                at = order.end()

    def _put(self, letter: str) -> None:
        if letter == "\r":
            self._column = 0
        elif letter == "\n":
            self._down()
        elif letter >= " ":
            if self._column == self._columns:
                self._column = 0
                self._down()
            line = self._cells[self._row]
            line += [" "] * (self._column + 1 - len(line))
            line[self._column] = letter
            self._column += 1

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._cells):
            self._cells.append([])

    def _obey(self, argument: str, order: str) -> None:
        count = int(argument) if argument.isdigit() else 1
        if order == "A":
            self._row = max(self._row - count, len(self._cells) - self._height, 0)
        elif order == "K" and argument == "2":
            self._cells[self._row] = []


class Terminal:
    """A program on a terminal.

    Args:
        arguments: The program and its arguments.
        folder: Where it runs.
        columns: The terminal's width.
        lines: Its height.
    """

    def __init__(self, arguments: Sequence[str | Path], folder: Path, columns: int = 80, lines: int = 24) -> None:
        self.screen = Screen(columns, lines)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
            os.chdir(folder)
            told = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
            os.execve(arguments[0], [str(argument) for argument in arguments], told | {"TERM": "xterm-256color"})

    def type(self, text: str) -> None:
        """Type something; "\x03" is Ctrl-C."""
        os.write(self._fd, text.encode())

    def until(self, seen: Callable[[str], object], seconds: float = 120.0) -> None:
        """Wait until something is to be seen; the program may also end."""
        deadline = time.monotonic() + seconds
        while not seen("\n".join(self.screen.lines)):
            assert time.monotonic() < deadline, "\n".join(self.screen.lines)
            if not self._read():
                return

    def end(self, seconds: float = 120.0) -> int:
        """Wait for the program's end; return its exit code."""
        self.until(lambda _: False, seconds)
        os.close(self._fd)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _read(self) -> bool:
        """Take what was written, for a second at most; return whether the program is still there."""
        if not select.select([self._fd], [], [], 1)[0]:
            return True
        try:
            written = os.read(self._fd, 65536)
        except OSError:  # the other end is closed
            return False
        self.screen.feed(self._decoder.decode(written))
        return bool(written)
