"""Warnings about what trials run, with a look at the scripts that are on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kubestudy.api.job import Container
from kubestudy.api.mistakes import warnings_of
from kubestudy.api.study import StudySpec
from kubestudy.local.named_files import absent_scripts, named_files

_SCRIPT_BYTES = 1024 * 1024  # a larger file is no script


def program_warnings(spec: StudySpec, folder: Path, command: Sequence[str] = ()) -> list[str]:
    """Say what of a valid spec is most likely a mistake.

    Args:
        spec: The spec.
        folder: Where its trials run on this machine.
        command: What they run instead of the container's own command, if anything.
    """
    container = spec.job_template.spec.template.spec.trainer
    scripts, absent = scripts_in(container, folder, command), absent_scripts(container, folder, command)
    return [str(warning) for warning in warnings_of(spec, scripts, command, absent)]


def scripts_in(container: Container, folder: Path, command: Sequence[str] = ()) -> dict[str, str]:
    """Return the texts of the scripts that a container runs and that are on this machine, by what it calls them.

    Args:
        container: The container.
        folder: Where it runs.
        command: What is run instead of its own command, if anything.
    """
    texts = {name: _script(path) for name, path in named_files(container, folder, command).items()}
    return {name: text for name, text in texts.items() if text is not None}


def _script(path: Path) -> str | None:
    try:
        if path.stat().st_size > _SCRIPT_BYTES:
            return None
        text = path.read_text(errors="replace")
    except OSError:
        return None
    return None if "\0" in text else text
