"""The states of a study's life in a cluster, what happens to it, and what is asked for then.

A study is admitted, runs, and waits for a change once its run is over; whatever is in the way lets it back off and try
again. Where another operator looks after it, it is left alone. While it runs, a changed spec is admitted beside the
run: only one that is valid takes the old one's place. `study_steps` leads from one state to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kubestudy.controller.inbox import Version
from kubestudy.controller.verdicts import Runnable, Verdict
from kubestudy.planning.custody import Theirs
from kubestudy.study.ports import Trouble

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
