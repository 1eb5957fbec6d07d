"""The histories in an operator's storage: listed, and purged by their studies' uids."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from uuid import UUID

import pytest

from kubestudy.search.archive import Archive, Record
from kubestudy.search.search import hush_optuna
from kubestudy.search.storage import place_in
from support.manifests import spec_of
from support.study import kubestudy

RECORDS = [Record("team-b", "beta", str(UUID(int=2)), "Delete"), Record("team-a", "alpha", str(UUID(int=1)), "Retain")]


@pytest.fixture(params=["folder", "database"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A storage with the histories of two studies, as an operator keeps them."""
    hush_optuna()
    place = str(tmp_path / "journals") if request.param == "folder" else f"sqlite:///{tmp_path / 'studies.db'}"
    archive = Archive(place_in(place))
    for record in RECORDS:
        archive.open(record, spec_of()).ask()
    return place


def test_they_are_listed(storage: str, tmp_path: Path) -> None:
    header, *rows = kubestudy("history", "list", "--storage", storage, cwd=tmp_path).out.splitlines()
    assert header.split() == ["NAMESPACE", "NAME", "UID", "STUDY", "SIZE", "WRITTEN"]
    assert [row.split()[:4] for row in rows] == [
        ["team-a", "alpha", RECORDS[1].uid, "unknown"],
        ["team-b", "beta", RECORDS[0].uid, "unknown"],
    ]
    listed = kubestudy("history", "list", "-o", "json", cwd=tmp_path, env={"KUBESTUDY_STORAGE": storage}).json
    assert [each["policy"] for each in listed] == ["Retain", "Delete"]
    for each in listed:
        assert (each["bytes"] is None) is storage.startswith("sqlite")
    shown = kubestudy("history", "list", "--storage", storage, "-o", "csv", cwd=tmp_path).out
    assert [row["name"] for row in csv.DictReader(io.StringIO(shown))] == ["alpha", "beta"]


def test_one_is_purged_by_its_uid(storage: str, tmp_path: Path) -> None:
    uid = RECORDS[1].uid
    unasked = kubestudy("history", "purge", uid, "--storage", storage, cwd=tmp_path)
    assert (unasked.code, "add --yes" in unasked.err) == (2, True)
    done = kubestudy("history", "purge", uid, "--storage", storage, "--yes", cwd=tmp_path)
    assert (done.code, done.err) == (0, f"team-a/alpha ({uid}) purged\n")
    assert Archive(place_in(storage)).records() == [RECORDS[0]]
    again = kubestudy("history", "purge", uid, RECORDS[0].uid, "--storage", storage, "--yes", cwd=tmp_path)
    assert again.code == 1
    assert f"no history of {uid} is kept here" in again.err
    assert Archive(place_in(storage)).records() == [RECORDS[0]]  # all or none


def test_which_are_gone_is_not_guessed(storage: str, tmp_path: Path) -> None:
    for command in (["list"], ["purge", "--yes"]):
        done = kubestudy("history", *command, "--gone", "--storage", storage, cwd=tmp_path)
        assert done.code == 1
        assert "is known in the operator's pod alone: kubectl study history" in done.err
    assert len(Archive(place_in(storage)).records()) == 2


def test_wrong_input_names_the_remedy(tmp_path: Path) -> None:
    missing = kubestudy("history", "list", "--storage", "nowhere", cwd=tmp_path)
    assert (missing.code, missing.err.startswith("error: there is no folder nowhere: --storage names")) == (1, True)
    assert not (tmp_path / "nowhere").exists()
    for arguments in ([], ["some-uid", "--gone"]):
        done = kubestudy("history", "purge", *arguments, "--storage", ".", cwd=tmp_path)
        assert done.code == 2
        assert "name the uids of studies, or --gone" in done.err
    empty = kubestudy("history", "list", "--storage", ".", cwd=tmp_path)
    assert (empty.code, empty.err) == (0, "no such history is kept\n")
