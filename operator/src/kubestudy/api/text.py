"""Text for people, kept short."""

from __future__ import annotations


def shorten(text: str, length: int = 300) -> str:
    """Return a text as one line, cut with `...` where it is longer than `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: max(0, length - 3)]}..."
