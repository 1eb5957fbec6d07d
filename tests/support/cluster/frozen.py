"""Operators that are stopped by SIGSTOP at a chosen write, and go on once another one has taken over: a program.

    python -m support.cluster.frozen STORAGE_BASE LEASE_NAMESPACE NAMESPACE=POINT...

Each namespace has two operators and a Lease of its own. The first is frozen at its POINT-th point (0: never; see
`support.cluster.crashing`), the second is started then, takes over when the Lease has run out, and is at work when the
first goes on in the middle of what it was doing. The first has to end by itself, and to write nothing more.

Prints, for each namespace, the study's phase, how many points the first operator passed, when it was let go on (None if
it never stood still), how often it was let write to its journal after that, and how it ended. The API server's audit
log knows the operators of a namespace apart by their user agents.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kubestudy.cli.operator_command import run_operator
from kubestudy.cluster import api
from kubestudy.search.journal_lock import JournalLock
from support.cluster.crashing import arm, at_point, phases

_AT_ONCE = 12
_LOOK_SECONDS = 0.2
_SECONDS = 300.0  # of which most is waiting for a processor
# So many points of the second operator's own show that it is at work.
_AT_WORK = 3


def user_agent(namespace: str, who: str) -> str:
    """Return what an operator, first or second, calls itself."""
    return f"kubestudy-{who}/{namespace}"


def _fork(base: Path, leases: str, namespace: str, point: int, who: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    log = os.open(base / f"{namespace}.{who}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    api._USER_AGENT = user_agent(namespace, who)
    arm(at_point(point, base / f"{namespace}.{who}", signal.SIGSTOP))
    _count_locks(at_point(-1, base / f"{namespace}.{who}.recorded"))
    os._exit(
        run_operator(
            {
                "storage": str(base / "storage"),
                "namespaces": (namespace,),
                "lease_namespace": leases,
                "lease_name": namespace,
                "health_port": 0,
                "history_port": 0,
                "health_address": "127.0.0.1",
            }
        )
    )


def _count_locks(taken: Callable[[], None]) -> None:
    """Count how often a journal's lock was taken, and the write under it allowed.

    Not the writes: one that was begun before a process froze is on the disk before that, and done after it.
    """
    acquire = JournalLock.acquire

    def counted(self: JournalLock) -> bool:
        acquire(self)
        taken()
        return True

    JournalLock.acquire = counted  # type: ignore[method-assign]


@dataclass
class Pair:
    """Two operators of one namespace.

    Attributes:
        first: The first one's process; None once it has ended.
        second: The second one's; None until the first is frozen, or was seen to the end.
        recorded: How often the first had been let write to its journal when it was let go on.
        thawed: Unix time of that; None if it never stood still.
        ended: The first one's exit code.
        stopping: Whether the second one was told to end.
    """

    base: Path
    leases: str
    namespace: str
    point: int
    began: float
    first: int | None = None
    second: int | None = None
    recorded: int = 0
    thawed: float | None = None
    ended: int | None = None
    stopping: bool = False

    def points(self, who: str) -> int:
        try:
            return int((self.base / f"{self.namespace}.{who}").read_text() or 0)
        except FileNotFoundError:
            return 0

    def look(self, phase: str) -> bool:
        """Do what is to be done now; return whether both have ended."""
        if time.monotonic() - self.began > _SECONDS:
            for pid in (self.first, self.second):
                if pid is not None:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
            return True
        if self.first is not None:
            self._look_at_first(phase)
        if self.second is not None and os.waitpid(self.second, os.WNOHANG)[0]:
            # On a busy machine it may lose its Lease, and is started again, as a pod would be.
            self.second = None if phase == "Complete" and self.first is None else self._start_second()
        if self.first is None and phase == "Complete" and self.second is not None and not self.stopping:
            self.stopping = True
            os.kill(self.second, signal.SIGTERM)
        elif self.first is None and phase != "Complete" and self.second is None:
            self.second = self._start_second()
        return self.first is None and self.second is None

    def _start_second(self) -> int:
        return _fork(self.base, self.leases, self.namespace, -1, "second")

    def _look_at_first(self, phase: str) -> None:
        assert self.first is not None
        found, status = os.waitpid(self.first, os.WNOHANG | os.WUNTRACED)
        if found and os.WIFSTOPPED(status):
            self.second = self._start_second()
        elif found:
            self.first, self.ended = None, os.waitstatus_to_exitcode(status)
        elif self.second is None and phase == "Complete":
            os.kill(self.first, signal.SIGTERM)  # its point never came
        elif self.second is not None and self.thawed is None and self._second_works(phase):
            self.recorded, self.thawed = self.points("first.recorded"), time.time()
            os.kill(self.first, signal.SIGCONT)

    def _second_works(self, phase: str) -> bool:
        log = self.base / f"{self.namespace}.second.log"
        leads = log.exists() and "leading as" in log.read_text()
        return leads and (self.points("second") >= _AT_WORK or phase == "Complete")


def main() -> None:
    """Run all of them, some at once."""
    base, leases = Path(sys.argv[1]), sys.argv[2]
    waiting = [(name, int(point)) for name, _, point in (word.partition("=") for word in sys.argv[3:])]
    running: list[Pair] = []
    done: list[Pair] = []
    shown: dict[str, str] = {}
    while waiting or running:
        while waiting and len(running) < _AT_ONCE:
            namespace, point = waiting.pop(0)
            pair = Pair(base, leases, namespace, point, time.monotonic())
            pair.first = _fork(base, leases, namespace, point, "first")
            running.append(pair)
        time.sleep(_LOOK_SECONDS)
        shown = asyncio.run(phases())
        ended = [pair for pair in running if pair.look(shown.get(pair.namespace, ""))]
        running = [pair for pair in running if pair not in ended]
        done += ended
    print(
        json.dumps(
            {
                pair.namespace: {
                    "phase": shown.get(pair.namespace, ""),
                    "points": pair.points("first"),
                    "thawed": pair.thawed,
                    "late": pair.points("first.recorded") - pair.recorded,
                    "ended": pair.ended,
                }
                for pair in done
            }
        )
    )


if __name__ == "__main__":
    main()
