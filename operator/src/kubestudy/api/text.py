"""Text for people, kept short."""

from __future__ import annotations

from collections.abc import Iterable


def shorten(text: str, length: int = 300) -> str:
    """Return a text as one line, cut with `...` where it is longer than `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: max(0, length - 3)]}..."


def alternatives(names: Iterable[str]) -> str:
    """Return names as one of which something is: `tpe, random or grid`."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
