"""How many epochs pruning saves on the digits study, by `kubestudy run`: hyperband and median against no pruner."""

from __future__ import annotations

from typing import Any

from bench.common import example, timed_run

EPOCHS, TRIALS = 40, 60
PRUNERS: dict[str, dict[str, Any]] = {
    "none": {"name": "none"},
    "hyperband": {"name": "hyperband", "options": {"min_resource": 2, "max_resource": EPOCHS, "reduction_factor": 3}},
    "median": {"name": "median", "options": {"n_startup_trials": 5, "n_warmup_steps": 3}},
}


def epochs_of(trial: dict[str, Any]) -> int:
    """Return how many epochs a trial ran: all of them, or those it reported before it was stopped."""
    return EPOCHS if trial["state"] == "Complete" else int(trial["lastStep"] or 0)


def main() -> None:
    base = 0
    for name, pruner in PRUNERS.items():
        wall, study, trials = timed_run(example("digits-mlp", pruner=pruner, budget={"maxTrials": TRIALS}))
        epochs = sum(epochs_of(trial) for trial in trials)
        base = base or epochs
        best = study["status"]["best"]["values"]["val_accuracy"]
        pruned = study["status"]["trials"]["pruned"]
        print(
            f"{name}: best {best:.4f}, {epochs} epochs = {epochs / base:.2f} of those without, {pruned} pruned,"
            f" {wall:.1f} s",
            flush=True,
        )
