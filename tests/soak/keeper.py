"""Keeps an operator running as a kubelet would, and samples it: probes, restarts, memory, threads, descriptors, lag."""

from __future__ import annotations

import re
import signal
import threading
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from soak.verdict import Restart, Sample
from support import forks
from support.cluster import processes

# As the chart's liveness probe.
_PROBE_SECONDS, _PROBE_TIMEOUT, _PROBE_FAILURES = 20.0, 5.0, 3
# Past this it is ended as a pod is that is past its memory limit: the machine has others to serve.
_MEMORY_LIMIT = 1536 * 2**20
_METRICS_TIMEOUT = 60.0
_READY_SECONDS = 180.0


@dataclass
class Keeper:
    """Starts an operator, and starts it again whenever it ends.

    Args:
        folder: Its storage and log.
        kubeconfig: How it reaches the API server.
        every: Seconds between two samples.
    """

    folder: Path
    kubeconfig: Path
    every: float = 1.0
    restarts: list[Restart] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "operator.log"
        self.port, self._history_port = processes.free_port(), processes.free_port()
        self._flags: tuple[str, ...] = ()
        self._process: forks.Process | None = None
        self._ordered = False
        self._condemned: str | None = None
        self._excused_until = 0.0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._keep, self._probe, self._sample)]

    @property
    def storage(self) -> Path:
        """The operator's storage folder."""
        return self.folder / "storage"

    def start(self, *flags: str) -> None:
        """Start it, and keep it running."""
        self._flags = flags
        self._launch()
        for thread in self._threads:
            thread.start()

    def end(self, number: signal.Signals) -> None:
        """End it by a signal; it is started again."""
        self._ordered = True
        if self._process is not None:
            self._process.send_signal(number)

    def start_again(self, *flags: str) -> None:
        """End it in order, and start it with other flags."""
        self._flags = flags
        self.end(signal.SIGTERM)

    def excused(self, seconds: float) -> None:
        """An end within so many seconds is due to a fault that was ordered."""
        self._excused_until = time.monotonic() + seconds

    def stop(self) -> None:
        """End it for good."""
        if self._over.is_set():
            return
        self._over.set()
        self.end(signal.SIGTERM)
        if self._process is not None:
            try:
                self._process.wait(60)
            except Exception:
                self._process.send_signal(signal.SIGKILL)
                self._process.wait(60)
        for thread in self._threads:
            thread.join(_METRICS_TIMEOUT)

    def ready(self) -> bool:
        """Tell whether it says that it is ready."""
        return processes.answers(f"http://127.0.0.1:{self.port}/readyz")

    # --- threads -----------------------------------------------------------------------------------------------------

    def _launch(self) -> None:
        command = [
            "operator", f"--storage={self.storage}", f"--health-port={self.port}", "--health-address=127.0.0.1",
            f"--history-port={self._history_port}", "--lease-namespace=kubestudy-system", *self._flags,
        ]  # fmt: skip
        # A process of its own: a fork shares the memory of what it was forked from, and its size would say nothing.
        with forks.forking(False), self.log.open("ab") as log:
            self._process = forks.start(command, self.folder, {"KUBECONFIG": str(self.kubeconfig)}, log)
        self._ordered, self._condemned = False, None

    def _condemn(self, why: str) -> None:
        """End it as a kubelet does for a reason of its own, which nobody ordered."""
        self._condemned = why
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)

    def _keep(self) -> None:
        while not self._over.wait(0.2):
            process = self._process
            if process is None or process.poll() is None:
                continue
            ordered = self._condemned is None and (self._ordered or time.monotonic() < self._excused_until)
            self.restarts.append(
                Restart(time.monotonic(), ordered, self._condemned or f"exit code {process.returncode}")
            )
            if self._over.wait(1.0):
                return
            self._launch()

    def _probe(self) -> None:
        failures, probed = 0, self._process
        while not self._over.wait(_PROBE_SECONDS):
            if self._process is not probed:
                failures, probed = 0, self._process
            failures = 0 if self._answers("/healthz", _PROBE_TIMEOUT) is not None else failures + 1
            if failures >= _PROBE_FAILURES and probed is not None:
                failures = 0
                self._condemn("its liveness probe failed")

    def _sample(self) -> None:
        while not self._over.wait(self.every):
            process, began = self._process, time.monotonic()
            text = self._answers("/metrics", _METRICS_TIMEOUT)
            took = time.monotonic() - began
            if text is None or process is not self._process or process is None:
                continue
            try:
                known = psutil.Process(process.pid)
                memory, threads, files = known.memory_info().rss, known.num_threads(), known.num_fds()
            except psutil.Error:
                continue
            said = figures(text)
            lag, stale = said.get("kubestudy_event_loop_lag_seconds", 0.0), said.get("kubestudy_stale_loops", 0.0)
            relaunch = quantile(text, "kubestudy_end_to_launch_seconds", 0.99)
            self.samples.append(
                Sample(began, process.pid, memory / 2**20, threads, files, lag, took, int(stale), relaunch)
            )
            if memory > _MEMORY_LIMIT:
                self._condemn(f"it had {memory / 2**20:.0f} MiB")

    def _answers(self, path: str, seconds: float) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=seconds) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return None


def figures(text: str) -> Mapping[str, float]:
    """Return the metrics without labels of a text in Prometheus' format."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if not line.startswith("#") and "{" not in line:
            found[name] = float(value)
    return found


def quantile(text: str, name: str, share: float) -> float:
    """Return the least bound of a histogram's buckets that so much of it is within; infinity if it is in none."""
    bounds = {
        float(m[1]): float(m[2]) for m in re.finditer(rf'^{name}_bucket{{le="([^"]+)"}} (\S+)$', text, re.MULTILINE)
    }
    whole = max(bounds.values(), default=0.0)
    return min((bound for bound, count in bounds.items() if count >= whole * share), default=0.0)
