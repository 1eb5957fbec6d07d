"""`kubestudy trials | best | report | dashboard`: what a study's storage tells."""

from __future__ import annotations

from pathlib import Path

from kubestudy.api.manifest import load
from kubestudy.api.problems import ManifestError
from kubestudy.api.study import HyperparameterStudy
from kubestudy.cli.dashboard import serve
from kubestudy.cli.exits import Exit, refused
from kubestudy.cli.find import Place, history_of, open_all
from kubestudy.cli.output import Format, complain, say
from kubestudy.cli.study_output import note_hindrance
from kubestudy.cli.trial_output import Living, print_best, print_trials
from kubestudy.local.status_file import read_status
from kubestudy.search.history import History
from kubestudy.search.merged import ReadOnlyStorage
from kubestudy.search.search import hush_optuna
from kubestudy.study.ports import StudyError


def show_trials(named: str, directory: Path | None, storage: str | None, form: Format) -> Exit:
    """Print a study's trials.

    Returns:
        COMPLETED; INVALID for a manifest that is not valid; FAILED if there is no such study.
    """
    hush_optuna()
    try:
        place, history = history_of(named, directory, storage)
        code = print_trials(history, form, _living(place))
    except (StudyError, ManifestError) as error:
        return refused(error)
    recorded = read_status(place.folder)
    if recorded is not None and place.folder.is_run:
        note_hindrance(place.folder.path.name, recorded.status)
    return code


def _living(place: Place) -> Living | None:
    """Return the trials that live; None where a run goes on that does not tell of them."""
    if not place.folder.is_run:
        return Living(())
    recorded = read_status(place.folder)
    return None if recorded is None else Living(recorded.live, recorded.status.trials.total)


def show_best(named: str, directory: Path | None, storage: str | None, form: Format) -> Exit:
    """Print a study's best trial, or its Pareto front.

    Returns:
        COMPLETED; INVALID for a manifest that is not valid; FAILED if there is no such study, or no best trial.
    """
    hush_optuna()
    try:
        _, history = history_of(named, directory, storage)
        return print_best(history, form)
    except (StudyError, ManifestError) as error:
        return refused(error)


def make_report(named: str, directory: Path | None, storage: str | None, to: Path | None) -> Exit:
    """Write a study's report."""
    hush_optuna()
    try:
        place, history = history_of(named, directory, storage)
        source = Path(named) if Path(named).is_file() else place.folder.manifest
        return write_to(to or place.folder.report, load(source), history)
    except (StudyError, ManifestError) as error:
        return refused(error)


def write_to(target: Path, study: HyperparameterStudy, history: History) -> Exit:
    """Write a report, and print where it is."""
    from kubestudy.report.page import write_report

    try:
        write_report(study, history, target)
    except OSError as error:
        complain(f"error: cannot write {target}: {error.strerror or error}")
        return Exit.FAILED
    say(str(target))
    return Exit.COMPLETED


def serve_dashboard(named: str | None, directory: Path | None, storage: str | None, host: str, port: int) -> Exit:
    """Serve Optuna Dashboard until interrupted: on one study, or on all of a storage."""
    hush_optuna()
    try:
        if named is None:
            return serve(open_all(storage or ""), host, port)
        place, _ = history_of(named, directory, storage)
        return serve(ReadOnlyStorage(place.open()), host, port)
    except (StudyError, ManifestError) as error:
        return refused(error)
