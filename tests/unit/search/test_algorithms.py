"""Samplers and pruners are declared once: what the tables say is true, and one entry is all that a new one needs."""

from __future__ import annotations

import inspect
import itertools
import math
import time
import tracemalloc
import typing
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage

from kubestudy.api.algorithms import NO_PRUNER, PRUNERS, SAMPLERS, Algorithm
from kubestudy.api.problems import Problem
from kubestudy.api.study import Pruner
from kubestudy.search.classes import class_of
from kubestudy.search.options import options_of, takes_numbers
from kubestudy.search.pruners import make_pruner
from kubestudy.search.samplers import make_sampler
from kubestudy.search.search_checks import search_problems
from support.manifests import LAYERS, LR, OPTIMIZER, spec_of
from unit.search.programs.running import run

ALGORITHMS: list[Algorithm] = [*SAMPLERS.values(), *PRUNERS.values()]


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: algorithm.name)
def test_the_required_options_are_those_without_a_default(algorithm: Algorithm) -> None:
    """The others are not even asked of Optuna when a manifest gives no options."""
    taken = {"seed", "parameters", getattr(algorithm, "wraps", None)}
    parameters = inspect.signature(class_of(algorithm)).parameters
    known = options_of(class_of(algorithm), taken)
    missing = {name for name in known if parameters[name].default is inspect.Parameter.empty}
    assert algorithm.required == missing


@pytest.mark.parametrize("name", [name for name, algorithm in SAMPLERS.items() if not algorithm.required])
@pytest.mark.parametrize("conditional", [True, False])
def test_a_sampler_without_options_is_made(name: str, conditional: bool) -> None:
    when = {"when": {"optimizer": ["sgd"]}} if conditional else {}
    spec = spec_of(sampler={"name": name, "seed": 1}, parameters=[OPTIMIZER, {**LAYERS, **when}], budget={})
    assert isinstance(make_sampler(spec, 3), optuna.samplers.BaseSampler)


@pytest.mark.parametrize("name", [name for name, algorithm in PRUNERS.items() if not algorithm.required])
def test_a_pruner_without_options_is_made(name: str) -> None:
    assert isinstance(make_pruner(Pruner(name=name)), optuna.pruners.BasePruner)


def test_no_pruner_is_one_of_them() -> None:
    assert PRUNERS[NO_PRUNER].target.endswith("NopPruner")


CONDITIONAL = [OPTIMIZER, {**LR, "when": {"optimizer": ["sgd"]}}]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"multivariate": True, "group": True}),
        ({"multivariate": True}, {"multivariate": True, "group": True}),
        ({"group": False}, {"multivariate": True, "group": False}),
        ({"multivariate": False}, {"multivariate": False, "group": False}),
    ],
)
def test_a_conditional_space_is_modelled_as_one_unless_the_manifest_says_otherwise(
    options: dict[str, Any], expected: dict[str, Any]
) -> None:
    theirs = optuna.samplers.TPESampler(seed=1, **expected)
    ours = make_sampler(spec_of(parameters=CONDITIONAL, sampler={"seed": 1, "options": options}), 0)
    assert {name: vars(ours)[f"_{name}"] for name in ("multivariate", "group")} == {
        name: vars(theirs)[f"_{name}"] for name in ("multivariate", "group")
    }


def test_an_entry_in_a_table_is_all_that_a_new_sampler_or_pruner_needs() -> None:
    run("new_algorithms.py")


def test_checking_an_experimental_option_warns_of_nothing() -> None:
    run("experimental_option.py")


def taken_by(algorithm: Algorithm) -> set[str]:
    return {"seed", "parameters", getattr(algorithm, "wraps", None) or ""}


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: algorithm.name)
def test_every_option_that_takes_a_number_has_a_bound(algorithm: Algorithm) -> None:
    """Without one, a manifest can make a single ask or report take all the time and memory there is."""
    known = options_of(class_of(algorithm), taken_by(algorithm))
    assert set(algorithm.bounds) == {name for name, hint in known.items() if takes_numbers(hint)}
    for name, bound in algorithm.bounds.items():
        default = inspect.signature(class_of(algorithm)).parameters[name].default
        assert bound.low < bound.high
        assert default in (inspect.Parameter.empty, "auto", None) or default in bound


