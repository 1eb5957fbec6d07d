"""Deleting a study of this machine: what runs of it made, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

from kubestudy.local.folder import StudyFolder
from kubestudy.study.ports import StudyError

# With --dir, a study's folder may be anybody's: whatever else is in it stays. The lock goes last.
_MADE = (
    "study.yaml", "study.new", "journal.log", "storage.json", "storage.new", "report.html", "run.log", "request.json",
    "request.new", "status.json", "status.new", "trials",
)  # fmt: skip
_REST = ("journal.log.*", "run.log.*", ".writable-*")


def remove(folder: StudyFolder) -> list[Path]:
    """Delete what runs made in a study's folder, and the folder if nothing is left in it.

    Args:
        folder: The folder, locked.

    Returns:
        What was left because no run made it.

    Raises:
        StudyError: Something cannot be deleted; what is left can be deleted by another attempt.
    """
    made = [folder.path / name for name in _MADE]
    made += [path for pattern in _REST for path in folder.path.glob(pattern)]
    try:
        for path in made:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        (folder.path / "lock").unlink(missing_ok=True)
        left = sorted(folder.path.iterdir())
        if not left:
            folder.path.rmdir()
    except OSError as error:
        raise StudyError(f"cannot delete {error.filename or folder.path}: {error.strerror}") from error
    return left
