"""The process that all trials of a run are children of; started as `python -m kubestudy.local.supervisor`.

It is small and single-threaded so that it may fork safely. For the ready trainer it imports PyTorch once and forks
each trial from there (a warm worker); anything else is forked and executed. When the run that started it goes away,
even by SIGKILL, it stops the trials, each with its grace period, and then ends; should it be killed too, the kernel
ends the trials. It is told what to do, and tells what became of it, by `kubestudy.local.protocol` over a socket.
"""

from __future__ import annotations

import gc
import importlib
import math
import os
import selectors
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TypeAlias

from kubestudy.local.hugepages import collapse_memory
from kubestudy.local.protocol import (
    Broken,
    Cause,
    Ended,
    Fault,
    Kill,
    Lines,
    Order,
    ProtocolError,
    Quit,
    Report,
    Start,
    Started,
    Stop,
    decode_order,
    encode,
    ended_record,
)
from kubestudy.local.trial_process import TRAINER_MODULE, Prctl, end_leftovers, fork_trial, parent_death, signal_trial

_KILL_AGAIN_SECONDS = 1.0
# The system's calls refuse to wait for weeks, as a trial's deadline may be away.
_LONGEST_WAIT_SECONDS = 3600.0
# It takes a second, and then saves 25 ms of each start.
_COLLAPSE_AFTER = 50
WARM_MODULE = "kubestudy_trainer.warm"


@dataclass(frozen=True, slots=True)
class _Running:
    """A trial that runs until it ends by itself, or until a moment of the monotonic clock."""

    until: float = math.inf


@dataclass(frozen=True, slots=True)
class _Ending:
    """A trial that was told to end, and is killed at a moment of the monotonic clock."""

    cause: Cause
    kill_at: float


_Stage: TypeAlias = _Running | _Ending


@dataclass(slots=True)
class _Child:
    order: Start
    pid: int
    begun: float
    stage: _Stage

    @property
    def due(self) -> float:
        """When something is to be done about it, by the monotonic clock."""
        return self.stage.until if isinstance(self.stage, _Running) else self.stage.kill_at


