"""A trial as a process of this machine: its stages, and what each thing that happens makes of it. Pure."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

from kubestudy.api import contract
from kubestudy.api.job import JobSpec
from kubestudy.api.reasons import Failure
from kubestudy.local.protocol import Cause, Ended
from kubestudy.study.outcome import reason_of_exit
from kubestudy.study.trial import End, Observed, Result, Suggestion, TrialPhase, Wait, WaitKind


class Stage(Enum):
    """Where a trial of this machine is."""

    QUEUED = auto()  # waits for GPUs
    BACKING_OFF = auto()  # waits for the time of its retry
    STARTING = auto()  # the supervisor was told to start it
    RUNNING = auto()
    STOPPING = auto()  # the supervisor was told to stop it
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class LocalTrial:
    """A trial in the local runtime's hands, at one moment.

    Attributes:
        suggestion: Its number and parameters.
        stage: Where it is.
        attempt: 0 for its first execution, then counting retries after failures.
        begun: When its first execution was begun, by the monotonic clock.
        not_before: When its retry may begin, by the monotonic clock.
        gpus: The GPUs it holds.
        port: The port of its `/metrics`.
        started: When its process was started, in Unix time.
        end: How it ended, once it has.
    """

    suggestion: Suggestion
    stage: Stage = Stage.QUEUED
    attempt: int = 0
    begun: float | None = None
    not_before: float = 0.0
    gpus: tuple[str, ...] = ()
    port: int | None = None
    started: float | None = None
    end: End | None = None

    def starting(self, gpus: tuple[str, ...], port: int, now: float) -> LocalTrial:
        """Its start was ordered."""
        begun = now if self.begun is None else self.begun
        return replace(self, stage=Stage.STARTING, gpus=gpus, port=port, begun=begun)

    def running(self, started: float) -> LocalTrial:
        """Its process was started."""
        return replace(self, stage=Stage.RUNNING if self.stage is Stage.STARTING else self.stage, started=started)

    def stopping(self) -> LocalTrial:
        """It is to stop; one that has no process never will have."""
        if self.stage in (Stage.QUEUED, Stage.BACKING_OFF):
            return self.ended(End(False, True, Failure.NOT_STARTED, "it had not started", None))
        return replace(self, stage=Stage.STOPPING) if self.stage is not Stage.ENDED else self

    def queued(self) -> LocalTrial:
        """It could begin, and no GPU is free."""
        return replace(self, stage=Stage.QUEUED)

    def backing_off(self, not_before: float) -> LocalTrial:
        """Its execution failed, and another is to come."""
        return LocalTrial(self.suggestion, Stage.BACKING_OFF, self.attempt + 1, self.begun, not_before)

    def ended(self, end: End) -> LocalTrial:
        """It has ended, for good."""
        return replace(self, stage=Stage.ENDED, gpus=(), end=end)

    def is_retried(self, exited: Ended, end: End, limit: int) -> bool:
        """Tell whether an execution that ended is followed by another, by the Job's backoffLimit."""
        if end.succeeded or end.interrupted or exited.cause is not None or self.stage is Stage.STOPPING:
            return False
        return self.attempt < limit and exited.code not in contract.EXITS_NOT_RETRIED

    def is_due(self, now: float) -> bool:
        """Tell whether an execution of it could begin now."""
        return self.stage is Stage.QUEUED or (self.stage is Stage.BACKING_OFF and self.not_before <= now)

    def deadline(self, job: JobSpec, now: float) -> float | None:
        """Return after how many seconds an execution that begins now is to be stopped; None for no limit."""
        limits: list[float | None] = [job.template.spec.active_deadline_seconds]
        if job.active_deadline_seconds is not None:
            # The Job's own deadline counts from its first pod, through every retry.
            spent = 0.0 if self.begun is None else now - self.begun
            limits.append(max(0.0, job.active_deadline_seconds - spent))
        return min((limit for limit in limits if limit is not None), default=None)

    def observed(self) -> Observed:
        """Return what the study's loop sees of it."""
        phase = TrialPhase.PENDING if self.started is None else TrialPhase.RUNNING
        if self.end is not None:
            phase = TrialPhase.ENDED
        url = f"http://127.0.0.1:{self.port}/metrics" if phase is TrialPhase.RUNNING else None
        # One that waits for its retry has its place: it is no sign that there is room for no other.
        no_room = self.stage is Stage.QUEUED
        return Observed(
            self.suggestion.number,
            phase,
            self.started,
            len(self.gpus),
            url,
            self.end,
            placed=phase is TrialPhase.PENDING and not no_room,
            wait=Wait(WaitKind.ROOM, "no GPU of this machine is free") if no_room else None,
        )


def end_of(exited: Ended, result: Result | None, last_line: Callable[[], str], gpus: int) -> End:
    """Say how an execution ended, in the words a cluster uses.

    Args:
        exited: Exit code, cause and times.
        result: The termination message.
        last_line: Returns the log's last line; asked only when there is no message.
        gpus: How many GPUs it held.
    """
    seconds = exited.ended - exited.started
    spent = gpus * seconds
    if exited.cause is Cause.DEADLINE:
        ran = f"it was stopped after {seconds:.0f} s, longer than activeDeadlineSeconds allows"
        return End(False, False, Failure.DEADLINE, ran, _mute(result), spent)
    if exited.code == 0:
        return End(True, False, "Completed", "it ended by itself", result, spent)
    if exited.cause is Cause.STOPPED:
        return End(False, True, Failure.STOPPED, "it was told to stop", result, spent)
    reason, how = _failure(exited.code)
    said = last_line() if result is None or result.message is None else ""
    return End(False, False, reason, f"{how}: {said}" if said else how, result, spent)


def _failure(code: int) -> tuple[Failure, str]:
    how = f"exit code {code}"
    if code > 128:
        try:
            how = f"ended by {signal.Signals(code - 128).name}"
        except ValueError:
            return reason_of_exit(code), how
    if code == 128 + signal.SIGKILL:
        return Failure.KILLED, f"{how}: most likely the machine ran out of memory"
    return reason_of_exit(code), how


def _mute(result: Result | None) -> Result | None:
    """Take away what a trial said of being stopped: the deadline is why it failed."""
    return None if result is None else Result(result.values, result.curve)
