"""The search space and its grid: what is active, in which order, and every point once."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubestudy.api.study import Parameter
from kubestudy.api.values import Value
from kubestudy.search.grid import Grid
from kubestudy.search.rungs import rung
from kubestudy.search.search_checks import search_problems
from kubestudy.search.space import in_tree_order, is_active
from support.manifests import LAYERS, LOSS, LR, OPTIMIZER, spec_of

MOMENTUM = {"name": "momentum", "type": "float", "low": 0.0, "high": 0.9, "step": 0.3, "when": {"optimizer": ["sgd"]}}


def space(*parameters: Any) -> list[Parameter]:
    return spec_of(parameters=parameters).parameters


def test_a_parameter_comes_after_what_its_condition_names() -> None:
    names = [p.name for p in in_tree_order(space({**LR, "when": {"momentum": [1]}}, MOMENTUM, LAYERS, OPTIMIZER))]
    assert names == ["layers", "optimizer", "momentum", "lr"]


@pytest.mark.parametrize(
    ("params", "active"),
    [({}, False), ({"optimizer": "adam"}, False), ({"optimizer": "sgd"}, True), ({"optimizer": True}, False)],
)
def test_a_condition_holds_for_the_listed_values_only(params: dict[str, Value], active: bool) -> None:
    assert is_active(space(MOMENTUM, OPTIMIZER)[0], params) is active


def test_a_conditional_grid_has_no_point_twice() -> None:
    points = [tuple(sorted(point.items())) for point in Grid(space(OPTIMIZER, MOMENTUM))]
    assert len(set(points)) == len(points) == 5


@pytest.mark.parametrize(
    ("low", "high", "step", "count"),
    [(0.0, 0.3, 0.1, 4), (0.0, 1.0, 0.1, 11), (0.1, 0.7, 0.2, 4), (0.0, 1.0, 0.3, 4), (1e-4, 3e-4, 1e-4, 3)],
)
def test_a_grid_of_floats_ends_at_high_and_never_passes_it(low: float, high: float, step: float, count: int) -> None:
    values = [p["x"] for p in Grid(space({"name": "x", "type": "float", "low": low, "high": high, "step": step}))]
    assert len(values) == count
    assert all(isinstance(v, float) and low <= v <= high for v in values)


@st.composite
def spaces(draw: st.DrawFn) -> Any:
    made: list[dict[str, Any]] = []
    for i in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["int", "categorical", "float"]))
        fields: dict[str, Any] = {"name": f"p{i}", "type": kind}
        if kind == "categorical":
            fields["choices"] = draw(st.sampled_from([["a"], ["a", "b"], [1, "x", 2.5], [True, "no"]]))
        elif kind == "int":
            low = draw(st.integers(-3, 3))
            fields |= {"low": low, "high": low + draw(st.integers(2, 4)), "step": draw(st.integers(1, 2))}
        else:
            fields |= {"low": 0.0, "high": 0.5, "step": draw(st.sampled_from([0.1, 0.25, 0.5]))}
        parents = [p for p in made if p["type"] != "float"]
        if parents and draw(st.sampled_from([True, False])):
            parent = draw(st.sampled_from(parents))
            fields["when"] = {parent["name"]: draw(st.sampled_from([values_of(parent)[:1], values_of(parent)]))}
        made.append(fields)
    return draw(st.permutations(made))


def values_of(parameter: dict[str, Any]) -> list[Any]:
    if parameter["type"] == "categorical":
        return list(parameter["choices"])
    if parameter["type"] == "int":
        return list(range(parameter["low"], parameter["high"] + 1, parameter["step"]))
    return [i * parameter["step"] for i in range(round(0.5 / parameter["step"]) + 1)]


@settings(max_examples=80, deadline=None)
@given(spaces())
def test_the_grid_is_every_combination_of_what_is_active(parameters: list[dict[str, Any]]) -> None:
    expected = set()
    for values in itertools.product(*(values_of(p) for p in parameters)):
        chosen = {p["name"]: v for p, v in zip(parameters, values, strict=True)}
        by_name = {p["name"]: p for p in parameters}

        def active(name: str, chosen: Any = chosen, by_name: Any = by_name) -> bool:
            return all(
                active(parent) and any(type(v) is type(chosen[parent]) and v == chosen[parent] for v in wanted)
                for parent, wanted in by_name[name].get("when", {}).items()
            )

        expected.add(tuple(sorted((n, repr(v)) for n, v in chosen.items() if active(n))))
    found = [tuple(sorted((n, repr(v)) for n, v in point.items())) for point in Grid(space(*parameters))]
    rounded = {tuple((n, v[:5]) for n, v in point) for point in expected}
    assert len(found) == len(set(found)) == len(expected)
    assert {tuple((n, v[:5]) for n, v in point) for point in found} == rounded


@pytest.mark.parametrize(
    ("spec", "path", "says"),
    [
        ({"sampler": {"name": "grid"}}, "spec.parameters[0].step", "is required by the grid"),
        (
            {"sampler": {"name": "grid"}, "parameters": [{**LAYERS, "high": 1e6}]},
            "spec.parameters",
            "1000000 points",
        ),
        (
            {
                "sampler": {"name": "grid"},
                "parameters": [OPTIMIZER, {**LAYERS, "high": 200_000, "when": {"optimizer": ["sgd"]}}],
            },
            "spec.parameters",
            "more than 100000 points",
        ),
        (
            {"sampler": {"name": "grid"}, "parameters": [{**LR, "step": 1e-320}]},
            "spec.parameters",
            "use larger steps",
        ),
        (
            {"sampler": {"name": "grid", "options": {"a": 1}}, "parameters": [LAYERS]},
            "spec.sampler.options.a",
            "grid has none",
        ),
        ({"sampler": {"options": {"n_startup_trial": 3}}}, "spec.sampler.options.n_startup_trial", "n_startup_trials"),
        (
            {"sampler": {"options": {"n_startup_trials": "3"}}},
            "spec.sampler.options.n_startup_trials",
            "is no whole number",
        ),
        ({"sampler": {"options": {"seed": 3}}}, "spec.sampler.options.seed", "a field of its own"),
        ({"sampler": {"options": {"group": True, "multivariate": False}}}, "spec.sampler.options", "tpe refuses them"),
        ({"sampler": {"options": {"gamma": 1}}}, "spec.sampler.options.gamma", "no such option"),
        ({"sampler": {"name": "random", "options": {"x": 1}}}, "spec.sampler.options.x", "it has none"),
        ({"pruner": {"name": "percentile"}}, "spec.pruner.options.percentile", "is required"),
        (
            {"pruner": {"name": "percentile", "options": {"percentile": 200.0}}},
            "spec.pruner.options.percentile",
            "200.0 is out of bounds: write a number from 0 to 100",
        ),
        (
            {"pruner": {"name": "median", "options": {"n_warmup": 3}}},
            "spec.pruner.options.n_warmup",
            "interval_steps, n_min_trials, n_startup_trials, n_warmup_steps",
        ),
        (
            {"pruner": {"name": "median", "options": {"n_warmup_steps": -1}}},
            "spec.pruner.options.n_warmup_steps",
            "-1 is out of bounds: write a number from 0 to 1e+12",
        ),
        (
            {"pruner": {"name": "successivehalving", "options": {"bootstrap_count": 1}}},
            "spec.pruner.options",
            "successivehalving refuses them",
        ),
        ({"pruner": {"name": "patient"}}, "spec.pruner.options.patience", "is required"),
        (
            {"pruner": {"name": "patient", "options": {"patience": 2, "wrapped_pruner": {"name": "medain"}}}},
            "spec.pruner.options.wrapped_pruner.name",
            "did you mean median?",
        ),
        (
            {"pruner": {"name": "patient", "options": {"patience": 2, "wrapped_pruner": "median"}}},
            "spec.pruner.options.wrapped_pruner",
            "{name: median",
        ),
        (
            {
                "pruner": {
                    "name": "patient",
                    "options": {"patience": 2, "wrapped_pruner": {"name": "median", "options": {"x": 1}}},
                }
            },
            "spec.pruner.options.wrapped_pruner.options.x",
            "no such option",
        ),
        ({"pruner": {"name": "none", "options": {"x": 1}}}, "spec.pruner.options.x", "it has none"),
    ],
)
def test_options_are_checked_against_optunas_signatures(spec: dict[str, Any], path: str, says: str) -> None:
    (problem,) = search_problems(spec_of(**spec))
    assert problem.path == path
    assert says in problem.sentence


@pytest.mark.parametrize(
    "spec",
    [
        {"sampler": {"options": {"n_startup_trials": 3, "multivariate": True, "constant_liar": True}}},
        {"sampler": {"name": "grid"}, "parameters": [LAYERS, OPTIMIZER]},
        {"pruner": {"name": "median", "options": {"n_warmup_steps": 3}}},
        {"pruner": {"name": "percentile", "options": {"percentile": 25}}},
        {"pruner": {"name": "successivehalving", "options": {"min_resource": "auto", "reduction_factor": 3}}},
        {"pruner": {"name": "hyperband", "options": {"max_resource": 9}}},
        {"pruner": {"name": "patient", "options": {"patience": 2, "wrapped_pruner": {"name": "median"}}}},
        {"objectives": [LOSS, {"metric": "b", "goal": "maximize"}]},
    ],
)
def test_options_that_optuna_has_are_taken(spec: dict[str, Any]) -> None:
    assert search_problems(spec_of(**spec)) == []


@given(st.integers(0, 2**62))
def test_a_rung_is_just_below_its_step(step: int) -> None:
    assert step * (1 - 1 / 32) <= rung(step) <= step
    assert rung(rung(step)) == rung(step)
    assert step >= 64 or rung(step) == step


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_rungs_keep_the_order_of_steps(a: int, b: int) -> None:
    assert (rung(a) <= rung(b)) if a <= b else (rung(a) >= rung(b))


def test_a_long_trial_has_few_rungs() -> None:
    assert len({rung(step) for step in range(1, 1_000_000, 97)} | {rung(1_000_000)}) < 600
