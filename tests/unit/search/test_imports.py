"""What is slow to import is imported only where it is needed: a command line should answer at once."""

from __future__ import annotations

import pytest

from unit.search.programs.running import run


@pytest.mark.parametrize(
    "program",
    [
        "light_checks.py",  # a manifest whose sampler and pruner have no options: no Optuna
        "light_journal.py",  # a study in a journal: no database, no plots
    ],
)
def test_what_is_not_needed_is_not_imported(program: str) -> None:
    run(program)
