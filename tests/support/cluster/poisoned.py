"""An operator with studies that do it harm when they are asked for a trial, started again whenever it ends.

    python -m support.cluster.poisoned FOLDER NAMESPACE

A study whose name begins with `poison` kills the process, as the kernel does for want of memory, and one whose name
begins with `hangs` does not come back; until there is a file `mended` in the folder. The operator is started again as a
kubelet would, without its pauses. Ends with the operator when it is told to.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from kubestudy.cli.operator_command import run_operator
from kubestudy.search.search import OptunaSearch
from kubestudy.study.trial import Suggestion


def _arm(mended: Path) -> None:
    ask = OptunaSearch.ask

    def poisoned(self: OptunaSearch) -> Suggestion | None:
        name = self._study.study_name.split("/")[1]
        if not mended.exists():
            if name.startswith("poison"):
                os.kill(os.getpid(), signal.SIGKILL)
            while name.startswith("hangs") and not mended.exists():
                time.sleep(0.05)
        return ask(self)

    OptunaSearch.ask = poisoned  # type: ignore[method-assign]


def _fork(folder: Path, namespace: str, port: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    log = os.open(folder / "operator.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    _arm(folder / "mended")
    settings = {
        "storage": str(folder / "storage"), "namespaces": (namespace,), "leader_election": False,
        "health_port": port, "history_port": 0, "health_address": "127.0.0.1",
    }  # fmt: skip
    code = run_operator(settings)
    sys.stdout.flush()
    os._exit(code)


def main() -> None:
    """Start it until it is told to stop."""
    folder, namespace, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(1))
    pid = _fork(folder, namespace, port)
    asked = False
    while True:
        if told and not asked:
            asked = True
            os.kill(pid, signal.SIGTERM)
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended and told:
            sys.exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1)
        if ended:
            pid = _fork(folder, namespace, port)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
