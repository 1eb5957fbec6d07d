"""Exit codes of the command line, on which scripts decide, and how a refusal becomes one."""

from __future__ import annotations

from enum import IntEnum

from kubestudy.cli.output import complain


class Exit(IntEnum):
    """What a command's end means."""

    COMPLETED = 0
    FAILED = 1
    INVALID = 2
    INTERRUPTED = 130


def refused(error: Exception) -> Exit:
    """Say why a command cannot do what it was asked for."""
    from kubestudy.api.problems import ManifestError

    if isinstance(error, ManifestError):
        complain(str(error))
        return Exit.INVALID
    complain(f"error: {error}")
    return Exit.FAILED
