"""How many CPU threads torch may use, and how they wait for work."""

import os


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they have nothing to do, unless the user chose how they wait.

    They spin by default, which on a machine that has other things to do makes training with several threads many
    times slower. The OpenMP library reads the variable once, when it is loaded: call this before torch is imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def obey_omp_num_threads() -> None:
    """Set torch's number of threads from `OMP_NUM_THREADS`, where that is set.

    The variable counts only when the OpenMP library starts; a process forked from one that had imported
    torch before the variable was set would not see it.
    """
    import torch  # noqa: PLC0415 - what has to come before it is in this module too

    # The variable may list one number per nesting level; the first is the outermost.
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if first.isdecimal() and int(first) > 0:
        torch.set_num_threads(int(first))
