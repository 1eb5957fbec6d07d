"""The files that a trial's command names: its script, its configuration. What a script imports is not followed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from kubestudy.api.job import Container

_WORD = re.compile(r"[^\s'\"=:;|&<>()`,$]+")
_MAX_WORDS = 2000
_SCRIPTS = frozenset({".py", ".sh"})


def named_files(container: Container, folder: Path, command: Sequence[str] = ()) -> dict[str, Path]:
    """Return the files that a container's command and arguments name, by their names there.

    Those in its working directory, and others unless they are programs: a new version of the machine's Python is
    nothing of the study's.

    Args:
        container: The container.
        folder: Its working directory on this machine.
        command: What is run instead of its own command, if anything.
    """
    words = _words([*(command or container.command), *container.args])
    found = {word: folder / word for _, word in zip(range(_MAX_WORDS), words, strict=False) if _is_file(folder / word)}
    return {name: path for name, path in found.items() if _is_inside(path, folder) or not os.access(path, os.X_OK)}


def absent_scripts(container: Container, folder: Path, command: Sequence[str] = ()) -> list[str]:
    """Return the scripts that a container's command and arguments name and that are not on this machine.

    Args:
        container: The container.
        folder: Its working directory on this machine.
        command: What is run instead of its own command, if anything.
    """
    texts = (*(command or container.command), *container.args)
    words = dict.fromkeys(islice((word for text in texts for word in _WORD.findall(text)), _MAX_WORDS))
    return [word for word in words if Path(word).suffix in _SCRIPTS and not _is_file(folder / word)]


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
