"""No-op trials per second, against a bare loop that forks a warm process per trial and reads its result.

The bare loop keeps as many in flight and does nothing else: no search, no storage, no logs. Ray Tune beside it, if
`ray[tune]` is installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile

from bench.common import example, timed_run

TRIALS = 400
IN_FLIGHT = 4

BARE = """
import gc, json, os, sys, time
from kubestudy_trainer import warm
import kubestudy_trainer.__main__ as trainer
warm.preload()
gc.collect(); gc.freeze()
trials, in_flight, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
nothing = os.open(os.devnull, os.O_WRONLY)
running, started, read = {}, 0, 0
begun = time.perf_counter()
while read < trials:
    while started < trials and len(running) < in_flight:
        path = f"{folder}/{started}.json"
        pid = os.fork()
        if pid == 0:
            os.environ.update(KUBESTUDY_TERMINATION_LOG=path, KUBESTUDY_METRICS_ADDRESS="127.0.0.1",
                              KUBESTUDY_METRICS_PORT=str(20000 + started),
                              KUBESTUDY_TRIALS=json.dumps([{"number": started, "params": {}}]))
            os.dup2(nothing, 1)
            code = trainer.main(["--model=beale", "--x=1", "--y=2"])
            os._exit(code)
        running[pid] = path
        started += 1
    pid, _ = os.wait()
    with open(running.pop(pid)) as file:
        json.load(file)["values"]["value"]
    read += 1
print(time.perf_counter() - begun)
os._exit(0)
"""

RAY = """
import time, ray
from ray import tune
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
begun = time.perf_counter()
tune.Tuner(lambda config: {"value": 1.0}, tune_config=tune.TuneConfig(num_samples=20),
           param_space={"x": tune.uniform(0, 1)}).fit()
print("seconds", time.perf_counter() - begun)
"""


def bare() -> float:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", BARE, str(TRIALS), str(IN_FLIGHT), folder],
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
            capture_output=True,
            check=True,
        )
    return TRIALS / float(done.stdout)


def kubestudy() -> float:
    manifest = example("beale", parallelism=IN_FLIGHT, budget={"maxTrials": TRIALS}, sampler={"name": "random"})
    manifest["spec"]["objectives"][0].pop("target")
    _, _, trials = timed_run(manifest)
    ends = [trial["exit"] for trial in trials]
    seconds: float = max(e["ended"] for e in ends) - min(e["started"] for e in ends)
    return TRIALS / seconds


def main() -> None:
    for _ in range(3):
        base, ours = bare(), kubestudy()
        print(
            f"{TRIALS} trials, {IN_FLIGHT} in flight: kubestudy {ours:.1f}/s, bare loop {base:.1f}/s:"
            f" {ours / base:.0%} of it",
            flush=True,
        )
    if importlib.util.find_spec("ray") is None:
        print("Ray Tune: not installed here (pip install 'ray[tune]' to see its figure)")
        return
    done = subprocess.run([sys.executable, "-c", RAY], capture_output=True, text=True, check=False)
    figure = [line for line in done.stdout.splitlines() if line.startswith("seconds")]
    print(f"Ray Tune, 20 no-op trials: {figure[0] if figure else json.dumps(done.stderr[-300:])}")
