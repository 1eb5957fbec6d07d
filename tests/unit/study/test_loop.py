"""The loop with the real search on a journal, and trials that are simulated: no process, no sleeping."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kubestudy.api.limits import ASKS_PER_TURN, STEPS_PER_TURN
from kubestudy.api.study import HyperparameterStudy, Metadata
from kubestudy.search.history import History, TrialRecord
from kubestudy.search.search import hush_optuna
from kubestudy.search.storage import open_storage
from kubestudy.study import loop as loop_module
from kubestudy.study.conclusion import (
    INTERRUPTION_LIMIT_SECONDS,
    INTERRUPTION_SECONDS,
    INTERRUPTIONS_TOLERATED,
)
from kubestudy.study.loop import StudyLoop
from kubestudy.study.ports import StudyError
from kubestudy.study.trial import End, Result, Suggestion
from support.manifests import LR, study_of
from support.simulated import (
    Listener,
    SimulatedRuntime,
    World,
    completes,
    crash_everywhere,
    fails,
    interrupted,
    loop_of,
    run,
)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    hush_optuna()
    # A process that dies loses nothing that it wrote; waiting for the disk is all that this leaves out.
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.log"


def study(**spec: Any) -> HyperparameterStudy:
    return study_of(**{"sampler": {"name": "random", "seed": 1}, "parallelism": 2, **spec})


def records(journal: Path) -> list[TrialRecord]:
    return History(open_storage(journal), "example", "").trials()


def states(journal: Path) -> list[str]:
    return [record.state for record in records(journal)]


def change(loop: StudyLoop, **spec: Any) -> None:
    loop.study = loop.study.model_copy(update={"spec": loop.study.spec.model_copy(update=spec)})


def test_a_study_runs_to_its_end(journal: Path) -> None:
    world, listener = World(), Listener()
    view = run(study(), world, journal, listener)
    assert view.status.phase == "Complete"
    assert view.status.progress == "6/6"
    assert (world.most_live, world.runs) == (2, {})
    assert set(world.executions.values()) == {1}
    best = min(record.values["loss"] for record in records(journal))
    assert view.status.best is not None and view.status.best.values == {"loss": best}
    assert "NewBest" in listener.reasons
    assert view.status.start_time and view.status.completion_time


def test_running_it_again_when_it_is_over_starts_nothing(journal: Path) -> None:
    world = World()
    first = run(study(), world, journal)
    second = run(study(), world, journal)
    assert second.status.phase == "Complete"
    assert second.status.completion_time == first.status.completion_time
    assert len(records(journal)) == 6


def test_a_larger_budget_goes_on_where_it_ended(journal: Path) -> None:
    world = World()
    run(study(), world, journal)
    assert run(study(budget={"maxTrials": 8}), world, journal).status.trials.complete == 8
    assert set(world.executions.values()) == {1}


def test_failed_trials_end_the_study_as_failed_with_the_last_reason(journal: Path) -> None:
    view = run(study(budget={"maxTrials": 9, "maxFailedTrials": 2}), World(lambda *_: fails(*_[:1])), journal)
    assert view.status.phase == "Failed"
    failed = next(c for c in view.status.conditions if c.type == "Failed")
    assert failed.reason == "MaxFailedTrialsReached" and "exit code 1" in failed.message


def test_an_interrupted_trial_runs_again_with_the_same_parameters(journal: Path) -> None:
    seen: dict[int, list[Any]] = {}

    def script(trial: Suggestion, execution: int) -> End:
        seen.setdefault(trial.number, []).append(dict(trial.params))
        return interrupted(trial) if execution == 1 else completes(trial)

    view = run(study(), World(script), journal)
    assert view.status.trials.complete == 6
    assert all(len(params) == 2 and params[0] == params[1] for params in seen.values())


def test_no_more_are_started_than_the_runtime_has_room_for(journal: Path) -> None:
    world = World()
    assert run(study(parallelism=4), world, journal, limit=1).status.phase == "Complete"
    assert world.most_live == 1


def test_suspending_stops_the_trials_and_the_clock_and_resuming_goes_on(journal: Path) -> None:
    world = World()
    loop = loop_of(study(), world, journal)
    world.on_wait = lambda w: change(loop, suspend=True) if w.now >= 1e9 + 30 else None
    view = asyncio.run(loop.run())
    assert view.status.phase == "Suspended"
    assert not world.alive()
    used = view.status.used.seconds
    world.now += 10_000
    world.on_wait = None
    view = run(study(), world, journal)
    assert view.status.trials.complete == 6
    assert view.status.used.seconds < used + 200
    assert max(world.executions.values()) == 2
    assert max(world.completions.values()) == 1


def test_unsuspending_while_trials_still_stop_loses_none(journal: Path) -> None:
    world = World()
    loop = loop_of(study(), world, journal)

    def flip(w: World) -> None:
        change(loop, suspend=1e9 + 10 <= w.now < 1e9 + 15)

    world.on_wait = flip
    assert asyncio.run(loop.run()).status.trials.complete == 6


def test_an_interrupted_run_can_be_gone_on_with(journal: Path) -> None:
    world = World()
    loop = loop_of(study(), world, journal)
    world.on_wait = lambda w: loop.interrupt() if w.now >= 1e9 + 30 else None
    assert asyncio.run(loop.run()).status.phase == "Suspended"
    world.on_wait = None
    assert run(study(), world, journal).status.trials.complete == 6
    assert states(journal) == ["Complete"] * 6


def test_a_target_ends_the_study_early(journal: Path) -> None:
    objective = {"metric": "loss", "goal": "minimize", "target": 0.5}
    world = World(seconds=lambda number: 20 if number == 0 else 9999)
    view = run(study(objectives=[objective], budget={"gracePeriod": "0s", "maxTrials": 6}), world, journal)
    assert view.status.phase == "Complete"
    assert states(journal) == ["Complete", "Stopped"]
    complete = next(c for c in view.status.conditions if c.type == "Complete")
    assert complete.reason == "TargetReached"


def test_the_grace_period_begins_when_the_study_ends_early_not_when_its_last_trial_was_asked_for(
    journal: Path,
) -> None:
    # Both trials are started at once (maxTrials is reached); trial 0 reaches the target 100 s later.
    objective = {"metric": "loss", "goal": "minimize", "target": 0.5}
    world = World(seconds=lambda number: 100 if number == 0 else 130)
    listener = Listener()
    spec = study(objectives=[objective], budget={"gracePeriod": "1m", "maxTrials": 2})
    assert run(spec, world, journal, listener).status.phase == "Complete"
    assert states(journal) == ["Complete", "Complete"], "trial 1 needed 30 s of its minute"
    assert "TargetReached" in listener.reasons


def test_time_ends_the_study_and_leaves_running_trials_to_finish(journal: Path) -> None:
    view = run(study(budget={"maxDuration": "50s"}), World(), journal)
    assert view.status.phase == "Complete"
    assert set(states(journal)) == {"Complete"}
    assert 50 <= view.status.used.seconds <= 75


def test_hopeless_trials_are_pruned_while_they_run(journal: Path) -> None:
    spec = study(pruner={"name": "median", "options": {"n_startup_trials": 1}}, parallelism=1, budget={"maxTrials": 4})
    world = World(gpus=1, curve=lambda trial, _: float(trial.number))
    view = run(spec, world, journal)
    assert states(journal) == ["Complete", "Pruned", "Pruned", "Pruned"]
    assert view.status.trials.pruned == 3


def test_a_person_is_told_of_the_start_and_of_the_end_once(journal: Path) -> None:
    world, listener = World(), Listener()
    asyncio.run(loop_of(study(), world, journal, listener).run())
    assert listener.reasons[0] == "Started"
    assert listener.reasons.count("MaxTrialsReached") == 1
    again = Listener()
    asyncio.run(loop_of(study(), world, journal, again).run())
    assert again.reasons == []


def test_a_trial_that_vanishes_from_the_runtime_runs_again(journal: Path) -> None:
    world = World()

    def vanish(w: World) -> None:
        if w.now == 1e9 + 10:
            w.runs.pop(0)

    world.on_wait = vanish
    view = asyncio.run(loop_of(study(), world, journal).run())
    assert view.status.trials.complete == 6
    assert world.executions[0] == 2


def test_a_trial_that_is_always_interrupted_waits_longer_each_time_and_is_given_up_at_last(journal: Path) -> None:
    world = World()
    lost: list[float] = []

    def vanish(w: World) -> None:
        if w.runs.pop(0, None) is not None:
            lost.append(w.now)

    world.on_wait = vanish
    view = asyncio.run(loop_of(study(), world, journal).run())
    assert (view.status.trials.complete, view.status.trials.failed) == (5, 1)
    assert world.executions[0] == len(lost) == INTERRUPTIONS_TOLERATED + 1
    waits = [after - before for before, after in pairwise(lost)]
    assert waits[-1] >= INTERRUPTION_LIMIT_SECONDS > waits[1] >= INTERRUPTION_SECONDS


def test_gpu_time_is_counted_once(journal: Path) -> None:
    world = World()
    view = run(study(), world, journal)
    assert view.status.used.gpu_seconds == 60.0
    assert run(study(), world, journal).status.used.gpu_seconds == 60.0


def test_a_storage_that_fails_ends_the_run_and_nothing_is_lost(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    loop = loop_of(study(), world, journal)
    real = Path.open

    def full(w: World) -> None:
        if w.now >= 1e9 + 30:
            monkeypatch.setattr("builtins.open", _no_space)

    world.on_wait = full
    with pytest.raises(StudyError, match="disk is full"):
        asyncio.run(loop.run())
    monkeypatch.undo()
    assert Path.open is real
    world.on_wait = None
    assert run(study(), world, journal).status.trials.complete == 6
    assert max(world.completions.values()) == 1


def _no_space(*args: Any, **kwargs: Any) -> Any:
    raise OSError(28, "No space left on device")


def test_a_trouble_while_waiting_is_not_swallowed(journal: Path) -> None:
    world = World()

    def trouble(w: World) -> None:
        raise StudyError("the cluster does not answer")

    world.on_wait = trouble
    with pytest.raises(StudyError, match="does not answer"):
        asyncio.run(loop_of(study(), world, journal).run())


# --- crashes -----------------------------------------------------------------------------------------------------


def mixed(trial: Suggestion, execution: int) -> End:
    """Trial 1 fails, trial 2 is interrupted once, trial 4 is without a result; the others complete."""
    if trial.number == 1:
        return fails(trial)
    if trial.number == 2 and execution == 1:
        return interrupted(trial)
    if trial.number == 4:
        return End(True, False, "Completed", "", Result())
    return completes(trial)


def checked(world: World, journal: Path, view: Any, expected: list[str]) -> None:
    assert view.status.phase == "Complete"
    found = records(journal)
    assert [record.number for record in found] == list(range(len(found))), "none lost"
    assert len(found) <= 6, "maxTrials is never passed"
    assert [record.state for record in found] == expected
    complete = [record.values["loss"] for record in found if record.state == "Complete"]
    assert view.status.best.values == {"loss": min(complete)}
    assert view.status.trials.complete == len(complete)
    assert view.status.trials.failed == sum(record.state == "Failed" for record in found)
    assert max(world.completions.values()) == 1, "each number completes at most once"
    assert world.most_live <= 2, "never more at once than parallelism"
    assert world.runs == {}, "nothing is left behind"
    assert all(len(record.params) == 1 for record in found)


def test_a_crash_at_any_point_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    expected = ["Complete", "Failed", "Complete", "Complete", "Failed", "Complete"]

    def make() -> World:
        return World(mixed, seconds=lambda number: 10.0 + 4 * (number % 3))

    points = crash_everywhere(tmp_path, make, study(), lambda w, j, v: checked(w, j, v, expected))
    assert points > 60


def test_a_crash_at_any_point_of_a_study_that_is_cut_short_is_no_harm(tmp_path: Path) -> None:
    """Pruned, stopped at the end, and dropped trials: each keeps its end."""

    def check(world: World, journal: Path, view: Any) -> None:
        assert view.status.phase == "Complete"
        found = records(journal)
        assert "Running" not in {record.state for record in found}
        assert found[0].state == "Complete"
        assert len(found) <= 6 and world.most_live <= 2 and world.runs == {}
        assert max(world.completions.values()) == 1
        counts = view.status.trials
        for state in ("complete", "pruned", "failed", "stopped"):
            assert getattr(counts, state) == sum(record.state.lower() == state for record in found)
        assert counts.total == len(found)

    spec = study(
        pruner={"name": "median", "options": {"n_startup_trials": 1}},
        budget={"maxDuration": "45s", "maxTrials": 6, "gracePeriod": "5s"},
    )

    def make() -> World:
        return World(
            seconds=lambda number: 10.0 if number == 0 else 40.0,
            curve=lambda trial, passed: float(trial.number == 2) + 1 / (1 + passed),
        )

    assert crash_everywhere(tmp_path, make, spec, check) > 60


def test_gpu_time_is_right_after_a_crash_at_any_point(tmp_path: Path) -> None:
    def check(world: World, journal: Path, view: Any) -> None:
        assert view.status.used.gpu_seconds == 20.0
        assert run(spec, world, journal).status.used.gpu_seconds == 20.0, "and after one more restart"

    spec = study(budget={"maxTrials": 2}, parameters=[LR])
    crash_everywhere(tmp_path, World, spec, check)


def test_a_pruner_without_anything_to_go_by_is_told_of_once(journal: Path) -> None:
    listener = Listener()
    run(study(pruner={"name": "median"}, budget={"maxTrials": 4}), World(), journal, listener)
    told = [event for event in listener.events if event.reason == "NothingToPruneBy"]
    assert len(told) == 1
    assert "median" in told[0].message


def test_how_busy_gpus_were_is_kept_with_the_trial(journal: Path) -> None:
    world = World(seconds=lambda _: 30.0, curve=lambda *_: 0.5, busy=lambda number: 60.0 + number)
    run(study(budget={"maxTrials": 2}), world, journal)
    assert [record.gpu_utilization for record in records(journal)] == [60.0, 61.0]


def test_a_change_that_comes_while_the_run_ends_is_not_lost(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    larger = study(budget={"maxTrials": 8}).model_copy(update={"metadata": Metadata(name="example", generation=2)})

    async def change_while_draining(runtime: SimulatedRuntime) -> None:
        if loop.study is not larger:
            loop.update(larger)

    monkeypatch.setattr(SimulatedRuntime, "drain", change_while_draining)
    loop = loop_of(study(), world, journal)
    view = asyncio.run(loop.run())
    assert (view.status.progress, view.status.observed_generation) == ("8/8", 2)


@pytest.fixture
def small_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that are reached by fewer trials, which take less time."""
    monkeypatch.setattr(loop_module, "ASKS_PER_TURN", replace(ASKS_PER_TURN, value=8))
    monkeypatch.setattr(loop_module, "STEPS_PER_TURN", replace(STEPS_PER_TURN, value=30))


