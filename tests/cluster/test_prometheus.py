"""Trials read through a real Prometheus, which discovers their pods by the real API server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from kubestudy.search.merged import MergedStorage
from support.cluster import images
from support.cluster.cluster import ROOT, Cluster
from support.cluster.prometheus import Prometheus
from support.cluster.studies import ON_REAL_NODE, Study, container_study, torch_volume, with_torch
from support.wait import until

pytestmark = pytest.mark.timeout(1800)  # the first time it builds Prometheus

SCRIPT = """
import time
from kubestudy_trainer import Trial
trial = Trial.current()
for step in range(1, 41):
    trial.report(step, y=trial.params["x"])
    time.sleep(0.5)  # a step's work
trial.finish(y=trial.params["x"])
"""


def study_of(pruner: dict[str, Any], trials: int) -> dict[str, Any]:
    return container_study(
        "curves",
        {"name": "trainer", "image": images.TRAINER, "command": ["python", "-c", SCRIPT]},
        pod=ON_REAL_NODE,
        parameters=[{"name": "x", "type": "float", "low": 0, "high": 1}],
        sampler={"name": "random", "seed": 1},
        pruner=pruner,
        parallelism=2,
        budget={"maxTrials": trials},
    )


@pytest.mark.usefixtures("seeing_operator")
def test_hopeless_trials_are_pruned_by_what_prometheus_saw_though_it_is_away_for_a_while(
    real: Cluster, prometheus: Prometheus, namespace: str
) -> None:
    pruner = {"name": "median", "options": {"n_startup_trials": 2, "n_warmup_steps": 2}}
    study = Study(real, namespace, "curves").apply(study_of(pruner, 10))
    until(lambda: study.status.get("trials", {}).get("pruned"), 300, what="a pruned trial")
    prometheus.down()
    until(lambda: (study.condition("Degraded") or {}).get("reason") == "MetricsUnavailable", what="Degraded")
    done = study.status["trials"]["complete"]
    until(lambda: study.status["trials"]["complete"] > done, what="a trial that ends without Prometheus")
    prometheus.up()
    status = study.until_phase("Complete", seconds=400)
    counts = status["trials"]
    assert counts["failed"] == 0
    assert counts["complete"] + counts["pruned"] == 10
    assert not study.holds("Degraded")
    # Random sampling with this seed: the third of the suggestions is by far the best.
    assert status["best"]["number"] == 2
    assert status["best"]["values"]["y"] == pytest.approx(0.000114, abs=1e-5)


DIGITS = """
import json, sys, time
from kubestudy_trainer import Trial
from kubestudy_trainer.config import TrainConfig
from kubestudy_trainer.training import fit

def accuracy(params, on_epoch=lambda *_: None):
    config = TrainConfig(
        dataset="digits", epochs=40, seed=1, lr=params["lr"], hidden=(params["width"],) * params["layers"],
        dropout=params["dropout"], optimizer=params["optimizer"], batch_size=params["batch_size"],
    )
    return fit(config, on_epoch=on_epoch)["val_accuracy"]

def epoch(number, metrics):
    trial.report(number, val_accuracy=metrics["val_accuracy"])
    time.sleep(1.5)  # as on a larger model: Prometheus takes some seconds to discover a pod
    if trial.should_stop:
        trial.stop()

if len(sys.argv) > 1:  # what no pruner would have found
    print(json.dumps([accuracy(params) for params in json.loads(sys.argv[1])]))
else:
    trial = Trial.current()
    trial.finish(val_accuracy=accuracy(trial.params, epoch))
"""


@pytest.mark.usefixtures("seeing_operator")
def test_the_median_pruner_saves_a_third_of_the_digits_epochs_and_loses_nothing(
    real: Cluster, namespace: str, tmp_path: Path
) -> None:
    example = yaml.safe_load((ROOT / "examples" / "digits-mlp.yaml").read_text())["spec"]
    # One thread: on a busy machine those of OpenMP wait for one another, each on a processor.
    threads = {"OMP_NUM_THREADS": "1"}
    container = {
        "name": "trainer",
        "image": images.TRAINER,
        "command": ["python", "-c", DIGITS],
        "env": [{"name": name, "value": value} for name, value in threads.items()],
    }
    made = container_study(
        "digits",
        with_torch(container),
        pod=ON_REAL_NODE | {"terminationGracePeriodSeconds": 5, "volumes": [torch_volume()]},
        objectives=example["objectives"],
        parameters=example["parameters"],
        sampler={"name": "random", "seed": 5},
        pruner={"name": "median", "options": {"n_startup_trials": 4, "n_warmup_steps": 3}},
        parallelism=4,
        budget={"maxTrials": 16},
    )
    status = Study(real, namespace, "digits").apply(made).until_phase("Complete", seconds=900)
    assert status["trials"]["failed"] == 0
    (study,) = optuna.get_all_study_names(merged := MergedStorage(tmp_path / "operator" / "storage"))
    trials = optuna.load_study(study_name=study, storage=merged).trials
    epochs = [40 if trial.state.name == "COMPLETE" else trial.last_step or 0 for trial in trials]
    saved = 1 - sum(epochs) / (40 * len(trials))
    every = subprocess.run(
        [sys.executable, "-c", DIGITS, json.dumps([trial.params for trial in trials])],
        env={**os.environ, **threads}, capture_output=True, check=True, timeout=400,
    )  # fmt: skip
    best = max(json.loads(every.stdout.splitlines()[-1]))
    print(f"saved {saved:.2f} of the epochs; best {status['best']['values']}, of all {best}")
    assert saved >= 0.3
    assert status["best"]["values"]["val_accuracy"] >= best - 0.01
