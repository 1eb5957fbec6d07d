"""The trials' supervisor, as a process: started, connected to, ended. Only `LocalRuntime` talks to it."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

from kubestudy.api.study import HyperparameterStudy
from kubestudy.local.container import Machine, supervisor_environment, uses_builtin
from kubestudy.local.protocol import Lines, Order, Report, decode_report, encode

log = logging.getLogger(__name__)

_CHUNK = 1 << 16


class SupervisorProcess:
    """One process of `kubestudy.local.supervisor`, and this run's end of the socket to it.

    Args:
        study: The study whose trials it is to run.
        machine: What trials get of this machine.
    """

    def __init__(self, study: HyperparameterStudy, machine: Machine) -> None:
        self.warm = uses_builtin(study.spec, machine)
        self._environment = supervisor_environment(study.spec, machine)
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
            env=self._environment,
            stdin=subprocess.DEVNULL,
            pass_fds=fds,
            start_new_session=True,
        )
        theirs.close()

    async def connect(self) -> asyncio.StreamReader:
        """Open the way to the process that was started.

        Returns:
            What it says, to be read by `reports`.
        """
        reader, self._writer = await asyncio.open_connection(sock=self._socket)
        return reader

    def send(self, order: Order) -> None:
        """Send an order; nothing happens where the process has gone, which `reports` tells by its end.

        Raises:
            ProtocolError: It is too long.
        """
        line = encode(order)
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(line)

    async def ended(self, seconds: float) -> None:
        """Wait for the process to end by itself, as it was told to; kill it when the time is up."""
        if self._process is not None:
            try:
                await asyncio.wait_for(asyncio.to_thread(self._process.wait), seconds)
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


async def reports(reader: asyncio.StreamReader) -> AsyncIterator[Report]:
    """Return what a supervisor says, until it has gone.

    Raises:
        ProtocolError: It said something that is no report.
    """
    lines = Lines()
    while data := await reader.read(_CHUNK):
        for line in lines.feed(data):
            yield decode_report(line)
