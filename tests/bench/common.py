"""What the benchmarks share: medians, and studies in temporary folders."""

from __future__ import annotations

import copy
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from support.study import KUBESTUDY, ROOT


def example(name: str, **spec: Any) -> dict[str, Any]:
    """Return an example's manifest with parts of its spec replaced."""
    manifest: dict[str, Any] = yaml.safe_load((ROOT / "examples" / f"{name}.yaml").read_text())
    manifest["spec"] |= copy.deepcopy(spec)
    return manifest


def timed_run(manifest: dict[str, Any]) -> tuple[float, dict[str, Any], list[dict[str, Any]]]:
    """Run `kubestudy run` in a fresh folder.

    Returns:
        Wall seconds, the finished object, and its trials.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        path.write_text(yaml.safe_dump(manifest, sort_keys=False))
        begun = time.perf_counter()
        done = subprocess.run([KUBESTUDY, "run", path, "-o", "json"], cwd=folder, capture_output=True, check=False)
        wall = time.perf_counter() - begun
        if done.returncode != 0:
            raise SystemExit(done.stderr.decode())
        listed = subprocess.run([KUBESTUDY, "trials", path, "-o", "json"], cwd=folder, capture_output=True, check=True)
        exits = sorted(Path(folder).glob(".kubestudy/*/trials/*/exit.json"))
        trials = json.loads(listed.stdout)
        for trial, record in zip(trials, exits, strict=True):
            trial["exit"] = json.loads(record.read_text())
        return wall, json.loads(done.stdout), trials
