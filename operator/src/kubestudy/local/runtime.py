"""Runs trials as processes on this machine (implements the loop's `Runtime` port)."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kubestudy.api import contract
from kubestudy.api.reasons import Failure
from kubestudy.api.study import HyperparameterStudy
from kubestudy.local.container import Machine, execution_of
from kubestudy.local.folder import Exit, StudyFolder
from kubestudy.local.gpus import GpuPool
from kubestudy.local.workers import Workers
from kubestudy.study.message import parse_message
from kubestudy.study.outcome import reason_of_exit
from kubestudy.study.ports import StudyError
from kubestudy.study.trial import End, Observed, Result, Suggestion, TrialPhase

log = logging.getLogger(__name__)

# After a failure, as the Job controller waits between a Job's pods, but with a person waiting too.
BACKOFF_SECONDS = 1.0
BACKOFF_LIMIT_SECONDS = 60.0


@dataclass(slots=True)
class _Trial:
    """A trial in this runtime's hands."""

    suggestion: Suggestion
    gpus: list[str] | None = None
    attempt: int = 0
    first_started: float | None = None
    started: float | None = None
    not_before: float = 0.0
    port: int | None = None
    sent: bool = False
    stopping: bool = False
    end: End | None = None


class LocalRuntime:
    """Trials as processes, each in a folder of its own, children of one supervisor.

    Use it as an asynchronous context manager: leaving it ends every trial in order.

    Args:
        study: The study, valid and without problems on this machine.
        folder: The study's folder, locked.
        machine: What trials get of this machine.
        gpus: The GPUs to share out.
        workers: The trials' supervisor, started.
        backoff_seconds: How long to wait before the first retry of a failed trial; doubles each time.
    """

    def __init__(
        self,
        study: HyperparameterStudy,
        folder: StudyFolder,
        machine: Machine,
        gpus: GpuPool,
        workers: Workers,
        backoff_seconds: float = BACKOFF_SECONDS,
    ) -> None:
        self._study = study
        self._folder = folder
        self._workers = workers
        self._machine = machine
        self._gpus = gpus
        self._backoff = backoff_seconds
        self._trials: dict[int, _Trial] = {}
        self._changed = asyncio.Event()
        self._broken: str | None = None
        self._listener: asyncio.Task[None] | None = None

    @property
    def grace(self) -> float:
        """Seconds between SIGTERM and SIGKILL."""
        return float(self._study.spec.job_template.spec.template.spec.termination_grace_period_seconds)

    async def __aenter__(self) -> LocalRuntime:
        """Begin to listen to the supervisor."""
        self._listener = asyncio.create_task(self._listen(await self._workers.connect()))
        return self

    async def __aexit__(self, *_: object) -> None:
        """End every trial, with its grace period, and then the supervisor."""
        await self._workers.quit(self.grace)
        if self._listener is not None:
            self._listener.cancel()

    # --- the Runtime port ------------------------------------------------------------------------------------------

    def capacity(self) -> int | None:
        """Return None: what finds no free GPU waits here, pending."""
        return None

    def job_of(self, number: int) -> str | None:
        """Return None: a trial is a process."""
        return None

    async def observe(self) -> Sequence[Observed]:
        """Return the trials in this runtime's hands."""
        self._check()
        self._start_what_can()
        return [self._observed(trial) for trial in self._trials.values()]

    async def launch(self, trial: Suggestion) -> None:
        """Start a trial, or take over how it ended if an earlier run did not come to record it."""
        self._check()
        if trial.number in self._trials:
            return
        known = _Trial(trial)
        self._trials[trial.number] = known
        if not self._take_over(known):
            self._start_what_can()

    async def stop(self, number: int) -> None:
        """Send SIGTERM, and SIGKILL after the grace period; one that has not started never will."""
        trial = self._trials.get(number)
        if trial is None or trial.stopping or trial.end is not None:
            return
        trial.stopping = True
        if trial.sent:
            self._workers.send({"op": "stop", "number": number})
        else:
            trial.end = End(False, True, "NotStarted", "it had not started", None)
            self._release(trial)
            self._changed.set()

    async def forget(self, number: int, *, failed: bool = False) -> None:
        """Let go of a trial that has ended; its folder stays."""
        self._trials.pop(number, None)

    async def drain(self) -> None:
        """Nothing is left to do: a process that ended is gone."""

    async def wait(self, seconds: float) -> None:
        """Return when a trial started or ended, or after some seconds."""
        now = time.time()
        retries = (t.not_before - now for t in self._trials.values() if not t.sent and t.end is None)
        timeout = min([seconds, *(left for left in retries if left > 0)])
        try:
            await asyncio.wait_for(self._changed.wait(), timeout)
        except TimeoutError:
            return
        finally:
            self._changed.clear()

    # --- starting --------------------------------------------------------------------------------------------------

    def _take_over(self, trial: _Trial) -> bool:
        """Find out whether the trial already ended by itself when nobody listened."""
        folder = self._folder.trial(trial.suggestion.number)
        if not folder.path.is_dir():
            return False
        exited = folder.read_exit()
        if exited is None:
            result = parse_message(folder.read_message())
            if result is None or result.reason is not None or not result.values:
                return False
            # Its last words are complete: only whoever would have noted its exit was killed.
            trial.end = End(True, False, "Completed", "it ended unobserved", result)
        elif exited.cause == "stopped" and exited.code != 0:
            return False
        else:
            trial.attempt = exited.attempt
            self._ended(trial, exited)
        self._changed.set()
        return trial.end is not None

    def _start_what_can(self) -> None:
        now = time.time()
        for trial in self._trials.values():
            if trial.sent or trial.end is not None or now < trial.not_before:
                continue
            if trial.gpus is None:
                trial.gpus = self._gpus.take()
            if trial.gpus is None:
                return  # first come, first served
            self._start(trial, now)

    def _start(self, trial: _Trial, now: float) -> None:
        job = self._study.spec.job_template.spec
        folder = self._folder.trial(trial.suggestion.number)
        folder.prepare(dict(trial.suggestion.params))
        trial.port = _free_port()
        execution = execution_of(
            self._study,
            trial.suggestion,
            self._machine,
            gpus=trial.gpus or (),
            port=trial.port,
            message=folder.message.absolute(),
            checkpoint=folder.checkpoint.absolute(),
        )
        deadlines: list[float | None] = [job.template.spec.active_deadline_seconds]
        if job.active_deadline_seconds is not None:
            # The Job's own deadline counts from its first pod, through every retry.
            spent = 0.0 if trial.first_started is None else now - trial.first_started
            deadlines.append(max(0.0, job.active_deadline_seconds - spent))
        trial.sent = True
        self._workers.send(
            {
                "op": "start",
                "number": trial.suggestion.number,
                "attempt": trial.attempt,
                "argv": execution.argv,
                "args": execution.args,
                "environment": execution.environment,
                "folder": execution.folder,
                "log": str(folder.log.absolute()),
                "exit_file": str(folder.exit.absolute()),
                "grace": self.grace,
                "deadline": min((d for d in deadlines if d is not None), default=None),
            }
        )

    # --- the supervisor --------------------------------------------------------------------------------------------

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            said = json.loads(line)
            trial = self._trials.get(said.get("number", -1))
            match said["op"]:
                case "started" if trial is not None:
                    trial.started = said["at"]
                    trial.first_started = trial.first_started or said["at"]
                case "ended" if trial is not None:
                    self._ended(
                        trial,
                        Exit(said["attempt"], said["code"], said["cause"], said["started"], said["ended"]),
                    )
                case "broken":
                    self._broken = f"the ready trainer cannot be loaded ({said['why']}): install kubestudy[local]"
            self._changed.set()
        self._broken = self._broken or "the trials' supervisor ended unexpectedly; run the same command again"
        self._changed.set()

    def _check(self) -> None:
        if self._broken is not None:
            raise StudyError(self._broken)

    # --- ends ------------------------------------------------------------------------------------------------------

    def _ended(self, trial: _Trial, exited: Exit) -> None:
        folder = self._folder.trial(trial.suggestion.number)
        end = end_of(exited, parse_message(folder.read_message()), folder.last_line, len(trial.gpus or ()))
        limit = self._study.spec.job_template.spec.backoff_limit or 0
        again = not (end.succeeded or end.interrupted or exited.cause or trial.stopping)
        self._release(trial)
        if again and trial.attempt < limit and exited.code not in contract.EXITS_NOT_RETRIED:
            delay = min(self._backoff * 2**trial.attempt, BACKOFF_LIMIT_SECONDS)
            trial.attempt += 1
            trial.sent, trial.started = False, None
            trial.not_before = time.time() + delay
            log.warning(
                "trial %d failed (%s: %s): retry %d of %d in %.1f s",
                trial.suggestion.number, end.reason, end.detail, trial.attempt, limit, delay,
            )  # fmt: skip
            return
        trial.end = end

    def _release(self, trial: _Trial) -> None:
        if trial.gpus is not None:
            self._gpus.give_back(trial.gpus)
            trial.gpus = None

    def _observed(self, trial: _Trial) -> Observed:
        phase = TrialPhase.RUNNING if trial.started is not None else TrialPhase.PENDING
        if trial.end is not None:
            phase = TrialPhase.ENDED
        url = f"http://127.0.0.1:{trial.port}/metrics" if phase is TrialPhase.RUNNING else None
        return Observed(trial.suggestion.number, phase, trial.started, len(trial.gpus or ()), url, trial.end)


