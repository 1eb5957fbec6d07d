"""Objectives, constraints, and the pruner that follows an objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from kubestudy.api.algorithms import NO_PRUNER
from kubestudy.api.checks.registry import Check, each, once
from kubestudy.api.contract import PROMQL_VARIABLES
from kubestudy.api.expansion import references
from kubestudy.api.problems import Problem, did_you_mean
from kubestudy.api.reading import readable
from kubestudy.api.study import Constraint, Measured, Objective, StudySpec

_GROUPS = ("objectives", "constraints")


def has_one_source(at: str, measured: Measured) -> Iterator[Problem]:
    """Find a number with no source, or two."""
    if (measured.metric is None) == (measured.promql is None):
        yield Problem(at, "needs exactly one of metric and promql")


def name_belongs_to_promql(at: str, measured: Measured) -> Iterator[Problem]:
    """Find a metric that is given a name."""
    if measured.metric is not None and measured.promql is None and measured.label is not None:
        yield Problem(f"{at}.name", "belongs to promql: a metric has a name already")


def expression_names_variables(at: str, measured: Measured) -> Iterator[Problem]:
    """Find what an expression takes for a variable and is none."""
    for name in references(measured.promql or ""):
        if name not in PROMQL_VARIABLES:
            advice = did_you_mean(name, PROMQL_VARIABLES)
            yield Problem(f"{at}.promql", f"$({name}) is no variable of an expression: {advice}")


@each("objectives", "target")
def target_is_finite(at: str, objective: Objective) -> Iterator[Problem]:
    """Find a target that no trial reaches."""
    if objective.target is not None and not math.isfinite(objective.target):
        yield Problem(f"{at}.target", f"{objective.target} can never be reached: give a finite number or leave it out")


@once("objectives?.metric", "objectives?.promql", "objectives?.label")
def objectives_differ(spec: StudySpec) -> Iterator[Problem]:
    """Find an objective that stands twice."""
    seen: set[str] = set()
    for i, objective in readable(spec.objectives):
        if objective.name and objective.name in seen:
            yield Problem(f"spec.objectives[{i}]", f"{objective.name} is an objective twice: name each one once")
        seen.add(objective.name)


@once("constraints?.metric", "constraints?.promql", "constraints?.label")
def constraints_differ(spec: StudySpec) -> Iterator[Problem]:
    """Find a constraint that stands twice."""
    seen: set[str] = set()
    for i, constraint in readable(spec.constraints):
        if constraint.name and constraint.name in seen:
            yield Problem(
                f"spec.constraints[{i}]", f"{constraint.name} is a constraint twice: give it min and max in one"
            )
        seen.add(constraint.name)


@once(*(f"{group}?.{field}" for group in _GROUPS for field in ("metric", "promql", "label")))
def names_mean_one_thing(spec: StudySpec) -> Iterator[Problem]:
    """Find a constraint of an objective's name that is another number."""
    sources = {objective.name: objective.promql for _, objective in readable(spec.objectives)}
    for i, constraint in readable(spec.constraints):
        if sources.get(constraint.name, constraint.promql) != constraint.promql:
            yield Problem(
                f"spec.constraints[{i}].name",
                f"{constraint.name} is the name of something else among the objectives",
            )


@each("constraints", "min", "max")
def constraint_limits(at: str, constraint: Constraint) -> Iterator[Problem]:
    """Find a constraint without limits, or with nothing between them."""
    if constraint.min is None and constraint.max is None:
        yield Problem(at, "limits nothing: set min or max")
    elif constraint.min is not None and constraint.max is not None and math.inf > constraint.min > constraint.max:
        yield Problem(f"{at}.min", f"{constraint.min:g} is above max ({constraint.max:g}): nothing is between")


def limit_is_finite(field: str) -> Check:
    """Return the check that finds a limit which is no number to compare with."""

    @each("constraints", field)
    def check(at: str, constraint: Constraint) -> Iterator[Problem]:
        limit = getattr(constraint, field)
        if limit is not None and not math.isfinite(limit):
            yield Problem(f"{at}.{field}", f"{limit} is no finite number")

    return check


@once("pruner.name", "objectives?")
def pruner_has_one_objective(spec: StudySpec) -> Iterator[Problem]:
    """Find a pruner beside several objectives."""
    if spec.pruner.name != NO_PRUNER and len(spec.objectives) > 1:
        yield Problem(
            "spec.pruner",
            f"{spec.pruner.name} compares trials by one objective and there are {len(spec.objectives)}:"
            " use none, or one objective",
        )


@once("pruner.name", "objectives.promql")
def pruner_has_a_metric(spec: StudySpec) -> Iterator[Problem]:
    """Find a pruner whose objective no running trial reports."""
    if spec.pruner.name != NO_PRUNER and len(spec.objectives) == 1 and spec.objectives[0].promql is not None:
        yield Problem("spec.pruner", "follows a metric that running trials report: use none with a promql objective")


def _of_both(function: Callable[[str, Measured], Iterator[Problem]], *needs: str) -> tuple[Check, ...]:
    return tuple(each(group, *needs)(function) for group in _GROUPS)


CHECKS = (
    *_of_both(has_one_source, "metric", "promql"),
    *_of_both(name_belongs_to_promql, "metric", "promql", "label"),
    *_of_both(expression_names_variables, "promql"),
    target_is_finite,
    objectives_differ,
    constraints_differ,
    names_mean_one_thing,
    constraint_limits,
    limit_is_finite("min"),
    limit_is_finite("max"),
    pruner_has_one_objective,
    pruner_has_a_metric,
)
