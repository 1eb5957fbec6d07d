"""Studies as they are printed: what is in their way stands beside the table."""

from __future__ import annotations

import pytest

from kubestudy.api.reasons import Going
from kubestudy.api.status import Condition, StudyStatus
from kubestudy.cli.output import Format
from kubestudy.cli.study_output import print_studies


def condition(kind: str, holds: str, reason: str, message: str) -> Condition:
    return Condition(type=kind, status=holds, reason=reason, message=message, lastTransitionTime="2026-11-24T12:00:00Z")


def test_a_study_that_waits_for_room_says_so_in_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    status = StudyStatus(
        phase="Running",
        conditions=[
            condition("Progressing", "True", Going.WAITING_FOR_ROOM, "no trials run, 2 wait for room: 0/1 nodes"),
            condition("Degraded", "False", "AsExpected", ""),
        ],
    )
    body = {"metadata": {"name": "demo"}, "status": status.model_dump(mode="json", by_alias=True)}
    print_studies([body], Format.TABLE)
    said = capsys.readouterr()
    assert said.err == "demo: WaitingForRoom: no trials run, 2 wait for room: 0/1 nodes\n"
