"""Everything a trial reported, in the form in which it is kept with the trial: bounded, and readable anywhere.

It is `{"values": {METRIC: NUMBER}, "curves": TEXT}`, where the text is the JSON of `{METRIC: [[STEP, NUMBER], ...]}`:
a study's trials are in memory while it runs, and as a text a curve takes a fifth of the room. Numbers that JSON lacks
are the words NaN, Infinity and -Infinity, as in a trial's termination message.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubestudy.study.trial import Curve

MAX_METRICS = 50
MAX_POINTS = 64
MAX_NAME = 128  # as in a manifest
# A text of MySQL, the smallest place that an attribute may have to fit in, holds 65,535 bytes.
MAX_BYTES = 64_000

Point = tuple[int, float]


@dataclass(frozen=True, slots=True)
class TrialMetrics:
    """What a trial reported.

    Attributes:
        values: The final value by metric; empty when it did not finish.
        curves: (step, value) pairs by metric.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    curves: Curve = field(default_factory=dict)

    @property
    def last(self) -> dict[str, float]:
        """The last value known of each metric: the final one, else the end of its curve."""
        ends = {name: points[-1][1] for name, points in self.curves.items() if points}
        return ends | dict(self.values)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a trial's metrics.

    Attributes:
        record: The JSON-ready form; empty when there is nothing to keep.
        cut: What had to be left out, as a clause; empty when nothing was.
    """

    record: Mapping[str, Any]
    cut: str = ""


def kept_of(metrics: TrialMetrics, first: Iterable[str] = (), without_curve: str | None = None) -> Kept:
    """Bound what a trial reported.

    Args:
        metrics: All of it.
        first: The metrics that are left out last.
        without_curve: A metric whose curve is kept elsewhere.
    """
    curves = {name: points for name, points in metrics.curves.items() if name != without_curve and points}
    wanted = frozenset(first)
    order = sorted(dict.fromkeys((*metrics.values, *curves)), key=lambda name: name not in wanted)
    names, points = [name for name in order if _is_a_name(name)][:MAX_METRICS], MAX_POINTS
    record = _record(metrics.values, curves, names, points)
    while _size(record) > MAX_BYTES:
        if points:
            points //= 2
        else:
            names.pop()
        record = _record(metrics.values, curves, names, points)
    return Kept(record if names else {}, _cut(order, names, points))


def _is_a_name(name: str) -> bool:
    """Tell whether something can be printed anywhere: a trial may call its metrics whatever JSON can hold."""
    return 0 < len(name) <= MAX_NAME and name.isprintable()


def _record(values: Mapping[str, float], curves: Curve, names: Sequence[str], points: int) -> dict[str, Any]:
    thinned = {name: thin(curves[name], points) for name in names if name in curves} if points else {}
    short = {name: [(step, _short(value)) for step, value in curve] for name, curve in thinned.items()}
    record: dict[str, Any] = {"values": {name: _written(values[name]) for name in names if name in values}}
    return record | ({"curves": json.dumps(short, separators=(",", ":"))} if short else {})


def _size(record: Mapping[str, Any]) -> int:
    return len(json.dumps(record))


def _cut(order: Sequence[str], names: Sequence[str], points: int) -> str:
    said = []
    if len(names) < len(order):
        said.append(f"{len(names)} of {len(order)} metrics are kept")
    if points < MAX_POINTS:
        said.append(f"{points} points of each curve are kept" if points else "no curves are kept")
    return ", and ".join(said)


def thin(points: Sequence[Point], limit: int) -> Sequence[Point]:
    """Thin a curve to at most `limit` points, evenly; the first and the last stay."""
    if len(points) <= limit:
        return points
    if limit == 1:
        return points[-1:]
    return [points[round(i * (len(points) - 1) / (limit - 1))] for i in range(limit)]


def _short(value: float) -> float | str:
    """Return a curve's value to six digits, which are what the trainer gives and what a plot can show."""
    return _written(float(f"{value:.6g}"))


def _written(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def metrics_in(record: Mapping[str, Any]) -> TrialMetrics:
    """Read what `kept_of` made."""
    return TrialMetrics(
        # float() reads the words, too.
        {name: float(value) for name, value in record.get("values", {}).items()},
        {
            name: tuple((step, float(value)) for step, value in points)
            for name, points in json.loads(record.get("curves", "{}")).items()
        },
    )
