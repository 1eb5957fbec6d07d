"""`kubestudy run`, by a manifest's file, or by the name of a study that was run here: it goes on as it was run last."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kubestudy.api.problems import ManifestError, Problem
from kubestudy.cli.exits import Exit, refused
from kubestudy.cli.folders import never_run
from kubestudy.cli.run import run_study
from kubestudy.cli.run_options import RunOptions
from kubestudy.local.folder import folder_of
from kubestudy.local.folder_record import FolderRecord


def run_named(named: str, given: RunOptions) -> Exit:
    """Run a study.

    Args:
        named: The file or the name; a file goes first.
        given: What the user asked for, the file included.

    Returns:
        What the run came to, as an exit code.
    """
    try:
        return run_study(_options(named, given))
    except ManifestError as error:
        return refused(error)


def _options(named: str, given: RunOptions) -> RunOptions:
    if Path(named).exists():
        return given
    folder = folder_of(named, given.directory)
    if not folder.manifest.is_file():
        raise ManifestError(named, [Problem("", f"there is no such file, and {never_run(folder, given.directory)}")])
    kept = FolderRecord.read(folder)
    command = given.command or (tuple(kept.recipe.command) if kept.recipe is not None else ())
    # By its folder: one that was put aside has the study's name in its manifest, and another name.
    return replace(given, file=folder.manifest, directory=folder.path, command=command, work_folder=kept.work_folder)
