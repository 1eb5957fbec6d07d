"""Beale's function: the default sampler through `search` against raw Optuna's TPE, in the same batches, same seeds."""

from __future__ import annotations

import statistics

import optuna

from bench.common import example
from kubestudy.api.validation import validate
from kubestudy.search.search import OptunaSearch, hush_optuna
from kubestudy.study.outcome import Complete
from kubestudy_trainer.beale import beale

TRIALS, BATCH, SEEDS = 128, 16, 30


def main() -> None:
    hush_optuna()
    ours = [_ours(seed) for seed in range(SEEDS)]
    raw = [_raw(seed) for seed in range(SEEDS)]
    a, b = statistics.median(ours), statistics.median(raw)
    print(f"{TRIALS} trials in batches of {BATCH}, {SEEDS} seeds, median of the best:")
    print(f"  search {a:.4f}, raw Optuna {b:.4f}: {a / b:.2f} times")


def _ours(seed: int) -> float:
    manifest = example("beale", sampler={"seed": seed})
    study, problems = validate(manifest)
    assert study is not None, problems
    search = OptunaSearch(study.spec, optuna.storages.InMemoryStorage(), "beale", "memory")
    for _ in range(TRIALS // BATCH):
        for trial in [search.ask() for _ in range(BATCH)]:
            assert trial is not None
            search.tell(trial.number, Complete((beale(float(trial.params["x"]), float(trial.params["y"])),), {}))
    return search.tally.front[0].values[0]


def _raw(seed: int) -> float:
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    for _ in range(TRIALS // BATCH):
        batch = []
        for _ in range(BATCH):
            trial = study.ask()
            batch.append((trial, trial.suggest_float("x", -4.5, 4.5), trial.suggest_float("y", -4.5, 4.5)))
        for trial, x, y in batch:
            study.tell(trial, beale(x, y))
    return float(study.best_value)
