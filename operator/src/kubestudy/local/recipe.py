"""What trials run here: by it the results of two runs of a study can, or cannot, be compared.

The container that trains, `--exec`, and the files that the command names: a script, its configuration. What a script
imports is not followed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubestudy.api.study import StudySpec
from kubestudy.local.container import Machine, working_folder
from kubestudy.local.named_files import named_files

# A larger file is data rather than a script: reading it would take long, its size has to do.
_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Recipe:
    """What trials run.

    Attributes:
        container: The container that trains, as the manifest has it.
        command: `--exec`; empty if not given.
        files: The digest of each file that the command names, by its name there.
    """

    container: Mapping[str, Any]
    command: Sequence[str]
    files: Mapping[str, str]

    def changed_files(self, now: Recipe, folder: Path) -> list[tuple[str, str]]:
        """Return which files are no longer as they were, and what became of each.

        A file that is new, which may be a trial's own output, changed nothing of what ran before.

        Args:
            now: What trials would run now.
            folder: Their working directory.
        """
        changed = [
            (name, "has changed") for name, digest in now.files.items() if self.files.get(name, digest) != digest
        ]
        gone = [(name, "is gone") for name in self.files if not (folder / name).exists()]
        return sorted(changed + gone)


def recipe_of(spec: StudySpec, machine: Machine) -> Recipe:
    """Return what the trials of a study run on this machine, as it is now."""
    container = spec.job_template.spec.template.spec.trainer
    kept = container.model_dump(mode="json", by_alias=True, exclude={"name"}, exclude_defaults=True)
    files = {name: digest_of(path) for name, path in recipe_files(spec, machine).items()}
    return Recipe(kept, machine.command, {name: digest for name, digest in files.items() if digest is not None})


def recipe_files(spec: StudySpec, machine: Machine) -> dict[str, Path]:
    """Return the files that the command of a study's trials names on this machine, by their names there."""
    container = spec.job_template.spec.template.spec.trainer
    return named_files(container, working_folder(container, machine), machine.command)


def digest_of(path: Path) -> str | None:
    """Return what tells a file's contents from others; None if it cannot be read."""
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            return f"{size} bytes"
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