class _Clock:
    """Seconds that passed, and the Unix time they come to: nobody who sets the machine's clock moves a deadline."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        return time.monotonic()

    def unix(self, moment: float) -> float:
        return self._offset + moment


@dataclass(slots=True)
class _Supervisor:
    """Keeps the trials' processes."""

    channel: socket.socket
    lock_fd: int
    wakeup: tuple[int, int]
    prctl: Prctl | None
    warm: bool = False
    clock: _Clock = field(default_factory=_Clock)
    lines: Lines = field(default_factory=Lines)
    children: dict[int, _Child] = field(default_factory=dict)
    leaving: bool = False
    starts: int = 0

    def serve(self) -> None:
        """Go on until the run has gone (or said so) and the last trial has ended."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.channel, selectors.EVENT_READ)
            selector.register(self.wakeup[0], selectors.EVENT_READ)
            while not (self.leaving and not self.children):
                for key, _ in selector.select(self._seconds_to_wait()):
                    if key.fileobj is not self.channel:
                        os.read(self.wakeup[0], 4096)
                    elif not self._read():
                        selector.unregister(self.channel)
                        self._leave()
                self._reap()
                self._enforce()

    # --- the run ---------------------------------------------------------------------------------------------------

    def _read(self) -> bool:
        """Do what the run says; False when there is nothing more to be heard from it."""
        try:
            data = self.channel.recv(1 << 16)
            for line in self.lines.feed(data):
                self._do(decode_order(line))
        except ProtocolError as error:
            self.say(Broken(Fault.ORDER, str(error)))
            return False
        except OSError:
            return False
        return bool(data)

    def _do(self, order: Order) -> None:
        match order:
            case Start():
                self._start(order)
            case Stop(number):
                self._stop(number, Cause.STOPPED)
            case Kill():
                self._kill()
            case Quit():
                self._leave()

    def say(self, report: Report) -> None:
        """Tell the run, if it still listens."""
        try:
            self.channel.sendall(encode(report))
        except OSError:
            self.leaving = True  # nobody listens any more: serve() ends once the trials have

    def _leave(self) -> None:
        self.leaving = True
        for number in self.children:
            self._stop(number, Cause.STOPPED)

    # --- trials ----------------------------------------------------------------------------------------------------

    def _start(self, order: Start) -> None:
        if self.leaving or order.number in self.children:
            return
        self.starts += 1
        if self.warm and self.starts == _COLLAPSE_AFTER:
            collapse_memory()
        now = self.clock.now()
        pid = fork_trial(order, (self.channel.fileno(), self.lock_fd, *self.wakeup), self.prctl)
        until = math.inf if order.deadline is None else now + order.deadline
        self.children[order.number] = _Child(order, pid, now, _Running(until))
        self.say(Started(order.number, self.clock.unix(now)))

    def _stop(self, number: int, cause: Cause) -> None:
        child = self.children.get(number)
        if child is not None and isinstance(child.stage, _Running):
            child.stage = _Ending(cause, self.clock.now() + child.order.grace)
            signal_trial(child.pid, signal.SIGTERM)

    def _kill(self) -> None:
        """Take what is left of their grace period from the trials that were told to end."""
        for child in self.children.values():
            if isinstance(child.stage, _Ending):
                child.stage = _Ending(child.stage.cause, self.clock.now())

    def _enforce(self) -> None:
        """Stop the trials whose deadline is over, kill those whose grace period is."""
        now = self.clock.now()
        for child in self.children.values():
            if now < child.due:
                continue
            if isinstance(child.stage, _Running):
                self._stop(child.order.number, Cause.DEADLINE)
            else:
                signal_trial(child.pid, signal.SIGKILL)
                child.stage = _Ending(child.stage.cause, now + _KILL_AGAIN_SECONDS)

    def _seconds_to_wait(self) -> float:
        due = min((child.due for child in self.children.values()), default=math.inf)
        return min(max(0.0, due - self.clock.now()), _LONGEST_WAIT_SECONDS)

    def _reap(self) -> None:
        by_pid = {child.pid: child for child in self.children.values()}
        while by_pid:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in by_pid:
                self._ended(by_pid[pid], os.waitstatus_to_exitcode(status))

    def _ended(self, child: _Child, code: int) -> None:
        # As in a container, whatever the first process left behind ends with it.
        end_leftovers(child.pid)
        ended = Ended(
            number=child.order.number,
            attempt=child.order.attempt,
            code=128 - code if code < 0 else code,
            cause=child.stage.cause if isinstance(child.stage, _Ending) else None,
            started=self.clock.unix(child.begun),
            ended=self.clock.unix(self.clock.now()),
        )
        _keep(ended, Path(child.order.exit_file))
        del self.children[ended.number]
        self.say(ended)


def _keep(ended: Ended, path: Path) -> None:
    """Write how a trial ended whole or not at all; without it, the trial's message alone tells."""
    draft = path.with_suffix(".new")
    try:
        draft.write_text(ended_record(ended))
        draft.replace(path)
    except OSError as error:
        print(f"cannot write {path}: {error}", file=sys.stderr)


def _wake_on_children() -> tuple[int, int]:
    """Return a pipe, reading end first, on which the end of any child is heard."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reader, writer


def _load_trainer(supervisor: _Supervisor) -> None:
    try:
        importlib.import_module(TRAINER_MODULE)
        importlib.import_module(WARM_MODULE).preload()
    except Exception as error:  # whatever an import may raise: the run says it to the user
        supervisor.say(Broken(Fault.TRAINER, f"{type(error).__name__}: {error}"))
        os._exit(1)
    gc.collect()
    gc.freeze()  # shared pages stay shared when a child's collector runs


def main(argv: list[str] | None = None) -> NoReturn:
    """Serve the run at the other end of a socket.

    Args:
        argv: The socket's descriptor, the lock's, and `warm` or `cold`; None for this process's own arguments.
    """
    channel_fd, lock_fd, start = sys.argv[1:] if argv is None else argv
    # Ctrl-C, a closed terminal and the like are the run's to hear; it then stops the trials.
    # Not ignored, since a trial would begin so, and lose what is sent to it before it is one.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    channel = socket.socket(fileno=int(channel_fd))
    supervisor = _Supervisor(channel, int(lock_fd), _wake_on_children(), parent_death(), warm=start == "warm")
    if supervisor.warm:
        _load_trainer(supervisor)
    supervisor.serve()
    # What was imported is not to be taken down piece by piece: that takes PyTorch a second and some noise.
    os._exit(0)


if __name__ == "__main__":
    main()
