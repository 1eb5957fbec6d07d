"""Every study's life, by uid: begun when the study is seen, ended when it is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from kubestudy.cluster.trial_objects import StudyKey
from kubestudy.controller.log_lines import about
from kubestudy.controller.services import Services
from kubestudy.controller.study_controller import StudyController
from kubestudy.search.archive import Record
from kubestudy.study.ports import StudyError
from kubestudy.study.view import LiveTrial

log = logging.getLogger(__name__)

# Whom the pool takes the look at all histories for; it may take long where there are many.
_HISTORIES = "histories"
_HISTORIES_SECONDS = 600.0


def study_key(body: Mapping[str, Any]) -> StudyKey:
    """Return what the cache knows a study by."""
    metadata = body["metadata"]
    return StudyKey(metadata["namespace"], metadata["name"], metadata["uid"])


class Registry:
    """The studies an operator looks after.

    Args:
        services: What they need.
        namespaces: Where it looks after them; empty for everywhere.
    """

    def __init__(self, services: Services, namespaces: Sequence[str] = ()) -> None:
        self._services = services
        self._namespaces = namespaces
        self._lives: dict[str, tuple[StudyController, asyncio.Task[None]]] = {}
        self._closed = False

    def seen(self, body: Mapping[str, Any]) -> None:
        """A study is there, new or changed."""
        uid = body["metadata"]["uid"]
        known = self._lives.get(uid)
        if known is not None:
            known[0].update(body)
            return
        if self._closed or "deletionTimestamp" in body["metadata"]:
            return  # somebody else's finalizer keeps it for now; nothing is to be started
        self._services.cache.look_after(study_key(body))
        life = StudyController(body, self._services)
        name = f"{life.namespace}/{life.name}"
        self._lives[uid] = (life, asyncio.create_task(life.run(), name=name))
        with about(life.namespace, life.name):
            log.info("looking after the study")

    def live(self, uid: str) -> Sequence[LiveTrial] | None:
        """Return a study's living trials; None of a study that is not looked after here."""
        known = self._lives.get(uid)
        return None if known is None else known[0].live

    def renew(self) -> None:
        """Say of each study that is not over that this operator looks after it, where it is time to."""
        for life, _ in self._lives.values():
            life.renew()

    def stalled(self, uid: str) -> None:
        """A study's loop does not turn."""
        known = self._lives.get(uid)
        if known is not None:
            with about(known[0].namespace, known[0].name):
                known[0].stalled()

    async def gone(self, uid: str) -> None:
        """A study was deleted."""
        known = self._lives.pop(uid, None)
        if known is None:
            return
        life, task = known
        self._services.cache.let_go(StudyKey(life.namespace, life.name, uid))
        with about(life.namespace, life.name):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            try:
                await life.gone()
            except StudyError as error:
                log.warning("the history is not deleted: %s", error)
            log.info("the study was deleted")

    async def resync(self, bodies: Iterable[Mapping[str, Any]]) -> None:
        """Take in a full listing: what is not in it is gone."""
        listed = {body["metadata"]["uid"]: body for body in bodies}
        for uid in self._lives.keys() - listed.keys():
            await self.gone(uid)
        for body in listed.values():
            self.seen(body)

    async def clean_up(self) -> None:
        """Delete the histories of studies that were deleted while no operator ran, where they were to go."""
        archive, pool = self._services.archive, self._services.pool
        try:
            kept = await pool.call(_HISTORIES, lambda: list(archive.records()), _HISTORIES_SECONDS)
            gone = [r for r in kept if r.history == "Delete" and r.uid not in self._lives and self._is_ours(r)]
            for record in gone:
                with about(record.namespace, record.name):
                    log.info("deleting the history of the study, which is gone")
                await pool.call(_HISTORIES, partial(archive.delete, record))
        except StudyError as error:
            log.warning("the histories of deleted studies stay for now: %s", error)

    def _is_ours(self, record: Record) -> bool:
        """Tell whether a history is of a study that this operator would see: others may keep theirs in the same place.

        A folder is taken for one cluster's as long as its records name none; a database never is.
        """
        if self._namespaces and record.namespace not in self._namespaces:
            return False
        cluster = self._services.cluster
        if self._services.archive.journal(record) is None:
            return bool(cluster) and record.is_of(cluster)
        return not record.cluster or record.is_of(cluster)

    async def close(self, *, flush: bool) -> None:
        """End all lives; their trials go on.

        Args:
            flush: Whether what is left to write is written, a limited time; not where another operator writes by now.
        """
        self._closed = True
        lives = list(self._lives.values())
        for _, task in lives:
            task.cancel()
        await asyncio.gather(*(task for _, task in lives), return_exceptions=True)
        ends = [life.close() if flush else life.abandon() for life, _ in lives]
        for error in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(error, Exception):
                log.error("a study's end was not written", exc_info=error)
