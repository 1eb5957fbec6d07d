"""Samplers and pruners are declared once: what the tables say is true, and one entry is all that a new one needs."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest

from kubestudy.api.algorithms import NO_PRUNER, PRUNERS, SAMPLERS, Algorithm
from kubestudy.api.study import Pruner
from kubestudy.search.classes import class_of
from kubestudy.search.options import options_of
from kubestudy.search.pruners import make_pruner
from kubestudy.search.samplers import make_sampler
from support.manifests import LAYERS, LR, OPTIMIZER, spec_of

ROOT = Path(__file__).parents[3]
PROGRAMS = Path(__file__).parent / "programs"
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


def run(program: str, *flags: str) -> None:
    """Run a program in an interpreter of its own: what is imported there, and in which order, is its subject."""
    done = subprocess.run(
        [sys.executable, *flags, str(PROGRAMS / program)],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT / 'docs'}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_entry_in_a_table_is_all_that_a_new_sampler_or_pruner_needs() -> None:
    run("new_algorithms.py")


def test_a_manifest_whose_algorithms_have_no_options_is_checked_without_optuna() -> None:
    run("light_checks.py")


def test_checking_an_experimental_option_warns_of_nothing() -> None:
    run("experimental_option.py")
