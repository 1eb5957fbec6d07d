"""Faults at random from a seed: when which comes is drawn here, and how each is brought about. The plan is pure."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from soak.proxy import DisturbingProxy, Way
from support.cluster.control_plane import ControlPlane


class Kind(StrEnum):
    """What goes wrong."""

    OPERATOR_KILLED = "operator killed"
    OPERATOR_STOPPED = "operator stopped"
    SERVER_FROZEN = "API server frozen"
    SERVER_RESTARTED = "API server restarted"
    CROWDED = "429 to every third write"
    CONFLICTS = "409 to every third change"
    EXPIRED = "410 to watches"
    CUT = "watches cut"
    LOST = "answers to writes lost"
    ODD = "answers of a proxy's own"
    STORAGE = "storage away"
    PROMETHEUS = "Prometheus lying"


# The least and most seconds that each lasts; nothing for what is over at once.
_LASTS: Mapping[Kind, tuple[float, float]] = {
    Kind.OPERATOR_KILLED: (0, 0),
    Kind.OPERATOR_STOPPED: (0, 0),
    Kind.SERVER_FROZEN: (2, 12),
    Kind.SERVER_RESTARTED: (1, 8),
    Kind.CROWDED: (3, 10),
    Kind.CONFLICTS: (3, 10),
    Kind.EXPIRED: (3, 10),
    Kind.CUT: (0, 0),
    Kind.LOST: (3, 10),
    Kind.ODD: (3, 10),
    Kind.STORAGE: (2, 8),
    Kind.PROMETHEUS: (3, 10),
}
_WAYS = {
    Kind.CROWDED: Way.CROWDED,
    Kind.CONFLICTS: Way.CONFLICTS,
    Kind.EXPIRED: Way.EXPIRED,
    Kind.LOST: Way.LOST,
    Kind.ODD: Way.ODD,
}
# Of a phase: it begins and ends in peace.
_PEACE = 0.05


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        at: Seconds from the beginning of a phase.
        kind: What goes wrong.
        seconds: How long it lasts.
    """

    at: float
    kind: Kind
    seconds: float


def plan(seed: int, seconds: float, every: float) -> list[Fault]:
    """Draw the faults of a phase: every kind comes before one comes again, and none begins before the last is over.

    Args:
        seed: What is drawn from.
        seconds: How long the phase is.
        every: Seconds from one fault's beginning to the next one's, on average.
    """
    drawn = random.Random(seed)
    at, made, bag = seconds * _PEACE, list[Fault](), list[Kind]()
    while True:
        at += every * drawn.uniform(0.5, 1.5)
        if at > seconds * (1 - _PEACE):
            return made
        if not bag:
            bag = drawn.sample(list(Kind), len(Kind))
        kind = bag.pop()
        lasts = min(drawn.uniform(*_LASTS[kind]), every)
        made.append(Fault(at, kind, lasts))
        at += lasts


class Operator(Protocol):
    """Who keeps the operator running, told to end it."""

    def end(self, number: signal.Signals) -> None:
        """Send it a signal that ends it."""

    def excused(self, seconds: float) -> None:
        """An end within so many seconds is due to a fault."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Brings faults about.

    Args:
        control_plane: Whose API server is disturbed.
        proxy: What stands between it and the operator.
        operator: Who keeps the operator running.
        storage: The operator's storage folder.
        prometheus: The URL of the soak's Prometheus.
    """

    control_plane: ControlPlane
    proxy: DisturbingProxy
    operator: Operator
    storage: Path
    prometheus: str

    def bring(self, fault: Fault) -> None:
        """Bring a fault about, and end it."""
        if (way := _WAYS.get(fault.kind)) is not None:
            with self.proxy.disturbing(way):
                time.sleep(fault.seconds)
            return
        ways: dict[Kind, Callable[[float], None]] = {
            Kind.OPERATOR_KILLED: lambda _: self.operator.end(signal.SIGKILL),
            Kind.OPERATOR_STOPPED: lambda _: self.operator.end(signal.SIGTERM),
            Kind.SERVER_FROZEN: self._freeze,
            Kind.SERVER_RESTARTED: self._restart,
            Kind.CUT: lambda _: self.proxy.cut(),
            Kind.STORAGE: self._take_away,
            Kind.PROMETHEUS: self._lie,
        }
        ways[fault.kind](fault.seconds)

    def _freeze(self, seconds: float) -> None:
        pid = int((self.control_plane.folder / "kube-apiserver.pid").read_text())
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)
        self.operator.excused(_LEASE_SECONDS)

    def _restart(self, seconds: float) -> None:
        self.operator.excused(120.0)
        self.control_plane.stop_api_server()
        time.sleep(seconds)
        self.control_plane.start_api_server()
        self.operator.excused(_LEASE_SECONDS)

    def _take_away(self, seconds: float) -> None:
        with away(self.storage):
            time.sleep(seconds)

    def _lie(self, seconds: float) -> None:
        tell(self.prometheus, lying=True)
        time.sleep(seconds)
        tell(self.prometheus, lying=False)


# A leader whose API server was away for longer than its Lease ends, as it should.
_LEASE_SECONDS = 15.0


def tell(prometheus: str, *, lying: bool) -> None:
    """Tell the soak's Prometheus whether to lie to everybody."""
    request = urllib.request.Request(f"{prometheus}/lie?on={str(lying).lower()}", method="POST")
    with urllib.request.urlopen(request, timeout=60):
        pass


@contextmanager
def away(folder: Path) -> Iterator[None]:
    """Put a file in a folder's place for a while: whatever is done to the folder fails, and nobody makes a new one."""
    beside = folder.with_name(f"{folder.name}.away")
    beside.touch()
    _exchange(folder, beside)
    try:
        yield
    finally:
        _exchange(folder, beside)
        beside.unlink()


_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def _exchange(one: Path, other: Path) -> None:
    """Exchange two names at once (Linux: renameat2)."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one))
