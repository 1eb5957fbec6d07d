"""How trials are brought to where they run: how many at once, and what it means when one does not start. Pure.

Parameters are suggested late: while trials wait for room, only as many more are asked for as run already, so that
an autoscaler or a queue sees demand and the next suggestion knows as many results as possible. Source of the rounds:
slow start, as Kubernetes' Job controller creates pods (`slowStartBatch`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kubestudy.planning.backoff import Backoff

FIRST_ROUND = 4
LARGEST_ROUND = 1 << 20  # more than any parallelism
# So many different trials that failed to start, none started since, say that no trial is at fault.
START_FAILURES_TOLERATED = 3
RETRIES = Backoff(first=60.0, limit=600.0)


@dataclass(frozen=True, slots=True)
class OnTheirWay:
    """Where the launched trials of a study are, at one moment.

    Attributes:
        placed: Those that have their place: a node, a process; running or about to.
        starting: Those of them that do not run yet.
        unplaced: Those that have none yet.
        waiting: Those of these that are known to wait for room.
        refused: Those of these that cannot be created as things are.
    """

    placed: int = 0
    starting: int = 0
    unplaced: int = 0
    waiting: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Starts:
    """What a study has learnt of how its trials start.

    Attributes:
        round_size: How many may be on their way to a place at once, as long as none waits for room.
        launched: How many were launched since the round's size last changed.
        failed: The trials that failed to start since one last started.
        retries: How many starts failed after those that are tolerated.
        retry_at: Unix time of the next attempt, once no more failures are tolerated.
        why: What was said of the last failure.
    """

    round_size: int = FIRST_ROUND
    launched: int = 0
    failed: frozenset[int] = frozenset()
    retries: int = 0
    retry_at: float = 0.0
    why: str = ""

    @property
    def blocked(self) -> bool:
        """Whether trials are tried one at a time, and none is blamed for not starting."""
        return len(self.failed) >= START_FAILURES_TOLERATED

    def after_launch(self) -> Starts:
        """Return what is known after one more launch."""
        return replace(self, launched=self.launched + 1)

    def after_start(self) -> Starts:
        """Return what is known after a trial began to run."""
        return replace(self, failed=frozenset(), retries=0, retry_at=0.0, why="")

    def after_failure(self, number: int, why: str, now: float) -> Starts:
        """Return what is known after a trial failed to start.

        Args:
            number: The trial.
            why: In a sentence.
            now: Unix time.
        """
        retries = self.retries + self.blocked
        failed = self.failed | {number}
        retry_at = now + RETRIES.after(retries + 1) if len(failed) >= START_FAILURES_TOLERATED else 0.0
        return replace(self, failed=failed, retries=retries, retry_at=retry_at, why=why)

    def after_look(self, way: OnTheirWay) -> Starts:
        """Return what is known after a look: once a round has its places, as many again may be on their way.

        A round need not be placed at one moment: where trials end and follow one another, some are always on their way.
        """
        if way.waiting:
            return replace(self, round_size=FIRST_ROUND, launched=0)
        if self.launched - way.unplaced >= self.round_size:
            return replace(self, round_size=min(self.round_size * 2, LARGEST_ROUND), launched=way.unplaced)
        return self

    def allowed(self, way: OnTheirWay, now: float) -> int:
        """Return how many trials may be launched now.

        Args:
            way: The launched trials.
            now: Unix time.
        """
        if way.refused:
            return 0
        if self.blocked:
            return 0 if way.unplaced or way.starting or now < self.retry_at else 1
        limit = max(1, way.placed) if way.waiting else self.round_size
        return max(0, limit - way.unplaced)
