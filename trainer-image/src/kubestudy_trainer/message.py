"""The termination message: how a trial ended, as JSON of at most 4096 bytes.

Kubernetes keeps that much of what a container leaves in its termination message file:
https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubestudy_trainer.curve import RUNG_BITS, Point, thin
from kubestudy_trainer.reasons import Reason

VERSION = 1
LIMIT_BYTES = 4096

# What a sentence may take at most, so that a huge error text cannot push out the curve.
_MESSAGE_BYTES = 600


@dataclass(frozen=True, slots=True)
class TerminationMessage:
    """How a trial ended.

    Attributes:
        trial: The trial's number; None where it could not be read.
        values: The final values by metric.
        curve: Points by rising step, by metric.
        reason: None for a trial that finished.
        message: One line that a person can act on; None for a trial that finished.
        tail: The last lines of a traceback.
    """

    trial: int | None
    values: Mapping[str, float] = field(default_factory=dict)
    curve: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    reason: Reason | None = None
    message: str | None = None
    tail: str | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """A termination message ready to be written.

    Attributes:
        payload: JSON in UTF-8, at most `LIMIT_BYTES` long.
        dropped: The metrics whose final values found no room; never an objective.
    """

    payload: bytes
    dropped: tuple[str, ...]


def encode(message: TerminationMessage, objectives: Iterable[str]) -> Encoded:
    """Turn a message into JSON that fits.

    The objectives' values are always there, exactly. What else there is goes in while room is left: the
    sentence, the other values, the objectives' curves (thinned as far as needed), the other curves, the
    traceback's last lines.

    Args:
        message: How the trial ended.
        objectives: The names of the metrics that the study optimises; none means that all are alike.

    Raises:
        ValueError: The objectives' names alone are too long for a message.
    """
    wanted = list(objectives)
    first = [name for name in wanted if name in message.values]
    body: dict[str, Any] = {
        "version": VERSION,
        "trial": message.trial,
        "values": {name: _number(message.values[name]) for name in first},
        "curve": {},
        "reason": message.reason,
        "message": None,
    }
    if _size(body) > LIMIT_BYTES:
        raise ValueError(
            f"the final values of {len(first)} objectives take {_size(body)} bytes, and a termination "
            f"message holds {LIMIT_BYTES}: fewer or shorter names are needed"
        )
    if message.message is not None:
        # `null` makes way for the text.
        room = min(_MESSAGE_BYTES, LIMIT_BYTES - _size(body) + len("null"))
        body["message"] = _shorten(" ".join(message.message.split()), room, _beginning)
    dropped = tuple(
        name
        for name, value in message.values.items()
        if name not in body["values"] and not _added(body, body["values"], name, _number(value))
    )
    _add_curves(body, message.curve, wanted)
    if message.tail:
        room = LIMIT_BYTES - _size({**body, "tail": None}) + len("null")
        if tail := _shorten(message.tail, room, _end):
            body["tail"] = tail
    return Encoded(_dump(body), dropped)


def write(path: Path, payload: bytes) -> None:
    """Write a message in place.

    The file may be a mount of its own, as in a container, so it can be neither renamed nor replaced; the
    payload goes out in one write, so that a reader finds all of it or nothing.

    Args:
        path: The file; it is made where it is missing.
        payload: What it shall hold.

    Raises:
        OSError: The file cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, payload)
    finally:
        os.close(descriptor)


def _add_curves(body: dict[str, Any], curves: Mapping[str, Sequence[Point]], objectives: list[str]) -> None:
    first = [name for name in objectives if name in curves] or list(curves)
    for bits in (None, *RUNG_BITS):
        body["curve"] = {name: _points(curves[name], bits) for name in first}
        if _size(body) <= LIMIT_BYTES:
            break
    else:
        body["curve"] = {}
        return
    for name, points in curves.items():
        if name not in body["curve"]:
            for bits in (None, *RUNG_BITS):
                if _added(body, body["curve"], name, _points(points, bits)):
                    break


def _added(body: dict[str, Any], part: dict[str, Any], key: str, value: Any) -> bool:
    """Add a key to a part of the body, unless that makes the body too large."""
    part[key] = value
    if _size(body) <= LIMIT_BYTES:
        return True
    del part[key]
    return False


def _points(points: Sequence[Point], bits: int | None) -> list[tuple[int, float | str]]:
    kept = points if bits is None else thin(points, bits)
    return [(step, _number(float(f"{value:.6g}"))) for step, value in kept]


def _number(value: float) -> float | str:
    """The value, as a string where JSON has no number for it."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _dump(content: Any) -> bytes:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Half a surrogate pair, as in a badly decoded file name, has no UTF-8.
    return text.encode("utf-8", "replace")


def _size(content: Any) -> int:
    return len(_dump(content))


def _beginning(text: str, length: int) -> str:
    return text[:length].rstrip() + "…"


def _end(text: str, length: int) -> str:
    return "…" + text[len(text) - length :]


def _shorten(text: str, room: int, cut: Callable[[str, int], str]) -> str | None:
    """The text, cut so that its JSON fits the room in bytes; None where nothing of it fits."""
    if _size(text) <= room:
        return text
    low, high = 0, min(len(text), max(room, 0))
    while low < high:
        middle = (low + high + 1) // 2
        if _size(cut(text, middle)) <= room:
            low = middle
        else:
            high = middle - 1
    return cut(text, low) if low else None
