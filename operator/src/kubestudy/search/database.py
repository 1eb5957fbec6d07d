"""A relational database that keeps many searches: opened with a bounded pool, and told from every other database.

Importing this imports SQLAlchemy, which takes a fifth of a second: journals do without.
"""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from sqlalchemy import Engine

from kubestudy.search.database_engine import open_database
from kubestudy.search.passwords import masked
from kubestudy.search.records import Kept, NoRecordError, PassedOver, Record, check_own, noted, record_in
from kubestudy.search.storage import JournalLines, storage_errors

_AT_ONCE = 20
_ATTR_OBJECT = "kubestudy:object"
_TABLE = sqlalchemy.Table(
    "kubestudy_identity",
    sqlalchemy.MetaData(),
    # One row, whose key is always the same: of several who write it at once, one does.
    sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True, autoincrement=False),
    sqlalchemy.Column("identity", sqlalchemy.String(36), nullable=False),
)


class Database:
    """Keeps all searches in one database, over one pool of connections.

    Args:
        url: The database.
        before_write: Called directly before a transaction is committed; raises StudyError to prevent it.
    """

    def __init__(self, url: str, before_write: Callable[[], None] | None = None) -> None:
        self._url = url
        self._before_write = before_write
        self._lock = threading.Lock()
        self._opened: RDBStorage | None = None
        self._passed_over = PassedOver()

    @property
    def _storage(self) -> RDBStorage:
        with self._lock:  # several studies are opened at once
            if self._opened is None:
                self._opened = open_database(self._url, self._before_write)
            return self._opened

    def identity(self) -> str:
        """Return the database's uuid, made first if need be."""
        return identity_of_database(self._storage.engine)

    def journal(self, record: Record) -> None:
        """Return nothing: a database has no journals."""

    def open(self, record: Record) -> BaseStorage:
        """Open a search's storage, which is that of all."""
        return self._storage

    def note(self, record: Record) -> None:
        """Keep which object a search belongs to."""
        study = optuna.load_study(study_name=record.study_name, storage=self._storage)
        before = study.user_attrs.get(_ATTR_OBJECT)
        data = noted(record, before)
        if data != before:
            study.set_user_attr(_ATTR_OBJECT, data)

    def records(self) -> Iterator[Record]:
        """Go through what is kept; what is no record is passed over."""
        for study in self._storage.get_all_studies():
            if _ATTR_OBJECT not in study.user_attrs:
                continue
            try:
                record = record_in(study.user_attrs[_ATTR_OBJECT])
                if record.study_name != study.study_name:
                    raise NoRecordError(f"it says that it is {record.study_name}'s")
            except NoRecordError as error:
                self._passed_over.say(f"{_ATTR_OBJECT} of the study {study.study_name}", error)
            else:
                yield record

    def measured(self, record: Record) -> Kept:
        """Return a search; how much there is of it is not known."""
        return Kept(record)

    def export(self, record: Record) -> Iterator[bytes] | None:
        """Return a search as a journal, in pieces; None if there is none."""
        try:
            study = optuna.load_study(study_name=record.study_name, storage=self._storage)
        except KeyError:
            return None
        return _as_journal(study, self._storage, masked(self._url))

    def delete(self, record: Record) -> None:
        """Delete a search."""
        try:
            study = optuna.load_study(study_name=record.study_name, storage=self._storage)
        except KeyError:
            return
        with contextlib.suppress(NoRecordError):
            check_own(record, record_in(study.user_attrs.get(_ATTR_OBJECT)))
        with contextlib.suppress(KeyError):  # another one was quicker
            optuna.delete_study(study_name=record.study_name, storage=self._storage)


def _as_journal(study: optuna.Study, storage: BaseStorage, where: str) -> Iterator[bytes]:
    """Write a study as a journal, a trial at a time: of the journal itself only a few are ever in memory."""
    with storage_errors(where):
        head = JournalLines()
        copy = JournalStorage(head)
        made = copy.create_new_study(study.directions, study.study_name)
        attributes = storage.get_study_system_attrs(storage.get_study_id_from_name(study.study_name))
        for key, value in attributes.items():
            copy.set_study_system_attr(made, key, value)
        for key, value in study.user_attrs.items():
            copy.set_study_user_attr(made, key, value)
        begin = b"".join(_written(head, 0))
        yield begin
        trials = study.get_trials(deepcopy=False)
        for first in range(0, len(trials), _AT_ONCE):
            part = JournalLines(begin)
            copy, written = JournalStorage(part), begin.count(b"\n")
            for trial in trials[first : first + _AT_ONCE]:
                copy.create_new_trial(made, trial)
            yield from _written(part, written)


def _written(lines: JournalLines, since: int) -> Iterator[bytes]:
    return (json.dumps(line).encode() + b"\n" for line in lines.read_logs(since))


def identity_of_database(engine: Engine) -> str:
    """Return a database's identity, made first if need be.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The database cannot be used.
    """
    # Two who make the table at once: for one of them it is there already, which it is told as an error.
    try:
        _TABLE.create(engine, checkfirst=True)
    except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError, sqlalchemy.exc.OperationalError):
        if not sqlalchemy.inspect(engine).has_table(_TABLE.name):
            raise
    wanted = sqlalchemy.select(_TABLE.c.identity).where(_TABLE.c.id == 1)
    with engine.connect() as connection:
        found = connection.execute(wanted).scalar()
    if found is None:
        try:
            with engine.begin() as connection:
                connection.execute(_TABLE.insert().values(id=1, identity=str(uuid.uuid4())))
        except sqlalchemy.exc.IntegrityError:
            pass  # another one was quicker
        with engine.connect() as connection:
            found = connection.execute(wanted).scalar_one()
    return str(found)
