"""A real server for all tests of this folder, and a database of its own for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from kubestudy.search.search import hush_optuna
from support.postgres import CutConnection, Postgres, postgres

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    hush_optuna()
    with postgres() as running:
        yield running


@pytest.fixture
def name() -> str:
    return f"kubestudy{next(_numbers)}"


@pytest.fixture
def url(server: Postgres, name: str) -> str:
    return server.database(name)


@pytest.fixture
def proxy(server: Postgres) -> Iterator[CutConnection]:
    between = CutConnection(server.port)
    between.start()
    yield between
    between.close()
