"""From an algorithm's declaration to its class."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from kubestudy.api.algorithms import Algorithm


def class_of(algorithm: Algorithm) -> type[Any]:
    """Return the class of a sampler or pruner. Optuna, which takes a while to import, is imported only then.

    What a manifest names was chosen on purpose: that Optuna calls it experimental is nothing to warn of.
    """
    import optuna  # noqa: PLC0415  (checking a manifest without options needs none of it)

    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    module, _, name = algorithm.target.rpartition(".")
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found
