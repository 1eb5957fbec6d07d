"""What of a study's life is worth telling a person, and when: each thing once."""

from __future__ import annotations

import logging
from typing import Protocol

from kubestudy.api.study import StudySpec
from kubestudy.planning.plan import Plan
from kubestudy.study.outcome import Complete, Failed, Outcome, Pruned, Requeue, Stopped
from kubestudy.study.ports import Event, Trouble
from kubestudy.study.progress import Progress
from kubestudy.study.view import View

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Whoever is shown what happens."""

    def show(self, view: View) -> None:
        """Take the study's newest state."""

    def tell(self, event: Event) -> None:
        """Take something worth telling a person."""


class Announcer:
    """Tells an listener of one study, and remembers what it told.

    Args:
        listener: Who is told.
    """

    def __init__(self, listener: Listener) -> None:
        self._audience = listener
        self._end = self._suspended = self._silence = False
        self._trouble: str | None = None

    def started(self) -> None:
        """The study begins."""
        self._say("Started", "the first trials are being started")

    def went_on(self, unfinished: int, finished: int | None = None) -> None:
        """The study goes on, after a restart or a suspension, with so many trials."""
        before = "" if finished is None else f"{finished} finished and "
        self._say("Resumed", f"going on with {before}{unfinished} unfinished trials")

    def ended(self, number: int, outcome: Outcome, spec: StudySpec, *, better: bool) -> None:
        """A trial ended; `better` than all before it, or not."""
        match outcome:
            case Complete(values) if better:
                named = zip(spec.objectives, values, strict=True)
                shown = ", ".join(f"{objective.name}={value:.6g}" for objective, value in named)
                self._say("NewBest", f"trial {number}: {shown}")
            case Failed(reason, message):
                self._say("TrialFailed", f"trial {number}: {reason}: {message}", warning=True, why=reason)
            case Pruned():
                self._say("TrialPruned", f"trial {number} was hopeless")
            case Stopped():
                self._say("TrialStopped", f"trial {number} was stopped: the study ended")
            case Requeue(why):
                self._say("TrialRequeued", f"trial {number} runs again later: {why}")
            case _:
                pass

    def silent(self, number: int, spec: StudySpec) -> None:
        """A trial reported nothing that the pruner could go by: told of once."""
        if self._silence:
            return
        self._silence = True
        metric, pruner = spec.objectives[0].name, spec.pruner.name
        self._say(
            "NothingToPruneBy",
            f"trial {number} reported {metric} only at its end: the pruner {pruner} goes by what is reported before",
            warning=True,
        )

    def turned(self, decided: Plan, progress: Progress, unfinished: int, *, interrupted: bool) -> None:
        """The study may begin to end, or to stand still, by what was decided.

        Args:
            decided: What was decided.
            progress: What the study remembered before.
            unfinished: How many trials have no end yet.
            interrupted: Whether its run is being stopped, which is nobody's wish for this study.
        """
        end = decided.ending
        began = end is not None and end.early and progress.ending_since is None
        if end is not None and (began or decided.over) and progress.completed is None and not self._end:
            self._end = True
            self._say(end.reason, end.message, warning=end.failed)
        if decided.suspended and not self._suspended and not interrupted:
            self._say("Suspended", "the running trials are stopped, and go on when suspend is false again")
        elif self._suspended and not decided.suspended:
            self.went_on(unfinished)
        self._suspended = decided.suspended
        if end is None:
            self._end = False

    def troubled(self, trouble: Trouble | None) -> None:
        """Something is in the way, or nothing is any more: told of when it is new."""
        reason = None if trouble is None else trouble.reason
        if trouble is not None and reason != self._trouble:
            self._say(trouble.reason, trouble.message, warning=True)
        self._trouble = reason

    def _say(self, reason: str, message: str, *, warning: bool = False, why: str | None = None) -> None:
        log.info("%s: %s", reason, message)
        self._audience.tell(Event(reason, message, warning, why))
