"""Reading a trial's termination message. Whatever a container may have written there, reading it never fails."""

from __future__ import annotations

import json
from typing import Any

from kubestudy.api.text import shorten
from kubestudy.study.trial import Curve, Result

_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_TEXT_LENGTH = 1000
_EXCERPT_LENGTH = 120


def parse_message(text: str) -> Result | None:
    """Read a termination message.

    Args:
        text: JSON such as `{"version": 1, "values": {"loss": 0.1}, "curve": {"loss": [[1, 0.5]]}, "reason": null}`.
            Numbers that JSON lacks are the words NaN, Infinity and -Infinity.

    Returns:
        What it says; None when it is empty. What is no such message is kept as `invalid`.
    """
    if not text.strip():
        return None
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return Result(invalid=f"is no JSON: {shorten(text, _EXCERPT_LENGTH)}")
    if not isinstance(said, dict) or not {"values", "reason"} & said.keys():
        return Result(invalid=f"has no field values: {shorten(text, _EXCERPT_LENGTH)}")
    values = {str(name): (value, _number(value)) for name, value in _items(said.get("values"))}
    wrong = next((f"{name} is {json.dumps(value)}" for name, (value, number) in values.items() if number is None), None)
    return Result(
        values={name: number for name, (_, number) in values.items() if number is not None},
        curve=_curve(said.get("curve")),
        reason=_text(said.get("reason")),
        message=_text(said.get("message")),
        invalid=None if wrong is None else f"holds what is no number: {shorten(wrong, _EXCERPT_LENGTH)}",
    )


def _items(mapping: Any) -> list[tuple[Any, Any]]:
    return list(mapping.items()) if isinstance(mapping, dict) else []


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return _WORDS.get(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _curve(curve: Any) -> Curve:
    return {str(metric): tuple(_points(points)) for metric, points in _items(curve)}


def _points(points: Any) -> list[tuple[int, float]]:
    found = []
    for point in points if isinstance(points, list) else []:
        if not (isinstance(point, list) and len(point) == 2):
            continue
        step, value = point[0], _number(point[1])
        if isinstance(step, int) and not isinstance(step, bool) and 0 <= step < 2**63 and value is not None:
            found.append((step, value))
    return found


def _text(value: Any) -> str | None:
    return value[:_TEXT_LENGTH] if isinstance(value, str) and value else None
