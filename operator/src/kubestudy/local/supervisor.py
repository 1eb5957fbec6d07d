"""The process that all trials of a run are children of; started as `python -m kubestudy.local.supervisor`.

It is small and single-threaded so that it may fork safely. For the ready trainer it imports PyTorch once and forks
each trial from there (a warm worker); anything else is forked and executed. When the run that started it goes away,
even by SIGKILL, it ends the trials in order and then itself; should it be killed too, the kernel ends the trials.

It speaks JSON lines over a socket: {"op": "start" | "stop" | "kill" | "quit", ...} in, {"op": "started" | "ended" |
"broken", ...} out.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from kubestudy.local.hugepages import collapse_memory

_PR_SET_PDEATHSIG = 1
_KILL_AGAIN_SECONDS = 1.0
# It takes a second, and then saves 25 ms of each start.
_COLLAPSE_AFTER = 50
TRAINER_MODULE = "kubestudy_trainer.__main__"
WARM_MODULE = "kubestudy_trainer.warm"


@dataclass(slots=True)
class _Child:
    number: int
    pid: int
    attempt: int
    exit_file: str
    started: float
    grace: float
    deadline: float | None
    cause: str | None = None
    kill_at: float | None = None


@dataclass(slots=True)
class _Supervisor:
    """Keeps the trials' processes."""

    channel: socket.socket
    lock_fd: int
    wakeup: tuple[int, int]
    prctl: Any
    children: dict[int, _Child] = field(default_factory=dict)
    received: bytes = b""
    leaving: bool = False
    warm: bool = False
    starts: int = 0

    def serve(self) -> None:
        """Go on until the run has gone (or said so) and the last trial has ended."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.channel, selectors.EVENT_READ)
            selector.register(self.wakeup[0], selectors.EVENT_READ)
            while not (self.leaving and not self.children):
                for key, _ in selector.select(self._until_next()):
                    if key.fileobj is self.channel:
                        if not self._read():
                            selector.unregister(self.channel)
                            self._leave()
                    else:
                        os.read(self.wakeup[0], 4096)
                self._reap()
                self._enforce(time.time())

    # --- the run ---------------------------------------------------------------------------------------------------

    def _read(self) -> bool:
        try:
            data = self.channel.recv(1 << 16)
        except OSError:
            return False
        if not data:
            return False
        *lines, self.received = (self.received + data).split(b"\n")
        for line in lines:
            self._do(json.loads(line))
        return True

    def _do(self, order: dict[str, Any]) -> None:
        match order["op"]:
            case "start":
                self._start(order)
            case "stop":
                self._stop(order["number"], "stopped")
            case "kill":
                self._kill()
            case "quit":
                self._leave()

    def _say(self, message: dict[str, Any]) -> None:
        try:
            self.channel.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self.leaving = True  # nobody listens any more: serve() ends once the trials have

    def _leave(self) -> None:
        self.leaving = True
        for number in list(self.children):
            self._stop(number, "stopped")

    # --- trials ----------------------------------------------------------------------------------------------------

    def _start(self, order: dict[str, Any]) -> None:
        if self.leaving or order["number"] in self.children:
            return
        self.starts += 1
        if self.warm and self.starts == _COLLAPSE_AFTER:
            collapse_memory()
        started = time.time()
        pid = os.fork()
        if pid == 0:
            self._become(order)
        deadline = order["deadline"]
        self.children[order["number"]] = _Child(
            number=order["number"],
            pid=pid,
            attempt=order["attempt"],
            exit_file=order["exit_file"],
            started=started,
            grace=order["grace"],
            deadline=None if deadline is None else started + deadline,
        )
        self._say({"op": "started", "number": order["number"], "at": started})

    def _become(self, order: dict[str, Any]) -> NoReturn:
        """In the child: turn into the trial. Never returns, whatever happens."""
        code = 1
        try:
            os.setsid()
            if self.prctl is not None:
                self.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() == 1:
                    os._exit(137)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            self.channel.close()
            os.close(self.lock_fd)
            for fd in self.wakeup:
                os.close(fd)
            log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for source, target in ((nothing, 0), (log, 1), (log, 2)):
                os.dup2(source, target)
            os.close(log)
            os.close(nothing)
            os.chdir(order["folder"])
            if order["argv"] is not None:
                _execute(order["argv"], order["environment"])
            os.environ.clear()
            os.environ.update(order["environment"])
            code = _train(order["args"])
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _stop(self, number: int, cause: str) -> None:
        child = self.children.get(number)
        if child is None or child.kill_at is not None:
            return
        child.cause = cause
        child.kill_at = time.time() + child.grace
        _signal_group(child.pid, signal.SIGTERM)

    def _kill(self) -> None:
        """Take their grace period from the trials that were told to stop."""
        for child in self.children.values():
            if child.kill_at is not None:
                child.kill_at = time.time()

    def _enforce(self, now: float) -> None:
        for child in self.children.values():
            if child.kill_at is not None and now >= child.kill_at:
                _signal_group(child.pid, signal.SIGKILL)
                child.kill_at = now + _KILL_AGAIN_SECONDS
            elif child.deadline is not None and now >= child.deadline:
                child.deadline = None
                self._stop(child.number, "deadline")

    def _until_next(self) -> float | None:
        times = [t for c in self.children.values() for t in (c.kill_at, c.deadline) if t is not None]
        return max(0.0, min(times) - time.time()) if times else None

    def _reap(self) -> None:
        by_pid = {child.pid: child for child in self.children.values()}
        while by_pid:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = by_pid.get(pid)
            if child is None:
                continue
            # As in a container, whatever the first process left behind ends with it.
            _signal_group(pid, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(status)
            record = {
                "attempt": child.attempt,
                "code": 128 - code if code < 0 else code,
                "cause": child.cause,
                "started": child.started,
                "ended": time.time(),
            }
            _write(Path(child.exit_file), record)
            del self.children[child.number]
            self._say({"op": "ended", "number": child.number, **record})


def _execute(argv: list[str], environment: dict[str, str]) -> NoReturn:
    try:
        os.execvpe(argv[0], argv, environment)
    except OSError as error:
        # A shell's own codes for what cannot be found and what cannot be executed.
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)
        sys.stderr.flush()
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _train(args: list[str]) -> int:
    main = importlib.import_module(TRAINER_MODULE).main
    try:
        return int(main(args))
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        return  # macOS says so of a group whose processes have all ended


def _write(path: Path, record: dict[str, Any]) -> None:
    """Write a trial's exit record whole or not at all; without one, the trial's message alone tells."""
    draft = path.with_suffix(".new")
    try:
        draft.write_text(json.dumps(record))
        draft.replace(path)
    except OSError as error:
        print(f"cannot write {path}: {error}", file=sys.stderr)


def _prctl() -> Any:
    """Return Linux's prctl, by which the kernel ends a child whose parent was killed; None elsewhere."""
    return ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def main() -> None:
    """Serve the run at the other end of the socket whose descriptor is the first argument."""
    channel_fd, lock_fd, warm = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "warm"
    channel = socket.socket(fileno=channel_fd)
    # Ctrl-C is the run's to hear; it then stops the trials in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    supervisor = _Supervisor(channel, lock_fd, (reader, writer), _prctl(), warm=warm)
    if warm:
        try:
            importlib.import_module(TRAINER_MODULE)
            importlib.import_module(WARM_MODULE).preload()
        except Exception as error:  # whatever an import may raise: the run says it to the user
            supervisor._say({"op": "broken", "why": f"{type(error).__name__}: {error}"})
            os._exit(1)
        gc.collect()
        gc.freeze()  # shared pages stay shared when a child's collector runs
    supervisor.serve()
    # What was imported is not to be taken down piece by piece: that takes PyTorch a second and some noise.
    os._exit(0)


if __name__ == "__main__":
    main()
