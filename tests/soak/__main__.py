"""`python -m soak`: soak the operator; exit code 1 if something does not hold. `make soak` runs it."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from pathlib import Path

import psutil

from soak.hostile import KINDS
from soak.report import as_data, as_text
from soak.run import Options, soak
from soak.verdict import Bounds


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="soak", description="Soak the operator on simulated nodes.")
    parser.add_argument("--seconds", type=float, default=1800, help="half without hostile tenants, half with them")
    parser.add_argument("--studies", type=int, default=200, help="studies at once, a tenth of them hostile")
    parser.add_argument("--tenants", type=int, default=20)
    parser.add_argument("--idle", type=int, default=0, help="how many of the studies do nothing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault-every", type=float, default=20, help="seconds between faults; 0: none")
    parser.add_argument("--hostile", default="", help=f"attacks by name: {', '.join(sorted(KINDS))}; or none")
    parser.add_argument("--no-calm", action="store_true", help="leave the phase without hostile tenants out")
    parser.add_argument("--no-prometheus", action="store_true", help="trials' pods are read to the end")
    parser.add_argument("--sample", type=float, default=1.0, help="seconds between looks at the operator")
    parser.add_argument("--memory", type=float, default=400, help="MiB that the operator may have")
    parser.add_argument("--folder", type=Path, help="where logs and storages are left; a temporary folder if left out")
    parser.add_argument("--json", type=Path, help="a file for the report as JSON")
    return parser.parse_args()


def main() -> int:
    """Run it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended all the same
    os.environ.pop("KUBECONFIG", None)  # the control plane is killed and frozen: it has to be ours
    given = _options()
    hostile = tuple(filter(None, given.hostile.split(",")))
    alone = hostile == ("none",)
    if unknown := [] if alone else [name for name in hostile if name not in KINDS]:
        print(f"no attack {', '.join(unknown)}: there are {', '.join(sorted(KINDS))}", file=sys.stderr)
        return 2
    options = Options(
        given.seconds, given.studies, given.tenants, given.idle, given.seed, given.fault_every,
        () if alone else hostile, prometheus=not given.no_prometheus, calm=alone or not given.no_calm, beset=not alone,
        sample=given.sample,
    )  # fmt: skip
    cores, size = len(os.sched_getaffinity(0)), psutil.virtual_memory().total / 2**30
    print(f"{platform.machine()}, {cores} cores, {size:.0f} GiB, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as temporary:
        phases, wrong = soak(given.folder or Path(temporary), options, Bounds(memory=given.memory), _say)
    print(as_text(phases, wrong))
    if given.json is not None:
        given.json.write_text(json.dumps(as_data(phases, wrong), indent=1))
    return 1 if wrong else 0


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
