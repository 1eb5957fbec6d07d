"""How many CPU threads torch may use."""

import os

import torch


def obey_omp_num_threads() -> None:
    """Set torch's number of threads from `OMP_NUM_THREADS`, where that is set.

    The variable counts only when the OpenMP library starts; a process forked from one that had imported
    torch before the variable was set would not see it.
    """
    # The variable may list one number per nesting level; the first is the outermost.
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if first.isdecimal() and int(first) > 0:
        torch.set_num_threads(int(first))
