"""What is decided from the facts: how many to launch, which to stop, when and why to finish."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubestudy.api.study import StudySpec
from kubestudy.planning.clock import StudyClock
from kubestudy.planning.facts import Facts
from kubestudy.planning.plan import Plan, StopCause, plan
from kubestudy.planning.tally import Scored, Tally, reaches_targets
from support.manifests import LOSS, spec_of

GPU = {"resources": {"limits": {"nvidia.com/gpu": 1}}}


def spec(parallelism: int = 3, objectives: Any = (LOSS,), **budget: Any) -> StudySpec:
    return spec_of(
        parallelism=parallelism,
        objectives=objectives,
        budget=budget or {"maxTrials": 10},
        container={"args": [], **GPU},
    )


def live(*numbers: int) -> frozenset[int]:
    return frozenset(numbers)


def stops(decided: Plan) -> dict[int, StopCause]:
    return dict(decided.stop)


# --- launching ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "capacity", "relaunched", "launched"),
    [
        (Facts(), None, (), 3),
        (Facts(live=live(0)), None, (), 2),
        (Facts(live=live(0, 1, 2)), None, (), 0),
        (Facts(live=live(0, 1, 2, 3, 4)), None, (), 0),
        (Facts(queued=(4, 7)), None, (4, 7), 1),
        (Facts(queued=(1, 2, 3, 4)), None, (1, 2, 3), 0),
        (Facts(), 1, (), 1),
        (Facts(queued=(1,)), 1, (1,), 0),
        (Facts(), 0, (), 0),
        (Facts(), 99, (), 3),
        (Facts(complete=9), None, (), 1),
        (Facts(complete=4, pruned=2, failed=2, stopped=1), None, (), 1),
        (Facts(complete=8, live=live(8)), None, (), 1),
        (Facts(complete=8, queued=(8, 9)), None, (8, 9), 0),
        (Facts(live=live(0, 1), stopping=live(0)), None, (), 1),
    ],
)
def test_as_many_are_started_as_budget_and_parallelism_allow(
    facts: Facts, capacity: int | None, relaunched: tuple[int, ...], launched: int
) -> None:
    decided = plan(spec(), facts, capacity=capacity)
    assert (decided.relaunch, decided.launch) == (relaunched, launched)


def test_lowered_parallelism_stops_nobody() -> None:
    decided = plan(spec(parallelism=1), Facts(live=live(0, 1, 2)))
    assert (decided.launch, decided.stop) == (0, ())


def test_a_hopeless_trial_is_stopped_once() -> None:
    facts = Facts(live=live(0, 1), hopeless=live(0))
    assert stops(plan(spec(), facts)) == {0: StopCause.PRUNED}
    assert stops(plan(spec(), Facts(live=live(0, 1), hopeless=live(0), stopping=live(0)))) == {}


# --- ending ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "facts", "reason", "failed", "early"),
    [
        ({"maxTrials": 3}, Facts(complete=3), "MaxTrialsReached", False, False),
        ({"maxTrials": 3}, Facts(complete=2, live=live(2)), "MaxTrialsReached", False, False),
        ({"maxTrials": 3}, Facts(complete=2, queued=(2,)), "MaxTrialsReached", False, False),
        ({"patience": 2}, Facts(complete=3, since_improvement=2), "PatienceExhausted", False, True),
        ({"maxDuration": "1m"}, Facts(complete=1, seconds=60), "MaxDurationReached", False, True),
        ({"maxGpuHours": 1}, Facts(complete=1, gpu_seconds=3600), "MaxGpuHoursReached", False, True),
        ({"maxTrials": 9}, Facts(complete=1, target_reached=True), "TargetReached", False, True),
        ({"maxTrials": 9}, Facts(complete=1, exhausted=True), "SearchSpaceExhausted", False, False),
        ({"maxTrials": 9, "maxFailedTrials": 2}, Facts(complete=9, failed=2), "MaxFailedTrialsReached", True, True),
        ({"maxTrials": 2}, Facts(failed=2), "NoTrialCompleted", True, False),
        ({"maxDuration": "1m"}, Facts(seconds=61), "NoTrialCompleted", True, True),
        ({"maxTrials": 2}, Facts(pruned=2), "NoTrialCompleted", True, False),
    ],
)
def test_each_budget_ends_the_study_with_its_reason(
    budget: dict[str, Any], facts: Facts, reason: str, failed: bool, early: bool
) -> None:
    decided = plan(spec(**budget), facts)
    assert decided.ending is not None
    assert (decided.ending.reason, decided.ending.failed, decided.ending.early) == (reason, failed, early)
    assert decided.launch == 0


@pytest.mark.parametrize(
    ("budget", "facts"),
    [
        ({"maxTrials": 3}, Facts(complete=2)),
        ({"maxTrials": 3, "maxFailedTrials": 2}, Facts(failed=1, pruned=1)),
        ({"patience": 2}, Facts(complete=3, since_improvement=1)),
        ({"maxDuration": "1m"}, Facts(seconds=59.9)),
        ({"maxGpuHours": 1}, Facts(gpu_seconds=3599)),
    ],
)
def test_below_its_budgets_a_study_goes_on(budget: dict[str, Any], facts: Facts) -> None:
    assert plan(spec(**budget), facts).ending is None


def test_stopped_and_pruned_trials_are_no_failures() -> None:
    assert plan(spec(maxTrials=99, maxFailedTrials=1), Facts(stopped=5, pruned=5)).ending is None


def test_failing_weighs_more_than_a_target_reached_at_the_same_time() -> None:
    decided = plan(spec(maxTrials=9, maxFailedTrials=1), Facts(complete=1, failed=1, target_reached=True))
    assert decided.ending is not None and decided.ending.failed


def test_the_last_failure_is_told_when_nothing_completed() -> None:
    decided = plan(spec(maxTrials=2), Facts(failed=2, last_failure="trial 1: Error: boom"))
    assert decided.ending is not None
    assert "2 failed" in decided.ending.message and "boom" in decided.ending.message


def test_the_last_trials_of_the_budget_run_to_their_end() -> None:
    facts = Facts(complete=8, live=live(8), queued=(9,))
    decided = plan(spec(gracePeriod="0s", maxTrials=10), facts)
    assert (decided.over, decided.stop, decided.drop, decided.relaunch) == (False, (), (), (9,))
    assert plan(spec(), Facts(complete=10)).over


def test_without_a_grace_period_running_trials_are_left_to_finish() -> None:
    decided = plan(spec(maxDuration="1m"), Facts(complete=1, seconds=9999, ending_since=60, live=live(1), queued=(2,)))
    assert (decided.over, decided.stop, decided.drop) == (False, (), (2,))


@pytest.mark.parametrize(("seconds", "stopped", "wake"), [(60, False, 30), (80, False, 10), (90, True, None)])
def test_with_a_grace_period_they_are_stopped_when_it_is_over(
    seconds: float, stopped: bool, wake: float | None
) -> None:
    facts = Facts(complete=1, seconds=seconds, ending_since=60, live=live(1, 2), stopping=live(2))
    decided = plan(spec(maxDuration="1m", gracePeriod="30s"), facts)
    assert stops(decided) == ({1: StopCause.ENDED} if stopped else {})
    assert decided.wake_in == wake


def test_without_any_grace_they_are_stopped_at_once() -> None:
    decided = plan(spec(maxTrials=5, gracePeriod="0s"), Facts(complete=1, target_reached=True, live=live(1)))
    assert stops(decided) == {1: StopCause.ENDED}


def test_the_plan_wakes_up_when_the_time_is_used_up() -> None:
    assert plan(spec(maxDuration="1m"), Facts(seconds=45, live=live(0))).wake_in == 15


# --- suspending --------------------------------------------------------------------------------------------------


def test_a_suspended_study_stops_its_trials_and_starts_none() -> None:
    decided = plan(spec(), Facts(live=live(0, 1), stopping=live(1), queued=(2,)), suspended=True)
    assert decided == Plan(stop=((0, StopCause.SUSPENDED),), suspended=True)


def test_a_study_that_is_over_ends_even_while_suspended() -> None:
    assert plan(spec(maxTrials=3), Facts(complete=3), suspended=True).over
    assert plan(spec(maxDuration="1m"), Facts(complete=1, seconds=60, queued=(1,)), suspended=True).drop == (1,)


def test_a_suspended_study_with_trials_still_to_run_is_not_over() -> None:
    decided = plan(spec(maxTrials=3), Facts(complete=2, queued=(2,)), suspended=True)
    assert decided.suspended and not decided.over


# --- whatever the facts ------------------------------------------------------------------------------------------

_COUNTS = st.integers(0, 6)


@st.composite
def any_facts(draw: st.DrawFn) -> Facts:
    numbers = draw(st.lists(st.integers(0, 20), unique=True, max_size=8))
    cut = draw(st.integers(0, len(numbers)))
    living = frozenset(numbers[:cut])
    subset = st.sets(st.sampled_from(sorted(living)), max_size=len(living)) if living else st.just(set[int]())
    seconds = draw(st.floats(0, 200))
    return Facts(
        live=living,
        stopping=frozenset(draw(subset)),
        hopeless=frozenset(draw(subset)),
        queued=tuple(sorted(numbers[cut:])),
        complete=draw(_COUNTS),
        pruned=draw(_COUNTS),
        failed=draw(_COUNTS),
        stopped=draw(_COUNTS),
        since_improvement=draw(_COUNTS),
        target_reached=draw(st.booleans()),
        exhausted=draw(st.booleans()),
        seconds=seconds,
        gpu_seconds=draw(st.floats(0, 9000)),
        ending_since=draw(st.none() | st.floats(0, 200)),
    )


@st.composite
def any_spec(draw: st.DrawFn) -> StudySpec:
    budget = {
        "maxTrials": draw(st.none() | st.integers(1, 12)),
        "maxFailedTrials": draw(st.none() | st.integers(1, 6)),
        "maxDuration": draw(st.none() | st.sampled_from(["1s", "100s"])),
        "maxGpuHours": draw(st.none() | st.sampled_from([0.5, 2.0])),
        "patience": draw(st.none() | st.integers(1, 6)),
        "gracePeriod": draw(st.none() | st.sampled_from(["0s", "50s"])),
    }
    return spec(draw(st.integers(1, 5)), **{key: value for key, value in budget.items() if value is not None})


@settings(max_examples=400, deadline=None)
@given(any_spec(), any_facts(), st.booleans(), st.none() | st.integers(0, 4))
def test_a_plan_never_passes_a_limit(study: StudySpec, facts: Facts, suspended: bool, capacity: int | None) -> None:
    decided = plan(study, facts, suspended=suspended, capacity=capacity)
    started = decided.launch + len(decided.relaunch)
    assert decided.launch >= 0
    assert not started or len(facts.live) + started <= study.parallelism
    assert capacity is None or started <= capacity
    assert (
        study.budget.max_trials is None or not decided.launch or facts.total + decided.launch <= study.budget.max_trials
    )
    stopped = [number for number, _ in decided.stop]
    assert set(stopped) <= facts.live - facts.stopping
    assert len(set(stopped)) == len(stopped)
    assert set(decided.drop) <= set(facts.queued) and set(decided.relaunch) <= set(facts.queued)
    assert not set(decided.drop) & set(decided.relaunch)
    assert decided.relaunch == facts.queued[: len(decided.relaunch)], "lowest numbers first"
    assert not decided.launch or len(decided.relaunch) == len(facts.queued), "queued ones go first"
    if decided.over:
        assert decided.ending is not None
        assert not facts.live and not started and decided.drop == facts.queued
    if decided.ending is not None:
        assert decided.launch == 0
    if suspended:
        assert started == 0
    if suspended and not decided.over:
        assert set(stopped) == facts.live - facts.stopping
    assert decided.wake_in is None or decided.wake_in >= 0
    idle = not (started or stopped or decided.drop or decided.over)
    if idle and not facts.live and not suspended:
        assert capacity == 0, "nothing lives, nothing starts and nothing ends: the study would hang"


# --- the tally ---------------------------------------------------------------------------------------------------

_OBJECTIVES = spec_of(objectives=[LOSS, {"metric": "accuracy", "goal": "maximize"}]).objectives


def _floats(pair: tuple[int, int]) -> tuple[float, ...]:
    return float(pair[0]), float(pair[1])


_VALUES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12)


def tally_of(values: list[tuple[float, ...]], objectives: Any) -> Tally:
    tally = Tally()
    for number, each in enumerate(values):
        tally = tally.with_complete(objectives, Scored(number, each, {}))
    return tally


@given(_VALUES)
def test_the_front_holds_exactly_the_unbeaten_trials(values: list[tuple[int, int]]) -> None:
    tally = tally_of([(float(a), float(b)) for a, b in values], _OBJECTIVES)

    def beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
        return a[0] <= b[0] and a[1] >= b[1] and a != b

    unbeaten = {(float(a), float(b)) for a, b in values if not any(beats(other, (a, b)) for other in values)}
    assert {scored.values for scored in tally.front} == unbeaten
    assert len(tally.front) == len(unbeaten), "of equal trials one is kept"
    assert all(scored.number == [*map(_floats, values)].index(scored.values) for scored in tally.front), "the earliest"
    assert tally.complete == len(values)


@given(st.lists(st.integers(0, 9), min_size=1))
def test_patience_counts_the_trials_since_the_best(values: list[int]) -> None:
    tally = tally_of([(float(value),) for value in values], _OBJECTIVES[:1])
    best = values.index(min(values))
    assert tally.front[0].number == best
    assert tally.since_improvement == len(values) - 1 - best


def test_pruned_trials_try_ones_patience_and_failed_ones_do_not() -> None:
    tally = tally_of([(1.0,)], _OBJECTIVES[:1]).with_pruned().with_failed("why").with_stopped()
    assert tally.since_improvement == 1
    assert tally.last_failure == "why"


@pytest.mark.parametrize(
    ("targets", "values", "reached"),
    [
        ((1.0, None), (1.0, 0.0), True),
        ((1.0, None), (1.1, 9.0), False),
        ((None, 5.0), (9.0, 5.0), True),
        ((1.0, 5.0), (1.0, 4.0), False),
        ((1.0, 5.0), (0.0, 6.0), True),
        ((None, None), (0.0, 9.0), False),
    ],
)
def test_a_target_is_reached_when_each_that_is_set_is(targets: Any, values: Any, reached: bool) -> None:
    goals = ({"metric": "a", "goal": "minimize"}, {"metric": "b", "goal": "maximize"})
    aimed = spec_of(
        objectives=[
            {**goal, **({} if target is None else {"target": target})}
            for goal, target in zip(goals, targets, strict=True)
        ]
    ).objectives
    assert reaches_targets(aimed, values) is reached


# --- the clock ---------------------------------------------------------------------------------------------------


def test_the_clock_stands_still_while_suspended() -> None:
    clock = StudyClock().start(100).pause(160)
    assert clock.read(9999) == 60
    assert clock.start(1000).read(1010) == 70


def test_starting_twice_changes_nothing() -> None:
    clock = StudyClock().start(100)
    assert clock.start(150) == clock


def test_the_time_of_day_set_back_takes_nothing_away() -> None:
    clock = StudyClock(50, 1000, paused=False)
    assert clock.read(0) == 50
    assert clock.pause(0).read(0) == 50


@pytest.mark.parametrize(
    ("last_activity", "anything_ran", "seconds"),
    [(130, True, 900), (130, False, 30), (0, False, 0), (9999, False, 900)],
)
def test_after_a_crash_the_gap_counts_only_if_trials_went_on(
    last_activity: float, anything_ran: bool, seconds: float
) -> None:
    assert StudyClock(0, 100, paused=False).recover(1000, last_activity, anything_ran).read(1000) == seconds


@given(
    st.lists(st.tuples(st.sampled_from(["start", "pause", "recover"]), st.floats(0, 1e6), st.booleans()), max_size=9)
)
def test_the_clock_never_goes_backwards_nor_faster_than_time(steps: list[tuple[str, float, bool]]) -> None:
    clock, now = StudyClock(), 1e9
    for what, passed, ran in steps:
        before, now = clock.read(now), now + passed
        waited = clock.read(now)
        assert before <= waited <= before + passed + 1e-3
        if what == "recover":
            clock = clock.recover(now, now - passed, ran)
            assert clock.read(now) >= before - 1e-3
        else:
            clock = clock.start(now) if what == "start" else clock.pause(now)
            assert clock.read(now) == pytest.approx(waited)
