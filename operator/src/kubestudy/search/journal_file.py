"""A journal's file before Optuna reads it: how large it may be, and a last line that was never written whole."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from kubestudy.api.limits import JOURNAL_BYTES, JOURNAL_LINE_BYTES
from kubestudy.search.journal_lock import locked
from kubestudy.study.ports import StudyError

_PIECE_BYTES = 2**16


def check_size(journal: Path) -> None:
    """Refuse a journal that is larger than any study's, as a whole or in a line: it would be read into memory.

    Raises:
        StudyError: It is.
        OSError: It cannot be read.
    """
    try:
        known = journal.stat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(known.st_mode):
        raise StudyError(f"the storage {journal} cannot be used: it is no file; move it away")
    if known.st_size > JOURNAL_BYTES.value:
        raise StudyError(
            f"the storage {journal} has {known.st_size} bytes, and a journal has {JOURNAL_BYTES.value} at most:"
            " go on in a new study, or in a database"
        )
    if known.st_size > JOURNAL_LINE_BYTES.value and _longest_line(journal) > JOURNAL_LINE_BYTES.value:
        raise StudyError(
            f"the storage {journal} is damaged: a line has more than {JOURNAL_LINE_BYTES.value} bytes;"
            " put a backup in its place"
        )


def _longest_line(journal: Path) -> int:
    longest = current = 0
    with journal.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            first, *others = piece.split(b"\n")
            current += len(first)
            for line in others:
                longest, current = max(longest, current), len(line)
    return max(longest, current)


def cut_torn_line(journal: Path, before_write: Callable[[], None] | None = None) -> None:
    """Take away a last line that a crash or a full disk cut short: its record was never acknowledged.

    Left there, the next record would be appended to it and make the journal unreadable. What looks like it may be a
    line that another process is just writing: it is looked at again under the lock.

    Args:
        journal: The journal.
        before_write: Called under the lock, before anything is written; raises StudyError to write nothing.
    """
    if _whole_size(journal) is None:
        return
    with locked(journal):
        whole = _whole_size(journal)
        if whole is not None:
            if before_write is not None:
                before_write()
            os.truncate(journal, whole)


def _whole_size(journal: Path) -> int | None:
    """Return the size of a journal without its last line, if that is torn; else None."""
    try:
        with journal.open("rb") as file:
            size = start = file.seek(0, os.SEEK_END)
            if size == 0:
                return None
            file.seek(-1, os.SEEK_END)
            if file.read(1) == b"\n":
                return None
            while start > 0:
                start, end = max(0, start - _PIECE_BYTES), start
                file.seek(start)
                at = file.read(end - start).rfind(b"\n")
                if at >= 0:
                    return start + at + 1
            return 0
    except FileNotFoundError:
        return None
