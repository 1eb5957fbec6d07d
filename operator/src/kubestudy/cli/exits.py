"""Exit codes of the command line; scripts decide on them."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What a command's end means."""

    COMPLETED = 0
    FAILED = 1
    INVALID = 2
    INTERRUPTED = 130
