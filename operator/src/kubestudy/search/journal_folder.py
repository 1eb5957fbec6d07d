"""A folder that keeps many searches: a journal each, and a small record beside it.

Journals are `NAMESPACE/UID.log`, their records `NAMESPACE/UID.json`: a study's name may be longer than a file's. Up to
0.1.0 they were `NAMESPACE/NAME.UID.log`, and those are gone on with as they are.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from optuna.storages import BaseStorage

from kubestudy.api.limits import RECORD_BYTES
from kubestudy.search.identity import identity_of_folder
from kubestudy.search.records import (
    Kept,
    NoRecordError,
    PassedOver,
    Record,
    check_own,
    is_a_part,
    noted,
    record_in_text,
)
from kubestudy.search.small_files import read_small, sync_folder, write_small
from kubestudy.search.storage import open_storage, storage_errors
from kubestudy.study.ports import StudyError

_PIECE_BYTES = 2**18
_NAME_BYTES = 255


class JournalFolder:
    """Keeps each search in a journal of its own.

    Args:
        folder: The folder.
        before_write: Called directly before a record is written to a journal; raises StudyError to prevent it.
    """

    def __init__(self, folder: Path, before_write: Callable[[], None] | None = None) -> None:
        self._folder = folder
        self._before_write = before_write
        self._passed_over = PassedOver()

    def identity(self) -> str:
        """Return the folder's uuid, made first if need be."""
        return identity_of_folder(self._folder)

    def journal(self, record: Record) -> Path:
        """Return the journal of a search, whether it is there or not.

        Raises:
            StudyError: The record's names cannot be a study's.
        """
        if not all(map(is_a_part, (record.namespace, record.name, record.uid))):
            raise StudyError(f"{record.study_name!r} names no study")
        folder = self._folder / record.namespace
        new, old = folder / f"{record.uid}.log", f"{record.name}.{record.uid}.log"
        if len(old) <= _NAME_BYTES and not new.exists() and (folder / old).exists():
            return folder / old
        return new

    def open(self, record: Record) -> BaseStorage:
        """Open a search's journal, made first if need be."""
        return open_storage(self.journal(record), sole_writer=True, before_write=self._before_write)

    def note(self, record: Record) -> None:
        """Keep which object a search belongs to."""
        path = _beside(self.journal(record))
        try:
            before = json.loads(read_small(path, RECORD_BYTES.value))
        except (FileNotFoundError, NoRecordError, ValueError, RecursionError):
            before = None
        data = noted(record, before)
        if data != before:
            write_small(path, json.dumps(data).encode())

    def records(self) -> Iterator[Record]:
        """Go through what is kept; what is no record is passed over."""
        for path in sorted(self._folder.glob("*/*.json")):
            try:
                record = record_in_text(read_small(path, RECORD_BYTES.value))
                if _beside(self.journal(record)) != path:
                    raise NoRecordError(f"it says that it is {record.study_name}'s")
            except FileNotFoundError:
                continue  # deleted meanwhile
            except (NoRecordError, OSError) as error:
                self._passed_over.say(str(path), error)
            else:
                yield record

    def measured(self, record: Record) -> Kept:
        """Return how much there is of a search."""
        try:
            known = self.journal(record).stat()
        except FileNotFoundError:
            return Kept(record)
        return Kept(record, known.st_size, known.st_mtime)

    def export(self, record: Record) -> Iterator[bytes] | None:
        """Return a search's journal in pieces; None if there is none."""
        journal = self.journal(record)
        return _read(journal, str(self._folder)) if journal.is_file() else None

    def delete(self, record: Record) -> None:
        """Delete a search."""
        journal = self.journal(record)
        beside = _beside(journal)
        with contextlib.suppress(FileNotFoundError, NoRecordError):
            check_own(record, record_in_text(read_small(beside, RECORD_BYTES.value)))
        journal.unlink(missing_ok=True)
        beside.unlink(missing_ok=True)
        if journal.parent.is_dir():
            sync_folder(journal.parent)


def _beside(journal: Path) -> Path:
    return journal.with_suffix(".json")


def _read(journal: Path, where: str) -> Iterator[bytes]:
    """Read a journal, as far as it was written when reading began."""
    with storage_errors(where), journal.open("rb") as file:
        left = journal.stat().st_size
        while left > 0 and (piece := file.read(min(_PIECE_BYTES, left))):
            left -= len(piece)
            yield piece
