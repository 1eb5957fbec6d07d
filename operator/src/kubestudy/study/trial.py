"""A trial, as the study's loop sees it: suggested, observed while it lives, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from kubestudy.api.reasons import Hindrance
from kubestudy.api.values import Value
from kubestudy.planning.plan import StopCause

Curve = Mapping[str, tuple[tuple[int, float], ...]]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A trial's number and parameters; durable in the storage before anything else happens."""

    number: int
    params: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A trial that the storage holds as running when a study is opened.

    Attributes:
        suggestion: Its number and parameters.
        stop_cause: Why it was told to stop, if it was, before its end could be recorded.
    """

    suggestion: Suggestion
    stop_cause: StopCause | None = None


class TrialPhase(StrEnum):
    """Where a started trial is."""

    PENDING = "Pending"
    RUNNING = "Running"
    MEASURING = "Measuring"  # it ended well, and Prometheus is to be asked what it came to
    ENDED = "Ended"


class WaitKind(StrEnum):
    """What a launched trial waits for."""

    ROOM = "Room"  # nothing is wrong: the cluster, a quota or a queue has no room for it now
    START = "Start"  # it has its place, and something keeps it from starting there
    REFUSED = "Refused"  # what is to run it cannot be created


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a launched trial does not run yet, where something is known of it.

    Attributes:
        kind: What it waits for.
        message: A sentence, in the words of whoever knows: the scheduler, the kubelet, the API server.
        hindrance: What somebody must mend, if so.
    """

    kind: WaitKind
    message: str
    hindrance: Hindrance | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a trial said at its end, in its termination message.

    Attributes:
        values: Final values by metric, exact; empty when it did not finish.
        curve: (step, value) pairs by metric, thinned.
        reason: One CamelCase word when it failed.
        message: A sentence when it failed.
        invalid: What is wrong with the message itself, if it cannot be read as one.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    curve: Curve = field(default_factory=dict)
    reason: str | None = None
    message: str | None = None
    invalid: str | None = None


@dataclass(frozen=True, slots=True)
class End:
    """How a trial's execution ended.

    Attributes:
        succeeded: Whether it ended by itself with exit code 0.
        interrupted: Whether it ended through no fault of its own (told to stop, preempted, machine lost).
        reason: One CamelCase word that says how, for instance Error, OOMKilled or DeadlineExceeded.
        detail: A sentence for people.
        result: Its termination message; None when there is none or it cannot be read.
        gpu_seconds: GPUs times seconds of this execution.
        at: Unix time at which it ended; None if nobody knows.
        never_started: Whether it ended because it could not be started.
    """

    succeeded: bool
    interrupted: bool
    reason: str
    detail: str
    result: Result | None
    gpu_seconds: float = 0.0
    at: float | None = None
    never_started: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """A started trial at one moment.

    Attributes:
        number: The trial's number.
        phase: Where it is.
        started: Unix time at which it began to run; None while pending.
        gpus: GPUs it holds.
        metrics_url: Where its `/metrics` can be read, if anywhere.
        end: How it ended, once it has.
        pod: The pod that runs it, where there are pods.
        pods: All pods of this execution.
        placed: Whether a pending trial has its place already (a node).
        wait: Why a pending trial does not run yet, where something is known of it.
    """

    number: int
    phase: TrialPhase
    started: float | None = None
    gpus: float = 0
    metrics_url: str | None = None
    end: End | None = None
    pod: str | None = None
    pods: tuple[str, ...] = ()
    placed: bool = False
    wait: Wait | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """The last value of one metric of a running trial."""

    metric: str
    step: int
    value: float
