"""Kubernetes' timestamps."""

from __future__ import annotations

from datetime import datetime


def unix(timestamp: str | None) -> float | None:
    """Return a Kubernetes timestamp as Unix time."""
    return None if timestamp is None else datetime.fromisoformat(timestamp).timestamp()
