"""A grid's points are computed: the same as ever, in the same order, and never listed whole."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from kubestudy.api.limits import GRID_POINTS
from kubestudy.search.grid import Grid
from kubestudy.search.grid_sampler import GridSampler
from kubestudy.search.search_checks import search_problems
from support.manifests import spec_of
from unit.search.test_space import space, spaces

# What 0.1.0, which listed its grids, tried first, and the digest of all it would have tried.
KEPT: list[dict[str, Any]] = json.loads((Path(__file__).parent / "fixtures" / "grids.json").read_text())


def points_of(sampler: GridSampler) -> list[dict[str, Any]]:
    return [sampler._point(number) for number in range(len(sampler))]


@pytest.mark.parametrize(
    "kept", [k for k in KEPT if k["count"] < 1000], ids=lambda kept: f"{kept['name']}-{kept['seed']}"
)
def test_a_study_that_an_earlier_release_began_goes_on_with_the_same_points(kept: dict[str, Any]) -> None:
    found = points_of(GridSampler(space(*kept["parameters"]), kept["seed"]))
    assert len(found) == kept["count"]
    assert found[:5] == kept["first"]
    assert hashlib.sha256(json.dumps(found).encode()).hexdigest() == kept["sha256"]


@pytest.mark.parametrize(
    "kept", [k for k in KEPT if k["count"] >= 1000], ids=lambda kept: f"{kept['name']}-{kept['seed']}"
)
def test_a_large_grid_begins_the_same_and_takes_no_room(kept: dict[str, Any]) -> None:
    tracemalloc.start()
    sampler = GridSampler(space(*kept["parameters"]), kept["seed"])
    assert len(sampler) == kept["count"] == 90_000
    room = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert room < 2**20, "listed, it took 40 MiB"
    assert [sampler._point(n) for n in range(5)] == kept["first"]


@settings(max_examples=80, deadline=None)
@given(spaces())
def test_the_nth_point_is_the_nth_that_is_gone_through(parameters: list[dict[str, Any]]) -> None:
    grid = Grid(space(*parameters))
    assert [grid[n] for n in range(len(grid))] == list(grid)
    for beyond in (-1, len(grid)):
        with pytest.raises(IndexError):
            grid[beyond]


def binary(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "categorical", "choices": ["a", "b"], **more}


@pytest.mark.parametrize(
    "parameters",
    [
        # Each condition names another parameter far above, so that nothing can be counted together.
        [*(binary(f"p{i}") for i in range(16)), *(binary(f"q{i}", when={f"p{i}": ["a"]}) for i in range(16))],
        [*(binary(f"p{i}") for i in range(16)), *(binary(f"q{i}", when={f"p{i}": ["a"]}) for i in range(15, -1, -1))],
        # A chain: two points more with each.
        [binary("p0"), *(binary(f"p{i + 1}", when={f"p{i}": ["a", "b"]}) for i in range(99))],
        [{"name": f"x{i}", "type": "float", "low": -1e150, "high": 1e150, "step": 1e-150} for i in range(100)],
        [{"name": f"x{i}", "type": "int", "low": -(2**53), "high": 2**53} for i in range(100)],
    ],
    ids=["entangled", "entangled backwards", "a chain", "floats", "ints"],
)
def test_a_hostile_grid_is_refused_without_going_through_it(parameters: list[dict[str, Any]]) -> None:
    problems = search_problems(spec_of(sampler={"name": "grid"}, parameters=parameters))
    assert [problem.path for problem in problems] == ["spec.parameters"]
    assert str(GRID_POINTS.value) in problems[0].sentence and "larger steps" in problems[0].sentence


def test_a_long_chain_of_conditions_is_counted() -> None:
    chain = [binary("p0"), *(binary(f"p{i + 1}", when={f"p{i}": ["a"]}) for i in range(99))]
    grid = Grid(space(*chain))
    assert len(grid) == 101
    assert grid[0] == {f"p{i}": "a" for i in range(100)}
    assert grid[100] == {"p0": "b"}


def test_values_of_conditions_that_no_number_is_are_passed_over() -> None:
    parent = {"name": "n", "type": "int", "low": 0, "high": 3}
    for value in (10**400, "1", True, 1.0):
        grid = Grid(space(parent, binary("q", when={"n": [value]})))
        assert len(grid) == 4
