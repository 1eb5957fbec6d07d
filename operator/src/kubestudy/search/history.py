"""What a study's storage tells about its trials, for people: lists, the best ones."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from kubestudy.api.values import Value
from kubestudy.search.attributes import ATTR_GPU_UTILIZATION, ATTR_SPEC, check_version, metrics_of, outcome_in
from kubestudy.search.sound import check_study, check_trials
from kubestudy.search.storage import storage_errors
from kubestudy.study.outcome import Complete, Failed, Pruned
from kubestudy.study.ports import StudyError
from kubestudy.study.trial import Curve


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One trial, as its study keeps it.

    Attributes:
        number: The trial's number.
        state: Running, Complete, Pruned, Failed or Stopped.
        values: Its final value of each objective; empty unless complete.
        params: Its parameters.
        reason: Why it failed or was stopped, or which constraints it breaks.
        last: The last (step, value) of the objective that was recorded while it ran.
        metrics: The last value of each objective and of every metric that it reported: the final one where it finished.
            Of a running trial only the objective is known.
        curves: (step, value) pairs by metric, thinned.
        started: When its parameters were suggested.
        ended: When its end was recorded.
        gpu_utilization: How busy its GPUs were on average, in percent, where DCGM told.
    """

    number: int
    state: str
    values: Mapping[str, float]
    params: Mapping[str, Value]
    reason: str | None = None
    last: tuple[int, float] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Curve = field(default_factory=dict)
    started: datetime | None = None
    ended: datetime | None = None
    gpu_utilization: float | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took, waiting included."""
        if self.started is None or self.ended is None:
            return None
        return (self.ended - self.started).total_seconds()


class History:
    """A study's trials, read from its storage.

    Args:
        storage: The storage.
        name: The study's name in it.
        where: What errors call the storage.

    Raises:
        StudyError: There is no such study in it, or a later release has written it.
    """

    def __init__(self, storage: BaseStorage, name: str, where: str) -> None:
        self.name = name
        self.storage = storage
        self._where = where
        with storage_errors(where):
            try:
                self.study = optuna.load_study(study_name=name, storage=storage)
            except KeyError as error:
                raise StudyError(f"the storage {where} holds no study named {name}") from error
            check_version(self.study.user_attrs, name, where)
            check_study(self.study.user_attrs, len(self.study.directions), self.study.metric_names)
            self.metric_names = self.study.metric_names or [f"value{i}" for i in range(len(self.study.directions))]

    @property
    def fixed_part(self) -> dict[str, Any] | None:
        """The part of its spec that cannot change, as it was at the start."""
        kept: dict[str, Any] | None = self.study.user_attrs.get(ATTR_SPEC)
        return kept

    def trials(self) -> list[TrialRecord]:
        """Return all trials by number."""
        with storage_errors(self._where):
            return [self._record(trial) for trial in self._sound_trials()]

    def best(self) -> list[TrialRecord]:
        """Return the best trial, or the Pareto front; of equal trials the earliest; empty while none is complete."""
        with storage_errors(self._where):
            self._sound_trials()
            found = sorted(self.study.best_trials, key=lambda trial: trial.number)
        distinct = {tuple(trial.values): trial for trial in reversed(found)}
        front = sorted(distinct.values(), key=lambda trial: (trial.values[0], trial.number))
        return [self._record(trial) for trial in front[: 1 if self._single else None]]

    def _sound_trials(self) -> list[FrozenTrial]:
        trials = self.study.get_trials(deepcopy=False)
        check_trials(trials, len(self.study.directions))
        return trials

    @property
    def _single(self) -> bool:
        return len(self.study.directions) == 1

    def _record(self, trial: FrozenTrial) -> TrialRecord:
        state, reason, values = "Running", None, {}
        if trial.state is TrialState.WAITING:
            state = "Waiting"
        elif trial.state.is_finished():
            match outcome_in(trial):
                case Complete(numbers, _, violations):
                    state, values = "Complete", dict(zip(self.metric_names, numbers, strict=True))
                    broken = [f"{name} by {by:.6g}" for name, by in violations.items() if by > 0]
                    reason = f"breaks {', '.join(broken)}" if broken else None
                case Pruned():
                    state = "Pruned"
                case Failed(word, message):
                    state, reason = "Failed", f"{word}: {message}"
                case _:
                    state, reason = "Stopped", "the study ended"
        step = trial.last_step
        metrics = metrics_of(trial, self.metric_names[0] if self._single else None)
        return TrialRecord(
            number=trial.number,
            state=state,
            values=values,
            params=trial.params,
            reason=reason,
            last=None if step is None else (step, trial.intermediate_values[step]),
            metrics=metrics.last | values,  # the objectives' final values are exact, whatever was reported last
            curves=metrics.curves,
            started=trial.datetime_start,
            ended=trial.datetime_complete,
            gpu_utilization=trial.user_attrs.get(ATTR_GPU_UTILIZATION),
        )


def study_names(storage: BaseStorage) -> list[str]:
    """Return the names of all studies in a storage."""
    return optuna.get_all_study_names(storage)


def delete_study(storage: BaseStorage, name: str, where: str) -> None:
    """Delete a study with all its trials; one that is not there is no error.

    Args:
        storage: The storage.
        name: The study's name in it.
        where: What errors call the storage.

    Raises:
        StudyError: The storage cannot be used.
    """
    with storage_errors(where), contextlib.suppress(KeyError):
        optuna.delete_study(study_name=name, storage=storage)
