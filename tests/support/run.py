"""Runs all tests (`make test`): those that use upstream's servers in one process, all others beside it in two more.

Many tests wait for something, so this takes much less time than one after the other. With KUBESTUDY_COVERAGE set
(`make coverage`) it measures coverage too, of every process that the tests start, which takes longer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MEASURED = bool(os.environ.get("KUBESTUDY_COVERAGE"))


def main() -> int:
    """Run them; return an exit code that is not 0 if any failed."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        # By files: an open browser keeps an event loop running, which other files' tests must not meet.
        workers = ("-n", "2", "--dist", "loadfile")
        folders = ("tests/cluster", "tests/prometheus")
        others = _start(data / "coverage.others", "tests", *(f"--ignore={folder}" for folder in folders), *workers)
        # If it fails, so do the tests that need what it builds.
        subprocess.run([sys.executable, "-m", "support.cluster.prepare"], cwd=ROOT / "tests", check=False)
        cluster = _start(data / "coverage.cluster", *folders, log=data / "cluster.log")
        codes = [others.wait(), cluster.wait()]
        print((data / "cluster.log").read_text(), flush=True)
        if MEASURED:
            _report([str(part) for part in data.glob("coverage.*")])
    return max(codes)


def _start(coverage: Path, *arguments: str, log: Path | None = None) -> subprocess.Popen[bytes]:
    measured = ("--cov", "--cov-report=") if MEASURED else ()
    command = [sys.executable, "-m", "pytest", *measured, "--durations=15", *arguments, *sys.argv[1:]]
    output = None if log is None else log.open("wb")
    environment = {**os.environ, "COVERAGE_FILE": str(coverage)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)


def _report(parts: list[str]) -> None:
    coverage = [str(Path(sys.executable).parent / "coverage")]
    subprocess.run([*coverage, "erase"], cwd=ROOT, check=False)
    subprocess.run([*coverage, "combine", "--quiet", *parts], cwd=ROOT, check=False)
    subprocess.run([*coverage, "report", "--skip-covered"], cwd=ROOT, check=False)


if __name__ == "__main__":
    sys.exit(main())
