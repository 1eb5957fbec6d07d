"""Storages: repaired after a crash, their troubles told in one sentence, their passwords to nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubestudy.search.history import History
from kubestudy.search.passwords import has_password, masked
from kubestudy.search.search import OptunaSearch, hush_optuna
from kubestudy.search.storage import open_storage
from kubestudy.study.outcome import Complete
from kubestudy.study.ports import StudyError
from support.manifests import spec_of


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal with two trials, one of them finished."""
    hush_optuna()
    path = tmp_path / "journal.log"
    search = OptunaSearch(spec_of(), open_storage(path), "example", "")
    search.ask()
    search.ask()
    search.tell(0, Complete((1.0,), {}))
    return path


def reopen(path: Path, *, sole_writer: bool = True) -> OptunaSearch:
    return OptunaSearch(spec_of(), open_storage(path, sole_writer=sole_writer), "example", str(path))


@pytest.mark.parametrize("torn", [b"{", b'{"op_code":', b"x" * 200_000, b"\xff\xfe"])
def test_a_line_that_a_crash_cut_short_is_taken_away(journal: Path, torn: bytes) -> None:
    whole = journal.read_bytes()
    with journal.open("ab") as file:
        file.write(torn)
    search = reopen(journal)
    assert journal.read_bytes()[: len(whole)] == whole
    assert [u.suggestion.number for u in search.unfinished()] == [1]
    assert search.tally.complete == 1
    search.ask()
    assert len(reopen(journal).unfinished()) == 2


def test_a_journal_cut_anywhere_opens_and_goes_on(journal: Path) -> None:
    whole = journal.read_bytes()
    for cut in range(0, len(whole), 41):
        journal.write_bytes(whole[:cut])
        search = reopen(journal)
        search.unfinished()
        assert search.ask() is not None


def test_somebody_who_only_reads_repairs_nothing(journal: Path) -> None:
    with journal.open("ab") as file:
        file.write(b"{")
    before = journal.read_bytes()
    assert len(History(open_storage(journal), "example", "").trials()) == 2
    assert journal.read_bytes() == before


def test_a_new_journal_is_made_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "journal.log"
    open_storage(path, sole_writer=True)
    assert path.exists()


@pytest.mark.parametrize(
    "damage", [b"no json\n", b"\xff\xff\n", b'{"op_code": 999, "worker_id": "x"}\n', b"[]\n", b"\0" * 100 + b"\n"]
)
def test_a_damaged_journal_is_one_sentence(journal: Path, damage: bytes) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], damage, *lines[2:]]))
    with pytest.raises(StudyError, match="journal"):
        reopen(journal).unfinished()


def test_a_folder_is_no_journal(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cannot be used"):
        open_storage(tmp_path, sole_writer=True)


def test_a_folder_that_cannot_be_made_is_named() -> None:
    with pytest.raises(StudyError, match=r"/proc/demo/journal\.log cannot be used"):
        open_storage(Path("/proc/demo/journal.log"), sole_writer=True)


def test_an_unknown_study_is_named(journal: Path) -> None:
    with pytest.raises(StudyError, match="holds no study named absent"):
        History(open_storage(journal), "absent", "here")


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://user:{SECRET}@host/name",
        f"mysql://user:{SECRET}@host:3306/name",
        f"postgresql://:{SECRET}@host/name",
        f"postgresql://user:a@{SECRET}@host/name",
        f"postgresql://user:{SECRET}/x@host/name",
        f"postgresql://host/name?user=me&password={SECRET}",
        f"postgresql://host/name?sslpassword={SECRET}",
    ],
)
def test_a_password_is_masked(url: str) -> None:
    assert SECRET not in masked(f"cannot reach {url}: refused")
    assert "host" in masked(url)
    assert has_password(url)


@pytest.mark.parametrize("url", ["sqlite:///a.db", "postgresql://user@host/name", "/folder/journal.log", "a:b@c"])
def test_what_holds_no_password_is_left_alone(url: str) -> None:
    assert masked(url) == url
    assert not has_password(url)


@pytest.mark.parametrize(
    "url",
    [
        f"nosuchdialect://user:{SECRET}@host/name",
        f"postgresql://user:{SECRET}@host:port/name",
        f"postgresql+nosuchdriver://user:{SECRET}@host/name",
        "sqlite:////nonexistent/folder/study.db",
        "",
        "nonsense",
    ],
)
def test_a_database_that_cannot_be_opened_is_one_sentence_without_its_password(url: str) -> None:
    with pytest.raises(StudyError) as caught:
        open_storage(url)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("this is text, not a database; " * 100)
    with pytest.raises(StudyError, match=r"study\.db"):
        open_storage(f"sqlite:///{tmp_path}/study.db")
