"""A manifest of the size that etcd takes is judged in moments, whatever is in it; each of these took minutes."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kubestudy.api.expansion import expand, references
from kubestudy.api.limits import ARGUMENTS, CONTAINERS, DURATION_LENGTH, PROBLEMS, QUANTITY_LENGTH
from kubestudy.api.problems import did_you_mean
from kubestudy.api.quantity import number_of, seconds_of
from kubestudy.api.validation import validate
from kubestudy.search.search_checks import search_problems
from support.manifests import manifest, template

SIZE = 1_000_000
SECONDS = 5.0


def deep() -> dict[str, Any]:
    """Return a manifest with long keys in each other, and many values in the innermost."""
    data = manifest(unknown=1)
    inner = data["spec"]["jobTemplate"]["metadata"] = {}
    for i in range(80):
        inner[f"{'k' * 6000}{i}"] = {}
        inner = inner[f"{'k' * 6000}{i}"]
    inner["last"] = [0] * 200_000
    return data


HOSTILE = {
    "a quantity of digits": manifest(container={"resources": {"limits": {"cpu": "1" * SIZE + "x"}}}),
    "references that do not end": manifest(container={"args": ["$(" * (SIZE * 8)]}),
    "many references to nothing": manifest(
        container={
            "args": [f"$(a{i})" for i in range(ARGUMENTS.value)] + ["$(a)" * 100_000],
            "env": [{"name": f"b{i}", "value": "1"} for i in range(1000)],
        }
    ),
    "many containers": manifest(jobTemplate=template({}, *({"name": f"c{i}", "image": "i"} for i in range(15_000)))),
    "many unknown fields": manifest(**{f"f{i}": 1 for i in range(100_000)}),
    "long names in each other": deep(),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_manifest_is_judged_in_moments(data: dict[str, Any]) -> None:
    begin = time.thread_time()
    _, problems = validate(data, search_problems)
    assert time.thread_time() - begin < SECONDS
    assert len(problems) <= PROBLEMS.value


def test_a_pod_has_as_many_containers_as_it_may() -> None:
    more = [{"name": f"c{i}", "image": "i"} for i in range(CONTAINERS.value)]
    assert validate(manifest(jobTemplate=template({}, *more[1:])))[1] == []
    assert "is too long: 100 at most" in str(validate(manifest(jobTemplate=template({}, *more)))[1][0])


@pytest.mark.parametrize(
    "quantity",
    ["1" * (QUANTITY_LENGTH.value + 1), 10**QUANTITY_LENGTH.value, 10**10_000],
    ids=["text", "number", "huge"],
)
def test_a_quantity_that_is_too_long_is_none(quantity: str | int) -> None:
    with pytest.raises(ValueError, match=r"is too (long|large) for a quantity"):
        number_of(quantity)


def test_a_duration_that_is_too_long_is_none() -> None:
    with pytest.raises(ValueError, match="is too long for a duration: 32 characters at most"):
        seconds_of("1s" * DURATION_LENGTH.value)


def test_what_a_text_unfolds_to_is_bounded_where_it_is_asked_for() -> None:
    values = {"a": "x" * 1000}
    assert len(expand("$(a)" * 100, values)) == 100_000
    with pytest.raises(ValueError, match="unfolds to more than 5000 characters"):
        expand("$(a)" * 100_000, values, 5000)


def test_references_are_found_among_openings_that_do_not_end() -> None:
    assert references("$(a)$(b$(c)$$$(d)$(e") == ["a", "b$(c", "d"]


def test_long_names_are_not_compared() -> None:
    begin = time.thread_time()
    said = did_you_mean("ab" * SIZE, [f"{'ba' * SIZE}{i}" for i in range(3)])
    assert time.thread_time() - begin < SECONDS
    assert said.startswith("known here")
