"""Trials that ended well and wait for what Prometheus has of them: evaluated in the background of the loop's turns.

A restart forgets what is here and loses nothing: the runtime shows such a trial as ended until its end is recorded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kubestudy.planning.backoff import Backoff
from kubestudy.study.outcome import Measures, Unmeasured
from kubestudy.study.ports import ExpressionEvaluator, MeasureError, Trouble
from kubestudy.study.trial import Observed

log = logging.getLogger(__name__)

_BACKOFF = Backoff(first=2.0, limit=60.0)


class _NoEvaluator:
    """Where there is no Prometheus: whatever has expressions was refused before."""

    settling = 0.0

    async def measure(self, trial: Observed) -> Mapping[str, float]:
        raise MeasureError("NoPrometheus", f"trial {trial.number} cannot be measured: no Prometheus is configured")


NO_EVALUATOR: ExpressionEvaluator = _NoEvaluator()


@dataclass(slots=True)
class _Wait:
    """One trial that is being measured.

    Attributes:
        trial: How it ended.
        due: Unix time of the next attempt.
        attempts: How many failed in a row, for the same reason.
        reason: That reason.
        task: The attempt under way.
        found: What came of it.
    """

    trial: Observed
    due: float
    attempts: int = 0
    reason: str = ""
    task: asyncio.Task[Mapping[str, float]] | None = None
    found: Measures | None = None


class Measuring:
    """The trials of one study that are being measured.

    Args:
        evaluator: What evaluates expressions.
        clock: Unix time.
    """

    def __init__(self, evaluator: ExpressionEvaluator, clock: Callable[[], float]) -> None:
        self._evaluator = evaluator
        self._now = clock
        self._waits: dict[int, _Wait] = {}
        self._trouble: Trouble | None = None

    @property
    def numbers(self) -> frozenset[int]:
        """The trials that are being measured, or whose numbers nobody has taken yet."""
        return frozenset(self._waits)

    def __contains__(self, number: int) -> bool:
        return number in self._waits

    @property
    def trials(self) -> list[Observed]:
        """The same, as they ended."""
        return [wait.trial for wait in self._waits.values()]

    @property
    def under_way(self) -> set[asyncio.Task[Mapping[str, float]]]:
        """The attempts under way, to be waited for."""
        return {wait.task for wait in self._waits.values() if wait.task is not None}

    def trouble(self) -> Trouble | None:
        """Return what keeps trials from being measured, if anything does."""
        return self._trouble

    def found(self, number: int) -> Measures | None:
        """Return what a trial came to; None while nobody knows."""
        wait = self._waits.get(number)
        return None if wait is None else wait.found

    def add(self, trial: Observed, settling: float | None) -> None:
        """Take a trial that ended; one that is here already stays as it is.

        Args:
            trial: How it ended.
            settling: Seconds after its end of the first attempt; the evaluator's own if None.
        """
        if trial.number not in self._waits:
            now = self._now()
            ended = trial.end.at if trial.end is not None and trial.end.at is not None else now
            wait = self._evaluator.settling if settling is None else settling
            self._waits[trial.number] = _Wait(trial, min(ended, now) + wait)

    def drop(self, number: int) -> None:
        """Forget a trial whose end was recorded."""
        self._waits.pop(number, None)
        if not self._waits:
            self._trouble = None

    def turn(self) -> None:
        """Take in what is done, and begin what is due."""
        now = self._now()
        for number, wait in self._waits.items():
            if wait.task is not None and wait.task.done():
                self._take_in(number, wait)
            if wait.task is None and wait.found is None and wait.due <= now:
                wait.task = asyncio.ensure_future(self._evaluator.measure(wait.trial))

    def _take_in(self, number: int, wait: _Wait) -> None:
        task, wait.task = wait.task, None
        try:
            wait.found = task.result() if task is not None else None
            self._trouble = None
        except MeasureError as error:
            wait.attempts = wait.attempts + 1 if error.reason == wait.reason else 1
            wait.reason = error.reason
            told = f"{error}; finished trials wait for it"
            self._trouble = Trouble("MetricsUnavailable", told) if error.unavailable else None
            if wait.attempts >= error.attempts:
                wait.found = Unmeasured(error.reason, str(error))
                return
            pause = _BACKOFF.after(wait.attempts)
            wait.due = self._now() + pause
            log.warning("trial %d is not measured yet: %s; again in %.0f s", number, error, pause)
        except Exception as error:  # whatever a server answers, other trials go on
            log.exception("trial %d cannot be measured", number)
            wait.found = Unmeasured("MeasurementFailed", f"{type(error).__name__}: {error}; the log says more")

    def due_in(self) -> float | None:
        """Return after how many seconds the next attempt is due; None if none is."""
        due = [w.due for w in self._waits.values() if w.task is None and w.found is None]
        return max(0.0, min(due) - self._now()) if due else None

    async def close(self) -> None:
        """Give up the attempts under way."""
        for task in self.under_way:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
