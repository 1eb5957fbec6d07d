"""Whole studies, driven by `plan` alone through any order of events; nothing of it depends on Optuna or a runtime."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kubestudy.api.study import StudySpec
from kubestudy.planning.clock import StudyClock
from kubestudy.planning.facts import Facts
from kubestudy.planning.plan import Plan, StopCause, plan
from kubestudy.planning.tally import Scored, Tally
from support.manifests import LOSS, spec_of


class StudyController(RuleBasedStateMachine):
    """A study whose trials are numbers; `act` does what the loop does with a plan."""

    @initialize(
        max_trials=st.integers(1, 8),
        parallelism=st.integers(1, 4),
        patience=st.none() | st.integers(1, 5),
        max_failed=st.none() | st.integers(1, 4),
        duration=st.none() | st.integers(50, 300),
        grace=st.none() | st.integers(0, 40),
        aim=st.none() | st.just(1.0),
    )
    def begin(
        self,
        max_trials: int,
        parallelism: int,
        patience: int | None,
        max_failed: int | None,
        duration: int | None,
        grace: int | None,
        aim: float | None,
    ) -> None:
        budget: dict[str, Any] = {
            "maxTrials": max_trials,
            "patience": patience,
            "maxFailedTrials": max_failed,
            "maxDuration": None if duration is None else f"{duration}s",
            "gracePeriod": None if grace is None else f"{grace}s",
        }
        self.spec: StudySpec = spec_of(
            objectives=[LOSS if aim is None else {**LOSS, "target": aim}],
            parallelism=parallelism,
            budget={key: value for key, value in budget.items() if value is not None},
        )
        self.most_trials = max_trials
        self.now = 1e9
        self.clock = StudyClock().start(self.now)
        self.last_activity = self.now
        self.suspended = False
        self.tally = Tally()
        self.asked = 0
        self.live: set[int] = set()
        self.queued: set[int] = set()
        self.stopping: dict[int, StopCause] = {}
        self.hopeless: set[int] = set()
        self.ends: dict[int, str] = {}
        self.ending_since: float | None = None
        self.over = False
        self.last_reading = 0.0

    # --- the loop's side ---------------------------------------------------------------------------------------

    def facts(self) -> Facts:
        tally = self.tally
        return Facts(
            live=frozenset(self.live),
            stopping=frozenset(self.stopping),
            hopeless=frozenset(self.hopeless),
            queued=tuple(sorted(self.queued)),
            complete=tally.complete,
            pruned=tally.pruned,
            failed=tally.failed,
            stopped=tally.stopped,
            since_improvement=tally.since_improvement,
            target_reached=tally.target_reached,
            seconds=self.clock.read(self.now),
            ending_since=self.ending_since,
            last_failure=tally.last_failure,
        )

    def turn(self) -> Plan:
        facts = self.facts()
        decided = plan(self.spec, facts, suspended=self.suspended)
        still = decided.over or (decided.suspended and not self.live)
        self.clock = self.clock.pause(self.now) if still else self.clock.start(self.now)
        early = decided.ending is not None and decided.ending.early
        self.ending_since = (self.ending_since or facts.seconds) if early else None
        if self.suspended or decided.ending is not None:
            assert decided.launch == 0, "nothing new while ending or suspended"
        if self.suspended:
            assert not decided.relaunch
        if decided.launch:
            assert set(decided.relaunch) == self.queued, "queued trials go first"
        for number, cause in decided.stop:
            assert number in self.live and number not in self.stopping, "told to stop once"
            self.stopping[number] = cause
        for number in decided.drop:
            self.queued.remove(number)
            self.end(number, "stopped")
        before = len(self.live)
        for number in decided.relaunch:
            self.queued.remove(number)
            self.live.add(number)
        for _ in range(decided.launch):
            self.live.add(self.asked)
            self.asked += 1
        assert len(self.live) <= max(before, self.spec.parallelism), "never more at once than allowed"
        self.over = decided.over
        if self.over:
            assert not self.live and not self.queued, "over only when nothing is left"
        return decided

    def end(self, number: int, how: str, value: float = 0.0) -> None:
        assert number not in self.ends, "each trial ends once"
        self.ends[number] = how
        self.last_activity = self.now
        match how:
            case "complete":
                self.tally = self.tally.with_complete(self.spec.objectives, Scored(number, (value,), {}))
            case "pruned":
                self.tally = self.tally.with_pruned()
            case "failed":
                self.tally = self.tally.with_failed("why")
            case _:
                self.tally = self.tally.with_stopped()

    def leave(self, number: int) -> StopCause | None:
        self.live.remove(number)
        self.hopeless.discard(number)
        return self.stopping.pop(number, None)

    def stops(self, number: int) -> None:
        """A trial that was told to stop has stopped."""
        cause = self.leave(number)
        if cause is StopCause.SUSPENDED:
            self.queued.add(number)
        else:
            self.end(number, "pruned" if cause is StopCause.PRUNED else "stopped")

    # --- what may happen ---------------------------------------------------------------------------------------

    @rule()
    def look(self) -> None:
        self.turn()

    @rule(seconds=st.integers(1, 60))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        self.turn()

    @precondition(lambda self: self.live)
    @rule(data=st.data(), value=st.integers(0, 9))
    def one_completes(self, data: st.DataObject, value: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.live)))
        self.leave(number)
        self.end(number, "complete", float(value))
        self.turn()

    @precondition(lambda self: self.live - self.stopping.keys())
    @rule(data=st.data(), how=st.sampled_from(["failed", "interrupted", "hopeless"]))
    def one_fails_or_is_lost_or_lags(self, data: st.DataObject, how: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.live - self.stopping.keys())))
        if how == "hopeless":
            self.hopeless.add(number)
        else:
            self.leave(number)
            if how == "failed":
                self.end(number, "failed")
            else:
                self.queued.add(number)
        self.turn()

    @precondition(lambda self: self.stopping)
    @rule(data=st.data())
    def one_stops(self, data: st.DataObject) -> None:
        self.stops(data.draw(st.sampled_from(sorted(self.stopping))))
        self.turn()

    @rule(suspended=st.booleans())
    def suspend_or_resume(self, suspended: bool) -> None:
        self.suspended = suspended
        self.turn()

    @rule(away=st.integers(0, 100), survives=st.booleans())
    def crash_and_restart(self, away: int, survives: bool) -> None:
        """Suspension's cause is not kept; trials either went on meanwhile or were lost."""
        self.now += away
        kept: dict[int, StopCause] = {
            n: cause for n, cause in self.stopping.items() if cause is not StopCause.SUSPENDED
        }
        lost = set() if survives else set(self.live)
        self.clock = self.clock.recover(self.now, self.last_activity, bool(self.live - lost))
        for number in lost:
            self.live.remove(number)
            cause = kept.pop(number, None)
            if cause is None:
                self.queued.add(number)
            else:
                self.end(number, "pruned" if cause is StopCause.PRUNED else "stopped")
        self.stopping = kept
        self.hopeless = set()
        self.last_reading = min(self.last_reading, self.clock.read(self.now)) if lost else self.last_reading
        self.turn()

    @rule(parallelism=st.integers(1, 4))
    def change_parallelism(self, parallelism: int) -> None:
        self.spec = self.spec.model_copy(update={"parallelism": parallelism})
        self.turn()

    @rule(more=st.integers(0, 3))
    def raise_the_budget(self, more: int) -> None:
        self.most_trials += more
        self.spec = self.spec.model_copy(
            update={"budget": self.spec.budget.model_copy(update={"max_trials": self.most_trials})}
        )
        self.turn()

    # --- what must hold ----------------------------------------------------------------------------------------

    @invariant()
    def numbers_are_accounted_for(self) -> None:
        if hasattr(self, "ends"):
            everyone = [*self.live, *self.queued, *self.ends]
            assert sorted(everyone) == list(range(self.asked)), "none lost, none twice"
            assert self.asked <= self.most_trials, "never more than maxTrials"
            assert self.stopping.keys() <= self.live

    @invariant()
    def the_clock_goes_forward(self) -> None:
        if hasattr(self, "ends"):
            reading = self.clock.read(self.now)
            assert reading >= self.last_reading
            self.last_reading = reading

    def teardown(self) -> None:
        """Whatever happened, a study that is let run comes to its end."""
        if not hasattr(self, "ends"):
            return
        self.suspended = False
        for _ in range(200):
            self.turn()
            if self.over:
                break
            self.now += 10
            for number in sorted(self.stopping):
                self.stops(number)
            for number in sorted(self.live)[:1]:
                self.leave(number)
                self.end(number, "complete", 5.0)
        assert self.over, "the study never ends"
        again = plan(self.spec, replace(self.facts(), ending_since=self.ending_since))
        assert again.over, "what is over stays over"


StudyController.TestCase.settings = settings(
    max_examples=120, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAnyStudy = StudyController.TestCase
