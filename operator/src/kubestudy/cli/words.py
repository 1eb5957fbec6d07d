"""Values, ages and sizes, written for people."""

from __future__ import annotations

from datetime import UTC, datetime

from kubestudy.api.text import printable
from kubestudy.api.values import Value, as_text

_KIB = 1024


def short(value: Value) -> str:
    """Write a parameter or metric: four digits are enough; a text without what a terminal would take for orders."""
    return f"{value:.4g}" if isinstance(value, float) else printable(as_text(value))


def age(timestamp: str | None) -> str:
    """Return how long ago a time (RFC 3339) was, as kubectl writes it: 90s, 45m, 3h, 2d; - where there is none."""
    if not timestamp:
        return "-"
    return duration((datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds())


def duration(seconds: float) -> str:
    """Write a duration as kubectl does: 90s, 45m, 3h, 2d."""
    whole = int(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if whole >= 2 * size:
            return f"{whole // size}{unit}"
    return f"{max(0, whole)}s"


def size(count: int | None) -> str:
    """Write a number of bytes: 312B, 4.2KiB, 1.3MiB; - where nobody knows it."""
    if count is None:
        return "-"
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < _KIB:
            return f"{amount:.0f}{unit}" if unit == "B" else f"{amount:.1f}{unit}"
        amount /= _KIB
    return f"{amount:.1f}GiB"
