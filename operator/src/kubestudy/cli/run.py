"""`kubestudy run`: from a manifest to a locked folder and a supervisor that warms up, and on to the session.

What takes time to import (Optuna) comes after the supervisor has started, which has PyTorch to import meanwhile.
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

from kubestudy.api.manifest import load
from kubestudy.api.problems import ManifestError
from kubestudy.api.study import HyperparameterStudy
from kubestudy.cli.exits import Exit
from kubestudy.cli.output import complain
from kubestudy.cli.run_options import RunOptions
from kubestudy.local.container import Machine, problems_here
from kubestudy.local.folder import folder_of
from kubestudy.local.workers import Workers
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
    timeout = study.spec.job_template.spec.template.spec.termination_grace_period_seconds + _LOCK_MARGIN_SECONDS
    folder.make()
    folder.lock(timeout)
    workers = Workers(study, machine)
    try:
        if not options.restart:  # which puts the locked folder aside
            workers.start(folder.lock_fd)
        from kubestudy.cli.session import run_session

        return run_session(study, options, machine, folder, workers, timeout)
    finally:
        workers.kill()
        folder.discard()
        folder.unlock()


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
