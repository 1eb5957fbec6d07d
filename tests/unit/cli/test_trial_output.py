"""Trials as data: what is final, what is the last that was seen, and in which state they are."""

from __future__ import annotations

import math
from typing import Any

from kubestudy.cli.trial_output import Living, as_data, as_shown
from kubestudy.search.history import TrialRecord
from kubestudy.study.trial import TrialPhase
from kubestudy.study.view import LiveTrial

COMPLETE = TrialRecord(0, "Complete", {"y": 0.5}, {"x": 1.0}, last=(9, 0.6))
PRUNED = TrialRecord(1, "Pruned", {}, {"x": 2.0}, last=(4, 0.9))
RUNNING = TrialRecord(2, "Running", {}, {"x": 3.0}, last=(2, 0.8))
NEWER = TrialRecord(3, "Running", {}, {"x": 4.0})


def shown(living: Living | None) -> list[tuple[str, dict[str, float], int | None]]:
    found = as_shown([COMPLETE, PRUNED, RUNNING, NEWER], ["y"], living)
    return [(trial.state, dict(trial.values), None if trial.last is None else trial.last[0]) for trial in found]


def live(number: int, phase: TrialPhase = TrialPhase.RUNNING, **more: Any) -> LiveTrial:
    return LiveTrial(number, phase, None, {}, **more)


def test_what_is_final_goes_before_what_was_seen_last() -> None:
    assert shown(None) == [
        ("Complete", {"y": 0.5}, 9),
        ("Pruned", {"y": 0.9}, 4),
        ("Running", {"y": 0.8}, 2),
        ("Running", {}, None),
    ]


def test_what_runs_tells_more_than_the_storage_has() -> None:
    states = shown(Living([live(2, step=7, values={"y": 0.7, "lr": 0.1}), live(3, TrialPhase.MEASURING)]))
    assert states[2:] == [("Running", {"y": 0.7}, 7), ("Measuring", {}, None)]


def test_what_nothing_runs_waits() -> None:
    assert [state for state, _, _ in shown(Living(()))] == ["Complete", "Pruned", "Waiting", "Waiting"]
    assert [state for state, _, _ in shown(Living([live(2, TrialPhase.PENDING)]))][2] == "Waiting"


def test_a_trial_newer_than_what_was_seen_is_taken_for_running() -> None:
    assert [state for state, _, _ in shown(Living((), known=3))] == ["Complete", "Pruned", "Waiting", "Running"]


def test_data_are_json_whatever_the_values() -> None:
    (trial,) = as_shown([TrialRecord(0, "Complete", {"y": math.inf}, {})], ["y"], None)
    assert as_data(trial)["values"] == {"y": "inf"}
