"""How a check says what it needs: it is handed that and nothing else, and skipped where a part of it cannot be read.

A need is a path of attributes from the spec, or from an item of a list: `budget.max_trials`. Through a list it means
the field of every item: `objectives.target`. With a question mark behind the list's name, items without it are no
hindrance but UNREAD: `objectives?.target`. At a path's end, the holes of a list or mapping are none: `choices?`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from kubestudy.api.limits import PROBLEMS
from kubestudy.api.problems import Problem
from kubestudy.api.reading import UNREAD, complete, partial, readable, was_read
from kubestudy.api.study import StudySpec

T = TypeVar("T")
OfSpec = Callable[[StudySpec], Iterable[Problem]]
OfItem = Callable[[str, T], Iterable[Problem]]
OfItemBeside = Callable[[str, T, StudySpec], Iterable[Problem]]


@dataclass(frozen=True, slots=True)
class Check:
    """A check of a spec that may hold only a part of its fields.

    Attributes:
        name: What it is called.
        look: Returns the problems; none where what it needs cannot be read.
        sound: Fields of the spec in which no other check may have found anything, else it is skipped.
    """

    name: str
    look: OfSpec
    sound: tuple[str, ...] = ()

    def problems(self, spec: StudySpec, found: Sequence[Problem] = ()) -> list[Problem]:
        """Return what is wrong with a spec.

        Args:
            spec: The spec, or what can be read of it.
            found: What was found before.
        """
        if any(_within(problem.path, f"spec.{to_camel(part)}") for part in self.sound for problem in found):
            return []
        return list(islice(self.look(spec), PROBLEMS.value))


@dataclass(frozen=True, slots=True)
class Checks:
    """Several checks, in the order of what they find."""

    checks: tuple[Check, ...]

    def __call__(self, spec: StudySpec, found: Sequence[Problem] = ()) -> list[Problem]:
        """Return what is wrong with a spec, beyond what was found before."""
        problems: list[Problem] = []
        for check in self.checks:
            problems += check.problems(spec, [*found, *problems])
        return problems


def once(*needs: str, sound: tuple[str, ...] = ()) -> Callable[[OfSpec], Check]:
    """Make a check of a function that looks at a spec.

    Args:
        needs: What of the spec it is given.
        sound: See `Check`.
    """
    wanted = _Need.of(needs)

    def of(function: OfSpec) -> Check:
        def look(spec: StudySpec) -> Iterator[Problem]:
            given = _pick_fields(spec, wanted)
            if was_read(given):
                yield from function(given)

        return Check(_name(function), look, sound)

    return of


def each(group: str, *needs: str) -> Callable[[OfItem[T]], Check]:
    """Make a check of a function that looks at each item of a list: at its path, and at the item.

    Args:
        group: The list, as a path from the spec.
        needs: What of the item it is given.
    """

    def of(function: OfItem[T]) -> Check:
        def alone(at: str, item: T, _: StudySpec) -> Iterable[Problem]:
            return function(at, item)

        return Check(_name(function), each_beside(group, *needs)(alone).look)

    return of


def each_beside(group: str, *needs: str, spec: tuple[str, ...] = ()) -> Callable[[OfItemBeside[T]], Check]:
    """Make a check of a function that looks at each item of a list, and at other parts of the spec beside it.

    Args:
        group: The list, as a path from the spec.
        needs: What of the item it is given.
        spec: What of the spec it is given.
    """
    path, wanted, beside = group.split("."), _Need.of(needs), _Need.of(spec)
    where = ".".join(("spec", *map(to_camel, path)))

    def of(function: OfItemBeside[T]) -> Check:
        def look(whole: StudySpec) -> Iterator[Problem]:
            others = _pick_fields(whole, beside)
            items: Any = whole
            for part in path:
                items = getattr(items, part, UNREAD)
            if not was_read(others) or not was_read(items):
                return
            for i, item in readable(items):
                given = _pick(item, wanted)
                if was_read(given):
                    yield from function(f"{where}[{i}]", given, others)

        return Check(_name(function), look)

    return of


@dataclass(slots=True)
class _Need:
    """Needs as a tree: which parts of a value, and whether holes in it are a hindrance."""

    holes: bool = False
    parts: dict[str, _Need] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: Iterable[str]) -> _Need:
        root = cls()
        for path in paths:
            here = root
            for part in path.split("."):
                name = part.removesuffix("?")
                before = here.parts.get(name)
                here = here.parts.setdefault(name, cls(holes=name != part))
                if before is not None and before.holes != (name != part):
                    raise ValueError(f"{path}: {name} is needed with holes and without")
        return root


def _pick(value: Any, need: _Need) -> Any:
    """Return what is needed of a value; UNREAD if some of it cannot be read."""
    if value is None or not was_read(value):
        return value
    if not need.parts:
        return value if need.holes or complete(value) else UNREAD
    if isinstance(value, list):
        items = [_pick(item, need) for item in value]
        return items if need.holes or all(map(was_read, items)) else UNREAD
    return _pick_fields(value, need)


def _pick_fields(value: BaseModel, need: _Need) -> Any:
    model = type(value)
    if not need.parts.keys() <= model.model_fields.keys():
        raise AttributeError(f"{model.__name__} has no {', '.join(need.parts.keys() - model.model_fields.keys())}")
    picked = {name: _pick(value.__dict__.get(name, UNREAD), inner) for name, inner in need.parts.items()}
    return partial(model, picked) if all(map(was_read, picked.values())) else UNREAD


def _name(function: Callable[..., object]) -> str:
    return getattr(function, "__name__", str(function))


def _within(path: str, place: str) -> bool:
    return path == place or path.startswith((f"{place}.", f"{place}["))
