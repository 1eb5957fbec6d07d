"""How a study was run last: `run.json` in its folder, so that it can be gone on with by its name alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from kubestudy.local.folder import StudyFolder

NAME = "run.json"


@dataclass(frozen=True, slots=True)
class LastRun:
    """What a run was told beside the manifest that is kept.

    Attributes:
        folder: Where its manifest was, and its trials' programs ran.
        command: What was run instead of the image's own entry point (`--exec`), in words; empty for that.
    """

    folder: Path
    command: tuple[str, ...] = ()


def write_last_run(folder: StudyFolder, run: LastRun) -> None:
    """Keep how a study is run.

    Raises:
        OSError: It cannot be written.
    """
    kept = {"folder": str(run.folder), "command": list(run.command)}
    (folder.path / NAME).write_text(json.dumps(kept, indent=2) + "\n")


def read_last_run(folder: StudyFolder) -> LastRun | None:
    """Return how a study was run last; None where that was not kept."""
    try:
        kept = json.loads((folder.path / NAME).read_text())
        return LastRun(Path(kept["folder"]), tuple(map(str, kept["command"])))
    except (OSError, ValueError, KeyError, TypeError):
        return None
