"""`kubestudy run` on the digits example against one plain Optuna script that runs the same trials in its process.

Both pay for importing PyTorch; the script's trials are one at a time, each with one CPU thread, as in the manifest.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

from bench.common import example, timed_run

ROUNDS = 3

SCRIPT = """
import json, sys
import optuna
from kubestudy_trainer.config import TrainConfig
from kubestudy_trainer.training import fit

prune = sys.argv[1] == "median"
optuna.logging.set_verbosity(optuna.logging.WARNING)

def objective(trial):
    lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
    width = trial.suggest_int("width", 16, 256, step=16)
    layers = trial.suggest_int("layers", 1, 3)
    dropout = trial.suggest_float("dropout", 0.0, 0.5)
    optimizer = trial.suggest_categorical("optimizer", ["sgd", "adam", "nadam"])
    batch_size = trial.suggest_categorical("batch_size", [32, 64, 128])
    config = TrainConfig(dataset="digits", epochs=40, seed=1, lr=lr, hidden=(width,) * layers, dropout=dropout,
                         optimizer=optimizer, batch_size=batch_size)
    def on_epoch(epoch, metrics):
        trial.report(metrics["val_accuracy"], epoch)
        if prune and trial.should_prune():
            raise optuna.TrialPruned
    return fit(config, on_epoch=on_epoch)["val_accuracy"]

pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=3) if prune else optuna.pruners.NopPruner()
study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=7), pruner=pruner)
study.optimize(objective, n_trials=40)
print(json.dumps({"best": study.best_value, "params": [t.params for t in study.trials]}))
"""


def script(pruner: str) -> tuple[float, dict[str, Any]]:
    """Run the script; return its wall seconds and what it printed."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, pruner],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=True,
    )
    return time.perf_counter() - begun, json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    # Without a pruner the trials are the same in the script and at parallelism 1; a pruner that reads a live curve
    # decides a little later than one that is called after each epoch.
    for pruner, rounds in (("none", ROUNDS), ("median", 1)):
        ratios: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(rounds):
            base, said = script(pruner)
            print(f"pruner {pruner}: script, one trial at a time: {base:.1f} s, best {said['best']:.4f}")
            for parallelism, measured in ratios.items():
                chosen = example("digits-mlp", parallelism=parallelism)
                chosen["spec"]["pruner"] = {"name": "none"} if pruner == "none" else chosen["spec"]["pruner"]
                wall, study, trials = timed_run(chosen)
                measured.append(wall / base)
                same = sum(t["params"] == p for t, p in zip(trials, said["params"], strict=True))
                status = study["status"]
                print(
                    f"  kubestudy run, parallelism {parallelism}: {wall:.1f} s = {wall / base:.2f} times the script,"
                    f" best {status['best']['values']['val_accuracy']:.4f}, {status['trials']['pruned']} pruned,"
                    f" {same} of {len(trials)} trials the same",
                    flush=True,
                )
        medians = ", ".join(f"{statistics.median(r):.2f} at parallelism {p}" for p, r in ratios.items())
        print(f"pruner {pruner}: median ratio {medians}")
