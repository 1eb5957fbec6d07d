"""One study in Optuna: ask, report, tell, and going on after a restart.

Source: Optuna's ask-and-tell interface. What Optuna's own loop would do beside it (heartbeats, retries, stopping) is
the study loop's to do.
"""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from kubestudy.api.study import StudySpec
from kubestudy.api.values import Value
from kubestudy.planning.plan import StopCause
from kubestudy.planning.tally import Tally
from kubestudy.search.attributes import (
    ATTR_END,
    ATTR_GPU_SECONDS,
    ATTR_GPU_UTILIZATION,
    ATTR_METRICS,
    ATTR_PROGRESS,
    ATTR_SPEC,
    ATTR_STOP,
    ATTR_VERSION,
    VERSION,
    check_version,
    progress_as_data,
    progress_in,
)
from kubestudy.search.batched_journal import batched_writes
from kubestudy.search.cached_study import CachedStudy
from kubestudy.search.counting import counted, tally_of
from kubestudy.search.optuna_internals import reattached, record_of
from kubestudy.search.pruners import make_pruner
from kubestudy.search.rungs import rung
from kubestudy.search.samplers import make_sampler
from kubestudy.search.sound import DamagedRecordError, check_study, check_trials
from kubestudy.search.space import in_tree_order, suggest
from kubestudy.search.storage import storage_errors
from kubestudy.search.trial_metrics import TrialMetrics, kept_of
from kubestudy.study.outcome import Complete, Failed, Pruned, Stopped
from kubestudy.study.progress import Progress
from kubestudy.study.trial import Curve, Sample, Suggestion, Unfinished

log = logging.getLogger(__name__)


