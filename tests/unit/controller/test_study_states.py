"""A study's life as states: every order of changes, verdicts, ends and troubles. Pure, nothing is run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubestudy.api.reasons import Ended as EndReason
from kubestudy.api.reasons import Hindrance
from kubestudy.controller.inbox import Inbox, Version
from kubestudy.controller.study_states import (
    Admit,
    Admitting,
    BackingOff,
    Broke,
    Changed,
    Elapsed,
    Ended,
    Fact,
    Freed,
    Judged,
    Postponed,
    Refused,
    Renew,
    Request,
    Run,
    Running,
    Settled,
    State,
    Suspect,
    TakenAway,
    TellRejected,
    TellTrouble,
    Waiting,
    Yield,
    Yielding,
    due,
    hindrance,
    takes_changes,
)
from kubestudy.controller.study_steps import BACKOFF, YIELD_SECONDS, begin, step
from kubestudy.controller.verdicts import Admitted, Delayed, Rejected, Runnable, Verdict, Yielded
from kubestudy.planning.custody import Custody, Theirs
from kubestudy.study.ports import Trouble

INVALID = Trouble(EndReason.INVALID_SPEC, "spec.budget is missing")
AWAY = Trouble(Hindrance.API_SERVER, "the API server does not answer")
STORAGE = Trouble(Hindrance.STORAGE, "the volume is full")


def version(generation: int) -> Version:
    return Version(generation, {})


def runnable(generation: int) -> Runnable:
    """Return what stands for a study of a generation here: the generation."""
    return cast("Runnable", generation)


def running(generation: int = 1, **more: Any) -> Running:
    return Running(version(generation), 0.0, **more)


def follow(state: State, *facts: Fact, now: float = 0.0) -> tuple[State, list[Request]]:
    requests: list[Request] = []
    for fact in facts:
        state, asked = step(state, fact, now)
        requests += asked
    return state, requests


def test_a_study_is_admitted_runs_and_waits() -> None:
    state, requests = begin(version(1), done=False)
    assert (state, requests) == (Admitting(version(1)), (Admit(version(1)),))
    state, asked = follow(state, Judged(Admitted(runnable(1))), Ended(1))
    assert (state, asked) == (Waiting(1), [Run(runnable(1))])
    assert follow(state, Changed(version(2))) == (Admitting(version(2)), [Admit(version(2))])


def test_one_that_is_over_waits_from_the_start() -> None:
    assert begin(version(3), done=True) == (Waiting(3), ())


def test_one_that_cannot_be_run_as_written_waits_for_a_change() -> None:
    state, requests = follow(Admitting(version(1)), Judged(Rejected(INVALID)))
    assert (state, requests) == (Waiting(1), [TellRejected(version(1), INVALID)])


def test_what_is_outside_of_the_study_is_waited_for_longer_and_longer_and_a_change_is_tried_at_once() -> None:
    state: State = Admitting(version(1))
    waits = []
    for now in (0.0, 1000.0, 2000.0):
        state, requests = follow(state, Judged(Delayed(AWAY)), now=now)
        assert requests == [TellTrouble(AWAY)]
        waits.append((due(state) or 0) - now)
        assert follow(state, Elapsed(), now=now + waits[-1] - 0.1) == (state, [])
        state, requests = follow(state, Elapsed(), now=now + waits[-1])
        assert requests == [Admit(version(1))]
    assert waits == [BACKOFF.after(n) for n in (1, 2, 3)]
    state, _ = follow(state, Judged(Delayed(AWAY)))
    assert follow(state, Changed(version(2)))[0] == Admitting(version(2), failures=4)


def test_a_changed_spec_that_is_not_valid_is_told_of_while_the_old_goes_on_and_the_mended_one_clears_it() -> None:
    state, requests = follow(running(), Changed(version(2)), Judged(Rejected(INVALID)))
    told = hindrance(state)
    assert told is not None and told.reason == Hindrance.INVALID_SPEC
    assert told.message.endswith("the study goes on by the old one: spec.budget is missing")
    assert requests == [Admit(version(2)), TellTrouble(told)]
    state, requests = follow(state, Changed(version(3)))
    assert hindrance(state) == told  # until more is known
    state, requests = follow(state, Judged(Admitted(runnable(3))))
    assert (state, requests, hindrance(state)) == (running(3), [Renew(runnable(3))], None)


def test_a_change_that_cannot_be_judged_yet_is_tried_again_while_the_study_goes_on() -> None:
    state, _ = follow(running(), Changed(version(2)), Judged(Delayed(AWAY)), now=100.0)
    assert state == running(change=Postponed(version(2), 1, 100 + BACKOFF.first, AWAY))
    assert (hindrance(state), due(state)) == (AWAY, 100 + BACKOFF.first)
    state, requests = follow(state, Elapsed(), Judged(Admitted(runnable(2))), now=200.0)
    assert (state, requests) == (running(2), [Admit(version(2)), Renew(runnable(2))])


def test_a_run_that_ended_before_it_took_notice_of_a_change_is_run_again() -> None:
    state, _ = follow(running(), Changed(version(2)), Judged(Admitted(runnable(2))))
    assert follow(state, Ended(1)) == (Admitting(version(2)), [Admit(version(2))])
    assert follow(state, Ended(2)) == (Waiting(2), [])


def test_a_run_that_ends_while_a_change_is_judged_goes_on_by_it_without_asking_twice() -> None:
    state, requests = follow(running(), Changed(version(2)), Ended(1), Judged(Admitted(runnable(2))))
    assert (state, requests) == (running(2), [Admit(version(2)), Run(runnable(2))])


def test_a_refused_change_is_judged_on_its_own_once_the_old_spec_has_come_to_its_end() -> None:
    state, requests = follow(running(change=Refused(version(2), INVALID)), Ended(1), Judged(Rejected(INVALID)))
    assert (state, requests) == (Waiting(2), [Admit(version(2)), TellRejected(version(2), INVALID)])


def test_troubles_in_a_row_let_it_wait_longer_and_one_after_a_long_time_does_not() -> None:
    state = running(failures=3)
    assert follow(state, Broke(STORAGE), now=1.0)[0] == BackingOff(version(1), 4, 1 + BACKOFF.after(4))
    assert follow(state, Broke(STORAGE), now=1e4)[0] == BackingOff(version(1), 1, 1e4 + BACKOFF.first)


def test_what_cannot_happen_is_an_error() -> None:
    with pytest.raises(ValueError, match="Ended"):
        step(Waiting(1), Ended(1), 0.0)


# --- any order -------------------------------------------------------------------------------------------------------


@dataclass
class World:
    """Does what is asked for, as the controller does, and knows what it came to.

    `specs` says of each generation whether it is valid, and how often it cannot be judged first.
    """

    specs: list[tuple[bool, int]]
    now: float = 0.0
    state: State = field(init=False)
    inbox: Inbox = field(init=False)
    judging: Version | None = None
    delays: dict[int, int] = field(default_factory=dict)
    run: int | None = None  # the generation that a run goes by
    noticed: int | None = None  # the one that it last decided by
    told: list[Request] = field(default_factory=list)
    judged: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.inbox = Inbox({"metadata": {"generation": 1}}, lambda: None)
        self.state, requests = begin(self.inbox.take() or version(0), done=False)
        self._do(requests)

    def _do(self, requests: Any) -> None:
        for request in requests:
            match request:
                case Admit(asked):
                    assert self.judging is None, "two admissions at once"
                    self.judging = asked
                case Run(given):
                    assert self.run is None, "two runs at once"
                    self.run, self.noticed = cast("int", given), None
                case Renew(given):
                    if self.run is not None:
                        self.run = cast("int", given)
                case _:
                    self.told.append(request)

    def happen(self, fact: Fact) -> None:
        self.state, requests = step(self.state, fact, self.now)
        self._do(requests)

    def change(self) -> bool:
        if self.inbox.newest.generation >= len(self.specs):
            return False
        return self.inbox.put({"metadata": {"generation": self.inbox.newest.generation + 1}})

    def look(self) -> None:
        """Take a change, if it is its turn."""
        if takes_changes(self.state) and (taken := self.inbox.take()) is not None:
            self.happen(Changed(taken))

    def judge(self) -> None:
        if self.judging is None:
            return
        asked, self.judging = self.judging.generation, None
        valid, delays = self.specs[asked - 1]
        self.delays[asked] = self.delays.get(asked, 0) + 1
        verdict: Verdict = Admitted(runnable(asked)) if valid else Rejected(INVALID)
        if self.delays[asked] <= delays:
            verdict = Delayed(AWAY)
        else:
            self.judged.add(asked)
        self.happen(Judged(verdict))

    def turn(self) -> None:
        """The run's loop decides by what it was given."""
        self.noticed = self.run

    def end(self) -> None:
        """The run ends, by what it last decided by, though it may have been given something newer since."""
        if self.run is not None and self.noticed is not None:
            ended, self.run = self.noticed, None
            self.happen(Ended(ended))

    def fail(self) -> None:
        if self.run is not None:
            self.run = None
            self.happen(Broke(STORAGE))

    def wait(self) -> None:
        self.now += 30.0
        at = due(self.state)
        if at is not None and self.now >= at:
            self.happen(Elapsed())


