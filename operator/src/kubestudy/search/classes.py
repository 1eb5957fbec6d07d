"""From an algorithm's declaration to its class."""

from __future__ import annotations

import importlib
from typing import Any

from kubestudy.api.algorithms import Algorithm


def class_of(algorithm: Algorithm) -> type[Any]:
    """Return the class of a sampler or pruner. Optuna, which takes a while to import, is imported only then."""
    module, _, name = algorithm.target.rpartition(".")
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found
