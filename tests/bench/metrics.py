"""What watching costs: a reading of 1,000 running trials through Prometheus, `/metrics` with 1,000 studies.

The server is another process that answers as Prometheus does, from a file: its own time is not the operator's.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kubestudy.api.status import BestTrial, StudyStatus, TrialCounts, Used
from kubestudy.api.study import Budget
from kubestudy.metrics.own import OperatorMetrics
from kubestudy.metrics.prometheus import PrometheusMetrics
from kubestudy.metrics.server import Access, PrometheusServer
from kubestudy.search.search import OptunaSearch, hush_optuna
from kubestudy.search.storage import open_storage
from kubestudy.study.readings import Readings
from kubestudy.study.trial import Observed, TrialPhase
from support.cluster.processes import free_port
from support.manifests import LOSS, spec_of
from support.wait import until

TRIALS, METRICS, TICKS, STUDIES, PARAMETERS = 1000, 3, 5, 1000, 6
SERVER = """
import http.server, pathlib, re, sys, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        trials = pathlib.Path(sys.argv[2]).read_bytes().splitlines()
        asked = re.search(r"[(]([0-9|]+)[)]-", form["query"][0])
        found = trials if asked is None else [trials[int(number)] for number in asked[1].split("|")]
        inner = b'{"resultType": "vector", "result": [' + b",".join(found) + b"]}"
        body = b'{"status": "success", "data": ' + inner + b"}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def answer(step: int) -> bytes:
    """Return what Prometheus would answer, a line for each trial: a value and a step of each metric."""
    lines = []
    for number in range(TRIALS):
        result = []
        for metric in range(METRICS):
            labels: dict[str, str] = {
                "namespace": "team", "pod": f"demo-0123456789-{number}-abcde", "instance": f"10.0.0.{number}:9090",
                "job": "kubestudy-trials", "study": "demo", "trial": str(number), "kubestudy_dev_study": "demo",
                "kubestudy_dev_trial": str(number), "metric": "loss" if metric == 0 else f"metric_{metric}",
            }  # fmt: skip
            for name, value in (("kubestudy_trial_metric", 1 / (1 + number + step)), ("kubestudy_trial_step", step)):
                result.append({"metric": labels | {"__name__": name}, "value": [time.time(), str(value)]})
        lines.append(json.dumps(result)[1:-1])
    return "\n".join(lines).encode()


async def ticks(url: str, body: Path, search: OptunaSearch) -> tuple[list[float], list[float]]:
    """Return the processor seconds of readings, and of reports to Optuna with the pruner's answers."""
    server = PrometheusServer(Access(url))
    metrics = PrometheusMetrics(server, "team", "demo-0123456789-", ("loss", "metric_1", "metric_2"), interval=0.0)
    readings = Readings(metrics, time.time)
    trials = [Observed(n, TrialPhase.RUNNING, 0.0, pod=f"demo-0123456789-{n}-abcde") for n in range(TRIALS)]
    reading, reporting = [], []
    for step in range(1, TICKS + 1):
        body.write_bytes(answer(step))
        begun = time.process_time()
        readings.begin(trials)
        await asyncio.wait(readings.under_way)
        fresh = readings.finished(range(TRIALS), "loss")
        reading.append(time.process_time() - begun)
        assert len(fresh) == TRIALS
        begun = time.process_time()
        search.report(fresh)
        reporting.append(time.process_time() - begun)
    await server.close()
    return reading, reporting


def exposition() -> tuple[float, int]:
    """Return the seconds and bytes of `/metrics` with many studies."""
    metrics = OperatorMetrics()
    params: dict[str, Any] = {f"parameter_{n}": 0.123456789 for n in range(PARAMETERS)}
    for number in range(STUDIES):
        best = BestTrial(number=7, values={"val_accuracy": 0.98}, params=params)
        status = StudyStatus(
            phase="Running", best=best, trials=TrialCounts(total=40, running=4), used=Used(trials=40, seconds=100.0)
        )
        metrics.show(f"team-{number % 20}", f"study-of-something-{number}", status, Budget(max_trials=60, patience=20))
    begun = time.perf_counter()
    size = len(metrics.text())
    return time.perf_counter() - begun, size


def main() -> None:
    hush_optuna()
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        body = folder / "answer.json"
        server = subprocess.Popen([sys.executable, "-c", SERVER, str(port), str(body)])
        try:
            spec = spec_of(
                objectives=[LOSS], sampler={"name": "random"}, pruner={"name": "median"}, budget={"maxTrials": TRIALS}
            )
            search = OptunaSearch(spec, open_storage(folder / "journal.log", sole_writer=True), "demo", "journal")
            for _ in range(TRIALS):
                search.ask()
            body.write_bytes(answer(0))
            until(lambda: _answers(port), 10, what="the server")
            reading, reporting = asyncio.run(ticks(f"http://127.0.0.1:{port}", body, search))
        finally:
            server.terminate()
            server.wait()
    series = TRIALS * METRICS * 2
    print(
        f"a reading, {series:,} series of {TRIALS:,} running trials: {statistics.median(reading) * 1000:.0f} ms of CPU"
    )
    print(
        f"  and {TRIALS:,} reports to Optuna with the median pruner's answers, in the search's own thread:"
        f" {statistics.median(reporting) * 1000:.0f} ms of CPU"
    )
    seconds, size = exposition()
    print(f"/metrics with {STUDIES:,} studies: {seconds * 1000:.0f} ms, {size / 2**20:.2f} MiB")


def _answers(port: int) -> bool:

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
