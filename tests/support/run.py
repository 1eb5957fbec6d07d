"""Runs the tests: all of them (`make test`), those of a file, folder or node id (`make test ONLY=...`), or `make unit`.

    python tests/support/run.py [--only WHAT | --unit] [arguments for pytest]

All of them are several processes side by side, since most tests wait for something: two for those without a cluster,
and three with a cluster each. Within each the slowest begin. With KUBESTUDY_COVERAGE set (`make coverage`) it measures
coverage too, of every process that the tests start, which takes longer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MEASURED = bool(os.environ.get("KUBESTUDY_COVERAGE"))
# These need upstream's servers.
SERVERS = ("tests/cluster", "tests/prometheus")
# Clusters beside one another; a third one has all that is not named here.
CLUSTERS = (
    ("tests/cluster/test_prometheus.py", "tests/cluster/test_expressions.py"),
    ("tests/cluster/test_chart.py", "tests/cluster/test_real_node.py", "tests/cluster/test_plugin.py"),
)
SLOWEST = ("tests/examples", "tests/local", "tests/report", "tests/cli", "tests/trainer")
# By files: an open browser keeps an event loop running, which other files' tests must not meet.
WORKERS = ("-n", "2", "--dist", "loadfile")
STEALING = ("-n", "2", "--dist", "worksteal")
# No cluster, no browser, no PyTorch.
UNIT = ("tests/unit", "tests/docs", "tests/trainer", *(f"--ignore-glob=*/test_{n}.py" for n in ("resume", "training")))


@dataclass
class Part:
    """A process of pytest.

    Attributes:
        name: What it is called.
        arguments: What it runs.
        log: Where its output goes until it has ended; nothing for standard output.
        process: Itself.
        begun: When it was started, by the monotonic clock.
    """

    name: str
    arguments: tuple[str, ...]
    log: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    begun: float = field(default_factory=time.monotonic)

    def start(self, coverage: Path, more: list[str]) -> None:
        """Start it, with more arguments for pytest."""
        measured = ("--cov", "--cov-report=") if MEASURED else ()
        command = [sys.executable, "-m", "pytest", *measured, "--durations=15", *self.arguments, *more]
        output = None if self.log is None else self.log.open("wb")
        environment = {**os.environ, "COVERAGE_FILE": str(coverage)}
        self.begun = time.monotonic()
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)

    def end(self) -> int:
        """Wait for its end, and show what it wrote; return its exit code."""
        assert self.process is not None
        code = self.process.wait()
        if self.log is not None:
            print(self.log.read_text(), flush=True)
        print(f"{self.name}: exit code {code} after {time.monotonic() - self.begun:.0f} s", flush=True)
        return code


def main(arguments: list[str]) -> int:
    """Run them; return an exit code that is not 0 if any failed."""
    if arguments[:1] == ["--unit"]:
        return subprocess.run(_pytest(*UNIT, *STEALING, *arguments[1:]), cwd=ROOT, check=False).returncode
    if arguments[:1] == ["--only"]:
        return subprocess.run(_pytest(*arguments[1:]), cwd=ROOT, check=False).returncode
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        first, *clusters = parts(data)
        first.start(data / "coverage.0", arguments)
        # If it fails, so do the tests that need what it builds.
        subprocess.run([sys.executable, "-m", "support.cluster.prepare"], cwd=ROOT / "tests", check=False)
        for number, part in enumerate(clusters, 1):
            part.start(data / f"coverage.{number}", arguments)
        codes = [part.end() for part in (first, *clusters)]
        if MEASURED:
            _report([str(part) for part in data.glob("coverage.*")])
    return max(map(abs, codes))


def parts(folder: Path) -> list[Part]:
    """Return what all tests are run as: those without a cluster, and those with one."""
    others = Part("without a cluster", (*SLOWEST, "tests", *_ignored(SERVERS), *WORKERS, "--no-loadscope-reorder"))
    if os.environ.get("KUBECONFIG"):  # there is one cluster for all
        return [others, Part("cluster", SERVERS, folder / "cluster.log")]
    rest = (*SERVERS, *_ignored(file for files in CLUSTERS for file in files))
    return [
        others,
        *(Part(f"cluster {n}", files, folder / f"cluster-{n}.log") for n, files in enumerate((*CLUSTERS, rest), 1)),
    ]


def _pytest(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "--durations=15", *arguments]


def _ignored(paths: Iterable[str]) -> list[str]:
    return [f"--ignore={path}" for path in paths]


def _report(found: list[str]) -> None:
    coverage = [str(Path(sys.executable).parent / "coverage")]
    subprocess.run([*coverage, "erase"], cwd=ROOT, check=False)
    subprocess.run([*coverage, "combine", "--quiet", *found], cwd=ROOT, check=False)
    subprocess.run([*coverage, "report", "--skip-covered"], cwd=ROOT, check=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
