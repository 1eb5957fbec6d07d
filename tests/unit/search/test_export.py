"""A study's history as a journal, whatever storage it is in."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubestudy.search.archive import Archive, Record
from kubestudy.search.history import History
from kubestudy.search.search import hush_optuna
from kubestudy.search.storage import open_storage, storage_of
from kubestudy.study.outcome import Complete, Failed, Pruned
from kubestudy.study.ports import StudyError
from support.manifests import spec_of

UID = "0b2f7714-0000-4000-8000-000000000000"
RECORD = Record("ns", "demo", UID, "Retain")


@pytest.fixture(params=["journal", "database"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    hush_optuna()
    return Archive(tmp_path / "storage" if request.param == "journal" else f"sqlite:///{tmp_path / 'db'}")


def test_an_exported_history_is_the_history(archive: Archive, tmp_path: Path) -> None:
    search = archive.open(RECORD, spec_of(sampler={"name": "random", "seed": 1}))
    for outcome in (Complete((0.5,), {"loss": ((1, 0.7), (2, 0.5))}), Pruned({}), Failed("OOMKilled", "too big", {})):
        suggestion = search.ask()
        assert suggestion is not None
        search.tell(suggestion.number, outcome)
    search.ask()
    pieces = archive.export(RECORD.namespace, RECORD.name, RECORD.uid)
    assert pieces is not None
    copy = History(storage_of(b"".join(pieces), "a copy"), RECORD.study_name, "a copy")
    trials = copy.trials()
    assert [trial.state for trial in trials] == ["Complete", "Pruned", "Failed", "Running"]
    assert trials[2].reason == "OOMKilled: too big"
    assert [trial.number for trial in copy.best()] == [0]
    place = archive.journal(RECORD) or f"sqlite:///{tmp_path / 'db'}"
    assert trials == History(open_storage(place), RECORD.study_name, "the storage").trials()


def test_there_is_no_history_of_what_was_never_there(archive: Archive) -> None:
    assert archive.export("ns", "demo", "00000000-0000-4000-8000-000000000000") is None


def test_a_journal_that_is_being_written_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.open(RECORD, spec_of()).ask()
    journal = archive.journal(RECORD)
    assert journal is not None
    with journal.open("a") as file:
        file.write('{"op_code": 4, "wor')
    data = b"".join(archive.export(RECORD.namespace, RECORD.name, RECORD.uid) or ())
    assert len(History(storage_of(data, "a copy"), RECORD.study_name, "a copy").trials()) == 1


def test_what_is_no_journal_is_said_to_be_none() -> None:
    with pytest.raises(StudyError, match="no journal"):
        storage_of(b"<html>\n", "that somebody serves")
