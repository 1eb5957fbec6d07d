"""The lock of a journal: held by one at a time, left behind by those that are gone, waited for with an end."""

from __future__ import annotations

import multiprocessing
import threading
import time
from pathlib import Path

import pytest
from optuna.storages.journal import JournalFileSymlinkLock

from kubestudy.search import journal_lock
from kubestudy.search.journal_lock import JournalLock, locked
from kubestudy.search.search import OptunaSearch, hush_optuna
from kubestudy.search.storage import open_storage
from kubestudy.study.ports import StudyError
from support.manifests import spec_of


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    hush_optuna()
    path = tmp_path / "journal.log"
    OptunaSearch(spec_of(), open_storage(path, sole_writer=True), "example", "").ask()
    return path


def lock_of(journal: Path) -> Path:
    return Path(f"{journal}.lock")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_lock, "GRACE_SECONDS", 0.3)


def test_a_lock_that_leads_to_nothing_is_taken_away(
    journal: Path, impatient: None, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder that was moved with a lock in it: Optuna's own lock tries without a pause, and without end."""
    lock_of(journal).symlink_to("/nonexistent/moved/journal.log")
    used, begun = time.process_time(), time.monotonic()
    OptunaSearch(spec_of(), open_storage(journal, sole_writer=True), "example", "").ask()
    assert time.process_time() - used < (time.monotonic() - begun) or time.monotonic() - begun < 5
    assert not lock_of(journal).is_symlink()
    assert "left behind" in caplog.text


def test_a_lock_that_leads_elsewhere_is_taken_away_though_that_file_changes(journal: Path, impatient: None) -> None:
    """The folder was copied, and the original is still written to."""
    other, stop = journal.with_name("other.log"), threading.Event()
    lock_of(journal).symlink_to(other)

    def write() -> None:
        while not stop.wait(0.01):
            other.write_text(str(time.monotonic()))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        open_storage(journal)
        OptunaSearch(spec_of(), open_storage(journal), "example", "").ask()
    finally:
        stop.set()
        writer.join()


def test_others_that_hold_it_are_waited_for_with_an_end(journal: Path, impatient: None) -> None:
    """Writers that are always quicker: there is a lock at any time, and never the same for long."""
    stop, begun = threading.Event(), threading.Event()

    def hold() -> None:
        while not stop.wait(0.02):
            next_one = journal.with_name("next")
            next_one.symlink_to(journal)
            next_one.replace(lock_of(journal))
            begun.set()

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait(timeout=60)
    try:
        with pytest.raises(StudyError, match=r"journal\.log is being written by another process.*delete .*\.lock"):
            JournalLock(journal, wait=1.0).acquire()
    finally:
        stop.set()
        holder.join()
    with locked(journal):  # the last of them was left behind
        pass


@pytest.mark.parametrize("kind", ["folder", "full folder"])
def test_what_is_no_lock_is_named(journal: Path, impatient: None, kind: str) -> None:
    lock_of(journal).mkdir()
    if kind == "full folder":
        (lock_of(journal) / "file").touch()
    with pytest.raises(StudyError, match=r"journal\.log\.lock is no lock but a folder: move it"), locked(journal):
        raise AssertionError
    leftovers = [path.name for path in journal.parent.iterdir() if path.name.endswith(".rename")]
    assert not leftovers, "it is where it was"


def test_a_lock_that_was_taken_away_leaves_the_next_one_alone(journal: Path, caplog: pytest.LogCaptureFixture) -> None:
    mine, theirs = JournalLock(journal), JournalLock(journal)
    mine.acquire()
    lock_of(journal).unlink()
    theirs.acquire()
    mine.release()
    assert lock_of(journal).is_symlink() and "taken away while it was held" in caplog.text
    theirs.release()
    assert not lock_of(journal).is_symlink()


def test_optunas_own_writers_are_kept_out(journal: Path) -> None:
    with locked(journal):
        theirs = threading.Thread(target=JournalFileSymlinkLock(str(journal), grace_period=30).acquire)
        theirs.start()
        theirs.join(timeout=0.3)
        assert theirs.is_alive()
    theirs.join(timeout=30)
    assert not theirs.is_alive()


def test_a_line_that_is_just_being_written_is_not_cut(journal: Path) -> None:
    """Another operator writes a line in two pieces while this one opens the journal."""
    whole = journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    half = len(lines[-1]) // 2
    journal.write_bytes(whole[: len(whole) - half])
    theirs = JournalLock(journal)
    theirs.acquire()
    opened: list[int] = []

    def open_it() -> None:
        opened.append(len(OptunaSearch(spec_of(), open_storage(journal, sole_writer=True), "example", "").unfinished()))

    opener = threading.Thread(target=open_it)
    opener.start()
    opener.join(timeout=0.3)
    assert opener.is_alive() and journal.read_bytes() == whole[: len(whole) - half]
    with journal.open("ab") as file:
        file.write(whole[len(whole) - half :])
    theirs.release()
    opener.join(timeout=60)
    assert opened == [1] and journal.read_bytes()[: len(whole)] == whole


def _write(path: str, count: int) -> None:
    hush_optuna()
    storage = open_storage(Path(path))
    search = OptunaSearch(spec_of(), storage, "example", "")
    for _ in range(count):
        search.ask()


def test_two_writers_lose_nothing(journal: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(str(journal), 15)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=120)
        assert writer.exitcode == 0
    assert len(OptunaSearch(spec_of(), open_storage(journal), "example", "").unfinished()) == 31
