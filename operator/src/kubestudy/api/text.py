"""Text for people, kept short."""

from __future__ import annotations

import re
from collections.abc import Iterable

# What terminals obey: CSI and OSC sequences (ECMA-48), and those of two characters; each part is bounded.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]|\x1b\][^\x07\x1b]{0,256}(?:\x07|\x1b\\)?|\x1b[@-Z\\^_]"
)
_PER_CHARACTER = 4


def clean(text: str, length: int = 300) -> str:
    """Return a text that came from outside as one line that may be shown, logged and stored.

    Args:
        text: Anything: what a trial, a pod, a server or a file says.
        length: Its most characters; past it the line is cut with `...`.

    Returns:
        Printable characters only, which UTF-8 can hold: line breaks and tabs are spaces, terminals' escape sequences
        are taken out, and whatever else is not printable, a lone surrogate too, is U+FFFD.
    """
    looked_at = text[: length * _PER_CHARACTER + 1000]
    line = printable(" ".join(_ESCAPES.sub("", looked_at).split()))
    if len(line) <= length and len(looked_at) == len(text):
        return line
    return f"{line[: max(0, length - 3)]}..."[:length]


def printable(line: str) -> str:
    """Return a line without what a terminal would obey: that is taken out, or is U+FFFD; spaces stay as they are."""
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else "\ufffd" for c in _ESCAPES.sub("", line))


def alternatives(names: Iterable[str]) -> str:
    """Return names as one of which something is: `tpe, random or grid`."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
