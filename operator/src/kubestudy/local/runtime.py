"""Runs trials as processes on this machine (implements the loop's `Runtime` port)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence

from kubestudy.api.study import HyperparameterStudy
from kubestudy.local.container import Machine, execution_of
from kubestudy.local.folder import StudyFolder
from kubestudy.local.gpu_pool import GpuPool
from kubestudy.local.protocol import (
    Broken,
    Cause,
    Ended,
    Fault,
    Kill,
    ProtocolError,
    Quit,
    Report,
    Start,
    Started,
    Stop,
)
from kubestudy.local.supervisor_process import SupervisorProcess, reports
from kubestudy.local.trial_stages import LocalTrial, Stage, end_of
from kubestudy.planning.backoff import Backoff
from kubestudy.study.message import parse_message
from kubestudy.study.ports import StudyError
from kubestudy.study.trial import End, Observed, Suggestion

log = logging.getLogger(__name__)

# After a failure, as the Job controller waits between a Job's pods, but with a person waiting too.
RETRIES = Backoff(first=1.0, limit=60.0)
# Beyond a trial's own grace period: for the supervisor to notice and to end.
_MARGIN_SECONDS = 10.0


class LocalRuntime:
    """Trials as processes, each in a folder of its own, children of one supervisor.

    Use it as an asynchronous context manager: leaving it stops every trial, with its grace period.

    Args:
        study: The study, valid and without problems on this machine.
        folder: The study's folder, locked.
        machine: What trials get of this machine.
        gpus: The GPUs to share out.
        supervisor: The trials' supervisor, started. From now on only the runtime talks to it.
        retries: How long to wait before a failed trial is tried again.
        clock: Seconds that passed, since whenever.
    """

    def __init__(
        self,
        study: HyperparameterStudy,
        folder: StudyFolder,
        machine: Machine,
        gpus: GpuPool,
        supervisor: SupervisorProcess,
        retries: Backoff = RETRIES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._study = study
        self._folder = folder
        self._supervisor = supervisor
        self._machine = machine
        self._gpus = gpus
        self._retries = retries
        self._now = clock
        self._trials: dict[int, LocalTrial] = {}
        self._changed = asyncio.Event()
        self._heard: deque[Report] = deque()
        self._broken: str | None = None
        self._listener: asyncio.Task[None] | None = None
        self._longest_grace = self.grace

    @property
    def grace(self) -> float:
        """Seconds between SIGTERM and SIGKILL."""
        return float(self._study.spec.job_template.spec.template.spec.termination_grace_period_seconds)

    async def __aenter__(self) -> LocalRuntime:
        """Begin to listen to the supervisor."""
        self._listener = asyncio.create_task(self._listen(await self._supervisor.connect()))
        self._listener.add_done_callback(lambda _: self._changed.set())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop every trial, with its grace period, and then the supervisor."""
        self._supervisor.send(Quit())
        await self._supervisor.ended(self._longest_grace + _MARGIN_SECONDS)
        if self._listener is not None:
            self._listener.cancel()

    def update(self, study: HyperparameterStudy) -> None:
        """Take a newer manifest: executions that begin from now on go by it."""
        self._study = study
        self._longest_grace = max(self._longest_grace, self.grace)

    def kill(self) -> None:
        """Take what is left of their grace period from the trials that were told to stop."""
        self._supervisor.send(Kill())

    # --- the Runtime port ------------------------------------------------------------------------------------------

    def capacity(self) -> int | None:
        """Return None: what finds no free GPU waits here, pending."""
        return None

    def job_of(self, number: int) -> str | None:
        """Return None: a trial is a process."""
        return None

    async def expect(self, trials: Sequence[Suggestion]) -> None:
        """Take the trials that have no end yet: nobody else's are in the study's folder, which is locked."""

    async def observe(self) -> Sequence[Observed]:
        """Return the trials in this runtime's hands; nothing changes by it."""
        self._check()
        return [trial.observed() for trial in self._trials.values()]

    async def launch(self, trial: Suggestion) -> None:
        """Start a trial, or take over how it ended if an earlier run did not come to record it."""
        self._check()
        if trial.number in self._trials:
            return
        self._trials[trial.number] = LocalTrial(trial)
        self._take_over(trial.number)
        self._start_what_can()

    async def stop(self, number: int) -> None:
        """Send SIGTERM, and SIGKILL after the grace period; one that has not started never will."""
        trial = self._trials.get(number)
        if trial is None or trial.stage in (Stage.STOPPING, Stage.ENDED):
            return
        if trial.stage in (Stage.STARTING, Stage.RUNNING):
            self._supervisor.send(Stop(number))
        self._trials[number] = trial.stopping()
        self._changed.set()

    async def forget(self, number: int, *, failed: bool = False) -> None:
        """Let go of a trial that has ended; its folder stays."""
        self._trials.pop(number, None)

    async def drain(self) -> None:
        """Nothing is left to do: a process that ended is gone."""

    async def wait(self, seconds: float) -> None:
        """Return when a trial started or ended, or after some seconds; start what found no room before."""
        retries = [t.not_before - self._now() for t in self._trials.values() if t.stage is Stage.BACKING_OFF]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), max(0.0, min([seconds, *retries])))
        self._changed.clear()
        while self._heard:
            self._take_in(self._heard.popleft())
        self._start_what_can()

    # --- starting --------------------------------------------------------------------------------------------------

    def _take_over(self, number: int) -> None:
        """Find out whether a trial already ended by itself when nobody listened."""
        folder = self._folder.trial(number)
        if not folder.path.is_dir():
            return
        if folder.is_of_another(self._trials[number].suggestion.params):
            aside = folder.set_aside()
            log.warning(
                "trial %d of other parameters, which the storage does not know of any more, is kept in %s",
                number,
                aside,
            )
            return
        exited = folder.read_exit()
        if exited is None:
            result = parse_message(folder.read_message())
            if result is not None and result.reason is None and result.values:
                # Its last words are complete: only whoever would have noted its exit was killed.
                self._end(number, End(True, False, "Completed", "it ended unobserved", result))
        elif exited.cause is not Cause.STOPPED or exited.code == 0:
            self._trials[number] = LocalTrial(self._trials[number].suggestion, attempt=exited.attempt)
            self._ended(exited)

    def _start_what_can(self) -> None:
        """Start those whose time has come, first come, first served, while there are GPUs for them."""
        now = self._now()
        for trial in list(self._trials.values()):
            if not trial.is_due(now):
                continue
            gpus = self._gpus.take()
            if gpus is None:
                self._trials[trial.suggestion.number] = trial.queued()
            else:
                self._start(trial, tuple(gpus), now)

    def _start(self, trial: LocalTrial, gpus: tuple[str, ...], now: float) -> None:
        number = trial.suggestion.number
        folder = self._folder.trial(number)
        folder.prepare(dict(trial.suggestion.params))
        port = _free_port()
        try:
            execution = execution_of(
                self._study,
                trial.suggestion,
                self._machine,
                gpus=gpus,
                port=port,
                message=folder.message.absolute(),
                checkpoint=folder.checkpoint.absolute(),
            )
        except ValueError as error:
            raise StudyError(f"trial {number} cannot be started ({error}): shorten its args and env") from error
        order = Start(
            number=number,
            attempt=trial.attempt,
            argv=execution.argv,
            args=execution.args,
            environment=execution.environment,
            folder=execution.folder,
            log=str(folder.log.absolute()),
            exit_file=str(folder.exit.absolute()),
            grace=self.grace,
            deadline=trial.deadline(self._study.spec.job_template.spec, now),
        )
        try:
            self._supervisor.send(order)
        except ProtocolError as error:
            raise StudyError(f"trial {number} cannot be started ({error}): shorten its args and env") from error
        self._trials[number] = trial.starting(gpus, port, now)

    # --- what the supervisor says ----------------------------------------------------------------------------------

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Hear the supervisor; what it says counts from the next wait on."""
        again = "run the same command again"
        try:
            async for report in reports(reader):
                self._heard.append(report)
                self._changed.set()
        except ProtocolError as error:
            self._break(f"what the trials' supervisor says cannot be read ({error}): {again}")
        except OSError as error:
            log.warning("the trials' supervisor cannot be heard: %s", error)
        if not any(isinstance(report, Broken) for report in self._heard):
            self._break(f"the trials' supervisor ended unexpectedly; {again}")

    def _take_in(self, report: Report) -> None:
        match report:
            case Started(number, at) if number in self._trials:
                self._trials[number] = self._trials[number].running(at)
            case Ended(number) if number in self._trials:
                self._ended(report)
            case Broken(Fault.TRAINER, why):
                self._break(f"the ready trainer cannot be loaded ({why}): install kubestudy[local]")
            case Broken(_, why):
                self._break(f"the trials' supervisor cannot go on ({why}): run the same command again")

    def _break(self, why: str) -> None:
        """Nothing can be run any more; the first reason is the one to be told."""
        self._broken = self._broken or why
        self._changed.set()

    def _check(self) -> None:
        if self._listener is not None and self._listener.done():
            self._listener.result()  # an error of our own is not to be taken for silence
        if self._broken is not None:
            raise StudyError(self._broken)

    # --- ends ------------------------------------------------------------------------------------------------------

    def _ended(self, exited: Ended) -> None:
        number, trial = exited.number, self._trials[exited.number]
        folder = self._folder.trial(number)
        end = end_of(exited, parse_message(folder.read_message()), folder.last_line, len(trial.gpus))
        limit = self._study.spec.job_template.spec.backoff_limit or 0
        if not trial.is_retried(exited, end, limit):
            self._end(number, end)
            return
        delay = self._retries.after(trial.attempt + 1)
        self._gpus.give_back(trial.gpus)
        self._trials[number] = trial.backing_off(self._now() + delay)
        log.warning(
            "trial %d failed (%s: %s): retry %d of %d in %.1f s",
            number, end.reason, end.detail, trial.attempt + 1, limit, delay,
        )  # fmt: skip

    def _end(self, number: int, end: End) -> None:
        trial = self._trials[number]
        self._gpus.give_back(trial.gpus)
        self._trials[number] = trial.ended(end)
        self._changed.set()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
