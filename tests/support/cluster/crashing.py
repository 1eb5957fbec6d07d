"""Operators that die by SIGKILL at a chosen write, and are started again: run as a program of its own.

    python -m support.cluster.crashing STORAGE_BASE NAMESPACE=POINT...

Writes are requests that change something on the API server, and appends to a journal; each has a point before and one
after it. An operator that looks after NAMESPACE alone dies at its POINT-th point (0: never); the next one lives until
the namespace's study is complete. All operators are forked from this one process, which has imported everything, so
that hundreds of them take minutes. Prints, for each namespace, how many points its first operator passed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend

from kubestudy.cli.operator_command import run_operator
from kubestudy.cluster.api import KubeApi

_AT_ONCE = 10
_LOOK_SECONDS = 0.2
_SECONDS = 300.0  # of which most is waiting for a processor


def at_point(point: int, passed: Path, number: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """Return what is to be called at each point: it counts them in a file, and sends a signal at one."""
    count = 0
    counter = os.open(passed, os.O_WRONLY | os.O_CREAT)

    def reached() -> None:
        nonlocal count
        count += 1
        os.pwrite(counter, f"{count:6}".encode(), 0)
        if count == point:
            os.kill(os.getpid(), number)

    return reached


def arm(reached: Callable[[], None]) -> None:
    """Have something called before and after each write of this process; those of an election are left out."""
    once, append = KubeApi._once, JournalFileBackend.append_logs

    async def request(self: KubeApi, verb: str, url: str, *rest: Any) -> bytes:
        if verb == "GET" or "/leases" in url:
            return await once(self, verb, url, *rest)
        reached()
        answer = await once(self, verb, url, *rest)
        reached()
        return answer

    def append_logs(self: JournalFileBackend, logs: list[dict[str, Any]]) -> None:
        reached()
        append(self, logs)
        reached()

    # What is put in their place takes whatever it is given.
    KubeApi._once = request  # type: ignore[method-assign, assignment]
    JournalFileBackend.append_logs = append_logs  # type: ignore[method-assign]


def _fork(base: Path, namespace: str, point: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    log = os.open(base / f"{namespace}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    arm(at_point(point, base / f"{namespace}.{'first' if point >= 0 else 'later'}"))
    os._exit(
        run_operator(
            {
                "storage": str(base / "storage"),
                "namespaces": (namespace,),
                "leader_election": False,
                "health_port": 0,
                "history_port": 0,
                "health_address": "127.0.0.1",
            }
        )
    )


async def phases() -> dict[str, str]:
    """Return the phase of each study, by namespace."""
    api = await KubeApi.from_environment()
    try:
        found = await api.get("/apis/kubestudy.dev/v1alpha1/hyperparameterstudies")
    finally:
        await api.close()
    return {item["metadata"]["namespace"]: (item.get("status") or {}).get("phase", "") for item in found["items"]}


def main() -> None:
    """Run all of them, some at once."""
    base = Path(sys.argv[1])
    waiting = [(name, int(point)) for name, _, point in (word.partition("=") for word in sys.argv[2:])]
    running: dict[str, tuple[int, float]] = {}
    ending: dict[str, int] = {}
    outcome: dict[str, str] = {}
    while waiting or running or ending:
        while waiting and len(running) < _AT_ONCE:
            namespace, point = waiting.pop(0)
            running[namespace] = (_fork(base, namespace, point), time.monotonic())
        time.sleep(_LOOK_SECONDS)
        shown = asyncio.run(phases())
        for namespace, (pid, began) in list(running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
                running[namespace] = (_fork(base, namespace, -1), began)
            elif ended:
                outcome[namespace] = f"ended by itself: {status}"
                del running[namespace]
            elif shown.get(namespace) == "Complete" or time.monotonic() - began > _SECONDS:
                os.kill(pid, signal.SIGTERM)
                outcome[namespace] = shown.get(namespace, "")
                ending[namespace] = running.pop(namespace)[0]
        ending = {name: pid for name, pid in ending.items() if not os.waitpid(pid, os.WNOHANG)[0]}
    points = {name: int((base / f"{name}.first").read_text()) for name in outcome}
    print(json.dumps({"phases": outcome, "points": points}))


if __name__ == "__main__":
    main()