def end_of(exited: Exit, result: Result | None, last_line: Any, gpus: int) -> End:
    """Say how an execution ended, in the words a cluster uses.

    Args:
        exited: Exit code, cause and times.
        result: The termination message.
        last_line: Returns the log's last line; asked only when there is no message.
        gpus: How many GPUs it held.
    """
    spent = gpus * (exited.ended - exited.started)
    if exited.code == 0 and exited.cause != "deadline":
        return End(True, False, "Completed", "it ended by itself", result, spent)
    if exited.cause == "deadline":
        ran = f"it was stopped after {exited.ended - exited.started:.0f} s, longer than activeDeadlineSeconds allows"
        return End(False, False, "DeadlineExceeded", ran, _mute(result), spent)
    if exited.cause == "stopped":
        return End(False, True, "Stopped", "it was told to stop", result, spent)
    said = last_line() if result is None or result.message is None else ""
    how = f"exit code {exited.code}"
    if exited.code > 128:
        try:
            how = f"ended by {signal.Signals(exited.code - 128).name}"
        except ValueError:
            how = f"exit code {exited.code}"
    reason = reason_of_exit(exited.code)
    if exited.code == 128 + signal.SIGKILL:
        reason, how = Failure.KILLED, f"{how}: most likely the machine ran out of memory"
    return End(False, False, reason, f"{how}: {said}" if said else how, result, spent)


def _mute(result: Result | None) -> Result | None:
    """Take away what a trial said of being stopped: the deadline is why it failed."""
    return None if result is None else Result(result.values, result.curve)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
