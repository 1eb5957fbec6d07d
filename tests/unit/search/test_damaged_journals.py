"""A damaged journal works, or is one sentence that names it: whatever was changed, and however."""

from __future__ import annotations

import copy
import itertools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubestudy.api.limits import JOURNAL_BYTES, JOURNAL_LINE_BYTES
from kubestudy.planning.plan import StopCause
from kubestudy.search.history import History
from kubestudy.search.search import OptunaSearch, hush_optuna
from kubestudy.search.storage import open_storage, storage_of
from kubestudy.study.outcome import Complete, Failed, Pruned
from kubestudy.study.ports import StudyError
from kubestudy.study.progress import Progress
from kubestudy.study.trial import Sample
from support.manifests import spec_of

SPEC = spec_of(pruner={"name": "median", "options": {"n_startup_trials": 0}})
# What a leaf of a record may have become.
ODD = (None, "x", -1, float("inf"), float("nan"), [], {}, True, 10**30, [1], {"a": 1}, "\ud800")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal with one of every kind of record that KubeStudy writes."""
    hush_optuna()
    path = tmp_path / "journal.log"
    search = OptunaSearch(SPEC, open_storage(path, sole_writer=True), "example", str(path))
    for _ in range(3):
        search.ask()
    search.report([(0, Sample("loss", 1, 0.5))])
    search.tell(0, Complete((1.0,), {"loss": ((1, 0.5), (2, 0.4)), "acc": ((1, 0.1),)}, {}, {"acc": 0.5}), 50.0)
    search.tell(1, Failed("Error", "boom", {}))
    search.spend(2, 1.0, 2.0)
    search.mark_stopping(2, StopCause.PRUNED)
    search.save_progress(Progress())
    return path


def use(path: Path) -> None:
    """Do all that is ever done with a journal."""
    search = OptunaSearch(SPEC, open_storage(path, sole_writer=True), "example", str(path))
    search.load_progress()
    found = search.unfinished()
    asked = search.ask()
    assert asked is not None
    search.report([(asked.number, Sample("loss", 1, 0.5))])
    search.tell(asked.number, Complete((2.0,), {}))
    for unfinished in found:
        search.tell(unfinished.suggestion.number, Pruned({}))
    history = History(open_storage(path), "example", str(path))
    history.trials()
    history.best()


def holds(path: Path, data: bytes) -> bool:
    """Tell whether a journal with such content works; if it does not, that is a sentence that names it."""
    path.write_bytes(data)
    try:
        use(path)
    except StudyError as error:
        assert str(path) in str(error)
        assert len(str(error).splitlines()) == 1
        return False
    return True


@pytest.mark.parametrize("part", range(4))
def test_any_byte_may_be_another(journal: Path, part: int) -> None:
    logging.disable(logging.CRITICAL)
    whole = journal.read_bytes()
    for i in range(part, len(whole), 4):
        changed = whole[i] ^ (1, 0x10, 0x80, 2)[i // 4 % 4]
        holds(journal, whole[:i] + bytes([changed]) + whole[i + 1 :])
    logging.disable(logging.NOTSET)


def test_any_line_may_be_away_doubled_or_cut(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    for i, line in enumerate(lines):
        half = line[: len(line) // 2]
        for instead in (b"", line + line, half, half + b"\n", b"\n", line.rstrip() + b"\r\n", line[::-1]):
            holds(journal, b"".join([*lines[:i], instead, *lines[i + 1 :]]))
    assert holds(journal, b"".join(lines))


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*at, key))


def put(value: Any, at: tuple[Any, ...], other: Any) -> Any:
    if not at:
        return other
    changed = inner = copy.deepcopy(value)
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = other
    return changed


def test_any_value_of_any_record_may_be_another(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    others = itertools.cycle(ODD)
    for i, line in enumerate(lines):
        record = json.loads(line)
        for at in places(record):
            for other in itertools.islice(others, 5):
                changed = json.dumps(put(record, at, other)).encode() + b"\n"
                holds(journal, b"".join([*lines[:i], changed, *lines[i + 1 :]]))


@pytest.mark.parametrize(
    "line", [b"[" * 100_000 + b"\n", b"9" * 10_000 + b"\n", b'{"op_code": ' + b"[" * 50_000 + b"\n"]
)
def test_a_line_that_no_reader_can_read_is_one_sentence(journal: Path, line: bytes) -> None:
    assert not holds(journal, journal.read_bytes() + line)


def test_a_line_without_an_end_is_not_read_into_memory(journal: Path) -> None:
    with journal.open("ab") as file:
        file.write(b"{")
        file.truncate(journal.stat().st_size + JOURNAL_LINE_BYTES.value + 1)
    with pytest.raises(StudyError, match=r"journal\.log is damaged: a line has more than"):
        use(journal)


def test_a_journal_larger_than_any_study_is_refused(journal: Path) -> None:
    with journal.open("ab") as file:
        file.truncate(JOURNAL_BYTES.value + 1)  # a hole, which takes no room
    with pytest.raises(StudyError, match=r"journal\.log has 1073741825 bytes.*new study"):
        use(journal)


def test_a_pipe_in_a_journals_place_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "journal.log")
    with pytest.raises(StudyError, match="it is no file"):
        open_storage(tmp_path / "journal.log", sole_writer=True)


def test_a_copy_that_somebody_serves_may_be_damaged_in_any_line(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    for i, line in enumerate(lines):
        for instead in (b"[" * 100_000 + b"\n", b"[]\n", b"1\n", b'{"op_code": 4}\n', line[::-1]):
            with pytest.raises(StudyError, match="a copy"):
                data = b"".join([*lines[:i], instead, *lines[i + 1 :]])
                History(storage_of(data, "a copy"), "example", "a copy").trials()
                raise StudyError("a copy can be read: the line did not matter")
