"""The operator's own metrics. Label sets are bounded: what belongs to a study goes when the study goes.

Source: Prometheus' naming rules, prometheus-client.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from kubestudy.api.status import StudyStatus

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_STATES = ("running", "pending", "measuring", "complete", "pruned", "failed", "stopped")
_REASONS = 50
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class OperatorMetrics:
    """One operator's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        study = ("namespace", "study")
        self._studies = Gauge("kubestudy_studies", "Studies by phase.", ["phase"], registry=r)
        self._trials = Gauge("kubestudy_study_trials", "Trials of a study by state.", [*study, "state"], registry=r)
        self._best = Gauge(
            "kubestudy_study_best_value", "Best value of a study with one objective.", [*study, "objective"], registry=r
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
        self.loop_lag = Gauge("kubestudy_event_loop_lag_seconds", "How late the event loop runs.", registry=r)
        self.storage_errors = Counter("kubestudy_storage_errors", "Errors of the storage.", registry=r)
        self._shown: dict[tuple[str, str], str] = {}
        self._objectives: dict[tuple[str, str], set[str]] = {}

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

    def show(self, namespace: str, study: str, status: StudyStatus) -> None:
        """Take a study's newest status."""
        key = (namespace, study)
        counts = status.trials
        for state in _STATES:
            self._trials.labels(*key, state).set(getattr(counts, state))
        self._gpu.labels(*key).set(status.used.gpu_seconds)
        self._degraded.labels(*key).set(any(c.type == "Degraded" and c.status == "True" for c in status.conditions))
        if status.best is not None:
            for objective, value in status.best.values.items():
                self._best.labels(*key, objective).set(value)
                self._objectives.setdefault(key, set()).add(objective)
        self._move(key, status.phase)

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
        for objective in self._objectives.pop(key, ()):
            self._best.remove(*key, objective)

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
