"""The study's own clock: it survives restarts and stands still while the study is suspended."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class StudyClock:
    """How long the study has run.

    Attributes:
        seconds: Running time up to `as_of`.
        as_of: Unix time at which `seconds` was right.
        paused: True while the study is suspended or nobody runs it.
    """

    seconds: float = 0.0
    as_of: float = 0.0
    paused: bool = True

    def read(self, now: float) -> float:
        """Return the running time in seconds at the Unix time `now`; a clock set back never takes any away."""
        return self.seconds if self.paused else self.seconds + max(0.0, now - self.as_of)

    def pause(self, now: float) -> StudyClock:
        """Return the clock, standing still from `now` on."""
        return StudyClock(self.read(now), now, paused=True)

    def start(self, now: float) -> StudyClock:
        """Return the clock, running from `now` on; one that runs already goes on."""
        return StudyClock(self.seconds, now, paused=False) if self.paused else self

    def recover(self, now: float, last_activity: float, anything_ran: bool) -> StudyClock:
        """Return the clock after a restart that nobody announced.

        Args:
            now: Unix time of the restart.
            last_activity: Unix time of the last thing known to have happened in the study.
            anything_ran: Whether trials went on while nobody watched. If so the gap counts, else it ends at
                `last_activity`.
        """
        if self.paused or anything_ran:
            return self
        return replace(self.pause(max(self.as_of, min(last_activity, now))), paused=True)
