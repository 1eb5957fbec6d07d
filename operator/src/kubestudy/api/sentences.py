"""What pydantic says of a field, in sentences for people: what is wrong, and what would be right."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from kubestudy.api.problems import did_you_mean, nearest
from kubestudy.api.quantity import DURATION_PATTERN
from kubestudy.api.study import METRIC_NAME_PATTERN, OBJECT_NAME_PATTERN
from kubestudy.api.text import alternatives, clean

_PATTERNS: Mapping[str, str] = {
    DURATION_PATTERN: "no duration: write it as 90s, 45m, 1h30m or 2d",
    OBJECT_NAME_PATTERN: "no name for an object: use lowercase letters, digits, - and .",
    METRIC_NAME_PATTERN: "no metric's name: use letters, digits, _ . : / and -, a letter or _ first",
}
# The members of a union, by what pydantic calls them.
_MEMBERS = {"str": "text", "int": "number", "float": "number", "bool": "boolean"}


def missing(field: str, data: Mapping[Any, Any]) -> str:
    """Say that a field is required, and whether it is there by a wrong name."""
    slip = next((str(key) for key in data if is_slip(str(key), field)), None)
    return "is required" + (f": {slip} is no field, did you mean {field}?" if slip else "")


def unknown(field: str, near: str | None, known: Iterable[str]) -> str:
    """Say that there is no such field, and which one was meant, or which there are."""
    return f"there is no such field: {did_you_mean(near or field, known)}"


def untextual(key: object) -> str:
    """Say that a mapping's key is no text."""
    return f"the key {shown(key)} is no text: put it in quotes"


def refused(details: Sequence[ErrorDetails], given: object, pattern: str | None = None) -> str:
    """Say why a value is refused.

    Args:
        details: What pydantic says of it; of a union it speaks once for each member.
        given: The value.
        pattern: What a text there has to fit, if anything.
    """
    members = dict.fromkeys(_MEMBERS.get(str(detail["loc"][-1]), "") for detail in details if detail["loc"])
    if len(members) > 1 and "" not in members:
        return _unlike(sorted(members, key=list(_MEMBERS.values()).index), given)
    if (
        pattern is not None
        and pattern in _PATTERNS
        and details[0]["type"] in ("string_pattern_mismatch", "string_type")
    ):
        return f"{shown(given)} is {_PATTERNS[pattern]}"
    return sentence(details[0])


def _unlike(members: Sequence[str], given: object) -> str:
    said = f"a {alternatives(members)} is expected, not {'null' if given is None else shown(given)}"
    if isinstance(given, list) and given and all(isinstance(item, str | int | float) for item in given):
        joined = ",".join(map(str, given))
        return f"{said}: write it as one text, {shown(joined)}" if "text" in members else said
    return said


def sentence(detail: ErrorDetails) -> str:
    """Say in one sentence what pydantic says of a value."""
    kind, context, given = detail["type"], detail.get("ctx", {}), detail["input"]
    match kind:
        case "value_error" | "assertion_error":  # one of our own
            return str(context["error"])
        case "missing":
            return "is required"
        case "literal_error":
            expected = context["expected"].replace("'", "")
            near = nearest(str(given), expected.replace(" or ", ", ").split(", "))
            return f"{shown(given)} is not {expected}" + (f": did you mean {near}?" if near else "")
        case "greater_than_equal" | "greater_than":
            bound = context.get("ge", context.get("gt"))
            return f"{shown(given)} must be {'at least' if 'ge' in context else 'above'} {bound}"
        case "string_pattern_mismatch":
            return f"{shown(given)} does not fit the pattern {context['pattern']}"
        case "less_than_equal":
            return f"{shown(given)} must be at most {context['le']}"
        case "too_short" | "string_too_short":
            return "must not be empty"
        case "too_long" | "string_too_long":
            return f"is too long: {context.get('max_length')} at most"
    return f"{shown(given)} is {_expected(kind, given)}"


def _expected(kind: str, given: Any) -> str:
    wanted = {
        "string_type": "no text" + (": put it in quotes" if isinstance(given, bool | int | float) else ""),
        "int_type": "no whole number" + (": take the quotes away" if isinstance(given, str) else ""),
        "int_from_float": "no whole number",
        "float_type": "no number" + (": take the quotes away" if _is_number(given) else ""),
        "bool_type": "neither true nor false" + (": take the quotes away" if isinstance(given, str) else ""),
        "list_type": f"no list: write [{', '.join(str(given).split())}]"
        if isinstance(given, str | int | float)
        else "no list",
        "dict_type": "no mapping of names to values",
        "model_type": "no mapping of fields to values",
    }
    return wanted.get(kind, f"not valid here ({kind.replace('_', ' ')})")


def _is_number(given: Any) -> bool:
    """Tell whether a text holds a number."""
    try:
        return isinstance(given, str) and math.isfinite(float(given))
    except ValueError:
        return False


def shown(given: object) -> str:
    """Return a value as a sentence names it."""
    try:
        text = "nothing" if given is None else repr(given)
    except ValueError:  # a whole number of more digits than Python writes out
        text = "a huge number"
    return clean(text, 60)


def is_slip(a: str, b: str) -> bool:
    """Tell whether one changed, missing, doubled or swapped letter makes one word of the other."""
    if a.lower() == b.lower():
        return True
    if abs(len(a) - len(b)) > 1:
        return False
    short, long = sorted((a, b), key=len)
    if len(short) < len(long):
        return any(long[:i] + long[i + 1 :] == short for i in range(len(long)))
    differing = [i for i in range(len(a)) if a[i] != b[i]]
    return len(differing) == 1 or (
        len(differing) == 2 and sorted(a[i] for i in differing) == sorted(b[i] for i in differing)
    )