STEPS = st.lists(st.sampled_from(["change", "look", "judge", "turn", "end", "fail", "wait"]), max_size=60)
SPECS = st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=1, max_size=8)


@settings(max_examples=500, deadline=None)
@given(SPECS, STEPS)
def test_whatever_the_order_the_newest_spec_is_what_counts_in_the_end(
    specs: list[tuple[bool, int]], steps: list[str]
) -> None:
    world = World(specs)
    for name in steps:
        getattr(world, name)()
        assert (world.run is not None) == isinstance(world.state, Running)
    for _ in range(200):  # no more changes, no more troubles
        for name in ("look", "judge", "turn", "wait"):
            getattr(world, name)()
    newest = world.inbox.newest.generation
    valid, _ = specs[newest - 1]
    assert newest in world.judged
    assert world.judging is None and not isinstance(world.state, Admitting | BackingOff)
    assert not isinstance(world.state, Yielding)
    if isinstance(world.state, Waiting):
        assert world.state == Waiting(newest)
        assert valid or world.told[-1] == TellRejected(version(newest), INVALID)
    elif valid:
        assert (world.run, world.noticed, hindrance(world.state)) == (newest, newest, None)
        assert world.state.change == Settled()
    else:
        shown = hindrance(world.state)
        assert shown is not None and shown.reason == Hindrance.INVALID_SPEC
        assert world.run is not None and specs[world.run - 1][0]
        # None that was found to be valid is newer than what the run goes by.
        assert all(not specs[g - 1][0] for g in world.judged if g > world.run)


