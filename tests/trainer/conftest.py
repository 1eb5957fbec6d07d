"""Starts trials as real processes: scripts of their own, and forks of a process with warm imports."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[2] / "trainer-image" / "src"
PATIENCE_S = 180.0


@dataclass
class Ended:
    """What a process has left behind."""

    code: int
    stdout: str
    stderr: str
    log: Path
    text: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.text = self.log.read_bytes() if self.log.exists() else b""

    @property
    def message(self) -> dict[str, Any]:
        assert len(self.text) <= 4096
        message: dict[str, Any] = json.loads(self.text, parse_constant=pytest.fail)
        return message


@dataclass
class Running:
    """A trial's process, whether started or forked."""

    pid: int
    out: Path
    err: Path
    log: Path
    wait_status: Callable[[float], int]

    def saw(self, text: str) -> None:
        """Wait until the process has printed something."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.out.read_text():
            assert time.monotonic() < deadline, f"{text!r} was never printed: {self.err.read_text()}"
            time.sleep(0.002)

    def kill(self, number: int) -> None:
        os.kill(self.pid, number)

    def end(self) -> Ended:
        code = self.wait_status(PATIENCE_S)
        return Ended(code, self.out.read_text(), self.err.read_text(), self.log)


def bare_environment() -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KUBESTUDY_")}
    return {**environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def scraped(port: int) -> str:
    """One scrape of /metrics; it waits until the server listens."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        finally:
            connection.close()


class Launcher:
    """Starts trials whose files lie in one directory; stops what is left at the end of a test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._started: list[subprocess.Popen[bytes]] = []
        self._forked: set[int] = set()
        self._count = 0

    def _files(self) -> tuple[Path, Path, Path]:
        self._count += 1
        stem = self.directory / str(self._count)
        return stem.with_suffix(".out"), stem.with_suffix(".err"), stem.with_suffix(".log")

    def script(self, text: str, **environ: str) -> Running:
        """Start a Python script of its own."""
        path = self.directory / f"script{self._count}.py"
        path.write_text(textwrap.dedent(text))
        return self.command([str(path)], **environ)

    def command(self, arguments: list[str], **environ: str) -> Running:
        """Start Python with arguments."""
        out, err, log = self._files()
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdout=stdout,
                stderr=stderr,
                cwd=self.directory,
                env={**bare_environment(), "KUBESTUDY_TERMINATION_LOG": str(log), **environ},
            )
        self._started.append(process)
        return Running(process.pid, out, err, log, process.wait)

    def fork(self, function: Callable[[], int], **environ: str) -> Running:
        """Call a function in a forked child, as a server with warm imports does, and exit with its result."""
        out, err, log = self._files()
        out.touch()
        err.touch()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT, 0o644), 1)
                os.dup2(os.open(err, os.O_WRONLY | os.O_CREAT, 0o644), 2)
                sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
                os.chdir(self.directory)
                os.environ.clear()
                os.environ.update(bare_environment())
                os.environ.update({"KUBESTUDY_TERMINATION_LOG": str(log), **environ})
                code = function()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        self._forked.add(pid)
        return Running(pid, out, err, log, lambda patience: self._reap(pid, patience))

    def main(self, *arguments: str, **environ: str) -> Running:
        """Run the ready trainer in a forked child."""
        from kubestudy_trainer.__main__ import main

        return self.fork(lambda: main(list(arguments)), **environ)

    def _reap(self, pid: int, patience: float) -> int:
        deadline = time.monotonic() + patience
        while True:
            reaped, status = os.waitpid(pid, os.WNOHANG)
            if reaped:
                self._forked.discard(pid)
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, f"process {pid} does not end"
            time.sleep(0.002)

    def stop_all(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()
        for pid in self._forked:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path)
    yield launcher
    launcher.stop_all()


@pytest.fixture(scope="session")
def warm() -> None:
    """Import what the mlp model needs, once for all forks."""
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    from kubestudy_trainer.warm import preload

    preload()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def scrape() -> Callable[[int], str]:
    return scraped
