"""What people are told of a study: its status on the API server, its events, its series of the operator's metrics."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from kubestudy.api.reasons import ConditionType, Contest, Ended, Hindrance, Told
from kubestudy.api.status import Condition, StudyStatus
from kubestudy.api.study import Budget, Metadata
from kubestudy.cluster.api import ApiError
from kubestudy.cluster.events import EventRecorder
from kubestudy.cluster.jobs import Owner
from kubestudy.cluster.status_writer import StatusWriter
from kubestudy.controller.admission import metadata_of
from kubestudy.controller.custody import StudyCustody
from kubestudy.controller.inbox import Version
from kubestudy.controller.services import Services
from kubestudy.planning.custody import Custody, Theirs
from kubestudy.study.ports import Event, Trouble
from kubestudy.study.view import OWN_CONDITIONS, LiveTrial, View, degraded, failed, timestamp

log = logging.getLogger(__name__)

_FLUSH_SECONDS = 5.0
_MOST_CONDITIONS = 8


class StudyReporter:
    """Tells of one study; the loop's listener while it runs.

    Args:
        owner: The study.
        version: The object as it was first seen: its status is what was told before.
        services: What it needs.
        custody: Whether this operator looks after the study: what is not its own it tells nothing of.

    Attributes:
        status: The newest status; None while there was none yet.
        live: The trials that live now.
        hindrance: What is wrong with a changed spec while the study goes on without it: shown with whatever else is.
    """

    def __init__(self, owner: Owner, version: Version, services: Services, custody: StudyCustody | None = None) -> None:
        self._owner = owner
        self._custody = custody or StudyCustody(owner, services, version.body)
        self._services = services
        self._version = version
        self._budget = _budget_in(version)
        known = version.body.get("status")
        self._writer = StatusWriter(owner, services.api, known, services.pace, self._custody.stamp)
        self._events = EventRecorder(owner, services.api)
        self.status = _known_status(version.body)
        self.live: Sequence[LiveTrial] = ()
        self.hindrance: Trouble | None = None
        self._contest: str | None = None

    def take(self, version: Version) -> None:
        """Take in a newer version of the object: its budget is what is shown from now on."""
        self._version, self._budget = version, _budget_in(version)

    @property
    def trials(self) -> int:
        """How many trials the study is known to have had."""
        return 0 if self.status is None else self.status.trials.total

    @property
    def stalled(self) -> bool:
        """Whether it was told last that the study's loop does not turn."""
        return self.status is not None and any(c.reason == Hindrance.STALLED for c in self.status.conditions)

    def is_over(self, version: Version) -> bool:
        """Tell whether what was told of a version is an end: nothing is to be done then."""
        status = self.status
        if status is None or status.phase not in (ConditionType.COMPLETE, ConditionType.FAILED):
            return False
        if self._services.prometheus is not None and any(c.reason == Ended.NO_PROMETHEUS for c in status.conditions):
            return False  # which was the operator's lack, not the study's
        return status.observed_generation == version.generation

    def again(self) -> None:
        """Tell of a study that is over what this operator tells of it: its series, and where its history is now."""
        if self.status is not None and self._custody.may_tell_of_end:
            self._custody.held = True
            self._want(self.status)

    def renew(self) -> None:
        """Say again that this operator looks after the study, if it does, and it is time to."""
        over = self.status is not None and self.status.phase in (ConditionType.COMPLETE, ConditionType.FAILED)
        if self._custody.is_due and not over:
            self._writer.renew()

    async def took_over(self, status: Mapping[str, Any], before: Custody | None) -> None:
        """The study is this operator's to tell of from now on, and its status is as given."""
        self._contest = None
        await self._writer.start_over(status)
        self.status = _known_status({"status": status}) or self.status
        if before is not None:
            said = (
                f"{before.name} looked after the study until {timestamp(before.renewed)}; {self._services.name} goes on"
            )
            log.warning("%s: %s", Told.TAKEN_OVER, said)
            self.tell(Event(Told.TAKEN_OVER, said, warning=True))

    async def yielded(self, to: Theirs) -> None:
        """Another operator looks after the study: nothing of it is told from now on, but that."""
        self._custody.held = False
        await self._writer.start_over({})
        self.gone()
        if to.believed:
            try:
                await self._custody.contest(to)
            except ApiError as error:
                log.warning("that another operator looks after the study is not written: %s", error)
        if to.believed and self._contest != to.custody.name:
            self._contest = to.custody.name
            words = self._custody.words_for(to)
            log.warning("%s: %s", Contest.OTHER_OPERATOR, words)
            self._events.tell(Event(Contest.OTHER_OPERATOR, words, warning=True))

    # --- the loop's listener ---------------------------------------------------------------------------------------

    def show(self, view: View) -> None:
        """Take the study's newest state."""
        self._services.heartbeats[self._owner.uid] = time.monotonic()
        self._services.quarantine.passed(self._owner.uid)
        self.live = view.live
        status = view.status
        self._want(status if self.hindrance is None else self._degraded(status, self.hindrance))

    def tell(self, event: Event) -> None:
        """Take something worth telling a person."""
        if event.why is not None:
            self._services.metrics.trial_failed(event.why)
        self._events.tell(event)

    # --- what the controller tells ---------------------------------------------------------------------------------

    def ended(self) -> None:
        """The study's run is over, for now or for good: nothing lives, and what was held back is told."""
        self.live = ()
        self._services.heartbeats.pop(self._owner.uid, None)
        self._events.release()

    def rejected(self, version: Version, why: Trouble) -> None:
        """Say that a version cannot be run as it is written; what the study came to before stays."""
        metadata = Metadata.model_validate(metadata_of(version.body), by_alias=True)
        self._want(failed(metadata, why.reason, why.message, self._services.clock(), self.status))
        self.tell(Event(why.reason, why.message, warning=True))

    def troubled(self, why: Trouble) -> None:
        """Say that the study cannot go on as it should for now; everything else of its status stays."""
        if not self._custody.held:
            return  # it is not this operator's to tell of, or not yet
        self._want(self._degraded(self.status or StudyStatus(), why))
        self.tell(Event(why.reason, why.message, warning=True))

    # --- the end ---------------------------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Write what is left to write, a limited time."""
        await asyncio.gather(self._events.flush(_FLUSH_SECONDS), self._writer.flush(_FLUSH_SECONDS))

    async def close(self) -> None:
        """Write nothing more."""
        await asyncio.gather(self._events.close(), self._writer.close())

    def gone(self) -> None:
        """The study was deleted: its series go."""
        self._services.metrics.drop(self._owner.namespace, self._owner.name)

    def _want(self, status: StudyStatus) -> None:
        if not self._custody.held:
            return
        own = [c for c in status.conditions if c.type in OWN_CONDITIONS]
        conditions = [*own, *_known_conditions(self._custody.others)][:_MOST_CONDITIONS]
        changes = {"history_service": self._services.address, "operator": None, "conditions": conditions}
        status = status.model_copy(update=changes)
        self.status = status
        self._services.metrics.show(self._owner.namespace, self._owner.name, status, self._budget)
        self._writer.want(status)

    def _degraded(self, status: StudyStatus, why: Trouble) -> StudyStatus:
        rest = [c for c in status.conditions if c.type != ConditionType.DEGRADED]
        before = self.status.conditions if self.status is not None else ()
        condition = degraded(self._version.generation, why, self._services.clock(), before)
        return status.model_copy(update={"conditions": [*rest, condition]})


def _known_status(body: Mapping[str, Any]) -> StudyStatus | None:
    try:
        return StudyStatus.model_validate(body["status"], by_alias=True, by_name=False)
    except (KeyError, ValidationError):
        return None


def _known_conditions(found: Sequence[Mapping[str, Any]]) -> list[Condition]:
    """Return those of others' conditions that can be read, to be kept."""
    kept = []
    for condition in found:
        with contextlib.suppress(ValidationError):
            kept.append(Condition.model_validate(condition, by_alias=True, by_name=False))
    return kept


def _budget_in(version: Version) -> Budget | None:
    try:
        return Budget.model_validate(version.spec.get("budget") or {}, by_alias=True)
    except ValidationError:
        return None  # which the study is told of elsewhere
