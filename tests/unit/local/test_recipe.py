"""Which files belong to what trials run, and what of them counts as a change."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from kubestudy.local.container import Machine
from kubestudy.local.recipe import Recipe, named_files, recipe_of
from support.manifests import spec_of


def machine(folder: Path, *command: str) -> Machine:
    return Machine(environment={}, cores=2, folder=folder, bin_folder=folder / "bin", command=command)


def named(folder: Path, *, exec_: tuple[str, ...] = (), **container: Any) -> set[str]:
    return set(named_files(spec_of(container=container), machine(folder, *exec_)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    for name in ("train.py", "conf/base.yaml", "pkg/main.py", "tool/__main__.py", "run.sh", "other.py"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(name)
    (work / "run.sh").chmod(0o755)
    (tmp_path / "beside.py").write_text("")
    return work


@pytest.mark.parametrize(
    ("container", "files"),
    [
        ({"command": ["python", "train.py"], "args": ["--lr=$(lr)"]}, {"train.py"}),
        ({"command": ["./run.sh"]}, {"./run.sh"}),
        ({"command": ["python", "train.py"], "args": ["--config=conf/base.yaml"]}, {"train.py", "conf/base.yaml"}),
        ({"command": ["sh", "-c", "cd . && python 'train.py' >out 2>&1; ./run.sh"]}, {"train.py", "./run.sh"}),
        ({"command": ["python", "-m", "pkg.main"]}, {"pkg/main.py"}),
        ({"command": ["python", "-m", "tool"]}, {"tool/__main__.py"}),
        ({"command": ["python", "../beside.py"]}, {"../beside.py"}),
        ({"command": [sys.executable, "train.py"]}, {"train.py"}),
        ({"command": ["echo", "x" * 5000, "\0", "conf", "missing.py"]}, set()),
    ],
)
def test_the_files_that_a_command_names(folder: Path, container: dict[str, Any], files: set[str]) -> None:
    assert named(folder, **container) == files


def test_the_command_given_by_exec_is_what_counts(folder: Path) -> None:
    assert named(folder, exec_=("python", "other.py"), command=["python", "train.py"]) == {"other.py"}


def test_what_counts_as_a_change(folder: Path) -> None:
    spec = spec_of(container={"command": ["python", "train.py"], "args": ["conf/base.yaml", "out.json"]})

    def now() -> Recipe:
        return recipe_of(spec, machine(folder))

    before = now()
    assert before == now()
    (folder / "out.json").write_text("a trial wrote it")
    assert before.changed_files(now(), folder) == []
    (folder / "train.py").write_text("another")
    (folder / "conf/base.yaml").unlink()
    assert before.changed_files(now(), folder) == [("conf/base.yaml", "is gone"), ("train.py", "has changed")]


def test_the_containers_name_is_no_part_of_it_and_its_environment_is(folder: Path) -> None:
    def container(**changes: Any) -> Any:
        return recipe_of(spec_of(container={"command": ["sh"], **changes}), machine(folder)).container

    assert container(name="a") == container(name="b")
    assert container(env=[{"name": "A", "value": "1"}]) != container(env=[{"name": "A", "value": "2"}])


def test_a_large_file_counts_by_its_size(folder: Path) -> None:
    spec = spec_of(container={"command": ["cat", "data"]})
    with (folder / "data").open("wb") as file:
        file.truncate(20 * 1024 * 1024)
    assert recipe_of(spec, machine(folder)).files == {"data": f"{20 * 1024 * 1024} bytes"}
