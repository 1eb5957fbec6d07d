"""A trial's process: forked off the supervisor, which may have the ready trainer loaded, and ended with its group."""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

from kubestudy.local.protocol import Start

_PR_SET_PDEATHSIG = 1
TRAINER_MODULE = "kubestudy_trainer.__main__"

Prctl: TypeAlias = Callable[[int, int], Any]


def parent_death() -> Prctl | None:
    """Return Linux's prctl, by which the kernel ends a child whose parent was killed; None elsewhere."""
    return ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def fork_trial(order: Start, inherited: Iterable[int], prctl: Prctl | None) -> int:
    """Start a trial's process.

    Args:
        order: What it is to run.
        inherited: The supervisor's own descriptors, which a trial is not to have.
        prctl: What `parent_death` returned; looked up before, since a child of a fork should load nothing.

    Returns:
        Its process id, which is its group's too.
    """
    # Told to end before it is the trial: that waits until it is one, instead of being lost.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    pid = os.fork()
    if pid == 0:
        _become(order, inherited, prctl, mask)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


def signal_trial(pid: int, number: signal.Signals) -> None:
    """Send a signal to a trial that was not waited for yet, and to whatever it started."""
    if not _signal_group(pid, number):
        os.kill(pid, number)  # it has no group of its own yet


def end_leftovers(pid: int) -> None:
    """Kill what a trial that has ended left running."""
    _signal_group(pid, signal.SIGKILL)


def _signal_group(pid: int, number: signal.Signals) -> bool:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # macOS says so of a group whose processes have all ended
    return True


def _become(order: Start, inherited: Iterable[int], prctl: Prctl | None, mask: Iterable[int]) -> NoReturn:
    """In the child: turn into the trial. Never returns, whatever happens."""
    code = 1
    try:
        os.setsid()
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == 1:
                os._exit(137)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for fd in inherited:
            os.close(fd)
        _redirect(order.log)
        os.chdir(order.folder)
        if order.argv is not None:
            _execute(order.argv, order.environment)
        os.environ.clear()
        os.environ.update(order.environment)
        code = _train(order.args)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _redirect(path: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)


def _execute(argv: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    try:
        os.execvpe(argv[0], list(argv), dict(environment))
    except OSError as error:
        # A shell's own codes for what cannot be found and what cannot be executed.
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)
        sys.stderr.flush()
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _train(args: Sequence[str]) -> int:
    main = importlib.import_module(TRAINER_MODULE).main
    try:
        return int(main(list(args)))
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
