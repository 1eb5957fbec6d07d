"""Reading running trials through Prometheus (implements the loop's `Metrics` port): one query, whatever their number.

Value and step come from the same scrape: Prometheus takes in a scrape as a whole, and a query sees all of it or none.
Whatever is wrong with the server only delays pruning: it never fails a trial.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence

from kubestudy.api.contract import DCGM_UTILIZATION, METRIC_NAME, METRIC_STEP
from kubestudy.metrics.server import PrometheusError, PrometheusServer, Series
from kubestudy.planning.backoff import Backoff
from kubestudy.study.ports import Trouble
from kubestudy.study.trial import Observed, Sample

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0
_BACKOFF_LIMIT_SECONDS = 60.0


class PrometheusMetrics:
    """Reads one study's trials.

    Args:
        server: The server.
        namespace: The study's namespace.
        prefix: What the names of its Jobs begin with, up to the trial's number.
        interval: Seconds between two readings.
        gpus: Whether its trials hold GPUs, of which DCGM may tell how busy they are.
    """

    def __init__(
        self,
        server: PrometheusServer,
        namespace: str,
        prefix: str,
        interval: float = INTERVAL_SECONDS,
        *,
        gpus: bool = False,
    ) -> None:
        self._server = server
        self.expression = expression_of(namespace, prefix, gpus=gpus)
        self._interval = interval
        self._failures = 0
        self._trouble: Trouble | None = None

    @property
    def interval(self) -> float:
        """Seconds between two readings; more and more while the server does not answer."""
        waits = Backoff(first=self._interval * 2, limit=max(self._interval, _BACKOFF_LIMIT_SECONDS))
        return waits.after(self._failures) or self._interval

    def trouble(self) -> Trouble | None:
        """Return what keeps trials from being read."""
        return self._trouble

    async def read(self, trials: Sequence[Observed]) -> Mapping[int, Sequence[Sample]]:
        """Return the last samples of each trial that Prometheus knows."""
        try:
            series = await self._server.query(self.expression)
        except (PrometheusError, OSError) as error:
            self._failures += 1
            self._trouble = Trouble(
                "MetricsUnavailable", f"{error}; trials go on, and none is pruned until it answers again"
            )
            log.warning("%s; again in %.0f s", error, self.interval)
            return {}
        self._failures, self._trouble = 0, None
        return samples_in(series, {trial.number: trial.pod for trial in trials})

    def close(self) -> None:
        """Nothing is kept open here: the server is shared."""


def expression_of(namespace: str, prefix: str, *, gpus: bool) -> str:
    """Return the one expression that reads all trials of a study.

    Args:
        namespace: The study's namespace.
        prefix: What the names of its Jobs begin with, up to the trial's number.
        gpus: Whether to ask how busy their GPUs are. Where the exporter's own labels do not win over those of its
            target, the pod that holds a GPU is named by `exported_pod`.
    """
    where, pods = quoted(namespace), quoted(f"{re.escape(prefix)}[0-9]+-.+")
    names = "|".join([METRIC_NAME, METRIC_STEP, *([DCGM_UTILIZATION] if gpus else [])])
    expression = f'{{__name__=~"{names}",namespace={where},pod=~{pods}}}'
    if gpus:
        expression += f" or {DCGM_UTILIZATION}{{exported_namespace={where},exported_pod=~{pods}}}"
    return expression


def samples_in(series: Sequence[Series], pods: Mapping[int, str | None]) -> dict[int, list[Sample]]:
    """Join values and steps.

    Args:
        series: What Prometheus answered. A trial may be there several times: a pod before the present one, a pair of
            servers, relabelling that keeps more labels than needed.
        pods: The pod of each trial that runs now.

    Returns:
        By trial, one sample a metric: of its present pod where that is there, and of the furthest step. With them, as
        step 0, how busy its GPUs are on average.
    """
    halves: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for one in series:
        labels = {key: value for key, value in one.labels.items() if key != "__name__"}
        halves.setdefault(tuple(sorted(labels.items())), {})[one.labels.get("__name__", "")] = one.value
    best: dict[tuple[int, str], tuple[bool, int, float]] = {}
    for key, both in halves.items():
        labels = dict(key)
        number, metric = _number(labels.get("trial")), labels.get("metric")
        value, step = both.get(METRIC_NAME), both.get(METRIC_STEP)
        if number not in pods or metric is None or value is None or step is None or not math.isfinite(step):
            continue
        found = (labels.get("pod") == pods[number], int(step), value)
        if (number, metric) not in best or found[:2] > best[number, metric][:2]:
            best[number, metric] = found
    samples: dict[int, list[Sample]] = {}
    for (number, metric), (_, step, value) in best.items():
        samples.setdefault(number, []).append(Sample(metric, step, value))
    for number, value in _utilization(series, pods).items():
        samples.setdefault(number, []).append(Sample(DCGM_UTILIZATION, 0, value))
    return samples


def _utilization(series: Sequence[Series], pods: Mapping[int, str | None]) -> dict[int, float]:
    numbers = {pod: number for number, pod in pods.items() if pod is not None}
    found: dict[int, dict[str, float]] = {}
    for one in series:
        labels = one.labels
        number = numbers.get(labels.get("exported_pod") or labels.get("pod") or "")
        if labels.get("__name__") == DCGM_UTILIZATION and number is not None and math.isfinite(one.value):
            found.setdefault(number, {})[labels.get("UUID") or labels.get("gpu") or ""] = one.value
    return {number: sum(gpus.values()) / len(gpus) for number, gpus in found.items()}


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else -1


def quoted(text: str) -> str:
    """Write a text as a PromQL string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
