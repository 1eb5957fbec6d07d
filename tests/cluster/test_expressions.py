"""Objectives and constraints in PromQL: a real Prometheus decides real studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.cluster import images
from support.cluster.cluster import Cluster, start_operator
from support.cluster.prometheus import Prometheus, operator_with
from support.cluster.studies import ON_REAL_NODE, Study, container_study, simulated_study
from support.wait import until

pytestmark = pytest.mark.timeout(1800)  # the first time it builds Prometheus

SCRIPT = """
import time
from kubestudy_trainer import Trial
trial = Trial.current()
x = trial.params["x"]
for step in range(1, 37):
    trial.report(step, y=x, load=1 - x)
    time.sleep(0.5)  # a step's work
trial.finish(y=x)
"""
OVER_TIME = (
    '{how}_over_time(kubestudy_trial_metric{{namespace="$(namespace)",pod=~"$(pods)",metric="{metric}"}}[$(window)])'
)


def counted(objective: str = "vector($(trial))", **spec: Any) -> dict[str, Any]:
    """Return a study whose trials say nothing: Prometheus knows their numbers, at least."""
    return simulated_study(
        objectives=[{"promql": objective, "name": "number", "goal": "maximize"}],
        annotations={"message": "none"},
        run_for="1s",
        **spec,
    )


@pytest.mark.usefixtures("seeing_operator")
def test_what_prometheus_saw_of_real_trials_decides(real: Cluster, namespace: str) -> None:
    """The smallest peak wins, but only where the mean load stays low: x is the one and 1 - x the other."""
    made = container_study(
        "watched",
        {"name": "trainer", "image": images.TRAINER, "command": ["python", "-c", SCRIPT]},
        pod=ON_REAL_NODE,
        objectives=[{"promql": OVER_TIME.format(how="max", metric="y"), "name": "peak", "goal": "minimize"}],
        constraints=[
            {"promql": OVER_TIME.format(how="avg", metric="load"), "name": "load", "max": 0.5},
            {"metric": "y", "max": 0.9},
        ],
        parameters=[{"name": "x", "type": "float", "low": 0, "high": 1}],
        sampler={"name": "random", "seed": 1},
        settlingTime="3s",
        parallelism=3,
        budget={"maxTrials": 6},
    )
    study = Study(real, namespace, "watched").apply(made)
    status = study.until_phase("Complete", seconds=300)
    assert status["trials"]["complete"] == 6, status
    assert 0 < status["trials"]["infeasible"] < 6
    best = status["best"]
    assert 0.5 <= best["params"]["x"] <= 0.9
    assert best["values"]["peak"] == pytest.approx(best["params"]["x"])


@pytest.mark.usefixtures("seeing_operator")
def test_an_expression_is_checked_before_the_first_trial(cluster: Cluster, namespace: str) -> None:
    study = Study(cluster, namespace).apply(counted('avg(up{pod=~"$(pods)"'))
    until(lambda: study.holds("Failed"), what="the refusal")
    failed = study.condition("Failed")
    assert failed["reason"] == "InvalidExpression"
    assert 'avg(up{pod=~"sim-' in failed["message"] and "parse error" in failed["message"]
    assert study.jobs == []


@pytest.mark.usefixtures("seeing_operator")
@pytest.mark.parametrize(
    ("objective", "reason", "words"),
    [
        ('kubestudy_nothing{pod=~"$(pods)"}', "NothingMeasured", "over the trial's window: kubestudy_nothing"),
        ('label_replace(vector(1), "a", "b", "", "") or vector(2)', "ManyValues", "gave 2 values where one is needed"),
    ],
)  # fmt: skip
def test_an_expression_without_one_number_fails_the_trial_and_is_shown_as_it_was_sent(
    cluster: Cluster, namespace: str, objective: str, reason: str, words: str
) -> None:
    study = Study(cluster, namespace).apply(counted(objective, budget={"maxTrials": 2}))
    study.until_phase("Failed")
    assert study.status["trials"]["failed"] == 2
    told = [message for said, message in study.events if said == "TrialFailed"]
    assert all(reason in message and words in message for message in told), told


def test_a_study_waits_for_prometheus_before_it_begins_and_while_it_measures(
    cluster: Cluster, prometheus: Prometheus, namespace: str, tmp_path: Path
) -> None:
    operator = operator_with(prometheus, cluster, namespace, tmp_path / "operator")
    prometheus.down()
    study = Study(cluster, namespace).apply(counted(budget={"maxTrials": 4}, parallelism=1))
    until(lambda: (study.condition("Degraded") or {}).get("reason") == "MetricsUnavailable", what="Degraded")
    assert study.jobs == []
    prometheus.up()
    until(lambda: study.status.get("trials", {}).get("complete"), what="a measured trial")
    prometheus.down()
    until(lambda: study.status["trials"]["measuring"] == 2, what="trials that wait")
    operator.kill()
    again = operator_with(prometheus, cluster, namespace, tmp_path / "operator")
    prometheus.up()
    status = study.until_phase("Complete", seconds=300)
    assert (status["trials"]["complete"], status["trials"]["failed"]) == (4, 0)
    assert status["best"]["number"] == 3
    assert again.stop() == 0


def test_without_a_prometheus_a_study_with_expressions_is_refused_until_there_is_one(
    cluster: Cluster, prometheus: Prometheus, namespace: str, tmp_path: Path
) -> None:
    bare = start_operator(cluster, tmp_path / "bare", f"--namespace={namespace}", "--no-leader-election")
    study = Study(cluster, namespace).apply(counted(budget={"maxTrials": 1}))
    until(lambda: study.holds("Failed"), what="the refusal")
    assert study.condition("Failed")["reason"] == "NoPrometheus"
    assert "--prometheus-url" in study.condition("Failed")["message"]
    assert bare.stop() == 0
    seeing = operator_with(prometheus, cluster, namespace, tmp_path / "seeing")
    study.until_phase("Complete")
    assert seeing.stop() == 0
