"""The life of one study in a cluster, in one task: it reads the study's inbox, and does what `study_states` asks for.

Two more tasks are this one's own, and end with it: an admission, and the study's run. What they come to, a newer
version in the inbox, and time are looked at whenever something wakes the task; what is not its turn yet stays where it
is, so nothing is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, assert_never

from kubestudy.api.reasons import Hindrance
from kubestudy.cluster.api import ApiError
from kubestudy.controller.admission import admit, history_policy, internal_error, owner_of
from kubestudy.controller.custody import StudyCustody
from kubestudy.controller.inbox import Inbox, Version
from kubestudy.controller.log_lines import about
from kubestudy.controller.reporting import StudyReporter
from kubestudy.controller.services import Services
from kubestudy.controller.study_run import StudyRun
from kubestudy.controller.study_states import (
    Admit,
    BackingOff,
    Broke,
    Changed,
    Elapsed,
    Ended,
    Fact,
    Freed,
    Judged,
    Postponed,
    Renew,
    Request,
    Run,
    Running,
    State,
    Suspect,
    TakenAway,
    TellRejected,
    TellTrouble,
    Waiting,
    Yield,
    Yielding,
    due,
    hindrance,
    takes_changes,
)
from kubestudy.controller.study_steps import BACKOFF, begin, step
from kubestudy.controller.verdicts import Admitted, Delayed, Runnable, Verdict, Yielded
from kubestudy.controller.work_pool import StuckError
from kubestudy.planning.custody import Theirs
from kubestudy.search.archive import Record
from kubestudy.study.ports import StudyError, Trouble
from kubestudy.study.view import LiveTrial

log = logging.getLogger(__name__)


class StudyController:
    """One study, from the moment it is seen until it is deleted or the operator stops.

    Args:
        body: The object, as the API server sends it.
        services: What it needs.

    Attributes:
        namespace: The study's namespace.
        name: Its name.
    """

    def __init__(self, body: Mapping[str, Any], services: Services) -> None:
        self._services = services
        self._wake = asyncio.Event()
        self._inbox = Inbox(body, self._wake.set)
        owner = owner_of(body)
        self.namespace, self.name, self._uid = owner.namespace, owner.name, owner.uid
        self._custody = StudyCustody(owner, services, body)
        self._reporter = StudyReporter(owner, self._inbox.newest, services, self._custody)
        self._admission: asyncio.Task[Verdict] | None = None
        self._run: StudyRun | None = None
        self._running: asyncio.Task[Ended | Broke] | None = None

    @property
    def live(self) -> Sequence[LiveTrial]:
        """The trials that live now."""
        return self._reporter.live

    @property
    def record(self) -> Record:
        """What the storage knows the study by."""
        return self._services.record(self.namespace, self.name, self._uid, history_policy(self._inbox.newest))

    def update(self, body: Mapping[str, Any]) -> None:
        """Take a newer version of the object."""
        self._custody.see(body)
        self._wake.set()
        if self._inbox.put(body):
            self._reporter.take(self._inbox.newest)

    def renew(self) -> None:
        """Say again that this operator looks after the study, where it is time to."""
        with about(self.namespace, self.name):
            self._reporter.renew()

    def stalled(self) -> None:
        """Say that the study's loop does not turn; what it shows next takes that back."""
        if self._reporter.stalled:
            return
        why = Trouble(Hindrance.STALLED, "the study's loop has not turned for five minutes; other studies go on")
        log.warning("%s: %s", why.reason, why.message)
        self._reporter.troubled(why)

    async def run(self) -> None:
        """Look after the study until cancelled."""
        with about(self.namespace, self.name):
            failures = 0
            while True:
                try:
                    await self._live()
                except Exception as error:  # whatever it is, other studies go on, and so does this one later
                    failures += 1
                    log.exception("an error of the operator's own")
                    self._reporter.troubled(internal_error(error))
                finally:
                    await self._halt()
                await asyncio.sleep(BACKOFF.after(failures))

    async def close(self) -> None:
        """Write what is left to write, a limited time."""
        with about(self.namespace, self.name):
            await self._reporter.flush()
            await self._reporter.close()

    async def abandon(self) -> None:
        """Write nothing more: somebody else looks after the study by now."""
        await self._reporter.close()

    async def gone(self) -> None:
        """The study was deleted: its Jobs go by themselves, its history if it was to.

        Raises:
            StudyError: The history cannot be deleted.
        """
        await self._reporter.close()
        self._reporter.gone()
        self._services.quarantine.over(self._uid)
        if self.record.history == "Delete" and self._custody.may_tell_of_end:
            await self._services.pool.call(self._uid, partial(self._services.archive.delete, self.record))

    # --- the task --------------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        version = self._inbox.take() or self._inbox.newest
        over = self._reporter.is_over(version)
        if over:
            self._reporter.again()
        pause, why = self._services.quarantine.pause(self._uid), self._services.quarantine.trouble(self._uid)
        suspect = Suspect(self._services.clock() + pause, why) if pause else None
        state, requests = begin(version, done=over, suspect=suspect)
        while True:
            self._reporter.hindrance = hindrance(state)
            for request in requests:
                await self._do(request)
            _tell_of_pause(state, requests, self._services.clock())
            fact = await self._next(state)
            state, requests = step(state, fact, self._services.clock())

    async def _next(self, state: State) -> Fact:
        """Wait for something that leads on from a state."""
        while True:
            self._wake.clear()
            fact = self._seen(state)
            if fact is not None:
                return fact
            at = due(state)
            timeout = None if at is None else max(0.0, at - self._services.clock())
            with contextlib.suppress(TimeoutError):
                # Not `wait_for`, which swallows a cancellation that comes together with what it waits for.
                async with asyncio.timeout(timeout):
                    await self._wake.wait()

    def _seen(self, state: State) -> Fact | None:
        if isinstance(state, Yielding):
            if self._custody.is_free:
                return Freed()
        elif self._custody.held and (theirs := self._custody.taken_away) is not None:
            if not isinstance(state, Waiting):
                return TakenAway(theirs)
            self._custody.held = False  # nothing is done for it anyway
        if self._running is not None and self._running.done():
            ended, self._running, self._run = self._running.result(), None, None
            return ended
        if self._admission is not None and self._admission.done():
            verdict, self._admission = self._admission.result(), None
            return Judged(verdict)
        if takes_changes(state) and (version := self._inbox.take()) is not None:
            return Changed(version)
        at = due(state)
        return Elapsed() if at is not None and self._services.clock() >= at else None

    async def _do(self, request: Request) -> None:
        match request:
            case Admit(version):
                runs = self._run.runnable if self._run is not None else None
                begun = self._reporter.trials > 0
                self._admission = self._own_task(self._admit(version, runs, begun=begun))
            case Run(runnable):
                self._run = StudyRun(runnable, self._services, self._reporter)
                self._running = self._own_task(self._end_of(self._run))
            case Renew(runnable):
                await self._renew(runnable)
            case TellRejected(version, why):
                log.warning("%s: %s", why.reason, why.message)
                self._reporter.rejected(version, why)
            case TellTrouble(why):
                log.warning("%s: %s", why.reason, why.message)
                self._reporter.troubled(why)
            case Yield(to):
                await self._halt()
                await self._reporter.yielded(to)
            case _:
                assert_never(request)

    async def _admit(self, version: Version, runs: Runnable | None, *, begun: bool) -> Verdict:
        """Admit a version, if the study is this operator's; one that it was killed over when its turn has come."""
        await self._services.quarantine.enter(self._uid)
        verdict = await self._take() or await admit(version, self._services, runs, begun=begun)
        if not isinstance(verdict, Admitted):
            self._services.quarantine.left(self._uid)
        return verdict

    async def _take(self) -> Verdict | None:
        """See to it that this operator looks after the study; return what is in the way of that, if anything."""
        try:
            taken = await self._custody.take()
        except ApiError as error:
            return Delayed(Trouble(Hindrance.API_SERVER, str(error)))
        if isinstance(taken, Theirs):
            return Yielded(taken)
        if taken.status is not None:
            await self._reporter.took_over(taken.status, taken.before)
        return None

    def _own_task(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._wake.set())
        return task

    async def _renew(self, runnable: Runnable) -> None:
        if self._run is None:
            return
        try:
            await self._run.renew(runnable)
        except StudyError as error:
            log.warning("the history's policy is not kept yet: %s", error)

    async def _end_of(self, run: StudyRun) -> Ended | Broke:
        try:
            return Ended(await run.run())
        except StuckError as error:
            return Broke(Trouble(Hindrance.SEARCH_STUCK, str(error)))
        except StudyError as error:
            self._services.metrics.storage_errors.inc()
            return Broke(Trouble(Hindrance.STORAGE, str(error)))
        except ApiError as error:
            return Broke(Trouble(Hindrance.API_SERVER, str(error)))
        except Exception as error:
            log.exception("an error of the operator's own")
            return Broke(internal_error(error))
        finally:
            self._services.quarantine.left(self._uid)

    async def _halt(self) -> None:
        """End the tasks of this one."""
        self._services.quarantine.left(self._uid)
        tasks = [task for task in (self._admission, self._running) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._admission = self._running = self._run = None


def _tell_of_pause(state: State, requests: Sequence[Request], now: float) -> None:
    """Log when what failed is tried again."""
    match state:
        case BackingOff(until=until) | Running(change=Postponed(until=until)) if requests:
            log.warning("trying again in %.0f s", max(0.0, until - now))
