"""The trials' supervisor, as a process: started, talked to, ended."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
import sys
from typing import Any

from kubestudy.api.study import HyperparameterStudy
from kubestudy.local.container import Machine, cpu_threads, thread_environment, uses_builtin

log = logging.getLogger(__name__)

# Beyond a trial's own grace period: for the supervisor to notice and to end.
_MARGIN_SECONDS = 10.0


class Workers:
    """One supervisor process (`kubestudy.local.supervisor`), and this run's end of the socket to it.

    Args:
        study: The study whose trials it is to run.
        machine: What trials get of this machine.
    """

    def __init__(self, study: HyperparameterStudy, machine: Machine) -> None:
        self.warm = uses_builtin(study.spec, machine)
        self._threads = thread_environment(cpu_threads(study.spec, machine.cores))
        self._machine = machine
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._writer: asyncio.StreamWriter | None = None

    def start(self, lock_fd: int) -> None:
        """Start the process; it warms up by itself if its trials run the ready trainer.

        Args:
            lock_fd: The descriptor of the study's lock, which it holds until the last trial has ended.
        """
        self._socket, theirs = socket.socketpair()
        fds = (theirs.fileno(), lock_fd)
        arguments = [*map(str, fds), "warm" if self.warm else "cold"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kubestudy.local.supervisor", *arguments],
            env={**self._machine.environment, **self._threads, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            pass_fds=fds,
            start_new_session=True,
        )
        theirs.close()

    async def connect(self) -> asyncio.StreamReader:
        """Open the way to a started process; what it says, a line of JSON each, is read from the returned stream."""
        reader, self._writer = await asyncio.open_connection(sock=self._socket)
        return reader

    def send(self, order: dict[str, Any]) -> None:
        """Send an order."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(json.dumps(order).encode() + b"\n")

    async def quit(self, grace: float) -> None:
        """End every trial, with its grace period in seconds, and then the process."""
        self.send({"op": "quit"})
        if self._process is not None:
            try:
                await asyncio.wait_for(asyncio.to_thread(self._process.wait), grace + _MARGIN_SECONDS)
            except TimeoutError:
                log.warning("the trials' supervisor did not end in time: killing it")
        self.kill()
        if self._writer is not None:
            self._writer.close()

    def kill(self) -> None:
        """End the process at once, if it still lives; the kernel then ends its trials."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
