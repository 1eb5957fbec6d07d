"""Conditions of parameters: `when: {optimizer: [sgd]}`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Set

from kubestudy.api.checks.parameters import EXACT_INT
from kubestudy.api.checks.registry import each, each_beside, once
from kubestudy.api.problems import Problem, did_you_mean, nearest, path_of
from kubestudy.api.reading import entries, readable
from kubestudy.api.study import Parameter, StudySpec
from kubestudy.api.values import Value, as_text


@each_beside("parameters", "name", "when?", spec=("parameters.name",))
def parents_exist(at: str, parameter: Parameter, spec: StudySpec) -> Iterator[Problem]:
    """Find a condition on a parameter that there is not."""
    names = {other.name for other in spec.parameters}
    for parent in parameter.when or ():
        if parent not in names:
            advice = did_you_mean(parent, names - {parameter.name})
            yield Problem(_place(at, parent), f"there is no parameter {parent}: {advice}")


@each("parameters", "name", "when?")
def none_depends_on_itself(at: str, parameter: Parameter) -> Iterator[Problem]:
    """Find a condition of a parameter on itself."""
    if parameter.name in (parameter.when or ()):
        yield Problem(_place(at, parameter.name), f"{parameter.name} cannot depend on itself")


@each("parameters", "when?")
def conditions_list_values(at: str, parameter: Parameter) -> Iterator[Problem]:
    """Find a condition that is never met."""
    for parent, values in entries(parameter.when or {}):
        if not values:
            yield Problem(_place(at, parent), f"lists no value: name those of {parent} that make it active")


@each_beside("parameters", "name", "when?", spec=("parameters?.name", "parameters?.type"))
def parents_are_no_floats(at: str, parameter: Parameter, spec: StudySpec) -> Iterator[Problem]:
    """Find a condition on a parameter that has no few values."""
    for parent in _parents(parameter, spec):
        if parent.type == "float":
            yield Problem(
                _place(at, parent.name),
                f"{parent.name} is a float: only categorical and int parameters can be conditions",
            )


@each_beside("parameters", "name", "when?", spec=("parameters?.name", "parameters?.type", "parameters?.choices"))
def values_are_choices(at: str, parameter: Parameter, spec: StudySpec) -> Iterator[Problem]:
    """Find a condition's value that is no choice of the parameter it names."""
    for parent in _parents(parameter, spec):
        if parent.type == "categorical" and parent.choices is not None:
            choices = {(type(choice), choice) for choice in parent.choices}
            for i, value in _values(parameter, parent):
                if (type(value), value) not in choices:
                    yield _no_value(f"{_place(at, parent.name)}[{i}]", value, parent, _choices(parent.choices, value))


@each_beside(
    "parameters",
    "name",
    "when?",
    spec=tuple(f"parameters?.{field}" for field in ("name", "type", "low", "high", "step")),
)
def values_are_in_range(at: str, parameter: Parameter, spec: StudySpec) -> Iterator[Problem]:
    """Find a condition's value that an int parameter never has."""
    for parent in _parents(parameter, spec):
        if parent.type == "int" and parent.low is not None and parent.high is not None and _is_whole(parent):
            domain = f"it is an int from {parent.low:g} to {parent.high:g}"
            domain += f" in steps of {parent.step:g}" if parent.step else ""
            for i, value in _values(parameter, parent):
                if not _is_between(value, parent.low, parent.high, parent.step or 1):
                    yield _no_value(f"{_place(at, parent.name)}[{i}]", value, parent, domain)


@once("parameters?.name", "parameters?.when?")
def no_circle(spec: StudySpec) -> Iterator[Problem]:
    """Find parameters that wait for each other."""
    parents = {p.name: set(p.when or ()) - {p.name} for _, p in readable(spec.parameters)}
    free = {name for name in parents if not parents[name]}
    settled: set[str] = set()
    while free:
        settled |= free
        free = {n for n, needs in parents.items() if n not in settled and not (needs & parents.keys()) - settled}
    on_circle = [name for name in parents if name not in settled and _reaches(name, name, parents)]
    if on_circle:
        i = next(i for i, parameter in readable(spec.parameters) if parameter.name == on_circle[0])
        yield Problem(
            f"spec.parameters[{i}].when",
            f"{' and '.join(on_circle)} depend on each other in a circle: take one condition away",
        )


def _place(at: str, parent: str) -> str:
    return f"{at}.when{path_of(('x', parent))[1:]}"


def _parents(parameter: Parameter, spec: StudySpec) -> Iterator[Parameter]:
    """Go through the parameters that one depends on, itself not among them; of two of one name the first."""
    for name in parameter.when or ():
        if name != parameter.name:
            yield from [other for _, other in readable(spec.parameters) if other.name == name][:1]


def _values(parameter: Parameter, parent: Parameter) -> Iterator[tuple[int, Value]]:
    return readable(dict(entries(parameter.when or {})).get(parent.name, ()))


def _is_whole(parent: Parameter) -> bool:
    """Tell whether an int parameter's range has values to compare with; else it is what is wrong."""
    bounds = (parent.low or 0.0, parent.high or 0.0, parent.step or 1.0)
    return all(math.isfinite(bound) and bound == int(bound) for bound in bounds) and bounds[0] < bounds[1]


def _is_between(value: Value, low: float, high: float, step: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > EXACT_INT:
        return False
    return low <= value <= high and (value - low) % step == 0


def _no_value(where: str, value: Value, parent: Parameter, domain: str) -> Problem:
    return Problem(where, f"{as_text(value)} is no value of {parent.name}: {domain}")


def _choices(choices: list[Value], value: Value) -> str:
    texts = [as_text(choice) for choice in choices]
    if as_text(value) in texts:
        return "it is written differently among its choices; quotes make a text of it"
    near = nearest(as_text(value), texts)
    return f"did you mean {near}?" if near else f"its choices are {', '.join(texts)}"


def _reaches(start: str, goal: str, parents: Mapping[str, Set[str]]) -> bool:
    todo, seen = [start], set[str]()
    while todo:
        for parent in parents.get(todo.pop(), frozenset()):
            if parent == goal:
                return True
            if parent not in seen:
                seen.add(parent)
                todo.append(parent)
    return False


CHECKS = (
    parents_exist,
    none_depends_on_itself,
    conditions_list_values,
    parents_are_no_floats,
    values_are_choices,
    values_are_in_range,
    no_circle,
)
