"""What trials run here: by it the results of two runs of a study can, or cannot, be compared.

The container that trains, `--exec`, and the files that the command names: a script, its configuration. What a script
imports is not followed.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubestudy.api.study import StudySpec
from kubestudy.local.container import Machine, working_folder

_WORD = re.compile(r"[^\s'\"=:;|&<>()`,$]+")
_MAX_WORDS = 2000
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
    files = {name: digest_of(path) for name, path in named_files(spec, machine).items()}
    return Recipe(kept, machine.command, {name: digest for name, digest in files.items() if digest is not None})


def named_files(spec: StudySpec, machine: Machine) -> dict[str, Path]:
    """Return the files that a trial's command names, by their names there.

    Those in its working directory, and others unless they are programs: a new version of the machine's Python is no
    change of the study.
    """
    container = spec.job_template.spec.template.spec.trainer
    folder = working_folder(container, machine)
    words = _words([*(machine.command or container.command), *container.args])
    found = {word: folder / word for _, word in zip(range(_MAX_WORDS), words, strict=False) if _is_file(folder / word)}
    return {name: path for name, path in found.items() if _is_inside(path, folder) or not os.access(path, os.X_OK)}


def digest_of(path: Path) -> str | None:
    """Return what tells a file's contents from others; None if it cannot be read."""
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            return f"{size} bytes"
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _words(texts: Iterable[str]) -> Iterator[str]:
    """Return what may name a file: each text, each word in it, and the module that follows a -m."""
    module = False
    for text in texts:
        for word in dict.fromkeys((text, *_WORD.findall(text))):
            if module:
                path = word.replace(".", "/")
                yield from (f"{path}.py", f"{path}/__main__.py")
            yield word
            module = word == "-m"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False  # no name of a file


def _is_inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
