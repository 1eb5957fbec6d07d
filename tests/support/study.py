"""Making manifests and running `kubestudy` on them as a user does: a process, its output, its exit code."""

from __future__ import annotations

import copy
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support import forks

KUBESTUDY = forks.KUBESTUDY
ROOT = Path(__file__).parents[2]

# Writes its number's square as the result, as any program could that knows only the contract.
SQUARE = 'echo "{\\"values\\": {\\"y\\": $(awk "BEGIN {print $x * $x}")}}" > "$KUBESTUDY_TERMINATION_LOG"'


def manifest(script: str = SQUARE, **spec: Any) -> dict[str, Any]:
    """Return a study of one float `x` whose trials run a shell script; keyword arguments replace parts of the spec.

    `pod` and `job` are merged into the pod's and the Job's spec, `container` into the container.
    """
    container = {"name": "trainer", "image": "none", "command": ["sh", "-c", script], **spec.pop("container", {})}
    pod = {"containers": [container], "terminationGracePeriodSeconds": 2, **spec.pop("pod", {})}
    return {
        "apiVersion": "kubestudy.dev/v1alpha1",
        "kind": "HyperparameterStudy",
        "metadata": {"name": spec.pop("name", "demo")},
        "spec": {
            "objectives": [{"metric": "y", "goal": "minimize"}],
            "parameters": [{"name": "x", "type": "float", "low": -1.0, "high": 1.0}],
            "sampler": {"name": "random", "seed": 1},
            "budget": {"maxTrials": 4},
            "parallelism": 2,
            "jobTemplate": {"spec": {"template": {"spec": pod}, **spec.pop("job", {})}},
            **copy.deepcopy(spec),
        },
    }


def write(folder: Path, study: dict[str, Any], name: str = "study.yaml") -> Path:
    """Write a manifest to a folder."""
    path = folder / name
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path


@dataclass(frozen=True)
class Finished:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output as JSON."""
        return json.loads(self.out)


def kubestudy(*args: str | Path, cwd: Path, env: dict[str, str] | None = None, timeout: float = 300) -> Finished:
    """Run `kubestudy` to its end."""
    running = forks.start([*map(str, args)], cwd, env)
    try:
        out, err = running.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        running.kill()
        raise
    return Finished(running.wait(), out, err)


def start(*args: str | Path, cwd: Path) -> forks.Process:
    """Start `kubestudy` and leave it running."""
    return forks.start([*map(str, args)], cwd)


def trials(cwd: Path, name: str = "demo") -> list[dict[str, Any]]:
    """Return a study's trials, as `kubestudy trials -o json` lists them."""
    listed: list[dict[str, Any]] = kubestudy("trials", name, "-o", "json", cwd=cwd).json
    return listed
