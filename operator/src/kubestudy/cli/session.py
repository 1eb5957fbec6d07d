"""One run of a study on this machine: its storage, its loop, its report, and what is said at the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from kubestudy.api.problems import ManifestError, Problem
from kubestudy.api.reasons import Ended
from kubestudy.api.status import StudyStatus
from kubestudy.api.study import HyperparameterStudy
from kubestudy.cli.changed_recipe import refuse_changed_recipe
from kubestudy.cli.closed_terminal import terminal_may_close
from kubestudy.cli.closing import print_end
from kubestudy.cli.difference import differences
from kubestudy.cli.exits import Exit
from kubestudy.cli.find import Place, place_of
from kubestudy.cli.folders import reference
from kubestudy.cli.interruption import Interruption
from kubestudy.cli.manifest_watcher import ManifestWatcher
from kubestudy.cli.output import complain, emit, note, say
from kubestudy.cli.recorder import Recorder
from kubestudy.cli.run_display import Progress, err
from kubestudy.cli.run_log import logging_to, remark
from kubestudy.cli.run_options import RunOptions
from kubestudy.cli.study_output import why
from kubestudy.local.container import Machine, warnings_here, working_folder
from kubestudy.local.folder import StudyFolder
from kubestudy.local.gpu_pool import GpuPool, find_gpus, gpus_per_trial
from kubestudy.local.private_files import write_private
from kubestudy.local.program_warnings import program_warnings
from kubestudy.local.recipe import recipe_of
from kubestudy.local.requests_file import Request, read_request, watch
from kubestudy.local.runtime import LocalRuntime
from kubestudy.local.status_file import read_status
from kubestudy.local.supervisor_process import SupervisorProcess
from kubestudy.metrics.scrape import ScrapedMetrics, Scraper
from kubestudy.search.history import History, study_names
from kubestudy.search.search import OptunaSearch, fixed_part, hush_optuna
from kubestudy.search.search_checks import search_problems
from kubestudy.study.loop import StudyLoop
from kubestudy.study.ports import StudyError
from kubestudy.study.steady import steady_clock

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Run:
    """A study that is ready to be run: its folder is locked, its storage open."""

    study: HyperparameterStudy
    options: RunOptions
    machine: Machine
    place: Place
    search: OptunaSearch
    supervisor: SupervisorProcess


def run_session(
    study: HyperparameterStudy,
    options: RunOptions,
    machine: Machine,
    folder: StudyFolder,
    supervisor: SupervisorProcess,
    timeout: float,
) -> Exit:
    """Run a study in its locked folder.

    Args:
        study: The study, valid as far as `api` can tell.
        options: What the user asked for beside the manifest.
        machine: What trials get of this machine.
        folder: The study's folder, locked.
        supervisor: The trials' supervisor; started here if it was not yet.
        timeout: Seconds to wait for the lock of a folder that is started anew.

    Raises:
        ManifestError: A sampler's or pruner's option is wrong, or something was changed that trials are compared by.
        StudyError: The study cannot go on now.
    """
    hush_optuna()
    problems = search_problems(study.spec)
    if problems:
        raise ManifestError(str(options.file), problems)
    manifest = options.file.read_bytes()  # now: by its name, a study is run by the file in the folder put aside below
    place = place_of(study.metadata.name, options.directory, options.storage, folder)
    if options.restart:
        place = _start_anew(place, timeout)
        supervisor.start(place.folder.lock_fd)
    storage = place.open(sole_writer=True)
    _refuse_changes(study, place, options)
    with logging_to(place.folder), terminal_may_close():
        search = OptunaSearch(study.spec, storage, place.name, place.where)
        recipe = recipe_of(study.spec, machine)
        refuse_changed_recipe(study.spec, recipe, search, place.folder, machine, options)
        with _full_disk(place.folder):
            place.record(study.metadata.name, recipe, machine.folder)
            write_private(place.folder.manifest, manifest)
        return _run_ready(_Run(study, options, machine, place, search, supervisor))


def _start_anew(place: Place, timeout: float) -> Place:
    """Put the old study aside, folder and all; in a database, which cannot be renamed, take a new name."""
    name = place.name
    if not isinstance(place.storage, Path):
        taken = set(study_names(place.open()))
        number = 2
        while name in taken:
            name = f"{place.folder.path.name}-{number}"
            number += 1
    aside = place.folder.set_aside()
    place.folder.unlock()
    note(f"the old study is kept in {aside}")
    place.folder.make()
    place.folder.lock(timeout)
    return replace(place, name=name)


def _refuse_changes(study: HyperparameterStudy, place: Place, options: RunOptions) -> None:
    try:
        before = History(place.open(), place.name, place.where).fixed_part
    except StudyError:
        return
    changed = differences(before, fixed_part(study.spec), "spec") if before is not None else []
    if changed:
        remedy = "cannot change once the study has started; --restart starts anew and keeps the old study aside"
        raise ManifestError(str(options.file), [Problem(path, f"{what}: {remedy}") for path, what in changed])


def _run_ready(run: _Run) -> Exit:
    if run.supervisor.warm:
        note("the ready trainer loads PyTorch once for all trials: the first ones start in some seconds")
    done_before = run.search.tally
    _note_lost_trials(run)
    # Plotting takes seconds to import; the trials' first process is busy with its own imports meanwhile.
    threading.Thread(target=_warm_up_plots, daemon=True).start()
    with Progress(run.study.metadata.name, run.study.spec, err) as progress:
        finished, status, interrupted = asyncio.run(_loop(run, _runtime(run), progress))
    # Nothing runs any more, and what is left to say goes to the log too.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if status.phase != "Suspended":
        from kubestudy.report.page import write_report

        history = History(run.place.open(), run.place.name, run.place.where)
        with _full_disk(run.place.folder):
            write_report(finished, history, run.place.folder.report)
    code = _conclude(finished, status, run.place, run.options, interrupted=interrupted)
    if status.phase in ("Complete", "Failed") and run.search.tally == done_before:
        note(f"it had ended before, and nothing ran now: {_way_on(status, run.place.folder)}--restart starts anew")
    return code


def _note_lost_trials(run: _Run) -> None:
    """Say that the storage knows of fewer trials than the last run showed: it was cut, or an older one is there."""
    recorded = read_status(run.place.folder)
    known = 0 if recorded is None else recorded.status.trials.total
    if known > run.search.asked:
        note(
            f"the storage {run.place.where} holds {run.search.asked} trials, and the last run had {known}: it was cut,"
            " or an older one took its place. If there is a backup, stop this run and put it back; else the study goes"
            " on with what there is"
        )


def _way_on(status: StudyStatus, folder: StudyFolder) -> str:
    """Say what goes on with a study that had ended, if anything does."""
    reasons = {condition.reason for condition in status.conditions}
    if read_request(folder).stop:
        return f"kubestudy resume {reference(folder)} goes on with it, "
    if Ended.STOP_REQUESTED in reasons:
        return "spec.stop: false goes on with it, "
    return "" if Ended.EXHAUSTED in reasons else "a larger budget goes on with it, "


def _warm_up_plots() -> None:
    from kubestudy.report.page import warm_up

    warm_up()


def _runtime(run: _Run) -> LocalRuntime:
    gpus = find_gpus()
    folder = working_folder(run.study.spec.job_template.spec.template.spec.trainer, run.machine)
    mistakes = program_warnings(run.study.spec, folder, run.machine.command)
    for warning in (*warnings_here(run.study, run.machine, len(gpus)), *mistakes):
        note(f"warning: {warning}")
    pool = GpuPool(gpus, gpus_per_trial(run.study.spec.job_template.spec.template.spec))
    return LocalRuntime(run.study, run.place.folder, run.machine, pool, run.supervisor)


async def _loop(run: _Run, runtime: LocalRuntime, progress: Progress) -> tuple[HyperparameterStudy, StudyStatus, bool]:
    """Run the study until it is over or stands still.

    Returns:
        The study with its status, that status, and whether the run was interrupted.
    """
    scraper = Scraper()
    metrics = ScrapedMetrics(scraper)
    folder = run.place.folder
    manifest, request = run.study, read_request(folder)
    async with runtime:
        asked = request.applied_to(manifest)
        loop = StudyLoop(asked, run.search, runtime, metrics, Recorder(progress, folder), steady_clock())

        def stop() -> None:
            loop.interrupt()
            seconds = f"{runtime.grace:.0f} s"
            remark(f"stopping the running trials: they have {seconds} to save their state, and keep their parameters")

        def kill() -> None:
            runtime.kill()
            remark("killing the running trials")

        def take(edited: HyperparameterStudy) -> None:
            nonlocal manifest
            manifest = edited
            runtime.update(edited)
            loop.update(request.applied_to(edited))
            progress.update(edited.spec)
            _keep_manifest(edited, folder)

        def ask(newer: Request) -> None:
            nonlocal request
            request = newer
            loop.update(newer.applied_to(manifest))

        interruption = Interruption(stop, kill)
        interruption.install()
        watcher = ManifestWatcher(run.options.file, run.study, run.machine, take, remark)
        editing, asking = asyncio.create_task(watcher.watch()), asyncio.create_task(watch(folder, ask))
        try:
            view = await loop.run()
        finally:
            for watching in (editing, asking):
                watching.cancel()
            await scraper.close()
    return loop.study.model_copy(update={"status": view.status}), view.status, interruption.happened


def _keep_manifest(study: HyperparameterStudy, folder: StudyFolder) -> None:
    """Keep what the run goes by from now on, which an edit may be only a part of."""
    try:
        data = study.model_dump(mode="json", by_alias=True, exclude_unset=True)
        write_private(folder.manifest, yaml.safe_dump(data, sort_keys=False).encode())
    except OSError as error:
        log.warning("cannot write %s: %s", folder.manifest, error.strerror)


def _conclude(
    study: HyperparameterStudy, status: StudyStatus, place: Place, options: RunOptions, *, interrupted: bool
) -> Exit:
    if options.output is not None:
        emit(study.model_dump(mode="json", by_alias=True, exclude_none=True), options.output)
    elif status.phase != "Suspended":
        print_end(study.metadata.name, status, study.spec.objectives, str(place.folder.logs))
        say(f"  report: {place.folder.report}")
    if status.phase == "Suspended":
        again = f"{Path(sys.argv[0]).name} {' '.join(sys.argv[1:])}"
        held = status.trials.pending
        if not interrupted and read_request(place.folder).suspend:
            what, on = "suspended (kubestudy suspend)", f"kubestudy resume {reference(place.folder)}"
        elif not interrupted:
            what, on = "suspended (spec.suspend is true)", f"set spec.suspend to false, then {again}"
        else:
            what, on = "interrupted", again
        remark(f"{study.metadata.name}: {what}; {held} unfinished trials are kept. To go on: {on}")
        return Exit.INTERRUPTED
    if status.phase == "Failed":
        if options.output is not None:
            complain(f"{study.metadata.name} failed: {why(status)}")
        return Exit.FAILED
    return Exit.COMPLETED


@contextlib.contextmanager
def _full_disk(folder: StudyFolder) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StudyError(
            f"cannot write to {folder.path}: {error.strerror}; mend it and run the same command again"
        ) from error
