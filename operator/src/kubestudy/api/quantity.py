"""Durations and quantities as Kubernetes writes them: `1h30m`, `500m`, `2Gi`."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from kubestudy.api.limits import DURATION_LENGTH, QUANTITY_LENGTH

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(d|h|ms|m|s))+$"
_DURATION = re.compile(DURATION_PATTERN)
_PART = re.compile(r"(?<![0-9])([0-9]++(?:\.[0-9]++)?)(d|h|ms|m|s)")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}

# A run of digits is taken once and for all (`++`): there is nothing to try again where the rest does not fit.
_QUANTITY = re.compile(r"([+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++))([eE][+-]?[0-9]{1,3}|[numkMGTPE]|[KMGTPE]i)?")
_SUFFIX = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": Decimal("1e3"),
    "M": Decimal("1e6"), "G": Decimal("1e9"), "T": Decimal("1e12"), "P": Decimal("1e15"), "E": Decimal("1e18"),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30),
    "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


def seconds_of(duration: str) -> float:
    """Read a duration such as `90s`, `1h30m` or `2d`.

    Args:
        duration: Numbers with the units d, h, m, s and ms, as Go writes durations, and days.

    Returns:
        Its length in seconds.

    Raises:
        ValueError: It is not such a text.
    """
    if len(duration) > DURATION_LENGTH.value:
        raise ValueError(f"is too long for a duration: {DURATION_LENGTH.value} characters at most")
    if not _DURATION.fullmatch(duration):
        raise ValueError(f"{duration!r} is no duration: write it as 90s, 45m, 1h30m or 2d")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(duration))


def number_of(quantity: str | float) -> float:
    """Read a Kubernetes quantity such as `500m`, `2` or `1Gi`.

    Args:
        quantity: As in `resources.limits`; source: the apimachinery `resource.Quantity` grammar.

    Returns:
        The number in base units (cores, bytes, devices).

    Raises:
        ValueError: It is not a quantity.
    """
    if isinstance(quantity, int) and abs(quantity) >= 10**QUANTITY_LENGTH.value:
        raise ValueError("is too large for a quantity")
    text = str(quantity)
    if len(text) > QUANTITY_LENGTH.value:
        raise ValueError(f"is too long for a quantity: {QUANTITY_LENGTH.value} characters at most")
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{quantity!r} is no Kubernetes quantity: write it as 2, 500m or 1Gi")
    number, suffix = Decimal(match[1]), match[2] or ""
    exponent = suffix[1:] if suffix[:1] in ("e", "E") else ""
    scale = Decimal(10) ** int(exponent) if exponent else _SUFFIX.get(suffix, Decimal(1))
    value = float(number * scale)
    if math.isinf(value):
        raise ValueError(f"{quantity!r} is too large for a quantity")
    return value
