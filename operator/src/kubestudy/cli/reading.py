"""`kubestudy trials | best | report | dashboard`: what a study's storage tells."""

from __future__ import annotations

import math
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage

from kubestudy.api.manifest import load
from kubestudy.api.problems import ManifestError
from kubestudy.api.study import HyperparameterStudy
from kubestudy.cli.exits import Exit
from kubestudy.cli.find import history_of, open_all
from kubestudy.cli.output import Format, complain, emit, emit_table, note, out
from kubestudy.cli.progress import short
from kubestudy.report.page import write_report
from kubestudy.search.history import History, TrialRecord
from kubestudy.search.merged import ReadOnlyStorage
from kubestudy.search.search import hush_optuna
from kubestudy.study.ports import StudyError

_REASON_LENGTH = 100


def show_trials(named: str, directory: Path | None, storage: str | None, form: Format, *, best: bool) -> Exit:
    """Print a study's trials, or only the best.

    Returns:
        COMPLETED; INVALID for a manifest that is not valid; FAILED if there is no such study, or no best trial.
    """
    hush_optuna()
    try:
        place, history = history_of(named, directory, storage)
        records = history.best() if best else history.trials()
        if not place.folder.is_run:
            # What the storage has as running waits for the next run.
            records = [replace(r, state="Waiting") if r.state == "Running" else r for r in records]
    except (StudyError, ManifestError) as error:
        return refused(error)
    return print_trials(history, records, form, best=best)


def print_trials(history: History, records: list[TrialRecord], form: Format, *, best: bool) -> Exit:
    """Print trials.

    Args:
        history: Whose trials they are.
        records: The trials.
        form: How to print them.
        best: Whether they are the best ones: then there has to be one.
    """
    if best and not records:
        complete = any(record.state == "Complete" for record in history.trials())
        complain(f"error: no {'complete trial keeps every constraint' if complete else 'trial is complete'}")
        return Exit.FAILED
    if form is Format.TABLE:
        _table(records)
    else:
        data = [as_data(record) for record in records]
        single = best and len(history.metric_names) == 1
        emit(data[0] if single else data, form)
    return Exit.COMPLETED


def as_data(record: TrialRecord) -> dict[str, Any]:
    """Return a trial as `-o json` prints it. An infinite value, which JSON lacks, is its word."""
    return {
        "number": record.number,
        "state": record.state,
        "values": {name: _number(value) for name, value in record.values.items()},
        "metrics": {name: _number(value) for name, value in record.metrics.items()},
        "params": dict(record.params),
        "reason": record.reason,
        "seconds": record.seconds,
        "gpuUtilization": record.gpu_utilization,
        "lastStep": None if record.last is None else record.last[0],
        "lastValue": None if record.last is None else _number(record.last[1]),
    }


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _table(records: list[TrialRecord]) -> None:
    metrics = list(dict.fromkeys(name for record in records for name in record.values))
    params = list(dict.fromkeys(name for record in records for name in record.params))
    reasons = any(record.reason for record in records)
    columns = ["NUMBER", "STATE", *metrics, *params, *(["REASON"] if reasons else [])]
    rows = []
    for record in records:
        cells = [str(record.number), record.state]
        cells += [f"{record.values[name]:.6g}" if name in record.values else "-" for name in metrics]
        cells += [short(record.params[name]) if name in record.params else "-" for name in params]
        if reasons:
            reason = record.reason or "-"
            cells.append(reason if len(reason) <= _REASON_LENGTH else reason[: _REASON_LENGTH - 3] + "...")
        rows.append(cells)
    emit_table(columns, rows)


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
    try:
        write_report(study, history, target)
    except OSError as error:
        complain(f"error: cannot write {target}: {error.strerror or error}")
        return Exit.FAILED
    out.print(str(target), markup=False, soft_wrap=True)
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


def serve(opened: BaseStorage, host: str, port: int) -> Exit:
    """Serve Optuna Dashboard on an open storage until interrupted."""
    # Nothing is to be saved, and no library on the way may take Ctrl-C for an error of its own.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # A container's first process takes no notice of SIGTERM by itself.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(Exit.COMPLETED))
    try:
        import optuna_dashboard  # noqa: PLC0415  (optional, and slow to import)
    except ImportError:
        complain("error: Optuna Dashboard is not installed: pip install 'kubestudy[local]'")
        return Exit.FAILED
    try:
        with socket.create_server((host, port)) as probe:
            port = probe.getsockname()[1]
    except OSError as error:
        complain(f"error: cannot listen on {host}:{port} ({error.strerror}): choose another --port")
        return Exit.FAILED
    note(f"Optuna Dashboard: http://{host}:{port}/ (Ctrl-C ends it)")
    optuna_dashboard.run_server(opened, host=host, port=port)
    return Exit.COMPLETED


def refused(error: Exception) -> Exit:
    """Say why a command cannot do what it was asked for."""
    if isinstance(error, ManifestError):
        complain(str(error))
        return Exit.INVALID
    complain(f"error: {error}")
    return Exit.FAILED
