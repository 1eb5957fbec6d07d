"""Reading running trials through Prometheus (implements the loop's `Metrics` port): one query for hundreds of them.

Value and step come from the same scrape: Prometheus takes in a scrape as a whole, and a query sees all of it or none.
Whatever is wrong with the server only delays pruning: it never fails a trial.

A series counts as a trial's by its namespace and pod, which Prometheus itself sets; what else stands on it is the
trial's own word.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence

from kubestudy.api.contract import DCGM_UTILIZATION, METRIC_NAME, METRIC_STEP
from kubestudy.api.limits import READING_TRIALS
from kubestudy.api.reasons import Hindrance
from kubestudy.metrics.answers import AnswerTooLongError, PrometheusError, Series
from kubestudy.metrics.server import PrometheusServer
from kubestudy.metrics.steps import step_of
from kubestudy.planning.backoff import Backoff
from kubestudy.study.ports import Trouble
from kubestudy.study.trial import Observed, Sample

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0
_BACKOFF_LIMIT_SECONDS = 60.0
_NUMBER_DIGITS = 10
# A pair of servers, a pod before the present one, GPUs: what a trial may have of series beside a value and a step each.
_SERIES_A_TRIAL = 32


class PrometheusMetrics:
    """Reads one study's trials.

    Args:
        server: The server.
        namespace: The study's namespace.
        prefix: What the names of its Jobs begin with, up to the trial's number.
        names: The metrics that the study goes by; no other is asked for.
        interval: Seconds between two readings.
        gpus: Whether its trials hold GPUs, of which DCGM may tell how busy they are.
    """

    def __init__(
        self,
        server: PrometheusServer,
        namespace: str,
        prefix: str,
        names: Sequence[str],
        interval: float = INTERVAL_SECONDS,
        *,
        gpus: bool = False,
    ) -> None:
        self._server = server
        self._namespace, self._prefix, self._names, self._gpus = namespace, prefix, tuple(names), gpus
        self._interval = interval
        self._at_once = READING_TRIALS.value
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
        if not self._names and not self._gpus:
            return {}
        try:
            read = await self._read({trial.number: trial.pod for trial in trials})
        except (PrometheusError, OSError) as error:
            self._failures += 1
            self._trouble = Trouble(
                Hindrance.METRICS, f"{error}; trials go on, and none is pruned until it answers again"
            )
            log.warning("%s; again in %.0f s", error, self.interval)
            return {}
        self._failures, self._trouble = 0, None
        return read

    async def _read(self, pods: Mapping[int, str | None]) -> dict[int, list[Sample]]:
        """Ask for all trials, for fewer at once from now on where an answer is too long.

        Raises:
            AnswerTooLongError: What there is of a single trial is too long.
            PrometheusError: The server does not answer.
        """
        left, read = sorted(pods), dict[int, list[Sample]]()
        while left:
            numbers = left[: self._at_once]
            try:
                series = await self._ask(() if len(numbers) == len(pods) else numbers, len(numbers))
            except AnswerTooLongError:
                if len(numbers) == 1:
                    raise
                self._at_once = len(numbers) // 2
                continue
            read |= samples_in(series, {number: pods[number] for number in numbers}, self._prefix, self._names)
            left = left[len(numbers) :]
        return read

    async def _ask(self, numbers: Sequence[int], count: int) -> list[Series]:
        limit = count * (2 * len(self._names) + 1) * _SERIES_A_TRIAL
        expression = expression_of(self._namespace, self._prefix, self._names, gpus=self._gpus, numbers=numbers)
        series = await self._server.query(expression, limit=limit, namespace=self._namespace)
        if len(series) >= limit:
            raise AnswerTooLongError(f"Prometheus at {self._server.url} has {limit} series, or more, of {count} trials")
        return series


def expression_of(namespace: str, prefix: str, names: Sequence[str], *, gpus: bool, numbers: Sequence[int] = ()) -> str:
    """Return the one expression that reads trials of a study.

    Args:
        namespace: The study's namespace.
        prefix: What the names of its Jobs begin with, up to the trial's number.
        names: The metrics that the study goes by.
        numbers: The trials; all of them if left out.
        gpus: Whether to ask how busy their GPUs are. Where the exporter's own labels do not win over those of its
            target, the pod that holds a GPU is named by `exported_pod`; then the target must be none of a trial's.
    """
    which = "|".join(map(str, numbers)) or "[0-9]+"
    where, pods = quoted(namespace), quoted(f"{re.escape(prefix)}({which})-.+")
    parts = []
    if names:
        metrics = quoted("|".join(map(re.escape, names)))
        parts.append(f'{{__name__=~"{METRIC_NAME}|{METRIC_STEP}",namespace={where},pod=~{pods},metric=~{metrics}}}')
    if gpus:
        parts.append(f"{DCGM_UTILIZATION}{{namespace={where},pod=~{pods}}}")
        parts.append(f'{DCGM_UTILIZATION}{{exported_namespace={where},exported_pod=~{pods},kubestudy_dev_trial=""}}')
    return " or ".join(parts)


def samples_in(
    series: Sequence[Series], pods: Mapping[int, str | None], prefix: str, names: Sequence[str]
) -> dict[int, list[Sample]]:
    """Join values and steps.

    Args:
        series: What Prometheus answered. A trial may be there several times: a pod before the present one, a pair of
            servers, relabelling that keeps more labels than needed.
        pods: The pod of each trial that runs now.
        prefix: What the names of the study's Jobs begin with, up to the trial's number.
        names: The metrics that the study goes by.

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
        pod, metric = labels.get("pod", ""), labels.get("metric")
        number, step = trial_of(pod, prefix), step_of(both.get(METRIC_STEP, math.nan))
        value = both.get(METRIC_NAME)
        if number not in pods or metric is None or metric not in names or value is None or step is None:
            continue
        found = (pod == pods[number], step, value)
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


def trial_of(pod: str, prefix: str) -> int:
    """Return the number of the trial that a pod is of, by its name; -1 for a pod of no trial of the study."""
    number, dash, _ = pod.removeprefix(prefix).partition("-")
    own = pod.startswith(prefix) and dash and number.isascii() and number.isdecimal()
    return int(number) if own and len(number) <= _NUMBER_DIGITS else -1


def quoted(text: str) -> str:
    """Write a text as a PromQL string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
