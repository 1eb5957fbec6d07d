"""Reading a trial's termination message. Whatever a container may have written there, reading it never fails.

This is the door for what trials say of themselves: behind it every text is one printable line, and all is bounded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from kubestudy.api.limits import (
    CURVE_POINTS,
    MESSAGE_BYTES,
    METRIC_NAME_LENGTH,
    REASON_LENGTH,
    SENTENCE_LENGTH,
    TRIAL_METRICS,
)  # fmt: skip
from kubestudy.api.text import clean
from kubestudy.study.trial import Curve, Result

_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_EXCERPT_LENGTH = 120
# As Kubernetes has reasons of conditions.
_REASON = re.compile(r"[A-Za-z](?:[A-Za-z0-9_,:]*[A-Za-z0-9_])?")


def parse_message(text: str) -> Result | None:
    """Read a termination message.

    Args:
        text: JSON such as `{"version": 1, "values": {"loss": 0.1}, "curve": {"loss": [[1, 0.5]]}, "reason": null}`.
            Numbers that JSON lacks are the words NaN, Infinity and -Infinity.

    Returns:
        What it says; None when it is empty. What is no such message is kept as `invalid`.
    """
    if len(text) > MESSAGE_BYTES.value:
        return Result(invalid=f"is longer than {MESSAGE_BYTES.value} bytes: {clean(text, _EXCERPT_LENGTH)}")
    if not text.strip():
        return None
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return Result(invalid=f"is no JSON: {clean(text, _EXCERPT_LENGTH)}")
    if not isinstance(said, dict) or not {"values", "reason"} & said.keys():
        return Result(invalid=f"has no field values: {clean(text, _EXCERPT_LENGTH)}")
    given = said.get("values")
    if not isinstance(given, dict) and (given is not None or not said.get("reason")):
        return Result(invalid=f"has values that are no object: {clean(text, _EXCERPT_LENGTH)}")
    values = {name: (value, _number(value)) for name, value in _items(given)}
    wrong = next((f"{name} is {json.dumps(value)}" for name, (value, number) in values.items() if number is None), None)
    reason, message = _why(said.get("reason"), said.get("message"))
    return Result(
        values={name: number for name, (_, number) in values.items() if number is not None},
        curve=_curve(said.get("curve")),
        reason=reason,
        message=message,
        invalid=None if wrong is None else f"holds what is no number: {clean(wrong, _EXCERPT_LENGTH)}",
    )


def reason_in(text: object) -> str | None:
    """Return a word that tells how something ended, as a pod or a trial has it; None if it is no such word."""
    if isinstance(text, str) and len(text) <= REASON_LENGTH.value and _REASON.fullmatch(text):
        return text
    return None


def _why(reason: Any, message: Any) -> tuple[str | None, str | None]:
    """Return a trial's reason and its message; what is given as a reason and is no word belongs to the message."""
    word = reason_in(reason)
    said = [part for part in (reason if word is None else None, message) if isinstance(part, str) and part]
    return word, clean(": ".join(said), SENTENCE_LENGTH.value) or None


def _items(mapping: Any) -> Iterator[tuple[str, Any]]:
    """Go through what belongs to metrics, as many as there may be."""
    if isinstance(mapping, dict):
        for name, value in islice(mapping.items(), TRIAL_METRICS.value):
            yield clean(name, METRIC_NAME_LENGTH.value), value


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
    return {metric: tuple(_points(points)) for metric, points in _items(curve)}


def _points(points: Any) -> list[tuple[int, float]]:
    found = []
    for point in points[: CURVE_POINTS.value] if isinstance(points, list) else []:
        if not (isinstance(point, list) and len(point) == 2):
            continue
        step, value = point[0], _number(point[1])
        if isinstance(step, int) and not isinstance(step, bool) and 0 <= step < 2**63 and value is not None:
            found.append((step, value))
    return found
