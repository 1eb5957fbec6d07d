"""What images are built of: each file that is downloaded has a hash, and no two package indexes are mixed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DOCKERFILES = ("operator/Dockerfile", "trainer-image/Dockerfile")
LOCKS = (
    "requirements.lock", "build-requirements.lock", "operator/requirements.lock",
    "trainer-image/requirements.lock", "trainer-image/core.lock", "trainer-image/other-torch.lock",
)  # fmt: skip
MADE_OF = {
    "operator/requirements.lock": ("pyproject.toml", ("dashboard",)),
    "trainer-image/requirements.lock": ("trainer-image/pyproject.toml", ("torch",)),
    "trainer-image/core.lock": ("trainer-image/pyproject.toml", ()),
}


def commands(dockerfile: str) -> list[str]:
    """Return the single commands of a Dockerfile's RUN steps, in one line each."""
    text = (ROOT / dockerfile).read_text().replace("\\\n", " ")
    return [part for line in text.splitlines() for part in re.split(r"&&|;", line) if "pip" in part]


def pinned(lock: str) -> dict[str, str]:
    """Return the entries of a lock file, each with everything that belongs to it."""
    entries = (ROOT / lock).read_text().replace("\\\n", " ").splitlines()
    return {entry.split("==")[0]: entry for entry in entries if re.match(r"[a-z]", entry)}


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_whatever_is_installed_has_a_hash_or_comes_from_no_index(dockerfile: str) -> None:
    installing = [command for command in commands(dockerfile) if re.search(r"pip (install|wheel)", command)]
    assert len(installing) >= 3
    assert all("--require-hashes" in command or "--no-index" in command for command in installing), installing


@pytest.mark.parametrize("file", [*DOCKERFILES, "Makefile"])
def test_no_two_indexes_are_asked_for_one_package(file: str) -> None:
    text = (ROOT / file).read_text()
    assert "extra-index" not in text
    assert "unsafe-" not in text
    assert all("--no-deps" in command for command in commands(file) if "--index-url" in command)


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_the_base_is_the_builders_to_name(dockerfile: str) -> None:
    text = (ROOT / dockerfile).read_text()
    assert {line for line in text.splitlines() if line.startswith("FROM")} == {"FROM ${BASE} AS build", "FROM ${BASE}"}
    assert 'org.opencontainers.image.base.name="${BASE}"' in text


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_and_names_no_index(lock: str) -> None:
    assert pinned(lock)
    assert all("--hash=sha256:" in entry for entry in pinned(lock).values())
    assert not re.search(r"://|index-url|find-links", (ROOT / lock).read_text())


@pytest.mark.parametrize("lock", MADE_OF)
def test_a_lock_has_what_its_package_needs(lock: str) -> None:
    source, extras = MADE_OF[lock]
    project = tomllib.loads((ROOT / source).read_text())["project"]
    wanted = [*project["dependencies"], *(r for extra in extras for r in project["optional-dependencies"][extra])]
    for requirement in map(Requirement, wanted):
        entry = pinned(lock)[canonicalize_name(requirement.name)]
        version = re.search(r"==([^ ;]+)", entry)
        assert version is not None and requirement.specifier.contains(version[1]), entry


def test_beside_another_pytorch_nothing_of_cuda_is_installed() -> None:
    others = pinned("trainer-image/other-torch.lock")
    assert not {name for name in others if re.match(r"torch|triton|nvidia|cuda", name)}
    assert others.keys() == {
        name for name in pinned("trainer-image/requirements.lock") if not re.match(r"torch|triton|nvidia|cuda", name)
    }
