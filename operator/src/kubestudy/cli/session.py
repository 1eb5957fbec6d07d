"""One run of a study on this machine: its storage, its loop, its report, and what is said at the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from logging.handlers import RotatingFileHandler
from pathlib import Path

from rich.logging import RichHandler

from kubestudy.api.gpus import gpus_in
from kubestudy.api.problems import ManifestError, Problem
from kubestudy.api.study import HyperparameterStudy
from kubestudy.cli.closing import print_end
from kubestudy.cli.difference import differences
from kubestudy.cli.exits import Exit
from kubestudy.cli.find import Place, place_of
from kubestudy.cli.folders import reference
from kubestudy.cli.output import complain, emit, note, say
from kubestudy.cli.progress import Progress, err
from kubestudy.cli.recorder import Recorder
from kubestudy.cli.run_options import RunOptions
from kubestudy.cli.study_output import why
from kubestudy.local.container import Machine, warnings_here, working_folder
from kubestudy.local.folder import StudyFolder
from kubestudy.local.gpus import GpuPool, find_gpus
from kubestudy.local.last_run import LastRun, write_last_run
from kubestudy.local.program_warnings import program_warnings
from kubestudy.local.requests_file import read_request, watch
from kubestudy.local.runtime import LocalRuntime
from kubestudy.local.workers import Workers
from kubestudy.metrics.scrape import ScrapedMetrics
from kubestudy.search.history import History, study_names
from kubestudy.search.search import OptunaSearch, fixed_part, hush_optuna
from kubestudy.search.search_checks import search_problems
from kubestudy.study.loop import StudyLoop
from kubestudy.study.ports import StudyError
from kubestudy.study.steady import steady_clock
from kubestudy.study.view import View

_LOG_BYTES = 5 * 1024 * 1024


def run_session(
    study: HyperparameterStudy,
    options: RunOptions,
    machine: Machine,
    folder: StudyFolder,
    workers: Workers,
    timeout: float,
) -> Exit:
    """Run a study in its locked folder.

    Args:
        study: The study, valid as far as `api` can tell.
        options: What the user asked for beside the manifest.
        machine: What trials get of this machine.
        folder: The study's folder, locked.
        workers: The trials' supervisor; started here if it was not yet.
        timeout: Seconds to wait for the lock of a folder that is started anew.

    Raises:
        ManifestError: A sampler's or pruner's option is wrong, or a fixed field was changed.
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
        workers.start(place.folder.lock_fd)
    storage = place.open(sole_writer=True)
    _refuse_changes(study, place, options)
    with _full_disk(place.folder):
        place.record()
        place.folder.manifest.write_bytes(manifest)
        write_last_run(place.folder, LastRun(machine.folder, machine.command))
    with _logging(place.folder):
        search = OptunaSearch(study.spec, storage, place.name, place.where)
        return _run_locked(study, search, place, options, machine, workers)


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


def _run_locked(
    study: HyperparameterStudy,
    search: OptunaSearch,
    place: Place,
    options: RunOptions,
    machine: Machine,
    workers: Workers,
) -> Exit:
    gpus = find_gpus()
    container = study.spec.job_template.spec.template.spec.trainer
    mistakes = program_warnings(study.spec, working_folder(container, machine), machine.command)
    for warning in (*warnings_here(study, machine, len(gpus)), *mistakes):
        note(f"warning: {warning}")
    pool = GpuPool(gpus, math.ceil(gpus_in(study.spec.job_template.spec.template.spec)))
    if workers.warm:
        note("the ready trainer loads PyTorch once for all trials: the first ones start in some seconds")
    done_before = search.tally
    # Plotting takes seconds to import; the trials' first process is busy with its own imports meanwhile.
    threading.Thread(target=_warm_up_plots, daemon=True).start()
    with Progress(study.metadata.name, study.spec, err) as progress:
        view, interrupted = asyncio.run(_loop(study, search, place.folder, machine, pool, workers, progress))
    finished = study.model_copy(update={"status": view.status})
    if view.status.phase != "Suspended":
        from kubestudy.report.page import write_report

        history = History(place.open(), place.name, place.where)
        with _full_disk(place.folder):
            write_report(finished, history, place.folder.report)
    code = _conclude(finished, view, place, options, interrupted=interrupted)
    if view.status.phase in ("Complete", "Failed") and search.tally == done_before:
        tried = any(c.reason == "SearchSpaceExhausted" for c in view.status.conditions)
        on = "" if tried else "a larger budget goes on with it, "
        note(f"it had ended before, and nothing ran now: {on}--restart starts anew")
    return code


def _warm_up_plots() -> None:
    from kubestudy.report.page import warm_up

    warm_up()


async def _loop(
    study: HyperparameterStudy,
    search: OptunaSearch,
    folder: StudyFolder,
    machine: Machine,
    pool: GpuPool,
    workers: Workers,
    progress: Progress,
) -> tuple[View, bool]:
    interrupted = False
    metrics = ScrapedMetrics()
    async with LocalRuntime(study, folder, machine, pool, workers) as runtime:
        asked = read_request(folder).applied_to(study)
        loop = StudyLoop(asked, search, runtime, metrics, Recorder(progress, folder), steady_clock())
        asking = asyncio.create_task(watch(folder, lambda request: loop.update(request.applied_to(study))))

        def interrupt() -> None:
            nonlocal interrupted
            if interrupted:
                note("killing the running trials")
                workers.send({"op": "kill"})
            else:
                note(
                    f"stopping the running trials in order, in {runtime.grace:.0f} s at most; their parameters are kept"
                )
            interrupted = True
            loop.interrupt()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, interrupt)
        try:
            view = await loop.run()
        finally:
            asking.cancel()
            metrics.close()
    return view, interrupted


def _conclude(study: HyperparameterStudy, view: View, place: Place, options: RunOptions, *, interrupted: bool) -> Exit:
    status = view.status
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
        note(f"{study.metadata.name}: {what}; {held} unfinished trials are kept. To go on: {on}")
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


@contextlib.contextmanager
def _logging(folder: StudyFolder) -> Iterator[None]:
    """Log everything to the folder's run.log, and warnings to stderr."""
    root = logging.getLogger()
    try:
        file: logging.Handler = RotatingFileHandler(folder.run_log, maxBytes=_LOG_BYTES, backupCount=1)
    except OSError as error:
        raise StudyError(f"cannot write {folder.run_log}: {error.strerror}") from error
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    screen = RichHandler(logging.WARNING, console=err, show_path=False, show_time=False)
    root.setLevel(logging.INFO)
    for handler in (file, screen):
        root.addHandler(handler)
    try:
        yield
    finally:
        for handler in (file, screen):
            root.removeHandler(handler)
            handler.close()
