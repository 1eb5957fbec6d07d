"""What a user asks of `kubestudy run` beside the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kubestudy.cli.output import ObjectFormat


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the user asked for beside the manifest.

    Attributes:
        file: The manifest.
        directory: The study's folder, if not the default.
        storage: A database URL, if not the journal.
        command: `--exec`, split into words.
        restart: Whether to start anew, keeping the old study under another name.
        accept_changes: Whether to go on although trials run something else than before.
        output: How to print the finished object; None for a summary for people.
        work_folder: Where trials' programs run, if not where the manifest is.
    """

    file: Path
    directory: Path | None
    storage: str | None
    command: tuple[str, ...]
    restart: bool
    accept_changes: bool
    output: ObjectFormat | None
    work_folder: Path | None = None
