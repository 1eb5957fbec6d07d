"""A hyperparameter's value, and how it is written into a trial's environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Value = bool | int | float | str


def as_text(value: Value) -> str:
    """Write a value as a trial's environment holds it: `true`/`false` for booleans, the shortest exact number else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def same(a: Value, b: Value) -> bool:
    """Tell whether two values are one choice: `1`, `1.0` and `true` are three different ones."""
    return type(a) is type(b) and a == b


def environment_of(params: Mapping[str, Value], names: Iterable[str]) -> dict[str, str]:
    """Return the variables of a trial's parameters.

    Args:
        params: The trial's active parameters.
        names: All parameters of the study. One that is not active in this trial is the empty string, so that
            `$(name)` in args never stays unexpanded.
    """
    return {name: as_text(params[name]) if name in params else "" for name in names}
