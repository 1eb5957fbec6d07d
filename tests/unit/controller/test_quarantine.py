"""Studies that the operator was killed over: noted, blamed, tried last, and cleared. Some of it in killed processes."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kubestudy.api.limits import SUSPECTS
from kubestudy.controller.quarantine import Quarantine
from kubestudy.controller.work_notes import SLOT_BYTES, WorkNotes
from kubestudy.planning.quarantine import CLEARED_SECONDS, PAUSES, Note, Suspects
from support.virtual_time import run_virtually

POISON, OTHER, THIRD = (f"{n}b2f7714-0000-4000-8000-000000000000" for n in range(3))


def begun(folder: Path) -> Quarantine:
    made = Quarantine(WorkNotes(folder))
    made.begin()
    return made


def killed_while_working_on(folder: Path, *uids: str) -> None:
    """Let a process note what it works on, and die of SIGKILL."""
    pid = os.fork()
    if pid == 0:
        try:
            quarantine = begun(folder)
            for slot, uid in enumerate(uids):
                quarantine.begins(slot, uid)
            quarantine.begins(9, "done")
            quarantine.ends(9)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_study_that_the_operator_was_killed_over_is_known_after_the_restart_and_waits_longer_each_time(
    tmp_path: Path,
) -> None:
    pauses = []
    for _ in range(3):
        killed_while_working_on(tmp_path, POISON)
        quarantine = begun(tmp_path)
        pauses.append(quarantine.pause(POISON))
        assert quarantine.pause(OTHER) == quarantine.pause("done") == 0
        quarantine.close()
    assert pauses == [2.0, 8.0, 32.0]
    assert "3 times in a row" in quarantine.trouble(POISON).message


def test_an_ordered_end_leaves_no_suspect(tmp_path: Path) -> None:
    first = begun(tmp_path)
    first.begins(0, POISON)
    first.ends(0)
    first.close()
    assert begun(tmp_path).pause(POISON) == 0


def test_a_suspect_in_its_own_try_takes_all_the_blame() -> None:
    both = Suspects().after_end([Note(POISON, alone=False), Note(OTHER, alone=False)])
    assert both.kills == {POISON: 1, OTHER: 1}
    assert both.after_end([Note(POISON, alone=True), Note(THIRD, alone=False)]).kills == {POISON: 2, OTHER: 1}


@given(st.lists(st.lists(st.tuples(st.integers(0, 2000), st.booleans()), max_size=40), max_size=60))
def test_whatever_was_noted_suspects_are_bounded_and_pauses_too(ends: list[list[tuple[int, bool]]]) -> None:
    suspects = Suspects()
    for notes in ends:
        suspects = suspects.after_end([Note(str(uid), alone) for uid, alone in notes])
        assert len(suspects.kills) <= SUSPECTS.value
        assert all(0 < suspects.pause(uid) <= PAUSES.limit for uid in suspects.kills)


def test_suspects_are_tried_one_at_a_time_once_nobody_else_waits(tmp_path: Path) -> None:
    killed_while_working_on(tmp_path, POISON, OTHER)

    async def scene() -> None:
        crowd = [1]
        quarantine = begun(tmp_path)
        quarantine.crowd = lambda: crowd[0]
        first, second = (asyncio.create_task(quarantine.enter(uid)) for uid in (POISON, OTHER))
        await quarantine.enter(THIRD)  # no suspect: at once
        await asyncio.sleep(5)
        assert not first.done()
        crowd[0] = 0
        await asyncio.sleep(1)
        assert first.done() and not second.done()
        quarantine.passed(POISON)
        await asyncio.sleep(1)
        assert second.done()
        quarantine.left(OTHER)
        # One whose loop turned for long enough is above suspicion, after the next restart too.
        await asyncio.sleep(CLEARED_SECONDS)
        quarantine.passed(POISON)
        assert (quarantine.pause(POISON), quarantine.pause(OTHER)) == (0, 2.0)
        quarantine.close()
        after = begun(tmp_path)
        assert (after.pause(POISON), after.pause(OTHER)) == (0, 2.0)
        after.only([POISON])  # the other was deleted
        assert after.pause(OTHER) == 0
        after.close()

    run_virtually(scene())


@given(st.binary(max_size=2 * SLOT_BYTES), st.binary(max_size=64))
def test_damaged_notes_are_no_reason_not_to_start(working: bytes, suspects: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "operator.working").write_bytes(working)
        Path(folder, "operator.suspects").write_bytes(suspects)
        quarantine = begun(Path(folder))
        quarantine.begins(0, POISON)
        quarantine.close()


def test_notes_of_a_folder_that_cannot_be_written_are_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    quarantine = begun(tmp_path / "file" / "folder")
    quarantine.begins(0, POISON)
    assert quarantine.pause(POISON) == 0
