"""The status: small however large the study, and calm while nothing changes."""

from __future__ import annotations

from typing import Any

import pytest

from kubestudy.api.status import StudyStatus
from kubestudy.api.study import HyperparameterStudy
from kubestudy.planning.clock import StudyClock
from kubestudy.planning.ending import Ending
from kubestudy.planning.facts import Facts
from kubestudy.planning.plan import Plan
from kubestudy.planning.tally import Scored, Tally
from kubestudy.study.progress import Progress
from kubestudy.study.trial import TrialPhase
from kubestudy.study.view import LiveTrial, status_of, timestamp
from support.manifests import LOSS, study_of

NOW = 1_769_860_800.0  # 2026-01-31T12:00:00Z
MEMORY = Progress(StudyClock(), started=NOW)
DONE = Ending("MaxTrialsReached", "maxTrials (6) is reached", early=False)


def of(
    study: HyperparameterStudy,
    tally: Tally | None = None,
    facts: Facts | None = None,
    plan: Plan | None = None,
    live: Any = (),
    now: float = NOW,
    before: Any = (),
    completed: float = NOW,
) -> StudyStatus:
    progress = Progress(started=NOW, completed=completed)
    return status_of(study, tally or Tally(), facts or Facts(), plan or Plan(), progress, live, now, before)


def finished(study: HyperparameterStudy, count: int) -> StudyStatus:
    tally = Tally()
    for number in range(count):
        # Every trial is on the front: the worst case.
        values = (float(number), float(number))[: len(study.spec.objectives)]
        tally = tally.with_complete(study.spec.objectives, Scored(number, values, {"lr": 0.1}))
    return of(study, tally, Facts(complete=count))


def test_the_status_of_a_large_study_is_as_small_as_that_of_a_small_one() -> None:
    study = study_of()
    small, large = (len(finished(study, n).model_dump_json()) for n in (20, 20_000))
    assert large <= small + 40


def test_a_long_pareto_front_is_cut_and_counted() -> None:
    study = study_of(objectives=[LOSS, {"metric": "accuracy", "goal": "maximize"}])
    status = finished(study, 300)
    assert status.pareto_front_size == 300
    assert status.pareto_front is not None and len(status.pareto_front) == 20
    assert status.best is None
    assert status.best_value == "300 on the Pareto front"


def test_many_running_trials_do_not_grow_the_status() -> None:
    live = [LiveTrial(n, TrialPhase.RUNNING, NOW, {"lr": 0.1}) for n in range(5000)]
    status = of(study_of(), facts=Facts(live=frozenset(range(5000))), live=live)
    assert len(status.model_dump_json()) < 2500
    assert (status.trials.running, status.trials.pending) == (5000, 0)


@pytest.mark.parametrize(
    ("facts", "plan", "phase", "holds", "reason"),
    [
        (Facts(), Plan(launch=1), "Pending", "Progressing", "Starting"),
        (Facts(live=frozenset({0})), Plan(), "Running", "Progressing", "TrialsRunning"),
        (Facts(live=frozenset({0})), Plan(ending=DONE), "Running", "Progressing", "MaxTrialsReached"),
        (Facts(complete=6), Plan(ending=DONE, over=True), "Complete", "Complete", "MaxTrialsReached"),
        (Facts(failed=6), Plan(ending=Ending("X", "m", failed=True), over=True), "Failed", "Failed", "X"),
        (Facts(queued=(0,)), Plan(suspended=True), "Suspended", "Suspended", "Suspended"),
    ],
)
def test_exactly_one_condition_holds_and_it_says_why(
    facts: Facts, plan: Plan, phase: str, holds: str, reason: str
) -> None:
    status = of(study_of(), facts=facts, plan=plan)
    assert status.phase == phase
    true = [c for c in status.conditions if c.status == "True"]
    assert [(c.type, c.reason) for c in true] == [(holds, reason)]
    assert {c.type for c in status.conditions} == {"Progressing", "Complete", "Failed", "Suspended", "Degraded"}
    assert (status.completion_time is not None) == plan.over


def test_a_conditions_time_stays_while_it_does_not_change() -> None:
    study, running = study_of(), Facts(live=frozenset({0}))
    first = of(study, facts=running)
    second = of(study, facts=running, plan=Plan(ending=DONE), now=NOW + 60, before=first.conditions)
    assert [c.last_transition_time for c in second.conditions] == ["2026-01-31T12:00:00Z"] * 5
    over = Plan(ending=DONE, over=True)
    done = Facts(complete=6)
    third = of(study, facts=done, plan=over, now=NOW + 95, before=second.conditions, completed=NOW + 90)
    assert {c.type: c.last_transition_time for c in third.conditions} == {
        "Progressing": "2026-01-31T12:01:30Z",
        "Complete": "2026-01-31T12:01:30Z",
        "Failed": "2026-01-31T12:00:00Z",
        "Suspended": "2026-01-31T12:00:00Z",
        "Degraded": "2026-01-31T12:00:00Z",
    }


def test_counts_and_progress() -> None:
    facts = Facts(
        complete=2, infeasible=1, pruned=1, failed=1, stopped=1,
        live=frozenset({5, 6}), measuring=frozenset({8}), queued=(7,), seconds=12.34,
    )  # fmt: skip
    live = [LiveTrial(5, TrialPhase.RUNNING, NOW, {}), LiveTrial(6, TrialPhase.PENDING, None, {})]
    status = of(study_of(), facts=facts, live=live)
    assert status.progress == "5/6"
    assert status.trials.model_dump() == {
        "total": 9, "running": 1, "pending": 2, "measuring": 1,
        "complete": 2, "infeasible": 1, "pruned": 1, "failed": 1, "stopped": 1,
    }  # fmt: skip
    assert status.used.seconds == 12.3


def test_a_long_reason_for_the_end_fits_the_condition() -> None:
    ending = Ending("MaxFailedTrialsReached", "x" * 10_000, failed=True)
    status = of(study_of(), facts=Facts(failed=1), plan=Plan(ending=ending, over=True))
    assert StudyStatus.model_validate(status.model_dump())


@pytest.mark.parametrize(("unix", "text"), [(None, None), (0.0, "1970-01-01T00:00:00Z"), (NOW, "2026-01-31T12:00:00Z")])
def test_times_are_written_as_kubernetes_does(unix: float | None, text: str | None) -> None:
    assert timestamp(unix) == text
