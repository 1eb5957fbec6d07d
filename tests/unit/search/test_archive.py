"""An operator's storage: files named by uid, records that are damaged, and other clusters' studies."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from kubestudy.search.archive import Archive, Record
from kubestudy.search.history import History
from kubestudy.search.merged import MergedStorage
from kubestudy.search.search import hush_optuna
from kubestudy.search.storage import open_storage
from kubestudy.study.outcome import Complete
from kubestudy.study.ports import StudyError
from support.manifests import spec_of

UID = "0b2f7714-0000-4000-8000-000000000000"
RECORD = Record("ns", "demo", UID, "Retain", "cluster-a", "operator-a")


@pytest.fixture(params=["journals", "database"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    hush_optuna()
    return tmp_path / "storage" if request.param == "journals" else f"sqlite:///{tmp_path / 'db'}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    hush_optuna()
    return tmp_path / "storage"


def one_trial(archive: Archive, record: Record) -> None:
    search = archive.open(record, spec_of())
    asked = search.ask()
    assert asked is not None
    search.tell(asked.number, Complete((1.0,), {}))


# --- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 166, 180, 217, 253])
def test_a_study_may_have_any_name_that_kubernetes_allows(place: Path | str, length: int) -> None:
    record = Record("n" * 63, ("d" * 60 + ".") * 4 + "e" * 9 if length == 253 else "d" * length, UID, "Retain")
    assert len(record.name) == length
    archive = Archive(place)
    one_trial(archive, record)
    assert archive.open(record, spec_of()).tally.complete == 1
    assert archive.records() == [record] and [kept.record for kept in archive.kept()] == [record]
    pieces = archive.export(record.namespace, record.name, record.uid)
    assert pieces is not None and b"".join(pieces)
    archive.delete(record)
    assert archive.records() == []
    assert archive.export(record.namespace, record.name, record.uid) is None


def test_no_file_has_anything_of_a_studys_name(folder: Path) -> None:
    one_trial(Archive(folder), RECORD)
    assert sorted(path.name for path in (folder / "ns").iterdir()) == [f"{UID}.json", f"{UID}.log"]


@pytest.fixture
def old(folder: Path) -> Path:
    """A storage in which a study has the files that 0.1.0 gave it."""
    one_trial(Archive(folder), RECORD)
    for kind in ("json", "log"):
        (folder / "ns" / f"{UID}.{kind}").rename(folder / "ns" / f"demo.{UID}.{kind}")
    return folder


def test_files_of_an_earlier_release_are_gone_on_with(old: Path) -> None:
    archive = Archive(old)
    assert archive.open(RECORD, spec_of()).tally.complete == 1
    one_trial(archive, RECORD)
    assert sorted(path.name for path in (old / "ns").iterdir()) == [f"demo.{UID}.json", f"demo.{UID}.log"]
    (kept,) = archive.kept()
    assert kept.record == RECORD and kept.size == (old / "ns" / f"demo.{UID}.log").stat().st_size
    pieces = archive.export("ns", "demo", UID)
    assert pieces is not None and b"".join(pieces) == (old / "ns" / f"demo.{UID}.log").read_bytes()
    assert [study.study_name for study in MergedStorage(old).get_all_studies()] == [RECORD.study_name]
    archive.delete(RECORD)
    assert list((old / "ns").iterdir()) == [] and archive.records() == []


@pytest.mark.parametrize("part", ["", "..", "../../etc", "a/b", "a\0b", "-a", "x" * 300, "\ud800"])
def test_nothing_else_becomes_part_of_a_files_name(folder: Path, part: str) -> None:
    archive = Archive(folder)
    for record in (Record(part, "demo", UID, ""), Record("ns", part, UID, ""), Record("ns", "demo", part, "")):
        with pytest.raises(StudyError, match="names no study"):
            archive.open(record, spec_of())
        with pytest.raises(StudyError, match="names no study"):
            archive.delete(record)
        with pytest.raises(StudyError, match="names no study"):
            archive.export(record.namespace, record.name, record.uid)


# --- damaged records -----------------------------------------------------------------------------------------------

GOOD = {"namespace": "ns", "name": "demo", "uid": UID, "history": "Delete"}
DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n",
    "cut": json.dumps(GOOD).encode()[:40],
    "not UTF-8": b"\xff\xfe\x00",
    "deep": b"[" * 10_000,
    "large": b" " * 20_000 + json.dumps(GOOD).encode(),
    "no object": b"[]",
    "null": b"null",
    "lacking": json.dumps({"namespace": "ns"}).encode(),
    "wrong type": json.dumps({**GOOD, "uid": 5}).encode(),
    "wrong type of a new field": json.dumps({**GOOD, "cluster": ["a"]}).encode(),
    "a path": json.dumps({**GOOD, "uid": "../../../etc/passwd"}).encode(),
    "of another": json.dumps({**GOOD, "uid": "0b2f7714-0000-4000-8000-00000000ffff"}).encode(),
    "of another namespace": json.dumps({**GOOD, "namespace": "kube-system"}).encode(),
}


@pytest.mark.parametrize("damage", list(DAMAGED))
def test_a_damaged_record_is_passed_over_and_said_once(
    folder: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    archive = Archive(folder)
    one_trial(archive, RECORD)
    other = "0b2f7714-0000-4000-8000-000000000001"
    beside = folder / "ns" / f"{other}.json"
    beside.write_bytes(DAMAGED[damage])
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        assert archive.records() == [RECORD]
        assert [kept.record for kept in archive.kept()] == [RECORD]
    assert caplog.text.count(str(beside)) == 1 and "is passed over" in caplog.text
    assert beside.read_bytes() == DAMAGED[damage], "nothing is changed"
    # Its study goes on, and mends it.
    mended = replace(RECORD, uid=other)
    one_trial(archive, mended)
    assert sorted(archive.records(), key=lambda r: r.uid) == [RECORD, mended]


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to nothing", "link to itself"])
def test_what_is_no_file_is_passed_over(folder: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    archive = Archive(folder)
    one_trial(archive, RECORD)
    path = folder / "ns" / "other.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nothing" if kind == "link to nothing" else path.name)
    assert archive.records() == [RECORD]
    assert (str(path) in caplog.text) == (kind != "link to nothing")


def test_fields_of_a_later_release_are_ignored_and_kept(place: Path | str) -> None:
    archive = Archive(place)
    one_trial(archive, RECORD)
    journal = archive.journal(RECORD)
    if journal is None:
        study = optuna.load_study(study_name=RECORD.study_name, storage=str(place))
        study.set_user_attr("kubestudy:object", {**study.user_attrs["kubestudy:object"], "shard": 7})
    else:
        beside = journal.with_suffix(".json")
        beside.write_text(json.dumps({**json.loads(beside.read_text()), "shard": 7}))
    assert archive.records() == [RECORD]
    archive.note(replace(RECORD, history="Delete"))
    assert archive.records() == [replace(RECORD, history="Delete")]
    if journal is None:
        kept = optuna.load_study(study_name=RECORD.study_name, storage=str(place)).user_attrs["kubestudy:object"]
    else:
        kept = json.loads(journal.with_suffix(".json").read_text())
    assert kept["shard"] == 7


@pytest.mark.parametrize("damage", [None, 5, "x", [], {}, {**GOOD, "uid": 5}, {**GOOD, "uid": "another"}])
def test_a_damaged_record_in_a_database_is_passed_over(
    tmp_path: Path, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path / 'db'}"
    archive = Archive(url)
    one_trial(archive, RECORD)
    study = optuna.create_study(study_name=f"ns/demo/{UID[:-1]}1", storage=url)
    study.set_user_attr("kubestudy:object", damage)
    optuna.create_study(study_name="somebody's own", storage=url)
    for _ in range(2):
        assert archive.records() == [RECORD]
    assert caplog.text.count("is passed over") == 1


def test_a_damaged_journal_does_not_hide_the_others(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    archive = Archive(folder)
    other = replace(RECORD, uid="0b2f7714-0000-4000-8000-000000000001")
    for record in (RECORD, other):
        one_trial(archive, record)
    (folder / "ns" / f"{UID}.log").write_bytes(b"nonsense\n{}\n")
    for _ in range(2):
        assert [study.study_name for study in MergedStorage(folder).get_all_studies()] == [other.study_name]
    assert "is not shown" in caplog.text


# --- clusters ------------------------------------------------------------------------------------------------------


def test_a_record_says_whose_study_it_is(place: Path | str) -> None:
    archive = Archive(place)
    one_trial(archive, RECORD)
    (kept,) = archive.records()
    assert kept == RECORD and kept.is_of("cluster-a") and not kept.is_of("cluster-b")
    # Whoever does not know it leaves it as it is.
    archive.note(replace(RECORD, cluster="", operator=""))
    assert archive.records() == [RECORD]
    archive.note(replace(RECORD, operator="operator-b"))
    assert archive.records() == [replace(RECORD, operator="operator-b")]


def test_another_clusters_history_is_not_deleted(place: Path | str) -> None:
    archive = Archive(place)
    one_trial(archive, RECORD)
    with pytest.raises(StudyError, match=r"ns/demo .* is another cluster's \(cluster-a\) and stays"):
        archive.delete(replace(RECORD, cluster="cluster-b"))
    assert archive.records() == [RECORD]
    archive.delete(replace(RECORD, cluster=""))  # an administrator, by the uid
    assert archive.records() == []


def test_records_without_a_cluster_are_nobodys(place: Path | str) -> None:
    archive = Archive(place)
    one_trial(archive, replace(RECORD, cluster="", operator=""))
    (kept,) = archive.records()
    assert kept.cluster == "" and not kept.is_of("cluster-a")


def test_deleting_what_is_gone_is_no_error(place: Path | str) -> None:
    archive = Archive(place)
    archive.delete(RECORD)
    one_trial(archive, RECORD)
    archive.delete(RECORD)
    archive.delete(RECORD)
    assert archive.records() == []


def test_histories_are_read_under_either_name(old: Path) -> None:
    journal = Archive(old).journal(RECORD)
    assert journal is not None
    assert len(History(open_storage(journal), RECORD.study_name, "it").trials()) == 1
