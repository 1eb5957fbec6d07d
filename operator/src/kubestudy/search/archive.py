"""Where an operator keeps the searches of all its studies: a journal each in one folder, or one database.

A small record beside each journal (or in the database, an attribute of the Optuna study) says which object it belongs
to, so that the history of a study that was deleted while nobody watched is found again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage

from kubestudy.api.study import StudySpec
from kubestudy.search.search import OptunaSearch
from kubestudy.search.storage import JournalLines, masked, open_storage, storage_errors

_ATTR_OBJECT = "kubestudy:object"
_PIECE_BYTES = 2**18


@dataclass(frozen=True, slots=True)
class Record:
    """Which object a search belongs to.

    Attributes:
        namespace: The study's namespace.
        name: Its name.
        uid: Its uid.
        history: Retain or Delete: what is to become of it once the study is deleted.
    """

    namespace: str
    name: str
    uid: str
    history: str

    @property
    def study_name(self) -> str:
        """What Optuna knows the study by: readable, and never twice the same."""
        return f"{self.namespace}/{self.name}/{self.uid}"


@dataclass(frozen=True, slots=True)
class Kept:
    """A search that is kept, and how much there is of it.

    Attributes:
        record: Which object it belongs to.
        size: Bytes of its journal; None in a database.
        written: Unix time of the journal's last write; None in a database.
    """

    record: Record
    size: int | None = None
    written: float | None = None


class Archive:
    """All searches of an operator.

    Args:
        place: The folder of the journals, or a database URL.
        observer: Told of each ask and tell of any study, and the seconds it took.
    """

    def __init__(self, place: Path | str, observer: Callable[[str, float], None] | None = None) -> None:
        self._place = place
        self._observer = observer
        self._database: BaseStorage | None = None

    @property
    def where(self) -> str:
        """What messages call it; never with its password."""
        return masked(str(self._place))

    def open(self, record: Record, spec: StudySpec) -> OptunaSearch:
        """Open a study's search, made first if need be.

        Raises:
            StudyError: The storage cannot be used.
        """
        journal = self._journal(record)
        storage = self._shared() if journal is None else open_storage(journal, sole_writer=True)
        search = OptunaSearch(spec, storage, record.study_name, self.where, self._observer)
        self.note(record)
        return search

    def records(self) -> list[Record]:
        """Return what is kept.

        Raises:
            StudyError: The storage cannot be used.
        """
        with storage_errors(self.where):
            return list(self._records())

    def kept(self) -> list[Kept]:
        """Return what is kept and how much of it, by namespace and name.

        Raises:
            StudyError: The storage cannot be used.
        """
        with storage_errors(self.where):
            found = [self._measured(record) for record in self._records()]
        return sorted(found, key=lambda kept: (kept.record.namespace, kept.record.name, kept.record.uid))

    def _measured(self, record: Record) -> Kept:
        journal = self._journal(record)
        if journal is None or not journal.is_file():
            return Kept(record)
        known = journal.stat()
        return Kept(record, known.st_size, known.st_mtime)

    def export(self, namespace: str, name: str, uid: str) -> Iterator[bytes] | None:
        """Return a study's history as an Optuna journal, in pieces; None if there is none.

        Raises:
            StudyError: The storage cannot be used; also while the pieces are taken.
        """
        record = Record(namespace, name, uid, "")
        with storage_errors(self.where):
            journal = self._journal(record)
            if journal is not None:
                return _read(journal, self.where) if journal.is_file() else None
            lines = JournalLines()
            try:
                optuna.copy_study(
                    from_study_name=record.study_name,
                    from_storage=self._shared(),
                    to_storage=JournalStorage(lines),
                )
            except KeyError:
                return None
            return (json.dumps(line).encode() + b"\n" for line in lines.read_logs(0))

    def delete(self, record: Record) -> None:
        """Delete a study's history.

        Raises:
            StudyError: The storage cannot be used.
        """
        with storage_errors(self.where):
            journal = self._journal(record)
            if journal is not None:
                journal.unlink(missing_ok=True)
                self._beside(journal).unlink(missing_ok=True)
                return
            try:
                optuna.delete_study(study_name=record.study_name, storage=self._shared())
            except KeyError:
                return

    def _shared(self) -> BaseStorage:
        """Return the database, with one pool of connections for all studies."""
        if self._database is None:
            self._database = open_storage(str(self._place))
        return self._database

    def _journal(self, record: Record) -> Path | None:
        if not isinstance(self._place, Path):
            return None
        return self._place / record.namespace / f"{record.name}.{record.uid}.log"

    @staticmethod
    def _beside(journal: Path) -> Path:
        return journal.with_suffix(".json")

    def note(self, record: Record) -> None:
        """Keep which object a search belongs to, and what is to become of it.

        Raises:
            StudyError: The storage cannot be used.
        """
        with storage_errors(self.where):
            journal = self._journal(record)
            if journal is not None:
                draft = journal.with_suffix(".new")
                draft.write_text(json.dumps(asdict(record)))
                draft.replace(self._beside(journal))
                return
            study = optuna.load_study(study_name=record.study_name, storage=self._shared())
            if study.user_attrs.get(_ATTR_OBJECT) != asdict(record):
                study.set_user_attr(_ATTR_OBJECT, asdict(record))

    def _records(self) -> Iterator[Record]:
        if isinstance(self._place, Path):
            for path in self._place.glob("*/*.json"):
                yield Record(**json.loads(path.read_text()))
            return
        for summary in optuna.get_all_study_summaries(storage=self._shared()):
            kept = summary.user_attrs.get(_ATTR_OBJECT)
            if kept is not None:
                yield Record(**kept)


def _read(journal: Path, where: str) -> Iterator[bytes]:
    """Read a journal, as far as it was written when reading began."""
    with storage_errors(where), journal.open("rb") as file:
        left = journal.stat().st_size
        while left > 0 and (piece := file.read(min(_PIECE_BYTES, left))):
            left -= len(piece)
            yield piece
