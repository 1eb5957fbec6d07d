"""Warnings about what trials run, with a look at the scripts that are on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kubestudy.api.job import Container
from kubestudy.api.mistakes import warnings_of
from kubestudy.api.study import StudySpec

_SCRIPT_BYTES = 1024 * 1024  # a larger file is no script


def program_warnings(spec: StudySpec, folder: Path, command: Sequence[str] = ()) -> list[str]:
    """Say what of a valid spec is most likely a mistake.

    Args:
        spec: The spec.
        folder: Where its trials run on this machine.
        command: What they run instead of the container's own command, if anything.
    """
    scripts = scripts_in(spec.job_template.spec.template.spec.trainer, folder, command)
    return [str(warning) for warning in warnings_of(spec, scripts, command)]


def scripts_in(container: Container, folder: Path, command: Sequence[str] = ()) -> dict[str, str]:
    """Return the texts of the scripts that a container runs and that are on this machine, by what it calls them.

    Args:
        container: The container.
        folder: Where it runs.
        command: What is run instead of its own command, if anything.
    """
    found = {}
    words = [word for text in (*(command or container.command), *container.args) for word in text.split()]
    for word in dict.fromkeys(words):
        for name in (word, word.rpartition("=")[2], f"{word.replace('.', '/')}.py"):  # a file, or a module after -m
            text = _script(folder / name)
            if text is not None:
                found[name] = text
    return found


def _script(path: Path) -> str | None:
    try:
        if not path.is_file() or path.stat().st_size > _SCRIPT_BYTES:
            return None
        text = path.read_text(errors="replace")
    except (OSError, ValueError):  # not to be read, or no path at all
        return None
    return None if "\0" in text else text