@pytest.mark.usefixtures("small_turns")
def test_a_turn_is_bounded_whatever_the_parallelism_and_the_study_shows_itself_in_between(journal: Path) -> None:
    world, many = World(seconds=lambda _: 400.0), 80
    view = run(study(parallelism=10_000, budget={"maxTrials": many}), world, journal)
    assert view.status.trials.complete == many
    turns = " ".join(world.log).split("before runtime.observe")
    most = {call: max(turn.count(f"after search.{call}") for turn in turns) for call in ("ask", "tell")}
    assert most == {"ask": 8, "tell": 30}


@pytest.mark.usefixtures("small_turns")
def test_many_queued_trials_are_dropped_in_several_turns_before_the_end_is_told(journal: Path) -> None:
    many, listener = 70, Listener()
    world = World(seconds=lambda _: 1e6)

    def stop(_: World) -> None:
        if len(world.alive()) == many:
            loop.interrupt()

    world.on_wait = stop
    wide = study(parallelism=10_000, budget={"maxTrials": many})
    loop = loop_of(wide, world, journal)
    asyncio.run(loop.run())
    world.on_wait = None
    view = run(study(parallelism=10_000, budget={"maxTrials": many}, stop=True), world, journal, listener)
    assert view.status.trials.stopped == many
    assert [shown.status.phase for shown in listener.views].count("Complete") <= 1
