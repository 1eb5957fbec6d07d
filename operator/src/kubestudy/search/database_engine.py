"""How a relational database is opened: a bounded pool, time limits, and several operators that make the tables at once.

Importing this imports SQLAlchemy, which takes a fifth of a second: journals do without.

Source: SQLAlchemy's engine configuration; libpq's connection parameters.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage

from kubestudy.api.limits import DATABASE_CONNECTIONS
from kubestudy.planning.backoff import Backoff
from kubestudy.search.passwords import first_line, masked
from kubestudy.study.ports import StudyError

log = logging.getLogger(__name__)

# How long to wait for a connection of the pool.
_POOL_SECONDS = 30
# A server that takes no connection, and one that went away without a word, are given up after these.
_LIBPQ = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
_LIBPQ_DRIVERS = ("psycopg", "psycopg2")
_ATTEMPTS = 8
_WRITES = frozenset({"INSERT", "UPDATE", "DELETE"})
_WROTE = "kubestudy: wrote"
_BACKOFF = Backoff(first=0.05, limit=1.0)


def open_database(url: str, before_write: Callable[[], None] | None = None) -> RDBStorage:
    """Open a database, its tables made first if need be.

    Args:
        url: The database, such as `postgresql+psycopg://user:password@host/name`.
        before_write: Called directly before a transaction is committed; raises StudyError to prevent it.

    Raises:
        StudyError: It cannot be opened.
    """
    failures = 0
    while True:
        try:
            storage = RDBStorage(url, engine_kwargs=engine_options(url))
        except ImportError as error:
            raise StudyError(
                f"the storage {masked(url)} needs a database driver that is not installed ({error.name or error}):"
                " install it beside kubestudy, for instance psycopg[binary] for PostgreSQL"
            ) from error
        except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, ValueError) as error:
            failures += 1
            if failures == _ATTEMPTS or not _made_meanwhile(error):
                said = first_line(error.__cause__ or error)
                raise StudyError(f"the storage {masked(url)} cannot be opened: {said}") from error
            log.info("another operator makes the tables of the storage %s at the same time: once more", masked(url))
            time.sleep(_BACKOFF.after(failures))
        else:
            if before_write is not None:
                _ask_before_writes(storage.engine, before_write)
            return storage


def _ask_before_writes(engine: sqlalchemy.Engine, before_write: Callable[[], None]) -> None:
    """Have something called directly before a transaction that wrote is committed; those that read need not ask."""

    @sqlalchemy.event.listens_for(engine, "before_cursor_execute")
    def note(connection: sqlalchemy.Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip()[:6].upper() in _WRITES:
            connection.info[_WROTE] = True

    @sqlalchemy.event.listens_for(engine, "commit")
    def look(connection: sqlalchemy.Connection) -> None:
        if connection.info.pop(_WROTE, False):
            before_write()

    @sqlalchemy.event.listens_for(engine, "rollback")
    def forget(connection: sqlalchemy.Connection) -> None:
        connection.info.pop(_WROTE, None)


def engine_options(url: str) -> dict[str, Any]:
    """Return how SQLAlchemy is to connect to a database. What its URL says itself stays as it is.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: It is no URL.
    """
    parsed = sqlalchemy.make_url(url)
    backend, _, driver = parsed.drivername.partition("+")
    if backend == "sqlite":  # a file: its connections cost nothing, and its pools take other options
        return {}
    options: dict[str, Any] = {
        "pool_size": DATABASE_CONNECTIONS.value,
        "max_overflow": 0,
        "pool_timeout": _POOL_SECONDS,
        # A connection that was cut while nobody used it is made anew, in silence.
        "pool_pre_ping": True,
    }
    if backend == "postgresql" and (driver or "psycopg2") in _LIBPQ_DRIVERS:
        options["connect_args"] = {name: value for name, value in _LIBPQ.items() if name not in parsed.query}
    return options


def _made_meanwhile(error: BaseException) -> bool:
    """Tell whether a table, or a row of it, could not be made since another operator just made it."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__
    return any(isinstance(c, sqlalchemy.exc.IntegrityError) or "already exists" in str(c) for c in causes)
