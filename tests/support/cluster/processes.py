"""Servers as child processes: each with a log, ended by its process id."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.wait import until


class ClusterError(Exception):
    """Something of the cluster did not come up; the message says which log tells why."""


def free_port() -> int:
    """Return a port that was free on the loopback interface a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(
    name: str, command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own; its output goes to `NAME.log`, its process id to `NAME.pid`."""
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    (folder / f"{name}.pid").write_text(str(process.pid))
    return process


def end(pid_file: Path, signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGKILL)) -> None:
    """End the process whose id a file holds; each signal gets five seconds."""
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return
    for number in signals:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            break
        with contextlib.suppress(ClusterError):
            until(lambda: not alive(pid), 5, error=ClusterError)
            break
    pid_file.unlink(missing_ok=True)


def answers(request: str | urllib.request.Request, context: ssl.SSLContext | None = None) -> bool:
    """Tell whether a server answers a request with 200."""
    try:
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def running(pid_file: Path) -> bool:
    """Tell whether the process whose id a file holds runs."""
    try:
        return alive(int(pid_file.read_text()))
    except (OSError, ValueError):
        return False


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was not waited for does not."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
