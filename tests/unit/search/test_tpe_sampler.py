"""TPE learns from as many trials as an ask can afford, and up to that many it is Optuna's own."""

from __future__ import annotations

import random
import time
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from kubestudy.api.limits import TPE_MANY_OBJECTIVES
from kubestudy.search.search import hush_optuna
from kubestudy.search.tpe_sampler import BoundedTPESampler, chosen, most_trials

SPACE = {f"x{i}": FloatDistribution(0, 1) for i in range(3)}


@pytest.fixture(autouse=True)
def _hushed() -> None:
    hush_optuna()


def on_a_front(objectives: int, draw: random.Random) -> list[float]:
    """None of which is better than another, which is what sorting trials takes longest for."""
    parts = [draw.expovariate(1) for _ in range(objectives)]
    return [part / sum(parts) for part in parts]


def filled(sampler: TPESampler, trials: int, objectives: int = 1) -> optuna.Study:
    draw = random.Random(1)
    study = optuna.create_study(directions=["minimize"] * objectives, sampler=sampler, storage=InMemoryStorage())
    study.add_trials(
        [
            create_trial(
                params={name: draw.random() for name in SPACE},
                distributions=SPACE,
                values=[draw.random()] if objectives == 1 else on_a_front(objectives, draw),
            )
            for _ in range(trials)
        ]
    )
    return study


def asked(study: optuna.Study) -> dict[str, Any]:
    trial = study.ask()
    for name in SPACE:
        trial.suggest_float(name, 0, 1)
    return trial.params


@pytest.mark.parametrize("options", [{}, {"multivariate": True}, {"multivariate": True, "group": True}])
@pytest.mark.parametrize(("trials", "objectives"), [(0, 1), (9, 1), (300, 1), (150, 2), (90, 4)])
def test_a_study_of_few_trials_is_searched_as_by_optuna(options: Any, trials: int, objectives: int) -> None:
    theirs = filled(TPESampler(seed=3, **options), trials, objectives)
    ours = filled(BoundedTPESampler(seed=3, **options), trials, objectives)
    assert [asked(ours) for _ in range(3)] == [asked(theirs) for _ in range(3)]


@pytest.mark.parametrize("objectives", [2, 3, 4, 8])
def test_an_ask_with_many_trials_and_objectives_is_quick(objectives: int) -> None:
    """With eight objectives and 1,000 trials, Optuna's own takes minutes, with four a minute."""
    study = filled(BoundedTPESampler(seed=1), 2000, objectives)
    asked(study)
    begun = time.process_time()
    asked(study)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("options", [{}, {"multivariate": True}])
def test_it_goes_on_learning_past_the_bound(options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubestudy.search.tpe_sampler.most_trials", lambda *_: 100)
    sampler = BoundedTPESampler(seed=1, n_startup_trials=150, **options)
    study = optuna.create_study(sampler=sampler, storage=InMemoryStorage())
    found = []
    for _ in range(260):
        trial = study.ask()
        x = trial.suggest_float("x", -10, 10)
        study.tell(trial, x**2)
        found.append(abs(x))
    assert sum(found[200:]) / 60 < sum(found[:150]) / 150 / 2


def test_the_best_and_the_newest_are_looked_at() -> None:
    study = filled(TPESampler(seed=1), 500)
    trials = study.get_trials()
    found = chosen(trials, study.directions, 100)
    assert len(found) == 100 and found == sorted(found, key=lambda t: t.number)
    by_value = sorted(trials, key=lambda t: t.value or 0.0)
    numbers = {t.number for t in found}
    assert numbers >= {t.number for t in by_value[:50]} and numbers >= {t.number for t in trials[-50:]}


def test_of_several_objectives_the_best_of_each_are_looked_at() -> None:
    study = filled(TPESampler(seed=1), 500, 2)
    directions = [StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE]
    numbers = {t.number for t in chosen(study.get_trials(), directions, 100)}
    assert len(numbers) == 100
    least = min(study.get_trials(), key=lambda t: t.values[0])
    most = max(study.get_trials(), key=lambda t: t.values[1])
    assert {least.number, most.number} <= numbers


def test_what_breaks_a_constraint_is_not_among_the_best() -> None:
    def trial(number: int, value: float, by: float) -> FrozenTrial:
        made = create_trial(value=value, constraints={"c": by})
        made.number = number
        return made

    trials = [trial(n, n - 10.0 if n < 10 else float(n), 1.0 if n < 10 else -1.0) for n in range(30)]
    numbers = {t.number for t in chosen(trials, [StudyDirection.MINIMIZE], 10)}
    assert numbers == {10, 11, 12, 13, 14, 25, 26, 27, 28, 29}


def test_running_and_pruned_trials_are_looked_at_too() -> None:
    study = filled(TPESampler(seed=1), 20)
    study.ask()
    assert TrialState.RUNNING in {t.state for t in chosen(study.get_trials(), study.directions, 4)}


@pytest.mark.parametrize("objectives", range(1, 9))
@pytest.mark.parametrize("candidates", [1, 24, 100])
@pytest.mark.parametrize("parameters", [0, 1, 100])
def test_there_are_always_some(objectives: int, candidates: int, parameters: int) -> None:
    assert most_trials(objectives, candidates, parameters) >= min(100, TPE_MANY_OBJECTIVES.value)
