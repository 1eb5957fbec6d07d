"""The states of a study's life in a cluster, and what leads from one to the next. Pure.

A study is admitted, runs, and waits for a change once its run is over; whatever is in the way lets it back off and try
again. Where another operator looks after it, it is left alone. While it runs, a changed spec is admitted beside the
run: only one that is valid takes the old one's place. `StudyController` does what is asked for here, and tells what
came of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kubestudy.api.reasons import Hindrance
from kubestudy.controller.inbox import Version
from kubestudy.controller.verdicts import Admitted, Delayed, Rejected, Runnable, Verdict, Yielded
from kubestudy.planning.backoff import Backoff
from kubestudy.planning.custody import Theirs
from kubestudy.study.ports import Trouble

BACKOFF = Backoff(first=2.0, limit=120.0)
# How often a study that another operator looks after is looked at, for one that has let go of it, and to say so again.
YIELD_SECONDS = 10.0

# --- a change while the study runs ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Settled:
    """The run goes by the newest spec that was taken in."""


@dataclass(frozen=True, slots=True)
class Checking:
    """A changed spec is being admitted; `why` tells what is wrong with the one before it, until that is known."""

    version: Version
    failures: int = 0
    why: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The changed spec is not valid: the run goes on by the old one."""

    version: Version
    why: Trouble


@dataclass(frozen=True, slots=True)
class Postponed:
    """The changed spec cannot be admitted for now; it is tried again at a time."""

    version: Version
    failures: int
    until: float
    why: Trouble


Change = Settled | Checking | Refused | Postponed

# --- states -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Admitting:
    """It is being found out whether the study can be run, after so many failures in a row."""

    version: Version
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Running:
    """A run goes on since a time, by a version; a change may be on its way."""

    version: Version
    since: float
    failures: int = 0
    change: Change = Settled()


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing is to be done until the spec changes: the study is over, stands still, or cannot be run as written."""

    generation: int


@dataclass(frozen=True, slots=True)
class BackingOff:
    """Something is in the way; the version is tried again at a time."""

    version: Version
    failures: int
    until: float


@dataclass(frozen=True, slots=True)
class Yielding:
    """Another operator looks after the study; it is looked at again at a time. A newer version waits with it."""

    version: Version
    until: float


State = Admitting | Running | Waiting | BackingOff | Yielding

# --- what happens -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Changed:
    """A newer version was taken from the inbox."""

    version: Version


@dataclass(frozen=True, slots=True)
class Judged:
    """An admission came to its end."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Ended:
    """The run came to its end, by the spec of this generation."""

    generation: int


@dataclass(frozen=True, slots=True)
class Broke:
    """The run cannot go on for now."""

    why: Trouble


@dataclass(frozen=True, slots=True)
class Elapsed:
    """The time has come that was waited for."""


@dataclass(frozen=True, slots=True)
class TakenAway:
    """Another operator looks after the study by now."""

    to: Theirs


@dataclass(frozen=True, slots=True)
class Freed:
    """Nobody looks after the study any more."""


Fact = Changed | Judged | Ended | Broke | Elapsed | TakenAway | Freed

# --- what is asked for ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Admit:
    """Find out whether a version can be run."""

    version: Version


@dataclass(frozen=True, slots=True)
class Run:
    """Begin a run by what was admitted."""

    runnable: Runnable


@dataclass(frozen=True, slots=True)
class Renew:
    """Let the run go on by what was admitted."""

    runnable: Runnable


@dataclass(frozen=True, slots=True)
class TellRejected:
    """Show that a version cannot be run as it is written."""

    version: Version
    why: Trouble


@dataclass(frozen=True, slots=True)
class TellTrouble:
    """Show what is in the way."""

    why: Trouble


@dataclass(frozen=True, slots=True)
class Yield:
    """Do nothing more for the study, and write nothing more of it, but that another operator looks after it."""

    to: Theirs


Request = Admit | Run | Renew | TellRejected | TellTrouble | Yield
Step = tuple[State, Sequence[Request]]


@dataclass(frozen=True, slots=True)
class Suspect:
    """That the operator was killed while it worked on the study before, and when it is to be tried again."""

    until: float
    why: Trouble


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


def takes_changes(state: State) -> bool:
    """Tell whether a newer version is to be taken from the inbox now; else it waits there until one admission ends."""
    return not (isinstance(state, Admitting) or (isinstance(state, Running) and isinstance(state.change, Checking)))


def due(state: State) -> float | None:
    """Return the time from which `Elapsed` leads on; None if time alone does not."""
    match state:
        case BackingOff(until=until) | Yielding(until=until) | Running(change=Postponed(until=until)):
            return until
    return None


def hindrance(state: State) -> Trouble | None:
    """Return what is wrong with a change, while the study goes on without it."""
    match state:
        case Running(change=Checking(why=why)):
            return why
        case Running(change=Refused(why=why) | Postponed(why=why)):
            return why
    return None


def _admit(version: Version, failures: int = 0) -> Step:
    return Admitting(version, failures), (Admit(version),)


def _yield(version: Version, to: Theirs, now: float) -> Step:
    return Yielding(version, min(to.until, now + YIELD_SECONDS)), (Yield(to),)


def _while_yielding(state: Yielding, fact: Fact, now: float) -> Step:
    match fact:
        case Changed(version):
            return Yielding(version, state.until), ()
        case Freed():
            return _admit(state.version)
        case Elapsed():
            return _admit(state.version) if now >= state.until else (state, ())
    raise ValueError(f"{fact} in {state}")


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
