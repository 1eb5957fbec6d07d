"""Where an operator keeps the searches of all its studies: a journal each in one folder, or one database.

A small record beside each journal (or in the database, an attribute of the Optuna study) says which object it belongs
to, so that the history of a study that was deleted while nobody watched is found again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from optuna.storages import BaseStorage

from kubestudy.api.study import StudySpec
from kubestudy.search.journal_folder import JournalFolder
from kubestudy.search.passwords import masked, one_word
from kubestudy.search.records import Kept, Record
from kubestudy.search.search import OptunaSearch
from kubestudy.search.storage import storage_errors

__all__ = ["Archive", "Kept", "Record"]


class _Place(Protocol):
    """A folder of journals, or a database. Whatever it raises, `storage_errors` turns into a sentence."""

    def identity(self) -> str: ...
    def journal(self, record: Record) -> Path | None: ...
    def open(self, record: Record) -> BaseStorage: ...
    def note(self, record: Record) -> None: ...
    def records(self) -> Iterator[Record]: ...
    def measured(self, record: Record) -> Kept: ...
    def export(self, record: Record) -> Iterator[bytes] | None: ...
    def delete(self, record: Record) -> None: ...


class Archive:
    """All searches of an operator.

    Args:
        place: The folder of the journals, or a database URL.
        observer: Told of each ask and tell of any study, and the seconds it took.
        before_write: Called directly before anything is written; raises StudyError to prevent it.
    """

    def __init__(
        self,
        place: Path | str,
        observer: Callable[[str, float], None] | None = None,
        before_write: Callable[[], None] | None = None,
    ) -> None:
        place = place if isinstance(place, Path) else one_word(place)
        self._place = _place_at(place, before_write)
        self._before_write = before_write
        self._observer = observer
        self.where = masked(str(place))
        """What messages call it; never with its password."""

    def identity(self) -> str:
        """Return the uuid of the storage. It is made at the first use and kept there, the same for all that share it.

        Raises:
            StudyError: The storage cannot be used.
        """
        with storage_errors(self.where):
            return self._place.identity()

    def open(self, record: Record, spec: StudySpec) -> OptunaSearch:
        """Open a study's search, made first if need be.

        Raises:
            StudyError: The storage cannot be used.
        """
        with storage_errors(self.where):
            storage = self._place.open(record)
        search = OptunaSearch(spec, storage, record.study_name, self.where, self._observer)
        self.note(record)
        return search

    def note(self, record: Record) -> None:
        """Keep which object a search belongs to, and what is to become of it.

        Fields of the record that are empty leave what is kept as it is.

        Raises:
            StudyError: The storage cannot be used.
        """
        self._look()
        with storage_errors(self.where):
            self._place.note(record)

    def records(self) -> list[Record]:
        """Return what is kept. What stands in a record's place and is none is passed over, and said once.

        Raises:
            StudyError: The storage cannot be used.
        """
        with storage_errors(self.where):
            return list(self._place.records())

    def kept(self) -> list[Kept]:
        """Return what is kept and how much of it, by namespace and name.

        Raises:
            StudyError: The storage cannot be used.
        """
        with storage_errors(self.where):
            found = [self._place.measured(record) for record in self._place.records()]
        return sorted(found, key=lambda kept: (kept.record.namespace, kept.record.name, kept.record.uid))

    def journal(self, record: Record) -> Path | None:
        """Return the file of a study's journal, whether it is there or not; None in a database.

        Raises:
            StudyError: The storage cannot be used.
        """
        with storage_errors(self.where):
            return self._place.journal(record)

    def export(self, namespace: str, name: str, uid: str) -> Iterator[bytes] | None:
        """Return a study's history as an Optuna journal, in pieces; None if there is none.

        Raises:
            StudyError: The storage cannot be used; also while the pieces are taken.
        """
        with storage_errors(self.where):
            return self._place.export(Record(namespace, name, uid, ""))

    def delete(self, record: Record) -> None:
        """Delete a study's history.

        Args:
            record: Whose; where it names a cluster, the history of another cluster's study stays.

        Raises:
            StudyError: The storage cannot be used, or the history is another cluster's.
        """
        self._look()
        with storage_errors(self.where):
            self._place.delete(record)

    def _look(self) -> None:
        if self._before_write is not None:
            self._before_write()


def _place_at(place: Path | str, before_write: Callable[[], None] | None) -> _Place:
    if isinstance(place, Path):
        return JournalFolder(place, before_write)
    from kubestudy.search.database import Database  # noqa: PLC0415  (a fifth of a second that journals do not need)

    return Database(place, before_write)
