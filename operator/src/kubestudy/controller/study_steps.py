"""What leads from one state of a study's life to the next. Pure.

`StudyController` does what is asked for here, and tells what came of it.
"""

from __future__ import annotations

from dataclasses import replace

from kubestudy.api.reasons import Hindrance
from kubestudy.controller.inbox import Version
from kubestudy.controller.study_states import (
    Admit,
    Admitting,
    BackingOff,
    Broke,
    Changed,
    Checking,
    Elapsed,
    Ended,
    Fact,
    Freed,
    Judged,
    Postponed,
    Refused,
    Renew,
    Run,
    Running,
    Settled,
    State,
    Step,
    Suspect,
    TakenAway,
    TellRejected,
    TellTrouble,
    Waiting,
    Yield,
    Yielding,
    hindrance,
)
from kubestudy.controller.verdicts import Admitted, Delayed, Rejected, Verdict, Yielded
from kubestudy.planning.backoff import Backoff
from kubestudy.planning.custody import Theirs
from kubestudy.study.ports import Trouble

BACKOFF = Backoff(first=2.0, limit=120.0)
# How often a study that another operator looks after is looked at, for one that has let go of it, and to say so again.
YIELD_SECONDS = 10.0


def begin(version: Version, *, done: bool, suspect: Suspect | None = None) -> Step:
    """Return the first state: of a study that is done with, of one that is to be run, or of one to be careful with."""
    if done:
        return Waiting(version.generation), ()
    if suspect is not None:
        return BackingOff(version, 0, suspect.until), (TellTrouble(suspect.why),)
    return _admit(version)


def step(state: State, fact: Fact, now: float) -> Step:
    """Return the next state, and what it asks for.

    Args:
        state: The state.
        fact: What happened.
        now: Seconds of any clock that never goes back.

    Raises:
        ValueError: That cannot happen in that state.
    """
    match state, fact:
        case Waiting() | Yielding(), TakenAway():
            return state, ()
        case ((Admitting() | Running() | BackingOff()), TakenAway(to)):
            return _yield(_version_of(state), to, now)
        case Yielding(_, until), Changed(version):
            return Yielding(version, until), ()
        case Yielding(version), Freed():
            return _admit(version)
        case Yielding(version, until), Elapsed():
            return _admit(version) if now >= until else (state, ())
        case Waiting(), Changed(version):
            return _admit(version)
        case BackingOff(_, failures, _), Changed(version):
            return _admit(version, failures)
        case BackingOff(version, failures, until), Elapsed():
            return _admit(version, failures) if now >= until else (state, ())
        case Admitting(), Judged(verdict):
            return _first_verdict(state, verdict, now)
        case Running(), _:
            return _while_running(state, fact, now)
    raise ValueError(f"{fact} in {state}")


def _while_running(state: Running, fact: Fact, now: float) -> Step:
    match state.change, fact:
        case _, Ended(generation):
            return _after_end(state, generation)
        case _, Broke(why):
            return _after_break(state, why, now)
        case Checking() as change, Judged(verdict):
            return _verdict_on_change(state, change, verdict, now)
        case Settled() | Refused() | Postponed(), Changed(version):
            return _check(state, version)
        case Postponed(version, failures, until), Elapsed():
            return _check(state, version, failures) if now >= until else (state, ())
    raise ValueError(f"{fact} in {state}")


def _admit(version: Version, failures: int = 0) -> Step:
    return Admitting(version, failures), (Admit(version),)


def _yield(version: Version, to: Theirs, now: float) -> Step:
    return Yielding(version, min(to.until, now + YIELD_SECONDS)), (Yield(to),)


def _version_of(state: Admitting | Running | BackingOff) -> Version:
    """Return the newest version that a state knows of."""
    match state:
        case Running(change=Checking(version=version) | Refused(version=version) | Postponed(version=version)):
            return version
    return state.version


def _back_off(version: Version, failures: int, why: Trouble, now: float) -> Step:
    return BackingOff(version, failures, now + BACKOFF.after(failures)), (TellTrouble(why),)


def _first_verdict(state: Admitting, verdict: Verdict, now: float) -> Step:
    match verdict:
        case Admitted(runnable):
            return Running(state.version, now, state.failures), (Run(runnable),)
        case Rejected(why):
            return Waiting(state.version.generation), (TellRejected(state.version, why),)
        case Delayed(why):
            return _back_off(state.version, state.failures + 1, why, now)
        case Yielded(to):
            return _yield(state.version, to, now)


def _check(state: Running, version: Version, failures: int = 0) -> Step:
    return replace(state, change=Checking(version, failures, hindrance(state))), (Admit(version),)


def _verdict_on_change(state: Running, change: Checking, verdict: Verdict, now: float) -> Step:
    match verdict:
        case Admitted(runnable):
            return replace(state, version=change.version, change=Settled()), (Renew(runnable),)
        case Rejected(why):
            said = f"the changed spec is not valid, and the study goes on by the old one: {why.message}"
            told = Trouble(Hindrance.INVALID_SPEC, said)
            return replace(state, change=Refused(change.version, told)), (TellTrouble(told),)
        case Delayed(why):
            failures = change.failures + 1
            until = now + BACKOFF.after(failures)
            return replace(state, change=Postponed(change.version, failures, until, why)), (TellTrouble(why),)
        case Yielded(to):
            return _yield(change.version, to, now)


def _after_end(state: Running, generation: int) -> Step:
    match state.change:
        case Checking(version, failures):
            return Admitting(version, failures), ()  # which is under way
        case Refused(version) | Postponed(version):
            return _admit(version)  # on its own, now
        case Settled():
            # It may have ended before it took notice of its newest spec.
            over = generation == state.version.generation
            return (Waiting(state.version.generation), ()) if over else _admit(state.version)


def _after_break(state: Running, why: Trouble, now: float) -> Step:
    # What goes well for long begins with short waits again.
    failures = 1 if now - state.since >= BACKOFF.limit else state.failures + 1
    match state.change:
        case Checking(version):
            return Admitting(version, failures), (TellTrouble(why),)
        case Refused(version) | Postponed(version):
            return _back_off(version, failures, why, now)
        case Settled():
            return _back_off(state.version, failures, why, now)
