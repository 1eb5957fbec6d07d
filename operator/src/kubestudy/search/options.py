"""Options of samplers and pruners: passed through to Optuna, checked against its real signatures first."""

from __future__ import annotations

import collections.abc
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping, Set
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from kubestudy.api.algorithms import Algorithm, Bound
from kubestudy.api.problems import Problem, did_you_mean
from kubestudy.api.text import clean
from kubestudy.search.classes import class_of

_MOST_BITS = 128
_PLAIN = (bool, int, float, str, type(None))


def options_of(target: Callable[..., Any], taken: Set[str] = frozenset()) -> dict[str, Any]:
    """Return the options that a manifest can set, with their types: no callables, and none that has a field.

    Args:
        target: One of Optuna's sampler or pruner classes.
        taken: Parameters that are set by other fields.
    """
    known = {}
    for name, parameter in inspect.signature(target).parameters.items():
        if name in taken or parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            continue
        hint = _resolved(target, parameter.annotation)
        if _writable(hint):
            known[name] = hint
    return known


def _resolved(target: Callable[..., Any], annotation: Any) -> Any:
    """Return an annotation as a type; `object`, which no manifest can hold, if it names what only checkers import."""
    # A class may have its constructor from another module.
    known = getattr(inspect.getattr_static(target, "__init__"), "__globals__", {})
    namespace = {**vars(collections.abc), **vars(sys.modules[target.__module__]), **known}
    holder = type("Holder", (), {"__annotations__": {"it": annotation}})
    try:
        return typing.get_type_hints(holder, globalns=namespace)["it"]
    except NameError:
        return object


def _writable(hint: Any) -> bool:
    """Tell whether some value of a YAML file can have this type."""
    if hint is Any or hint in _PLAIN:
        return True
    if typing.get_origin(hint) is typing.Literal:
        return True
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return any(_writable(part) for part in typing.get_args(hint) if part is not type(None))
    return False


def check_options(
    path: str, algorithm: Algorithm, given: Mapping[str, Any], taken: Set[str] = frozenset()
) -> list[Problem]:
    """Check options against the signature of an algorithm's class, and numbers against their bounds.

    Args:
        path: Where the options stand in the manifest.
        algorithm: What they are options of.
        given: The options.
        taken: Parameters that are set by other fields.

    Returns:
        A problem per unknown option, naming the known ones, and per option of a wrong type, out of bounds or missing.
    """
    target = class_of(algorithm)
    known = options_of(target, taken)
    problems = []
    for name, value in given.items():
        if name in taken:
            field = f"{path.removesuffix('.options')}.{name}"
            problems.append(Problem(f"{path}.{name}", f"is no option but a field of its own: {field}"))
        elif name not in known:
            advice = did_you_mean(name, known) if known else "it has none"
            full = f"; known here: {', '.join(sorted(known))}" if advice.startswith("did") else ""
            problems.append(Problem(f"{path}.{name}", f"there is no such option: {advice}{full}"))
        else:
            problems += _check_type(f"{path}.{name}", known[name], value) or _check_bound(
                f"{path}.{name}", algorithm.bounds.get(name), value
            )
    parameters = inspect.signature(target).parameters
    problems += [
        Problem(f"{path}.{name}", "is required")
        for name in known
        if parameters[name].default is inspect.Parameter.empty and name not in given
    ]
    return problems


def trying(path: str, algorithm: Algorithm, make: Callable[[], Any]) -> list[Problem]:
    """Make something of checked options, to hear what its constructor says of them.

    Args:
        path: Where the options stand in the manifest.
        algorithm: What is made.
        make: Makes it.
    """
    try:
        make()
    except (TypeError, ValueError) as error:
        return [Problem(path, f"{algorithm.name} refuses them: {error}")]
    return []


def _check_type(path: str, hint: Any, value: Any) -> list[Problem]:
    try:
        TypeAdapter(hint, config=ConfigDict(strict=True, arbitrary_types_allowed=True)).validate_python(value)
    except ValidationError:
        return [Problem(path, f"{_shown(value)} is no {type_name(hint)}")]
    return []


def _check_bound(path: str, bound: Bound | None, value: Any) -> list[Problem]:
    if bound is None or isinstance(value, bool) or not isinstance(value, int | float) or value in bound:
        return []
    return [Problem(path, f"{_shown(value)} is out of bounds: write a number {bound_text(bound)}")]


def _shown(value: Any) -> str:
    """Write what a manifest holds, in a line: numbers may be of any length, and so may everything else."""
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return "a number of so many digits"
    return clean(repr(value), 60) if isinstance(value, int | float | str | None) else f"a {type(value).__name__}"


def bound_text(bound: Bound) -> str:
    """Return what people call a bound."""
    return f"from {bound.low:g} to {bound.high:g}"


def takes_numbers(hint: Any) -> bool:
    """Tell whether an option of a type can be a number, and therefore needs a bound."""
    if hint in (int, float, Any):
        return True
    if typing.get_origin(hint) is typing.Literal:
        return False
    return any(takes_numbers(part) for part in typing.get_args(hint))


def type_name(hint: Any) -> str:
    """Return what people call a type."""
    if isinstance(hint, type):
        return {"int": "whole number", "float": "number", "str": "text", "bool": "true or false"}.get(
            hint.__name__, hint.__name__
        )
    return str(hint).replace("None", "null").replace(" | ", " or ")
