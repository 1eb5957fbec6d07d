"""One study's loop: observe, plan, act, until nothing is left to do. Level-triggered.

Each turn looks at the whole study afresh and closes the gap between what is and what should be; events only end a
wait early. The storage owns the search, the runtime owns execution, and both are joined by the trial's number.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from kubestudy.api.status import Condition
from kubestudy.api.study import HyperparameterStudy
from kubestudy.planning.facts import Facts
from kubestudy.planning.plan import Plan, StopCause, plan
from kubestudy.planning.tally import Tally
from kubestudy.study.announcer import Announcer, Listener
from kubestudy.study.measuring import NO_EVALUATOR, Measuring
from kubestudy.study.outcome import (
    Complete,
    Failed,
    Outcome,
    Requeue,
    Stopped,
    outcome_of,
    to_be_measured,
)
from kubestudy.study.ports import ExpressionEvaluator, Metrics, Progress, Runtime, Search, Trouble
from kubestudy.study.readings import Readings
from kubestudy.study.trial import End, Observed, Suggestion, TrialPhase
from kubestudy.study.view import LiveTrial, View, status_of

log = logging.getLogger(__name__)

# Nothing that happens should go unnoticed for longer, even if its event was lost.
RESYNC_SECONDS = 30.0
STATUS_SECONDS = 0.25
# A trial that is preempted, evicted or lost runs again: at once, then after longer and longer waits.
INTERRUPTIONS_TOLERATED = 20
INTERRUPTION_SECONDS = 5.0
INTERRUPTION_LIMIT_SECONDS = 300.0

_GONE = End(succeeded=False, interrupted=True, reason="Gone", detail="it ended unobserved", result=None)

T = TypeVar("T")


class StudyLoop:
    """Runs one study.

    Args:
        study: The manifest. Assign a newer one to `study` at any time; the next turn goes by it.
        search: Where suggestions come from and trials are kept.
        runtime: What runs the trials.
        metrics: What reads them while they run.
        listener: Who is shown what happens.
        clock: Unix time.
        conditions: The conditions shown last, before this loop; their times stay while they do not change.
        evaluator: What evaluates the study's expressions; needed only where it has some.
    """

    def __init__(
        self,
        study: HyperparameterStudy,
        search: Search,
        runtime: Runtime,
        metrics: Metrics,
        listener: Listener,
        clock: Callable[[], float],
        conditions: Sequence[Condition] = (),
        evaluator: ExpressionEvaluator = NO_EVALUATOR,
    ) -> None:
        self.study = study
        self._search = search
        self._runtime = runtime
        self._readings = Readings(metrics, clock)
        self._measuring = Measuring(evaluator, clock)
        self._audience = listener
        self._now = clock
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._interrupted = False
        self._nudged = asyncio.Event()
        self._progress = Progress()
        self._tally = Tally()
        self._exhausted = False
        # Trials without an end, by number: those in `_live` are in the runtime's hands, the others wait.
        self._trials: dict[int, Suggestion] = {}
        self._live: dict[int, Observed] = {}
        self._stopping: dict[int, StopCause] = {}
        self._hopeless: set[int] = set()
        self._next_showing = 0.0
        self._conditions = conditions
        self._announcer = Announcer(listener)
        self._interruptions: dict[int, int] = {}
        self._not_before: dict[int, float] = {}

    def update(self, study: HyperparameterStudy) -> None:
        """Take a newer manifest; the next turn goes by it."""
        self.study = study
        self._nudged.set()

    def interrupt(self) -> None:
        """Stop the running trials in order and end the run; a later run goes on with them."""
        self._interrupted = True
        self._nudged.set()

    async def run(self) -> View:
        """Run until the study is over, or stands still because it is suspended or interrupted.

        Returns:
            The last state. Its phase is Complete, Failed or Suspended.

        Raises:
            StudyError: The storage or the runtime cannot go on; trials that run are left to the runtime's owner.
        """
        try:
            await self._recover()
            while True:
                decided = await self._turn()
                if decided.over or (decided.suspended and not self._live and not self._measuring.numbers):
                    # Whoever is told that it is over should find everything cleaned up.
                    await self._runtime.drain()
                    return self._show(decided)
                if self._now() >= self._next_showing:
                    self._show(decided)
                await self._pause(self._seconds_to_wait(decided))
        finally:
            await self._readings.close()
            await self._measuring.close()
            self._executor.shutdown(wait=False, cancel_futures=True)

    async def _off(self, call: Callable[[], T]) -> T:
        """Call the search in its own thread: Optuna is synchronous and can be slow."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    # --- after a restart -------------------------------------------------------------------------------------------

    async def _recover(self) -> None:
        def load() -> tuple[Progress, Tally, list[tuple[Suggestion, StopCause | None]], float]:
            search = self._search
            pending = [(u.suggestion, u.stop_cause) for u in search.unfinished()]
            return search.load_progress(), search.tally, pending, search.last_activity

        self._progress, self._tally, unfinished, last_activity = await self._off(load)
        seen = {trial.number for trial in await self._runtime.observe()}
        for suggestion, cause in unfinished:
            self._trials[suggestion.number] = suggestion
            if cause is not None:
                self._stopping[suggestion.number] = cause
        now = self._now()
        clock = self._progress.clock.recover(now, last_activity, bool(seen & self._trials.keys()))
        started = self._progress.started
        if not self.study.spec.suspend and (self._trials or (self._finished and self._progress.completed is None)):
            self._announcer.went_on(len(self._trials), self._finished)
        if started is None:
            self._announcer.started()
        await self._save_progress(replace(self._progress, clock=clock, started=now if started is None else started))
        # Told to stop, and nobody runs it any more: its end is known without running it again.
        await self._record([Observed(n, TrialPhase.ENDED, end=_GONE) for n in self._stopping if n not in seen])

    @property
    def _finished(self) -> int:
        tally = self._tally
        return tally.complete + tally.pruned + tally.failed + tally.stopped

    # --- one turn --------------------------------------------------------------------------------------------------

    async def _turn(self) -> Plan:
        observed = await self._runtime.observe()
        for trial in observed:
            await self._take_in(trial)
        ended = [trial for trial in observed if trial.end is not None and trial.number in self._trials]
        # Taken away from under the study: its Job was deleted by hand, its machine was lost.
        lost = self._live.keys() - {trial.number for trial in observed}
        known = self._known([*ended, *(Observed(number, TrialPhase.ENDED, end=_GONE) for number in sorted(lost))])
        await self._record(known)
        for trial in known:
            await self._runtime.forget(trial.number)
        await self._read_metrics()
        suspended = self.study.spec.suspend or self._interrupted
        facts = self._facts()
        decided = plan(self.study.spec, facts, suspended=suspended, capacity=self._runtime.capacity())
        await self._keep_time(decided, facts)
        await self._act(decided)
        return decided

    def _known(self, ended: Sequence[Observed]) -> list[Observed]:
        """Return those that ended of which it is known what they came to; the others are being measured."""
        spec = self.study.spec
        known = []
        for trial in ended:
            if to_be_measured(trial.end or _GONE, self._stopping.get(trial.number), spec):
                self._measuring.add(trial, spec.settling_seconds)
                self._live.pop(trial.number, None)
            elif trial.number not in self._measuring:
                known.append(trial)
        self._measuring.turn()
        return known + [trial for trial in self._measuring.trials if self._measuring.found(trial.number) is not None]

    async def _take_in(self, trial: Observed) -> None:
        number = trial.number
        if number not in self._trials:
            # Its end was recorded, but a restart came before the runtime could let go of it.
            await (self._runtime.stop(number) if trial.end is None else self._runtime.forget(number))
        elif trial.end is None and number not in self._measuring:
            self._live[number] = trial
            if number in self._stopping:
                await self._runtime.stop(number)

    async def _record(self, ended: Sequence[Observed]) -> None:
        """Record the ends of executions, each once: all that came together in one go to the search's thread."""
        outcomes = [(trial, self._outcome(trial)) for trial in ended]
        busy = {trial.number: self._readings.gpu_utilization(trial.number) for trial in ended}

        def record() -> list[Tally]:
            """Return the tally after each."""
            after = []
            for trial, outcome in outcomes:
                if trial.end is not None and trial.end.gpu_seconds:
                    self._search.spend(trial.number, trial.started or 0.0, trial.end.gpu_seconds)
                if not isinstance(outcome, Requeue):
                    self._search.tell(trial.number, outcome, busy[trial.number])
                after.append(self._search.tally)
            return after

        if not outcomes:
            return
        for (trial, outcome), tally in zip(outcomes, await self._off(record), strict=True):
            number, before, self._tally = trial.number, self._tally, tally
            self._look_for_curve(number, outcome)
            log.info("trial %d ended: %s", number, type(outcome).__name__)
            self._live.pop(number, None)
            self._stopping.pop(number, None)
            self._readings.drop(number)
            self._measuring.drop(number)
            self._hopeless.discard(number)
            if not isinstance(outcome, Requeue):
                del self._trials[number]
                self._interruptions.pop(number, None)
            self._announcer.ended(number, outcome, self.study.spec, better=before.front is not tally.front)

    def _look_for_curve(self, number: int, outcome: Outcome) -> None:
        """Tell, once, if there is a pruner and trials report nothing that it could go by."""
        if not self._search.prunes or not isinstance(outcome, Complete) or self._readings.has(number):
            return
        if not outcome.curve.get(self.study.spec.objectives[0].name):
            self._announcer.silent(number, self.study.spec)

    def _outcome(self, trial: Observed) -> Outcome:
        cause = self._stopping.get(trial.number)
        outcome = outcome_of(trial.end or _GONE, cause, self.study.spec, self._measuring.found(trial.number) or {})
        if isinstance(outcome, Requeue) and cause is None:
            outcome = self._after_interruption(trial.number, outcome)
        return outcome

    def _after_interruption(self, number: int, outcome: Requeue) -> Outcome:
        """Let a trial that was interrupted wait longer each time, and give it up when that has no end."""
        times = self._interruptions[number] = self._interruptions.get(number, 0) + 1
        if times > INTERRUPTIONS_TOLERATED:
            return Failed("InterruptedTooOften", f"it was interrupted {times} times; the last time: {outcome.why}", {})
        if times > 1:
            wait = min(INTERRUPTION_SECONDS * 2 ** (times - 2), INTERRUPTION_LIMIT_SECONDS)
            self._not_before[number] = self._now() + wait
            log.warning("trial %d was interrupted %d times: it runs again in %.0f s", number, times, wait)
        return outcome

    # --- metrics and pruning ---------------------------------------------------------------------------------------

    async def _read_metrics(self) -> None:
        """Take in a finished reading, begin the next when it is due, and see which trials are hopeless."""
        fresh = self._readings.finished(self._live, self.study.spec.objectives[0].name)
        self._readings.begin([t for t in self._live.values() if t.metrics_url and t.number not in self._stopping])
        if fresh and self._search.prunes:
            self._hopeless |= await self._off(partial(self._search.report, fresh))

    # --- acting ----------------------------------------------------------------------------------------------------

    async def _act(self, decided: Plan) -> None:
        for number, cause in decided.stop:
            if cause is not StopCause.SUSPENDED:
                await self._off(partial(self._search.mark_stopping, number, cause))
            self._stopping[number] = cause
            await self._runtime.stop(number)
        for number in decided.drop:
            await self._drop(number)
        for number in decided.relaunch:
            await self._launch(self._trials[number])
        for _ in range(decided.launch):
            suggestion = await self._off(self._search.ask)
            if suggestion is None:
                self._exhausted = True
                break
            self._trials[suggestion.number] = suggestion
            await self._launch(suggestion)

    def _held(self, now: float) -> frozenset[int]:
        """Return the trials whose wait after an interruption is not over."""
        self._not_before = {n: at for n, at in self._not_before.items() if at > now and n in self._trials}
        return frozenset(self._not_before)

    async def _launch(self, suggestion: Suggestion) -> None:
        await self._runtime.launch(suggestion)
        self._live[suggestion.number] = Observed(suggestion.number, TrialPhase.PENDING)

    async def _drop(self, number: int) -> None:
        await self._off(lambda: self._search.tell(number, Stopped({})))
        self._tally = self._search.tally
        del self._trials[number]

    # --- time ------------------------------------------------------------------------------------------------------

    async def _keep_time(self, decided: Plan, facts: Facts) -> None:
        now = self._now()
        progress = self._progress
        still = decided.over or (decided.suspended and not self._live)
        clock = progress.clock.pause(now) if still else progress.clock.start(now)
        ending_since = None
        end = decided.ending
        if end is not None and end.early:
            ending_since = progress.ending_since if progress.ending_since is not None else facts.seconds
        self._announcer.turned(decided, progress, len(self._trials), interrupted=self._interrupted)
        completed = None
        if decided.over:
            completed = progress.completed if progress.completed is not None else now
        changed = clock.paused != progress.clock.paused or ending_since != progress.ending_since
        if changed or completed != progress.completed:
            await self._save_progress(replace(progress, clock=clock, ending_since=ending_since, completed=completed))

    async def _save_progress(self, progress: Progress) -> None:
        await self._off(lambda: self._search.save_progress(progress))
        self._progress = progress

    async def _pause(self, seconds: float) -> None:
        """Wait for events, for a reading under way, or for time to pass."""
        runtime = asyncio.ensure_future(self._runtime.wait(seconds))
        nudge = asyncio.ensure_future(self._nudged.wait())
        try:
            reading, measuring = self._readings.under_way, self._measuring.under_way
            waits: set[asyncio.Future[Any]] = {runtime, nudge, *reading, *measuring}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if runtime.done():
                runtime.result()  # a runtime that is in trouble says so here
        finally:
            self._nudged.clear()
            for wait in (runtime, nudge):
                wait.cancel()
            await asyncio.gather(runtime, nudge, return_exceptions=True)

    def _seconds_to_wait(self, decided: Plan) -> float:
        """Seconds to wait for events before looking again anyway."""
        waits = [RESYNC_SECONDS, *(max(0.0, at - self._now()) for at in self._not_before.values())]
        waits += [seconds for seconds in (decided.wake_in, self._measuring.due_in()) if seconds is not None]
        if self._live:
            waits.append(self._readings.due_in(readable=any(t.metrics_url for t in self._live.values())))
        return max(0.01, min(waits))

    # --- facts and view --------------------------------------------------------------------------------------------

    def _facts(self) -> Facts:
        now = self._now()
        tally = self._tally
        running = sum(max(0.0, now - t.started) * t.gpus for t in self._live.values() if t.started is not None)
        measuring = sum(trial.end.gpu_seconds for trial in self._measuring.trials if trial.end is not None)
        return Facts(
            live=frozenset(self._live),
            stopping=frozenset(self._stopping),
            hopeless=frozenset(self._hopeless),
            measuring=self._measuring.numbers,
            queued=tuple(sorted(self._trials.keys() - self._live.keys() - self._measuring.numbers)),
            held=self._held(now),
            complete=tally.complete,
            infeasible=tally.infeasible,
            pruned=tally.pruned,
            failed=tally.failed,
            stopped=tally.stopped,
            since_improvement=tally.since_improvement,
            target_reached=tally.target_reached,
            exhausted=self._exhausted or self._search.exhausted,
            seconds=self._progress.clock.read(now),
            gpu_seconds=tally.gpu_seconds + running + measuring,
            ending_since=self._progress.ending_since,
            last_failure=tally.last_failure,
        )

    def _trouble(self) -> Trouble | None:
        """Return what is wrong, and tell of it when it is new."""
        trouble = self._runtime.trouble() or self._readings.trouble() or self._measuring.trouble()
        self._announcer.troubled(trouble)
        return trouble

    def _show(self, decided: Plan) -> View:
        now = self._now()
        live = [self._live_trial(trial) for trial in [*self._live.values(), *self._measuring.trials]]
        status = status_of(
            self.study,
            self._tally,
            self._facts(),
            decided,
            self._progress,
            live,
            now,
            self._conditions,
            self._trouble(),
            self._runtime.job_of,
        )
        self._conditions = status.conditions
        view = View(status, live)
        self._audience.show(view)
        self._next_showing = now + STATUS_SECONDS
        return view

    def _live_trial(self, trial: Observed) -> LiveTrial:
        samples = self._readings.latest(trial.number)
        return LiveTrial(
            number=trial.number,
            phase=TrialPhase.MEASURING if trial.end is not None else trial.phase,
            started=trial.started,
            params=self._trials[trial.number].params,
            step=max((sample.step for sample in samples.values()), default=None),
            values={sample.metric: sample.value for sample in samples.values()},
            stopping=trial.number in self._stopping,
        )
