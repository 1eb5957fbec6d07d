"""`kubectl study wait`: the progress of a study in a cluster, until it is over."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from kubestudy.api.study import HyperparameterStudy
from kubestudy.cli.closing import print_end
from kubestudy.cli.exits import Exit
from kubestudy.cli.operator_state import silence
from kubestudy.cli.output import complain, note
from kubestudy.cli.remote import Remote, as_study, service_of
from kubestudy.cli.run_display import Progress, err
from kubestudy.cli.study_output import hindrance, status_in, wait_for_room, why
from kubestudy.cluster.api import ApiError, UnreachableError
from kubestudy.study.ports import Event, StudyError
from kubestudy.study.view import LiveTrial, View

_LOOK_SECONDS = 1.0
_LEASE_SECONDS = 10.0
_OVER = ("Complete", "Failed")


async def follow(remote: Remote, name: str, seconds: float | None) -> Exit:
    """Show a study's progress until it is over.

    Args:
        remote: Where it is.
        name: Its name.
        seconds: How long to wait at most; None for as long as it takes.

    Returns:
        COMPLETED or FAILED as the study; FAILED also if the time is up or the study is deleted.
    """
    body = await remote.study(name)
    uid = body["metadata"]["uid"]
    onlooker, troubles = _Onlooker(remote), _Troubles(remote, name)
    await onlooker.news(body)  # what was told before is left out
    deadline = None if seconds is None else time.monotonic() + seconds
    study = _as_study(body)
    with _progress(name, study) as progress:
        while not _is_over(body):
            await troubles.look(body)
            if deadline is not None and time.monotonic() > deadline:
                phase = status_in(body).phase
                in_the_way = "".join(f"; {said}" for said in troubles.said)
                complain(f"error: {name} is {phase} after {seconds:.0f} s; it goes on without this command{in_the_way}")
                return Exit.FAILED
            if progress is not None:
                for event in await onlooker.news(body):
                    progress.tell(event)
                progress.show(View(status_in(body), await onlooker.living(body)))
            await asyncio.sleep(_LOOK_SECONDS)
            found: dict[str, Any] | None = body
            with contextlib.suppress(UnreachableError):
                found = await remote.look(name)
            if found is None or found["metadata"]["uid"] != uid:
                raise StudyError(f"{name} was deleted")
            body = found
        if progress is not None:
            for event in await onlooker.news(body):
                progress.tell(event)
    status = status_in(body)
    if study is None:
        complain(f"{name}: {status.phase}: {why(status)}")
    else:
        print_end(name, status, study.spec.objectives)
    return Exit.COMPLETED if status.phase == "Complete" else Exit.FAILED


def _progress(name: str, study: HyperparameterStudy | None) -> contextlib.AbstractContextManager[Progress | None]:
    return contextlib.nullcontext() if study is None else Progress(name, study.spec, err)


class _Troubles:
    """What keeps a study from being over: told of when it is new, and when it is over."""

    def __init__(self, remote: Remote, name: str) -> None:
        self._remote = remote
        self._name = name
        self._next = 0.0
        self._silence: str | None = None
        self._hindrance: str | None = None
        self._waits = False

    @property
    def said(self) -> list[str]:
        """What is in the way now."""
        return [said for said in (self._hindrance, self._silence) if said is not None]

    async def look(self, body: Mapping[str, Any]) -> None:
        """Look at a study, and now and then for an operator."""
        status = status_in(body)
        found = hindrance(status)
        if found is not None and found != self._hindrance:
            note(f"{self._name}: {found}")
        self._hindrance = found
        # Its words count trials, and change with each: once a wait is enough.
        waits = wait_for_room(status)
        if waits is not None and not self._waits:
            note(f"{self._name}: {waits}")
        self._waits = waits is not None
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _LEASE_SECONDS
        unheard = silence(body, await self._remote.lease(service_of(body)), datetime.now(UTC))
        if unheard is not None and self._silence is None:
            note(f"{self._name}: {unheard}")
        elif unheard is None and self._silence is not None:
            note(f"{self._name}: an operator is answering again")
        self._silence = unheard


class _Onlooker:
    """What is nice to see while waiting; where the user may not see it, it is left out."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._told: set[tuple[str, int]] = set()
        self._live: list[LiveTrial] = []
        self._may_look = True

    async def news(self, body: Mapping[str, Any]) -> list[Event]:
        """Return events that were not told before."""
        fresh = []
        with contextlib.suppress(ApiError):
            for event in await self._remote.events(body):
                key = (event["metadata"]["uid"], int(event.get("count") or 1))
                if key not in self._told:
                    self._told.add(key)
                    fresh.append(Event(event["reason"], event["message"], warning=event.get("type") == "Warning"))
        return fresh

    async def living(self, body: Mapping[str, Any]) -> list[LiveTrial]:
        """Return the living trials; those seen last where the operator cannot be asked now."""
        if not self._may_look:
            return []
        try:
            self._live = await self._remote.live(body)
        except UnreachableError:
            pass
        except ApiError as error:
            if error.status == HTTPStatus.FORBIDDEN:
                self._may_look = False
                note(f"running trials are not listed: {error}")
        except StudyError:
            pass
        return self._live


def _as_study(body: Mapping[str, Any]) -> HyperparameterStudy | None:
    try:
        return as_study(body)
    except StudyError:
        return None  # the operator says what is wrong with it


def _is_over(body: Mapping[str, Any]) -> bool:
    status = status_in(body)
    return status.phase in _OVER and status.observed_generation == body["metadata"].get("generation")
