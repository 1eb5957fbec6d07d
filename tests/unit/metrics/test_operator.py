"""The operator's own metrics: bounded, and gone with their study."""

from __future__ import annotations

import os
import re
import time

from kubestudy.api.status import BestTrial, Condition, StudyStatus, TrialCounts, Used
from kubestudy.api.study import Budget
from kubestudy.metrics.own import OperatorMetrics


def status(phase: str = "Running", *, degraded: bool = False) -> StudyStatus:
    condition = Condition(
        type="Degraded",
        status="True" if degraded else "False",
        reason="x",
        message="",
        last_transition_time="2026-01-31T12:00:00Z",
    )
    best = BestTrial(number=1, values={"val_accuracy": 0.5}, params={"lr": 0.1, "act": "relu"})
    counts, used = TrialCounts(running=2), Used(trials=3)
    return StudyStatus(phase=phase, trials=counts, best=best, conditions=[condition], used=used)


def test_a_study_shows_and_goes() -> None:
    metrics = OperatorMetrics()
    metrics.show("ns", "demo", status(degraded=True), Budget(max_trials=4, max_duration="1h"))
    text = metrics.text().decode()
    assert 'kubestudy_studies{phase="Running"} 1.0' in text
    assert 'kubestudy_study_trials{namespace="ns",state="running",study="demo"} 2.0' in text
    assert 'kubestudy_study_best_value{namespace="ns",objective="val_accuracy",study="demo"} 0.5' in text
    assert 'kubestudy_study_degraded{namespace="ns",study="demo"} 1.0' in text
    assert 'kubestudy_study_budget_used{budget="maxTrials",namespace="ns",study="demo"} 3.0' in text
    assert 'kubestudy_study_budget_limit{budget="maxDuration",namespace="ns",study="demo"} 3600.0' in text
    labels = 'namespace="ns",parameter="act",study="demo",trial="1",value="relu"'
    assert f"kubestudy_study_best_parameter_info{{{labels}}} 1.0" in text
    metrics.show("ns", "demo", status("Complete"))
    text = metrics.text().decode()
    assert 'kubestudy_studies{phase="Running"} 0.0' in text
    assert 'kubestudy_studies{phase="Complete"} 1.0' in text
    assert "kubestudy_study_budget_used{" not in text
    metrics.drop("ns", "demo")
    metrics.drop("ns", "never-shown")
    assert 'study="' not in metrics.text().decode()


def test_reasons_of_failures_are_bounded() -> None:
    metrics = OperatorMetrics()
    for number in range(500):
        metrics.trial_failed(f"Reason{number}")
    lines = [x for x in metrics.text().decode().splitlines() if x.startswith("kubestudy_trial_failures_total")]
    assert len(lines) == 51
    assert 'reason="Other"} 450.0' in "\n".join(lines)


def test_the_process_and_its_start_are_told() -> None:
    text = OperatorMetrics().text().decode()
    found = {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)}
    assert abs(found["kubestudy_operator_start_time_seconds"] - time.time()) < 60
    assert found["process_open_fds"] > 2
    assert found["process_resident_memory_bytes"] > os.sysconf("SC_PAGE_SIZE")
    assert found["process_start_time_seconds"] < time.time()
