"""A study's trials as they are printed, wherever they were run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubestudy.api.text import clean
from kubestudy.api.values import Value
from kubestudy.cli.exits import Exit
from kubestudy.cli.output import Format, complain, emit, emit_csv, emit_table
from kubestudy.cli.words import short
from kubestudy.search.history import History, TrialRecord
from kubestudy.study.trial import TrialPhase
from kubestudy.study.view import LiveTrial

_REASON_LENGTH = 100
_FIXED = ("seconds", "gpuUtilization", "lastStep", "reason")


@dataclass(frozen=True, slots=True)
class Shown:
    """A trial, and how it goes if it is not over.

    Attributes:
        record: What its study keeps of it.
        state: Its state; Waiting of one that nothing runs now.
        metrics: The last value of each metric that it reported.
        values: Its final values; the last ones of the objectives if there are none.
        last: The (step, value) of the objective that it reported last.
    """

    record: TrialRecord
    state: str
    metrics: Mapping[str, float]
    values: Mapping[str, float]
    last: tuple[int, float] | None


@dataclass(frozen=True, slots=True)
class Living:
    """The trials that live, as somebody saw them.

    Attributes:
        trials: The trials.
        known: How many trials there were then, dead ones included: later ones may live, too. None for all.
    """

    trials: Sequence[LiveTrial]
    known: int | None = None

    def state_of(self, number: int) -> tuple[str, LiveTrial | None]:
        """Return in which state a trial is that its study keeps as running, and how it goes."""
        trial = next((trial for trial in self.trials if trial.number == number), None)
        if trial is None and self.known is not None and number >= self.known:
            return "Running", None
        if trial is None or trial.phase is TrialPhase.PENDING:
            return "Waiting", trial
        return ("Measuring" if trial.phase is TrialPhase.MEASURING else "Running"), trial


def as_shown(records: Iterable[TrialRecord], objectives: Sequence[str], living: Living | None) -> list[Shown]:
    """Join what is kept of trials with how those that live go.

    Args:
        records: The trials.
        objectives: The names of the objectives.
        living: The trials that live; None where nobody knows.
    """
    return [_shown(record, objectives, living) for record in records]


def _shown(record: TrialRecord, objectives: Sequence[str], living: Living | None) -> Shown:
    state, trial = record.state, None
    if state == "Running" and living is not None:
        state, trial = living.state_of(record.number)
    metrics, last = record.metrics, record.last
    if trial is not None:
        metrics = {**metrics, **trial.values}
        if trial.step is not None and objectives and objectives[0] in trial.values:
            last = trial.step, trial.values[objectives[0]]
    values = {name: value for name, value in metrics.items() if name in objectives}
    if last is not None and objectives:
        values.setdefault(objectives[0], last[1])
    return Shown(record, state, metrics, record.values or values, last)


def print_trials(history: History, form: Format, living: Living | None) -> Exit:
    """Print all trials of a study.

    Args:
        history: The study's history.
        form: How to print them.
        living: The trials that live; None where nobody knows.
    """
    trials = as_shown(history.trials(), history.metric_names, living)
    _print(trials, form, [as_data(trial) for trial in trials])
    return Exit.COMPLETED


def print_best(history: History, form: Format) -> Exit:
    """Print the best trial of a study, or its Pareto front: there has to be one."""
    records = history.best()
    if not records:
        complete = any(record.state == "Complete" for record in history.trials())
        return no_best(infeasible=complete)
    print_front(records, form, single=len(history.metric_names) == 1)
    return Exit.COMPLETED


def no_best(*, infeasible: bool) -> Exit:
    """Say that there is no best trial: none is complete, or those that are break constraints."""
    complain(f"error: no {'complete trial keeps every constraint' if infeasible else 'trial is complete'}")
    return Exit.FAILED


def print_front(records: Sequence[TrialRecord], form: Format, *, single: bool) -> None:
    """Print the best trials; as data, that of a single objective is one object."""
    trials = as_shown(records, (), None)
    data = [as_data(trial) for trial in trials]
    _print(trials, form, data[0] if single else data)


def as_data(trial: Shown) -> dict[str, Any]:
    """Return a trial as `-o json` prints it. An infinite value, which JSON lacks, is its word."""
    record = trial.record
    return {
        "number": record.number,
        "state": trial.state,
        "values": _finite(record.values),
        "metrics": _finite(trial.metrics),
        "params": dict(record.params),
        "reason": record.reason,
        "seconds": record.seconds,
        "gpuUtilization": record.gpu_utilization,
        "lastStep": None if trial.last is None else trial.last[0],
        "lastValue": None if trial.last is None else _number(trial.last[1]),
    }


def _finite(values: Mapping[str, float]) -> dict[str, float | str]:
    return {name: _number(value) for name, value in values.items()}


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _print(trials: Sequence[Shown], form: Format, data: Any) -> None:
    match form:
        case Format.TABLE:
            _table(trials)
        case Format.CSV:
            _csv(trials)
        case _:
            emit(data, form)


def _names(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return all keys, in the order in which they come up."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _table(trials: Sequence[Shown]) -> None:
    metrics, params = _names(t.values for t in trials), _names(t.record.params for t in trials)
    going = any(trial.last and not trial.record.values for trial in trials)
    reasons = any(trial.record.reason for trial in trials)
    rows = []
    for trial in trials:
        record = trial.record
        cells = [str(record.number), trial.state]
        cells += [f"{trial.values[name]:.6g}" if name in trial.values else "-" for name in metrics]
        cells += [_param(record.params, name) for name in params]
        cells += ["-" if trial.last is None else str(trial.last[0])] if going else []
        cells += [clean(record.reason or "-", _REASON_LENGTH)] if reasons else []
        rows.append(cells)
    columns = ["NUMBER", "STATE", *metrics, *params, *(["STEP"] if going else []), *(["REASON"] if reasons else [])]
    emit_table(columns, rows)


def _param(params: Mapping[str, Value], name: str) -> str:
    return short(params[name]) if name in params else "-"


def _csv(trials: Sequence[Shown]) -> None:
    """Print trials with every digit, under the names that Optuna's own data frames have."""
    metrics, params = _names(t.values for t in trials), _names(t.record.params for t in trials)
    rows = []
    for trial in trials:
        data = as_data(trial)
        cells = [data["number"], data["state"]]
        cells += [trial.values.get(name) for name in metrics]
        cells += [trial.record.params.get(name) for name in params]
        rows.append([*cells, *(data[name] for name in _FIXED)])
    columns = [f"values_{name}" for name in metrics] + [f"params_{name}" for name in params]
    emit_csv(["number", "state", *columns, *_FIXED], rows)
