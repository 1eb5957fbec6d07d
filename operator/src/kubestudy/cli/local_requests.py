"""`kubestudy suspend | resume | stop | delete`: studies of this machine, which another process may be running."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from kubestudy.api.manifest import load
from kubestudy.api.problems import ManifestError
from kubestudy.cli.exits import Exit, refused
from kubestudy.cli.folders import folder_named
from kubestudy.cli.output import note
from kubestudy.cli.run_options import RunOptions
from kubestudy.local.folder import StudyFolder
from kubestudy.local.removal import remove
from kubestudy.local.requests_file import Request, read_request, write_request
from kubestudy.local.status_file import read_status
from kubestudy.study.ports import StudyError

# A run that was told to stand still and has no trial any more ends within this.
_LEAVING_SECONDS = 5.0
_LOOK_SECONDS = 0.2
_LEAVES = "its run stops its trials, and ends"


def suspend(named: str, directory: Path | None) -> Exit:
    """Have a study's running trials stopped, and kept for later; a run of it ends then."""
    try:
        folder = folder_named(named, directory)
        name = folder.path.name
        if not _is_over(folder):
            write_request(folder, replace(read_request(folder), suspend=True))
            note(f"{name} suspended: {_LEAVES if folder.is_run else f'kubestudy resume {named} goes on with it'}")
    except (StudyError, ManifestError) as error:
        return refused(error)
    return Exit.COMPLETED


def stop(named: str, directory: Path | None) -> Exit:
    """End a study now. One that nobody runs is run for that: its end is recorded, and its report written."""
    try:
        folder = folder_named(named, directory)
        if _is_over(folder):
            return Exit.COMPLETED
        write_request(folder, replace(read_request(folder), stop=True))
        if not folder.is_run:
            return _run(named, directory)
        note(f"{folder.path.name} stopped: {_LEAVES}")
    except (StudyError, ManifestError) as error:
        return refused(error)
    return Exit.COMPLETED


def resume(named: str, directory: Path | None) -> Exit:
    """Go on with a study that was suspended or stopped: in the process that runs it, else here."""
    try:
        folder = folder_named(named, directory)
        spec = load(folder.manifest).spec
        # What the manifest does not ask for needs nothing that goes before it.
        write_request(folder, Request(False if spec.suspend else None, False if spec.stop else None))
        if not _runs_on(folder):
            return _run(named, directory)
        note(f"{folder.path.name} goes on in the process that runs it")
    except (StudyError, ManifestError) as error:
        return refused(error)
    return Exit.COMPLETED


def _runs_on(folder: StudyFolder) -> bool:
    """Tell whether a run goes on: one that was told to suspend a moment ago may be about to end."""
    deadline = time.monotonic() + _LEAVING_SECONDS
    while running := folder.is_run:
        if time.monotonic() > deadline:
            break
        time.sleep(_LOOK_SECONDS)
    return running


def _run(named: str, directory: Path | None) -> Exit:
    from kubestudy.cli.run_by_name import run_named

    return run_named(
        named, RunOptions(Path(named), directory, None, (), restart=False, accept_changes=False, output=None)
    )


def _is_over(folder: StudyFolder) -> bool:
    """Tell, and say, whether a study is over already."""
    recorded = read_status(folder)
    if recorded is None or recorded.status.phase not in ("Complete", "Failed") or folder.is_run:
        return False
    note(f"{folder.path.name} is {recorded.status.phase}: nothing to do")
    return True


def delete(named: str, directory: Path | None, storage: str | None) -> Exit:
    """Delete a study that nobody runs: its folder, and what a database holds of it.

    Args:
        named: Its manifest or name.
        directory: The folder the user named, if any.
        storage: The database's URL, where the folder does not hold it whole.
    """
    try:
        folder = folder_named(named, directory)
        folder.lock(0)
        try:
            _delete_from_database(folder, directory, storage)
            left = remove(folder)
        finally:
            folder.unlock()
    except (StudyError, ManifestError) as error:
        return refused(error)
    note(f"{folder.path.name} deleted")
    if left:
        kept = ", ".join(path.name for path in left)
        note(f"{folder.path} stays, since runs did not make all that is in it: {kept}")
    return Exit.COMPLETED


def _delete_from_database(folder: StudyFolder, directory: Path | None, storage: str | None) -> None:
    from kubestudy.cli.find import place_of
    from kubestudy.search.history import delete_study

    place = place_of(folder.path.name, directory, storage, folder)
    if isinstance(place.storage, str):
        delete_study(place.open(), place.name, place.where)
