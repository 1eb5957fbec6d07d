"""Imports ahead of time what takes seconds, for a server that forks one process per trial."""

from kubestudy_trainer.threads import wait_passively


def preload() -> None:
    """Import all that the `mlp` model needs, and read the built-in data sets.

    No tensor is computed and CUDA is not touched, so no thread and no device context exists that a forked
    child would miss.

    Raises:
        ImportError: The `torch` extra is not installed.
    """
    wait_passively()
    import torch._dynamo  # noqa: F401, PLC0415 - an optimiser imports it at its first step otherwise

    from kubestudy_trainer import datasets, training  # noqa: F401, PLC0415

    datasets.preload()
