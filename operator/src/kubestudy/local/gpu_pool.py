"""The GPUs of this machine, shared out among trials as a cluster's scheduler would. CUDA itself is never touched."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from kubestudy.api.gpus import gpus_in
from kubestudy.api.job import PodSpec

_SECONDS = 10


def find_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the ids of the GPUs that may be used.

    Args:
        environment: Where a CUDA_VISIBLE_DEVICES of the user's own limits them.

    Returns:
        Ids as CUDA_VISIBLE_DEVICES takes them; empty without a GPU or its driver.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [gpu.strip() for gpu in visible.split(",") if gpu.strip() and not gpu.strip().startswith("-")]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        listed = subprocess.run(
            [tool, "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in listed.stdout.splitlines() if line.strip().isdigit()]


def gpus_per_trial(pod: PodSpec) -> int:
    """Return how many GPUs a trial asks for: whole ones, since a share of one is a cluster's to cut."""
    return math.ceil(gpus_in(pod))


class GpuPool:
    """Hands out GPUs and takes them back.

    Args:
        gpus: The ids to share out.
        per_trial: How many one trial asks for. On a machine with fewer, a trial gets what there is.
    """

    def __init__(self, gpus: Sequence[str], per_trial: int) -> None:
        self._free = list(gpus)
        self.per_trial = min(per_trial, len(gpus))

    def take(self) -> list[str] | None:
        """Return the ids for one trial, or None while too few are free."""
        if len(self._free) < self.per_trial:
            return None
        taken, self._free = self._free[: self.per_trial], self._free[self.per_trial :]
        return taken

    def give_back(self, gpus: Sequence[str]) -> None:
        """Take back what `take` gave."""
        self._free += gpus
