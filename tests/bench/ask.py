"""The time of one ask through `search`, against raw Optuna on the same kind of storage, as trials accumulate."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import optuna

from bench.common import example
from kubestudy.api.validation import validate
from kubestudy.search.search import OptunaSearch, hush_optuna
from kubestudy.search.storage import open_storage
from kubestudy.study.outcome import Complete

AT = (10, 100, 1000)
ASKS = 20


def main() -> None:
    hush_optuna()
    with tempfile.TemporaryDirectory() as folder:
        ours, raw = _ours(Path(folder) / "ours.log"), _raw(Path(folder) / "raw.log")
        done = 0
        for count in AT:
            while done < count:
                for one in (ours, raw):
                    one()
                done += 1
            # In turn, and each first as often as second, so that both meet the same noise and caches.
            pairs = []
            for i in range(ASKS):
                if i % 2:
                    pairs.append((ours(), raw()))
                else:
                    late = raw()
                    pairs.append((ours(), late))
            done += ASKS
            a, b = (statistics.median(column) * 1000 for column in zip(*pairs, strict=True))
            print(f"at {count} trials: search {a:.1f} ms, raw Optuna {b:.1f} ms: {a / b:.2f} times", flush=True)


def _ours(path: Path) -> Callable[[], float]:
    study, problems = validate(example("digits-mlp"))
    assert study is not None, problems
    search = OptunaSearch(study.spec, open_storage(path, sole_writer=True), "bench", "bench")

    def one() -> float:
        begun = time.perf_counter()
        suggestion = search.ask()
        took = time.perf_counter() - begun
        assert suggestion is not None
        search.tell(suggestion.number, Complete((float(suggestion.number % 7),), {}))
        return took

    return one


def _raw(path: Path) -> Callable[[], float]:
    study = optuna.create_study(
        storage=open_storage(path), direction="maximize", sampler=optuna.samplers.TPESampler(seed=7)
    )

    def one() -> float:
        begun = time.perf_counter()
        trial = study.ask()
        trial.suggest_float("lr", 1e-4, 1.0, log=True)
        trial.suggest_int("width", 16, 256, step=16)
        trial.suggest_int("layers", 1, 3)
        trial.suggest_float("dropout", 0.0, 0.5)
        trial.suggest_categorical("optimizer", ["sgd", "adam", "nadam"])
        trial.suggest_categorical("batch_size", [32, 64, 128])
        took = time.perf_counter() - begun
        study.tell(trial, float(trial.number % 7))
        return took

    return one
