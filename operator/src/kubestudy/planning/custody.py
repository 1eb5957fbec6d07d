"""Which operator looks after a study, where several could. Pure.

An operator writes its custody into the study's status, and renews it while the study is not over. Another one keeps its
hands off as long as that goes on. Times are Unix times, of clocks that differ by minutes at most: what says to be from
further in the future is not believed.
"""

from __future__ import annotations

from dataclasses import dataclass

# A custody is renewed so often at least, and believed in for so long: two renewals may go missing.
RENEW_SECONDS = 300.0
STALE_SECONDS = 900.0
# One that nobody renews is taken over after so long a look, in which an operator that is at work would have come first.
GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Custody:
    """That an operator looks after a study.

    Attributes:
        name: The operator, by its Lease: namespace/name.
        storage: The identity of its storage; empty where that is not known.
        renewed: When it last said so.
    """

    name: str
    storage: str
    renewed: float

    def is_believed(self, now: float) -> bool:
        """Tell whether the operator is to be taken for being at work."""
        return abs(now - self.renewed) < STALE_SECONDS

    def is_due(self, now: float) -> bool:
        """Tell whether it is time to renew it."""
        return abs(now - self.renewed) >= RENEW_SECONDS

    def is_elsewhere(self, other: Custody) -> bool:
        """Tell whether its storage is known to be another's."""
        return bool(self.storage and other.storage and self.storage != other.storage)


@dataclass(frozen=True, slots=True)
class Ours:
    """It is this operator that looks after the study."""


@dataclass(frozen=True, slots=True)
class Open:
    """Nobody does: it may be taken.

    Attributes:
        before: Who did before, if that was another.
    """

    before: Custody | None = None


@dataclass(frozen=True, slots=True)
class Theirs:
    """Another operator does, or did until a moment ago.

    Attributes:
        custody: Which one.
        until: When it is worth while to look again.
        believed: Whether it is taken for being at work.
    """

    custody: Custody
    until: float
    believed: bool


def judge(found: Custody | None, own: Custody, now: float, seen_since: float) -> Ours | Open | Theirs:
    """Return whose a study is.

    The Lease sees to it that of all operators of one name one is at work, so the name tells them apart: with another
    storage it is this one before a restart.

    Args:
        found: What its status says.
        own: This operator.
        now: The time.
        seen_since: Since when it is known to say that, by the same clock.
    """
    if found is None:
        return Open()
    if found.name == own.name:
        return Open() if found.is_due(now) or found.is_elsewhere(own) else Ours()
    if found.is_believed(now):
        return Theirs(found, found.renewed + STALE_SECONDS, believed=True)
    until = seen_since + GRACE_SECONDS
    return Open(found) if now >= until else Theirs(found, until, believed=False)


def is_taken_away(found: Custody | None, own: Custody, now: float) -> bool:
    """Tell whether another operator has taken over what this one took: one of the same name and another storage counts
    too, as there may be where leader election is off.
    """
    if found is None or not found.is_believed(now):
        return False
    return found.name != own.name or found.is_elsewhere(own)
