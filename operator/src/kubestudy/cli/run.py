"""`kubestudy run`: from a manifest to a locked folder and a supervisor that warms up, and on to the session.

What takes time to import (Optuna) comes after the supervisor has started, which has PyTorch to import meanwhile.
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

from kubestudy.api.manifest import load
from kubestudy.api.problems import ManifestError, Problem
from kubestudy.api.study import HyperparameterStudy
from kubestudy.cli.exits import Exit
from kubestudy.cli.output import complain
from kubestudy.cli.run_options import RunOptions
from kubestudy.local.container import Machine, problems_here
from kubestudy.local.folder import StudyFolder, folder_of
from kubestudy.local.folder_record import FolderRecord
from kubestudy.local.supervisor_process import SupervisorProcess
from kubestudy.study.ports import StudyError

# Beyond the trials' own grace period.
_LOCK_MARGIN_SECONDS = 10.0


def run_study(options: RunOptions) -> Exit:
    """Run a study to its end, or until it is interrupted.

    Returns:
        What the run came to, as an exit code.
    """
    try:
        study = _load(options.file)
        machine = machine_here(options)
        problems = problems_here(study, machine)
        if problems:
            raise ManifestError(str(options.file), problems)
        return _run_valid(study, options, machine)
    except ManifestError as error:
        complain(str(error))
        return Exit.INVALID
    except StudyError as error:
        complain(f"error: {error}")
        return Exit.FAILED


def _load(file: Path) -> HyperparameterStudy:
    try:
        return load(file)
    except ManifestError:
        from kubestudy.search.search_checks import search_problems

        return load(file, search_problems)  # every problem at once


def _run_valid(study: HyperparameterStudy, options: RunOptions, machine: Machine) -> Exit:
    folder = folder_of(study.metadata.name, options.directory)
    _refuse_another(study.metadata.name, folder, options)
    timeout = study.spec.job_template.spec.template.spec.termination_grace_period_seconds + _LOCK_MARGIN_SECONDS
    folder.make()
    folder.lock(timeout)
    supervisor = SupervisorProcess(study, machine)
    try:
        if not options.restart:  # which puts the locked folder aside
            supervisor.start(folder.lock_fd)
        from kubestudy.cli.session import run_session

        return run_session(study, options, machine, folder, supervisor, timeout)
    finally:
        supervisor.kill()
        folder.discard()
        folder.unlock()


def _refuse_another(name: str, folder: StudyFolder, options: RunOptions) -> None:
    """Keep a study out of another one's folder: their trials would be taken for each other's."""
    held = FolderRecord.read(folder).name
    if held is None or held == name:
        return
    trials = f"{folder.trials} trial{'' if folder.trials == 1 else 's'}"
    what = f"the folder {folder.path} holds the study {held} ({trials}), not {name}"
    remedy = f"name another folder with --dir, or leave --dir out for .kubestudy/{name}"
    if options.directory is None:
        remedy = "name another folder with --dir"
    raise ManifestError(str(options.file), [Problem("metadata.name", f"{what}: {remedy}")])


def machine_here(options: RunOptions) -> Machine:
    """Return what trials get of this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(
        environment=dict(os.environ),
        cores=cores,
        folder=options.work_folder or options.file.resolve().parent,
        bin_folder=Path(sysconfig.get_path("scripts")),
        command=options.command,
    )
