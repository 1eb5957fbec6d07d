"""One study in Optuna: ask, report, tell, and going on after a restart.

Source: Optuna's ask-and-tell interface. What Optuna's own loop would do beside it (heartbeats, retries, stopping) is
the study loop's to do.
"""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from kubestudy.api.study import StudySpec
from kubestudy.api.values import Value
from kubestudy.planning.clock import StudyClock
from kubestudy.planning.plan import StopCause
from kubestudy.planning.tally import Scored, Tally
from kubestudy.search.pruners import CachedStudy, make_pruner
from kubestudy.search.rungs import rung
from kubestudy.search.samplers import GridSampler, make_sampler
from kubestudy.search.space import in_tree_order, suggest
from kubestudy.search.storage import batched_writes, storage_errors
from kubestudy.study.outcome import Complete, Failed, Pruned, Stopped
from kubestudy.study.progress import Progress
from kubestudy.study.trial import Curve, Sample, Suggestion, Unfinished

# What the study keeps beside Optuna's own records. Anybody may read them; only this module writes them.
ATTR_SPEC = "kubestudy:spec"
ATTR_PROGRESS = "kubestudy:memory"
ATTR_STOP = "kubestudy:stop"
ATTR_END = "kubestudy:end"
ATTR_GPU_SECONDS = "kubestudy:gpuSeconds"
ATTR_GPU_UTILIZATION = "kubestudy:gpuUtilization"

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
        with self._errors():
            self._study = optuna.create_study(
                storage=storage,
                study_name=name,
                directions=[objective.goal for objective in spec.objectives],
                pruner=make_pruner(spec.pruner),
                load_if_exists=True,
            )
            trials = self._study.get_trials(deepcopy=False)
            self._study.sampler = make_sampler(spec, len(trials))
            self._asked = len(trials)
            if ATTR_SPEC not in self._study.user_attrs:
                self._study.set_metric_names([objective.name for objective in spec.objectives])
                self._study.set_user_attr(ATTR_SPEC, fixed_part(spec))
        self._tally = self._count(trials)
        self._running = sorted((t for t in trials if t.state is TrialState.RUNNING), key=lambda t: t.number)
        self._last_sign = max(
            (moment.timestamp() for t in trials for moment in (t.datetime_start, t.datetime_complete) if moment),
            default=0.0,
        )

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
        """Whether every point of the grid was asked for; other samplers never run out."""
        sampler = self._study.sampler
        return isinstance(sampler, GridSampler) and self._asked >= len(sampler)

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
                trial = optuna.trial.Trial(self._study, frozen._trial_id)
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
        with self._errors(), batched_writes(self._study._storage):
            cached = CachedStudy(self._study)
            for number, sample in samples:
                trial = self._open[number]
                if self._record(trial, sample.step, sample.value, self._rungs(trial)) and cached.gives_up(trial):
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
            self._fill_in(trial, outcome.curve)
            if gpu_utilization is not None:
                trial.set_user_attr(ATTR_GPU_UTILIZATION, round(gpu_utilization, 1))
            match outcome:
                case Complete(values, _, violations):
                    self._constrain(trial, violations)
                    self._study.tell(trial, list(values), skip_if_finished=True)
                case Pruned():
                    self._study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
                case Failed(reason, message):
                    trial.set_user_attr(ATTR_END, {"state": "Failed", "reason": reason, "message": message})
                    self._study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
                case Stopped():
                    trial.set_user_attr(ATTR_END, {"state": "Stopped", "reason": "StudyEnded"})
                    self._study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        params: Mapping[str, Value] = trial.params
        del self._open[number]
        self._tally = self._counted(self._tally, outcome, number, params)

    def _constrain(self, trial: optuna.Trial, violations: Mapping[str, float]) -> None:
        """Record by how much each constraint is broken; what a crash came after stays as it is."""
        known = self._study._storage.get_trial(trial._trial_id).constraints
        for i, constraint in enumerate(self._spec.constraints):
            # A database's keys are short, expressions need not be.
            key = constraint.metric or constraint.label or f"promql {i}"
            if key not in known:
                trial.set_constraint(key, violations[constraint.name])

    def load_progress(self) -> Progress:
        """Return what was last remembered; a new study remembers nothing."""
        with self._errors():
            kept = self._study.user_attrs.get(ATTR_PROGRESS)
        if kept is None:
            return Progress()
        return Progress(
            clock=StudyClock(**kept["clock"]),
            **{k: kept[k] for k in ("started", "ending_since", "completed")},
            forgiven=kept.get("forgiven", 0),
        )

    def save_progress(self, progress: Progress) -> None:
        """Keep what the study remembers beside its trials."""
        clock = progress.clock
        with self._errors():
            self._study.set_user_attr(
                ATTR_PROGRESS,
                {
                    "clock": {"seconds": clock.seconds, "as_of": clock.as_of, "paused": clock.paused},
                    "started": progress.started,
                    "ending_since": progress.ending_since,
                    "completed": progress.completed,
                    "forgiven": progress.forgiven,
                },
            )

    # --- intermediate values ---------------------------------------------------------------------------------------

    def _rungs(self, trial: optuna.Trial) -> set[int]:
        frozen = self._study._storage.get_trial(trial._trial_id)
        return set(frozen.intermediate_values)

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
            known = self._rungs(trial)
            for step, value in points:
                self._record(trial, step, value, known)

    # --- counting --------------------------------------------------------------------------------------------------

    def _count(self, trials: Sequence[FrozenTrial]) -> Tally:
        spent = sum(sum(trial.user_attrs.get(ATTR_GPU_SECONDS, {}).values()) for trial in trials)
        tally = Tally().with_gpu_seconds(spent)
        finished = [t for t in trials if t.state.is_finished() and t.datetime_complete is not None]
        for trial in sorted(finished, key=lambda t: (t.datetime_complete, t.number)):
            tally = self._counted(tally, outcome_in(trial), trial.number, trial.params)
        return tally

    def _counted(
        self,
        tally: Tally,
        outcome: Complete | Pruned | Failed | Stopped,
        number: int,
        params: Mapping[str, Value],
    ) -> Tally:
        match outcome:
            case Complete(values):
                scored = Scored(number, values, params, outcome.feasible)
                return tally.with_complete(self._spec.objectives, scored)
            case Pruned():
                return tally.with_pruned()
            case Failed(reason, message):
                fault = f"{reason}: {message}" if outcome.certain else None
                return tally.with_failed(f"trial {number}: {reason}: {message}", fault)
            case Stopped():
                return tally.with_stopped()


def outcome_in(trial: FrozenTrial) -> Complete | Pruned | Failed | Stopped:
    """Read from a finished trial's record what became of it."""
    if trial.state is TrialState.COMPLETE:
        return Complete(tuple(trial.values or ()), {}, trial.constraints)
    if trial.state is TrialState.PRUNED:
        return Pruned({})
    end = trial.user_attrs.get(ATTR_END, {})
    if end.get("state") == "Stopped":
        return Stopped({})
    return Failed(end.get("reason", "Error"), end.get("message", "it was recorded as failed"), {})


def fixed_part(spec: StudySpec) -> dict[str, Any]:
    """Return the part of a spec that cannot change once its study has started."""
    fixed = {"objectives", "parameters", "sampler", *(["constraints"] if spec.constraints else [])}
    return spec.model_dump(mode="json", by_alias=True, include=fixed, exclude_none=True)