def hush_optuna() -> None:
    """Keep Optuna from writing about each trial on stderr, and from warning of what was chosen on purpose."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


class OptunaSearch:
    """One study's search (implements the loop's `Search` port).

    Args:
        spec: The study.
        storage: Where its trials are kept.
        name: The study's name in the storage. A study of that name is gone on with.
        where: What errors call the storage.
        observer: Told of each ask and tell, and the seconds it took.
    """

    def __init__(
        self,
        spec: StudySpec,
        storage: BaseStorage,
        name: str,
        where: str,
        observer: Callable[[str, float], None] | None = None,
    ) -> None:
        self._spec = spec
        self._observer = observer
        self._where = where
        self._ordered = in_tree_order(spec.parameters)
        self._single = len(spec.objectives) == 1
        self._open: dict[int, optuna.Trial] = {}
        self._storage = storage
        self._told_of_a_cut = False
        with self._errors():
            self._study = optuna.create_study(
                storage=storage,
                study_name=name,
                directions=[objective.goal for objective in spec.objectives],
                pruner=make_pruner(spec.pruner),
                load_if_exists=True,
            )
            self._begin()
            check_study(self._study.user_attrs, len(self._study.directions), self._study.metric_names)
            if [direction.name.lower() for direction in self._study.directions] != [o.goal for o in spec.objectives]:
                raise DamagedRecordError(f"the study {name} has other objectives than its manifest")
            trials = self._study.get_trials(deepcopy=False)
            check_trials(trials, len(spec.objectives))
            self._study.sampler = make_sampler(spec, len(trials))
            self._asked = len(trials)
        self._tally = tally_of(trials, spec.objectives)
        self._running = sorted((t for t in trials if t.state is TrialState.RUNNING), key=lambda t: t.number)
        self._last_sign = max(
            (moment.timestamp() for t in trials for moment in (t.datetime_start, t.datetime_complete) if moment),
            default=0.0,
        )

    def _begin(self) -> None:
        """Check what wrote the study's records, and write what is not there yet."""
        attributes = self._study.user_attrs
        check_version(attributes, self._study.study_name, self._where)
        if ATTR_VERSION not in attributes:
            self._study.set_user_attr(ATTR_VERSION, VERSION)
        if ATTR_SPEC not in attributes:
            self._study.set_metric_names([objective.name for objective in self._spec.objectives])
            self._study.set_user_attr(ATTR_SPEC, fixed_part(self._spec))

    def _errors(self) -> Any:
        return storage_errors(self._where)

    @contextlib.contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        if self._observer is not None:
            self._observer(what, time.perf_counter() - began)

    @property
    def tally(self) -> Tally:
        """What the finished trials add up to."""
        return self._tally

    @property
    def exhausted(self) -> bool:
        """Whether every point of a grid was asked for; samplers without a length never run out."""
        sampler = self._study.sampler
        return isinstance(sampler, Sized) and self._asked >= len(sampler)

    @property
    def asked(self) -> int:
        """How many trials were ever asked for."""
        return self._asked

    @property
    def prunes(self) -> bool:
        """Whether reported values can make a trial hopeless."""
        return self._single and self._spec.pruner.name != "none"

    @property
    def last_activity(self) -> float:
        """Unix time of the last start or end of a trial when the study was opened."""
        return self._last_sign

    def unfinished(self) -> Sequence[Unfinished]:
        """Return the trials recorded as running, with all their parameters: missing ones are sampled now."""
        found = []
        with self._errors():
            for frozen in self._running:
                trial = reattached(self._study, frozen)
                self._open[frozen.number] = trial
                cause = frozen.user_attrs.get(ATTR_STOP)
                suggestion = Suggestion(frozen.number, suggest(trial, self._ordered))
                found.append(Unfinished(suggestion, StopCause(cause) if cause else None))
        return found

    def ask(self) -> Suggestion | None:
        """Suggest and record one more trial; None when the grid is exhausted."""
        if self.exhausted:
            return None
        with self._timed("ask"), self._errors():
            trial = self._study.ask()
            self._asked = max(self._asked, trial.number + 1)
            self._open[trial.number] = trial
            return Suggestion(trial.number, suggest(trial, self._ordered))

    def report(self, samples: Iterable[tuple[int, Sample]]) -> frozenset[int]:
        """Record running trials' values at their steps' rungs; return those that are hopeless."""
        hopeless = set()
        with self._errors(), batched_writes(self._storage):
            cached = CachedStudy(self._study)
            for number, sample in samples:
                trial = self._open[number]
                known = set(record_of(trial).intermediate_values)
                if self._record(trial, sample.step, sample.value, known) and cached.gives_up(trial):
                    hopeless.add(number)
        return frozenset(hopeless)

    def mark_stopping(self, number: int, cause: StopCause) -> None:
        """Record why a trial is told to stop."""
        with self._errors():
            self._open[number].set_user_attr(ATTR_STOP, cause.value)

    def spend(self, number: int, started: float, gpu_seconds: float) -> None:
        """Record GPU time, in seconds, of the execution that started at a Unix time; once for each."""
        trial = self._open[number]
        execution = f"{started:.3f}"
        with self._errors():
            spent = dict(trial.user_attrs.get(ATTR_GPU_SECONDS, {}))
            if execution in spent:
                return
            trial.set_user_attr(ATTR_GPU_SECONDS, spent | {execution: round(gpu_seconds, 3)})
        self._tally = self._tally.with_gpu_seconds(gpu_seconds)

    def tell(
        self, number: int, outcome: Complete | Pruned | Failed | Stopped, gpu_utilization: float | None = None
    ) -> None:
        """Record what became of a trial; a trial that is finished already stays as it is."""
        trial = self._open.get(number)
        if trial is None:
            log.info("trial %d is finished already", number)
            return
        with self._timed("tell"), self._errors():
            with batched_writes(self._storage):
                self._fill_in(trial, outcome.curve)
                self._keep_metrics(trial, outcome)
                if gpu_utilization is not None:
                    trial.set_user_attr(ATTR_GPU_UTILIZATION, round(gpu_utilization, 1))
                self._note_end(trial, outcome)
            self._finish(trial, outcome)
        params: Mapping[str, Value] = trial.params
        del self._open[number]
        self._tally = counted(self._tally, self._spec.objectives, outcome, number, params)

    def _note_end(self, trial: optuna.Trial, outcome: Complete | Pruned | Failed | Stopped) -> None:
        """Record of an end what Optuna's own state does not tell."""
        match outcome:
            case Complete():
                self._constrain(trial, outcome.violations)
            case Failed(reason, message):
                trial.set_user_attr(ATTR_END, {"state": "Failed", "reason": reason, "message": message})
            case Stopped():
                trial.set_user_attr(ATTR_END, {"state": "Stopped", "reason": "StudyEnded"})

    def _finish(self, trial: optuna.Trial, outcome: Complete | Pruned | Failed | Stopped) -> None:
        match outcome:
            case Complete(values):
                self._study.tell(trial, list(values), skip_if_finished=True)
            case Pruned():
                self._study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
            case _:
                self._study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)

    def _keep_metrics(self, trial: optuna.Trial, outcome: Complete | Pruned | Failed | Stopped) -> None:
        """Keep everything that the trial reported, as far as it has room, and is not in Optuna's own record of it."""
        known = {objective.name for objective in self._spec.objectives} if isinstance(outcome, Complete) else set()
        values = {name: value for name, value in outcome.metrics.items() if name not in known}
        kept = kept_of(
            TrialMetrics(values, outcome.curve),
            first=(measured.name for measured in self._spec.measured),
            without_curve=self._spec.objectives[0].name if self._single else None,
        )
        if kept.record:
            trial.set_user_attr(ATTR_METRICS, kept.record)
        if kept.cut and not self._told_of_a_cut:
            self._told_of_a_cut = True
            log.warning("trial %d reports more than is kept with a trial: of it, %s", trial.number, kept.cut)

    def _constrain(self, trial: optuna.Trial, violations: Mapping[str, float]) -> None:
        """Record by how much each constraint is broken; what a crash came after stays as it is."""
        known = record_of(trial).constraints
        for i, constraint in enumerate(self._spec.constraints):
            # A database's keys are short, expressions need not be.
            key = constraint.metric or constraint.label or f"promql {i}"
            if key not in known:
                trial.set_constraint(key, violations[constraint.name])

    def load_progress(self) -> Progress:
        """Return what was last remembered; a new study remembers nothing."""
        with self._errors():
            return progress_in(self._study.user_attrs)

    def save_progress(self, progress: Progress) -> None:
        """Keep what the study remembers beside its trials."""
        with self._errors():
            self._study.set_user_attr(ATTR_PROGRESS, progress_as_data(progress))

    # --- intermediate values ---------------------------------------------------------------------------------------

    def _record(self, trial: optuna.Trial, step: int, value: float, known: set[int]) -> bool:
        at = rung(step)
        if at in known:
            return False
        known.add(at)
        trial.report(value, at)
        return True

    def _fill_in(self, trial: optuna.Trial, curve: Curve) -> None:
        """Record the steps that no reading saw: other trials are compared with this one at these steps."""
        if not self._single:
            return
        points = curve.get(self._spec.objectives[0].name, ())
        if points:
            known = set(record_of(trial).intermediate_values)
            for step, value in points:
                self._record(trial, step, value, known)


def fixed_part(spec: StudySpec) -> dict[str, Any]:
    """Return the part of a spec that cannot change once its study has started."""
    fixed = {"objectives", "parameters", "sampler", *(["constraints"] if spec.constraints else [])}
    return spec.model_dump(mode="json", by_alias=True, include=fixed, exclude_none=True)
