"""What the study's loop needs of the world. `search`, `metrics`, `local` and `cluster` implement these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Protocol, TypeVar

from kubestudy.planning.plan import StopCause
from kubestudy.planning.tally import Tally
from kubestudy.study.outcome import Complete, Failed, Pruned, Stopped
from kubestudy.study.progress import Progress
from kubestudy.study.trial import Observed, Sample, Suggestion, Unfinished

T = TypeVar("T")


class StudyError(Exception):
    """The study cannot go on now; the sentence says why and what to do. Nothing recorded is lost."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a study from going on as it should, while it lasts.

    Attributes:
        reason: One CamelCase word.
        message: A sentence that says what to do.
    """

    reason: str
    message: str


class Search(Protocol):
    """Suggests parameters and keeps every trial durably. Synchronous; called from one thread at a time.

    Every method raises StudyError when the storage does not answer.
    """

    @property
    def tally(self) -> Tally:
        """What the finished trials add up to."""

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing new to suggest."""

    @property
    def prunes(self) -> bool:
        """Whether reported samples can make a trial hopeless."""

    @property
    def last_activity(self) -> float:
        """Unix time of the last thing the storage knows to have happened."""

    def unfinished(self) -> Sequence[Unfinished]:
        """Return the trials that are recorded as running, lowest number first, with all their parameters."""

    def ask(self) -> Suggestion | None:
        """Suggest and record one more trial; None when the search is exhausted."""

    def report(self, samples: Iterable[tuple[int, Sample]]) -> Set[int]:
        """Record running trials' values of the (single) objective; return the trials that are hopeless by them."""

    def mark_stopping(self, number: int, cause: StopCause) -> None:
        """Record why a trial is told to stop, so that its end is understood even after a restart."""

    def spend(self, number: int, started: float, gpu_seconds: float) -> None:
        """Record GPU time of the execution that started at a Unix time; doing so again changes nothing."""

    def tell(
        self, number: int, outcome: Complete | Pruned | Failed | Stopped, gpu_utilization: float | None = None
    ) -> None:
        """Record what became of a trial, and how busy its GPUs were (percent), if anybody knows.

        Telling a finished trial again changes nothing.
        """

    def load_progress(self) -> Progress:
        """Return what was last remembered."""

    def save_progress(self, progress: Progress) -> None:
        """Keep what the study remembers beside its trials."""


class Worker(Protocol):
    """Runs what blocks, as the search does, in a thread: one call at a time, in the order in which they come."""

    async def call(self, work: Callable[[], T]) -> T:
        """Return what the work returns; what it logs is about the study that the caller is about.

        Raises:
            StudyError: The call did not come back in time, or one before it has not come back yet.
            Exception: What the work raises.
        """

    def close(self) -> None:
        """Begin nothing more; work under way comes to its end by itself."""


class Runtime(Protocol):
    """Runs trials. All methods are idempotent."""

    def capacity(self) -> int | None:
        """Return how many trials can be started now, beside those that live; None: no limit of its own."""

    def job_of(self, number: int) -> str | None:
        """Return the name of the Job that runs a trial; None where trials are no Jobs."""

    async def expect(self, trials: Sequence[Suggestion]) -> None:
        """Take the trials that have no end yet, once, before it is asked for anything.

        What is found running counts as one of them only if it carries that trial's parameters.
        """

    async def observe(self) -> Sequence[Observed]:
        """Return every trial it knows: those that live, and those that ended and were not forgotten.

        A query: asking changes nothing, and between two waits the answer stays.
        """

    async def launch(self, trial: Suggestion) -> None:
        """Start a trial; one that runs goes on, and one that already ended by itself is observed as ended.

        `observe` lists it from then on: a trial that was launched and is not observed counts as lost.
        """

    async def stop(self, number: int) -> None:
        """Tell a trial to stop, with its grace period; its end is observed later."""

    async def forget(self, number: int, *, failed: bool = False) -> None:
        """Let go of a trial whose end was recorded; what is left of one that failed may be kept to be looked at."""

    async def wait(self, seconds: float) -> None:
        """Return when something may have changed, and after `seconds` at the latest."""

    async def drain(self) -> None:
        """Finish what is under way, a limited time: nothing lives any more, and nothing is to be launched."""


class Metrics(Protocol):
    """Reads what running trials report."""

    @property
    def interval(self) -> float:
        """Seconds between two readings."""

    async def read(self, trials: Sequence[Observed]) -> Mapping[int, Sequence[Sample]]:
        """Return the last samples of each trial that could be read; the others are left out, never an error."""

    def trouble(self) -> Trouble | None:
        """Return what keeps trials from being read, if anything does."""


class MeasureError(Exception):
    """An expression gave no number; the sentence says which and why.

    Attributes:
        reason: One CamelCase word.
        attempts: After how many attempts that is final.
        unavailable: Whether the server, not the expression, is in the way.
    """

    def __init__(self, reason: str, message: str, *, attempts: int = 1, unavailable: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.attempts = attempts
        self.unavailable = unavailable


class ExpressionEvaluator(Protocol):
    """Evaluates a study's Prometheus expressions over trials that ended."""

    @property
    def settling(self) -> float:
        """Seconds after a trial's end from which on its last values are there."""

    async def measure(self, trial: Observed) -> Mapping[str, float]:
        """Return the value of each expression over a trial's own window.

        Raises:
            MeasureError: One of them gave no number.
        """


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth telling a person.

    Attributes:
        reason: One CamelCase word.
        message: A sentence.
        warning: Whether it is a trouble.
        why: Of a trial that failed, the one word that says how.
    """

    reason: str
    message: str
    warning: bool = False
    why: str | None = None
