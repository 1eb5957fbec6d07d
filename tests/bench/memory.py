"""Progress of the loop, and time per trial, over 5,000 no-op trials with the random sampler."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import psutil
import yaml

from bench.common import example
from support.study import KUBESTUDY

TRIALS = 5000
WINDOW = 500


def main() -> None:
    manifest = example("beale", parallelism=4, budget={"maxTrials": TRIALS}, sampler={"name": "random"})
    manifest["spec"]["objectives"][0].pop("target")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        path.write_text(yaml.safe_dump(manifest))
        process = psutil.Popen(
            [KUBESTUDY, "run", str(path)], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        last = Path(folder) / ".kubestudy" / "beale" / "trials" / f"{TRIALS - 1:05d}"
        peak = 0
        while process.poll() is None and not last.exists():  # before the report is made
            try:
                peak = max(peak, process.memory_info().rss)
                process.wait(timeout=0.2)
            except (psutil.Error, subprocess.TimeoutExpired):
                continue
        process.wait()
        ends = sorted(json.loads(p.read_text())["ended"] for p in last.parent.glob("*/exit.json"))
    first = (ends[WINDOW] - ends[0]) / WINDOW * 1000
    final = (ends[-1] - ends[-1 - WINDOW]) / WINDOW * 1000
    print(f"memory of the loop up to its {TRIALS}th trial: {peak / 2**20:.0f} MiB")
    print(f"per trial: first {WINDOW} {first:.1f} ms, last {WINDOW} {final:.1f} ms: {final / first:.2f} times")
