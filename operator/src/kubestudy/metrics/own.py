"""The operator's own metrics. Label sets are bounded: what belongs to a study goes when the study goes.

Source: Prometheus' naming rules, prometheus-client.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest

from kubestudy.api.reasons import ConditionType
from kubestudy.api.status import StudyStatus, Used
from kubestudy.api.study import Budget
from kubestudy.api.text import clean
from kubestudy.api.values import as_text

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_STATES = ("running", "pending", "measuring", "complete", "pruned", "failed", "stopped")
_REASONS = 50
_TEXT_LENGTH = 64
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class OperatorMetrics:
    """One operator's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        ProcessCollector(registry=r)
        started = Gauge("kubestudy_operator_start_time_seconds", "When the operator was started.", registry=r)
        started.set_to_current_time()
        study = ("namespace", "study")
        self._studies = Gauge("kubestudy_studies", "Studies by phase.", ["phase"], registry=r)
        self._trials = Gauge("kubestudy_study_trials", "Trials of a study by state.", [*study, "state"], registry=r)
        self._best = Gauge(
            "kubestudy_study_best_value", "Best value of a study with one objective.", [*study, "objective"], registry=r
        )
        self._parameters = Gauge(
            "kubestudy_study_best_parameter_info",
            "The best trial's hyperparameters, as text; always 1.",
            [*study, "trial", "parameter", "value"],
            registry=r,
        )
        self._used = Gauge(
            "kubestudy_study_budget_used", "What a study used of a budget it has.", [*study, "budget"], registry=r
        )
        self._limits = Gauge(
            "kubestudy_study_budget_limit", "That budget, in the same unit.", [*study, "budget"], registry=r
        )
        self._gpu = Gauge("kubestudy_study_gpu_seconds", "GPUs times seconds, of a study.", study, registry=r)
        self._ask = Histogram("kubestudy_ask_seconds", "Time of one suggestion.", buckets=_FAST, registry=r)
        self._tell = Histogram("kubestudy_tell_seconds", "Time to record one end.", buckets=_FAST, registry=r)
        self._relaunch = Histogram(
            "kubestudy_end_to_launch_seconds",
            "From the sight of a trial's end to the creation of the next Job.",
            buckets=_SLOW,
            registry=r,
        )
        self._requests = Counter(
            "kubestudy_api_requests", "Requests to the API server.", ["verb", "resource", "code"], registry=r
        )
        self._request_seconds = Histogram(
            "kubestudy_api_request_seconds", "Time of a request to the API server.", ["verb"], buckets=_FAST, registry=r
        )
        self._degraded = Gauge("kubestudy_study_degraded", "Whether a study is Degraded.", study, registry=r)
        self._failures = Counter("kubestudy_trial_failures", "Trials that failed, by reason.", ["reason"], registry=r)
        self._reasons: set[str] = set()
        self.stale_loops = Gauge("kubestudy_stale_loops", "Studies whose loop does not turn any more.", registry=r)
        self.search_threads = Gauge("kubestudy_search_threads", "Threads for studies' searches.", registry=r)
        self.stuck_searches = Gauge(
            "kubestudy_stuck_searches", "Studies with a call to their search that was given up.", registry=r
        )
        self.loop_lag = Gauge("kubestudy_event_loop_lag_seconds", "How late the event loop runs.", registry=r)
        self.storage_errors = Counter("kubestudy_storage_errors", "Errors of the storage.", registry=r)
        self._shown: dict[tuple[str, str], str] = {}
        # What a study has series of beyond those that every study has, to be taken away one by one.
        self._own: dict[tuple[str, str], dict[Gauge, set[tuple[str, ...]]]] = {}

    def request(self, verb: str, resource: str, status: int, seconds: float) -> None:
        """Count a request to the API server."""
        self._requests.labels(verb, resource, str(status)).inc()
        self._request_seconds.labels(verb).observe(seconds)

    def searched(self, what: str, seconds: float) -> None:
        """Count a suggestion (`ask`) or a recorded end (`tell`)."""
        (self._ask if what == "ask" else self._tell).observe(seconds)

    def relaunched(self, seconds: float) -> None:
        """Count the time from an end to the next launch."""
        self._relaunch.observe(seconds)

    def trial_failed(self, reason: str) -> None:
        """Count a failed trial; reasons of trainers' own are bounded in number."""
        if reason not in self._reasons and len(self._reasons) >= _REASONS:
            reason = "Other"
        self._reasons.add(reason)
        self._failures.labels(reason).inc()

    def show(self, namespace: str, study: str, status: StudyStatus, budget: Budget | None = None) -> None:
        """Take a study's newest status, and its budget."""
        key = (namespace, study)
        counts = status.trials
        for state in _STATES:
            self._trials.labels(*key, state).set(getattr(counts, state))
        self._gpu.labels(*key).set(status.used.gpu_seconds)
        degraded = any(c.type == ConditionType.DEGRADED and c.status == "True" for c in status.conditions)
        self._degraded.labels(*key).set(degraded)
        best = status.best
        self._set(self._best, key, {} if best is None else {(name,): value for name, value in best.values.items()})
        params = {} if best is None else best.params
        shown: dict[tuple[str, ...], float] = {
            (str(best.number), name, clean(as_text(v), _TEXT_LENGTH)): 1.0
            for name, v in params.items()
            if best is not None
        }
        self._set(self._parameters, key, shown)
        limits = {} if budget is None else budgets_of(budget, status.used)
        self._set(self._used, key, {(name,): used for name, (used, _) in limits.items()})
        self._set(self._limits, key, {(name,): limit for name, (_, limit) in limits.items()})
        self._move(key, status.phase)

    def _set(self, gauge: Gauge, key: tuple[str, str], values: Mapping[tuple[str, ...], float]) -> None:
        """Give a study these series of a gauge, and no others."""
        own = self._own.setdefault(key, {}).setdefault(gauge, set())
        for gone in own - values.keys():
            gauge.remove(*key, *gone)
        for labels, value in values.items():
            gauge.labels(*key, *labels).set(value)
        self._own[key][gauge] = set(values)

    def drop(self, namespace: str, study: str) -> None:
        """Forget a study that was deleted."""
        key = (namespace, study)
        if key not in self._shown:
            return
        self._move(key, None)
        for state in _STATES:
            self._trials.remove(*key, state)
        self._gpu.remove(*key)
        self._degraded.remove(*key)
        for gauge, labels in self._own.pop(key, {}).items():
            for own in labels:
                gauge.remove(*key, *own)

    def _move(self, key: tuple[str, str], phase: str | None) -> None:
        before = self._shown.pop(key, None)
        if before is not None:
            self._studies.labels(before).dec()
        if phase is not None:
            self._studies.labels(phase).inc()
            self._shown[key] = phase

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


def budgets_of(budget: Budget, used: Used) -> dict[str, tuple[float, float]]:
    """Return what is used of each budget that a study has, and the budget, by the name of its field."""
    pairs = {
        "maxTrials": (used.trials, budget.max_trials),
        "maxFailedTrials": (used.failed_trials, budget.max_failed_trials),
        "maxDuration": (used.seconds, budget.max_seconds),
        "maxGpuHours": (used.gpu_seconds / 3600, budget.max_gpu_hours),
        "patience": (used.trials_since_improvement, budget.patience),
    }
    return {name: (float(now), float(limit)) for name, (now, limit) in pairs.items() if limit is not None}
