"""Expressions over trials: what the variables stand for, and which answers are one number."""

from __future__ import annotations

import math

import pytest

from kubestudy.api.contract import PROMQL_VARIABLES
from kubestudy.api.expansion import expand
from kubestudy.metrics.answers import Series
from kubestudy.metrics.expressions import one_number, variables
from kubestudy.study.ports import MeasureError

PODS = ("digits-0a1b-3-x2x4z", "digits-0a1b-3-b7b8c")


def test_every_variable_stands_for_something() -> None:
    given = {"study": "digits", "namespace": "team"} | variables(3, "digits-0a1b-3", PODS, 100.0, 160.25)
    assert given.keys() == PROMQL_VARIABLES
    text = 'avg_over_time(x{pod=~"$(pods)",job="$(job)",n="$(trial)"}[$(window)] @ $(end)) - $(start)'
    assert expand(text, given) == (
        'avg_over_time(x{pod=~"digits-0a1b-3-x2x4z|digits-0a1b-3-b7b8c",job="digits-0a1b-3",n="3"}[61s] @ 160.250)'
        " - 100.000"
    )


def test_a_window_is_a_second_at_least() -> None:
    assert variables(3, "j", PODS, 100.0, 100.0)["window"] == "1s"


def test_pods_that_nobody_remembers_are_those_of_the_job() -> None:
    assert variables(3, "my.job-3", (), 0.0, 1.0)["pods"] == "my[.]job-3-.+"


def test_one_series_is_its_number() -> None:
    assert one_number([Series({"pod": "a"}, 0.25)], "x") == 0.25


@pytest.mark.parametrize(
    ("found", "reason", "attempts", "sentence"),
    [
        ([], "NothingMeasured", 4, "gave nothing over the trial's window: max(power)"),
        (
            [Series({"pod": name}, 1.0) for name in "abcde"],
            "ManyValues",
            1,
            'gave 5 values where one is needed, so aggregate them (max, avg, sum): max(power) ({pod="a"} = 1;'
            ' {pod="b"} = 1; {pod="c"} = 1; and 2 more)',
        ),
        ([Series({}, math.nan)], "NonFiniteMetric", 1, "gave nan: max(power)"),
    ],
)
def test_what_is_not_one_number_is_told_with_the_expression(
    found: list[Series], reason: str, attempts: int, sentence: str
) -> None:
    with pytest.raises(MeasureError) as raised:
        one_number(found, "max(power)")
    assert (raised.value.reason, raised.value.attempts) == (reason, attempts)
    assert str(raised.value) == f"the expression {sentence}"
