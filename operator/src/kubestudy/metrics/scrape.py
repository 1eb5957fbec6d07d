"""Reading the `/metrics` of running trials directly (implements the loop's `Metrics` port).

Source: the Prometheus text format, parsed by prometheus-client. A trial that does not answer is left out: it has not
opened its port yet, or has just ended. Its final values never come from here.

What a trial serves is a stranger's: it is read for a limited time and to a limited length, and only the few lines that
are a trial's are handed to the parser, whose time grows with the square of a line's length.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from kubestudy.api.contract import METRIC_NAME, METRIC_STEP
from kubestudy.api.limits import (
    SCRAPE_BYTES,
    SCRAPE_LINE,
    SCRAPE_METRICS,
    SCRAPE_SECONDS,
    SCRAPES,
    SCRAPES_OF_A_STUDY,
)
from kubestudy.api.reasons import Hindrance
from kubestudy.metrics.steps import step_of
from kubestudy.study.ports import Trouble
from kubestudy.study.trial import Observed, Sample

log = logging.getLogger(__name__)

_NAMES = (METRIC_NAME, METRIC_STEP)


@dataclass(frozen=True, slots=True)
class Scrape:
    """What a trial answered.

    Attributes:
        text: As far as it was read, in whole lines.
        cut: Whether there was more.
    """

    text: str
    cut: bool = False


class Scraper:
    """Asks trials for their `/metrics`: one for all studies of a process. Close it after use.

    Args:
        timeout: Seconds from the connection to the last byte, after which a trial is left out.
        at_once: How many trials are asked at once.
    """

    def __init__(self, timeout: float = SCRAPE_SECONDS.value, at_once: int = SCRAPES.value) -> None:
        self._timeout = timeout
        self._places = asyncio.Semaphore(at_once)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str) -> Scrape | None:
        """Return what a trial answers; None if it does not, or with an error.

        Args:
            url: Where: http, and an address in numbers. Nothing else is asked, and no redirect followed.
        """
        if not _is_numeric(url):
            log.debug("%s is no URL of a pod's address", url)
            return None
        try:
            async with self._places, asyncio.timeout(self._timeout):
                return await self._read(url)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.debug("%s: %s", url, error)
            return None

    async def _read(self, url: str) -> Scrape | None:
        async with self._opened().get(url, allow_redirects=False) as answer:
            if answer.status != HTTPStatus.OK:
                return None
            body = bytearray()
            while len(body) <= SCRAPE_BYTES.value:
                piece = await answer.content.read(SCRAPE_BYTES.value + 1 - len(body))
                if not piece:
                    return Scrape(body.decode(errors="replace"))
                body += piece
            # Nothing more is read: leaving the block ends the connection.
            whole, _, _ = bytes(body[: SCRAPE_BYTES.value]).rpartition(b"\n")
            return Scrape(whole.decode(errors="replace"), cut=True)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # The places are what limits connections; none is kept, since pods come and go.
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                # A body that would grow when it is unpacked is not asked for, nor unpacked.
                headers={"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "identity"},
                auto_decompress=False,
                read_bufsize=SCRAPE_BYTES.value,
            )
        return self._session

    async def close(self) -> None:
        """End its connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class ScrapedMetrics:
    """Scrapes the trials of one study.

    Args:
        scraper: What asks; whoever made it closes it.
        interval: Seconds between two readings.
        at_once: How many trials of the study are asked at once.
    """

    def __init__(self, scraper: Scraper, interval: float = 0.3, at_once: int = SCRAPES_OF_A_STUDY.value) -> None:
        self._scraper = scraper
        self._interval = interval
        self._places = asyncio.Semaphore(at_once)
        self._trouble: Trouble | None = None

    @property
    def interval(self) -> float:
        """Seconds between two readings."""
        return self._interval

    async def read(self, trials: Sequence[Observed]) -> Mapping[int, Sequence[Sample]]:
        """Return the last samples of each trial that answers."""
        asked = [(trial.number, trial.metrics_url) for trial in trials if trial.metrics_url]
        scrapes = await asyncio.gather(*(self._get(url) for _, url in asked))
        read: dict[int, list[Sample]] = {}
        self._trouble = None
        for (number, _), scrape in zip(asked, scrapes, strict=True):
            if scrape is None:
                continue
            if scrape.cut and self._trouble is None:
                self._trouble = _too_long(number)
            samples = samples_in(scrape.text, number)
            if samples:
                read[number] = samples
            await asyncio.sleep(0)  # parsing takes time: others get their turn between two trials
        return read

    async def _get(self, url: str) -> Scrape | None:
        async with self._places:
            return await self._scraper.get(url)

    def trouble(self) -> Trouble | None:
        """Return what keeps trials from being read.

        One that does not answer has just begun, or ended; one that answers too much is to be mended.
        """
        return self._trouble


def _too_long(number: int) -> Trouble:
    return Trouble(
        Hindrance.METRICS,
        f"the /metrics of trial {number} is longer than {SCRAPE_BYTES.value // 1024} kB, and only its beginning is"
        " read: serve fewer metrics, or the program's own on another port",
    )


def _is_numeric(url: str) -> bool:
    """Tell whether a URL needs no name to be looked up, and no credentials are in it."""
    try:
        parts = urlsplit(url)
        ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return False
    return parts.scheme == "http" and "@" not in parts.netloc


def lines_of(text: str) -> str:
    """Return the lines that are a trial's, as many and as long as may be parsed."""
    kept: dict[str, list[str]] = {name: [] for name in _NAMES}
    for line in text.split("\n"):
        name, brace, _ = line[: SCRAPE_LINE.value].partition("{")
        lines = kept.get(name.rstrip(" \t"))
        if brace and lines is not None and len(line) <= SCRAPE_LINE.value and len(lines) < SCRAPE_METRICS.value:
            lines.append(line)
    return "".join(f"{line}\n" for lines in kept.values() for line in lines)


def samples_in(text: str, trial: int) -> list[Sample]:
    """Read one trial's samples from a scrape.

    Args:
        text: The scraped text.
        trial: The trial's number: samples of other trials are left out, should a port have changed hands.

    Returns:
        A sample per metric that has both a value and a step; empty for a text that is none of a trial.
    """
    values: dict[str, float] = {}
    steps: dict[str, int | None] = {}
    try:
        for family in text_string_to_metric_families(lines_of(text)):
            for sample in family.samples:
                metric = sample.labels.get("metric")
                if metric is None or sample.labels.get("trial") != str(trial):
                    continue
                if sample.name == METRIC_NAME:
                    values[metric] = sample.value
                elif sample.name == METRIC_STEP:
                    steps[metric] = step_of(sample.value)
    except ValueError as error:
        log.debug("trial %d: no Prometheus text: %s", trial, error)
        return []
    pairs = ((metric, steps.get(metric), value) for metric, value in values.items())
    return [Sample(metric, step, value) for metric, step, value in pairs if step is not None]
