"""Helm as an administrator's program."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.cluster.tools import HELM


class Helm:
    """Runs Helm.

    Args:
        kubeconfig: The cluster it works on.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self._program = HELM.programs() / "helm"
        self._kubeconfig = kubeconfig

    def __call__(self, *arguments: str | Path, check: bool = True, stdin: str | None = None) -> str:
        """Run a command; return all that it says."""
        done = subprocess.run(
            [self._program, *map(str, arguments), f"--kubeconfig={self._kubeconfig}"],
            input=stdin, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr
