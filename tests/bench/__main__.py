"""`python -m bench [NAME...]`: run the benchmarks and print a table each; all of them by default."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable

import psutil

from bench import ask, beale, cluster, digits, memory, metrics, noop, pruning, scale, storages, thousand

BENCHMARKS: dict[str, Callable[[], None]] = {
    "ask": ask.main,
    "storages": storages.main,
    "noop": noop.main,
    "memory": memory.main,
    "digits": digits.main,
    "beale": beale.main,
    "pruning": pruning.main,
    "metrics": metrics.main,
    "cluster": cluster.main,
    "scale": scale.main,
    "thousand": thousand.main,
}


def main() -> None:
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise SystemExit(f"no benchmark {', '.join(unknown)}: there are {', '.join(BENCHMARKS)}")
    cores = len(os.sched_getaffinity(0))
    memory_gib = psutil.virtual_memory().total / 2**30
    print(f"{platform.machine()}, {cores} cores, {memory_gib:.0f} GiB, Python {platform.python_version()},"
          f" load {os.getloadavg()[0]:.2f}")  # fmt: skip
    for name in names:
        print(f"\n== {name}", flush=True)
        BENCHMARKS[name]()


if __name__ == "__main__":
    main()
