"""Which folder of this machine a user means, by a manifest's file or a study's name."""

from __future__ import annotations

from pathlib import Path

from kubestudy.api.manifest import load
from kubestudy.local.folder import DEFAULT_BASE, StudyFolder, folder_of
from kubestudy.study.ports import StudyError


def name_of(named: str) -> str:
    """Return the name of the study that is named, by its manifest's file or by itself.

    Raises:
        ManifestError: The named file is no valid manifest.
    """
    path = Path(named)
    return load(path).metadata.name if path.is_file() else named


def folder_named(named: str, directory: Path | None) -> StudyFolder:
    """Return the folder of a study that was run here.

    Args:
        named: Its manifest's file, or its name.
        directory: The folder the user named, if any.

    Raises:
        StudyError: No study was run there; those that were run are named.
        ManifestError: The named file is no valid manifest.
    """
    folder = folder_of(name_of(named), directory)
    if not was_run(folder):
        raise never_run(folder, directory)
    return folder


def was_run(folder: StudyFolder) -> bool:
    """Tell whether a study was ever run in a folder."""
    return folder.storage_record.is_file() or folder.journal.is_file()


def folders_in(base: Path) -> list[StudyFolder]:
    """Return the folders of all studies that were run in a folder, by name."""
    found = (StudyFolder(path) for path in sorted(base.glob("*")))
    return [folder for folder in found if was_run(folder)]


def reference(folder: StudyFolder) -> str:
    """Return what a command is to be given for the study in a folder."""
    name = folder.path.name
    return name if folder.path == DEFAULT_BASE / name else f"{name} --dir {folder.path}"


def never_run(folder: StudyFolder, directory: Path | None) -> StudyError:
    """Return the error that no study was run in a folder.

    Args:
        folder: The folder.
        directory: The folder the user named, if any.
    """
    known = ", ".join(folder.path.name for folder in folders_in(DEFAULT_BASE))
    there = f"; there are {known}" if known and directory is None else ""
    where = "" if folder.path.is_absolute() else f" (from {Path.cwd()}; its folder can be named with --dir)"
    return StudyError(f"no study was run in {folder.path}{where}{there}")
