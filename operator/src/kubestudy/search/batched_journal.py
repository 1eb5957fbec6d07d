"""Optuna's journal file, whose records can be held back and written in one go.

One record is one locked, synchronised write. A reading of a thousand trials makes a thousand records, none of which is
lost for good if a crash comes before they are written: a trial's result brings its curve again.

Source: optuna.storages.journal.JournalFileBackend.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from kubestudy.search.optuna_internals import JournalOffsets


class BatchedJournal(JournalFileBackend):
    """A journal file; only its sole writer may write in batches.

    Args:
        path: The file.
        lock: What keeps several processes apart; Optuna's own if left out.
    """

    def __init__(self, path: str, lock: JournalFileSymlinkLock | None = None) -> None:
        super().__init__(path, lock)
        self._path = Path(path)
        self._offsets = JournalOffsets(self)
        self._written = 0
        self._held: list[dict[str, Any]] | None = None

    # Optuna's own returns a Generator; its storage, like the interface it implements, only goes through it.
    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """Return the records from a number on: those of the file, then those that are held back."""
        if self._held is not None:
            yield from self._held[log_number_from - self._written :]
            return
        number = log_number_from
        for record in super().read_logs(log_number_from):
            number += 1
            yield record
        self._written = max(self._written, number)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add records: to the file, or to those that are held back."""
        if self._held is not None:
            self._held += logs
        else:
            super().append_logs(logs)

    @contextlib.contextmanager
    def batched(self) -> Iterator[None]:
        """Hold records back, and write them in one go at the end.

        Where somebody else has written what was not read yet, each record is written by itself, as ever.
        """
        if self._held is not None or self._offsets.get(self._written) != self._path.stat().st_size:
            yield
            return
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            if held:
                super().append_logs(held)
                self._place(held)

    def _place(self, records: list[dict[str, Any]]) -> None:
        """Note where the next record begins, which saves reading the file from its start."""
        offset = self._offsets.get(self._written)
        self._written += len(records)
        size = sum(len(json.dumps(record, separators=(",", ":")).encode()) + 1 for record in records)
        if offset is not None and offset + size == self._path.stat().st_size:  # else somebody came in between
            self._offsets.set(self._written, offset + size)


class BatchedJournalStorage(JournalStorage):
    """Optuna's storage over a journal that can be written in batches.

    Args:
        journal: The journal.
    """

    def __init__(self, journal: BatchedJournal) -> None:
        super().__init__(journal)
        self.journal = journal


@contextlib.contextmanager
def batched_writes(storage: BaseStorage) -> Iterator[None]:
    """Write what is recorded meanwhile in one go, where the storage is a journal of our own."""
    if isinstance(storage, BatchedJournalStorage):
        with storage.journal.batched():
            yield
    else:
        yield
