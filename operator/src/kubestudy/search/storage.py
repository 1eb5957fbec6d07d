"""Optuna's storage: the journal file by default, a relational database by URL. Any trouble becomes a StudyError."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from kubestudy.study.ports import StudyError

# A writer that was killed leaves its lock behind; nobody holds it for anywhere near as long.
_LOCK_GRACE_SECONDS = 5
_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s]*@")


def masked(text: str) -> str:
    """Return a text with the password of any storage URL in it replaced by `***`."""
    return _PASSWORD.sub(r"\1***@", text)


def has_password(url: str) -> bool:
    """Tell whether a storage URL holds a password."""
    return _PASSWORD.search(url) is not None


@contextlib.contextmanager
def storage_errors(where: str) -> Iterator[None]:
    """Turn whatever a storage raises into a StudyError that names the storage and the remedy.

    Args:
        where: The file or the (masked) URL.
    """
    try:
        yield
    except StudyError:
        raise
    except OSError as error:
        raise StudyError(f"the storage {where} cannot be used: {_remedy(error)}") from error
    except optuna.exceptions.StorageInternalError as error:
        cause = error.__cause__ or error
        first = masked(str(cause)).strip().splitlines()[0]
        raise StudyError(f"the storage {where} does not answer: {first}") from error


def _remedy(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full; free some space and run the same command again"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"it is not writable ({error.strerror}); choose another folder with --dir"
    return error.strerror or str(error)


def open_storage(place: str | Path, *, sole_writer: bool = False) -> BaseStorage:
    """Open a storage, made first if need be.

    Args:
        place: The journal's file, or a database URL such as `postgresql+psycopg://user:password@host/name`.
        sole_writer: Whether nobody else writes to it, so that a journal may be repaired.

    Raises:
        StudyError: It cannot be opened.
    """
    if isinstance(place, Path):
        with storage_errors(str(place)):
            place.parent.mkdir(parents=True, exist_ok=True)
            if sole_writer:
                _cut_torn_line(place)
            lock = JournalFileSymlinkLock(str(place), grace_period=_LOCK_GRACE_SECONDS)
            return JournalStorage(JournalFileBackend(str(place), lock_obj=lock))
    with storage_errors(masked(place)):
        try:
            return RDBStorage(place)
        except ImportError as error:
            raise StudyError(
                f"the storage {masked(place)} needs a database driver that is not installed ({error.name}):"
                " install it beside kubestudy, for instance psycopg[binary] for PostgreSQL"
            ) from error
        except Exception as error:
            if type(error).__module__.startswith("sqlalchemy"):
                first = masked(str(error)).strip().splitlines()[0]
                raise StudyError(f"the storage {masked(place)} cannot be opened: {first}") from error
            raise


def _cut_torn_line(journal: Path) -> None:
    """Take away a last line that a crash or a full disk cut short: its record was never acknowledged.

    Left there, the next record would be appended to it and make the journal unreadable. The caller is the only writer.
    """
    try:
        with journal.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                return
            file.seek(-1, os.SEEK_END)
            if file.read(1) == b"\n":
                return
            start, kept = size, 0
            while start > 0 and not kept:
                start = max(0, start - 65536)
                file.seek(start)
                at = file.read(min(65536, size - start)).rfind(b"\n")
                kept = start + at + 1 if at >= 0 else 0
            file.truncate(kept)
    except FileNotFoundError:
        return
