"""A study's status beside it, for commands that show it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubestudy.api.status import StudyStatus, TrialCounts
from kubestudy.cli.local_studies import at_rest
from kubestudy.local.folder import StudyFolder
from kubestudy.local.status_file import NAME, Recorded, StatusFile, read_status
from kubestudy.study.trial import TrialPhase
from kubestudy.study.view import LiveTrial, View

LIVE = LiveTrial(3, TrialPhase.RUNNING, 12.5, {"x": 1.0}, 4, {"y": 0.5})
RUNNING = StudyStatus(phase="Running", trials=TrialCounts(total=4, running=1, complete=3))


def test_it_is_written_and_read_back(tmp_path: Path) -> None:
    StatusFile(StudyFolder(tmp_path)).show(View(RUNNING, [LIVE]))
    assert read_status(StudyFolder(tmp_path)) == Recorded(RUNNING, (LIVE,))


def test_it_is_written_once_a_second_and_in_the_end(tmp_path: Path) -> None:
    now = 100.0
    file, folder = StatusFile(StudyFolder(tmp_path), lambda: now), StudyFolder(tmp_path)
    file.show(View(RUNNING, [LIVE]))
    file.show(View(RUNNING, []))
    assert read_status(folder) == Recorded(RUNNING, (LIVE,))
    now = 101.0
    file.show(View(RUNNING, []))
    assert read_status(folder) == Recorded(RUNNING)
    over = RUNNING.model_copy(update={"phase": "Complete"})
    file.show(View(over, []))
    assert read_status(folder) == Recorded(over)


def test_a_run_goes_on_where_it_cannot_be_written(tmp_path: Path) -> None:
    file = StatusFile(StudyFolder(tmp_path / "gone"))
    file.show(View(RUNNING, [LIVE]))
    assert read_status(StudyFolder(tmp_path / "gone")) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"status": {"phase": "Odd"}, "live": []}', '{"status": {}}'])
def test_what_is_none_of_ours_is_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    assert read_status(StudyFolder(tmp_path)) is None


def test_a_study_whose_run_was_killed_stands_still() -> None:
    status = at_rest(Recorded(RUNNING, (LIVE,)), "demo")
    assert status.phase == "Suspended"
    assert (status.trials.running, status.trials.pending) == (0, 1)
    over = RUNNING.model_copy(update={"phase": "Failed"})
    assert at_rest(Recorded(over), "demo") == over
