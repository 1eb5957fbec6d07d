"""Reading the `/metrics` of running trials directly (implements the loop's `Metrics` port).

Source: the Prometheus text format, parsed by prometheus-client. A trial that does not answer is left out: it has not
opened its port yet, or has just ended. Its final values never come from here.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from kubestudy.api.contract import METRIC_NAME, METRIC_STEP
from kubestudy.study.ports import Trouble
from kubestudy.study.trial import Observed, Sample

log = logging.getLogger(__name__)

MAX_BYTES = 1024 * 1024
_THREADS = 8


class ScrapedMetrics:
    """Scrapes each trial.

    Args:
        interval: Seconds between two readings.
        timeout: Seconds after which a trial that does not answer is left out.
    """

    def __init__(self, interval: float = 0.3, timeout: float = 1.0) -> None:
        self._interval = interval
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="scrape")

    @property
    def interval(self) -> float:
        """Seconds between two readings."""
        return self._interval

    async def read(self, trials: Sequence[Observed]) -> Mapping[int, Sequence[Sample]]:
        """Return the last samples of each trial that answers."""
        loop = asyncio.get_running_loop()
        asked = [(t.number, t.metrics_url) for t in trials if t.metrics_url]
        texts = await asyncio.gather(
            *(loop.run_in_executor(self._threads, _get, url, self._timeout) for _, url in asked)
        )
        return {
            number: samples
            for (number, _), text in zip(asked, texts, strict=True)
            if text and (samples := samples_in(text, number))
        }

    def trouble(self) -> Trouble | None:
        """Return what keeps trials from being read: one that does not answer has just begun, or ended."""
        return None

    def close(self) -> None:
        """Give up readings under way and end the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _get(url: str, timeout: float) -> str | None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", parts.path)
        response = connection.getresponse()
        return response.read(MAX_BYTES).decode(errors="replace") if response.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException) as error:
        log.debug("%s: %s", url, error)
        return None
    finally:
        connection.close()


def samples_in(text: str, trial: int) -> list[Sample]:
    """Read one trial's samples from a scrape.

    Args:
        text: The scraped text.
        trial: The trial's number: samples of other trials are left out, should a port have changed hands.

    Returns:
        A sample per metric that has both a value and a step; empty for a text that is none of a trial.
    """
    values: dict[str, float] = {}
    steps: dict[str, int] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                metric = sample.labels.get("metric")
                if metric is None or sample.labels.get("trial") != str(trial):
                    continue
                if sample.name == METRIC_NAME:
                    values[metric] = sample.value
                elif sample.name == METRIC_STEP:
                    steps[metric] = int(sample.value)
    except ValueError as error:
        log.debug("trial %d: no Prometheus text: %s", trial, error)
        return []
    return [Sample(metric, steps[metric], value) for metric, value in values.items() if metric in steps]
