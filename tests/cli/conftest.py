"""Here the command is what a user starts, from its first import on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support import forks


@pytest.fixture(scope="module", autouse=True)
def _installed_command() -> Iterator[None]:
    with forks.forking(False):
        yield