THEIRS = Theirs(Custody("all/two", "", 0.0), 1000.0, believed=True)


@pytest.mark.parametrize(
    ("state", "newest"),
    [
        (Admitting(version(1)), 1),
        (running(1), 1),
        (running(1, change=Refused(version(2), INVALID)), 2),
        (running(1, change=Postponed(version(2), 1, 5.0, AWAY)), 2),
        (BackingOff(version(1), 1, 5.0), 1),
    ],
)
def test_a_study_that_another_operator_takes_is_let_go_of_and_followed_when_it_is_free(
    state: State, newest: int
) -> None:
    yielding = Yielding(version(newest), YIELD_SECONDS)
    assert follow(state, TakenAway(THEIRS)) == (yielding, [Yield(THEIRS)])
    assert due(yielding) == YIELD_SECONDS and takes_changes(yielding)
    assert follow(yielding, Elapsed()) == (yielding, [])
    assert follow(yielding, Changed(version(9))) == (Yielding(version(9), YIELD_SECONDS), [])
    for fact, now in ((Freed(), 0.0), (Elapsed(), YIELD_SECONDS)):
        assert follow(yielding, fact, now=now) == (Admitting(version(newest)), [Admit(version(newest))])


def test_a_study_of_another_operator_is_not_run_and_is_looked_at_again_before_it_would_be_stale() -> None:
    state, asked = follow(Admitting(version(1)), Judged(Yielded(THEIRS)), now=995.0)
    assert (state, asked) == (Yielding(version(1), 1000.0), [Yield(THEIRS)])


def test_a_study_that_the_operator_was_killed_over_waits_and_is_tried_at_once_when_its_spec_changes() -> None:
    why = Trouble(Hindrance.QUARANTINED, "the operator was killed")
    state, asked = begin(version(1), done=False, suspect=Suspect(8.0, why))
    assert (state, asked) == (BackingOff(version(1), 0, 8.0), (TellTrouble(why),))
    assert follow(state, Elapsed(), now=7.0) == (state, [])
    assert follow(state, Elapsed(), now=8.0) == (Admitting(version(1)), [Admit(version(1))])
    assert follow(state, Changed(version(2)), now=1.0) == (Admitting(version(2)), [Admit(version(2))])
    assert begin(version(1), done=True, suspect=Suspect(8.0, why)) == (Waiting(1), ())
