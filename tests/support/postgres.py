"""A real PostgreSQL server on loopback, from Debian's package, run by somebody who is not root."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from psycopg import sql

_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin")
# Root may not run the server: one of these does.
_USERS = ("postgres", "nobody")
_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 60
shared_buffers = 32MB
dynamic_shared_memory_type = posix
log_min_messages = fatal
"""


def find_postgres() -> Path:
    """Return the folder of the server's programs; the test fails where there is none."""
    named = os.environ.get("POSTGRES_BIN")
    known = [Path(named)] if named else [p for each in _FOLDERS for p in sorted(Path("/").glob(each[1:]), reverse=True)]
    on_path = shutil.which("initdb")
    for folder in [*known, *([Path(on_path).resolve().parent] if on_path else [])]:
        if (folder / "initdb").is_file():
            return folder
    pytest.fail("these tests need PostgreSQL: apt-get install postgresql, or name its programs' folder in POSTGRES_BIN")


@dataclass
class Postgres:
    """A server.

    Attributes:
        folder: Where its data are.
        port: Where it listens, on loopback.
        password: The superuser's.
    """

    folder: Path
    port: int
    password: str
    durable: bool = False
    """Whether what it says was written outlives the machine; what it lost by its own end it never does."""
    _programs: Path = field(default_factory=find_postgres)

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        log = self.folder / "log"
        self._run("pg_ctl", "-D", self.folder / "data", "-l", log, "-w", "-t", "60", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: fast cuts its connections and ends in order, immediate is a crash."""
        self._run("pg_ctl", "-D", self.folder / "data", "-m", mode, "-w", "-t", "60", "stop")

    def restart(self, mode: str = "fast") -> None:
        """Stop it and start it again."""
        self.stop(mode)
        self.start()

    def database(self, name: str, password: str | None = None) -> str:
        """Make a database, and return its URL.

        Args:
            name: Its name, also that of the user whom it belongs to.
            password: That user's.
        """
        password = password or secrets.token_hex(8)
        quoted = sql.Literal(password).as_string()
        self.execute(f'CREATE ROLE "{name}" LOGIN PASSWORD {quoted}', f'CREATE DATABASE "{name}" OWNER "{name}"')
        return url_of(name, password, self.port, name)

    def execute(self, *statements: str) -> list[Any]:
        """Execute statements as the superuser; return what the last one found."""
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", password=self.password, autocommit=True
        ) as connection:
            results = [connection.execute(sql.SQL(statement)) for statement in statements]
            return results[-1].fetchall() if results[-1].description else []

    def connections(self, database: str) -> int:
        """Return how many connections a database has."""
        ((count,),) = self.execute(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'")
        return int(count)

    def cut(self, database: str) -> None:
        """Cut all connections of a database."""
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")

    def initialise(self) -> None:
        """Make its data."""
        data, secret = self.folder / "data", self.folder / "password"
        secret.write_text(self.password)
        if os.geteuid() == 0:
            user = pwd.getpwnam(_user())
            for path in (self.folder, secret):
                os.chown(path, user.pw_uid, user.pw_gid)
        self._run(
            "initdb", "-D", data, "-U", "postgres", "--pwfile", secret, "-A", "scram-sha-256", "-E", "UTF8",
            "--locale", "C.UTF-8", "--no-sync",
        )  # fmt: skip
        with (data / "postgresql.conf").open("a") as file:
            file.write(f"{_SETTINGS}port = {self.port}\nfsync = {'on' if self.durable else 'off'}\n")

    def _run(self, program: str, *arguments: Any) -> None:
        root = os.geteuid() == 0
        who: dict[str, Any] = (
            {"user": _user(), "group": pwd.getpwnam(_user()).pw_gid, "extra_groups": []} if root else {}
        )
        done = subprocess.run(
            [self._programs / program, *map(str, arguments)],
            cwd=self.folder, check=False, timeout=120, stdin=subprocess.DEVNULL, text=True,
            # The server that pg_ctl leaves behind would hold a pipe open.
            stdout=(self.folder / "output").open("a"), stderr=subprocess.STDOUT,
            **who,
        )  # fmt: skip
        if done.returncode != 0:
            said = (self.folder / "output").read_text() + _text(self.folder / "log")
            raise AssertionError(f"{program} failed:\n{said[-4000:]}")


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _user() -> str:
    for name in _USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise AssertionError(f"root cannot run PostgreSQL, and there is no user {' or '.join(_USERS)}")


def url_of(user: str, password: str, port: int, database: str) -> str:
    """Return a URL as people have to write it: quoted."""
    url = sqlalchemy.URL.create("postgresql+psycopg", user, password, "127.0.0.1", port, database)
    return url.render_as_string(hide_password=False)


def free_port() -> int:
    """Return a port of loopback that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def postgres(*, durable: bool = False) -> Iterator[Postgres]:
    """Run a server.

    Args:
        durable: Whether it writes as it does in earnest: for measuring, not for tests.
    """
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        server = Postgres(Path(folder), free_port(), secrets.token_hex(8), durable)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")


class CutConnection(threading.Thread):
    """A proxy before a server that cuts every connection once so many messages have gone to the server.

    Args:
        port: The server's.
    """

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        self._left: int | None = None
        self._lock = threading.Lock()
        self.sent = 0
        self.answered = True
        """Whether the message before the cut still reaches the server: its answer then is lost."""

    def cut_after(self, messages: int | None) -> None:
        """Cut once so many more messages were sent; None: never."""
        with self._lock:
            self._left, self.sent = messages, 0

    def run(self) -> None:
        """Take connections until closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                with self._lock:
                    self._open += [client, server]
                threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def close(self) -> None:
        """Cut all, and take no more."""
        self._listener.close()
        self._cut()

    def _pass(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(2**16):
                if counted and self._is_last():
                    if self.answered:
                        target.sendall(data)
                    self._cut()
                    break
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _is_last(self) -> bool:
        with self._lock:
            self.sent += 1
            if self._left is None:
                return False
            self._left -= 1
            if self._left > 0:
                return False
            self._left = None
            return True

    def _cut(self) -> None:
        # Whoever is cut connects anew at once: that connection stays.
        with self._lock:
            cut, self._open = self._open, []
        for each in cut:
            with contextlib.suppress(OSError):
                # Answers that are on their way are lost, as when a machine goes.
                each.shutdown(socket.SHUT_RDWR)
