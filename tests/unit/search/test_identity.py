"""A storage's identity: one, however many ask for it at once, for as long as the storage is there."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from kubestudy.search.archive import Archive
from kubestudy.study.ports import StudyError


@pytest.fixture(params=["journals", "database"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    return tmp_path / "storage" if request.param == "journals" else f"sqlite:///{tmp_path / 'db'}"


def test_a_storage_keeps_its_identity(place: Path | str) -> None:
    first = Archive(place).identity()
    assert uuid.UUID(first)
    assert Archive(place).identity() == first


def test_another_storage_has_another(tmp_path: Path) -> None:
    assert Archive(tmp_path / "one").identity() != Archive(tmp_path / "two").identity()


def test_all_who_start_at_once_agree(place: Path | str) -> None:
    archives = [Archive(place) for _ in range(8)]
    together = Barrier(len(archives))

    def ask(archive: Archive) -> str:
        together.wait(timeout=60)
        return archive.identity()

    with ThreadPoolExecutor(len(archives)) as pool:
        assert len(set(pool.map(ask, archives))) == 1


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"\xff", b"x" * 1000])
def test_a_damaged_identity_is_named_and_left_alone(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "storage.identity").write_bytes(damage)
    with pytest.raises(StudyError, match=r"identity is damaged.*backup"):
        Archive(tmp_path).identity()
    assert (tmp_path / "storage.identity").read_bytes() == damage


def test_it_is_no_history(place: Path | str) -> None:
    archive = Archive(place)
    archive.identity()
    assert not archive.records() and not archive.kept()
