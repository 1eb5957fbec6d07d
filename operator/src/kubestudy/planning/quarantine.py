"""Which studies an operator was killed over, and when each is tried again. Pure.

An operator notes which studies it works on. One that is killed (out of memory, by its liveness probe) finds these notes
after its restart: each study in them may be why. It is tried again by itself, after a pause that grows with each kill;
so the next kill has one suspect only, and between kills every other study goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kubestudy.api.limits import SUSPECTS
from kubestudy.planning.backoff import Backoff

# Each kill makes the pause four times as long: 2 s, 8 s, 32 s, ..., an hour.
PAUSES = Backoff(first=2.0, limit=3600.0)
# A suspect that was worked on for so long without a kill is none any more.
CLEARED_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Note:
    """What an operator was working on when it ended.

    Attributes:
        uid: The study.
        alone: Whether that was a suspect's own try.
    """

    uid: str
    alone: bool


@dataclass(frozen=True, slots=True)
class Suspects:
    """The studies that may have killed the operator.

    Attributes:
        kills: How many kills in a row each may be to blame for, by uid.
    """

    kills: Mapping[str, int] = field(default_factory=dict)

    def after_end(self, notes: Sequence[Note]) -> Suspects:
        """Return them after an operator ended that left notes: a suspect in its own try is to blame, else everybody."""
        tried = {note.uid for note in notes if note.alone}
        blamed = tried or {note.uid for note in notes}
        kills = {**self.kills, **{uid: self.kills.get(uid, 0) + 1 for uid in blamed}}
        most = sorted(kills, key=lambda uid: kills[uid], reverse=True)[: SUSPECTS.value]
        return Suspects({uid: kills[uid] for uid in most})

    def without(self, uid: str) -> Suspects:
        """Return them without a study that is above suspicion by now, or gone."""
        return Suspects({known: kills for known, kills in self.kills.items() if known != uid})

    def pause(self, uid: str) -> float:
        """Return how many seconds after its start an operator waits before it tries a study."""
        return PAUSES.after(2 * self.kills.get(uid, 0) - 1)
