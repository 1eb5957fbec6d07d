"""A cluster that is full, trials that cannot start, faults that every trial has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubestudy.planning.starts import FIRST_ROUND, RETRIES
from kubestudy.search.search import hush_optuna
from kubestudy.study.trial import End, Suggestion
from support.manifests import study_of
from support.simulated import Listener, World, completes, crash_everywhere, fails, run


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    hush_optuna()
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.log"


def study(**spec: Any) -> Any:
    return study_of(**{"sampler": {"name": "random", "seed": 1}, "parallelism": 2, **spec})


def never_starts(_: Suggestion) -> End:
    return End(False, False, "StartTimeout", "it did not start: ErrImagePull", None, never_started=True)


def test_on_a_full_cluster_as_many_wait_as_run_and_every_trial_completes(journal: Path) -> None:
    world, listener = World(slots=8, seconds=lambda _: 60.0), Listener()
    most = 0

    def count(w: World) -> None:
        nonlocal most
        most = max(most, len(w.waiting()))
        if not w.completions:
            assert len(w.executions) <= 16, "the 17th suggestion knows the first results"

    world.on_wait = count
    view = run(study(parallelism=100, budget={"maxTrials": 60}), world, journal, listener)
    counts = view.status.trials
    assert (counts.complete, counts.failed, counts.total) == (60, 0, 60)
    assert most == 8 and world.most_live == 16
    shown = [c for v in listener.views for c in v.status.conditions if c.reason == "WaitingForRoom"]
    assert any("8 trials run, 8 wait for room" in c.message and "Insufficient" in c.message for c in shown)
    assert all(c.type == "Progressing" and c.status == "True" for c in shown)
    assert not any(c.type == "Degraded" and c.status == "True" for v in listener.views for c in v.status.conditions)
    assert any(trial.waits_for for v in listener.views for trial in v.live)


def test_without_any_room_the_first_round_waits_and_its_time_is_all_that_it_costs(journal: Path) -> None:
    world = World(slots=0)

    def open_late(w: World) -> None:
        assert w.now > 1e9 + 5000 or len(w.executions) == FIRST_ROUND
        w.slots = 2 if w.now > 1e9 + 5000 else 0

    world.on_wait = open_late
    view = run(study(parallelism=20, budget={"maxTrials": 10}), world, journal)
    assert (view.status.trials.complete, view.status.trials.failed) == (10, 0)
    assert set(world.executions.values()) == {1}


def test_trials_that_cannot_start_beside_one_that_runs_are_not_burnt(journal: Path) -> None:
    """A trial that runs for long says nothing of an image that is gone."""
    world, listener = World(seconds=lambda n: 4000.0 if n == 0 else 10.0), Listener()

    def startable(number: int) -> bool:
        return number == 0 or world.now > 1e9 + 2000

    world.startable = startable
    world.script = lambda trial, _: completes(trial) if startable(trial.number) else never_starts(trial)
    view = run(study(parallelism=3, budget={"maxTrials": 12}), world, journal, listener)
    counts = view.status.trials
    assert (counts.failed, counts.complete) == (3, 9)
    tried = [number for number, count in world.executions.items() if count > 1]
    assert len(tried) == 1, "one at a time"
    assert world.executions[tried[0]] <= 2 + 2000 / RETRIES.first
    assert "TrialsCannotStart" in listener.reasons
    said = [c.message for v in listener.views for c in v.status.conditions if c.reason == "TrialsCannotStart"]
    assert "trials in a row could not start" in said[0] and "ErrImagePull" in said[0]


def test_a_full_cluster_and_a_crash_at_any_point_lose_nothing(tmp_path: Path) -> None:
    def make() -> World:
        return World(slots=2, seconds=lambda n: 12.0 + 4 * (n % 2))

    def check(world: World, journal: Path, view: Any) -> None:
        counts = view.status.trials
        assert (counts.complete, counts.total) == (6, 6)
        assert set(world.completions.values()) == {1}
        assert set(world.executions.values()) == {1}, "none is run twice"

    crash_everywhere(tmp_path, make, study(parallelism=4, budget={"maxTrials": 6}), check)


BAD = End(False, False, "BadParameters", "unrecognized arguments: --lrr", None)


def test_three_failures_alike_end_the_study_and_the_same_command_goes_on_after_the_mend(journal: Path) -> None:
    first = run(study(parallelism=1, budget={"maxTrials": 20}), World(lambda *_: BAD), journal)
    failed = next(c for c in first.status.conditions if c.type == "Failed")
    assert (failed.reason, first.status.trials.failed) == ("SameFailure", 3)
    assert "unrecognized arguments: --lrr" in failed.message
    again = run(study(parallelism=1, budget={"maxTrials": 20}), World(), journal)
    assert again.status.phase == "Complete"
    assert (again.status.trials.failed, again.status.trials.complete) == (3, 17)


def test_failures_of_different_words_and_failures_between_good_trials_go_on(journal: Path) -> None:
    def script(trial: Suggestion, _: int) -> End:
        return completes(trial) if trial.number % 3 == 2 else BAD

    counts = run(study(parallelism=1, budget={"maxTrials": 12}), World(script), journal).status.trials
    assert (counts.failed, counts.complete) == (8, 4)


def test_what_fails_for_its_own_reasons_ends_after_ten_and_the_same_command_goes_on(journal: Path) -> None:
    first = run(study(budget={"maxTrials": 30}), World(lambda trial, _: fails(trial)), journal)
    failed = next(c for c in first.status.conditions if c.type == "Failed")
    assert failed.reason == "EveryTrialFails"
    assert first.status.trials.failed >= 10
    again = run(study(budget={"maxTrials": 30}), World(), journal)
    assert again.status.phase == "Complete" and again.status.trials.complete >= 10
