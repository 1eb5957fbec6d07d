"""The supervisor as a process: told what to do over its socket, whoever sets the clock and whatever it is told."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from kubestudy.local.protocol import (
    Broken,
    Cause,
    Ended,
    Fault,
    Lines,
    Order,
    Quit,
    Report,
    Start,
    Started,
    Stop,
    decode_report,
    encode,
)

# The supervisor, on a machine whose wall clock is set to another time as soon as a file exists.
SUPERVISOR = """
import os, sys, time
wall, jump = time.time, float(os.environ["JUMP"])
time.time = lambda: wall() + (jump if os.path.exists(os.environ["JUMPED"]) else 0.0)
from kubestudy.local.supervisor import main
main()
"""


class Supervised:
    """A supervisor and the socket to it."""

    def __init__(self, folder: Path, jump: float = 0.0) -> None:
        self.folder = folder
        self.jumped = folder / "jumped"
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(60)
        self._lines = Lines()
        self._said: list[Report] = []
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
        fds = (theirs.fileno(), self._lock)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, *map(str, fds), "cold"],
            pass_fds=fds,
            env={**os.environ, "JUMP": str(jump), "JUMPED": str(self.jumped)},
        )
        theirs.close()

    def send(self, order: Order | bytes) -> None:
        self._socket.sendall(order if isinstance(order, bytes) else encode(order))

    def start(self, *argv: str, number: int = 0, **changes: Any) -> None:
        known: dict[str, Any] = {
            "attempt": 0, "args": (), "environment": dict(os.environ), "folder": str(self.folder),
            "log": str(self.folder / f"log-{number}"), "exit_file": str(self.folder / f"exit-{number}.json"),
            "grace": 1.0, "deadline": None,
        }  # fmt: skip
        self.send(Start(number=number, argv=argv, **known | changes))

    def next(self) -> Report | None:
        """Return what it says next; None when it has gone."""
        while not self._said:
            data = self._socket.recv(1 << 16)
            if not data:
                return None
            self._said += map(decode_report, self._lines.feed(data))
        return self._said.pop(0)

    def close(self) -> None:
        self._socket.close()
        os.close(self._lock)
        self.process.kill()
        self.process.wait()


@pytest.fixture
def supervised(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Supervised]:
    supervised = Supervised(tmp_path, getattr(request, "param", 0.0))
    yield supervised
    supervised.close()


def ended(supervised: Supervised) -> Ended:
    report = supervised.next()
    assert isinstance(report, Ended), report
    return report


@pytest.mark.parametrize("supervised", [3600.0], indirect=True)
def test_a_clock_set_forward_does_not_end_a_trial_before_its_deadline(supervised: Supervised) -> None:
    begun = time.time()
    supervised.start("sleep", "2", deadline=600.0)
    started = supervised.next()
    assert isinstance(started, Started)
    assert abs(started.at - begun) < 60
    supervised.jumped.touch()
    end = ended(supervised)
    assert (end.code, end.cause) == (0, None)
    assert 1.9 < end.ended - end.started < 60
    assert end.started == started.at


@pytest.mark.parametrize("supervised", [-3600.0], indirect=True)
def test_a_clock_set_back_puts_off_neither_a_deadline_nor_the_kill_after_it(supervised: Supervised) -> None:
    supervised.start("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done", deadline=1.5, grace=1.0)
    assert isinstance(supervised.next(), Started)
    supervised.jumped.touch()
    end = ended(supervised)
    assert (end.code, end.cause) == (137, Cause.DEADLINE)
    assert 2.5 <= end.ended - end.started < 60


def test_a_deadline_that_is_weeks_away(supervised: Supervised) -> None:
    supervised.start("sleep", "0.5", deadline=40 * 86_400.0)
    assert isinstance(supervised.next(), Started)
    assert ended(supervised).code == 0


@pytest.mark.parametrize("bad", [b"nonsense\n", b'{"op": "dance"}\n', b'{"op": "stop", "number": "0"}\n'])
def test_what_is_no_order_stops_the_trials_and_is_told(supervised: Supervised, bad: bytes) -> None:
    supervised.start("sleep", "60")
    started = supervised.next()
    assert isinstance(started, Started)
    supervised.send(bad)
    broken = supervised.next()
    assert isinstance(broken, Broken)
    assert broken.fault is Fault.ORDER
    assert "nonsense" in broken.why or "'dance' is no order" in broken.why or "stop.number must be" in broken.why
    end = ended(supervised)
    assert (end.code, end.cause) == (143, Cause.STOPPED)
    assert supervised.next() is None
    assert supervised.process.wait(60) == 0


def test_one_that_is_stopped_as_soon_as_it_is_started_does_not_wait_for_its_grace_period(
    supervised: Supervised,
) -> None:
    for number in range(30):
        supervised.start("sleep", "300", number=number, grace=300.0)
        supervised.send(Stop(number))
    ends = [report for report in (supervised.next() for _ in range(60)) if isinstance(report, Ended)]
    assert [end.code for end in ends] == [143] * 30


def test_stop_and_quit(supervised: Supervised) -> None:
    for number in (0, 1):
        supervised.start("sleep", "60", number=number)
        assert supervised.next() == Started(number, pytest.approx(time.time(), abs=60))
    supervised.start("sleep", "60", number=1)  # runs already
    supervised.send(Stop(0))
    supervised.send(Stop(9))  # nobody knows it
    assert ended(supervised).number == 0
    supervised.send(Quit())
    assert ended(supervised).number == 1
    assert supervised.next() is None
    assert supervised.process.wait(60) == 0
    assert not psutil.pid_exists(supervised.process.pid)
