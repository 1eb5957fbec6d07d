"""Objectives and constraints by expression in the loop: trials that ended wait for their numbers, and hold nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kubestudy.api.study import HyperparameterStudy
from kubestudy.search.history import History, TrialRecord
from kubestudy.search.storage import open_storage
from kubestudy.study.ports import MeasureError
from kubestudy.study.trial import End, Suggestion
from support.manifests import LOSS, study_of
from support.simulated import Listener, World, completes, crash_everywhere, loop_of, run

POWER = {"promql": "sum(power)", "name": "power", "goal": "minimize"}
MEMORY = {"promql": "max(memory)", "name": "memory", "max": 30.0}


def silent_for_ten(trial: Suggestion, execution: int) -> End:
    return replace(silent(trial, execution), gpu_seconds=10.0)


def study(**spec: Any) -> HyperparameterStudy:
    return study_of(**{"sampler": {"name": "random", "seed": 1}, "parallelism": 2, **spec})


def records(journal: Path) -> list[TrialRecord]:
    return History(open_storage(journal), "example", "").trials()


def measures(number: int) -> Mapping[str, float]:
    return {"power": 100.0 - number, "memory": 10.0 * number}


def silent(_: Suggestion, __: int) -> End:
    """A script that succeeds and reports nothing, as any program may whose objectives are expressions."""
    return End(True, False, "Completed", "", None)


def test_an_expression_alone_needs_no_result_of_the_trial(tmp_path: Path) -> None:
    view = run(study(objectives=[POWER]), World(silent, measure=measures), tmp_path / "j")
    assert view.status.best is not None
    assert (view.status.best.number, view.status.best.values) == (5, {"power": 95.0})


def test_reported_and_measured_objectives_mix(tmp_path: Path) -> None:
    view = run(study(objectives=[LOSS, POWER]), World(measure=measures), tmp_path / "j")
    assert view.status.trials.complete == 6
    assert {"loss", "power"} == set(records(tmp_path / "j")[0].values)


def test_a_trial_that_breaks_a_constraint_is_never_the_best(tmp_path: Path) -> None:
    spec: dict[str, Any] = {"objectives": [POWER], "constraints": [MEMORY]}
    view = run(study(**spec), World(silent, measure=measures), tmp_path / "j")
    counts = view.status.trials
    assert (counts.complete, counts.infeasible) == (6, 2)
    assert view.status.best is not None and view.status.best.number == 3
    again = run(study(**spec), World(silent, measure=measures), tmp_path / "j")
    assert again.status.trials.infeasible == 2 and again.status.best == view.status.best
    found = History(open_storage(tmp_path / "j"), "example", "")
    assert [record.number for record in found.best()] == [3]
    assert found.trials()[5].reason == "breaks memory by 20"


def test_where_nothing_keeps_the_constraints_the_end_says_so(tmp_path: Path) -> None:
    spec = study(constraints=[{"metric": "loss", "max": -1.0}])
    view = run(spec, World(), tmp_path / "j")
    assert view.status.phase == "Complete" and view.status.best is None
    complete = next(c for c in view.status.conditions if c.type == "Complete")
    assert "no trial kept every constraint" in complete.message


def test_a_constraint_on_a_metric_that_is_not_reported_fails_the_trial(tmp_path: Path) -> None:
    run(study(constraints=[{"metric": "latency", "max": 1.0}]), World(), tmp_path / "j")
    reason = records(tmp_path / "j")[0].reason
    assert reason is not None and reason.startswith("MissingMetric") and "constraints name" in reason


def test_others_run_while_a_trial_is_measured(tmp_path: Path) -> None:
    world = World(silent, seconds=lambda _: 10.0, measure=measures)
    listener = Listener()
    run(study(objectives=[POWER], parallelism=1), world, tmp_path / "j", listener)
    assert any(view.status.trials.measuring and view.status.trials.running for view in listener.views)
    assert world.most_live == 1


def test_what_runs_and_what_is_measured_is_at_most_twice_parallelism(tmp_path: Path) -> None:
    """Suggestions need results: a server that is away holds the study up instead of burning its budget."""
    world = World(silent, seconds=lambda _: 1.0, measure=measures)
    listener = Listener()
    run(study(objectives=[POWER], settlingTime="10m"), world, tmp_path / "j", listener)
    assert max(view.status.trials.measuring for view in listener.views) == 4


def test_a_server_that_is_away_is_waited_for_and_told_of(tmp_path: Path) -> None:
    def away(number: int) -> Mapping[str, float]:
        if world.now < 1e9 + 200:
            raise MeasureError("MetricsUnavailable", "Prometheus does not answer", attempts=30, unavailable=True)
        return measures(number)

    world, listener = World(silent, measure=away), Listener()
    view = run(study(objectives=[POWER]), world, tmp_path / "j", listener)
    assert view.status.trials.complete == 6
    assert "MetricsUnavailable" in listener.reasons
    degraded = [c for v in listener.views for c in v.status.conditions if c.type == "Degraded"]
    assert {c.status for c in degraded} == {"True", "False"}


@pytest.mark.parametrize("attempts", [1, 4])
def test_an_expression_without_a_number_fails_the_trial_after_its_attempts(tmp_path: Path, attempts: int) -> None:
    tries: dict[int, int] = {}

    def nothing(number: int) -> Mapping[str, float]:
        tries[number] = tries.get(number, 0) + 1
        raise MeasureError("NothingMeasured", "the expression gave nothing: sum(power)", attempts=attempts)

    view = run(study(objectives=[POWER]), World(silent, measure=nothing), tmp_path / "j")
    assert view.status.phase == "Failed"
    assert set(tries.values()) == {attempts}
    assert records(tmp_path / "j")[0].reason == "NothingMeasured: the expression gave nothing: sum(power)"


def test_a_failed_trial_is_not_measured(tmp_path: Path) -> None:
    world = World(lambda trial, _: completes(trial) if trial.number else End(False, False, "Error", "exit 1", None))
    run(study(objectives=[LOSS, POWER]), world, tmp_path / "j")
    assert records(tmp_path / "j")[0].state == "Failed"


def test_suspending_waits_for_what_is_being_measured(tmp_path: Path) -> None:
    world = World(silent, seconds=lambda _: 10.0, measure=measures)
    loop = loop_of(study(objectives=[POWER], settlingTime="60s"), world, tmp_path / "j")

    def suspend(w: World) -> None:
        if w.now >= 1e9 + 12:
            loop.study = loop.study.model_copy(update={"spec": loop.study.spec.model_copy(update={"suspend": True})})

    world.on_wait = suspend
    view = asyncio.run(loop.run())
    assert view.status.phase == "Suspended"
    assert view.status.trials.complete == 2


def test_a_crash_at_any_point_loses_no_number_and_measures_nothing_twice(tmp_path: Path) -> None:
    def check(_: World, journal: Path, view: Any) -> None:
        assert view.status.trials.complete == 4
        assert [record.values["power"] for record in records(journal)] == [100.0, 99.0, 98.0, 97.0]

    spec = study(objectives=[LOSS, POWER], constraints=[MEMORY], budget={"maxTrials": 4})
    points = crash_everywhere(tmp_path, lambda: World(measure=measures), spec, check)
    assert points > 40


def test_attempts_that_a_server_was_away_for_do_not_count_as_empty_answers(tmp_path: Path) -> None:
    tries: dict[int, int] = {}

    def late(number: int) -> Mapping[str, float]:
        tries[number] = tries.get(number, 0) + 1
        if tries[number] <= 6:
            raise MeasureError("MetricsUnavailable", "away", attempts=30, unavailable=True)
        if tries[number] <= 9:
            raise MeasureError("NothingMeasured", "nothing yet", attempts=4)
        return measures(number)

    view = run(study(objectives=[POWER]), World(silent, measure=late), tmp_path / "j")
    assert view.status.trials.complete == 6


def test_whatever_a_server_answers_the_study_goes_on(tmp_path: Path) -> None:
    def broken(number: int) -> Mapping[str, float]:
        if number == 2:
            raise KeyError("value")
        return measures(number)

    view = run(study(objectives=[POWER]), World(silent, measure=broken), tmp_path / "j")
    assert (view.status.trials.complete, view.status.trials.failed) == (5, 1)
    assert (records(tmp_path / "j")[2].reason or "").startswith("MeasurementFailed: KeyError")


def test_gpu_time_of_a_trial_that_is_measured_counts(tmp_path: Path) -> None:
    listener = Listener()
    spec = study(objectives=[POWER], settlingTime="5m", budget={"maxTrials": 2})
    run(spec, World(silent_for_ten, measure=measures), tmp_path / "j", listener)
    used = [view.status.used.gpu_seconds for view in listener.views]
    assert used == sorted(used) and used[-1] == 20.0
    assert any(v.status.trials.measuring == 2 and v.status.used.gpu_seconds == 20.0 for v in listener.views)
