"""`kubestudy list | status | logs`: studies of this machine, as their runs left them or go on with them."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from kubestudy.api.manifest import read_text
from kubestudy.api.problems import ManifestError
from kubestudy.api.reasons import ConditionType, Going
from kubestudy.api.status import Condition, StudyStatus
from kubestudy.api.study import API_VERSION, KIND
from kubestudy.api.yaml_text import documents
from kubestudy.cli.exits import Exit, refused
from kubestudy.cli.folders import folder_named, folders_in, reference
from kubestudy.cli.output import Format, ObjectFormat, complain, emit, note
from kubestudy.cli.study_output import print_studies, print_study
from kubestudy.local.folder import DEFAULT_BASE, StudyFolder
from kubestudy.local.requests_file import read_request
from kubestudy.local.status_file import Recorded, read_status
from kubestudy.study.ports import StudyError

_LOOK_SECONDS = 0.2
_PIECE_BYTES = 2**16


def list_studies(form: Format, base: Path | None) -> Exit:
    """Print the studies that were run where one stands.

    Args:
        form: How to print them.
        base: The folder that holds the studies' folders, where the user named one.
    """
    bodies = [_body(folder) for folder in folders_in(base or DEFAULT_BASE)]
    if not bodies and form is Format.TABLE:
        note(f"no study was run here (in {(base or DEFAULT_BASE).absolute()})")
    else:
        print_studies(bodies, form)
    return Exit.COMPLETED


def show_status(named: str, directory: Path | None, form: ObjectFormat | None) -> Exit:
    """Print where a study is.

    Returns:
        COMPLETED; FAILED if there is no such study here, INVALID for a manifest that is not valid.
    """
    try:
        folder = folder_named(named, directory)
    except (StudyError, ManifestError) as error:
        return refused(error)
    body = _body(folder)
    if form is not None:
        emit(body, form)
        return Exit.COMPLETED
    running = folder.is_run
    recorded = read_status(folder)
    command = "resume" if read_request(folder).suspend else "run"
    going = "goes on" if running else f"none; kubestudy {command} {reference(folder)} goes on with the study"
    over = recorded is not None and recorded.status.phase in ("Complete", "Failed")
    more = {"Folder": str(folder.path), "Run": "over" if over and not running else going}
    print_study(body, recorded.live if recorded is not None and running else (), more=more)
    return Exit.COMPLETED


def _body(folder: StudyFolder) -> dict[str, Any]:
    """Return a study as an object: the manifest of its last run, and the status that this run wrote."""
    recorded = read_status(folder)
    found = None if recorded is None else recorded.status if folder.is_run else at_rest(recorded, reference(folder))
    manifest = _manifest(folder)
    metadata = {**manifest.get("metadata", {}), "name": folder.path.name}
    body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": manifest.get("spec", {})}
    if found is None:
        note(f"{folder.path.name}: no run wrote its status yet: kubestudy run {reference(folder)} does")
        return body
    metadata["creationTimestamp"] = found.start_time
    return {**body, "status": found.model_dump(mode="json", by_alias=True, exclude_none=True)}


def _manifest(folder: StudyFolder) -> dict[str, Any]:
    """Return the manifest of a study's last run, as data: a later version may find faults with it."""
    try:
        found = documents(read_text(folder.manifest), str(folder.manifest))
    except ManifestError as error:
        note(f"{folder.path.name}: {error}")
        return {}
    whole: dict[str, Any] = next((d for d in found if isinstance(d, dict) and d.get("kind", KIND) == KIND), {})
    return whole


def at_rest(recorded: Recorded, study: str) -> StudyStatus:
    """Return the status of a study that nobody runs: one whose run was killed stands still as if it was suspended.

    Args:
        recorded: What its last run wrote last.
        study: What `kubestudy run` is to be given for it.
    """
    status = recorded.status
    if status.phase not in ("Pending", "Running"):
        return status
    counts = status.trials
    waiting = counts.model_copy(update={"running": 0, "pending": counts.pending + counts.running})
    told = f"its run was ended before the study was: kubestudy run {study} goes on"
    truth = {ConditionType.PROGRESSING.value: ("False", ""), ConditionType.SUSPENDED.value: ("True", told)}
    conditions = [_changed(c, *truth[c.type]) if c.type in truth else c for c in status.conditions]
    return status.model_copy(update={"phase": "Suspended", "trials": waiting, "conditions": conditions})


def _changed(condition: Condition, holds: str, message: str) -> Condition:
    return condition.model_copy(update={"status": holds, "reason": Going.SUSPENDED.value, "message": message})


def show_log(named: str, trial: int, directory: Path | None, *, follow: bool) -> Exit:
    """Print a trial's log, all its executions one after another.

    Args:
        named: The study's manifest or name.
        trial: The trial's number.
        directory: The folder the user named, if any.
        follow: Whether to go on as it grows, until the trial has ended.
    """
    try:
        folder = folder_named(named, directory)
    except (StudyError, ManifestError) as error:
        return refused(error)
    path = folder.trial(trial).log
    if not path.parent.is_dir():
        complain(f"error: {folder.path.name} has no trial {trial}, or it was not started yet")
        return Exit.FAILED
    try:
        _copy(folder, trial, follow=follow)
    except FileNotFoundError:
        complain(f"error: trial {trial} of {folder.path.name} has no log: it was not started yet")
        return Exit.FAILED
    return Exit.COMPLETED


def _copy(folder: StudyFolder, trial: int, *, follow: bool) -> None:
    kept = folder.trial(trial)
    out = sys.stdout.buffer
    with kept.log.open("rb") as log:
        while True:
            # Looked at before reading: what it wrote until it ended is read below.
            over = not follow or kept.exit.exists() or not folder.is_run
            while piece := log.read(_PIECE_BYTES):
                out.write(piece)
            out.flush()
            if over:
                return
            time.sleep(_LOOK_SECONDS)
