"""Optuna's storage: the journal file by default, a relational database by URL. Any trouble becomes a StudyError."""

from __future__ import annotations

import contextlib
import errno
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import BaseJournalBackend

from kubestudy.search.batched_journal import BatchedJournal, BatchedJournalStorage
from kubestudy.search.journal_file import check_size, cut_torn_line
from kubestudy.search.journal_lock import JournalLock
from kubestudy.search.optuna_internals import raised_in_storage
from kubestudy.search.passwords import first_line, masked, one_word
from kubestudy.search.sound import DamagedRecordError
from kubestudy.study.ports import StudyError


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
        raise StudyError(f"the storage {where} does not answer: {first_line(cause)}") from error
    except _database_errors() as error:
        raise StudyError(f"the storage {where} does not answer: {first_line(error)}") from error
    except DamagedRecordError as error:
        raise StudyError(f"the storage {where} is damaged: {error}; put a backup in its place") from error
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError, RuntimeError) as error:
        if not raised_in_storage(error):
            raise
        what = f"{type(error).__name__}: {first_line(error)}"
        raise StudyError(f"the storage {where} is damaged, or is no storage of Optuna's ({what})") from error


def _database_errors() -> tuple[type[BaseException], ...]:
    """Return what SQLAlchemy raises; nothing where it was never imported, since only databases need it."""
    found = sys.modules.get("sqlalchemy.exc")
    return () if found is None else (found.SQLAlchemyError,)


def _remedy(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full; free some space and run the same command again"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"it is not writable ({error.strerror}); choose another folder with --dir"
    return error.strerror or str(error)


def place_in(text: str) -> Path | str:
    """Return a storage as people write it: a database URL, anything else as a path."""
    return one_word(text) if "://" in text else Path(text)


def open_storage(
    place: str | Path, *, sole_writer: bool = False, before_write: Callable[[], None] | None = None
) -> BaseStorage:
    """Open a storage, made first if need be.

    Args:
        place: The journal's file, or a database URL such as `postgresql+psycopg://user:password@host/name`.
        sole_writer: Whether nobody else writes to it, so that a journal may be repaired.
        before_write: Called directly before anything is written, under the lock; raises StudyError to prevent it.

    Raises:
        StudyError: It cannot be opened.
    """
    if isinstance(place, Path):
        with storage_errors(str(place)):
            place.parent.mkdir(parents=True, exist_ok=True)
            check_size(place)
            if sole_writer:
                cut_torn_line(place, before_write)
            # Absolute: the lock is a link to the file, and Optuna looks at the link's target.
            path = place.resolve()
            return BatchedJournalStorage(BatchedJournal(str(path), JournalLock(path, before_write=before_write)))
    # A fifth of a second that journals do not need.
    from kubestudy.search.database_engine import open_database  # noqa: PLC0415

    place = one_word(place)
    with storage_errors(masked(place)):
        return open_database(place, before_write)


class JournalLines(BaseJournalBackend):
    """A journal in memory.

    Args:
        data: A journal's file to begin with; a last line that is not whole is left out.
    """

    def __init__(self, data: bytes = b"") -> None:
        self._logs: list[dict[str, Any]] = [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Return the records from a number on."""
        return iter(self._logs[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add records."""
        self._logs += logs


def storage_of(journal: bytes, where: str) -> BaseStorage:
    """Open a copy of a journal, in memory.

    Args:
        journal: The journal.
        where: What errors call it.

    Raises:
        StudyError: It is none.
    """
    try:
        return JournalStorage(JournalLines(journal))
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError, RuntimeError) as error:
        raise StudyError(f"the history {where} is no journal of Optuna's") from error
