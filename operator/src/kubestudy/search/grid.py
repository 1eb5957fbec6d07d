"""The grid of a space: how many points it has, and the n-th of them, without listing any.

A point's number is written with the parameters as its digits, the first of the tree's order slowest. A conditional
parameter is a digit only where it is active, so what follows depends on what was chosen: of that only the values that
later conditions name matter, and everything else is counted together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kubestudy.api.limits import GRID_POINTS, GRID_STEPS
from kubestudy.api.study import Parameter
from kubestudy.api.values import Value
from kubestudy.search.space import in_tree_order, is_active

# The values chosen so far that conditions still to come name.
_State = tuple[tuple[str, Value], ...]


class GridTooLargeError(ValueError):
    """A grid has more points than may be counted."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Values of a parameter that follow one another and are alike for all that comes after.

    Attributes:
        start: The place of the first.
        length: How many.
        named: The value, where a later condition names it; it is alone then.
    """

    start: int
    length: int
    named: Value | None = None


class Grid:
    """Every distinct combination of active parameters, in the manifest's order. No two points are alike.

    Args:
        parameters: A valid space; every float has a step.

    Raises:
        GridTooLargeError: It has more than `GRID_POINTS` points, or its conditions take more than `GRID_STEPS` steps
            to count them.
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self._ordered = in_tree_order(parameters)
        self._runs = [_runs_of(parameter, self._ordered) for parameter in self._ordered]
        # What conditions from each level on name.
        self._named: list[frozenset[str]] = [frozenset()]
        for parameter in reversed(self._ordered):
            self._named.insert(0, self._named[0] | set(parameter.when or ()))
        self._counts: dict[tuple[int, _State], int] = {}
        self._steps = 0
        self._length = self._count(0, ())

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[dict[str, Value]]:
        return (self[index] for index in range(self._length))

    def __getitem__(self, index: int) -> dict[str, Value]:
        """Return a point.

        Args:
            index: Its number, from zero.

        Raises:
            IndexError: There are not so many.
        """
        if not 0 <= index < self._length:
            raise IndexError(index)
        point: dict[str, Value] = {}
        state: _State = ()
        for level, parameter in enumerate(self._ordered):
            if not is_active(parameter, dict(state)):
                continue
            for run in self._runs[level]:
                following = self._after(level, state, run)
                below = self._count(level + 1, following)
                if index < run.length * below:
                    point[parameter.name] = value_at(parameter, run.start + index // below)
                    index, state = index % below, following
                    break
                index -= run.length * below
        return point

    def _count(self, level: int, state: _State) -> int:
        """Return how many points there are from a level on."""
        if level == len(self._ordered):
            return 1
        state = tuple((name, value) for name, value in state if name in self._named[level])
        known = self._counts.get((level, state))
        if known is not None:
            return known
        if not is_active(self._ordered[level], dict(state)):
            found = self._count(level + 1, state)
        else:
            self._steps += len(self._runs[level])
            found = sum(
                run.length * self._count(level + 1, self._after(level, state, run)) for run in self._runs[level]
            )
        if found > GRID_POINTS.value or self._steps > GRID_STEPS.value:
            raise GridTooLargeError
        self._counts[level, state] = found
        return found

    def _after(self, level: int, state: _State, run: _Run) -> _State:
        return state if run.named is None else (*state, (self._ordered[level].name, run.named))


def count_of(parameter: Parameter) -> int:
    """Return how many values a parameter has in a grid."""
    if parameter.type == "categorical":
        return len(parameter.choices or ())
    low, high, step = parameter.low or 0.0, parameter.high or 0.0, parameter.step or 1.0
    steps = (high - low) / step + 1e-9
    return math.floor(steps) + 1 if math.isfinite(steps) else GRID_POINTS.value + 1


def value_at(parameter: Parameter, place: int) -> Value:
    """Return a parameter's value at a place of the grid."""
    if parameter.type == "categorical":
        return (parameter.choices or ())[place]
    low, high, step = parameter.low or 0.0, parameter.high or 0.0, parameter.step or 1.0
    return int(low) + place * int(step) if parameter.type == "int" else min(high, low + place * step)


def _runs_of(parameter: Parameter, ordered: Sequence[Parameter]) -> list[_Run]:
    count = count_of(parameter)
    places = dict(_named_places(parameter, ordered, count))
    runs, at = [], 0
    for place in sorted(places):
        if place > at:
            runs.append(_Run(at, place - at))
        runs.append(_Run(place, 1, places[place]))
        at = place + 1
    if at < count:
        runs.append(_Run(at, count - at))
    return runs


def _named_places(parameter: Parameter, ordered: Sequence[Parameter], count: int) -> Iterator[tuple[int, Value]]:
    """Find the places of the values that conditions name."""
    named = {(type(v), v) for other in ordered for v in (other.when or {}).get(parameter.name, ())}
    if parameter.type == "categorical":
        for place, choice in enumerate(parameter.choices or ()):
            if (type(choice), choice) in named:
                yield place, choice
        return
    low, step = parameter.low or 0.0, parameter.step or 1.0
    for kind, value in named:
        if isinstance(value, bool | str):
            continue
        try:
            near = round((value - low) / step)
        except (OverflowError, ValueError):  # so far away that there is no such number
            continue
        for place in range(max(0, near - 1), min(count, near + 2)):
            found = value_at(parameter, place)
            if (type(found), found) == (kind, value):
                yield place, found
