"""What holds for all tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import hypothesis
import pytest

from support import forks

# Compiled modules are kept, here and in the processes that tests start: without them each of these compiles Optuna,
# Plotly and scikit-learn anew, which takes it seconds. Containers of tests find PyTorch's beside its sources.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# How long an example takes is the machine's affair; a test that never ends is ended by its own limit.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _forks() -> Iterator[None]:
    """Commands are forks, unless what each of them runs through is measured."""
    with forks.forking("KUBESTUDY_COVERAGE" not in os.environ):
        yield
