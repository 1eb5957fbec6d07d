"""Commands of `kubestudy` for tests: forks of one process that has imported everything, or processes of their own.

Importing takes a command one to three seconds of a processor, which is most of what hundreds of short commands take. A
fork runs the same `main` with the arguments, folder, variables and streams that it would have as a process of its own.
What it does not show is what is imported, and when: tests/cli starts the installed command, and so does `make bench`.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

KUBESTUDY = str(Path(sysconfig.get_path("scripts")) / "kubestudy")
TESTS = Path(__file__).resolve().parents[1]
# Of an order and of a process id; of a wait status.
LENGTH = struct.Struct("!I")
STATUS = struct.Struct("!i")


class Process(Protocol):
    """What tests use of `subprocess.Popen`."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def communicate(self, *, timeout: float | None = None) -> tuple[str, str]: ...
    def send_signal(self, sig: int) -> None: ...
    def kill(self) -> None: ...


class Fork:
    """A command as a fork; used like `subprocess.Popen`.

    Args:
        pid: Its process id.
        end: A pipe that is given its wait status when it has ended.
        streams: Where its standard output and standard error can be read; nothing if they go to a file.
    """

    def __init__(self, pid: int, end: int, streams: Sequence[IO[str]] = ()) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._end = end
        self._streams = streams

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""
        return self._read(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; return its exit code, negative if a signal ended it."""
        code = self._read(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("kubestudy", timeout or 0)
        return code

    def communicate(self, *, timeout: float | None = None) -> tuple[str, str]:
        """Read all that it writes, and wait until it has ended."""
        found = ["", ""]

        def read(number: int, stream: IO[str]) -> None:
            found[number] = stream.read()

        readers = [threading.Thread(target=read, args=each, daemon=True) for each in enumerate(self._streams)]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join(timeout)
        for stream in self._streams:
            stream.close()
        return found[0], found[1]

    def send_signal(self, sig: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _read(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._end], [], [], seconds)[0]:
            status = os.read(self._end, STATUS.size)
            os.close(self._end)
            if not status:
                raise RuntimeError("the process that forks commands has ended")
            self.returncode = os.waitstatus_to_exitcode(*STATUS.unpack(status))
        return self.returncode


class ForkServer:
    """The process that forks; it is started by the first command, and ends with this one."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "support.fork_server", str(theirs.fileno())],
                cwd=TESTS, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        self._orders = ours
        atexit.register(self._stop)

    def fork(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        log: IO[bytes] | None = None,
    ) -> Fork:
        """Run `kubestudy` with arguments; its output goes to a file, or else is there to be read."""
        with contextlib.ExitStack() as given:
            streams: list[IO[bytes]] = [given.enter_context(Path(os.devnull).open("rb"))]
            reading: list[IO[str]] = []
            for _ in range(2):
                if log is None:
                    source, target = os.pipe()
                    reading.append(os.fdopen(source))
                    streams.append(given.enter_context(os.fdopen(target, "wb")))
                else:
                    streams.append(log)
            own, end = os.pipe()
            streams.append(given.enter_context(os.fdopen(end, "wb")))
            order = json.dumps([[KUBESTUDY, *arguments], str(folder), dict(environment)]).encode()
            socket.send_fds(self._orders, [LENGTH.pack(len(order))], [stream.fileno() for stream in streams])
            self._orders.sendall(order)
            answer = self._orders.recv(LENGTH.size, socket.MSG_WAITALL)
        if not answer:
            raise RuntimeError("the process that forks commands has ended")
        (pid,) = LENGTH.unpack(answer)
        return Fork(pid, own, reading)

    def _stop(self) -> None:
        self._orders.close()
        self._process.wait(30)


class _State:
    """Whether commands are forks, and what forks them."""

    forking = False
    server: ForkServer | None = None


@contextlib.contextmanager
def forking(on: bool) -> Iterator[None]:
    """Make commands forks, or processes of their own, for a while."""
    before, _State.forking = _State.forking, on
    try:
        yield
    finally:
        _State.forking = before


def start(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None, log: IO[bytes] | None = None
) -> Process:
    """Start a command and leave it running.

    Args:
        arguments: What follows `kubestudy`.
        folder: Where it is started.
        environment: Its variables beside those of this process. One that Python reads when it starts makes it a
            process of its own.
        log: Where its output goes; without it `communicate` returns it.
    """
    variables = {**os.environ, **(environment or {})}
    if not _State.forking or any(name.startswith("PYTHON") for name in environment or {}):
        target = subprocess.PIPE if log is None else log
        return subprocess.Popen(
            [KUBESTUDY, *arguments], cwd=folder, env=variables, stdout=target, stderr=target, text=True
        )
    if _State.server is None:
        _State.server = ForkServer()
    return _State.server.fork(arguments, folder, variables, log)
