"""Optuna's journal file, whose records can be gathered and written in one go.

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

from optuna.storages.journal import JournalFileBackend


class BatchedJournal(JournalFileBackend):
    """A journal file; only its sole writer may gather."""

    _written = 0
    _held: list[dict[str, Any]] | None = None

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
    def gathered(self) -> Iterator[None]:
        """Hold records back, and write them together at the end.

        Where somebody else has written what was not read yet, each record is written by itself, as ever.
        """
        if self._log_number_offset.get(self._written) != Path(self._file_path).stat().st_size:
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
        offset = self._log_number_offset[self._written]
        self._written += len(records)
        size = sum(len(json.dumps(record, separators=(",", ":")).encode()) + 1 for record in records)
        if offset + size == Path(self._file_path).stat().st_size:  # else somebody came in between
            self._log_number_offset[self._written] = offset + size
