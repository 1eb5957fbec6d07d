"""What each thing that happens makes of a trial of this machine."""

from __future__ import annotations

import pytest

from kubestudy.api.job import JobSpec
from kubestudy.local.protocol import Cause, Ended
from kubestudy.local.trial_stages import LocalTrial, Stage, end_of
from kubestudy.study.trial import Result, Suggestion, TrialPhase, WaitKind

NEW = LocalTrial(Suggestion(3, {"x": 1.0}))


def ended(code: int = 1, cause: Cause | None = None, seconds: float = 5.0) -> Ended:
    return Ended(3, 0, code, cause, 100.0, 100.0 + seconds)


def job(pod: int | None = None, **spec: int) -> JobSpec:
    limit = {} if pod is None else {"activeDeadlineSeconds": pod}
    return JobSpec.model_validate({"template": {"spec": {"containers": [{"name": "t"}], **limit}}, **spec})


def test_a_trial_waits_for_a_gpu_then_has_its_place_then_runs() -> None:
    waits = NEW.observed()
    assert (waits.phase, waits.placed, waits.wait and waits.wait.kind) == (TrialPhase.PENDING, False, WaitKind.ROOM)
    starting = NEW.starting(("0", "1"), 9000, now=50.0)
    seen = starting.observed()
    assert (seen.phase, seen.placed, seen.wait, seen.gpus) == (TrialPhase.PENDING, True, None, 2)
    seen = starting.running(100.0).observed()
    assert (seen.phase, seen.started) == (TrialPhase.RUNNING, 100.0)
    assert seen.metrics_url == "http://127.0.0.1:9000/metrics"


def test_one_that_waits_for_its_retry_says_nothing_of_room() -> None:
    again = NEW.starting(("0",), 1, now=50.0).running(100.0).backing_off(not_before=60.0)
    seen = again.observed()
    assert (seen.phase, seen.placed, seen.wait, seen.gpus) == (TrialPhase.PENDING, True, None, 0)
    assert not again.is_due(59.9)
    assert again.is_due(60.0)
    assert again.attempt == 1


def test_stopping_ends_at_once_what_has_no_process() -> None:
    for trial in (NEW, NEW.backing_off(1.0)):
        end = trial.stopping().end
        assert end is not None and end.interrupted
    stopping = NEW.starting((), 1, now=0.0).stopping()
    assert stopping.stage is Stage.STOPPING
    assert stopping.running(100.0).stage is Stage.STOPPING  # the start was on its way already
    assert stopping.stopping() == stopping


@pytest.mark.parametrize(
    ("attempt", "exited", "retried"),
    [
        (0, ended(1), True),
        (2, ended(1), False),  # backoffLimit is 2
        (0, ended(0), False),
        (0, ended(2), False),  # the same parameters end the same way
        (0, ended(137, Cause.DEADLINE), False),
        (0, ended(143, Cause.STOPPED), False),
    ],
)
def test_what_is_retried(attempt: int, exited: Ended, retried: bool) -> None:
    trial = LocalTrial(NEW.suggestion, Stage.RUNNING, attempt)
    assert trial.is_retried(exited, end_of(exited, None, str, 0), limit=2) is retried
    assert not trial.stopping().is_retried(exited, end_of(exited, None, str, 0), limit=2)


def test_the_jobs_deadline_goes_on_through_retries_and_the_pods_begins_anew() -> None:
    later = NEW.starting((), 1, now=1000.0).backing_off(1005.0)
    both = job(activeDeadlineSeconds=60, pod=50)
    assert NEW.deadline(both, 1000.0) == 50
    assert later.deadline(both, 1030.0) == 30
    assert later.deadline(job(activeDeadlineSeconds=60), 2000.0) == 0
    assert later.deadline(job(), 2000.0) is None


def test_how_an_execution_ended_in_words() -> None:
    assert end_of(ended(0), None, str, 2).gpu_seconds == 10.0
    late = end_of(ended(0, Cause.DEADLINE), Result({"y": 1.0}, reason="Terminated", message="stopped"), str, 0)
    assert (late.reason, late.result) == ("DeadlineExceeded", Result({"y": 1.0}))
    assert "after 5 s" in late.detail
    assert end_of(ended(0, Cause.STOPPED), None, str, 0).succeeded
    assert end_of(ended(137), None, str, 0).reason == "Killed"
    assert end_of(ended(139), None, lambda: "last words", 0).detail == "ended by SIGSEGV: last words"
    assert end_of(ended(255), None, str, 0).detail == "exit code 255"
