"""A process that asks and tells until it is killed, and says what it has done."""

from __future__ import annotations

import sys

from kubestudy.search.archive import Archive
from kubestudy.search.search import hush_optuna
from kubestudy.study.outcome import Complete
from postgres.test_postgres import SPEC, ask, finish, record, value_of


def main() -> None:
    """Ask and tell in the database that is the first argument."""
    hush_optuna()
    search = Archive(sys.argv[1]).open(record(), SPEC)
    finish(search)
    while True:
        number = ask(search)
        print("asked", number, flush=True)
        search.tell(number, Complete((value_of(number),), {"loss": ((1, 0.5), (2, 0.4))}))
        print("told", number, flush=True)
