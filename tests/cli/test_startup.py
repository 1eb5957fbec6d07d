"""What a command does not import, it does not wait for. No times here: they are in docs/benchmarks.md."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.study import manifest, write

# Each takes a tenth of a second or more to import.
SLOW = {
    "aiohttp", "alembic", "jinja2", "kopf", "kubernetes", "numpy", "optuna", "optuna_dashboard", "pandas", "plotly",
    "prometheus_client", "pydantic", "pydantic_settings", "rich", "sklearn", "sqlalchemy", "torch", "yaml",
}  # fmt: skip
PROGRAM = """
import json, sys
from {module} import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
finally:
    print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})), file=sys.stderr)
"""


def imported(*arguments: str, folder: Path, module: str = "kubestudy.cli.app") -> set[str]:
    """Run a command, and return which packages it imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(module=module), *arguments],
        cwd=folder, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("module", ["kubestudy.cli.app", "kubestudy.cli.plugin"])
@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_that_is_slow(module: str, arguments: list[str], tmp_path: Path) -> None:
    assert not SLOW & imported(*arguments, folder=tmp_path, module=module)


@pytest.mark.parametrize("module", ["kubestudy.cli.app", "kubestudy.cli.plugin"])
@pytest.mark.parametrize("arguments", [["trials", "--help"], ["history", "purge", "--help"]])
def test_help_of_a_command_imports_what_typer_needs(module: str, arguments: list[str], tmp_path: Path) -> None:
    assert SLOW & imported(*arguments, folder=tmp_path, module=module) <= {"pydantic"}


def test_a_manifest_is_checked_without_optuna_where_that_has_nothing_to_check(tmp_path: Path) -> None:
    for number, more in enumerate(({}, {"sampler": {"name": "tpe", "seed": 3}, "pruner": {"name": "median"}})):
        path = write(tmp_path, manifest(**more), f"{number}.yaml")
        assert SLOW & imported("validate", str(path), folder=tmp_path) == {"pydantic", "yaml"}


def test_with_options_it_is_optuna_that_checks_them(tmp_path: Path) -> None:
    path = write(tmp_path, manifest(pruner={"name": "median", "options": {"n_startup_trials": 3}}))
    found = imported("validate", str(path), folder=tmp_path)
    assert "optuna" in found
    assert not found & {"sqlalchemy", "alembic", "kubernetes", "aiohttp", "plotly", "rich"}


@pytest.mark.parametrize("arguments", [["list"], ["status", "demo"], ["logs", "demo", "0"], ["suspend", "demo"]])
def test_what_reads_a_folder_alone_imports_no_optuna(arguments: list[str], tmp_path: Path) -> None:
    folder = tmp_path / ".kubestudy" / "demo"
    (folder / "trials" / "00000").mkdir(parents=True)
    (folder / "trials" / "00000" / "trial.log").write_text("hello\n")
    (folder / "storage.json").write_text("{}")
    write(folder, manifest())
    assert SLOW & imported(*arguments, folder=tmp_path) == {"pydantic", "yaml"}


def test_the_crd_is_printed_without_optuna(tmp_path: Path) -> None:
    assert SLOW & imported("crd", folder=tmp_path) <= {"pydantic", "yaml"}