def numbers_of(algorithm: Algorithm, which: str) -> dict[str, Any]:
    hints = options_of(class_of(algorithm), taken_by(algorithm))
    return {
        name: (float if float in (hints[name], *typing.get_args(hints[name])) else int)(getattr(bound, which))
        for name, bound in algorithm.bounds.items()
    }


BOUNDED = [algorithm for algorithm in ALGORITHMS if algorithm.bounds]


def refused(algorithm: Algorithm, options: dict[str, Any]) -> list[Problem]:
    kind = "sampler" if algorithm in SAMPLERS.values() else "pruner"
    return search_problems(spec_of(**{kind: {"name": algorithm.name, "options": options}}))


@pytest.mark.parametrize("algorithm", BOUNDED, ids=lambda algorithm: algorithm.name)
def test_a_number_out_of_its_bounds_is_named_with_them(algorithm: Algorithm) -> None:
    least = numbers_of(algorithm, "low")
    assert refused(algorithm, {n: v for n, v in least.items() if n in algorithm.required}) == []
    for name, bound in algorithm.bounds.items():
        kind = type(least[name])
        beyond: list[Any] = [kind(bound.high * 2), kind(bound.low) - 1, 10**5000]
        beyond += [math.nan, math.inf] if kind is float else []
        for value in beyond:
            problems = refused(algorithm, least | {name: value})
            (problem,) = [problem for problem in problems if problem.path.endswith(f".options.{name}")]
            assert f"from {bound.low:g} to {bound.high:g}" in problem.sentence or "is no" in problem.sentence
            assert len(problem.sentence) < 200


@pytest.mark.parametrize("algorithm", [p for p in PRUNERS.values() if p.bounds], ids=lambda algorithm: algorithm.name)
@pytest.mark.parametrize("step", [1, 10**12, 2**53])
def test_a_report_with_any_options_within_their_bounds_is_cheap(algorithm: Algorithm, step: int) -> None:
    """A rung far away, or very many brackets, took seconds of it, and more memory than there is."""
    study = optuna.create_study(storage=InMemoryStorage())
    for number in range(50):
        trial = study.ask()
        trial.report(float(number), step)
        study.tell(trial, float(number))
    extremes = [numbers_of(algorithm, "low"), numbers_of(algorithm, "high")]
    names = list(algorithm.bounds)
    for choice in itertools.product((0, 1), repeat=len(names)):
        options = {name: extremes[which][name] for name, which in zip(names, choice, strict=True)}
        if refused(algorithm, options):  # what the class itself refuses of combinations
            continue
        study.pruner = make_pruner(Pruner(name=algorithm.name, options=options))
        trial = study.ask()
        trial.report(1.0, step)
        tracemalloc.start()
        begun = time.process_time()
        trial.should_prune()
        assert time.process_time() - begun < 1.0, options
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20, options
        tracemalloc.stop()
        study.tell(trial, state=optuna.trial.TrialState.FAIL)


def test_a_wrapped_pruners_numbers_are_bounded_too() -> None:
    wrapped = {"name": "successivehalving", "options": {"reduction_factor": 3, "min_early_stopping_rate": 30_000_000}}
    options = {"patience": 2, "wrapped_pruner": wrapped}
    (problem,) = search_problems(spec_of(pruner={"name": "patient", "options": options}))
    assert problem.path == "spec.pruner.options.wrapped_pruner.options.min_early_stopping_rate"
    assert problem.sentence == "30000000 is out of bounds: write a number from 0 to 40"


def test_a_long_option_is_not_repeated_whole() -> None:
    for options in ({"n_startup_trials": "x" * 10**6}, {"n_startup_trials": ["x" * 10**6]}, {"x" * 10**5: 1}):
        (problem,) = search_problems(spec_of(sampler={"options": options}))
        assert len(problem.sentence) < 500
