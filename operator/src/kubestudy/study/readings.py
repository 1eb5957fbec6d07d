"""What running trials report, read in the background of the loop's turns: a slow reading never holds one up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container, Mapping, Sequence

from kubestudy.api.contract import DCGM_UTILIZATION
from kubestudy.api.reasons import Hindrance
from kubestudy.api.text import clean
from kubestudy.study.ports import Metrics, Trouble
from kubestudy.study.trial import Observed, Sample

log = logging.getLogger(__name__)


class Readings:
    """The last samples of each running trial.

    Args:
        metrics: What reads them.
        clock: Unix time.
    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._now = clock
        self._reading: asyncio.Future[Mapping[int, Sequence[Sample]]] | None = None
        self._next = 0.0
        self._trouble: Trouble | None = None
        self._samples: dict[int, dict[str, Sample]] = {}
        self._steps: dict[int, int] = {}
        # By trial: how many readings told how busy its GPUs are, and the sum of what they told.
        self._busy: dict[int, tuple[int, float]] = {}

    @property
    def under_way(self) -> set[asyncio.Future[Mapping[int, Sequence[Sample]]]]:
        """The reading under way, to be waited for; empty if there is none."""
        return set() if self._reading is None else {self._reading}

    def trouble(self) -> Trouble | None:
        """Return what keeps trials from being read, if anything does."""
        return self._trouble or self._metrics.trouble()

    def latest(self, number: int) -> Mapping[str, Sample]:
        """Return a trial's last samples by metric."""
        return self._samples.get(number, {})

    def has(self, number: int) -> bool:
        """Tell whether a trial reported the objective while it ran."""
        return number in self._steps

    def drop(self, number: int) -> None:
        """Forget a trial that ended."""
        self._samples.pop(number, None)
        self._steps.pop(number, None)
        self._busy.pop(number, None)

    def gpu_utilization(self, number: int) -> float | None:
        """Return how busy a trial's GPUs were on average, in percent; None if nobody told."""
        count, total = self._busy.get(number, (0, 0.0))
        return total / count if count else None

    def finished(self, live: Container[int], metric: str) -> list[tuple[int, Sample]]:
        """Take in a reading that is done.

        Args:
            live: The trials that live now.
            metric: The objective.

        Returns:
            By trial, the objective's samples of steps that were not seen before.
        """
        if self._reading is None or not self._reading.done():
            return []
        fresh = []
        for number, samples in self._taken(self._reading).items():
            if number not in live:
                continue
            self._samples[number] = {sample.metric: sample for sample in samples}
            self._note_gpus(number)
            sample = self._samples[number].get(metric)
            if sample is not None and sample.step > self._steps.get(number, -1):
                self._steps[number] = sample.step
                fresh.append((number, sample))
        return fresh

    def _taken(self, done: asyncio.Future[Mapping[int, Sequence[Sample]]]) -> Mapping[int, Sequence[Sample]]:
        """Return what a reading brought; whatever is wrong with one delays pruning, and ends no study."""
        self._reading, self._trouble = None, None
        try:
            return done.result()
        except Exception as error:
            log.exception("running trials cannot be read")
            said = clean(f"{type(error).__name__}: {error}")
            self._trouble = Trouble(Hindrance.INTERNAL, f"running trials cannot be read: {said}; the log says more")
            return {}

    def _note_gpus(self, number: int) -> None:
        sample = self._samples[number].get(DCGM_UTILIZATION)
        if sample is not None:
            count, total = self._busy.get(number, (0, 0.0))
            self._busy[number] = (count + 1, total + sample.value)

    def begin(self, readable: Sequence[Observed]) -> None:
        """Begin the next reading, if it is due."""
        now = self._now()
        not_due = now < self._next <= now + self._metrics.interval
        if self._reading is None and readable and not not_due:
            self._reading = asyncio.ensure_future(self._metrics.read(readable))
            self._next = now + self._metrics.interval

    def due_in(self, *, readable: bool) -> float:
        """Return after how many seconds the loop should look again, while trials live."""
        return max(0.0, self._next - self._now()) if self._reading is None and readable else self._metrics.interval

    async def close(self) -> None:
        """Give up a reading under way."""
        for reading in self.under_way:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
