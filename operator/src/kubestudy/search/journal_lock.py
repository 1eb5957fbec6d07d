"""The lock of a journal: Optuna's link beside the file, waited for with an end.

Optuna's own waits for as long as the lock is there, without a pause where it leads to no file (a folder that was moved
with a lock in it), and fails on release where another one took it away.

Source: optuna.storages.journal.JournalFileSymlinkLock.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from optuna.storages.journal import JournalFileSymlinkLock

from kubestudy.study.ports import StudyError

log = logging.getLogger(__name__)

# A writer that was killed leaves its lock behind; nobody holds it for anywhere near as long.
GRACE_SECONDS = 5
WAIT_SECONDS = 30.0
_LONGEST_PAUSE = 0.25

_Seen = tuple[int, int]


class JournalLock(JournalFileSymlinkLock):
    """Keeps several processes from writing a journal at once. It is Optuna's lock, and keeps Optuna's own writers out.

    A lock that stays the same for `GRACE_SECONDS` belongs to nobody any more, and is taken away.

    Args:
        journal: The journal's file, absolute.
        wait: How long to wait for the lock, in seconds.
        before_write: Called once the lock is held; raises StudyError to give it back and write nothing.
    """

    def __init__(
        self, journal: Path, wait: float = WAIT_SECONDS, before_write: Callable[[], None] | None = None
    ) -> None:
        super().__init__(str(journal), grace_period=None)  # which only its own way of waiting needs
        self._before_write = before_write
        self._journal = journal
        self._link = Path(f"{journal}.lock")
        self._wait = wait
        self._mine: _Seen | None = None

    def acquire(self) -> bool:
        """Take the lock.

        Raises:
            StudyError: Others hold it for too long, or nothing may be written.
            OSError: There can be no lock here.
        """
        self._wait_for_it()
        if self._before_write is not None:
            try:
                self._before_write()
            except BaseException:
                self.release()
                raise
        return True

    def _wait_for_it(self) -> None:
        begun = time.monotonic()
        seen, since, pause = None, begun, 0.001
        while not self._made():
            there, now = self._there(), time.monotonic()
            if there is not None and there != seen:
                seen, since = there, now
            elif there is not None and now - since > GRACE_SECONDS:
                log.warning("the lock %s was left behind by a process that is gone: it is taken away", self._link)
                self._take_away()
                seen = None
                continue
            if now - begun > self._wait:
                raise StudyError(
                    f"the storage {self._journal} is being written by another process for {self._wait:.0f} s:"
                    f" end that one; if there is none, delete {self._link}"
                )
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def release(self) -> None:
        """Give the lock back. If it was taken away meanwhile, that is said, and another one's is left alone."""
        mine, self._mine = self._mine, None
        if mine is None or self._there() != mine:
            log.warning("the lock %s was taken away while it was held: is this machine, or its disk, slow?", self._link)
            return
        self._link.unlink(missing_ok=True)

    def _made(self) -> bool:
        try:
            self._link.symlink_to(self._journal)
        except FileExistsError:
            return False
        self._mine = self._there()
        return True

    def _there(self) -> _Seen | None:
        """Return what tells one lock from another. The link itself is looked at, wherever it leads."""
        try:
            known = os.lstat(self._link)
        except FileNotFoundError:
            return None
        return known.st_ino, known.st_mtime_ns

    def _take_away(self) -> None:
        if self._link.is_dir() and not self._link.is_symlink():
            raise StudyError(f"{self._link} is no lock but a folder: move it away")
        aside = Path(f"{self._link}{uuid.uuid4()}.rename")
        try:
            self._link.rename(aside)
            aside.unlink()
        except FileNotFoundError:
            return  # another one was quicker
        except OSError as error:
            raise StudyError(
                f"{self._link} is no lock, and cannot be taken away ({error.strerror}): move it"
            ) from error


@contextlib.contextmanager
def locked(journal: Path, wait: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold a journal's lock.

    Args:
        journal: The journal's file.
        wait: How long to wait for it, in seconds.

    Raises:
        StudyError: Others hold it for too long.
        OSError: There can be no lock here.
    """
    lock = JournalLock(journal.resolve(), wait)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()
