"""One study's loop: observe, classify, record, plan, act, announce, until nothing is left to do. Level-triggered.

Each turn looks at the whole study afresh and closes the gap between what is and what should be; events only end a
wait early. The storage owns the search, the runtime owns execution, and both are joined by the trial's number.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from kubestudy.api.limits import ASKS_PER_TURN, SECONDS_PER_TURN, STEPS_PER_TURN
from kubestudy.api.status import Condition
from kubestudy.api.study import HyperparameterStudy
from kubestudy.planning.facts import Facts
from kubestudy.planning.plan import Plan, StopCause, plan
from kubestudy.planning.starts import Starts
from kubestudy.planning.tally import Tally
from kubestudy.study.active import GONE, ActiveTrial, Stage, classify, facts_of, living, on_their_way
from kubestudy.study.announcer import Announcer, Listener
from kubestudy.study.conclusion import conclude
from kubestudy.study.measuring import NO_EVALUATOR, Measuring
from kubestudy.study.outcome import Complete, Failed, Outcome, Requeue, Stopped, to_be_measured
from kubestudy.study.own_thread import OwnThread
from kubestudy.study.ports import ExpressionEvaluator, Metrics, Runtime, Search, Worker
from kubestudy.study.progress import Progress, after_plan, recovered
from kubestudy.study.readings import Readings
from kubestudy.study.trial import Observed, Suggestion, TrialPhase
from kubestudy.study.view import View, live_trial, status_of, trouble_of

log = logging.getLogger(__name__)

# Nothing that happens should go unnoticed for longer, even if its event was lost.
RESYNC_SECONDS = 30.0
STATUS_SECONDS = 0.25
_SHORTEST_WAIT_SECONDS = 0.01


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
        worker: Where the search is called: Optuna is synchronous and can be slow. A thread of its own if left out.
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
        worker: Worker | None = None,
    ) -> None:
        self.study = study
        self._search = search
        self._runtime = runtime
        self._readings = Readings(metrics, clock)
        self._measuring = Measuring(evaluator, clock)
        self._listener = listener
        self._announcer = Announcer(listener)
        self._now = clock
        self._worker = OwnThread() if worker is None else worker
        self._nudged = asyncio.Event()
        self._interrupted = False
        # What is known of the study, each in one place: its own record, its finished trials, its trials without an end.
        self._progress = Progress()
        self._tally = Tally()
        self._trials: dict[int, ActiveTrial] = {}
        self._starts = Starts()
        self._exhausted = False
        self._conditions = conditions
        self._next_showing = 0.0

    def update(self, study: HyperparameterStudy) -> None:
        """Take a newer manifest; the next turn goes by it."""
        if study.spec.job_template != self.study.spec.job_template:
            self._starts = Starts()  # what kept trials from starting may be mended
        self.study = study
        self._nudged.set()

    def interrupt(self) -> None:
        """Stop the running trials and end the run; a later run goes on with them."""
        self._interrupted = True
        self._nudged.set()

    async def run(self) -> View:
        """Run until the study is over, or stands still because it is suspended or interrupted.

        Returns:
            The last state. Its phase is Complete, Failed or Suspended, by the newest manifest that it was given.

        Raises:
            StudyError: The storage or the runtime cannot go on; trials that run are left to the runtime's owner.
        """
        try:
            await self._recover()
            while True:
                observed = await self._runtime.observe()
                ended = await self._classify(observed)
                await self._record(ended[: STEPS_PER_TURN.value])
                await self._prune()
                facts, decided = self._plan()
                more = len(ended) > STEPS_PER_TURN.value
                more = await self._act(facts, decided) or more
                if more:
                    await self._breathe(decided)
                    continue
                if decided.over or (decided.suspended and not any(t.stage is not Stage.QUEUED for t in self._active)):
                    # Whoever is told that it is over should find everything cleaned up.
                    await self._runtime.drain()
                    if not self._nudged.is_set():
                        return self._announce(decided)
                    # A newer manifest came meanwhile: whether it is over is to be decided by that.
                    self._nudged.clear()
                    continue
                if self._now() >= self._next_showing:
                    self._announce(decided)
                await self._pause(self._seconds_to_wait(decided))
        finally:
            await self._readings.close()
            await self._measuring.close()
            self._worker.close()

    async def _breathe(self, decided: Plan) -> None:
        """Show the study and let others run between two turns, where one turn is not enough for all there is to do."""
        if self._now() >= self._next_showing:
            self._announce(replace(decided, over=False))
        await self._pause(_SHORTEST_WAIT_SECONDS)

    @property
    def _active(self) -> Sequence[ActiveTrial]:
        return list(self._trials.values())

    def _change(self, number: int, **changes: Any) -> None:
        self._trials[number] = replace(self._trials[number], **changes)

    # --- after a restart -------------------------------------------------------------------------------------------

    async def _recover(self) -> None:
        def load() -> tuple[Progress, Tally, dict[int, ActiveTrial], float]:
            search = self._search
            found = [ActiveTrial(known.suggestion, stop_cause=known.stop_cause) for known in search.unfinished()]
            return search.load_progress(), search.tally, {t.number: t for t in found}, search.last_activity

        self._progress, self._tally, self._trials, last_activity = await self._worker.call(load)
        await self._runtime.expect([trial.suggestion for trial in self._active])
        seen = {trial.number for trial in await self._runtime.observe()}
        now, before = self._now(), self._progress
        finished = self._tally.finished
        if not self.study.spec.suspend and (self._trials or (finished and before.completed is None)):
            self._announcer.went_on(len(self._trials), finished)
        if before.started is None:
            self._announcer.started()
        anything_ran, failed = bool(seen & self._trials.keys()), self._tally.failed
        await self._save_progress(recovered(before, now, last_activity, anything_ran=anything_ran, failed=failed))
        # Told to stop, and nobody runs it any more: its end is known without running it again.
        told = [t.number for t in self._active if t.stop_cause is not None and t.number not in seen]
        for at in range(0, len(told), STEPS_PER_TURN.value):
            these = told[at : at + STEPS_PER_TURN.value]
            await self._record([Observed(number, TrialPhase.ENDED, end=GONE) for number in these])

    # --- classify --------------------------------------------------------------------------------------------------

    async def _classify(self, observed: Sequence[Observed]) -> list[Observed]:
        """Join what the runtime shows with the records; return the trials of which it is known what they came to."""
        look = classify(self._trials, observed)
        self._trials = dict(look.trials)
        for _ in look.started:
            self._starts = self._starts.after_start()
        for stranger in look.strangers:
            await (self._runtime.stop if stranger.end is None else self._runtime.forget)(stranger.number)
        spec, known = self.study.spec, []
        for trial in look.ended:
            if to_be_measured(trial.end or GONE, self._trials[trial.number].stop_cause, spec):
                self._measuring.add(trial, spec.settling_seconds)
                self._change(trial.number, stage=Stage.MEASURING, observed=trial)
            else:
                known.append(trial)
        self._measuring.turn()
        return known + [trial for trial in self._measuring.trials if self._measuring.found(trial.number) is not None]

    # --- record ----------------------------------------------------------------------------------------------------

    async def _record(self, ended: Sequence[Observed]) -> None:
        """Record the ends of executions, each once: all that came together in one go to the search's thread."""
        if not ended:
            return
        outcomes = [(trial, self._conclude(trial)) for trial in ended]
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

        for (trial, outcome), tally in zip(outcomes, await self._worker.call(record), strict=True):
            before, self._tally = self._tally, tally
            self._tell_of_end(trial.number, outcome, better=before.front is not tally.front)
            self._let_go(trial.number, outcome)
            await self._runtime.forget(trial.number, failed=isinstance(outcome, Failed))

    def _conclude(self, ended: Observed) -> Outcome:
        """Decide what becomes of a trial, and keep what its end says of how trials start."""
        number, now = ended.number, self._now()
        measures = self._measuring.found(number) or {}
        concluded = conclude(self._trials[number], ended, self._starts, self.study.spec, measures, now)
        self._trials[number], self._starts = concluded.trial, concluded.starts
        if isinstance(concluded.outcome, Requeue) and concluded.trial.not_before > now:
            wait = concluded.trial.not_before - now
            log.warning("trial %d runs again in %.0f s: %s", number, wait, concluded.outcome.why)
        return concluded.outcome

    def _tell_of_end(self, number: int, outcome: Outcome, *, better: bool) -> None:
        log.info("trial %d ended: %s", number, type(outcome).__name__)
        unseen = self._search.prunes and not self._readings.has(number)
        if unseen and isinstance(outcome, Complete) and not outcome.curve.get(self.study.spec.objectives[0].name):
            self._announcer.silent(number, self.study.spec)  # a pruner, and nothing that it could go by
        self._announcer.ended(number, outcome, self.study.spec, better=better)

    def _let_go(self, number: int, outcome: Outcome) -> None:
        self._readings.drop(number)
        self._measuring.drop(number)
        if isinstance(outcome, Requeue):
            self._trials[number] = self._trials[number].queued()
        else:
            del self._trials[number]

    # --- metrics and pruning ---------------------------------------------------------------------------------------

    async def _prune(self) -> None:
        """Take in a finished reading, begin the next when it is due, and note which trials are hopeless."""
        live = living(self._trials)
        fresh = self._readings.finished({trial.number for trial in live}, self.study.spec.objectives[0].name)
        readable = [t for t in live if t.metrics_url and self._trials[t.number].stop_cause is None]
        self._readings.begin(readable)
        if fresh and self._search.prunes:
            for number in await self._worker.call(partial(self._search.report, fresh)):
                self._change(number, hopeless=True)

    # --- plan ------------------------------------------------------------------------------------------------------

    def _plan(self) -> tuple[Facts, Plan]:
        facts = self._facts()
        way = on_their_way(self._trials)
        self._starts = self._starts.after_look(way)
        allowed, capacity = self._starts.allowed(way, self._now()), self._runtime.capacity()
        suspended = self.study.spec.suspend or self._interrupted
        return facts, plan(
            self.study.spec,
            facts,
            suspended=suspended,
            capacity=allowed if capacity is None else min(allowed, capacity),
        )

    def _facts(self) -> Facts:
        exhausted = self._exhausted or self._search.exhausted
        return facts_of(
            self._trials, self._tally, self._progress, self._now(), self._measuring.trials, exhausted=exhausted
        )

    # --- act -------------------------------------------------------------------------------------------------------

    async def _act(self, facts: Facts, decided: Plan) -> bool:
        """Do what was decided, as far as one turn goes; return whether something of it is left for the next."""
        self._announcer.turned(decided, self._progress, len(self._trials), interrupted=self._interrupted)
        progress = after_plan(self._progress, decided, facts, self._now())
        if progress != self._progress:
            await self._save_progress(progress)
        for trial in self._active:
            if trial.stage is Stage.LIVE and trial.stop_cause is not None:
                await self._runtime.stop(trial.number)  # told before, perhaps by a run that was killed
        most = STEPS_PER_TURN.value
        for number, cause in decided.stop[:most]:
            await self._stop(number, cause)
        for number in decided.drop[:most]:
            await self._drop(number)
        for number in decided.relaunch[:most]:
            await self._launch(self._trials[number].suggestion)
        asked = await self._ask(decided.launch)
        left = max(map(len, (decided.stop, decided.drop, decided.relaunch))) > most
        return left or (asked < decided.launch and not self._exhausted)

    async def _ask(self, wanted: int) -> int:
        """Ask for trials and launch them, as many as a turn has time for; return how many."""
        until = self._now() + SECONDS_PER_TURN.value
        for asked in range(min(wanted, ASKS_PER_TURN.value)):
            suggestion = await self._worker.call(self._search.ask)
            if suggestion is None:
                self._exhausted = True
                return asked
            await self._launch(suggestion)
            if self._now() >= until:
                return asked + 1
        return min(wanted, ASKS_PER_TURN.value)

    async def _stop(self, number: int, cause: StopCause) -> None:
        """Tell a trial to stop; why is recorded before, unless a restart would decide it anew anyway."""
        if cause is not StopCause.SUSPENDED:
            await self._worker.call(partial(self._search.mark_stopping, number, cause))
        self._change(number, stop_cause=cause)
        await self._runtime.stop(number)

    async def _launch(self, suggestion: Suggestion) -> None:
        number = suggestion.number
        self._trials.setdefault(number, ActiveTrial(suggestion))
        await self._runtime.launch(suggestion)
        self._trials[number] = self._trials[number].launched()
        self._starts = self._starts.after_launch()

    async def _drop(self, number: int) -> None:
        await self._worker.call(lambda: self._search.tell(number, Stopped({})))
        self._tally = self._search.tally
        del self._trials[number]

    async def _save_progress(self, progress: Progress) -> None:
        await self._worker.call(lambda: self._search.save_progress(progress))
        self._progress = progress

    # --- announce --------------------------------------------------------------------------------------------------

    def _announce(self, decided: Plan) -> View:
        now = self._now()
        trouble = trouble_of(self._starts, living(self._trials), self._readings.trouble(), self._measuring.trouble())
        self._announcer.troubled(trouble)
        shown = [trial for trial in self._active if trial.stage is not Stage.QUEUED]
        live = [live_trial(trial, self._readings.latest(trial.number)) for trial in shown]
        status = status_of(
            self.study, self._tally, self._facts(), decided, self._progress, live, now, self._conditions, trouble,
            self._runtime.job_of,
        )  # fmt: skip
        self._conditions = status.conditions
        view = View(status, live)
        self._listener.show(view)
        # What grows with the number of trials takes a twentieth of the time at most.
        self._next_showing = now + max(STATUS_SECONDS, 20 * (self._now() - now))
        return view

    # --- wait ------------------------------------------------------------------------------------------------------

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
        """Return after how long time alone may change something."""
        now = self._now()
        at = [trial.not_before for trial in self._active if trial.stage is Stage.QUEUED and trial.not_before > now]
        if self._starts.blocked and self._starts.retry_at > now:
            at.append(self._starts.retry_at)
        waits = [RESYNC_SECONDS, *(moment - now for moment in at)]
        waits += [seconds for seconds in (decided.wake_in, self._measuring.due_in()) if seconds is not None]
        live = living(self._trials)
        if live:
            waits.append(self._readings.due_in(readable=any(trial.metrics_url for trial in live)))
        return max(_SHORTEST_WAIT_SECONDS, min(waits))
