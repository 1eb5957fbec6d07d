"""Keeps results of two programs out of one study, unless the user says so: the script or the container has changed."""

from __future__ import annotations

from kubestudy.api.problems import ManifestError, Problem
from kubestudy.api.study import StudySpec
from kubestudy.cli.difference import differences
from kubestudy.cli.run_log import remark
from kubestudy.cli.run_options import RunOptions
from kubestudy.local.container import Machine, working_folder
from kubestudy.local.folder import StudyFolder
from kubestudy.local.folder_record import FolderRecord
from kubestudy.local.recipe import Recipe
from kubestudy.search.search import OptunaSearch
from kubestudy.study.ports import StudyError

_REMEDY = "--accept-changes goes on with both, --restart starts anew and keeps the old study aside"


def refuse_changed_recipe(
    spec: StudySpec, now: Recipe, search: OptunaSearch, folder: StudyFolder, machine: Machine, options: RunOptions
) -> None:
    """Compare what trials would run now with what they ran before, as the study's folder remembers it.

    Args:
        spec: The study.
        now: What trials would run now.
        search: Its trials.
        folder: Its folder.
        machine: What trials get of this machine.
        options: What the user asked for beside the manifest.

    Raises:
        ManifestError: It has changed, and results of what it was would stand beside those of what it is.
        StudyError: What it was cannot be read any more.
    """
    record = FolderRecord.read(folder)
    results = search.tally.complete + search.tally.pruned
    if record.damaged and results and not options.accept_changes:
        raise StudyError(
            f"{folder.storage_record} is damaged, and it says what the {results} trials that ended ran: put a backup in"
            " its place, or go on with --accept-changes if the container and the script are as they were"
        )
    before = record.recipe
    if before is None:
        return  # new, or of a version that kept none
    changed = _changes(spec, before, now, machine)
    begun = any(folder.trial(trial.suggestion.number).has_checkpoint for trial in search.unfinished())
    if changed and not options.accept_changes and (results or begun):
        what = (
            f"{results} trial{'s' if results != 1 else ''} ended with what it was"
            if results
            else "a trial began with what it was"
        )
        raise ManifestError(str(options.file), [Problem(path, f"{how}: {what}; {_REMEDY}") for path, how in changed])
    accepted = "results of both stand side by side" if results or begun else "there are no results of what it was"
    for path, how in changed:
        remark(f"{path}: {how}; {accepted}")


def _changes(spec: StudySpec, before: Recipe, now: Recipe, machine: Machine) -> list[tuple[str, str]]:
    pod = spec.job_template.spec.template.spec
    at = f"spec.jobTemplate.spec.template.spec.containers[{pod.trainer_index}]"
    return [
        *differences(dict(before.container), dict(now.container), at),
        *differences(list(before.command), list(now.command), "--exec"),
        *before.changed_files(now, working_folder(pod.trainer, machine)),
    ]
