"""One study's custody at work: seen in its object, taken by a write that nobody else can have made, contested."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kubestudy.api.crd import PLURAL
from kubestudy.api.reasons import ConditionType, Contest
from kubestudy.api.study import API_VERSION, KIND
from kubestudy.cluster.api import ApiError, ConflictError, NotFoundError
from kubestudy.cluster.jobs import Owner
from kubestudy.cluster.paths import collection
from kubestudy.controller.services import Services
from kubestudy.planning.custody import Custody, Open, Ours, Theirs, is_taken_away, judge
from kubestudy.study.view import OWN_CONDITIONS, timestamp

log = logging.getLogger(__name__)

_ATTEMPTS = 5
_MOST_CONDITIONS = 8
_NAME_LENGTH = 512


@dataclass(frozen=True, slots=True)
class Taken:
    """The study is this operator's to look after.

    Attributes:
        status: Its status, where it was written for that.
        before: The other operator that looked after it before, if one did.
    """

    status: Mapping[str, Any] | None = None
    before: Custody | None = None


class StudyCustody:
    """Whether this operator looks after a study.

    Args:
        owner: The study.
        services: What it needs.
        body: The object as it was first seen.

    Attributes:
        held: Whether this operator does: nothing is written of a study otherwise, but that it is contested.
        others: The conditions of types that are not this operator's to write, as they were last seen.
    """

    def __init__(self, owner: Owner, services: Services, body: Mapping[str, Any]) -> None:
        self._owner, self._services = owner, services
        self._path = f"{collection(API_VERSION, PLURAL, owner.namespace)}/{owner.name}"
        self._body: Mapping[str, Any] = {}
        self._found: Custody | None = None
        self._seen_since = services.clock()
        self._took = False
        self.others: Sequence[Mapping[str, Any]] = ()
        self.see(body)
        self.held = self._found is not None and self._found.name == services.name

    @property
    def _own(self) -> Custody:
        return Custody(self._services.name, self._services.storage, self._services.clock())

    def see(self, body: Mapping[str, Any]) -> None:
        """Take in the object as it is now."""
        if _version(body) < _version(self._body):
            return
        found = custody_in(body)
        if found != self._found:
            self._seen_since = self._services.clock()
        status = body.get("status") or {}
        # Of the object no more is kept than what a write of one condition needs.
        self._body = {"metadata": {"resourceVersion": body["metadata"].get("resourceVersion")}, "status": {
            "conditions": status.get("conditions") or [],
        }}  # fmt: skip
        self._found = found
        self.others = [c for c in self._body["status"]["conditions"] if c.get("type") not in OWN_CONDITIONS]

    @property
    def taken_away(self) -> Theirs | None:
        """Who has taken over what is held here, if anybody has."""
        now = self._services.clock()
        if self._found is None or not self._took or not is_taken_away(self._found, self._own, now):
            return None
        return Theirs(self._found, now, believed=True)

    @property
    def is_free(self) -> bool:
        """Whether the status names nobody."""
        return self._found is None

    @property
    def is_due(self) -> bool:
        """Whether it is held, and time to renew it."""
        return self.held and (self._found is None or self._found.is_due(self._services.clock()))

    @property
    def may_tell_of_end(self) -> bool:
        """Whether a study that is over is this operator's to tell of: nobody's, its own, or in the same storage."""
        found, storage = self._found, self._services.storage
        return found is None or found.name == self._services.name or bool(storage and found.storage == storage)

    def stamp(self) -> Mapping[str, Any]:
        """Return what is written into the status, beside all else, whenever it is written."""
        self._found = self._own
        return {"operator": _as_data(self._found)}

    async def take(self) -> Theirs | Taken:
        """See to it that this operator looks after the study.

        Returns:
            Who else does, or how it was taken.

        Raises:
            ApiError: The API server refuses, or does not answer.
        """
        for _ in range(_ATTEMPTS):
            whose = judge(self._found, self._own, self._services.clock(), self._seen_since)
            match whose:
                case Theirs():
                    self.held = False
                    return whose
                case Ours():
                    self.held = self._took = True
                    return Taken()
                case Open(before):
                    # What the last one who watched it too said of that goes with it.
                    kept = [c for c in self._body["status"]["conditions"] if c.get("type") != _CONTESTED]
                    changes = {"operator": _as_data(self._own), **({"conditions": kept} if kept else {})}
                    if (answer := await self._write(changes)) is not None:
                        self._found, self.held, self._took = self._own, True, True
                        return Taken(answer.get("status"), before)
            await self._look()
        raise ApiError(0, "", "the study changes too often to be taken: others write its status all the time")

    async def contest(self, theirs: Theirs) -> None:
        """Say in a condition that another operator looks after the study, unless it says so already.

        Raises:
            ApiError: The API server refuses, or does not answer.
        """
        condition = {
            "type": _CONTESTED,
            "status": "True",
            "reason": Contest.OTHER_OPERATOR.value,
            "message": self.words_for(theirs),
            "lastTransitionTime": timestamp(self._services.clock()),
        }
        for _ in range(_ATTEMPTS):
            there = list(self._body["status"]["conditions"])
            if len(there) >= _MOST_CONDITIONS or any(c.get("type") == _CONTESTED for c in there):
                return
            if await self._write({"conditions": [*there, condition]}) is not None:
                return
            await self._look()

    def words_for(self, theirs: Theirs) -> str:
        """Return what people are told where another operator looks after the study."""
        other, here = theirs.custody.name, self._services.name
        patch = f"kubectl patch hps {self._owner.name} -n {self._owner.namespace} --subresource=status --type=merge"
        return (
            f"the operator {here} could look after this study too and keeps its hands off, since {other} does: restrict"
            f" one of them to other namespaces (in the chart: namespaces). If {other} is gone for good, {here} takes"
            " over by itself within 15 minutes, or at once after:"
            f""" {patch} -p '{{"status":{{"operator":null}}}}'"""
        )

    async def _write(self, status: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Write if nobody wrote since the object was seen; return the object, None if somebody did or it is gone."""
        version = self._body["metadata"].get("resourceVersion")
        metadata = {"uid": self._owner.uid, **({"resourceVersion": version} if version else {})}
        try:
            answer = await self._services.api.patch(f"{self._path}/status", {"metadata": metadata, "status": status})
        except (ConflictError, NotFoundError):
            return None
        if "metadata" in answer:
            self.see(answer)
        return answer

    async def _look(self) -> None:
        """Look at the object itself, whatever the watch has told of it."""
        query = {"fieldSelector": f"metadata.name={self._owner.name}"}
        answer = await self._services.api.get(collection(API_VERSION, PLURAL, self._owner.namespace), **query)
        found = [item for item in answer["items"] if item["metadata"]["uid"] == self._owner.uid]
        if not found:
            raise NotFoundError(404, "NotFound", f"the {KIND} is gone")
        self.see(found[0])


_CONTESTED = ConditionType.CONTESTED.value


def custody_in(body: Mapping[str, Any]) -> Custody | None:
    """Return the custody that an object's status tells of; None where it tells of none that can be read."""
    try:
        found = body["status"]["operator"]
        renewed = datetime.fromisoformat(str(found["renewTime"])[:64]).astimezone(UTC).timestamp()
        name, storage = str(found["name"]), str(found.get("storage") or "")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError):
        return None
    return Custody(name[:_NAME_LENGTH], storage[:_NAME_LENGTH], renewed)


def _as_data(custody: Custody) -> dict[str, Any]:
    return {"name": custody.name, "storage": custody.storage, "renewTime": timestamp(custody.renewed)}


def _version(body: Mapping[str, Any]) -> int:
    try:
        return int(body["metadata"]["resourceVersion"])
    except (KeyError, TypeError, ValueError):
        return 0
